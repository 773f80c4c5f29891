"""The figures of a run: those whose parts were run, in both formats, the same as the paper's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.drawings import draw
from diffkit.lab.experiment import Record

RECORD = Path(__file__).parents[2] / "paper/record/double_descent.json"


def with_parts(*names: str) -> Record:
    """The recorded run as if it had been asked for some parts alone."""
    record = Record.from_dict(json.loads(RECORD.read_text()))
    kept = {name: record.results[name] for name in (*names, "parts", "claims")}
    return replace(record, results=kept)


def test_the_figures_of_the_parts_that_were_run_are_drawn(tmp_path: Path):
    found = list(draw(with_parts("ridge"), tmp_path / "new"))
    assert [path.name for path in found] == [
        "double_descent-ridge.svg",
        "double_descent-ridge.pdf",
    ]
    assert found[0].read_text().startswith("<?xml")
    assert found[1].read_bytes().startswith(b"%PDF")


def test_a_run_without_a_figure_and_a_file_in_the_way_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="have no figure"):
        list(draw(with_parts(), tmp_path))
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        list(draw(with_parts("ridge"), tmp_path / "taken"))

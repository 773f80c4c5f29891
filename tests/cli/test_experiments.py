"""What `diffkit run` prints of a record, and where the command looks for experiments."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diffkit.cli import main as command
from diffkit.cli.experiments import _finding
from diffkit.lab.experiment import Record

RECORD = Path(__file__).parents[2] / "paper/record/optimizers.json"


@pytest.fixture
def record() -> Record:
    return Record.from_dict(json.loads(RECORD.read_text()))


def test_every_part_has_its_line_and_the_claims_their_verdicts(record: Record):
    lines = _finding(record, ["a.svg", "a.pdf"]).splitlines()
    parts = record.results["parts"]
    for line, part in zip(lines, parts, strict=False):
        assert line == f"SUPPORTED  {part['name']}: {part['statement']}"
    claims = record.results["claims"]
    assert lines[len(parts)].count(", ") == len(claims) - 1
    assert lines[-3].startswith(f"run        {record.address[:12]}")
    assert lines[-2:] == ["figures    a.svg", "           a.pdf"]


def test_what_is_undecided_is_explained(record: Record):
    parts = [{**part, "status": "undecided"} for part in record.results["parts"]]
    text = _finding(replace(record, results={"parts": parts}), [])
    assert "the control, passes the same test" in text
    assert "undecided:" not in _finding(record, [])


def test_an_experiment_of_one_part_has_one_line(record: Record):
    text = _finding(replace(record, results={}, statement="it holds", status="refuted"), [])
    assert text.splitlines()[0] == "REFUTED    it holds"


def test_the_console_script_finds_the_experiments_one_stands_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/__init__.py").touch()
    monkeypatch.setattr(command, "main", lambda: 0)
    for folder, is_found in ((tmp_path, True), (tmp_path / "experiments", False)):
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit):
            command.command_line()
        assert (str(folder) in sys.path) == is_found

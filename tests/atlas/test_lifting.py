"""The survey counts every name, writes its tables and never stops at one function."""

import json
import os
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from diffkit.atlas import attempt, lifting, public_functions
from diffkit.core.scheduler import SCHEDULER_FLAG, guard_scheduler
from diffkit.typeset.tables import markdown

NAMES = {
    "jax.nn.relu": jax.nn.relu,
    "jax.numpy.floor": jnp.floor,
    "jax.numpy.sin": jnp.sin,
    "jax.scipy.special.spence": jax.scipy.special.spence,
}


@pytest.fixture
def few_names(monkeypatch):
    """A library of four functions."""
    monkeypatch.setattr(public_functions, "public_names", lambda *_: NAMES)
    monkeypatch.setattr(attempt, "_names", lambda: NAMES)


@pytest.mark.usefixtures("few_names")
def test_every_name_is_attempted_or_has_a_reason():
    found = lifting.survey(seconds=60.0)
    assert {each.name for each in found.attempts} | set(found.unlisted) == set(NAMES)
    assert found.unlisted == {"jax.numpy.floor": public_functions.ZERO}
    assert sum(map(sum, (each.values() for each in lifting.counts(found.attempts).values()))) == 3


@pytest.mark.usefixtures("few_names")
def test_the_files_hold_every_row(tmp_path, capsys):
    files = tmp_path / "table.json", tmp_path / "table.md"
    status = lifting.main(["--json", str(files[0]), "--markdown", str(files[1])])
    content = json.loads(files[0].read_text())
    failed = [each for each in content["attempts"] if each["status"] == "failed"]
    assert status == bool(failed)
    assert [each["name"] for each in content["attempts"]] == sorted(
        set(NAMES) - {"jax.numpy.floor"}
    )
    assert content["primitives"]["sin"] == 1
    for name in NAMES:
        assert f"| {name} |" in files[1].read_text()
    assert "3 functions, 1 names not listed" in capsys.readouterr().out


def test_an_unknown_module_is_wrong_usage(capsys):
    assert lifting.main(["--module", "jax.fft"]) == 2
    assert "choose from jax.nn" in capsys.readouterr().err


def test_the_scheduler_flag_is_added_once(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_other=1")
    guard_scheduler()
    guard_scheduler()
    assert os.environ["XLA_FLAGS"] == f"--xla_other=1 {SCHEDULER_FLAG}"


def test_a_bar_in_a_cell_does_not_end_it():
    assert markdown(("a",), [("x|y",)])[2] == "| x\\|y |"


@pytest.mark.slow
def test_processes_find_what_one_finds():
    one, two = (lifting.survey(["jax.nn"], jobs=jobs, seconds=60.0) for jobs in (1, 2))
    assert one.unlisted == two.unlisted
    assert [(e.name, e.status, e.primitive) for e in one.attempts] == [
        (e.name, e.status, e.primitive) for e in two.attempts
    ]


ROOT = Path(__file__).parents[2]
#: Formulas the recorded survey holds at least.
LEAST_LIFTED = 430


@pytest.fixture(scope="module")
def recorded():
    return json.loads((ROOT / "docs" / "lifting_table.json").read_text(encoding="utf-8"))


def test_the_recorded_survey_has_no_failure_and_enough_formulas(recorded):
    found = Counter(each["status"] for each in recorded["attempts"])
    assert found["failed"] == 0
    assert found["lifted"] >= LEAST_LIFTED


def test_every_recorded_formula_is_within_its_bounds_and_keeps_no_call(recorded):
    for each in recorded["attempts"]:
        if each["status"] == "lifted":
            certificate = attempt.Certificate(**each["certificate"])
            assert certificate.holds, each["name"]
            assert not each["opaque"], each["name"]


def test_every_recorded_refusal_says_why(recorded):
    refused = [each for each in recorded["attempts"] if each["status"] == "refused"]
    assert all(each["message"] for each in refused)


def test_the_recorded_table_has_the_counts_of_the_recorded_survey(recorded):
    table = (ROOT / "docs" / "lifting_table.md").read_text(encoding="utf-8")
    found = Counter(each["status"] for each in recorded["attempts"])
    total = [str(found[status]) for status in lifting.STATUSES]
    assert f"| all | {' | '.join(total)} | {len(recorded['attempts'])} |" in table

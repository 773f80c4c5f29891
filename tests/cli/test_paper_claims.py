"""The claims table joins what quick and full runs decide; full records are of today's presets."""

from dataclasses import replace
from pathlib import Path

import pytest

from diffkit.cli.paper_claims import claims_numbers
from diffkit.cli.paper_record import PaperRecord
from diffkit.core.errors import UsageError
from diffkit.lab.config import as_dict
from diffkit.lab.experiment import Record, known_experiments, load

PAPER = PaperRecord.load(Path(__file__).parents[2] / "paper/record")
SOME = PAPER.runs["optimizers"]


def run(**verdicts: str) -> Record:
    """A run that decides these claims."""
    claims = [
        {"id": name, "verdict": verdict, "evidence": f"{name} {verdict}"}
        for name, verdict in verdicts.items()
    ]
    return replace(SOME, results={"claims": claims})


def test_a_claim_has_its_verdict_and_what_a_full_run_finds_instead():
    found = claims_numbers(
        {"one": run(C007="confirmed", C008="mixed", C006="undecided")},
        {"one": run(C007="confirmed", C008="undecided", C093="refuted"), "two": run(C127="mixed")},
    )
    settled = claims_numbers({"one": run(C006="undecided")}, {"one": run(C006="mixed")})
    rows = {row["id"]: row for row in found["rows"]}
    assert list(rows) == ["C006", "C007", "C008", "C093", "C127"]
    assert (found["decided"], found["full_only"], found["differing"]) == (
        "4", ["C093", "C127"], ["C008"],
    )  # fmt: skip
    assert found["counts"] == {"confirmed": "1", "refuted": "1", "mixed": "2", "undecided": "1"}
    assert rows["C008"]["verdict"] == "mixed"
    assert rows["C008"]["full"]["verdict"] == "undecided"
    assert rows["C008"]["full"]["evidence"] == "C008 undecided"
    assert rows["C007"]["full"] is None
    assert (settled["decided"], settled["full_only"], settled["differing"]) == ("1", ["C006"], [])
    assert (rows["C093"]["experiment"], rows["C093"]["is_full"]) == ("one", True)


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({"one": run(C999="mixed")}, "one decides claim 'C999', which is not in the catalogue"),
        ({"one": run(C007="mixed"), "two": run(C007="mixed")}, "two and one both decide C007"),
    ],
)
@pytest.mark.parametrize("is_full", [False, True])
def test_a_claim_that_is_unknown_or_decided_twice_is_refused(runs, said, is_full):
    with pytest.raises(UsageError, match=said):
        claims_numbers(*(({}, runs) if is_full else (runs, {})))


@pytest.mark.parametrize("runs", [PAPER.runs, PAPER.full], ids=["quick", "full"])
def test_every_experiment_is_recorded(runs):
    assert set(runs) == set(known_experiments())


@pytest.mark.parametrize("name", known_experiments())
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_a_recorded_run_is_of_the_preset_as_it_is_now(name, preset):
    recorded = {"quick": PAPER.runs, "full": PAPER.full}[preset][name]
    now = as_dict(load(name).preset(preset).config)
    assert (recorded.preset, recorded.config) == (preset, now)
    assert recorded.status == "supported"
    assert not recorded.is_over_budget

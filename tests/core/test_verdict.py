import json
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from diffkit.core import verdict as core
from diffkit.core.claim import Claim
from diffkit.core.errors import ClaimRefuted, UsageError
from diffkit.core.evidence import ErrorBound, Evidence
from diffkit.core.finding import Finding
from diffkit.core.verdict import Repair, Verdict, plain, worst, write_atomically

CLAIM = Claim(
    "relu(x)",
    "step(x)",
    "x",
    domain={"x": "(0, 1)"},
    conventions={"relu0": 1.0},
    points=({"x": 0.5},),
    options={"seed": 7, "budget": "fast"},
)
FULL = Verdict(
    claim=CLAIM,
    status="refuted",
    statement="d/dx [relu(x)] = step(x)",
    scope="nowhere",
    evidence=(
        Evidence(
            "reverse",
            "AD rules",
            "disagrees",
            {"x": float("nan"), "w": [1.0, float("-inf")]},
            value=float("inf"),
            claimed=0.0,
            error=0.5,
            allowed=ErrorBound({"rounding": 1e-16, "truncation": float("inf")}),
            dtype="float32",
            order=2,
            note="a < b & c",
        ),
        Evidence("normal forms", "closed form", "agrees"),
    ),
    counterexample={"x": float("-inf")},
    contradiction="claimed 1, true 0",
    diagnosis="sign",
    repair=Repair("-step(x)", "sign", "proved", r"-\theta(x)"),
    findings=(Finding("kink", "note", "a tie", "guard it", "f.py:3", {"x": 0.0}, 2, "float32"),),
    assumptions=("y held",),
    reproducer="one\ntwo\nthree",
    latex=r"\theta'",
)


def strict(text: str) -> dict:
    """JSON as other languages read it: no NaN, no Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_verdict_survives_the_round_trip_through_json_word_for_word():
    text = FULL.to_json()
    again = Verdict.from_dict(strict(text))
    assert again.to_json() == text
    assert again.claim == CLAIM
    assert again.repair == FULL.repair
    assert again.findings == FULL.findings
    assert again.evidence[0].allowed == FULL.evidence[0].allowed


def test_numbers_that_json_lacks_become_text_and_bounds_become_numbers_again():
    row = strict(FULL.to_json())["evidence"][0]
    assert row["value"] == "inf"
    assert row["point"] == {"x": "nan", "w": [1.0, "-inf"]}
    assert row["allowed"] == {"rounding": 1e-16, "truncation": "inf"}
    assert Verdict.from_dict(strict(FULL.to_json())).evidence[0].allowed.value == float("inf")


def test_plain_data_hold_no_tuples_fractions_or_arrays():
    class Array:
        def tolist(self) -> list[float]:
            return [1.0, float("nan")]

    found = plain({1: (Fraction(1, 3), Array()), "n": None, "b": True})
    assert found == {"1": ["1/3", [1.0, "nan"]], "n": None, "b": True}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data.update(schema="diffkit.verdict/99"), "schema"),
        (lambda data: data.pop("schema"), "schema"),
        (lambda data: data.pop("claim"), "damaged"),
        (lambda data: data.update(evidence=3), "damaged"),
        (lambda data: data["claim"].update(kind="slope"), "damaged"),
        (lambda data: data["claim"].update(stranger=1), "damaged"),
        (lambda data: data["findings"][0].update(kind="oddity"), "damaged"),
        (lambda data: data["repair"].pop("edit"), "damaged"),
        (lambda data: data.update(status="fine"), "'fine'; known: proved, supported, refuted"),
        (lambda data: data.update(status=["proved"]), r"\['proved'\]; known: proved"),
        (lambda data: data["repair"].update(status="good"), "repair 'good'; known: proved"),
        (lambda data: data["evidence"][0].update(outcome="yes"), "'yes'; known: agrees, disagrees"),
        (lambda data: data["evidence"][0].pop("outcome"), "damaged"),
        (lambda data: data["findings"][0].update(severity="bad"), "'bad'; known: note, warning"),
        (lambda data: data["evidence"][0].update(error="x"), "damaged .error is 'x'"),
        (lambda data: data["evidence"][0].update(point=None), "damaged .point is None"),
        (lambda data: data["evidence"][0].update(note=5), "damaged .note is 5"),
        (lambda data: data["evidence"][0].update(allowed=5), "damaged"),
        (lambda data: data["evidence"][0].update(allowed={"rounding": 10**400}), "damaged"),
        (lambda data: data.update(statement=5), "damaged .statement is 5"),
        (lambda data: data.update(counterexample=5), "damaged .counterexample is 5"),
        (lambda data: data["claim"].update(domain="x"), "damaged .domain is 'x'"),
        (lambda data: data["claim"].update(conventions=5), "damaged .conventions is 5"),
    ],
)
def test_damaged_data_are_refused_in_a_sentence(damage, said: str):
    data = strict(FULL.to_json())
    damage(data)
    with pytest.raises(UsageError, match=said):
        Verdict.from_dict(data)


@pytest.mark.parametrize("data", [[], "text", 3, None])
def test_data_of_another_shape_are_refused(data):
    with pytest.raises(UsageError, match="not a saved verdict"):
        Verdict.from_dict(data)


def test_a_saved_verdict_is_one_json_file_and_leaves_nothing_beside_it(tmp_path: Path):
    place = tmp_path / "deep" / "claim.json"
    FULL.save(place)
    assert strict(place.read_text(encoding="utf-8"))["status"] == "refuted"
    assert [path.name for path in place.parent.iterdir()] == ["claim.json"]


def test_a_verdict_about_a_nameless_function_cannot_be_saved(tmp_path: Path):
    nameless = replace(FULL, claim=replace(CLAIM, target="f", is_replayable=False))
    with pytest.raises(UsageError, match="importable"):
        nameless.save(tmp_path / "claim.json")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch):
    place = tmp_path / "claim.json"
    write_atomically(place, "old")

    def fail(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(core.os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(place, "new")
    assert place.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["claim.json"]


@pytest.mark.parametrize(
    ("status", "is_ok", "code"),
    [("proved", True, 0), ("supported", True, 0), ("refuted", False, 1), ("undecided", False, 3)],
)
def test_a_status_decides_ok_and_the_exit_status(status, is_ok: bool, code: int):
    found = Verdict(CLAIM, status)
    assert (found.ok, found.exit_status) == (is_ok, code)


def test_only_a_refuted_verdict_raises():
    assert Verdict(CLAIM, "undecided").raise_if_refuted().status == "undecided"
    with pytest.raises(ClaimRefuted, match="claimed 1, true 0"):
        FULL.raise_if_refuted()


def test_the_worst_of_several_statuses_is_refuted_then_undecided_then_supported():
    order = ["refuted", "undecided", "supported", "proved"]
    for first, second in product(order, repeat=2):
        assert worst([first, second]) == order[min(order.index(first), order.index(second))]


def test_the_html_escapes_what_the_user_wrote():
    hostile = replace(FULL, statement="<script>alert(1)</script>")
    assert "<script>" not in hostile.to_html()
    assert "&lt;script&gt;" in hostile.to_html()


def test_the_text_says_status_contradiction_repair_and_findings_and_explain_the_rest():
    short, long = str(FULL), FULL.explain()
    for part in ("REFUTED", "claimed 1, true 0", "-step(x)", "sign; PROVED", "kink"):
        assert part in short
    for part in ("assumes", "reproducer", "three", "allowed unbounded (truncation)"):
        assert part not in short
        assert part in long


def test_a_verdict_without_latex_shows_no_formula_in_a_notebook():
    assert Verdict(CLAIM, "proved")._repr_latex_() is None
    assert FULL._repr_latex_() == r"$\displaystyle \theta'$"

"""The judge is judged: wrong versions of right claims are refuted, and the share only rises.

Record: `python -m diffkit.catalog.mutants --record` writes record.json beside this file.
"""

import json
import zlib
from collections import Counter
from pathlib import Path

import pytest

from diffkit.catalog.mutants import (
    GROUPS,
    OUTCOMES,
    RULES,
    Mutant,
    Tally,
    mutants,
    outcome,
    run,
    write_record,
)
from diffkit.core.errors import UsageError
from diffkit.verify.check import judge_question
from diffkit.verify.question import read

RECORD = json.loads((Path(__file__).parent / "record.json").read_text(encoding="utf-8"))
#: Reached when this was written; raise it when the record rises, never lower it.
LEAST_SHARE = 1.0


def slips(target: str, claim: str, **options) -> dict[str, str]:
    """Slip -> mutated claim of one question."""
    question = read(target, claim, **options)
    return {mutant.name: mutant.question.claim.claimed for _, mutant in mutants(question)}


def one_mutant(name: str, found: list[Mutant]) -> Mutant:
    """The mutant whose turn it is; the same one in every run."""
    return found[zlib.crc32(name.encode()) % len(found)]


@pytest.mark.parametrize(
    ("slip", "mutated"),
    [
        ("sign", "-2*x*cos(x**2) - 3*y"),
        ("factor 2", "4*x*cos(x**2) + 6*y"),
        ("factor 1/2", "x*cos(x**2) + 3*y/2"),
        ("factor 1.01", "101*x*cos(x**2)/50 + 303*y/100"),
        ("dropped factor x", "3*y + 2*cos(x**2)"),
        ("dropped factor cos(x**2)", "2*x + 3*y"),
        ("dropped term 3*y", "2*x*cos(x**2)"),
        ("sign of term 3*y", "2*x*cos(x**2) - 3*y"),
        ("power of x", "2*x**2*cos(x**2) + 3*y"),
        ("exchanged x and y", "3*x + 2*y*cos(y**2)"),
    ],
)
def test_a_slip_makes_the_expression_it_is_named_after(slip, mutated):
    found = slips("sin(x**2) + 3*x*y", "2*x*cos(x**2) + 3*y", wrt="x")
    same = read("x + y", mutated, wrt="x").claimed
    assert read("x + y", found[slip], wrt="x").claimed == same


def test_the_sample_size_is_dropped_and_put_in():
    found = slips("(x - y)**2/6", "(x - y)/3", wrt="x")
    assert (
        read("x + y", found["missing 1/N, N = 3"], wrt="x").claimed
        == read("x + y", "x - y", wrt="x").claimed
    )
    found = slips("(x + y + z)**2/2", "x + y + z", wrt="x")
    assert (
        read("x + y + z", found["extra 1/N, N = 3"], wrt="x").claimed
        == read("x + y + z", "x/3 + y/3 + z/3", wrt="x").claimed
    )


def test_a_relation_is_turned_and_a_rounding_gets_other_digits():
    turned = list(mutants(read("x**2 >= 0", "true", kind="value")))
    assert [mutant.name for _, mutant in turned] == ["turned x**2 >= 0"]
    rounded = slips("exp(-6)", "~0.002", kind="value")
    assert rounded["last digit up"] == "~0.003"
    assert rounded["factor 1/2"] == "~0.001"


def test_a_mutant_that_says_the_same_as_its_claim_is_dropped_and_counted():
    tally = run([("same text", read("(x + y)**3/3", "(x + y)**2", wrt="x"))])
    assert "exchanged" not in tally.by_rule
    question = read("logaddexp(x, y)", "log(1 + exp(x - y)) + y", kind="value")
    tally = run([("same value", question)])
    assert "exchanged" not in tally.by_rule
    assert tally.equal == 1
    assert tally.outcomes["refuted"] == tally.mutants > 5


def test_a_judge_that_refuted_a_claim_equal_to_the_right_one_would_be_caught(monkeypatch):
    question = read("x**2", "2*x", wrt="x")
    wrong = Mutant("sign", read("x**2", "-2*x", wrt="x"))
    verdict = judge_question(wrong.question, with_repair=False)
    monkeypatch.setattr("diffkit.catalog.mutants.judge_question", lambda *_, **__: verdict)
    same = Mutant("none", read("x**2", "x + x", wrt="x"))
    assert outcome(question, wrong)[0] == "refuted"
    assert outcome(question, same)[0] == "failed"


def test_a_right_claim_is_accepted_as_a_mutant_of_a_wrong_one():
    """The negative control: what is not wrong must not count as refuted."""
    wrong = read("x**2", "x", wrt="x")
    [right] = [mutant for _, mutant in mutants(wrong) if mutant.name == "factor 2"]
    assert outcome(wrong, right)[0] == "accepted"


@pytest.mark.parametrize(
    ("target", "claim", "wrt"),
    [
        # differences below the width of the first enclosures
        ("10**21", "10**21 + 1", ""),
        ("x**2", "2*x + x/10**30", "x"),
        ("sin(x)**2", "2*sin(x)*cos(x) + 1/10**60", "x"),
        # rows of numeric that the vocabulary has with other arguments, or that it lacks
        ("hinge(s, t)", "where(s*t < 1, t, 0)", "s"),
        ("clip(x, low, high)", "where(low < x, 1, 0)", "x"),
        ("kl_div(x, y)", "log(x) + log(y)", "x"),
    ],
)
def test_claims_that_were_once_accepted_or_undecided_are_refuted(target, claim, wrt):
    domain = {"x": "positive", "y": "positive"} if target.startswith("kl") else {}
    kind = "gradient" if wrt else "value"
    question = read(target, claim, wrt=wrt or None, kind=kind, domain=domain)
    verdict = judge_question(question, with_repair=False)
    assert verdict.status == "refuted", verdict.explain()


@pytest.mark.parametrize(
    "group", [pytest.param(g, marks=[pytest.mark.slow] * (g == "ledger")) for g in GROUPS]
)
def test_a_mutant_of_every_row_is_refuted(group):
    tally = Tally()
    for name, question in GROUPS[group]():
        found = list(mutants(question))
        mutant = one_mutant(name, [mutant for _, mutant in found])
        tally.add(name, "one", mutant, *outcome(question, mutant))
    assert tally.mutants > 50
    assert not tally.outcomes["accepted"]
    assert not tally.outcomes["failed"]
    assert tally.share >= 0.99, tally.unrefuted


def test_the_record_covers_the_catalogue_of_this_tree():
    sizes = {name: len(list(source())) for name, source in GROUPS.items()}
    assert {name: group["rows"] for name, group in RECORD["groups"].items()} == sizes


def test_on_record_no_mutant_is_accepted_and_at_least_99_percent_are_refuted():
    assert RECORD["accepted"] == RECORD["failed"] == 0
    assert RECORD["refuted_share"] >= max(LEAST_SHARE, 0.99)
    assert sum(RECORD[name] for name in OUTCOMES) == RECORD["mutants"]
    assert all(row["why"] for group in RECORD["groups"].values() for row in group["unrefuted"])


def test_on_record_every_kind_of_slip_was_made():
    made = Counter()
    for group in RECORD["groups"].values():
        made.update({rule: counts["mutants"] for rule, counts in group["by_rule"].items()})
    assert set(RULES) <= {rule for rule, count in made.items() if count >= 20}


def test_the_recorded_share_may_only_rise(tmp_path):
    path = tmp_path / "record.json"
    write_record(path, {"refuted_share": 0.5})
    write_record(path, {"refuted_share": 0.75})
    with pytest.raises(UsageError, match="delete"):
        write_record(path, {"refuted_share": 0.6})
    assert json.loads(path.read_text(encoding="utf-8"))["refuted_share"] == 0.75


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", GROUPS)
def test_all_mutants_are_refuted_as_on_record(group):
    tally = run(GROUPS[group]())
    assert tally.outcomes["accepted"] == tally.outcomes["failed"] == 0, tally.unrefuted
    assert tally.share >= RECORD["groups"][group]["refuted_share"], tally.unrefuted

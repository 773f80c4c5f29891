"""Parts joined to one finding: the worst decides, nothing is decided twice."""

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.outcome import Decided, Outcome, Part, join, judged


def part(name: str, status: str, *claims: Decided) -> Part:
    return Part(name, status, f"{name} measured", {"z": 1.0}, claims)


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        (("supported", "supported"), "supported"),
        (("supported", "undecided"), "undecided"),
        (("undecided", "refuted", "supported"), "refuted"),
    ],
)
def test_the_worst_part_decides(statuses, whole):
    parts = [part(f"p{i}", status) for i, status in enumerate(statuses)]
    assert join(parts).status == whole


def test_results_keep_every_part_and_the_claims_in_order():
    one = part("one", "supported", Decided("C045", "refuted", "z = 9"))
    two = part("two", "supported", Decided("C044", "confirmed", "z = 4"))
    found = join([one, two], dtype="float64", seeds=(3,))
    assert found.results["one"] == {"z": 1.0}
    assert [row["id"] for row in found.results["claims"]] == ["C044", "C045"]
    assert [row["statement"] for row in found.results["parts"]] == ["one measured", "two measured"]
    assert (found.dtype, found.seeds) == ("float64", (3,))


def test_nothing_is_decided_twice_or_of_nothing():
    claim = Decided("C045", "mixed", "p = 0.3")
    with pytest.raises(UsageError, match="one or more, all different"):
        join([])
    with pytest.raises(UsageError, match="one or more, all different"):
        join([part("one", "supported"), part("one", "supported")])
    with pytest.raises(UsageError, match="two parts decide"):
        join([part("one", "supported", claim), part("two", "supported", claim)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Outcome({}, "agrees", ""),
        lambda: Part("one", "true", "", {}),
        lambda: Decided("C001", "supported", ""),
    ],
)
def test_another_word_for_a_finding_is_refused(make):
    with pytest.raises(UsageError, match="is one of"):
        make()


def test_a_control_that_passes_decides_nothing():
    assert judged(misses=False, is_blind=False) == "supported"
    assert judged(misses=False, is_blind=True) == "undecided"
    assert judged(misses=True, is_blind=True) == "refuted"

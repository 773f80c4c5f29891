import pytest

from diffkit.core import errors
from diffkit.core.claim import Claim
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.core.finding import Finding


@pytest.mark.parametrize(
    ("text", "position"),
    [("sin(x", 3), ("x + + y", 4), ("a" * 500 + "@" + "b" * 500, 500), ("one\ntwo @ three", 8)],
)
def test_the_caret_stands_under_the_character_that_is_wrong(text: str, position: int):
    reason, shown, caret = str(errors.ParseError("wrong", text, position)).splitlines()
    assert reason == "wrong"
    assert shown[caret.index("^")] == text[position]
    assert len(shown) < 80


def test_the_caret_at_the_end_of_the_text_stands_behind_its_last_character():
    _, shown, caret = str(errors.ParseError("incomplete", "x +", 3)).splitlines()
    assert caret.index("^") == len(shown)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("UsageError", 2),
        ("ParseError", 2),
        ("UnknownNameError", 2),
        ("DomainError", 2),
        ("UnsupportedPrimitive", 2),
        ("UnsupportedFunction", 2),
        ("NoClosedForm", 2),
        ("Undecidable", 3),
        ("TimeLimitExceeded", 3),
        ("ClaimRefuted", 1),
    ],
)
def test_every_error_knows_the_exit_status_of_its_meaning(name: str, status: int):
    error = getattr(errors, name)
    assert issubclass(error, errors.DiffkitError)
    assert error.exit_status == status


def test_a_refuted_claim_fails_a_test_like_an_assertion():
    assert issubclass(errors.ClaimRefuted, AssertionError)


@pytest.mark.parametrize("kind", ["slope", "", "Gradient"])
def test_an_unknown_kind_of_claim_is_refused_with_the_known_ones(kind: str):
    with pytest.raises(errors.UsageError, match="known: gradient, jacobian"):
        Claim("x**2", kind=kind)  # ty: ignore[invalid-argument-type]


def test_an_order_below_one_is_refused():
    with pytest.raises(errors.UsageError, match="positive whole number"):
        Claim("x**2", order=0)


def test_an_unknown_kind_of_finding_is_refused():
    with pytest.raises(ValueError, match="unknown finding kind 'oddity'"):
        Finding("oddity", "note", "something odd")


def test_a_finding_prints_its_place_and_its_remedy_when_it_has_them():
    bare = Finding("kink", "note", "a tie")
    full = Finding("kink", "note", "a tie", remedy="none needed", where="a.py:3")
    assert str(bare) == "kink          a tie"
    assert str(full) == "kink          a.py:3: a tie; remedy: none needed"


def test_error_bounds_add_part_by_part():
    total = ErrorBound({"rounding": 1.0, "truncation": 2.0}) + ErrorBound({"rounding": 0.5})
    assert total.parts == {"rounding": 1.5, "truncation": 2.0}
    assert total.value == 3.5
    assert str(total) == "3.5e+00 (truncation)"
    assert str(ErrorBound()) == "0"
    assert str(ErrorBound({"rounding": float("inf")})) == "unbounded (rounding)"


def test_an_estimate_is_a_kink_only_when_its_sides_differ():
    assert Estimate(0.0, left=-1.0, right=1.0).is_kink
    assert not Estimate(1.0, left=1.0, right=1.0).is_kink
    assert not Estimate(1.0).is_kink

from fractions import Fraction
from math import inf

import pytest

from diffkit.core.domain import MATRIX_SETS, Domain
from diffkit.core.errors import UsageError

INSIDE = {
    "real": (-(10**30), 0, 1e300),
    "positive": (Fraction(1, 10**30), 5e-324, 7),
    "nonnegative": (0, 0.0, 3),
    "negative": (-1, -5e-324),
    "nonpositive": (0, -2.5),
    "probability": (0.5, Fraction(1, 10**30)),
    "integer": (-3, 0, 4.0),
    "natural": (0, 1, 7),
    "positive integer": (1, 12),
    "(0, 1]": (1, 0.5),
    "[-1/2, oo)": (Fraction(-1, 2), 1e9),
    "[3, 3]": (3,),
}
OUTSIDE = {
    "real": (),
    "positive": (0, -1),
    "nonnegative": (-5e-324,),
    "negative": (0, 1),
    "nonpositive": (5e-324,),
    "probability": (0, 1),
    "integer": (0.5, Fraction(1, 3)),
    "natural": (-1, 0.5),
    "positive integer": (0, 1.5),
    "(0, 1]": (0, Fraction(10**30 + 1, 10**30)),
    "[-1/2, oo)": (-0.5000001,),
    "[3, 3]": (2.999, 4),
}


@pytest.mark.parametrize("text", INSIDE)
def test_a_domain_contains_exactly_its_members(text: str):
    domain = Domain.parse(text)
    assert [domain.contains(value) for value in INSIDE[text]] == [True] * len(INSIDE[text])
    assert [domain.contains(value) for value in OUTSIDE[text]] == [False] * len(OUTSIDE[text])


def test_a_decimal_bound_is_the_rational_it_spells_and_not_a_double():
    domain = Domain.parse("(0.1, 1)")
    assert domain.low == Fraction(1, 10)
    assert domain.contains(0.1)  # the double 0.1 is a little more than one tenth
    assert not domain.contains(Fraction(1, 10))


@pytest.mark.parametrize("text", [*INSIDE, "(-oo, 2)", "(1e-3, 2.5E2]", *MATRIX_SETS])
def test_a_printed_interval_is_read_back_as_the_same_domain(text: str):
    domain = Domain.parse(text)
    if domain.integer:
        assert str(domain).startswith("integer")
    else:
        assert Domain.parse(str(domain)) == domain


def test_a_domain_is_returned_as_it_is():
    domain = Domain(low=Fraction(2))
    assert Domain.parse(domain) is domain
    assert not domain.is_real_line
    assert Domain.parse("real").is_real_line
    assert Domain.parse("(-oo, oo)") == Domain(-inf, inf)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no domain"),
        ("complex", "no domain"),
        ("(0 1)", "no domain"),
        ("0 < x < 1", "no domain"),
        ("(1, 0)", "empty"),
        ("(1, 1)", "empty"),
        ("(oo, -oo)", "empty"),
        ("(0, 1/0)", "divides by zero"),
        ("(0, pi)", "no bound"),
        ("(0, nan)", "no bound"),
        ("(0, 1e99999999)", "no bound"),
        ("(" + "9" * 100 + ", oo)", "no bound"),
    ],
)
def test_text_that_is_no_domain_is_refused_with_the_forms(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        Domain.parse(text)

"""False claims that were once believed, and odd ones that once ended in a traceback."""

import pytest

from diffkit.core.errors import UsageError
from diffkit.verify.check import check


@pytest.mark.parametrize(
    ("target", "claim", "options"),
    [
        ("Sum((-1)**i, (i, 0, oo))", "1/2", {"kind": "value"}),
        ("Sum(x**i, (i, 0, oo))", "1/(1 - x)", {"kind": "value", "domain": {"x": "[-1, 0]"}}),
        ("(-2)**x", "> 0", {"kind": "value"}),
        ("log(x**2)", "2*log(x)", {"kind": "value"}),
        ("relu(x) - relu(-x)", "step(x) + step(-x)", {}),
        ("sign(x)**2", "1", {"kind": "value"}),
        ("x*(1 + 10**(-300))", "1", {}),
    ],
)
def test_a_false_or_empty_claim_is_neither_proved_nor_supported(target, claim, options):
    verdict = check(target, claim, **options)
    assert not verdict.ok, verdict.explain()


@pytest.mark.parametrize(
    ("target", "claim", "options"),
    [
        ("where(abs(r) <= 1, r**2/2, abs(r) - 1/2)", "r", {"wrt": "r"}),
        ("where(x > 0, x, a*(exp(x) - 1))", "where(x > 0, 1, a)", {"wrt": "x"}),
        ("exp(1000*x)", "> 1", {"kind": "value"}),
    ],
)
def test_a_wrong_claim_with_odd_pieces_is_refuted_without_a_crash(target, claim, options):
    assert check(target, claim, **options).status == "refuted"


def test_a_power_with_a_real_exponent_has_a_value_for_positive_bases_only():
    assert check("x**y", "y*x**(y - 1)", wrt="x").status == "proved"
    judged = check("x**y", "> 0", kind="value")
    assert judged.status == "proved", judged.explain()


@pytest.mark.parametrize("claim", ["x > 0", "0 < x < 1"])
def test_a_full_relation_as_a_claim_is_refused_with_the_remedy(claim):
    with pytest.raises(UsageError, match="written after the quantity"):
        check("x", claim, kind="value")


@pytest.mark.parametrize("order", [0, -1, 10**6, True, 1.5])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(UsageError, match="order="):
        check("x**2", "2*x", order=order)

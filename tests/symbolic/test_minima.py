"""Lower bounds by the only minimum in a variable: sharp, and refused where the argument breaks."""

import pytest
import sympy as sp

from diffkit.core.domain import Domain
from diffkit.symbolic.inequalities import prove_relation
from diffkit.symbolic.inequality_rules import Budget
from diffkit.symbolic.minima import is_regular, minima, without_infinity
from diffkit.symbolic.parse import parse
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import definition

x, y = symbol("x"), symbol("y")
POSITIVE, UNIT = Domain.parse("positive"), Domain.parse("(0, 1)")

#: Left side, its greatest lower bound (reached), domains.
SHARP = [
    ("silu(x)", "-LambertW(exp(-1))", {}),
    ("x*log(x)", "-exp(-1)", {"x": POSITIVE}),
    ("-log(x)/x", "-exp(-1)", {"x": POSITIVE}),
    ("exp(x + y) - x - y", "1", {}),
    ("x/y - log(x/y)", "1", {"x": POSITIVE, "y": POSITIVE}),
    ("p*log(p/q) + (1 - p)*log((1 - p)/(1 - q))", "0", {"p": UNIT, "q": UNIT}),
    ("p*log(p) + (1 - p)*log(1 - p)", "-log(2)", {"p": UNIT}),
    ("x*log(x) - x + exp(y) - x*y", "0", {"x": POSITIVE}),
    ("softplus(y) - softplus(x) - sigmoid(x)*(y - x)", "0", {}),
]
#: Left side, an infimum approached at infinity, domains.
APPROACHED = [
    ("log(1 + exp(x)) - x + 1/(1 + exp(x))", "0", {"x": POSITIVE}),
    ("(x + 1)*log(1 + 1/x)", "1", {"x": POSITIVE}),
]


@pytest.mark.parametrize(("left", "least", "domains"), SHARP)
def test_a_sharp_bound_is_proved_and_a_sharper_one_is_not(left, least, domains):
    assert prove_relation(parse(f"{left} >= {least}"), domains).status == "true"
    assert prove_relation(parse(f"{left} >= {least} + 1/10**9"), domains).status != "true"
    assert prove_relation(parse(f"{left} > {least}"), domains).status != "true"


@pytest.mark.parametrize(("left", "least", "domains"), APPROACHED)
def test_a_bound_at_infinity_is_proved_and_a_sharper_one_is_not(left, least, domains):
    assert prove_relation(parse(f"{left} > {least}"), domains).status == "true"
    assert prove_relation(parse(f"{left} >= {least} + 1/10**9"), domains).status != "true"


def test_the_minimum_in_one_variable_may_depend_on_the_others():
    expr = sp.exp(y) - x * y
    found = list(minima(expr, {"x": POSITIVE}, Budget()))
    assert any(sp.simplify(least - (x - x * sp.log(x))) == 0 for least, _ in found)
    # For x < 0 the slope exp(y) - x has no zero, and y no lowest value.
    assert list(minima(expr, {"x": Domain.parse("negative")}, Budget())) == []


def test_the_lowest_value_at_an_open_end_is_not_reached():
    ((least, reached),) = minima(x**2, {"x": POSITIVE}, Budget())
    assert (least, reached) == (0, False)
    ((least, reached),) = minima(x**2, {"x": Domain.parse("[0, 1]")}, Budget())
    assert (least, reached) == (0, True)


def test_no_minimum_is_taken_across_a_pole_a_jump_or_the_whole_numbers():
    n = symbol("n", integer=True)
    assert list(minima(1 / x**2 + x, {}, Budget())) == []
    assert list(minima(sp.acot(x), {"x": Domain.parse("[-1, 1]")}, Budget())) == []
    assert list(minima((n - sp.Rational(1, 2)) ** 2, {}, Budget())) == []


def test_functions_with_poles_or_jumps_of_their_own_are_irregular():
    assert is_regular(sp.gamma(x) + sp.atan(x), {"x": POSITIVE})
    assert not is_regular(sp.gamma(x), {})
    assert not is_regular(sp.atan2(x, y), {})
    assert not is_regular(sp.floor(x), {})


def test_infinity_becomes_an_end_of_the_new_variable():
    expr = definition(parse("softplus(x) - x"))
    changed, domains = without_infinity(expr, {"x": POSITIVE})
    ((name, domain),) = domains.items()
    u = symbol(name)
    assert sp.simplify(changed - sp.log(1 + u)) == 0
    assert domain.low == 0
    assert 1 <= domain.high < 1.001
    assert without_infinity(expr, {"x": UNIT}) is None

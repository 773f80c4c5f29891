"""The difference quotients of the high-precision witness."""

from fractions import Fraction
from math import inf

import mpmath
import pytest

from diffkit.core.errors import UnsupportedFunction
from diffkit.numeric.algebra import ARITY
from diffkit.numeric.balls import one_sided
from diffkit.numeric.precise import FUNCTIONS, MpAlgebra, derivative


def _call(name):
    def program(x):
        if ARITY[name][0] == 2:
            return x.algebra.function(name)(x, x.algebra.constant(Fraction(5, 4)) + x * x)
        return x.algebra.function(name)(x)

    return program


@pytest.mark.parametrize("name", sorted(set(ARITY) - {"polygamma"}))
@pytest.mark.parametrize("order", [1, 2])
def test_quotients_and_balls_agree_on_every_function(name: str, order: int):
    for x0 in (0.3, -0.7, 0.0, 12.5):
        rigorous, witness = one_sided(_call(name), x0, order), derivative(_call(name), x0, order)
        if rigorous.value is None or "jump" in rigorous.note:
            continue
        for side in ("left", "right"):
            enclosure, found = getattr(rigorous, side), getattr(witness, side)
            if enclosure is None:
                assert mpmath.isnan(found.value)
            elif enclosure.is_infinite:
                assert float(found.value) == enclosure.value
            else:
                allowed = 2 * found.error + 1e-14 * abs(enclosure.value)
                assert abs(float(found.value) - enclosure.value) <= allowed, (name, x0, side)


@pytest.mark.parametrize("name", ["exp", "gelu", "asinh"])
def test_a_corrupted_row_disagrees_with_the_balls(name: str, monkeypatch: pytest.MonkeyPatch):
    right = FUNCTIONS[name]
    monkeypatch.setitem(FUNCTIONS, name, lambda m, x: right(m, x) * m.mpf(1.001))
    with pytest.raises(AssertionError):
        test_quotients_and_balls_agree_on_every_function(name, 1)


def test_a_kink_has_two_slopes_and_a_root_an_infinite_one():
    kink = derivative(_call("abs"), 0)
    assert (float(kink.left.value), float(kink.right.value)) == (-1.0, 1.0)
    assert not kink.agrees
    root = derivative(_call("sqrt"), 0)
    assert float(root.right.value) == inf
    assert mpmath.isnan(root.left.value)


def test_a_slope_that_diverges_like_a_logarithm_is_infinite():
    found = derivative(lambda x: x.algebra.function("xlogy")(x, x), 0)
    assert float(found.right.value) == -inf


def test_the_global_precision_of_mpmath_stays():
    before = mpmath.mp.dps
    derivative(_call("sin"), 1.0)
    assert mpmath.mp.dps == before


def test_an_unknown_function_is_refused_by_name():
    with pytest.raises(UnsupportedFunction, match="nosuch"):
        MpAlgebra().function("nosuch")


def test_the_rounding_of_a_function_that_is_zero_throughout_is_no_divergence():
    def nothing(x):
        f = x.algebra.function
        return f("log")(f("exp")(x) + 1) - x - f("log1p")(f("exp")(-x))

    found = derivative(nothing, 0.3)
    assert found.agrees
    assert abs(float(found.right.value)) < 1e-100
    assert found.right.error < 1e-100


def test_a_quotient_that_diverges_is_still_infinite():
    found = derivative(lambda x: x.algebra.function("sqrt")(x), 0)
    assert float(found.right.value) == float("inf")


def test_a_double_exponential_does_not_fill_the_memory():
    """exp of -exp(1e25) asked mpmath for log 2 to 1e25 bits."""

    def survival(x):
        exp = x.algebra.function("exp")
        return exp(-exp(x))

    found = derivative(survival, Fraction(10) ** 25)
    assert float(found.value) == 0 == float(found.right.value)
    one = derivative(survival, 1)
    assert float(one.right.value) == pytest.approx(-mpmath.exp(1 - mpmath.e), rel=1e-15)
    algebra = MpAlgebra(50)
    huge = algebra.constant(Fraction(2) ** 70_000)
    assert mpmath.isnan(algebra.function("sin")(huge).value)
    assert algebra.function("log2")(huge).value == 70_000
    assert algebra.function("tanh")(huge).value == 1

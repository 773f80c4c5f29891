"""Escalation and the verdict smooth, kink, infinite, undefined, undecided."""

import time
from fractions import Fraction
from math import inf, nextafter

import pytest
from flint import arb, ctx, fmpq

from diffkit.core.errors import TimeLimitExceeded, Undecidable
from diffkit.numeric.balls import Enclosure, along, enclose, is_narrow, nearest, one_sided, outward


def _call(name):
    return lambda x: x.algebra.function(name)(x)


@pytest.mark.parametrize(
    ("name", "program", "x0", "order", "kind"),
    [
        ("sigmoid in its tail", _call("sigmoid"), -700.25, 1, "smooth"),
        ("sin^2 + cos^2", lambda x: _call("sin")(x) ** 2 + _call("cos")(x) ** 2, 0.5, 1, "smooth"),
        ("abs", _call("abs"), 0, 1, "kink"),
        ("abs, order 2", _call("abs"), 0, 2, "kink"),
        ("sqrt", _call("sqrt"), 0, 1, "infinite"),
        ("cbrt", _call("cbrt"), 0, 1, "infinite"),
        ("1/x", lambda x: 1 / x, 0, 1, "undefined"),
        ("sign", _call("sign"), 0, 1, "undefined"),
        ("sin(x)/x", lambda x: _call("sin")(x) / x, 0, 1, "undefined"),
        ("sinc", _call("sinc"), 0, 1, "smooth"),
        ("x |x|", lambda x: x * _call("abs")(x), 0, 1, "smooth"),
        ("x |x|, order 2", lambda x: x * _call("abs")(x), 0, 2, "kink"),
        ("x^1.5 at its edge", lambda x: x ** Fraction(3, 2), 0, 1, "undefined"),
    ],
)
def test_the_kind_of_a_point_is_told(name, program, x0, order, kind):
    assert one_sided(program, x0, order).kind == kind


def test_a_cusp_has_two_infinite_sides():
    found = one_sided(lambda x: _call("sqrt")(_call("abs")(x)), 0)
    assert (found.left.value, found.right.value) == (-inf, inf)


def test_an_undecidable_comparison_is_undecided_and_not_guessed():
    def program(x):
        A = x.algebra
        zero = A.function("sin")(x) ** 2 + A.function("cos")(x) ** 2 - 1
        return A.select(A.truth("gt", zero, 0), x, -x)

    assert one_sided(program, 0.5).kind == "undecided"


def test_a_tiny_rounded_constant_is_no_kink_and_a_larger_one_is():
    def program(jump):
        def run(x):
            A = x.algebra
            slope = A.constant(Fraction(1) + Fraction(jump))
            return A.select(A.truth("ge", x, 0), x * slope, x)

        return run

    assert one_sided(program(2.0**-52), 0).kind == "smooth"
    assert one_sided(program(2.0**-40), 0).kind == "kink"


def test_precision_escalates_until_the_cancellation_is_resolved():
    # 1 + 2^-300 - 1: 64 bits see nothing
    def program(x):
        one = x.algebra.function("exp")(x * 0)
        tiny = x.algebra.function("exp")(x - 1000)
        return (one + tiny) - one

    found = one_sided(program, 0.5)
    expected = arb(-999.5).exp()
    assert found.kind == "smooth"
    assert found.right.low <= float(expected) <= found.right.high


def test_a_directional_derivative_of_several_inputs_comes_out():
    def product_and_sum(germs):
        x, y = germs
        return [x * y, x + y]

    product, total = along(product_and_sum, [2.0, 3.0], [1, Fraction(1, 2)])
    assert product.right.value == 3.0 + 2.0 / 2
    assert total.left.value == 1.5


def test_outward_rounding_contains_the_ball():
    third = arb(fmpq(1, 3))
    low, high = outward(third)
    assert arb(low) <= third.lower()
    assert arb(high) >= third.upper()
    assert high <= nextafter(nextafter(low, inf), inf)
    assert nearest(third) == 1 / 3
    huge = arb(2) ** 5000
    assert outward(huge)[1] == inf
    assert outward(huge)[0] < inf


def test_a_wide_ball_is_not_narrow():
    assert not is_narrow(arb(1, 0.5))
    assert is_narrow(arb(1))


def test_enclose_climbs_the_ladder_and_reports_what_it_cannot():
    def attempt(bits):
        if bits < 256:
            raise Undecidable("too few bits")
        ctx.prec, previous = bits, ctx.prec
        try:
            return arb.pi()
        finally:
            ctx.prec = previous

    found = enclose(attempt)
    assert isinstance(found, Enclosure)
    assert found.is_narrow

    def never(bits):
        raise Undecidable("never")

    with pytest.raises(Undecidable):
        enclose(never)


def test_the_time_limit_is_kept():
    def slow(x):
        while True:
            x = x * x + 1

    start = time.monotonic()
    with pytest.raises(TimeLimitExceeded):
        one_sided(slow, 0.5, seconds=0.2)
    assert time.monotonic() - start < 5

"""Laws: a line is checked by SymPy, a wrong one is not, and values need every symbol."""

from math import isfinite, nan

import pytest
import sympy as sp

from diffkit.core.errors import DomainError, UsageError
from diffkit.theory import adaptive, correlation, least_squares, normalisation, quadratic
from diffkit.theory.law import Law, Line, conditions

t, a = sp.symbols("t a", positive=True)
AREA = Line("area", sp.Integral(sp.exp(-a * t), (t, 0, sp.oo)), 1 / a)


def test_a_line_is_kept_as_it_is_read_and_checked():
    assert AREA.holds()
    assert str(AREA) == "area: Integral(exp(-a*t), (t, 0, oo)) = 1/a"
    assert not Line("area", AREA.left, 2 / a).holds()


def test_a_long_left_side_is_checked_and_a_short_one_printed():
    line = Line("slope", sp.diff(sp.sin(t) ** 2 + sp.cos(t) ** 2, t), sp.Integer(0), sp.Symbol("R"))
    assert line.holds()
    assert line.latex() == "R = 0"


def test_a_law_has_a_value_where_every_symbol_has_one():
    law = Law("area", sp.Symbol("A"), 1 / a, "a > 0", (AREA,), "exponentials")
    assert law.at(a=4) == 0.25
    assert law.latex() == r"A = \frac{1}{a} \quad (a > 0)"
    assert law.text().splitlines()[0] == "area (a > 0)"
    for wrong in ({}, {"b": 1}, {"a": 1, "b": 1}):
        with pytest.raises(UsageError, match="is a formula in a, not in"):
            law.at(**wrong)


@pytest.mark.parametrize(
    ("law", "inside", "outside"),
    [
        (least_squares.under_parametrised, {"n": 100, "p": 98, "s2": 1}, {"p": 99}),
        (least_squares.under_parametrised, {"n": 100, "p": 98, "s2": 0}, {"s2": -1}),
        (least_squares.under_parametrised, {"n": 100, "p": 9, "s2": 1}, {"n": 100.5}),
        (least_squares.under_parametrised, {"n": 100, "p": 9, "s2": 1}, {"s2": nan}),
        (least_squares.ridge, {"gamma": 1, "r2": 1, "s2": 1, "lambda": 1}, {"lambda": 0}),
        (quadratic.noise_floor, {"a": 1, "h": 1, "b": 0, "s2": 1}, {"a": 2}),
        (quadratic.noise_floor, {"a": 1, "h": 1, "b": 0, "s2": 1}, {"b": 1}),
        (lambda: quadratic.best_descent()[0], {"mu": 1, "L": 2}, {"mu": 3}),
        (lambda: quadratic.best_heavy_ball()[2], {"mu": 1, "L": 2}, {"mu": 3}),
        (quadratic.stability, {"b": 0.5}, {"b": 2}),
        (quadratic.response, {"t": 3, "z1": 0.5, "z2": 0.25}, {"z2": 0.5}),
        (adaptive.largest_step, {"a": 1, "b1": 0.9, "b2": 0.999, "t": 9}, {"b2": 0.8}),
        (adaptive.lone_step, {"a": 1, "b1": 0.9, "b2": 0.999, "t": 9}, {"t": 0}),
        (correlation.relu_overlap, {"q": 1, "c": 1}, {"c": 1.5}),
        (normalisation.finite_batch, {"B": 4}, {"B": 3}),
    ],
)
def test_outside_of_its_conditions_a_law_has_no_value(law, inside, outside):
    assert isfinite(law().at(**inside))
    with pytest.raises(DomainError):
        law().at(**{**inside, **outside})


def test_a_value_that_is_no_number_is_refused():
    for wrong in ("1", None, [1]):
        with pytest.raises(UsageError, match="give a number"):
            quadratic.stability().at(b=wrong)


def test_digits_that_cancel_are_carried():
    # the limit of no penalty: r2 (1 - 1/gamma) + s2/(gamma - 1)
    for gamma, truth in ((2, 1.5), (1.5, 1 / 3 + 2)):
        found = least_squares.ridge().at(gamma=gamma, r2=1, s2=1, **{"lambda": 1e-25})
        assert found == pytest.approx(truth, rel=1e-12)


def test_conditions_are_read_from_what_is_printed():
    b, x = sp.symbols("b x")
    assert conditions("0 <= b < 1, b x < 2 (1 + b)") == (
        sp.Le(0, b),
        b < 1,
        b * x < 2 * (1 + b),
    )
    assert conditions("b1 = 0, n large, up to O(1/n^2)") == ()

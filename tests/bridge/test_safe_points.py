"""A safe point lies in the region and keeps branch and slope finite."""

import pytest
import sympy as sp

from diffkit.bridge.safe_points import is_fragile, safe_point
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS as f

X, Y = symbol("x"), symbol("y")
BRANCHES = [
    (sp.log(X), X > 0),
    (sp.sqrt(X - 3), X >= 3),
    (1 / X, sp.Ne(X, 0)),
    (sp.acos(X), sp.And(X < 1, sp.Rational(9, 10) < X)),
    (sp.log(X - Y), X > Y),
    (sp.sqrt(-X) / Y, sp.And(X < 0, Y > 7)),
    (sp.exp(X), X <= 100),
]


@pytest.mark.parametrize(("expr", "where"), BRANCHES, ids=str)
def test_the_point_is_inside_and_finite(expr, where):
    point = safe_point(expr, where)
    assert where.subs(point) == sp.true
    assert expr.subs(point).is_finite
    for each in (X, Y):
        assert expr.diff(each).subs(point).is_finite


def test_an_empty_region_has_no_point():
    assert safe_point(sp.log(X), sp.And(X > 0, X < -1, evaluate=False)) is None


@pytest.mark.parametrize(
    "expr", [X**2 + Y, f["sigmoid"](X) * sp.tanh(Y), sp.Max(X, Y), f["relu"](X)]
)
def test_what_is_tame_needs_no_guard(expr):
    assert not is_fragile(expr)


@pytest.mark.parametrize(
    "expr", [1 / X, sp.sqrt(X), sp.log(X), sp.exp(X), sp.tan(X), f["logit"](X)]
)
def test_what_may_be_infinite_needs_one(expr):
    assert is_fragile(expr)


def test_an_undefined_comparison_and_a_pole_are_no_safe_points():
    x, y = symbol("x"), symbol("y")
    where = (x - y) / y > 0
    point = safe_point(sp.gamma(x) ** y / y, where)
    assert point is not None
    assert point[y] != 0
    assert where.subs(point) == sp.true

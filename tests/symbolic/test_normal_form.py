"""Normal forms: equal formulas get one form, and the form has the value of the formula."""

import random
from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError, NoClosedForm, UnsupportedFunction
from diffkit.symbolic.enclosure import value
from diffkit.symbolic.normal_form import normal_form
from diffkit.symbolic.points import ordinary_points
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, z = (symbol(name) for name in "xyz")
n = symbol("n", integer=True)
sigmoid, softplus, cbrt = (FUNCTIONS[name] for name in ("sigmoid", "softplus", "cbrt"))
exp, log, sqrt, sin, cos = sp.exp, sp.log, sp.sqrt, sp.sin, sp.cos

SAME = [
    (exp(x + y) * exp(-x), exp(y)),
    (exp(x / 2) * exp(x / 3), exp(5 * x / 6)),
    (log(1 + exp(-x)) + x, log(1 + exp(x))),
    (log(12) - log(3), 2 * log(2)),
    (sqrt(12), 2 * sqrt(3)),
    (1 / (sqrt(2) - 1), sqrt(2) + 1),
    (sin(2 * x) / cos(x), 2 * sin(x)),
    (sp.erfc(-x), 1 + sp.erf(x)),
    (sp.sinh(x) / sp.cosh(x), sp.tanh(x)),
    (sp.tan(x + y), (sp.tan(x) + sp.tan(y)) / (1 - sp.tan(x) * sp.tan(y))),
    (sqrt(x**2), sp.Abs(x)),
    (sp.Max(x, y), (x + y + sp.Abs(x - y)) / 2),
    (2 ** (x + 1), 2 * exp(x * log(2))),
    (sp.gamma(x + 2), (x**2 + x) * sp.gamma(x)),
    ((-1) ** (n + 2), (-1) ** n),
    (sp.floor(x + 3), sp.floor(x) + 3),
    (sp.Function("f")(2 * x / 2 + y - y), sp.Function("f")(x)),
]


@pytest.mark.parametrize(("left", "right"), SAME, ids=str)
def test_equal_formulas_have_one_normal_form(left, right):
    assert normal_form(left) == normal_form(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [(exp(x), exp(2 * x)), (sqrt(x**2), x), (log(x**2), log(x)), (sin(x), cos(x)), (sp.E, sp.pi)],
    ids=str,
)
def test_different_formulas_have_different_normal_forms(left, right):
    assert normal_form(left) != normal_form(right)


def test_the_normal_form_of_a_normal_form_is_itself():
    for left, _ in SAME:
        assert normal_form(normal_form(left)) == normal_form(left)


def test_a_domain_licenses_what_the_reals_do_not():
    assert normal_form(sqrt(x**2)) == sp.Abs(x)
    assert normal_form(sqrt(x**2), {"x": Domain.parse("positive")}) == x
    assert normal_form(sp.Abs(x - 2), {"x": Domain.parse("(0, 1)")}) == 2 - x


def test_the_sum_of_two_sigmoids_is_recognised_without_expanding_by_hand():
    assert normal_form(sigmoid(x) + sigmoid(-x)) == 1
    assert normal_form(softplus(x) - softplus(-x)) == x


@pytest.mark.parametrize("expr", [sp.I * x, sp.Symbol("c") * x, sp.LambertW(x, -1)], ids=str)
def test_what_is_not_real_is_refused_by_name(expr):
    with pytest.raises(UnsupportedFunction, match=r"normal form|not declared real|principal"):
        normal_form(expr)


def test_what_is_nowhere_real_or_too_big_is_refused():
    with pytest.raises(NoClosedForm, match="nowhere"):
        normal_form(log(-1 - x**2))
    names = [symbol(f"x{i}") for i in range(12)]
    with pytest.raises(NoClosedForm, match="too big"):
        normal_form(sp.prod([sum(names) + k for k in range(12)]) + names[0])


def test_a_modulus_below_the_bar_is_not_rationalised_into_zero_over_zero():
    expr = sp.tanh(sp.Max(-27, sp.acosh(x)))
    point = {x: Fraction(5, 2)}
    assert abs(value(expr, point, 60) - value(normal_form(expr), point, 200)) < 1e-40


def _random_expression(chooser, depth):
    if depth == 0:
        return chooser.choice((x, y, x - y, 2 * x, x + 1, sp.pi * x / 6, sp.Integer(-3), x * y, n))
    a, b = (_random_expression(chooser, depth - 1) for _ in range(2))
    forms = (
        lambda: a + b,
        lambda: a * b,
        lambda: a / b,
        lambda: exp(a / 3),
        lambda: log(a),
        lambda: sqrt(a),
        lambda: sp.Abs(a),
        lambda: a ** sp.Rational(2, 3),
        lambda: a ** sp.Rational(-3, 2),
        lambda: sp.Max(a, b),
        lambda: sp.sign(a) * b,
        lambda: sin(a),
        lambda: cos(2 * a),
        lambda: sp.tanh(a),
        lambda: sp.erf(a),
        lambda: sp.tan(sp.atan(a)),
        lambda: log(a**2),
        lambda: softplus(a),
        lambda: sp.LambertW(a),
        lambda: sp.asin(a),
        lambda: sp.acosh(a),
        lambda: cbrt(a),
        lambda: 2**a,
        lambda: a**n,
    )
    return chooser.choice(forms)()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_the_normal_form_has_the_value_of_the_expression(seed):
    expr = _random_expression(random.Random(seed), 2)
    assume(not expr.has(sp.I, sp.zoo, sp.nan, sp.oo))
    try:
        form = normal_form(expr)
    except DiffkitError:
        assume(False)
    for point in ordinary_points([x, y, n], {}, 6, seed):
        try:
            before, after = value(expr, point, 200), value(form, point, 200)
        except DiffkitError:
            continue  # not real there, or an exponent too big to evaluate
        if point[n]:  # at n = 0 a modulus or a sign may vanish
            assert abs(before - after) <= 1e-30 * max(1, abs(before))

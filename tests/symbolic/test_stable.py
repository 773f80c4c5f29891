"""Stable forms: the value is kept, the rules are named, and floating point survives +-700."""

import math
from fractions import Fraction

import pytest
import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError
from diffkit.symbolic.enclosure import value
from diffkit.symbolic.points import ordinary_points
from diffkit.symbolic.stable import stable
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, t, a, b = (symbol(name) for name in ["x", "y", "t", "a", "b"])
exp, log, sqrt, erf, pi, tanh, cosh = sp.exp, sp.log, sp.sqrt, sp.erf, sp.pi, sp.tanh, sp.cosh
F = FUNCTIONS
sigmoid, softplus, log_sigmoid = F["sigmoid"], F["softplus"], F["log_sigmoid"]
S = 1 / (1 + exp(-x))
BCE = -(y * log(1 / (1 + exp(-t * x))) + (1 - y) * log(1 - 1 / (1 + exp(-t * x))))

# before, after, a rule that must be named
ROWS = [
    (log(1 + exp(x)), softplus(x), "softplus"),
    (log(1 + x**2), F["log1p"](x**2), "log1p"),
    (exp(x) - 1, F["expm1"](x), "expm1"),
    (2 - 2 * exp(x), -2 * F["expm1"](x), "expm1"),
    (log(exp(a) + exp(b)), F["logaddexp"](a, b), "logaddexp"),
    (S, sigmoid(x), "sigmoid quotient"),
    (exp(x) / (1 + exp(x)), sigmoid(x), "sigmoid quotient"),
    (exp(a) / (exp(a) + exp(b)), sigmoid(a - b), "sigmoid quotient"),
    (exp(-x) / (1 + exp(-x)) ** 2, sigmoid(x) * sigmoid(-x), "sigmoid quotient"),
    (sp.diff(S, x), sigmoid(x) * sigmoid(-x), "sigmoid quotient"),
    (sp.diff(log(1 + exp(x)), x), sigmoid(x), "sigmoid quotient"),
    (sp.diff(log(cosh(x)), x), tanh(x), "sigmoid quotient"),
    (sp.diff(S, x, 2), -tanh(x / 2) * sigmoid(x) * sigmoid(-x), "sigmoid quotient"),
    ((exp(x) - exp(-x)) / (exp(x) + exp(-x)), tanh(x), "sigmoid quotient"),
    (1 / cosh(x) ** 2, 4 * sigmoid(2 * x) * sigmoid(-2 * x), "sigmoid quotient"),
    (1 - sigmoid(x), sigmoid(-x), "complement of sigmoid"),
    (y - y * sigmoid(x), y * sigmoid(-x), "complement of sigmoid"),
    (log(sigmoid(x)), log_sigmoid(x), "log_sigmoid"),
    (log(1 - sigmoid(x)), log_sigmoid(-x), "log_sigmoid"),
    (1 - tanh(x) ** 2, 4 * sigmoid(2 * x) * sigmoid(-2 * x), "1 - tanh^2"),
    (log(cosh(x)), F["log_cosh"](x), "log_cosh"),
    (a**2 - b**2, (a - b) * (a + b), "difference of squares"),
    (1 - sp.cos(x), 2 * sp.sin(x / 2) ** 2, "1 - cos"),
    (sp.sin(x) / x, F["sinc"](x), "sinc"),
    ((exp(x) - 1) / x, F["expm1_over"](x), "expm1_over"),
    (log(1 + x) / x, F["log1p_over"](x), "log1p_over"),
    (sqrt(x + 1) - sqrt(x), 1 / (sqrt(x + 1) + sqrt(x)), "difference of roots"),
    ((1 + erf(x / sqrt(2))) / 2, F["normal_cdf"](x), "normal_cdf"),
    (exp(-(x**2) / 2) / sqrt(2 * pi), F["normal_pdf"](x), "normal_pdf"),
    (
        sp.diff(x * (1 + erf(x / sqrt(2))) / 2, x),
        F["normal_cdf"](x) + x * F["normal_pdf"](x),
        "normal_cdf",
    ),
    (log(1 - exp(-x)), F["log1mexp"](x), "log1mexp"),
    (BCE, -y * log_sigmoid(t * x) - (1 - y) * log_sigmoid(-t * x), "log_sigmoid"),
    (
        sp.diff(BCE, t),
        -x * y * sigmoid(-t * x) + x * (1 - y) * sigmoid(t * x),
        "sigmoid quotient",
    ),
]


@pytest.mark.parametrize(("before", "after", "rule"), ROWS, ids=lambda value: str(value)[:40])
def test_a_rule_gives_the_known_form_and_is_named(before, after, rule):
    found = stable(before)
    assert sp.expand(found.expr - after) == 0
    assert rule in found.rules


@pytest.mark.parametrize(("before", "after", "rule"), ROWS, ids=lambda value: str(value)[:40])
def test_the_value_is_kept_to_forty_digits(before, after, rule):
    found = stable(before).expr
    compared = 0
    for point in ordinary_points(sorted(before.free_symbols, key=str), {}, 12, seed=7):
        try:
            left, right = value(before, point, 60), value(found, point, 60)
        except DiffkitError:
            continue  # a logarithm of a negative number
        compared += 1
        assert abs(left - right) <= 1e-40 * max(1, abs(left))
    assert compared >= 2


@pytest.mark.parametrize(
    "expr", [x**2 + 1, sp.sin(x) * x, tanh(x) * sigmoid(x), x * log(y)], ids=str
)
def test_what_is_stable_stays_as_it_is(expr):
    assert stable(expr).expr == expr
    assert stable(expr).rules == ()


def test_a_stable_form_is_a_fixed_point():
    for before, _, _ in ROWS:
        once = stable(before).expr
        assert stable(once).expr == once


def test_xlogy_appears_only_where_the_domain_holds_zero():
    closed = {"x": Domain.parse("[0, 1]"), "y": Domain.parse("positive")}
    assert stable(x * log(y), closed).expr == F["xlogy"](x, y)
    assert stable(x * log(y), {"x": Domain.parse("(0, 1)")}).expr == x * log(y)


def _sigmoid(u: float) -> float:
    return 1 / (1 + math.exp(-u)) if u >= 0 else math.exp(u) / (1 + math.exp(u))


def _softplus(u: float) -> float:
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


PLAIN = ("exp", "log", "sin", "cos", "tanh", "cosh", "sinh", "erf", "expm1", "log1p")
FLOATS = {
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "log_sigmoid": lambda u: -_softplus(-u),
    "log_cosh": lambda u: (
        math.log1p(2 * math.sinh(u / 2) ** 2)
        if abs(u) < 1
        else abs(u) + math.log1p(math.exp(-2 * abs(u))) - math.log(2)
    ),
    "normal_cdf": lambda u: math.erfc(-u / math.sqrt(2)) / 2,
    "normal_pdf": lambda u: math.exp(-u * u / 2) / math.sqrt(2 * math.pi),
    "expm1_over": lambda u: math.expm1(u) / u if u else 1.0,
    "sinc": lambda u: math.sin(u) / u if u else 1.0,
    "log1mexp": lambda u: math.log(-math.expm1(-u)) if u < 0.7 else math.log1p(-math.exp(-u)),
    **{
        name: getattr(math, name)
        for name in ["exp", "log", "sin", "cos", "tanh", "cosh", "sinh", "erf", "expm1", "log1p"]
    },
}


def in_floats(expr: sp.Expr, at: float) -> float:
    """Evaluate in float64, operation by operation, as generated code would."""
    if expr.is_Symbol:
        return at
    if expr.is_number and not expr.has(sp.Function):
        return float(expr)
    arguments = [in_floats(argument, at) for argument in expr.args]
    if expr.is_Add:
        return math.fsum(arguments) if len(arguments) > 2 else arguments[0] + arguments[1]
    if expr.is_Mul:
        return math.prod(arguments)
    if expr.is_Pow:
        return arguments[0] ** arguments[1]
    return FLOATS[expr.func.__name__](*arguments)


POINTS = (-700.0, -20.0, -3.0, -1e-3, 2.0**-30, 0.5, 5.0, 37.0, 700.0)
FLOAT_ROWS = [
    log(1 + exp(2 * x)),
    1 / (1 + exp(-2 * x)),
    sp.diff(S, x).subs(x, 2 * x),
    sp.diff(log(cosh(x)), x).subs(x, 2 * x),
    (exp(2 * x) - exp(-2 * x)) / (exp(2 * x) + exp(-2 * x)),
    log(1 / (1 + exp(-2 * x))),
    log(1 - 1 / (1 + exp(-2 * x))),
    1 - 1 / (1 + exp(-2 * x)),
    log(cosh(2 * x)),
    1 - tanh(x) ** 2,
    1 - sp.cos(x / 1000),
    (1 + erf(x / sqrt(2))) / 2,
]


def _relative_error(expr: sp.Expr, truth_of: sp.Expr, at: float) -> float:
    try:
        found = in_floats(expr, at)
    except (OverflowError, ZeroDivisionError, ValueError):
        return math.inf
    truth = value(truth_of, {x: Fraction(at)}, 900)
    if abs(truth) < 1e-290:
        return abs(found) / 1e-290 if abs(found) > 1e-290 else 0.0
    return abs(float((found - truth) / truth))


@pytest.mark.parametrize("expr", FLOAT_ROWS, ids=str)
def test_the_stable_form_is_accurate_where_the_plain_one_fails(expr):
    form = stable(expr).expr
    # An argument rounded by half an ulp moves exp(-1400) and Phi(-40) by 1400 to 1600 of them.
    errors = [_relative_error(form, expr, at) for at in POINTS]
    assert max(errors) < 1e-12
    assert max(_relative_error(expr, expr, at) for at in POINTS) > 1e-3

"""Differentiation: rules against difference quotients, laws on random expressions, refusals."""

import time

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.errors import UnknownNameError, UnsupportedFunction, UsageError
from diffkit.symbolic.certificate import evaluate
from diffkit.symbolic.differentiate import derivative, postorder
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS, ROWS

x, y, n = symbol("x"), symbol("y"), symbol("n", integer=True)
step, sigmoid, relu, silu = (FUNCTIONS[name] for name in ("step", "sigmoid", "relu", "silu"))
third = sp.Rational(1, 3)

ELEMENTARY = [
    sp.exp(x), sp.log(2 + x), sp.sqrt(2 + x), sp.sin(x), sp.cos(x), sp.tan(x), sp.asin(x / 4),
    sp.acos(x / 4), sp.atan(x), sp.sinh(x), sp.cosh(x), sp.tanh(x), sp.asinh(x), sp.acosh(3 + x),
    sp.atanh(x / 4), sp.erf(x), sp.erfc(x), sp.erfinv(x / 4), sp.gamma(3 + x), sp.loggamma(3 + x),
    sp.digamma(3 + x), sp.Abs(x), sp.atan2(x, 2), (2 + x) ** third, (2 + x) ** x, 2**x, x**3 - x,
    sp.Max(x, x**2), sp.Min(x, 0), sp.Piecewise((x**2, x > 0), (sp.sin(x), True)),
    sp.Sum(x**n / 2**n, (n, 1, 6)), sp.Integral(sp.exp(-y * x), (y, 0, 1)),
    sp.Integral(sp.exp(-(y**2)), (y, x, x**2)), sp.Derivative(sp.sin(x) * x, x),
]  # fmt: skip


def value(expr: sp.Expr, at: mpmath.mpf) -> mpmath.mpf:
    return evaluate(expr, {x: at, y: mpmath.mpf(2) / 7})


def agrees(claimed: sp.Expr, expr: sp.Expr, at: str) -> bool:
    """Against mpmath's difference quotient, which knows no rule of differentiation."""
    with mpmath.mp.workdps(40):
        point = mpmath.mpf(at)
        true = mpmath.diff(lambda t: value(expr, t), point)
        return abs(value(claimed, point) - true) <= mpmath.mpf(10) ** -25 * (1 + abs(true))


@pytest.mark.parametrize("at", ["0.371", "-1.37"])
@pytest.mark.parametrize("expr", ELEMENTARY, ids=str)
def test_the_derivative_of_an_elementary_function_is_its_difference_quotient(expr, at):
    assert agrees(derivative(expr, x), expr, at)


@pytest.mark.parametrize("row", [row for row in ROWS if row.arity == 1], ids=lambda row: row.name)
def test_the_derivative_of_a_vocabulary_function_is_its_difference_quotient(row):
    expr = FUNCTIONS[row.name](x)
    inside = [at for at in ("0.371", "-1.37", "1.37") if row.domain[0].contains(sp.Rational(at))]
    assert inside
    assert all(agrees(derivative(expr, x), expr, at) for at in inside)


@pytest.mark.parametrize("wrong", [-sp.cos(x), 2 * sp.cos(x), sp.cos(2 * x), sp.S.Zero], ids=str)
def test_a_wrong_derivative_of_sine_fails_the_same_comparison(wrong):
    assert agrees(sp.cos(x), sp.sin(x), "0.371")
    assert not agrees(wrong, sp.sin(x), "0.371")


@pytest.mark.parametrize("activation", [sp.tanh, silu, sigmoid, lambda u: u * sigmoid(u)])
def test_nesting_costs_time_linear_in_the_nodes(activation):
    expr = x
    for _ in range(18):
        expr = activation(expr)
    start = time.process_time()
    result = derivative(expr, x)
    assert time.process_time() - start < 1  # 3 to 25 ms on an idle machine; the tree takes seconds
    assert sum(1 for _ in postorder(result)) < 30 * 18


@pytest.mark.parametrize(
    "expr",
    [
        sp.Function("f")(x),
        sp.DiracDelta(x),
        sp.besselj(x, 2),
        sp.Product(x, (n, 1, 3)),
        sp.Sum(y**n, (n, 1, x)),
        FUNCTIONS["sigmoid"](sp.Function("g")(x)),
        sp.Subs(sp.Function("f")(y), y, x),
    ],
    ids=str,
)
def test_what_has_no_rule_is_refused_by_name_and_never_zero(expr):
    with pytest.raises(UnsupportedFunction, match=r"rule|bounds"):
        derivative(expr, x)


def test_only_what_is_free_of_the_variable_is_zero():
    assert derivative(sp.Function("f")(y), x) == 0
    assert derivative(sp.Integral(x, (x, 0, y)), x) == 0
    assert derivative(sp.Integral(x, (x, 0, y)), y) == y


def test_a_zero_between_jumps_needs_a_record():
    with pytest.raises(UnsupportedFunction, match="floor jumps"):
        derivative(x * sp.floor(x), x)
    notes: list[str] = []
    assert derivative(x * sp.floor(x), x, notes=notes) == sp.floor(x)
    assert notes == ["floor(x) is piecewise constant; its derivative is 0 away from the jump"]


@pytest.mark.parametrize("at_zero", [0, sp.Rational(1, 2), 1])
def test_the_convention_decides_the_value_at_the_kink(at_zero):
    chosen = {"relu0": at_zero}
    for spelling in (relu(x), sp.Max(0, x)):
        assert derivative(spelling, x, conventions=chosen).subs(x, 0) == at_zero
    slope = derivative(sp.Abs(x), x, conventions={"abs0": at_zero})
    assert slope.subs(x, 0) == at_zero
    assert derivative(sp.Max(x, y), x, conventions={"tie": at_zero}).subs(y, x) == at_zero


def test_an_unknown_convention_is_an_error_that_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"relu0.*abs0"):
        derivative(relu(x), x, conventions={"relu": 1})


@pytest.mark.parametrize(
    ("expr", "at_zero"),
    [
        (sp.Piecewise((1, sp.Eq(x, 0)), ((sp.exp(x) - 1) / x, True)), sp.Rational(1, 2)),
        (sp.Piecewise((sp.sin(x) / x, sp.Ne(x, 0)), (1, True)), 0),
        (sp.Piecewise((2, sp.Eq(x, 0)), ((sp.exp(x) - 1) / x, True)), sp.nan),
        (sp.Piecewise((0, sp.Eq(x, 0)), (sp.Abs(x), True)), sp.nan),
    ],
    ids=str,
)
def test_a_case_for_a_single_point_gets_the_limit_and_not_the_slope_of_a_constant(expr, at_zero):
    assert derivative(expr, x).subs(x, 0) in (at_zero, sp.S(at_zero))


@pytest.mark.parametrize(("variable", "order"), [(n, 1), (x + y, 1), (x, -1), (x, True)], ids=str)
def test_a_bad_variable_or_order_is_a_usage_error(variable, order):
    with pytest.raises(UsageError):
        derivative(x**2, variable, order)


LEAVES = st.sampled_from([x, y, sp.Integer(2), sp.Rational(-1, 3), x**2, x * y])
UNARY = (sp.sin, sp.cos, sp.exp, sp.tanh, sp.atan, sigmoid, silu, lambda u: 1 / (2 + sp.cos(u)))
expressions = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(UNARY), inner).map(lambda pair: pair[0](pair[1])),
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
    ),
    max_leaves=5,
)
laws = settings(max_examples=40, deadline=None, derandomize=True)


def same(first: sp.Expr, second: sp.Expr) -> bool:
    with mpmath.mp.workdps(40):
        left, right = (value(side, mpmath.mpf("0.3713")) for side in (first, second))
        return abs(left - right) <= mpmath.mpf(10) ** -25 * (1 + abs(left))


@laws
@given(expressions)
def test_it_agrees_with_sympy_on_random_expressions(expr):
    assert same(derivative(expr, x), sp.diff(expr, x))


@laws
@given(expressions, expressions)
def test_it_is_linear(f, g):
    assert same(derivative(3 * f - y * g, x), 3 * derivative(f, x) - y * derivative(g, x))


@laws
@given(expressions, expressions)
def test_it_obeys_the_product_rule(f, g):
    assert same(derivative(f * g, x), derivative(f, x) * g + f * derivative(g, x))


@laws
@given(expressions)
def test_it_obeys_the_chain_rule(f):
    assert same(derivative(sp.sin(f), x), sp.cos(f) * derivative(f, x))

"""n-th derivatives: exact against Taylor coefficients, accurate in float64, fast."""

import math
import time

import mpmath
import pytest
import sympy as sp

from diffkit.core.errors import CertificateError, NoClosedForm, UsageError
from diffkit.symbolic import nth as module
from diffkit.symbolic.certificate import evaluate
from diffkit.symbolic.nth import nth_derivative
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, a, b = map(symbol, "x a b".split())
names = ("sigmoid", "softplus", "silu", "gelu", "normal_pdf", "normal_cdf", "log_sigmoid", "log1p")
sigmoid, softplus, silu, gelu, normal_pdf, normal_cdf, log_sigmoid, log1p = (
    FUNCTIONS[name] for name in names
)
SUBJECTS = [
    sp.tanh(x), sigmoid(x), softplus(x), silu(x), gelu(x), normal_pdf(x), normal_cdf(x),
    log_sigmoid(x), log1p(2 * x), sp.erf(x), sp.erfc(x), sp.exp(2 * x + 1), sp.sin(3 * x),
    sp.cos(x / 2), sp.sinh(x), sp.cosh(x), sp.log(3 + x), sp.sqrt(3 + x), (3 + x) ** -2, 2**x, x**7,
    x**2 - 3 * x, x * sigmoid(2 * x), x**3 * sigmoid(x), x**2 * sp.tanh(x), x**2 * sp.exp(x),
    sp.exp(-(x**2) / 2), x * sp.exp(-(x**2)), sp.exp(x) * sp.sin(x), sigmoid(2 * x - 1),
    x * sp.exp(x) * sp.sin(x), (2 - sp.erfc(x)) * sp.sqrt(3 + x), gelu(2 * x + 1),
    3 * sp.tanh(x) - x**2, FUNCTIONS["log_cosh"](x), FUNCTIONS["expm1"](x),
]  # fmt: skip


@pytest.mark.parametrize("expr", SUBJECTS, ids=str)
def test_orders_0_to_12_are_the_taylor_coefficients(expr):
    with mpmath.mp.workdps(60):
        at = mpmath.mpf("0.37")
        coefficients = mpmath.taylor(lambda t: evaluate(expr, {x: t}), at, 12)
        for n, coefficient in enumerate(coefficients):
            true = coefficient * mpmath.factorial(n)
            claimed = evaluate(nth_derivative(expr, x, n, certified=False), {x: at})
            assert abs(claimed - true) <= mpmath.mpf(10) ** -30 * (1 + abs(true))


def floating(expr: sp.Expr, at: float) -> float:
    """The expression as written, in Python's float64 arithmetic."""
    if expr == x:
        return at
    if expr.is_Rational:
        return float(expr)
    parts = [floating(arg, at) for arg in expr.args]
    if expr.is_Add:
        return sum(parts)
    if expr.is_Mul:
        return math.prod(parts)
    if expr.is_Pow:
        return parts[0] ** int(expr.exp)
    return {sp.tanh: math.tanh, sp.exp: math.exp, sigmoid: lambda u: 1 / (1 + math.exp(-u))}[
        type(expr)
    ](parts[0])


def worst_error(form: sp.Expr, function, n: int) -> float:
    """The largest float64 error on [-8, 8], relative to the largest value there."""
    points = [-8 + 16 * k / 40 + 0.013 for k in range(40)]
    with mpmath.mp.workdps(50):
        true = [mpmath.diff(function, mpmath.mpf(at), n) for at in points]
        errors = [abs(floating(form, at) - value) for at, value in zip(points, true, strict=True)]
        return float(max(errors) / max(map(abs, true)))


def logistic(t):
    return 1 / (1 + mpmath.exp(-t))


ACCURATE = [(sp.tanh(x), mpmath.tanh), (sigmoid(x), logistic), (silu(x), lambda t: t * logistic(t))]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 10, 12])
@pytest.mark.parametrize(("expr", "function"), ACCURATE, ids=["tanh", "sigmoid", "silu"])
def test_the_form_is_accurate_in_float64(expr, function, n):
    assert worst_error(nth_derivative(expr, x, n), function, n) <= 1e-14


def test_the_expanded_polynomial_in_the_sigmoid_is_not():
    s = symbol("s")
    form = nth_derivative(sigmoid(x), x, 12).xreplace({sigmoid(x): s})
    power_basis = sp.expand(form).xreplace({s: sigmoid(x)})
    assert worst_error(power_basis, logistic, 12) > 1e-12


@pytest.mark.parametrize("expr", [sp.tanh(x), silu(x), gelu(a * x + b), sp.erf(x)], ids=str)
def test_order_12_takes_milliseconds(expr):
    start = time.process_time()
    nth_derivative(expr, x, 12)
    assert time.process_time() - start < 0.3


def test_parameters_of_the_argument_come_out_as_powers():
    assert nth_derivative(sp.sin(a * x + b), x, 5) == a**5 * sp.cos(a * x + b)
    assert nth_derivative(sp.exp(a * x), x, 3) == a**3 * sp.exp(a * x)
    assert nth_derivative(sp.log(x), x, 4) == -6 / x**4


def test_small_orders_read_like_a_textbook():
    s, t = sigmoid(x), sp.tanh(x)
    assert nth_derivative(sigmoid(x), x, 2) == s * (1 - s) * (1 - 2 * s)
    assert nth_derivative(sp.tanh(x), x, 2) == -2 * t * (1 - t**2)
    assert nth_derivative(silu(x), x, 2) == s * (1 - s) * (2 + x * (1 - 2 * s))
    assert nth_derivative(gelu(x), x, 2) == (2 - x**2) * normal_pdf(x)


def test_without_a_recurrence_it_differentiates_until_the_size_guard():
    assert nth_derivative(sp.atan(x), x, 2) == -2 * x / (x**2 + 1) ** 2
    with pytest.raises(NoClosedForm, match="lower order"):
        nth_derivative(sp.sin(sp.exp(sp.sin(x**2))) * sp.tan(x) ** x, x, 12)


@pytest.mark.parametrize("n", [-1, 1.5, True])
def test_an_order_that_is_no_whole_number_is_a_usage_error(n):
    with pytest.raises(UsageError):
        nth_derivative(sp.sin(x), x, n)


def test_a_wrong_recurrence_is_caught(monkeypatch):
    monkeypatch.setitem(module.RULES, sp.sin, lambda u, n: sp.cos(u))
    with pytest.raises(CertificateError):
        nth_derivative(sp.sin(x), x, 2)

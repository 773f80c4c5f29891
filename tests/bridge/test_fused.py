"""Fusing keeps the value, and finds the forms that calculus produces."""

import pytest
import sympy as sp

from diffkit.bridge import fused
from diffkit.bridge.fused import MEANINGS, fuse
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS as f
from diffkit.symbolic.vocabulary import evaluate

X, Y = symbol("x"), symbol("y")
s, cdf, pdf = f["sigmoid"], f["normal_cdf"], f["normal_pdf"]
FORMS = {
    s(X) * (1 - s(X)): fused.sigmoid_prime(X),
    Y * s(X) ** 2 * s(-X): Y * s(X) * fused.sigmoid_prime(X),
    sp.diff(1 / (1 + sp.exp(-X)), X): fused.sigmoid_prime(X),
    sp.diff(sp.log(1 + sp.exp(X)), X): s(X),
    sp.diff(sp.log(sp.cosh(X)), X): sp.tanh(X),
    1 - sp.tanh(X * Y) ** 2: fused.sech_squared(X * Y),
    Y * cdf(X) + Y - Y * sp.tanh(X) ** 2: None,
    cdf(X) + X * pdf(X): fused.gelu_prime(X),
    sp.diff(X * (1 + sp.erf(X / sp.sqrt(2))) / 2, X): fused.gelu_prime(X),
    2 * cdf(3 * X) + 6 * X * pdf(3 * X) + Y: 2 * fused.gelu_prime(3 * X) + Y,
    pdf(X) / cdf(X): fused.normal_hazard(X),
    sp.exp(-(X**2) / 2): fused.exp_square(X, -sp.S.Half),
    sp.exp(-(X**2) / 2) / sp.sqrt(2 * sp.pi): pdf(X),
    1 - sp.erf(X): sp.erfc(X),
    1 - sp.exp(X): -f["expm1"](X),
    1 - cdf(X): cdf(-X),
    sp.log(1 + X**2): f["log1p"](X**2),
    sp.log(s(X)): f["log_sigmoid"](X),
}


def unfused(expr):
    """The expression with every fused function replaced by what it means."""
    return expr.replace(
        lambda node: type(node).__name__ in MEANINGS and node.func.__module__ == fused.__name__,
        lambda node: MEANINGS[type(node).__name__](*node.args),
    )


@pytest.mark.parametrize("expr", FORMS, ids=str)
def test_a_form_is_found(expr):
    expected = FORMS[expr]
    assert expected is None or fuse(expr) == expected


@pytest.mark.parametrize("expr", FORMS, ids=str)
def test_fusing_keeps_the_value(expr):
    for point in ({"x": "0.7", "y": "-1.3"}, {"x": "-2.1", "y": "0.4"}):
        values = {name: sp.Rational(value) for name, value in point.items()}
        before = evaluate(expr, values, 25)
        after = evaluate(unfused(fuse(expr)), values, 25)
        assert abs(before - after) < 1e-22


@pytest.mark.parametrize(
    "expr",
    [
        s(X) * (2 - s(X)),
        1 - sp.tanh(X) ** 3,
        cdf(X) - X * pdf(X),
        sp.exp(X**2),
        pdf(X) / cdf(Y),
        sp.log(2 + X),
    ],
    ids=str,
)
def test_a_near_miss_is_left_alone(expr):
    assert fuse(expr) == expr

"""Textbook form: what a person would print, with the value unchanged."""

import time

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.errors import CertificateError
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.textbook import certify_rewrite, cost, named_textbook, textbook
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, w, p = map(symbol, "x y w p".split())
sigmoid = FUNCTIONS["sigmoid"]
s, t = sigmoid(x), sp.tanh(x)
E, M = sp.exp(x), sp.exp(-x)
third = sp.Rational(1, 3)

DERIVATIVES = [
    (1 / (1 + M), s * (1 - s)),
    (1 / (1 + E), -s * (1 - s)),
    (E / (1 + E), s * (1 - s)),
    (sp.log(1 + E), s),
    (3 / (2 + 2 * M), 3 * s * (1 - s) / 2),
    (x / (1 + M), s * (1 + x * (1 - s))),
    (s * (1 - s), s * (1 - s) * (1 - 2 * s)),
    (
        sp.exp(x - 4) / (1 + sp.exp(x - 4)),
        sigmoid(x - 4) * (1 - sigmoid(x - 4)),
    ),
    ((E - M) / (E + M), 1 - t**2),
    ((sp.exp(2 * x) - 1) / (sp.exp(2 * x) + 1), 1 - t**2),
    (sp.sinh(x) / sp.cosh(x), 1 - t**2),
    (1 - t**2, -2 * t * (1 - t**2)),
    ((3 * x**2 - x + 1) ** third, (6 * x - 1) / (3 * (3 * x**2 - x + 1) ** (2 * third))),
    (x * sp.sqrt(1 - x**2), (1 - 2 * x**2) / sp.sqrt(1 - x**2)),
    (sp.log(x + sp.sqrt(x**2 + 1)), 1 / sp.sqrt(x**2 + 1)),
    (x**2 * sp.exp(x), x * (x + 2) * sp.exp(x)),
    (sp.sin(x) / x, (x * sp.cos(x) - sp.sin(x)) / x**2),
    (x**3 + 3 * x**2, 3 * x**2 + 6 * x),
    ((x**2 + 1) / (x**2 - 1), -4 * x / (x**2 - 1) ** 2),
    (sp.exp(x) / (sp.exp(2 * x) + 3), None),
]


@pytest.mark.parametrize(("expr", "printed"), DERIVATIVES, ids=str)
def test_a_derivative_comes_out_as_a_textbook_prints_it(expr, printed):
    result = textbook(derivative(expr, x))
    certify(sp.Derivative(expr, x), result)
    assert printed is None or result == printed


def test_cross_entropy_of_a_sigmoid_unit_has_the_gradient_prediction_minus_target_times_input():
    for unit in (sigmoid(w * x), 1 / (1 + sp.exp(-w * x))):
        loss = -(y * sp.log(unit) + (1 - y) * sp.log(1 - unit))
        assert textbook(derivative(loss, w)) == x * (sigmoid(w * x) - y)


def test_cross_entropy_in_the_probability_keeps_one_minus_p():
    loss = -(y * sp.log(p) + (1 - y) * sp.log(1 - p))
    assert textbook(derivative(loss, p)) == (p - y) / (p * (1 - p))


def test_a_form_is_never_longer_than_what_it_replaces():
    for expr, _ in DERIVATIVES:
        raw = derivative(expr, x)
        assert cost(textbook(raw)) <= cost(raw)


def test_a_textbook_form_is_a_fixed_point():
    for expr, _ in DERIVATIVES:
        once = textbook(derivative(expr, x))
        assert textbook(once) == once


def test_the_rewritings_are_named():
    _, names = named_textbook(derivative(1 / (1 + M), x))
    assert names == ("exponentials as sigmoid or tanh",)
    _, names = named_textbook(derivative(x**2 * sp.exp(x), x))
    assert names == ("common factor",)


def test_rounded_numbers_are_left_alone():
    expr = 0.1 * x * s + 0.2 * x
    assert textbook(expr) is expr


def test_a_rewriting_that_changes_the_value_is_caught():
    certify_rewrite(s * (1 - s), sigmoid(-x) * s)
    with pytest.raises(CertificateError, match="differ at x"):
        certify_rewrite(s * (1 - s), s * (1 + s))


def test_twenty_nested_activations_do_not_explode():
    expr = x
    for _ in range(18):
        expr = expr * sigmoid(expr)
    start = time.process_time()
    textbook(derivative(expr, x))
    assert time.process_time() - start < 5


GENERATORS = st.sampled_from([x, y, s, 1 - s, t, E, M, 1 / (1 + M), sp.Integer(2), sp.sqrt(2 + x)])
rationals = st.recursive(
    GENERATORS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] - pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.sampled_from([-2, -1, 2])).map(
            lambda pair: (3 + pair[0] ** 2) ** pair[1]
        ),
    ),
    max_leaves=7,
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(rationals)
def test_random_expressions_keep_their_value(expr):
    result = textbook(expr, certified=False)
    certify(expr, result, points=2, digits=25)
    assert cost(result) <= cost(expr)

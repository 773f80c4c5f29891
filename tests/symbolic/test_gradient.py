"""Gradients by one reverse sweep, on the 2-2-1 network of the lectures."""

import time

import pytest
import sympy as sp

from diffkit.core.errors import CertificateError, UnsupportedFunction
from diffkit.symbolic import gradient as module
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.gradient import Gradient, gradient, named_gradient
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.textbook import cost
from diffkit.symbolic.vocabulary import FUNCTIONS

WEIGHTS = [symbol(name) for name in "w11 w12 w21 w22 b1 b2 v1 v2 c".split()]
w11, w12, w21, w22, b1, b2, v1, v2, c = WEIGHTS
x1, x2, x, y, w, b = map(symbol, "x1 x2 x y w b".split())
sigmoid = FUNCTIONS["sigmoid"]


def loss(unit):
    hidden = v1 * unit(w11 * x1 + w12 * x2 + b1) + v2 * unit(w21 * x1 + w22 * x2 + b2)
    return (y - unit(hidden + c)) ** 2 / 2


def logistic(u):
    return 1 / (1 + sp.exp(-u))


@pytest.mark.parametrize("unit", [sigmoid, logistic])
def test_the_nine_partials_of_the_network_take_a_fifth_of_a_second(unit):
    expr = loss(unit)
    start = time.process_time()
    partials = gradient(expr, WEIGHTS)
    assert time.process_time() - start < 0.2
    assert list(partials) == WEIGHTS


@pytest.mark.parametrize("unit", [sigmoid, logistic])
def test_the_first_partial_is_the_product_a_textbook_prints(unit):
    h1 = sigmoid(w11 * x1 + w12 * x2 + b1)
    h2 = sigmoid(w21 * x1 + w22 * x2 + b2)
    out = sigmoid(c + h1 * v1 + h2 * v2)
    printed = (out - y) * out * (1 - out) * v1 * h1 * (1 - h1) * x1
    result = gradient(loss(unit), WEIGHTS)[w11]
    assert result == printed
    generators = {out: symbol("o"), h1: symbol("h")}
    assert cost(result.xreplace({out: generators[out]}).xreplace({h1: generators[h1]})) == 9


def test_every_partial_agrees_with_forward_differentiation():
    expr = loss(sigmoid)
    for variable, part in gradient(expr, WEIGHTS).items():
        certify(derivative(expr, variable), part)


def test_the_named_gradient_is_backpropagation_in_at_most_45_operations():
    definitions, partials = result = named_gradient(loss(sigmoid), WEIGHTS)
    assert [str(name) for name in definitions] == [
        "z1", "h1", "z2", "h2", "z3", "h3", "delta3", "delta2", "delta1",
    ]  # fmt: skip
    h3, delta1 = symbol("h3"), symbol("delta1")
    assert definitions[symbol("delta3")] == (h3 - y) * h3 * (1 - h3)
    assert partials[w11] == delta1 * x1
    assert partials[b1] == delta1
    assert result.operations() <= 45
    for variable, part in result.expanded().items():
        certify(derivative(loss(sigmoid), variable), part)


def test_factors_cancel_through_the_logarithm():
    unit = sigmoid(w * x + b)
    cross_entropy = -(y * sp.log(unit) + (1 - y) * sp.log(1 - unit))
    assert gradient(cross_entropy, [w, b]) == {w: x * (unit - y), b: unit - y}


def test_names_that_are_taken_are_avoided():
    h1, z1 = symbol("h1"), symbol("z1")
    expr = sigmoid(h1 * x + z1)
    definitions, partials = named_gradient(expr, [h1, z1])
    assert not {h1, z1} & set(definitions)
    assert partials.keys() == {h1, z1}


def test_cases_and_kinks_are_differentiated_branchwise():
    expr = sp.Abs(w) + sp.Max(0, w * x) ** 2 + sp.Piecewise((w**2, w > 0), (w * x, True))
    for variable, part in gradient(expr, [w, x]).items():
        certify(sp.Derivative(expr, variable), part, points=5)


def test_a_variable_that_does_not_occur_has_derivative_zero():
    assert gradient(x**2, [x, y]) == {x: 2 * x, y: 0}


def test_an_unknown_function_is_refused():
    with pytest.raises(UnsupportedFunction):
        gradient(sp.Function("f")(w * x), [w])


def test_a_wrong_partial_is_caught(monkeypatch):
    monkeypatch.setattr(module._Sweep, "run", lambda sweep: Gradient({}, {w: sp.cos(w) * 2}))
    with pytest.raises(CertificateError):
        gradient(sp.sin(w), [w])

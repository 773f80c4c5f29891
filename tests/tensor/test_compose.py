"""Composition gives the expression, and the derivative of a DAG is that of its expression."""

import pytest
import sympy as sp

from diffkit.core.errors import UnsupportedFunction
from diffkit.symbolic.symbols import symbol
from diffkit.tensor.compose import compose, differentiate
from diffkit.tensor.nodes import const, map_node, select, topological, var

A, B = sp.symbols("a b", real=True)
X, Y = symbol("x"), symbol("y")


def mapped(kernel, *operands):
    places = (A, B)[: len(operands)]
    return map_node(sp.Lambda(places, kernel(*places)), *operands)


x, y = var("x"), var("y")
DAGS = {
    "constant": const(3),
    "variable": x,
    "product": mapped(lambda a, b: a * b, x, y),
    "chain": mapped(sp.sin, mapped(lambda a, b: a**2 * b, x, y)),
    "shared": mapped(lambda a, b: a / b, mapped(sp.exp, x), mapped(lambda a: 1 + sp.exp(a), x)),
    "choice": select(mapped(sp.Lt, x, y), mapped(sp.sin, x), mapped(lambda a, b: a * b, x, y)),
}


@pytest.mark.parametrize("name", DAGS)
@pytest.mark.parametrize("wrt", [x, y])
def test_the_derivative_of_the_dag_is_that_of_the_expression(name, wrt):
    node = DAGS[name]
    derived = compose(differentiate(node, wrt)).expr
    # sympy.diff is another implementation; compare at a point off the kink x = y.
    expected = sp.diff(compose(node).expr, symbol(wrt.name))
    for point in ({X: sp.Rational(1, 3), Y: 2}, {X: 2, Y: sp.Rational(-1, 5)}):
        assert abs((derived - expected).subs(point).evalf(30)) < 1e-25


def test_a_choice_composes_to_a_piecewise():
    assert compose(DAGS["choice"]).expr == sp.Piecewise((sp.sin(X), X < Y), (X * Y, True))


def test_an_array_of_constants_gets_a_symbol_that_is_not_taken():
    held = const([1, 2, 3], (3,))
    composed = compose(mapped(lambda a, b: a * b, var("C_1"), held))
    ((name, array),) = composed.arrays.items()
    assert name != symbol("C_1")
    assert array is held
    assert composed.expr == name * symbol("C_1")


def test_equal_entries_need_no_symbol():
    assert compose(const([2, 2], (2,))).expr == 2


def test_the_derivative_of_a_deep_dag_is_linear_in_its_nodes():
    node = x
    for _ in range(200):
        node = mapped(lambda a: sp.tanh(a) * a, node)
    slope = differentiate(node, x)
    assert sum(1 for _ in topological(slope)) < 5 * 200


def test_a_kernel_without_a_rule_raises_and_never_gives_zero():
    unknown = sp.Function("mystery")
    with pytest.raises(UnsupportedFunction, match="mystery"):
        differentiate(mapped(unknown, x), x)

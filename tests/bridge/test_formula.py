"""One type for text, SymPy and JAX; the text path never imports JAX."""

import subprocess
import sys

import jax.numpy as jnp
import pytest
import sympy as sp

from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.core.errors import UsageError
from diffkit.symbolic.symbols import symbol

X, Y = symbol("x"), symbol("y")


def test_text_sympy_and_jax_give_the_same_node():
    text = Formula.from_text("x*exp(y)")
    expr = Formula.from_sympy(sp.Symbol("x") * sp.exp(sp.Symbol("y", positive=True)))
    assert text.node is expr.node
    assert lift(lambda x, y: x * jnp.exp(y), 1.0, 1.0).sympy() == text.sympy()


def test_text_is_differentiated_and_shown_without_jax():
    code = (
        "import sys; from diffkit.bridge.derive import derive; d = derive('tanh(x)**2', order=2);"
        "str(d); d.latex(); d.text(); d.to_dict(); assert 'jax' not in sys.modules, 'jax imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["x**3*sin(x)", "sigmoid(x)**2", "log(1+x**2)", "relu(x)+x**2"])
def test_the_derivative_is_that_of_sympy(text):
    formula = Formula.from_text(text)
    from diffkit.symbolic.vocabulary import definition

    expected = sp.diff(definition(formula.sympy()), X)
    found = definition(formula.grad().sympy())
    for point in (sp.Rational(3, 7), sp.Rational(-5, 3)):
        assert abs((found - expected).subs(X, point).evalf(30)) < 1e-20


def test_a_tuple_of_variables_gives_a_tuple():
    formula = Formula.from_text("x**2*y")
    by_x, by_y = formula.grad(("x", 1))
    assert by_x.sympy() == 2 * X * Y
    assert by_y.sympy() == X**2
    assert by_y.names == ("x", "y")


def test_the_order_counts():
    formula = Formula.from_text("x**5")
    assert formula.nth("x", 0).sympy() == X**5
    assert formula.nth("x", 3).sympy() == 60 * X**2
    assert formula.hessian().sympy() == 20 * X**3


@pytest.mark.parametrize(
    ("wrt", "text"),
    [
        (None, "one of: x, y"),
        ("z", "'z' is none of"),
        (2, "no position"),
        (1.5, "name or a position"),
    ],
)
def test_an_unknown_variable_lists_the_known(wrt, text):
    with pytest.raises(UsageError, match=text):
        Formula.from_text("x*y").grad(wrt)


def test_whole_numbers_are_no_variable():
    formula = lift(lambda x, n: x * n, 1.0, 3)
    assert formula.grad("x").sympy() == symbol("n", integer=True)
    with pytest.raises(UsageError, match="int32"):
        formula.grad("n")


def test_two_symbols_of_one_name_are_refused():
    with pytest.raises(UsageError, match="called x"):
        Formula.from_sympy(sp.Symbol("x", positive=True) + sp.Symbol("x", real=True))


def test_the_jacobian_of_an_elementwise_formula_is_diagonal():
    formula = lift(lambda x: x**2, jnp.ones(3))
    x = jnp.array([1.0, 2.0, 4.0])
    assert formula.jacobian("x")(x).tolist() == jnp.diag(2 * x).tolist()
    assert formula.grad("x").shape == (3,)


def test_a_gradient_of_an_array_that_joins_entries_is_refused_and_jacobian_is_named():
    formula = lift(lambda x: x / jnp.sum(x), jnp.ones(3))
    with pytest.raises(UsageError, match="jacobian"):
        formula.grad("x")
    with pytest.raises(UsageError, match="no scalar expression"):
        formula.sympy()


def test_a_formula_with_constant_arrays_is_differentiated_entry_by_entry():
    weights = jnp.array([1.0, 2.0, 4.0])
    slope = lift(lambda x: weights * x**2, jnp.ones(3)).grad("x")
    assert slope(jnp.array([1.0, 1.0, 0.5])).tolist() == [2.0, 4.0, 4.0]


def test_several_results_keep_their_constant_arrays_apart():
    first, second = jnp.array([1.0, 2.0]), jnp.array([[3.0], [5.0]])
    both = lift(lambda x, y: first * x * y + second * y, jnp.ones(2), jnp.ones(2)).grad(("x", "y"))
    from diffkit.bridge.lower import lower

    by_x, by_y = lower(both)(jnp.ones(2), jnp.array([1.0, 10.0]))
    assert by_x.tolist() == [[1.0, 20.0], [1.0, 20.0]]
    assert by_y.tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_it_is_shown_as_text_latex_and_html():
    formula = lift(lambda x: 0.1 * x**2, 1.0)
    assert str(formula) == "x²/10"
    assert formula.latex() == r"\frac{x^{2}}{10}"
    assert formula._repr_latex_().startswith("$")
    assert "1/10" in formula._repr_html_()
    with pytest.raises(UsageError, match="matrix, index"):
        formula.latex(style="poetry")


def test_a_formula_is_called_by_position_or_by_name():
    formula = Formula.from_text("x - 2*y")
    assert float(formula(5.0, 1.0)) == float(formula(y=1.0, x=5.0)) == 3.0
    with pytest.raises(UsageError, match="y not given"):
        formula(5.0)


def test_a_sum_over_constants_is_not_lost_in_print():
    # of a number, yet no scalar expression: the exponents are an array
    formula = lift(lambda x: jnp.sum(x ** jnp.arange(4.0)), 0.5)
    assert str(formula) == "sum(x^[0, 1, 2, 3])"
    assert str(formula.grad("x")) == "(x^([0, 1, 2, 3] − 1))ᵀ [0, 1, 2, 3]"
    assert float(formula.grad("x")(0.5)) == pytest.approx(2.75)

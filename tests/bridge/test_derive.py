"""derive: one facade for text, SymPy and JAX functions, with steps and evidence."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge import derive_function
from diffkit.bridge.derive import derive
from diffkit.bridge.formula import Formula
from diffkit.core.errors import (
    CertificateError,
    DomainError,
    UnknownNameError,
    UnsupportedPrimitive,
    UsageError,
)
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS as f

X, Y = symbol("x"), symbol("y")
NETWORK = (
    "(sigmoid(v1*sigmoid(w11*x1 + w12*x2 + b1) + v2*sigmoid(w21*x1 + w22*x2 + b2) + c) - y)**2/2"
)
WEIGHTS = ("w11", "w12", "w21", "w22", "b1", "b2", "v1", "v2", "c")


def network(w11, w12, w21, w22, b1, b2, v1, v2, c, x1, x2, y):
    s = jax.nn.sigmoid
    hidden = v1 * s(w11 * x1 + w12 * x2 + b1) + v2 * s(w21 * x1 + w22 * x2 + b2)
    return (s(hidden + c) - y) ** 2 / 2


def result(derivation):
    assert isinstance(derivation.formula, Formula)
    return derivation.formula.sympy()


def test_text_sympy_formula_and_function_derive_the_same():
    text = derive("x**2*tanh(x)")
    expr = derive(sp.Symbol("x") ** 2 * sp.tanh(sp.Symbol("x")))
    formula = derive(Formula.from_text("x**2*tanh(x)"))
    function = derive(lambda x: x**2 * jnp.tanh(x), 1.0)
    results = {result(each) for each in (text, expr, formula, function)}
    assert len(results) == 1


def test_the_steps_end_in_the_result_and_are_certified():
    derivation = derive("(3*x**2 - x + 1)**(1/3)")
    assert [step.rule for step in derivation.steps][:2] == ["chain", "power"]
    assert all(step.certificate.error <= step.certificate.bound for step in derivation.steps)
    assert derivation.text().splitlines()[-1].endswith(str(derivation))
    assert derivation.certificate.points
    assert derivation.certificate.error <= derivation.certificate.bound


def test_the_certificate_of_a_function_is_its_own_forward_mode():
    derivation = derive(lambda x: jnp.sin(x) * jax.nn.gelu(x), jnp.array([0.5, -1.0]))
    certificate = derivation.certificate
    assert certificate.route == "jax.jvp in float64"
    assert len(certificate.points) == 1 + derive_function.POINTS
    assert certificate.points[0] == {"x": [0.5, -1.0]}
    assert certificate.error <= certificate.bound < 1e-9


def test_a_wrong_form_fails_its_certificate(monkeypatch):
    # Negative control: spoil the lowered form by one part in 10^6.
    monkeypatch.setattr(derive_function, "lower", lambda formula: lambda x: (1 + 1e-6) * jnp.cos(x))
    with pytest.raises(CertificateError, match="defect of diffkit"):
        derive(jnp.sin, 1.0)


def test_the_derivation_is_called_and_compiled():
    derivation = derive(lambda x, a: a * x**3, 2.0, 1.0, wrt="x")
    assert float(derivation(2.0, 0.5)) == float(derivation.compile()(2.0, 0.5)) == 6.0
    assert float(derivation(x=2.0, a=0.5)) == 6.0


@pytest.mark.parametrize("wrt", [None, 0, "x", (0,), ("x", "a")])
def test_wrt_is_a_position_a_name_or_a_tuple(wrt):
    derivation = derive(lambda x, a: a * x**2, 1.0, 1.0, wrt=wrt)
    formula = derivation.formula
    assert isinstance(formula, tuple) is isinstance(wrt, tuple)
    first = formula[0] if isinstance(formula, tuple) else formula
    assert first.sympy() == 2 * symbol("a") * X


def test_orders_two_and_three():
    assert result(derive("x**5", order=3)) == 60 * X**2
    second = derive(lambda x: jnp.exp(2 * x), 0.5, order=2)
    assert result(second) == 4 * sp.exp(2 * X)
    assert second.certificate.error <= second.certificate.bound


def test_a_convention_at_a_kink_is_taken():
    assert result(derive("relu(x)")) == f["step"](X, 0)
    assert result(derive("relu(x)", conventions={"relu0": 1})) == f["step"](X, 1)
    lifted = derive(jax.nn.relu, 1.0, conventions={"relu0": 1})
    assert result(lifted) == f["step"](X, 1)


def test_the_nine_partials_of_a_small_network_agree_with_reverse_mode():
    start = time.perf_counter()
    derivation = derive(NETWORK, wrt=WEIGHTS)
    assert time.perf_counter() - start < 5  # 0.06 s on an idle machine
    order = [*WEIGHTS, "x1", "x2", "y"]
    with compat.x64():
        values = [jnp.asarray(v) for v in np.random.default_rng(0).normal(size=12)]
        given = dict(zip(order, values, strict=True))
        ours = derivation(*(given[name] for name in derivation.target.names))
        theirs = jax.grad(network, argnums=tuple(range(9)))(*values)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_result_names_constants_that_were_read_as_exact():
    derivation = derive(lambda x: 0.1 * x**2, 1.0)
    assert result(derivation) == X / 5
    assert any("1/10" in note for note in derivation.notes)
    assert any("1/10" in note for note in derivation.certificate.notes)


def test_a_wrong_custom_rule_is_reported_and_not_believed():
    @jax.custom_jvp
    def cube(x):
        return x**3

    cube.defjvp(lambda primals, tangents: (cube(*primals), 5 * tangents[0]))
    derivation = derive(cube, 1.5)
    assert result(derivation) == 3 * X**2
    assert derivation.certificate.route == "central differences in float64"
    assert any("custom rule" in note for note in derivation.notes)


def test_a_custom_vjp_is_derived_from_its_value():
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (cube(x), x), lambda x, t: (t * 3 * x**2,))
    derivation = derive(cube, 1.5)
    assert result(derivation) == 3 * X**2
    assert any("custom_vjp" in note for note in derivation.notes)


def test_a_domain_says_where_to_look():
    with pytest.raises(DomainError, match="domain="):
        derive(lambda x: jnp.log(x - 50.0), jax.ShapeDtypeStruct((), jnp.float32))
    derivation = derive(
        lambda x: jnp.log(x - 50.0), jax.ShapeDtypeStruct((), jnp.float32), domain="(50, 60)"
    )
    assert all(50 < point["x"] < 60 for point in derivation.certificate.points)


def test_arguments_by_keyword_and_fixed_ones():
    derivation = derive(
        lambda x, *, scale, power: scale * x**power, x=2.0, scale=3.0, power=2, wrt="x"
    )
    assert result(derivation) == 2 * symbol("scale") * X
    assert any("power=2" in note for note in derivation.notes)


@pytest.mark.parametrize("target", ["log(cosh(x))", lambda x: jnp.tanh(x) ** 2])
def test_the_user_s_precision_is_left_as_it_is(target):
    before = compat.x64_enabled(), jax.config.jax_default_matmul_precision
    derive(target, *([] if isinstance(target, str) else [1.0]))
    assert (compat.x64_enabled(), jax.config.jax_default_matmul_precision) == before


def test_it_is_data_latex_markdown_and_html():
    derivation = derive("x**2")
    data = derivation.to_dict()
    assert data["schema"] == "diffkit.derivation/1"
    assert data["result"] == ["2*x"]
    assert data["certificate"]["error"] <= data["certificate"]["bound"]
    assert derivation.latex() == "2 x"
    assert derivation.latex(steps=True).startswith(r"\begin{align*}")
    assert "power" in derivation.markdown()
    assert derivation.to_html().startswith("<div")
    assert derivation._repr_latex_().startswith("$")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: derive("x*y"), UsageError, "one of: x, y"),
        (lambda: derive("x*y", wrt="z"), UsageError, "none of the symbols: x, y"),
        (lambda: derive("floor(x)"), UsageError, "piecewise constant"),
        (lambda: derive("sign(x) + 2"), UsageError, "piecewise constant"),
        (lambda: derive(jnp.floor, 1.0), UsageError, "piecewise constant"),
        (lambda: derive("x < 1"), UsageError, "statement"),
        (lambda: derive(lambda x: x > 0, 1.0), UsageError, "statement"),
        (lambda: derive("mystery(x)"), UnknownNameError, "mystery"),
        (lambda: derive(lambda n: 2 * n, 3), UsageError, "whole numbers"),
        (lambda: derive(jnp.tanh), UsageError, "example arguments"),
        (lambda: derive("x**2", 1.0), UsageError, "belong to a JAX function"),
        (lambda: derive("x**2", order=0), UsageError, "order"),
        (lambda: derive("x**2", wrt=()), UsageError, "empty tuple"),
        (lambda: derive("x*y", wrt="x", domain="positive"), UsageError, "needs names"),
        (lambda: derive("x**2", domain={"z": "positive"}), UsageError, "the symbols are x"),
        (lambda: derive(3), UsageError, "int"),
        (lambda: derive(jnp.sort, jnp.ones(3)), UnsupportedPrimitive, "sort"),
    ],
)
def test_a_question_without_an_answer_says_why(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_latex_of_numbers_is_derived():
    assert str(derive(r"\frac{1}{1+e^{-x}}")) == str(derive("1/(1 + exp(-x))"))


def test_wrt_may_be_a_greek_letter():
    assert str(derive("θ**2*x", wrt="θ")) == "2 θ x"

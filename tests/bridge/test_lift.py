"""Lift reads the program and nothing else; what it cannot read it names."""

import jax
import jax.numpy as jnp
import pytest
import sympy as sp
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.core.errors import UnsupportedPrimitive, UsageError
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS as f

X, A, M = symbol("x"), symbol("a"), symbol("m")


def cases(*pairs):
    """A Piecewise whose relations stay as the program writes them."""
    return sp.Piecewise(*pairs, evaluate=False)


READ = {
    "arithmetic": (lambda x, a: (a * x - 1) ** 2 / 3, (X * A - 1) ** 2 / 3),
    "maximum": (lambda x, a: jnp.maximum(x, a), sp.Max(X, A)),
    "where": (lambda x, a: jnp.where(x > a, x, a * x), cases((X, X > A), (A * X, True))),
    "and": (
        lambda x, a: jnp.where((x > 0) & (a <= x), x, 0.0),
        sp.Piecewise((X, (X > 0) & (A <= X)), (0, True)),
    ),
    "not": (lambda x, a: jnp.where(~(x > a), x, 1.0), cases((X, X <= A), (1, True))),
    "indicator": (lambda x, a: (x > 0) * a, A * sp.Piecewise((1, X > 0), (0, True))),
    "cond": (
        lambda x, a: lax.cond(x < a, lambda v: v + 1, jnp.sin, x),
        cases((X + 1, X < A), (sp.sin(X), True)),
    ),
    "nested jit": (lambda x, a: jax.jit(lambda y: y * a)(x), A * X),
    "remat": (lambda x, a: jax.checkpoint(jnp.sin)(x) + a, A + sp.sin(X)),
    "power": (lambda x, a: x**3 + x**a, X**3 + X**A),
    "clip": (lambda x, a: jnp.clip(x, -1, a), f["clip"](X, -1, A)),
}


@pytest.mark.parametrize("name", READ)
def test_a_program_is_read_as_its_formula(name):
    function, expected = READ[name]
    assert lift(function, 0.5, 2.0).sympy() == expected


def test_constants_are_read_exactly_and_noted():
    formula = lift(lambda x: 0.1 * x + 0.7978845608028654, 1.0)
    assert formula.sympy() == X / 10 + sp.sqrt(2 / sp.pi)
    assert any("1/10" in note for note in formula.notes)


def test_gelu_is_read_as_the_form_that_runs():
    tanh_form = lift(jax.nn.gelu, 1.0).sympy()
    erf_form = lift(lambda x: jax.nn.gelu(x, approximate=False), 1.0).sympy()
    assert tanh_form.has(sp.tanh)
    assert not tanh_form.has(sp.erf)
    assert erf_form.has(sp.erf) or erf_form.has(sp.erfc)


def test_parameters_pytrees_and_keywords_name_the_symbols():
    def model(params, x, *, scale):
        return scale * (params["w"] * x + params["b"])

    formula = lift(model, {"w": 1.0, "b": 2.0}, 3.0, scale=0.5)
    assert formula.names == ("params.b", "params.w", "x", "scale")
    w, b, scale = symbol("params.w"), symbol("params.b"), symbol("scale")
    assert sp.expand(formula.sympy() - scale * (w * X + b)) == 0


def test_a_keyword_that_is_no_array_stays_fixed():
    formula = lift(lambda x, power: x**power, 1.0, power=3)
    assert formula.sympy() == X**3
    assert "power=3 is fixed" in formula.notes


def test_shapes_without_values_are_enough():
    shape = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    assert lift(lambda x, m: x * m, shape, jax.ShapeDtypeStruct((3,), jnp.float32)).shape == (2, 3)


def test_a_mask_of_booleans_is_a_number_that_is_not_zero():
    formula = lift(lambda x, m: jnp.where(m, x, 0.0), jnp.ones(3), jnp.array([True, False, True]))
    assert formula.sympy() == sp.Piecewise((X, sp.Ne(M, 0)), (0, True))


def test_a_constant_array_is_kept_exactly():
    weights = jnp.array([0.1, 0.2, 0.3])
    formula = lift(lambda x: x * weights, jnp.ones(3))
    ((_, held),) = formula.composed().arrays.items()
    assert held.values == (sp.Rational(1, 10), sp.Rational(1, 5), sp.Rational(3, 10))
    with pytest.raises(UsageError, match="constant arrays"):
        formula.sympy()


def test_stop_gradient_is_read_with_a_note_that_names_the_line():
    formula = lift(lambda x: x * lax.stop_gradient(x), 1.0)
    assert formula.sympy() == X**2
    assert any("stop_gradient" in note and "test_lift.py" in note for note in formula.notes)


def test_a_narrowing_conversion_is_noted():
    with compat.x64():
        formula = lift(lambda x: x.astype(jnp.float32) * 2, jnp.ones(3))
    assert any("float32" in note for note in formula.notes)


def test_lifting_leaves_the_configuration_alone():
    before = compat.x64_enabled()
    lift(jnp.tanh, 1.0)
    assert compat.x64_enabled() is before


def test_a_primitive_without_a_row_is_named_with_its_line_and_the_remedy():
    def top(x):
        return jnp.sort(x)[0]

    with pytest.raises(UnsupportedPrimitive) as caught:
        lift(top, jnp.ones(3))
    message = str(caught.value)
    for part in ("`sort`", "test_lift.py", "jnp.sort(x)", "Rows exist for", "docs/extending.md"):
        assert part in message


@pytest.mark.parametrize(
    ("function", "args", "primitive"),
    [
        (lambda x: jnp.sum(jnp.sort(x)), (jnp.ones(3),), "sort"),
        (lambda x: lax.linalg.hessenberg(x)[0], (jnp.eye(3),), "hessenberg"),
        (lambda x: jnp.sum(lax.linalg.qr(x)[1]), (jnp.ones((2, 3)),), "qr"),
        (lambda x: jnp.sum(lax.top_k(x, 2)[0]), (jnp.ones(3),), "top_k"),
        (lambda x: lax.nextafter(x, 2.0), (1.0,), "nextafter"),
    ],
)
def test_what_has_no_row_is_refused_and_never_zero(function, args, primitive):
    with pytest.raises(UnsupportedPrimitive, match=primitive):
        lift(function, *args)


@pytest.mark.parametrize(
    ("function", "args", "text"),
    [
        (lambda x: (x, x), (1.0,), "returns 2 arrays"),
        (lambda x: x if x > 0 else -x, (1.0,), "jnp.where"),
        (lambda x: x, (1.0, 2.0), "takes 1 positional"),
        (lambda x: x, ("text",), "is a str"),
        (3, (1.0,), "expected a JAX function"),
    ],
)
def test_a_wrong_call_says_how_to_call(function, args, text):
    with pytest.raises(UsageError, match=text):
        lift(function, *args)


def test_an_assumption_on_an_unknown_name_lists_the_known():
    with pytest.raises(UsageError, match="x"):
        lift(jnp.tanh, 1.0, assume={"z": "positive"})


def test_a_constant_mask_keeps_every_entry():
    mask = jnp.array([True, False, True])
    formula = lift(lambda x: jnp.where(mask & (x > 0), x, -1.0), jnp.ones(3))
    assert formula(jnp.array([2.0, 2.0, -2.0])).tolist() == [2.0, -1.0, -1.0]


def test_a_branch_that_is_nan_stays_nan():
    formula = lift(lambda x: jnp.where(x < 0, jnp.nan, jnp.sqrt(x)), 1.0)
    assert jnp.isnan(formula(-1.0))
    assert float(formula(4.0)) == 2.0

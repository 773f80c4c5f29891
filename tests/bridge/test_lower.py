"""Lowered functions: accurate, following the dtype, safe under jit, vmap and grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from flint import arb, ctx

from diffkit.backend import compat
from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.bridge.lower import lower
from diffkit.core.errors import UnsupportedFunction, UsageError
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS as f

X, Y = symbol("x"), symbol("y")


def cdf(a: arb) -> arb:
    return (-a / arb(2).sqrt()).erfc() / 2


def pdf(a: arb) -> arb:
    return (-a * a / 2).exp() / (2 * arb.pi()).sqrt()


#: name -> (derivative as SymPy finds it, truth, ulps)
SLOPES = {
    "sigmoid": (sp.diff(1 / (1 + sp.exp(-X)), X), lambda a: 1 / (2 + a.exp() + (-a).exp()), 4),
    "softplus": (sp.diff(sp.log(1 + sp.exp(X)), X), lambda a: 1 / (1 + (-a).exp()), 4),
    "log_cosh": (sp.diff(sp.log(sp.cosh(X)), X), lambda a: a.tanh(), 8),
    "gelu": (
        sp.diff(X * (1 + sp.erf(X / sp.sqrt(2))) / 2, X),
        lambda a: cdf(a) + a * pdf(a),
        16,
    ),
    "sigmoid row": (f["sigmoid"](X).diff(X), lambda a: 1 / (2 + a.exp() + (-a).exp()), 4),
    "gelu row": (f["gelu"](X).diff(X), lambda a: cdf(a) + a * pdf(a), 16),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", SLOPES)
def test_a_lowered_derivative_is_accurate_to_a_few_ulps(name, dtype, rng):
    expr, truth, allowed = SLOPES[name]
    magnitude = 2.0 ** rng.uniform(-40, np.log2(1000), 600)
    points = (magnitude * rng.choice([-1, 1], 600)).astype(dtype)
    points = np.concatenate([points, np.linspace(-1000, 1000, 201, dtype=dtype)])
    with compat.x64():
        values = np.asarray(jax.jit(lower(expr))(jnp.asarray(points)))
    assert values.dtype == dtype
    assert np.isfinite(values).all()
    before, ctx.prec = ctx.prec, 300
    try:
        for point, value in zip(points, values, strict=True):
            true = truth(arb(float(point)))
            size = abs(float(true))
            if size > 4 * float(np.finfo(dtype).tiny):
                error = float(abs(arb(float(value)) - true)) / float(np.spacing(dtype(size)))
                assert error <= allowed, (point, value, error)
    finally:
        ctx.prec = before


def test_without_stable_forms_the_same_derivative_overflows():
    plain = lower(SLOPES["sigmoid"][0], stable=False)
    assert not np.isfinite(float(plain(-1000.0)))


PIECES = {
    "log": (sp.Piecewise((sp.log(X), X > 0), (X, True)), [-2.0, 0.0, 2.0], [1.0, 1.0, 0.5]),
    "sqrt": (sp.Piecewise((sp.sqrt(X), X > 0), (0, True)), [-1.0, 0.0, 4.0], [0.0, 0.0, 0.25]),
    "quotient": (
        sp.Piecewise((sp.sin(X) / X, sp.Ne(X, 0)), (1, True)),
        [0.0, np.pi],
        [0.0, -1 / np.pi],
    ),
    "overflow": (
        sp.Piecewise((sp.exp(X), X < 0), (1 + X, True)),
        [1000.0, -1.0],
        [1.0, np.exp(-1.0)],
    ),
    "nested": (
        sp.Piecewise(
            (sp.Piecewise((sp.log(1 - X), X < 1), (0, True)), X > 0), (sp.sqrt(1 - X), True)
        ),
        [0.5, 2.0, -3.0],
        [-2.0, 0.0, -0.25],
    ),
    "three": (
        sp.Piecewise((1 / X, X > 1), (sp.asin(X), X > -1), (sp.log(-X), True)),
        [2.0, 0.0, -2.0],
        [-0.25, 1.0, -0.5],
    ),
}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("stable", [True, False])
def test_the_gradient_of_a_piecewise_has_no_nan(name, stable):
    expr, points, slopes = PIECES[name]
    function = lower(expr, stable=stable)
    for gradient in (jax.grad, jax.jit, None):
        slope = jax.grad(function) if gradient is not jax.jit else jax.jit(jax.grad(function))
        found = jax.vmap(slope)(jnp.asarray(points))
        np.testing.assert_allclose(found, slopes, rtol=2e-6, atol=1e-7)


def test_where_without_a_guard_does_leak_nan():
    # Negative control: what the guarded arguments are for.
    plain = lambda x: jnp.where(x > 0, jnp.log(x), x)
    assert np.isnan(float(jax.grad(plain)(0.0)))


def test_a_guard_uses_a_point_of_both_variables():
    expr = sp.Piecewise((sp.log(X - Y), X > Y), (X * Y, True))
    slopes = jax.grad(lower(expr), argnums=(0, 1))(1.0, 3.0)
    assert [float(s) for s in slopes] == [3.0, 1.0]


def test_a_tuple_gives_a_tuple_and_shares_its_steps():
    lowered = lower((X, X**2, sp.Integer(2)))
    first, second, third = lowered(jnp.arange(3.0))
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [0, 1, 4]
    assert third.tolist() == [2, 2, 2]
    shared = sp.exp(sp.sin(X * Y))
    jaxpr = jax.make_jaxpr(lower((shared, shared + 1, 2 * shared)))(1.0, 2.0)
    assert str(jaxpr).count("= sin ") == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_the_result_follows_the_dtype_of_the_arguments(dtype):
    expr = sp.Rational(1, 3) * sp.exp(X) + f["gelu"](X)
    assert lower(expr)(jnp.ones(2, dtype)).dtype == dtype


def test_float64_stays_float64_in_a_scope():
    with compat.x64():
        value = lower(sp.pi * X)(jnp.float64(1.0))
        assert value.dtype == jnp.float64
        assert float(value) == np.pi


def test_whole_numbers_count_as_floats():
    assert float(lower(X / 2)(3)) == 1.5


def test_unused_arguments_still_broadcast():
    assert lower(2 * X, ["x", "y"])(jnp.ones(3), jnp.ones((2, 1))).shape == (2, 3)
    formula = lift(lambda x, y: x * 1.0, jnp.ones(3), jnp.ones((2, 1)))
    assert formula.lower()(jnp.ones(3), jnp.ones((2, 1))).shape == (3,)


def test_the_derivative_of_a_linear_map_has_the_shape_of_the_result():
    assert lift(lambda x: 2 * x, jnp.ones((2, 3))).grad("x")(jnp.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        (sp.Max(X, 0, X**2), 4.0),
        (sp.Min(X, 3) - sp.Mod(X, 3), 0.0),
        (X ** sp.Rational(3, 2), 2.0**1.5),
        (X ** sp.Rational(-1, 3), 2.0 ** (-1 / 3)),
        (2**X + X**X, 8.0),
        (sp.sec(X) * sp.cos(X) + sp.coth(X) * sp.tanh(X), 2.0),
        (sp.gamma(X + 3), 24.0),
        (sp.polygamma(1, X), np.pi**2 / 6 - 1),
        (sp.Heaviside(X - 2, sp.S.Half), 0.5),
        (sp.sqrt(2) * sp.pi * X / sp.sqrt(8), np.pi),
        (sp.ITE(X > 1, X < 5, sp.false), 1.0),
        (sp.Piecewise((1, (X > 5) | (X < 0)), (7, True)), 7.0),
        (sp.Integer(10) ** 30 * X, 2e30),
    ],
    ids=str,
)
def test_every_kind_of_node_has_its_value(expr, value):
    with compat.x64():
        assert float(lower(expr, [X])(2.0)) == pytest.approx(value, rel=1e-13)


def test_an_expression_that_is_exponential_as_a_tree_is_linear_here():
    expr = X
    for _ in range(60):
        expr = sp.Mul(sp.tanh(expr, evaluate=False), sp.cos(expr, evaluate=False), evaluate=False)
    lowered = lower(expr, stable=False)
    assert np.isfinite(float(lowered(0.1)))


@pytest.mark.parametrize(
    ("expr", "error", "text"),
    [
        (sp.Function("mystery")(X), UnsupportedFunction, "mystery"),
        (sp.Integral(sp.exp(X**2), (X, 0, Y)), UnsupportedFunction, "Integral"),
        (sp.I * X, UnsupportedFunction, "no real number"),
        (sp.zoo * X, UnsupportedFunction, "no real number"),
    ],
    ids=str,
)
def test_what_has_no_kernel_is_refused(expr, error, text):
    with pytest.raises(error, match=text):
        lower(expr, stable=False)


def test_names_must_cover_the_symbols():
    with pytest.raises(UsageError, match="leaves out y"):
        lower(X * Y, ["x"])
    with pytest.raises(UsageError, match="nothing to lower"):
        lower(())
    with pytest.raises(UsageError, match="not str"):
        lower("x**2")


def test_vmap_and_grad_compose():
    slope = jax.vmap(jax.grad(lower(Formula.from_text("sigmoid(x)*tanh(x)"))))
    points = jnp.linspace(-3, 3, 7)
    reference = jax.vmap(jax.grad(lambda x: jax.nn.sigmoid(x) * jnp.tanh(x)))(points)
    np.testing.assert_allclose(slope(points), reference, rtol=1e-5, atol=1e-6)

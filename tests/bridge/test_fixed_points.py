"""Loops that reach a fixed point are read as such; others are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.backend.fixed_point import fixed_point
from diffkit.bridge.fixed_points import FixedPoint, residuals
from diffkit.bridge.lift import lift
from diffkit.tensor.nodes import Opaque, topological
from diffkit.verify.check import check

RANDOM = np.random.default_rng(0)
W = RANDOM.normal(size=(4, 4))
W = 0.5 * W / np.linalg.norm(W, 2)
x, c = RANDOM.normal(size=4), RANDOM.normal(size=4)


def equilibrium(W, x, c):
    return c @ jax.lax.fori_loop(0, 200, lambda i, z: jnp.tanh(W @ z + x), jnp.zeros(4))


def unfinished(W, x, c):
    return c @ jax.lax.fori_loop(0, 50, lambda i, z: z + 0.01 * jnp.tanh(W @ z + x), jnp.zeros(4))


def payloads(formula):
    return [n.payload for n in topological(formula.node) if isinstance(n, Opaque)]


@pytest.mark.parametrize("wrt", ["W", "x", "c"])
def test_the_gradient_is_that_of_the_limit(wrt):
    with compat.x64():
        formula = lift(equilibrium, W, x, c)
        assert [type(p) for p in payloads(formula)] == [FixedPoint]
        expected = jax.grad(equilibrium, "Wxc".index(wrt))(W, x, c)
        assert np.allclose(formula.grad(wrt)(W, x, c), expected, rtol=1e-10, atol=1e-12)


def test_second_derivatives_are_closed_forms_too():
    with compat.x64():
        found = lift(equilibrium, W, x, c).hessian("x")(W, x, c)
        assert np.allclose(found, jax.hessian(equilibrium, 1)(W, x, c), rtol=1e-9, atol=1e-11)


def test_a_loop_that_has_not_converged_is_no_fixed_point():
    with compat.x64():
        formula = lift(unfinished, W, x, c)
        assert not any(isinstance(p, FixedPoint) for p in payloads(formula))
        expected = jax.grad(unfinished, 1)(W, x, c)
        assert np.allclose(formula.grad("x")(W, x, c), expected, rtol=1e-10)


def test_shapes_alone_do_not_show_convergence():
    shapes = [jax.ShapeDtypeStruct(each.shape, "float32") for each in (W, x, c)]
    assert not any(isinstance(p, FixedPoint) for p in payloads(lift(equilibrium, *shapes)))


def test_the_residual_vanishes_where_the_loop_has_converged_and_only_there():
    from diffkit.bridge.lower_arrays import compile_nodes

    with compat.x64():
        formula = lift(equilibrium, W, x, c)
        program = compile_nodes(residuals(formula.node), formula.inputs)
        assert np.abs(program(jnp.asarray(W), jnp.asarray(x), jnp.asarray(c))[0]).max() < 1e-12
        far = program(jnp.asarray(-8 * np.eye(4)), jnp.asarray(x), jnp.asarray(c))[0]
        assert np.abs(far).max() > 1e-3


def implicit(W, x, c):
    z = jax.lax.fori_loop(0, 200, lambda i, z: jnp.tanh(W @ z + x), jnp.zeros(4))
    slope = 1 - z**2
    adjoint = jnp.linalg.solve((jnp.eye(4) - slope[:, None] * W).T, c)
    return jnp.outer(slope * adjoint, z)


@pytest.mark.slow
def test_the_implicit_function_theorem_is_proved_and_its_transpose_refuted():
    assert check(equilibrium, implicit, W, x, c, wrt="W").status == "proved"
    wrong = check(equilibrium, lambda W, x, c: implicit(W, x, c).T, W, x, c, wrt="W")
    assert wrong.status == "refuted"
    assert wrong.repair.edit == "transpose"


def test_the_explicit_fixed_point_is_read_whatever_the_arguments():
    def limit(W, x, c):
        return c @ fixed_point(lambda z: jnp.tanh(W @ z + x), jnp.zeros(4))

    with compat.x64():
        shapes = [jax.ShapeDtypeStruct(each.shape, "float64") for each in (W, x, c)]
        formula = lift(limit, *shapes)
        assert [type(p) for p in payloads(formula)] == [FixedPoint]
        assert np.allclose(formula(W, x, c), limit(W, x, c), rtol=1e-12)
        for k, name in enumerate("Wxc"):
            expected = jax.grad(limit, k)(W, x, c)
            assert np.allclose(formula.grad(name)(W, x, c), expected, rtol=1e-9, atol=1e-11)

"""What is not read is run and differentiated by JAX, to any order, and shown by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.bridge.opaque_program import OpaqueProgram, program_of
from diffkit.core.errors import UnsupportedFunction, UnsupportedPrimitive
from diffkit.tensor.nodes import Opaque, topological

POINT = np.array([0.3, -0.2, 1.5, 0.7])


def loop(x):
    return lax.fori_loop(0, 200, lambda k, c: c + 0.01 * jnp.sin(c) * x, x) @ x


def search(x):
    return lax.while_loop(lambda c: jnp.sum(c**2) < 50, lambda c: c * 1.3 + x**2, x) @ x


def ranked(x):
    return jnp.sum(jnp.arange(4.0) * jnp.sort(x**2)) ** 2


def spectrum(x):
    return jnp.sum(jnp.abs(jnp.fft.rfft(x)) ** 3 * jnp.arange(3.0))


def largest(x):
    return jnp.prod(lax.top_k(x**2, 2)[0]) + jnp.sum(lax.top_k(x, 2)[1])


def reduced(x):
    return jnp.sum(lax.linalg.hessenberg(jnp.outer(x, x) + jnp.diag(x))[0][0] ** 3)


#: name -> (function, whether it needs opaque=True, the name in the formula).
KEPT = {
    "a long loop": (loop, False, "scan"),
    "a loop whose count depends on a value": (search, False, "loop"),
    "a sort": (ranked, True, "sort"),
    "a spectrum": (spectrum, True, "fft"),
    "the largest": (largest, True, "top_k"),
}


@pytest.fixture(autouse=True)
def wide():
    with compat.x64():
        yield


def names(formula):
    return {n.payload.name for n in topological(formula.node) if isinstance(n, Opaque)}


@pytest.mark.parametrize("name", KEPT)
def test_value_gradient_and_second_derivatives_are_those_of_jax(name):
    function, asked, _ = KEPT[name]
    x = jnp.asarray(POINT)
    formula = lift(function, x, opaque=asked)
    gradient = formula.grad("x")
    slope, curvature = jax.jacfwd(function), jax.jacfwd(jax.jacfwd(function))
    np.testing.assert_allclose(formula(x), function(x), rtol=1e-12)
    np.testing.assert_allclose(gradient(x), slope(x), rtol=1e-10)
    np.testing.assert_allclose(gradient.jacobian("x")(x), curvature(x), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(formula.hessian("x")(x), curvature(x), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_call_is_shown_by_its_name_and_its_derivative_as_d_of_it(name):
    function, asked, shown = KEPT[name]
    formula = lift(function, jnp.asarray(POINT), opaque=asked)
    assert shown in str(formula)
    assert f"D {shown}" in str(formula.grad("x"))
    assert formula.latex()
    assert any("JAX runs and differentiates it" in note for note in formula.notes)


def test_without_asking_only_loops_are_kept_and_the_remedy_is_named():
    with pytest.raises(UnsupportedPrimitive, match="opaque=True"):
        lift(ranked, jnp.asarray(POINT))


def test_what_nothing_needs_is_not_kept():
    def f(x):
        lax.linalg.hessenberg(jnp.outer(x, x))
        return jnp.sum(x**2)

    assert not names(lift(f, jnp.asarray(POINT), opaque=True))


def test_a_call_without_a_derivative_is_refused_when_it_is_differentiated():
    formula = lift(reduced, jnp.asarray(POINT), opaque=True)
    np.testing.assert_allclose(formula(POINT), reduced(jnp.asarray(POINT)), rtol=1e-12)
    with pytest.raises(UnsupportedFunction, match="no derivative that JAX knows"):
        formula.grad("x")


def test_a_wrong_gradient_would_be_noticed():
    x = jnp.asarray(POINT)
    found = lift(lambda x: ranked(x) * 1.001, x, opaque=True).grad("x")(x)
    assert np.abs(found - jax.grad(ranked)(x)).max() > 1e-4


def test_the_lowered_formula_runs_under_jit_and_vmap():
    rows = jnp.stack([jnp.asarray(POINT), jnp.asarray(POINT) * 2])
    run = lift(ranked, rows[0], opaque=True).grad("x").lower()
    expected = jnp.stack([jax.grad(ranked)(row) for row in rows])
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(rows), expected, rtol=1e-12)


def test_one_function_lifted_twice_is_one_node():
    x = jnp.asarray(POINT)
    first, second = (lift(ranked, x, opaque=True) for _ in range(2))
    assert first.node is second.node
    assert lift(largest, x, opaque=True).node is not first.node


def test_programs_that_differ_only_in_a_constant_are_two():
    shape = [jax.ShapeDtypeStruct((3,), jnp.float64)]
    one, other = (
        program_of("f", lambda x, c=c: (jnp.sort(x * c),), shape)
        for c in (jnp.arange(3.0), jnp.arange(3.0) + 1e-9)
    )
    assert one != other
    assert str(one) != str(other)


def test_a_program_has_the_same_text_in_every_process():
    shape = [jax.ShapeDtypeStruct((2,), jnp.float64)]
    texts = {str(program_of("sort", lambda x: (jnp.sort(x),), shape)) for _ in range(3)}
    assert len(texts) == 1


def test_whole_numbers_and_booleans_reach_the_program_as_such():
    shapes = [jax.ShapeDtypeStruct((2,), d) for d in (jnp.int32, jnp.bool_, jnp.float64)]
    program = program_of("f", lambda n, b, x: (jnp.where(b, x, 0.0) * n,), shapes)
    assert isinstance(program, OpaqueProgram)
    assert program.moving == (2,)
    (found,) = program.run(jnp.array([2.0, 3.0]), jnp.array([1.0, 0.0]), jnp.array([5.0, 7.0]))
    assert found.tolist() == [10.0, 0.0]


def test_a_float32_program_follows_the_dtype_of_its_arguments():
    shape = jax.ShapeDtypeStruct((4,), jnp.float32)
    formula = lift(ranked, shape, opaque=True)
    assert formula(jnp.asarray(POINT)).dtype == jnp.float64
    assert formula(jnp.asarray(POINT, jnp.float32)).dtype == jnp.float32

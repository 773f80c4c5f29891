"""The census looks into every inner jaxpr."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from diffkit.atlas import census
from diffkit.backend import compat


@pytest.mark.parametrize(
    "function",
    [
        jax.jit(jnp.sin),
        lambda x: lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=2)[0],
        lambda x: lax.while_loop(lambda c: c < 0, jnp.sin, x),
        lambda x: lax.while_loop(lambda c: jnp.sin(c) < 0, lambda c: c + 1, x),
        lambda x: lax.cond(x > 0, lambda y: y, jnp.sin, x),
        jax.checkpoint(jnp.sin),
    ],
    ids=["jit", "scan", "while body", "while condition", "cond", "remat"],
)
def test_a_primitive_inside_is_found(function):
    assert "sin" in census.primitives(compat.trace(function, 1.0))


def test_named_inner_functions_are_found_and_loops_are_none():
    def function(x):
        return lax.scan(lambda c, _: (jax.nn.softplus(c), None), x, None, length=2)[0]

    assert "softplus" in census.idioms(compat.trace(function, 1.0))

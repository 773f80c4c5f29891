"""Loops that never end stop without a value; all others are what they were."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.capped import capped, has_open_loop


def newton(x):
    return lax.while_loop(
        lambda y: jnp.abs(y * y - x) > 1e-5, lambda y: 0.5 * (y + x / y), jnp.ones_like(x)
    )


@jax.jit
def nested(x):
    return jnp.sin(newton(x)) + newton(2 * x)


def test_a_loop_that_ends_gives_its_value_and_its_tangent():
    for x in (0.3, 2.0, 9.0):
        one, other = (jax.jvp(f, (x,), (1.0,)) for f in (nested, capped(nested)))
        assert np.allclose(one, other)


def test_a_loop_that_does_not_end_has_no_value_beside_one_that_does():
    found = jax.jit(jax.vmap(capped(newton, 50)))(jnp.array([4.0, -1.0]))
    assert np.isclose(found[0], 2.0, atol=1e-4)
    assert np.isnan(found[1])


def test_open_loops_are_seen_through_calls_and_scans_are_none():
    assert has_open_loop(compat.trace(nested, 1.0))
    assert not has_open_loop(
        compat.trace(lambda x: lax.fori_loop(0, 9, lambda i, y: y * x, x), 1.0)
    )


def test_a_custom_rule_is_kept():
    @jax.custom_jvp
    def f(x):
        return x * x

    f.defjvp(lambda p, t: (f(*p), 100.0 * t[0]))
    value, tangent = jax.jvp(capped(lambda x: f(newton(x))), (4.0,), (1.0,))
    assert np.isclose(value, 4.0, atol=1e-3)
    assert np.isclose(tangent, 25.0, rtol=1e-3)  # 100 times d sqrt(x)/dx, the wrong rule itself

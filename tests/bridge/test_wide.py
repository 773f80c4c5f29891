"""A program widened to float64 is the same function with the same random bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.bridge.blocks import read
from diffkit.bridge.wide import run_wide

KEY = jax.random.key(3)
X = np.linspace(-1.0, 2.0, 6).astype(np.float32)


def dropped(x):
    return jnp.sum(jnp.sin(x) * jax.random.bernoulli(KEY, 0.5, x.shape))


def looped(x):
    def step(c, t):
        return jax.lax.cond(t > 0, lambda c: jnp.cos(c * t), lambda c: c + t, c), c

    last, rows = jax.lax.scan(step, jnp.float32(0.1), x)
    return last + jax.lax.while_loop(lambda s: s < 3, lambda s: 1.5 * s, jnp.sum(rows**2) + 0.01)


def halved(x):
    return jnp.sum(jnp.exp(x.astype(jnp.bfloat16)).astype(jnp.float32) @ jnp.ones((6, 2)))


def by_numpy(f):
    """The same in NumPy's float64, written again."""
    x = X.astype(np.float64)
    if f is dropped:
        return np.sum(np.sin(x) * np.asarray(jax.random.bernoulli(KEY, 0.5, x.shape)))
    if f is halved:
        return 2 * np.sum(np.exp(x))
    c, total = float(np.float32(0.1)), 0.0
    for t in x:
        total += c**2
        c = np.cos(c * t) if t > 0 else c + t
    s = total + float(np.float32(0.01))
    while s < 3:
        s *= 1.5
    return c + s


@pytest.mark.parametrize("f", [dropped, looped, halved])
def test_a_widened_program_is_the_real_function(f):
    block = read(compat.trace(f, X))
    with compat.x64():
        (found,) = run_wide(block, [X.astype(np.float64)])
        assert found.dtype == np.float64
    np.testing.assert_allclose(float(found), by_numpy(f), rtol=1e-14)
    assert abs(float(f(X)) - by_numpy(f)) > 1e-14  # the narrow program rounds


def test_tracing_again_in_float64_draws_another_mask():
    with compat.x64():
        again = float(
            jnp.sum(jnp.sin(X.astype(np.float64)) * jax.random.bernoulli(KEY, 0.5, X.shape))
        )
    block = read(compat.trace(dropped, X))
    with compat.x64():
        (found,) = run_wide(block, [X.astype(np.float64)])
    np.testing.assert_allclose(float(found), by_numpy(dropped), rtol=1e-14)
    assert abs(again - float(found)) > 1e-3

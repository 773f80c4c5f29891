r"""Fixed points z = g(z) whose derivatives are those of the limit, not of the iteration.

The loop runs inside a `jit` called `NAME`, so that a jaxpr tells a fixed point from any other
loop; JAX differentiates it by the implicit function theorem, `bridge.taylor` to any order.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

NAME = "diffkit_fixed_point"


def fixed_point(
    g: Callable[[Any], Any], z0: Any, *, tolerance: float | None = None, max_steps: int = 1_000
) -> Any:
    r"""Return the limit of z, g(z), g(g(z)), ... and let it be differentiated implicitly.

    $$(I - \partial g/\partial z)\,dz/dx = \partial g/\partial x$$

    Args:
        g: A contraction near `z0`; it may close over what is differentiated by.
        z0: Where to start, a pytree of floating arrays; the limit does not depend on it.
        tolerance: Largest change of an entry in the last step, relative to max(1, |z|); by
            default 16 units in the last place.
        max_steps: Most steps taken, >= 1.

    Returns:
        The limit in the structure of `z0`; NaN where `max_steps` did not suffice.

    >>> round(float(fixed_point(jnp.cos, 0.5, tolerance=1e-5)), 4)
    0.7391
    """
    start, unravel = ravel_pytree(jax.tree.map(jnp.asarray, z0))
    allowed = 16 * float(jnp.finfo(start.dtype).eps) if tolerance is None else tolerance

    def residual(z: jax.Array) -> jax.Array:
        return ravel_pytree(g(unravel(z)))[0] - z

    def solve(f: Callable[[jax.Array], jax.Array], z: jax.Array) -> jax.Array:
        def iterate(z: jax.Array) -> tuple[jax.Array, jax.Array]:
            def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
                old, count, _ = state
                new = f(old) + old
                change = jnp.max(jnp.abs(new - old)) / jnp.maximum(1, jnp.max(jnp.abs(new)))
                return new, count + 1, change

            def goes_on(state: tuple[Any, ...]) -> jax.Array:
                return (state[1] < max_steps) & ~(state[2] <= allowed)

            far = jnp.asarray(jnp.inf, z.dtype)
            limit, _, change = lax.while_loop(goes_on, step, (z, 0, far))
            return limit, change

        iterate.__name__ = iterate.__qualname__ = NAME
        limit, change = jax.jit(iterate)(z)
        return jnp.where(change <= allowed, limit, jnp.nan)

    def tangent_solve(linear: Callable[[jax.Array], jax.Array], y: jax.Array) -> jax.Array:
        return jnp.linalg.solve(jax.jacfwd(linear)(y), y)

    return unravel(lax.custom_root(residual, start, solve, tangent_solve))

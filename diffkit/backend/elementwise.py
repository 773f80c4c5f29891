"""The constructors every kernel is made by: one dtype in, one dtype out, derivatives stated.

A kernel with branches is not differentiated through its branches: `with_partials` states each
partial derivative as a kernel of its own, so that `jax.grad` is right where branches meet.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Kernel = Callable[..., jax.Array]


def elementwise(name: str, kernel: Kernel) -> Kernel:
    """Let `kernel` take numbers and arrays of any floating dtype.

    Operands are brought to their common floating dtype; half precisions compute in float32.
    The result is a `jit` called `name`, so that a jaxpr shows the function and not its parts.
    """

    def run(*args: Any) -> jax.Array:
        dtype = jnp.result_type(*args)
        if not jnp.issubdtype(dtype, jnp.inexact):
            dtype = jnp.result_type(float)
        wide = jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype
        values = (jnp.asarray(arg, wide) for arg in args)
        return kernel(*values).astype(dtype)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = kernel.__doc__
    return jax.jit(run)


def with_partials(*partials: Kernel) -> Callable[[Kernel], Kernel]:
    """Decorate a kernel with its partial derivatives, one per operand."""

    def decorate(kernel: Kernel) -> Kernel:
        ruled = jax.custom_jvp(kernel)

        def rule(primals: Sequence[jax.Array], tangents: Sequence[jax.Array]) -> Any:
            slopes = (
                partial(*primals) * tangent
                for partial, tangent in zip(partials, tangents, strict=True)
            )
            return ruled(*primals), sum(slopes)

        ruled.defjvp(rule)
        ruled.__doc__ = kernel.__doc__
        return ruled

    return decorate


def polynomial(x: jax.Array, coefficients: Sequence[float]) -> jax.Array:
    """Evaluate sum_k coefficients[k] x**k by Horner's rule."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def removable(coefficients: Sequence[float], radius: float, away: Kernel) -> Kernel:
    """Join a power series for |x| < `radius` with `away` elsewhere.

    Both branches get an argument at which they are finite, so the untaken one never
    sends a NaN into the gradient.
    """

    def kernel(x: jax.Array) -> jax.Array:
        is_near = jnp.abs(x) < radius
        series = polynomial(jnp.where(is_near, x, 0), coefficients)
        return jnp.where(is_near, series, away(jnp.where(is_near, radius, x)))

    return kernel

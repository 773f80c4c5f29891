"""Factorisations that `vmap` runs one after the other.

On a CPU each batched LAPACK call of JAX 0.10 waits for tasks in the pool of threads that runs it,
and where as many such calls as threads are ready at once, none of them ever returns.  One matrix
after the other is no slower: LAPACK does not batch either.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

one_at_a_time: Callable[..., Any] = jax.custom_batching.sequential_vmap


@one_at_a_time
def singular_values(matrix: jax.Array) -> jax.Array:
    """Singular values of a matrix, largest first."""
    return jnp.linalg.svd(matrix, compute_uv=False)


@one_at_a_time
def spectral_radius(matrix: jax.Array) -> jax.Array:
    """Largest modulus of an eigenvalue of a square matrix."""
    return jnp.abs(jnp.linalg.eigvals(matrix)).max()


def drawn_one_at_a_time(initializer: Initializer) -> Initializer:
    """An initialiser that factorises, such as the orthogonal one."""

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        kind = jnp.result_type(float) if dtype is None else dtype
        return one_at_a_time(lambda key: initializer(key, shape, kind))(key)

    return draw

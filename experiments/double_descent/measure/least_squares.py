"""Training sets of a Gaussian teacher, and least squares on them by linear algebra.

That an estimate is a minimiser is checked by the gradient of its loss, found by reverse mode.

One training set is solved after the other.  A batch of factorisations is worse than slow: on a
CPU each batched LAPACK call of JAX 0.10 waits for tasks in the pool of threads that runs it, and
where as many such calls as threads are ready at once, none of them ever returns.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.core.errors import UsageError

#: The gradient at the estimate, relative to the terms that cancel in it.
STATIONARY = 1e-6


def training_set(
    key: jax.Array, number: jax.Array, signal: jax.Array, noise: float, samples: int
) -> tuple[jax.Array, jax.Array]:
    """Features (n, D) and targets (n,); the number fixes the data whatever is measured on it."""
    of_features, of_noise = jax.random.split(jax.random.fold_in(key, number))
    x = jax.random.normal(of_features, (samples, signal.size))
    return x, x @ signal + jnp.sqrt(noise) * jax.random.normal(of_noise, (samples,))


def least_norm(x: jax.Array, y: jax.Array, widths: Sequence[int]) -> list[jax.Array]:
    """The minimisers of |y - x b|^2 of least norm with the first p columns, for full rank.

    One QR factorisation serves every p <= n: that of the first p columns is its corner.

    Args:
        x: Features, (n, D).
        y: Targets, (n,) or (n, K).
        widths: The p.

    Returns:
        Arrays (p,) or (p, K), in the order of the widths.
    """
    samples = len(y)
    few = [p for p in widths if p <= samples]
    q, r = jnp.linalg.qr(x[:, : max(few, default=0)])
    turned = q.T @ y
    found = []
    for p in widths:
        if p <= samples:
            found.append(jax.scipy.linalg.solve_triangular(r[:p, :p], turned[:p]))
        else:
            gram = jax.scipy.linalg.cho_factor(x[:, :p] @ x[:, :p].T)
            found.append(x[:, :p].T @ jax.scipy.linalg.cho_solve(gram, y))
    return found


def penalised(x: jax.Array, y: jax.Array, penalty: jax.Array | float) -> jax.Array:
    """The minimiser of |y - x b|^2 + penalty |b|^2, penalty > 0."""
    gram = jax.scipy.linalg.cho_factor(x @ x.T + penalty * jnp.eye(len(y)))
    return x.T @ jax.scipy.linalg.cho_solve(gram, y)


def test_error(estimate: jax.Array, signal: jax.Array, noise: float) -> jax.Array:
    """E (y - x'b_hat)^2 over a new sample, exact: |b_hat - b|^2 + noise, b_hat 0 where unused."""
    used = estimate.size
    return jnp.sum((estimate - signal[:used]) ** 2) + jnp.sum(signal[used:] ** 2) + noise


def stationarity(
    x: jax.Array, y: jax.Array, estimate: jax.Array, penalty: jax.Array | float = 0.0
) -> jax.Array:
    """|gradient of the loss| by reverse mode, relative to the terms that cancel in it."""

    def loss(b: jax.Array) -> jax.Array:
        return (jnp.sum((y - x @ b) ** 2) + penalty * jnp.sum(b**2)) / 2

    return jnp.linalg.norm(jax.grad(loss)(estimate)) / (jnp.linalg.norm(x) * jnp.linalg.norm(y))


def require_minimisers(slopes: np.ndarray, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse estimates that are no minimisers.

    Args:
        slopes: Relative gradients, (draws, sizes).
        sizes: (n, p) of each column.

    Raises:
        UsageError: a gradient is too large (a singular draw).
    """
    worst = np.max(slopes, axis=0)
    if not np.all(worst < STATIONARY):
        place = int(np.argmax(~(worst < STATIONARY)))
        samples, used = sizes[place]
        raise UsageError(
            f"p = {used}, n = {samples}: the gradient at an estimate is "
            f"{worst[place]:.1e} of the terms in it; leave out widths so near to n"
        )

"""Test errors of least squares, measured on random data.  No SymPy here.

The estimate is found by linear algebra; that it is a minimiser is checked by the gradient of the
training loss, which reverse mode computes.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.core.errors import UsageError

#: The gradient at the estimate, relative to the terms that cancel in it.
STATIONARY = 1e-6
#: Training sets at a time.
BATCH = 64


def test_errors(
    squares: np.ndarray,
    noise: float,
    *,
    samples: int,
    widths: Sequence[int],
    draws: range,
    seed: int,
) -> np.ndarray:
    """E (y - x'b_hat)^2 over a new sample, for every training set and width, in float64.

    The expectation over the new sample is exact: |b_hat - b|^2 + noise, b_hat 0 where unused.

    Args:
        squares: b_j^2 of all D features.
        noise: Var e.
        samples: n.
        widths: The p <= D; the first p features are used.
        draws: Numbers of the training sets; a number fixes the data whatever else is measured.
        seed: Root of all random streams.

    Returns:
        Array (draws, widths).

    Raises:
        UsageError: an estimate is no minimiser (a singular draw).
    """
    with jax.enable_x64(True):
        numbers = jnp.arange(draws.start, draws.stop)
        key, signal = jax.random.key(seed), jnp.sqrt(jnp.asarray(squares))
        errors, slopes = map(
            np.asarray, _of_all(key, numbers, signal, noise, samples, tuple(widths))
        )
    worst = np.max(slopes, axis=0)
    if not np.all(worst < STATIONARY):
        place = int(np.argmax(~(worst < STATIONARY)))
        raise UsageError(
            f"p = {widths[place]}, n = {samples}: the gradient at an estimate is "
            f"{worst[place]:.1e} of the terms in it; leave out widths so near to n"
        )
    return errors


@partial(jax.jit, static_argnums=(4, 5))
def _of_all(
    key: jax.Array,
    numbers: jax.Array,
    signal: jax.Array,
    noise: float,
    samples: int,
    widths: tuple[int, ...],
) -> tuple[jax.Array, jax.Array]:
    """Errors and relative gradients of all training sets, a batch at a time."""

    def one(number: jax.Array) -> tuple[jax.Array, jax.Array]:
        of_features, of_noise = jax.random.split(jax.random.fold_in(key, number))
        x = jax.random.normal(of_features, (samples, signal.size))
        y = x @ signal + jnp.sqrt(noise) * jax.random.normal(of_noise, (samples,))
        found = [
            (_error(b, signal, noise), _stationarity(x[:, :p], y, b))
            for p, b in zip(widths, _estimates(x, y, widths), strict=True)
        ]
        errors, slopes = zip(*found, strict=True)
        return jnp.stack(errors), jnp.stack(slopes)

    return jax.lax.map(one, numbers, batch_size=BATCH)


def _estimates(x: jax.Array, y: jax.Array, widths: Sequence[int]) -> list[jax.Array]:
    """The minimisers of |y - x b|^2 of least norm with the first p columns, for full rank.

    One QR factorisation serves every p <= n: that of the first p columns is its corner.
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


def _error(estimate: jax.Array, signal: jax.Array, noise: float) -> jax.Array:
    used = estimate.size
    return jnp.sum((estimate - signal[:used]) ** 2) + jnp.sum(signal[used:] ** 2) + noise


def _stationarity(x: jax.Array, y: jax.Array, estimate: jax.Array) -> jax.Array:
    """|gradient of the training loss| by reverse mode, relative to the terms that cancel."""
    slope = jax.grad(lambda b: jnp.sum((y - x @ b) ** 2) / 2)(estimate)
    return jnp.linalg.norm(slope) / (jnp.linalg.norm(x) * jnp.linalg.norm(y))

"""Test errors of ridge regression, measured on random data.  No SymPy here."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.double_descent.measure import least_squares
from experiments.double_descent.measure.least_squares import training_set


def errors(
    squares: np.ndarray,
    noise: float,
    *,
    samples: int,
    widths: Sequence[int],
    penalties: Sequence[float],
    draws: range,
    seed: int,
) -> np.ndarray:
    """E (y - x'b_hat)^2 over a new sample, exact, for every training set and width, in float64.

    Args:
        squares: b_j^2 of all D features.
        noise: Var e.
        samples: n.
        widths: The p <= D; the first p features are used.
        penalties: Weight of |b|^2 beside |y - x b|^2 for each width, > 0.
        draws: Numbers of the training sets, those of `measure.exact` at the same seed.
        seed: Root of all random streams.

    Returns:
        Array (draws, widths).

    Raises:
        UsageError: an estimate is no minimiser.
    """
    with jax.enable_x64(True):
        numbers = jnp.arange(draws.start, draws.stop)
        key, signal = jax.random.key(seed), jnp.sqrt(jnp.asarray(squares))
        weights = jnp.asarray(penalties)
        found = _of_all(key, numbers, signal, noise, samples, tuple(widths), weights)
        measured, slopes = map(np.asarray, found)
    least_squares.require_minimisers(slopes, [(samples, p) for p in widths])
    return measured


@partial(jax.jit, static_argnums=(4, 5))
def _of_all(
    key: jax.Array,
    numbers: jax.Array,
    signal: jax.Array,
    noise: float,
    samples: int,
    widths: tuple[int, ...],
    penalties: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Errors and relative gradients of all training sets."""

    def one(number: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, y = training_set(key, number, signal, noise, samples)
        estimates = [
            least_squares.penalised(x[:, :p], y, penalty)
            for p, penalty in zip(widths, penalties, strict=True)
        ]
        slopes = [
            least_squares.stationarity(x[:, : b.size], y, b, penalty)
            for b, penalty in zip(estimates, penalties, strict=True)
        ]
        errors = [least_squares.test_error(b, signal, noise) for b in estimates]
        return jnp.stack(errors), jnp.stack(slopes)

    return jax.lax.map(one, numbers)

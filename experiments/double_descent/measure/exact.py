"""Test and training errors of least squares, measured on random data.  No SymPy here."""

from collections.abc import Mapping, Sequence
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
    draws: range,
    seed: int,
) -> Mapping[str, np.ndarray]:
    """Test and training error of every training set and width, in float64.

    Args:
        squares: b_j^2 of all D features.
        noise: Var e.
        samples: n.
        widths: The p <= D; the first p features are used.
        draws: Numbers of the training sets; a number fixes the data whatever else is measured.
        seed: Root of all random streams.

    Returns:
        "test": E (y - x'b_hat)^2 over a new sample, exact; "training": mean squared residual;
        both (draws, widths).

    Raises:
        UsageError: an estimate is no minimiser (a singular draw).
    """
    with jax.enable_x64(True):
        numbers = jnp.arange(draws.start, draws.stop)
        key, signal = jax.random.key(seed), jnp.sqrt(jnp.asarray(squares))
        found = _of_all(key, numbers, signal, noise, samples, tuple(widths))
        measured = {name: np.asarray(values) for name, values in found.items()}
    least_squares.require_minimisers(measured.pop("slope"), [(samples, p) for p in widths])
    return measured


@partial(jax.jit, static_argnums=(4, 5))
def _of_all(
    key: jax.Array,
    numbers: jax.Array,
    signal: jax.Array,
    noise: float,
    samples: int,
    widths: tuple[int, ...],
) -> dict[str, jax.Array]:
    """Errors and relative gradients of all training sets."""

    def one(number: jax.Array) -> dict[str, jax.Array]:
        x, y = training_set(key, number, signal, noise, samples)
        estimates = least_squares.least_norm(x, y, widths)
        pairs = [(x[:, : b.size], b) for b in estimates]
        return {
            "test": jnp.stack([least_squares.test_error(b, signal, noise) for b in estimates]),
            "training": jnp.stack([jnp.mean((y - used @ b) ** 2) for used, b in pairs]),
            "slope": jnp.stack([least_squares.stationarity(used, y, b) for used, b in pairs]),
        }

    return jax.lax.map(one, numbers)

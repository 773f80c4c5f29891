"""Bias and variance over training sets, from pairs of independent ones.  No SymPy here.

For two independent estimates f and g of one truth, (f - truth)(g - truth) is unbiased for the
squared bias and (f - g)^2/2 for the variance, so that pairs are independent repetitions.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np

from experiments.double_descent.measure import least_squares
from experiments.double_descent.measure.least_squares import training_set

Found = Mapping[str, np.ndarray]


def fixed_design(
    design: np.ndarray,
    truth: np.ndarray,
    noise: float,
    *,
    widths: Sequence[int],
    penalties: Sequence[float],
    pairs: range,
    seed: int,
) -> Found:
    """Least squares with the first p columns, and ridge with all of them, at the design points.

    Args:
        design: Features at the design points, (n, D) of full rank, D <= n.
        truth: What is to be found there, (n,).
        noise: Var e.
        widths: The p.
        penalties: Weights of |b|^2, > 0.
        pairs: Numbers of the pairs of data sets.
        seed: Root of all random streams.

    Returns:
        "bias" and "variance" of the prediction and "error", the squared distance of the first
        estimate from new data, each a mean over the points: (pairs, widths + penalties).

    Raises:
        UsageError: an estimate is no minimiser.
    """
    with jax.enable_x64(True):
        numbers = jnp.arange(pairs.start, pairs.stop)
        given = [jnp.asarray(part) for part in (design, truth)]
        weights = jnp.asarray(penalties)
        key = jax.random.key(seed)
        found = _of_smoothers(key, numbers, *given, noise, tuple(widths), weights)
        measured = {name: np.asarray(values) for name, values in found.items()}
    sizes = [(len(design), p) for p in (*widths, *(design.shape[1] for _ in penalties))]
    least_squares.require_minimisers(measured.pop("slope"), sizes)
    return measured


@partial(jax.jit, static_argnums=5)
def _of_smoothers(
    key: jax.Array,
    numbers: jax.Array,
    design: jax.Array,
    truth: jax.Array,
    noise: float,
    widths: tuple[int, ...],
    penalties: jax.Array,
) -> dict[str, jax.Array]:
    def one(number: jax.Array) -> dict[str, jax.Array]:
        drawn = jax.random.normal(jax.random.fold_in(key, number), (3, len(truth)))
        first, second, new = truth + jnp.sqrt(noise) * drawn
        both = jnp.stack([first, second], axis=1)
        estimates = least_squares.least_norm(design, both, widths)
        estimates += [least_squares.penalised(design, both, penalty) for penalty in penalties]
        fitted = jnp.stack([design[:, : len(b)] @ b for b in estimates])  # (estimates, n, 2)
        weights = [*(0.0 for _ in widths), *penalties]
        off = fitted - truth[:, None]
        return {
            "bias": jnp.mean(off[..., 0] * off[..., 1], axis=1),
            "variance": jnp.mean((off[..., 0] - off[..., 1]) ** 2, axis=1) / 2,
            "error": jnp.mean((fitted[..., 0] - new) ** 2, axis=1),
            "slope": jnp.stack(
                [
                    least_squares.stationarity(design[:, : len(b)], both, b, weight)
                    for b, weight in zip(estimates, weights, strict=True)
                ]
            ),
        }

    return jax.lax.map(one, numbers)


def gaussian(
    squares: np.ndarray,
    noise: float,
    *,
    sizes: Sequence[tuple[int, int]],
    pairs: range,
    seed: int,
) -> Found:
    """Least squares of least norm with p of D Gaussian features and n samples.

    Args:
        squares: b_j^2 of all D features.
        noise: Var e.
        sizes: The (n, p); a smaller training set is the beginning of a larger one.
        pairs: Numbers of the pairs of training sets.
        seed: Root of all random streams.

    Returns:
        "bias" and "variance" of the prediction of a new sample, exact given the training sets:
        (pairs, sizes).

    Raises:
        UsageError: an estimate is no minimiser (a singular draw).
    """
    with jax.enable_x64(True):
        numbers = jnp.arange(pairs.start, pairs.stop)
        signal = jnp.sqrt(jnp.asarray(squares))
        found = _of_gaussian(jax.random.key(seed), numbers, signal, noise, tuple(sizes))
        measured = {name: np.asarray(values) for name, values in found.items()}
    least_squares.require_minimisers(measured.pop("slope"), sizes)
    return measured


@partial(jax.jit, static_argnums=4)
def _of_gaussian(
    key: jax.Array,
    numbers: jax.Array,
    signal: jax.Array,
    noise: float,
    sizes: tuple[tuple[int, int], ...],
) -> dict[str, jax.Array]:
    most = max(n for n, _ in sizes)

    def deviations(number: jax.Array) -> tuple[jax.Array, jax.Array]:
        """b_hat - b of every size, (sizes, D), and the relative gradients."""
        x, y = training_set(key, number, signal, noise, most)
        estimates, slopes = [], []
        for n, group in groupby(sizes, key=lambda size: size[0]):
            for b in least_squares.least_norm(x[:n], y[:n], [p for _, p in group]):
                estimates.append(jnp.pad(b, (0, signal.size - b.size)) - signal)
                slopes.append(least_squares.stationarity(x[:n, : b.size], y[:n], b))
        return jnp.stack(estimates), jnp.stack(slopes)

    def one(number: jax.Array) -> dict[str, jax.Array]:
        (first, second), slopes = jax.lax.map(deviations, 2 * number + jnp.arange(2))
        return {
            "bias": jnp.sum(first * second, axis=1),
            "variance": jnp.sum((first - second) ** 2, axis=1) / 2,
            "slope": jnp.max(slopes, axis=0),
        }

    return jax.lax.map(one, numbers)

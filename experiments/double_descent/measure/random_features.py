r"""Least squares of least norm on random features of handwritten digits.  No SymPy here.

Features are $\cos(v^\top x + u)$, or draws of the Gaussian process with the same kernel.  Widths
share their features: N means the first N.  Everything in float64.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.double_descent.measure import least_squares

Array = Any
CLASSES = 10
#: What the grid of training sizes and widths keeps of a cell.
KEPT = ("squared", "training", "slope")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Digits:
    """Digits to train on and digits to test with.

    Args:
        pool: Inputs the training sets are drawn from, (P, 64).
        test: Inputs of the test set, (T, 64).
        labels: Classes of the pool, (P,).
        truth: Classes of the test set, (T,).
    """

    pool: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    truth: np.ndarray = field(repr=False)

    @cached_property
    def scale(self) -> float:
        """Width sigma of the kernel: half the median distance of two digits of the pool."""
        squares = np.sum(self.pool**2, axis=1)
        distances = squares[:, None] + squares - 2 * self.pool @ self.pool.T
        pairs = distances[np.triu_indices(len(squares), 1)]
        return float(np.sqrt(np.median(np.maximum(pairs, 0.0))) / 2)


def cosine(
    digits: Digits,
    *,
    samples: int,
    widths: Sequence[int],
    label_noise: Sequence[float],
    repetitions: range,
    seed: int,
) -> Mapping[str, np.ndarray]:
    """Errors with cosine features, for pairs of independent training sets and features.

    Args:
        digits: The data.
        samples: n.
        widths: The N.
        label_noise: Shares of wrong training labels.
        repetitions: Numbers of the pairs.
        seed: Root of all random streams.

    Returns:
        For each pair and its two members, (pairs, 2, ...): "rows" (n,) and "labels" (L, n) of the
        training set; "squared" and "wrong", the test errors, "training", the squared error on the
        training set, and "norm" of the coefficients, (N, L).  For each pair "bias" and "variance"
        of the predictions, (pairs, N, L), unbiased.
    """
    sizes = Sizes(samples, tuple(widths), tuple(label_noise))
    return _measured(_cosine, digits, sizes, repetitions, seed)


def gaussian(
    digits: Digits, *, samples: int, widths: Sequence[int], repetitions: range, seed: int
) -> Mapping[str, np.ndarray]:
    """The same with Gaussian features of the same kernel, without label noise."""
    return _measured(_gaussian, digits, Sizes(samples, tuple(widths)), repetitions, seed)


def grid(
    digits: Digits,
    *,
    samples: Sequence[int],
    widths: Sequence[int],
    label_noise: float,
    repetitions: range,
    seed: int,
) -> Mapping[str, np.ndarray]:
    """Errors with cosine features for many training sizes.

    A smaller training set is the beginning of a larger one.

    Returns:
        "squared" test errors and "training" errors, (repetitions, n, N).
    """
    sizes = tuple(samples), tuple(widths), label_noise
    found = _in_double(_of_grid, sizes, digits, repetitions, seed)
    slopes = found.pop("slope").reshape(len(repetitions), -1)
    least_squares.require_minimisers(slopes, [(n, N) for n in samples for N in widths])
    return found


def kernels(
    digits: Digits, *, samples: int, widths: Sequence[int], repetitions: range, seed: int
) -> Mapping[str, np.ndarray]:
    """Errors of the kernel of N cosine features.

    Returns:
        "rows", the digits of each repetition, (repetitions, n), and "kernel", the mean squared
        error over their pairs, (repetitions, N).
    """
    return _in_double(_of_kernels, (samples, tuple(widths)), digits, repetitions, seed)


class Sizes(NamedTuple):
    """n, the N and the shares of wrong labels: what a program is compiled for."""

    samples: int
    widths: tuple[int, ...]
    label_noise: tuple[float, ...] = (0.0,)


#: A key, the data, sigma and the sizes -> arrays of one member.
Member = Callable[[Array, Digits, float, Sizes], dict[str, Array]]


def _measured(
    one: Member, digits: Digits, sizes: Sizes, repetitions: range, seed: int
) -> dict[str, np.ndarray]:
    """Pairs of members, with the bias and the variance of their predictions."""
    found = _in_double(_of_pairs, (one, sizes), digits, repetitions, seed)
    slopes = found.pop("slope").reshape(-1, len(sizes.widths))
    least_squares.require_minimisers(slopes, [(sizes.samples, N) for N in sizes.widths])
    return found


def _in_double(
    program: Callable[..., dict[str, Array]],
    sizes: tuple[Any, ...],
    digits: Digits,
    repetitions: range,
    seed: int,
) -> dict[str, np.ndarray]:
    """What a program finds for these repetitions, in float64."""
    with jax.enable_x64(True):
        data = Digits(
            *(jnp.asarray(part, jnp.float64) for part in (digits.pool, digits.test)),
            *map(jnp.asarray, (digits.labels, digits.truth)),
        )
        numbers = jnp.arange(repetitions.start, repetitions.stop)
        found = program(sizes, numbers, jax.random.key(seed), data, digits.scale)
        return {name: np.asarray(values) for name, values in found.items()}


@partial(jax.jit, static_argnums=0)
def _of_pairs(
    what: tuple[Member, Sizes], numbers: Array, key: Array, data: Digits, scale: float
) -> dict[str, Array]:
    one, sizes = what

    def pair(number: Array) -> dict[str, Array]:
        keys = jax.random.split(jax.random.fold_in(key, number))
        both = jax.lax.map(lambda each: one(each, data, scale, sizes), keys)
        first, second = both.pop("predictions")
        truth = jax.nn.one_hot(data.truth, CLASSES)
        return {
            **both,
            "bias": jnp.mean(jnp.sum((first - truth) * (second - truth), axis=-1), axis=-1),
            "variance": jnp.mean(jnp.sum((first - second) ** 2, axis=-1), axis=-1) / 2,
        }

    return jax.lax.map(pair, numbers)


@partial(jax.jit, static_argnums=0)
def _of_grid(
    sizes: tuple[tuple[int, ...], tuple[int, ...], float],
    numbers: Array,
    key: Array,
    data: Digits,
    scale: float,
) -> dict[str, Array]:
    samples, widths, label_noise = sizes

    def one(number: Array) -> dict[str, Array]:
        of_rows, of_labels, of_features = jax.random.split(jax.random.fold_in(key, number), 3)
        rows = jax.random.permutation(of_rows, len(data.pool))[: max(samples)]
        labels = _with_noise(of_labels, data.labels[rows], (label_noise,))
        x, new = _cosines(of_features, data.pool[rows], data.test, scale, max(widths))
        found = [_errors(x[:n], new, labels[:, :n], data.truth, widths) for n in samples]
        kept = {name: jnp.stack([each[name] for each in found]) for name in KEPT}
        return {name: values.reshape(len(samples), len(widths)) for name, values in kept.items()}

    return jax.lax.map(one, numbers)


@partial(jax.jit, static_argnums=0)
def _of_kernels(
    sizes: tuple[int, tuple[int, ...]], numbers: Array, key: Array, data: Digits, scale: float
) -> dict[str, Array]:
    samples, widths = sizes

    def one(number: Array) -> dict[str, Array]:
        of_rows, of_features = jax.random.split(jax.random.fold_in(key, number))
        rows = jax.random.permutation(of_rows, len(data.pool))[:samples]
        inputs = data.pool[rows]
        x, _ = _cosines(of_features, inputs, data.test[:1], scale, max(widths))
        kernel = _kernel(inputs, scale)
        off = [jnp.mean((x[:, :N] @ x[:, :N].T / N - kernel) ** 2) for N in widths]
        return {"rows": rows, "kernel": jnp.stack(off)}

    return jax.lax.map(one, numbers)


def _cosine(key: Array, data: Digits, scale: float, sizes: Sizes) -> dict[str, Array]:
    """One training set with its cosine features."""
    of_rows, of_labels, of_features = jax.random.split(key, 3)
    rows = jax.random.permutation(of_rows, len(data.pool))[: sizes.samples]
    labels = _with_noise(of_labels, data.labels[rows], sizes.label_noise)
    x, new = _cosines(of_features, data.pool[rows], data.test, scale, max(sizes.widths))
    errors = _errors(x, new, labels, data.truth, sizes.widths)
    return {"rows": rows, "labels": labels, **errors}


def _gaussian(key: Array, data: Digits, scale: float, sizes: Sizes) -> dict[str, Array]:
    """One training set with draws of the Gaussian process at training and test digits."""
    of_rows, of_labels, of_features = jax.random.split(key, 3)
    rows = jax.random.permutation(of_rows, len(data.pool))[: sizes.samples]
    labels = _with_noise(of_labels, data.labels[rows], sizes.label_noise)
    inputs = jnp.concatenate([data.pool[rows], data.test])
    root = jnp.linalg.cholesky(_kernel(inputs, scale))
    features = root @ jax.random.normal(of_features, (len(inputs), max(sizes.widths)))
    x, new = features[: sizes.samples], features[sizes.samples :]
    errors = _errors(x, new, labels, data.truth, sizes.widths)
    return {"rows": rows, "labels": labels, **errors}


def _errors(
    x: Array, new: Array, labels: Array, truth: Array, widths: Sequence[int]
) -> dict[str, Array]:
    """Errors of every width and label noise, from features of training and test digits."""
    levels = len(labels)
    targets = jax.nn.one_hot(labels, CLASSES, axis=-1)  # (L, n, 10)
    y = jnp.moveaxis(targets, 0, 1).reshape(len(x), -1)  # (n, L 10)
    rows = []
    for N, w in zip(widths, least_squares.least_norm(x, y, widths), strict=True):
        split = lambda values: jnp.moveaxis(values.reshape(len(values), levels, CLASSES), 1, 0)
        found, fitted = split(new[:, :N] @ w), split(x[:, :N] @ w)
        error = jnp.sum((found - jax.nn.one_hot(truth, CLASSES)) ** 2, axis=-1)
        rows.append(
            {
                "squared": jnp.mean(error, axis=-1),
                "wrong": jnp.mean(jnp.argmax(found, axis=-1) != truth, axis=-1),
                "training": jnp.mean(jnp.sum((fitted - targets) ** 2, axis=-1), axis=-1),
                # of the features with the factor sqrt(1/N), whose kernel has a limit
                "norm": jnp.sqrt(N * jnp.sum(split(w) ** 2, axis=(1, 2))),
                "slope": least_squares.stationarity(x[:, :N], y, w),
                "predictions": found,
            }
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def _cosines(
    key: Array, inputs: Array, test: Array, scale: float, count: int
) -> tuple[Array, Array]:
    """sqrt(2) cos(v'x + u) of training and test inputs; the first N columns are those of N."""
    of_v, of_u = jax.random.split(key)
    v = jax.random.normal(of_v, (count, inputs.shape[1])) / scale
    u = jax.random.uniform(of_u, (count,), maxval=2 * jnp.pi)
    return tuple(jnp.sqrt(2.0) * jnp.cos(x @ v.T + u) for x in (inputs, test))


def _kernel(inputs: Array, scale: float) -> Array:
    """exp(-|x - x'|^2/(2 scale^2)) of all pairs."""
    squares = jnp.sum(inputs**2, axis=1)
    distances = jnp.maximum(squares[:, None] + squares - 2 * inputs @ inputs.T, 0.0)
    return jnp.exp(-distances / (2 * scale**2))


def _with_noise(key: Array, labels: Array, shares: Sequence[float]) -> Array:
    """Labels for every share of wrong ones, (L, n); more noise changes more of the same labels."""
    of_which, of_what = jax.random.split(key)
    lot = jax.random.uniform(of_which, labels.shape)
    other = (labels + jax.random.randint(of_what, labels.shape, 1, CLASSES)) % CLASSES
    return jnp.stack([jnp.where(lot < share, other, labels) for share in shares])

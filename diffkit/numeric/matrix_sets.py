"""Random members of the named sets of arrays, and the test whether an array is one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError

Array = Any
Draw = Callable[[tuple[int, ...], np.random.Generator], Array]

#: How far an array may be from a set and still count as a member.
CLOSE = 1e-8


def draw(domain: Domain, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """An array of the given shape in a domain: a matrix set, or numbers of an interval.

    Raises:
        UsageError: no array of this shape belongs to the set.
    """
    if domain.matrix_set:
        return _SETS[domain.matrix_set][0](shape, random)
    drawn = random.normal(size=shape) * 1.25
    low, high = float(domain.low), float(domain.high)
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) * (0.5 + np.arctan(drawn) / np.pi)
    if np.isfinite(low):
        return low + np.exp(drawn)
    if np.isfinite(high):
        return high - np.exp(drawn)
    return drawn


def belongs(value: Array, domain: Domain) -> bool:
    """Whether every matrix (or number) of an array lies in the domain."""
    if domain.matrix_set:
        return _SETS[domain.matrix_set][1](np.asarray(value, dtype=float))
    return all(domain.contains(float(entry)) for entry in np.ravel(value))


def _square(shape: tuple[int, ...], what: str) -> int:
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise UsageError(f"a {what} array is a square matrix, not one of shape {shape}")
    return shape[-1]


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _symmetric(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    _square(shape, "symmetric")
    drawn = random.normal(size=shape)
    return (drawn + _turned(drawn)) / 2


def _spd(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    n = _square(shape, "spd")
    drawn = random.normal(size=shape)
    return drawn @ _turned(drawn) / n + np.eye(n) / 2


def _orthogonal(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    _square(shape, "orthogonal")
    return np.linalg.qr(random.normal(size=shape))[0]


def _triangular(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    n = _square(shape, "triangular")
    return np.tril(random.normal(size=shape)) / np.sqrt(n) + 2 * np.eye(n)


def _simplex(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if not shape:
        raise UsageError("a simplex array is a vector (or a batch of them), not a number")
    drawn = random.exponential(size=shape)
    return drawn / drawn.sum(axis=-1, keepdims=True)


def _one_hot(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if not shape:
        raise UsageError("a one_hot array is a vector (or a batch of them), not a number")
    chosen = random.integers(0, shape[-1], size=shape[:-1])
    return (chosen[..., None] == np.arange(shape[-1])).astype(float)


def _is_square(x: Array) -> bool:
    return x.ndim > 1 and x.shape[-1] == x.shape[-2]


def _is_symmetric(x: Array) -> bool:
    return _is_square(x) and bool(np.all(np.abs(x - _turned(x)) <= CLOSE * (1 + np.abs(x))))


def _is_spd(x: Array) -> bool:
    return _is_symmetric(x) and bool(np.all(np.linalg.eigvalsh(x) > 0))


def _is_orthogonal(x: Array) -> bool:
    return _is_square(x) and bool(np.all(np.abs(x @ _turned(x) - np.eye(x.shape[-1])) <= CLOSE))


def _is_triangular(x: Array) -> bool:
    return _is_square(x) and bool(np.all(np.triu(x, 1) == 0))


def _is_simplex(x: Array) -> bool:
    near = np.abs(x.sum(axis=-1) - 1) <= CLOSE if x.ndim else False
    return bool(np.all(x >= 0) and np.all(near))


def _is_one_hot(x: Array) -> bool:
    return _is_simplex(x) and bool(np.all((x == 0) | (x == 1)))


_SETS: dict[str, tuple[Draw, Callable[[Array], bool]]] = {
    "symmetric": (_symmetric, _is_symmetric),
    "spd": (_spd, _is_spd),
    "orthogonal": (_orthogonal, _is_orthogonal),
    "triangular": (_triangular, _is_triangular),
    "simplex": (_simplex, _is_simplex),
    "one_hot": (_one_hot, _is_one_hot),
}

#: The names of the sets.
NAMES: tuple[str, ...] = tuple(_SETS)

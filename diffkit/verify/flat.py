"""Several arrays as one vector: pulled back, pushed forward, and held against each other."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.bridge.arguments import USER_ERRORS

#: Entries below this share of the largest are rounding.
RESIDUE = 1e-3
Flat = tuple[np.ndarray, ...]


def pull_back(run: Callable[..., Any], operands: Sequence[Any], cotangent: Flat) -> Flat:
    r"""$J^\top g$ of a function of arrays with a tuple of results."""
    results, pull = jax.vjp(run, *operands)
    weights = [jnp.asarray(g, each.dtype) for g, each in zip(cotangent, results, strict=True)]
    return plain(pull(tuple(weights)))


def push_forward(run: Callable[..., Any], operands: Sequence[Any], tangent: Flat) -> Flat:
    """J t of a function of arrays with a tuple of results."""
    moved = tuple(jnp.asarray(t, each.dtype) for t, each in zip(tangent, operands, strict=True))
    return plain(jax.jvp(run, tuple(operands), moved)[1])


def or_none(run: Callable[[], Flat]) -> Flat | None:
    """What `run` returns; None where it raises."""
    try:
        return run()
    except USER_ERRORS:
        return None


def plain(arrays: Sequence[Any]) -> Flat:
    """The arrays in float64."""
    return tuple(np.asarray(each).astype(np.float64) for each in arrays)


def drawn(shapes: Sequence[tuple[int, ...]], random: np.random.Generator) -> Flat:
    """Random directions in numbers of eight bits, the same in every precision."""
    return tuple(
        np.asarray(random.normal(size=shape)).astype(jnp.bfloat16).astype(np.float64)
        for shape in shapes
    )


def scaled(arrays: Flat, scale: float) -> Flat:
    """Every array times a number."""
    return tuple(scale * each for each in arrays)


def is_finite(arrays: Flat) -> bool:
    """Whether every entry is a number."""
    return all(bool(np.all(np.isfinite(each))) for each in arrays)


def size_of(arrays: Flat) -> float:
    """The largest magnitude of an entry; 0 without any."""
    return max((float(np.max(np.abs(each), initial=0.0)) for each in arrays), default=0.0)


def largest_of(arrays: Flat) -> float:
    """The entry of the largest magnitude, with its sign."""
    entries = np.concatenate([np.ravel(each) for each in arrays])
    return float(entries[np.argmax(np.abs(entries))])


def gap_of(found: Flat, expected: Flat, others: Flat = ()) -> float:
    """The largest difference as a share of the largest entry of its array.

    An array that is rounding beside the others, or beside `others` it was summed from, counts as
    a share of theirs.
    """
    whole = max(size_of(found), size_of(expected), size_of(others))
    if whole == 0:
        return 0.0
    floor = RESIDUE * whole
    return max(
        float(np.max(np.abs(a - b), initial=0.0)) / max(size_of((a, b)), floor)
        for a, b in zip(found, expected, strict=True)
    )


def inner(left: Flat, right: Flat) -> float:
    """The inner product."""
    return float(sum(np.sum(a * b) for a, b in zip(left, right, strict=True)))

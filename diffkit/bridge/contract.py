"""Products of arrays with labelled axes: matrix products where something is summed.

A product that sums over nothing is a broadcast multiplication, which XLA fuses with what follows;
the same product as `einsum` would be a matrix product over nothing and be written to memory.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Array = Any
Labels = tuple[int, ...]

#: Matrix products on accelerators run at full precision, as the formula says.
PRECISION = jax.lax.Precision.HIGHEST


def contract(arrays: Sequence[Array], labels: Sequence[Sequence[int]], out: Sequence[int]) -> Array:
    """The product of arrays, summed over the labels that `out` lacks.

    Args:
        arrays: The factors.
        labels: For each of them the label of each of its axes.
        out: Labels of the result.

    >>> x = jnp.arange(3.0)
    >>> contract([x, x], [(0,), (1,)], (0, 1)).shape
    (3, 3)
    """
    place = {label: k for k, label in enumerate(out)}
    if len(arrays) > 1:
        arrays, labels = _summed_alone(arrays, labels, place.keys())
    if all(len(set(ls)) == len(ls) and set(ls) <= place.keys() for ls in labels):
        return _outer(arrays, [[place[l] for l in ls] for ls in labels], len(place))
    pairs = [part for x, ls in zip(arrays, labels, strict=True) for part in (x, list(ls))]
    return jnp.einsum(*pairs, list(out), precision=PRECISION)


def _summed_alone(
    arrays: Sequence[Array], labels: Sequence[Sequence[int]], out: Iterable[int]
) -> tuple[list[Array], list[Sequence[int]]]:
    """The factors after sums over labels that one of them carries alone."""
    count = Counter([*out, *(l for ls in labels for l in ls)])
    summed, left = [], []
    for x, ls in zip(arrays, labels, strict=True):
        axes = tuple(k for k, l in enumerate(ls) if count[l] == 1 and l not in set(out))
        summed.append(jnp.sum(x, axis=axes) if axes else x)
        left.append([l for k, l in enumerate(ls) if k not in axes])
    return summed, left


def _outer(arrays: Sequence[Array], places: Sequence[Sequence[int]], rank: int) -> Array:
    """The product of arrays laid along the axes of the result."""
    result: Any = None
    for x, axes in zip(arrays, places, strict=True):
        laid = lay(x, tuple(axes), rank)
        result = laid if result is None else result * laid
    return result


def lay(x: Array, axes: Labels, rank: int) -> Array:
    """An operand with its axes at their places among `rank`, length 1 elsewhere."""
    if axes == tuple(range(rank - len(axes), rank)) or not axes:
        return x
    order = sorted(range(len(axes)), key=axes.__getitem__)
    if order != list(range(len(axes))):
        x = jnp.transpose(x, order)
    shape = [1] * rank
    for k, axis in enumerate(sorted(axes)):
        shape[axis] = x.shape[k]
    return jnp.reshape(x, shape)


def gram(scaled: Array, plain: Array) -> Array:
    """scaled' plain where that is symmetric, as X' W X is: the block below the diagonal is copied.

    Three of four blocks are multiplied, so it takes three quarters of the time.

    Args:
        scaled: For example W X.
        plain: For example X.

    >>> gram(jnp.ones((3, 4)), jnp.ones((3, 4)))[3, 0]
    Array(3., dtype=float32)
    """
    half = plain.shape[1] // 2
    top = jnp.matmul(scaled[:, :half].T, plain, precision=PRECISION)
    corner = jnp.matmul(scaled[:, half:].T, plain[:, half:], precision=PRECISION)
    return jnp.concatenate([top, jnp.concatenate([top[:, half:].T, corner], axis=1)], axis=0)


def add_transposed(x: Array, y: Array) -> Array:
    """x + y for a y that is a transposed array, written to memory before it is added.

    XLA's CPU compiler fuses the transposition into the sum and then reads y with the stride of a
    row, 5 times slower at 1024 x 1024; into a branch it does not fuse.  Both branches are x + y.
    """
    if jax.default_backend() != "cpu":
        return x + y
    is_nan = jnp.isnan(x[(0,) * x.ndim])
    return jax.lax.cond(is_nan, lambda z: z + x, lambda z: x + z, y)

"""Whole numbers and truth values that depend on no argument, as the program computes them.

Masks, static indices and identity matrices arrive as integer arithmetic on iota.  It is carried
out, and the result is recognised: an index equation becomes an `Affine`, anything else a constant.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from diffkit.tensor import views
from diffkit.tensor.nodes import affine
from diffkit.tensor.views import View

#: Entries of a static array that is written out as a constant of a formula.
LARGEST_CONSTANT = 10_000


@dataclass(frozen=True, eq=False)
class Static:
    """An array the program computes from nothing.

    Args:
        value: Its entries.
    """

    value: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""
        return self.value.shape


def varying(value: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """The array without the axes along which nothing changes, and the axes that stay."""
    kept = []
    for axis in range(value.ndim):
        first = np.take(value, [0], axis=axis) if value.shape[axis] else value
        if value.shape[axis] > 1 and not np.all(value == first):
            kept.append(axis)
    index = tuple(slice(None) if axis in kept else 0 for axis in range(value.ndim))
    return value[index] if value.size else value, tuple(kept)


def _laid(node_view: View, kept: tuple[int, ...], shape: tuple[int, ...]) -> View:
    axes: list[int | None] = [None] * len(shape)
    for k, axis in enumerate(kept):
        axes[axis] = k
    return View(node_view.node, tuple(axes), shape)


def as_numbers(static: Static) -> View | None:
    """The array as exact numbers; None when it is too large and no index equation."""
    value = static.value
    if value.dtype == np.bool_:
        return as_mask(static)
    core, kept = varying(value)
    if not kept:
        return views.number(_exact(core.ravel()[0]) if core.size else sp.S.Zero, value.shape)
    if set(np.unique(core)) <= {0, 1} and core.ndim > 1:
        found = _recognised(core != 0)
        if found is not None:
            return _laid(found, kept, value.shape)
    if core.size > LARGEST_CONSTANT:
        return None
    entries = [_exact(entry) for entry in core.ravel()]
    return _laid(views.array(entries, core.shape), kept, value.shape)


def _exact(entry: Any) -> sp.Expr:
    return sp.Integer(int(entry)) if float(entry).is_integer() else sp.Rational(str(float(entry)))


def as_mask(static: Static) -> View | None:
    """Truth values as a 0/1 array; None when it is too large and no index equation."""
    value = static.value
    core, kept = varying(value)
    if not kept:
        return views.number(int(bool(core.ravel()[0])) if core.size else 0, value.shape)
    found = _recognised(core)
    if found is None:
        if core.size > LARGEST_CONSTANT:
            return None
        entries = [sp.Integer(int(entry)) for entry in core.ravel()]
        found = views.array(entries, core.shape)
    return _laid(found, kept, value.shape)


def _recognised(mask: np.ndarray) -> View | None:
    """A mask as an index equation or inequality, if it is one."""
    if mask.ndim == 1:
        return _interval(mask)
    if mask.ndim == 2:
        return _band(mask)
    return None


def _interval(mask: np.ndarray) -> View | None:
    (places,) = np.nonzero(mask)
    n = len(mask)
    if len(places) == 1:
        return views.view(affine((n,), (1,), -int(places[0])))
    if len(places) and np.array_equal(places, np.arange(places[0], n)):
        return views.view(affine((n,), (1,), -int(places[0]), ">="))
    if len(places) and np.array_equal(places, np.arange(len(places))):
        return views.view(affine((n,), (-1,), len(places) - 1, ">="))
    return None


def _band(mask: np.ndarray) -> View | None:
    rows, columns = mask.shape
    i, j = np.indices(mask.shape)
    on = np.nonzero(mask)
    if not len(on[0]):
        return None
    gap = i - j
    inside = gap[mask]
    for coefficients, offset, relation in (
        ((1, -1), -int(inside[0]), "="),
        ((1, -1), -int(inside.min()), ">="),
        ((-1, 1), int(inside.max()), ">="),
        (*_line(on), "="),
    ):
        total = coefficients[0] * i + coefficients[1] * j + offset
        if np.array_equal(mask, total == 0 if relation == "=" else total >= 0):
            return views.view(affine((rows, columns), coefficients, offset, relation))
    return None


def _line(on: tuple[np.ndarray, ...]) -> tuple[tuple[int, int], int]:
    """The equation through the first two entries that hold: a i + b j + c = 0."""
    if len(on[0]) < 2:
        return (1, -1), 0
    di, dj = int(on[0][1] - on[0][0]), int(on[1][1] - on[1][0])
    common = np.gcd(di, dj) or 1
    a, b = dj // common, -di // common
    return (a, b), -(a * int(on[0][0]) + b * int(on[1][0]))


def selection(indices: np.ndarray, length: int) -> View | None:
    """The 0/1 array whose entry (..., k) says that `indices` at ... is k."""
    core, kept = varying(indices)
    shape = (*indices.shape, length)
    if not kept:
        unit = views.view(affine((length,), (1,), -int(core.ravel()[0]) if core.size else 0))
        return _laid(unit, (indices.ndim,), shape)
    fitted = _fit(core)
    if fitted is not None:
        slopes, start = fitted
        found = views.view(affine((*core.shape, length), (*slopes, -1), start))
        return _laid(found, (*kept, indices.ndim), shape)
    if core.size * length > LARGEST_CONSTANT:
        return None
    hot = core[..., None] == np.arange(length)
    entries = [sp.Integer(int(entry)) for entry in hot.ravel()]
    return _laid(views.array(entries, hot.shape), (*kept, indices.ndim), shape)


def _fit(core: np.ndarray) -> tuple[tuple[int, ...], int] | None:
    """Slopes and offset of an array that is affine in its indices."""
    start = int(core[(0,) * core.ndim])
    slopes = []
    for axis in range(core.ndim):
        step = tuple(1 if k == axis else 0 for k in range(core.ndim))
        slopes.append(int(core[step]) - start)
    grid = np.indices(core.shape)
    expected = sum((s * g for s, g in zip(slopes, grid, strict=True)), start)
    return (tuple(slopes), start) if np.array_equal(core, expected) else None

"""The table of array primitives: how each equation reads as views.

A rule gets the walk, the equation and its operands, and returns its results or refuses with the
reason.  Linear selections (slice, pad, gather, convolution) become index equations, so they are
differentiated by the rule for products.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import sympy as sp

from diffkit.bridge import static
from diffkit.bridge.primitives import over_devices
from diffkit.bridge.static import Static
from diffkit.bridge.walk import RULES, First, Tests, Walk
from diffkit.tensor import build, views
from diffkit.tensor.nodes import affine, is_predicate
from diffkit.tensor.views import View

#: What a product over an axis leaves out.
_NO_ZERO = "the derivative of a product divides by its entries, none of which may be zero"


def _dot_general(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x, y = (walk.view(operand) for operand in operands)
    ((left, right), (left_batch, right_batch)) = eqn.params["dimension_numbers"]
    first = x.rank
    x_labels = list(range(x.rank))
    y_labels = list(range(first, first + y.rank))
    for a, b in (*zip(left, right, strict=True), *zip(left_batch, right_batch, strict=True)):
        y_labels[b] = x_labels[a]
    out = [
        *(x_labels[a] for a in left_batch),
        *(x_labels[a] for a in range(x.rank) if a not in left and a not in left_batch),
        *(y_labels[b] for b in range(y.rank) if b not in right and b not in right_batch),
    ]
    return [views.contract([(x, x_labels), (y, y_labels)], out)]


def _reduce_sum(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    axes = tuple(map(int, eqn.params["axes"]))
    return [views.total(x, axes) if axes else x]


def _mapped_sum(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """A sum over a `vmap` axis: once mapped, one of arrays."""
    reason = over_devices(eqn)
    if reason:
        raise walk.refusal(eqn, index, reason)
    return [each for operand in operands for each in _reduce_sum(walk, eqn, [operand], index)]


def _reduction(kind: str) -> Callable[..., list[Any]]:
    def rule(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        x = walk.view(operands[0])
        if is_predicate(x.node):
            raise walk.refusal(eqn, index, "reductions of booleans have no row")
        if kind == "prod":
            walk.note(_NO_ZERO, eqn)
        return [views.reduce(kind, x, tuple(map(int, eqn.params["axes"])))]

    return rule


def _slice(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    starts, limits = eqn.params["start_indices"], eqn.params["limit_indices"]
    strides = eqn.params["strides"] or (1,) * x.rank
    for axis, (start, limit, stride) in enumerate(zip(starts, limits, strides, strict=True)):
        length = max(-(-(limit - start) // stride), 0)
        x = views.select_linear(x, axis, length, stride, start)
    return [x]


def _reverse(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    for axis in eqn.params["dimensions"]:
        x = views.select_linear(x, axis, x.shape[axis], -1, x.shape[axis] - 1)
    return [x]


def _pad(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x, filling = (walk.view(operand) for operand in operands)
    value = build.number(filling.node)
    widths = eqn.params["padding_config"]
    if value is not None and value != 0 and value.is_finite is False:
        raise walk.refusal(eqn, index, "padding with an infinite value has no row")
    shifted = x if value == 0 else views.add(x, filling, -1)
    for axis, (low, high, interior) in enumerate(widths):
        shifted = views.pad(shifted, axis, int(low), int(high), int(interior))
    if value == 0:
        return [shifted]
    return [views.add(shifted, filling)]


def _concatenate(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    axis = int(eqn.params["dimension"])
    if all(isinstance(operand, Static) for operand in operands):
        return [Static(np.concatenate([operand.value for operand in operands], axis))]
    parts = [walk.view(operand) for operand in operands]
    if not is_predicate(parts[0].node):
        return [views.concatenate(parts, axis)]
    if all(part.shape[axis] == 1 for part in parts):
        flat = [views.squeeze(views.as_number(part), [axis]) for part in parts]
        return [Tests(tuple(views.elementwise(lambda x: sp.Ne(x, 0), x) for x in flat), axis)]
    joined = views.concatenate([views.as_number(part) for part in parts], axis)
    return [views.elementwise(lambda x: sp.Ne(x, 0), joined)]


def _stack(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    axis = int(eqn.params["axis"])
    if all(isinstance(operand, Static) for operand in operands):
        return [Static(np.stack([operand.value for operand in operands], axis))]
    parts = [walk.view(operand) for operand in operands]
    if all(is_predicate(part.node) for part in parts):
        return [Tests(tuple(parts), axis)]
    return [views.concatenate([views.expand(part, axis) for part in parts], axis)]


def _unstack(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x, axis = walk.view(operands[0]), int(eqn.params["axis"])
    return [views.index(x, axis, k) for k in range(x.shape[axis])]


def _tile(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """Copies along every axis: a new axis per copied one, merged with it."""
    x = walk.view(operands[0])
    shape = tuple(eqn.outvars[0].aval.shape)
    repeats = [int(n) for n in eqn.params["reps"]]
    for axis, count in reversed(list(enumerate(repeats))):
        if count != 1:
            x = views.expand(x, axis, count)
    return [views.reshape(x, shape)]


def _position(kind: str) -> Callable[..., list[Any]]:
    """The first position of the maximum ("max") or minimum: the least k whose entry equals it."""

    def rule(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        (axis,) = map(int, eqn.params["axes"])
        tests = operands[0]
        if kind == "max" and isinstance(tests, Tests) and tests.axis == axis:
            return [First(tests.parts)]
        x = walk.view(tests)
        x = views.as_number(x) if is_predicate(x.node) else x
        n = x.shape[axis]
        extreme = views.expand(views.reduce(kind, x, [axis]), axis, n)
        places = views.array([sp.Integer(k) for k in range(n)], (n,))
        wide = views.broadcast_in_dim(places, x.shape, (axis,))
        reached = views.choose(views.elementwise(sp.Eq, x, extreme), wide, views.number(n))
        return [views.reduce("min", reached, [axis])]

    return rule


def _quantifier(kind: str) -> Callable[..., list[Any]]:
    """Whether any ("max") or all ("min") of some truth values hold."""

    def rule(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        read = walk.view(operands[0])
        if not is_predicate(read.node):
            raise walk.refusal(eqn, index, "bitwise logic of whole numbers has no row")
        found = views.reduce(kind, views.as_number(read), tuple(map(int, eqn.params["axes"])))
        return [views.elementwise(lambda x: sp.Ne(x, 0), found)]

    return rule


def _split(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    axis, start, parts = int(eqn.params["axis"]), 0, []
    for length in eqn.params["sizes"]:
        parts.append(views.select_linear(x, axis, int(length), 1, start))
        start += int(length)
    return parts


def _cumulative(kind: str) -> Callable[..., list[Any]]:
    def rule(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        x = walk.view(operands[0])
        axis, is_reversed = int(eqn.params["axis"]), bool(eqn.params["reverse"])
        if kind == "sum":
            return [views.cumulative_sum(x, axis, reverse=is_reversed)]
        n = x.shape[axis]
        if kind == "prod":
            walk.note(_NO_ZERO, eqn)
        # result entry i joins the operand's entries j <= i (or >= i)
        mask = affine((n, n), (-1, 1) if is_reversed else (1, -1), 0, ">=")
        neutral = {"max": -sp.oo, "logsumexp": -sp.oo, "min": sp.oo, "prod": sp.S.One}[kind]
        wide = views.expand(x, axis, n)  # ..., i, j, ...
        axes: list[int | None] = [None] * wide.rank
        axes[axis], axes[axis + 1] = 0, 1
        predicate = views.truth(View(mask, tuple(axes), wide.shape))
        kept = views.choose(predicate, wide, views.number(neutral))
        return [views.reduce(kind, kept, [axis + 1])]

    return rule


def _gather(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """x[indices]: every indexed axis is contracted with the selection its index makes."""
    x = walk.view(operands[0])
    numbers = eqn.params["dimension_numbers"]
    sizes = tuple(eqn.params["slice_sizes"])
    batching = tuple(getattr(numbers, "operand_batching_dims", ()) or ())
    index_batching = tuple(getattr(numbers, "start_indices_batching_dims", ()) or ())
    indexed = tuple(map(int, numbers.start_index_map))
    collapsed = tuple(map(int, numbers.collapsed_slice_dims))
    indices = operands[1]
    batch_rank = len(indices.shape) - 1
    out_rank = len(eqn.outvars[0].aval.shape)
    offset = tuple(map(int, numbers.offset_dims))
    batch_out = [k for k in range(out_rank) if k not in offset]
    labels = list(range(100, 100 + x.rank))
    factors: list[tuple[View, list[int]]] = []
    out: list[int] = [-1] * out_rank
    for k, place in enumerate(batch_out):
        out[place] = k
    for a, b in zip(batching, index_batching, strict=True):
        labels[a] = b if b < batch_rank else b - 1
    kept = [a for a in range(x.rank) if a not in collapsed and a not in batching]
    for a, place in zip(kept, offset, strict=True):
        out[place] = labels[a]
    for column, axis in enumerate(indexed):
        picked = _selection(walk, eqn, index, indices, column, x.shape[axis], sizes[axis])
        if axis in collapsed:
            factors.append((picked, [*range(batch_rank), labels[axis]]))
            continue
        if sizes[axis] == x.shape[axis] and _is_zero(indices, column):
            continue
        window = 200 + axis
        out[out.index(labels[axis])] = window
        picked = _window(picked, sizes[axis], x.shape[axis])
        factors.append((picked, [*range(batch_rank), window, labels[axis]]))
    present = {l for _, ls in factors for l in ls} | set(labels)
    for k in range(batch_rank):
        if k not in present:
            length = indices.shape[k]
            factors.append((views.number(1, (length,)), [k]))
    for axis in range(x.rank):
        is_whole = sizes[axis] == x.shape[axis]
        if axis not in indexed and axis not in batching and not is_whole:
            raise walk.refusal(eqn, index, "a slice of an axis that is not indexed has no row")
    return [views.contract([(x, labels), *factors], out)]


def _is_zero(indices: Any, column: int) -> bool:
    return isinstance(indices, Static) and not np.any(indices.value[..., column])


def _selection(
    walk: Walk,
    eqn: Any,
    number: int,
    indices: Any,
    column: int,
    length: int,
    size: int,
    *,
    drops: bool = False,
) -> View:
    """Axes of the indices but the last, then the indexed axis: 1 where the index points.

    An index out of bounds that is filled points nowhere where `drops` holds, else it is refused.
    """
    if isinstance(indices, Static):
        values = np.asarray(indices.value[..., column]).astype(np.int64)
        mode = str(eqn.params.get("mode", ""))
        outside = (values < 0) | (values > length - size)
        is_filled = "FILL" in mode and bool(np.any(outside))
        if is_filled and not drops:
            raise walk.refusal(eqn, number, "an index is out of bounds and filled")
        values = np.clip(values, 0, length - size)
        found = static.selection(values, length)
        if found is None:
            raise walk.too_large(values.size * length)
        if not is_filled:
            return found
        inside = walk.view(Static(np.asarray(~outside, dtype=np.int64)))
        return views.multiply(found, views.expand(inside, inside.rank, length))
    walk.note("indices are read as in bounds", eqn)
    read = walk.view(indices)
    own = views.index(read, read.rank - 1, column)
    return one_hot(own, length)


def one_hot(indices: View, length: int) -> View:
    """1 where an index of an argument equals the position, along a new last axis."""
    places = views.array([sp.Integer(k) for k in range(length)], (length,))
    wide = views.expand(indices, indices.rank, length)
    return views.as_number(views.elementwise(sp.Eq, wide, places))


def _window(picked: View, size: int, length: int) -> View:
    """A selection of the window of `size` entries that starts where `picked` points."""
    # entry w of the window is entry start + w: sum_s picked[s] [a = s + w]
    shift = views.view(affine((length, size, length), (1, 1, -1), 0))
    batch = list(range(picked.rank - 1))
    s, w, a = 300, 301, 302
    return views.contract([(picked, [*batch, s]), (shift, [s, w, a])], [*batch, w, a])


def _dynamic_slice(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x, *starts = operands
    x = walk.view(x)
    sizes = tuple(map(int, eqn.params["slice_sizes"]))
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if size == x.shape[axis]:
            continue
        if isinstance(start, Static):
            first = int(np.clip(start.value, 0, x.shape[axis] - size))
            x = views.select_linear(x, axis, size, 1, first)
            continue
        walk.note("indices are read as in bounds", eqn)
        picked = _window(one_hot(walk.view(start), x.shape[axis]), size, x.shape[axis])
        labels = list(range(x.rank))
        out = [*labels[:axis], 400, *labels[axis + 1 :]]
        x = views.contract([(x, labels), (picked, [400, axis])], out)
    return [x]


def _dynamic_update_slice(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x, update, *starts = operands
    x, update = walk.view(x), walk.view(update)
    ones = views.number(1, update.shape)
    for axis, start in enumerate(starts):
        length = x.shape[axis]
        update, ones = (_placed(walk, eqn, part, axis, start, length) for part in (update, ones))
    kept = views.multiply(x, views.add(views.number(1), ones, -1))
    return [views.add(kept, update)]


def _placed(walk: Walk, eqn: Any, part: View, axis: int, start: Any, length: int) -> View:
    """An array whose axis begins at `start` of a longer one, zeros around it."""
    size = part.shape[axis]
    if size == length:
        return part
    if isinstance(start, Static):
        first = int(np.clip(start.value, 0, length - size))
        return views.pad(part, axis, first, length - first - size)
    walk.note("indices are read as in bounds", eqn)
    picked = _window(one_hot(walk.view(start), length), size, length)
    labels = list(range(part.rank))
    out = [*labels[:axis], 400, *labels[axis + 1 :]]
    return views.contract([(part, labels), (picked, [axis, 400])], out)


def _repeats(indices: np.ndarray, batched: tuple[int, ...]) -> bool:
    """Whether a position occurs twice at equal indices of the batch axes."""
    grid = np.indices(indices.shape[:-1])
    columns = [*(grid[b].ravel() for b in batched), *indices.reshape(-1, indices.shape[-1]).T]
    flat = np.stack(columns, axis=1) if columns else np.zeros((grid[:1].size, 0))
    return len(np.unique(flat, axis=0)) != len(flat)


def _scatter(kind: str) -> Callable[..., list[Any]]:
    def rule(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        """x.at[indices].set(updates) or .add(updates) with static indices of whole rows."""
        x, indices, updates = operands
        x, updates = walk.view(x), walk.view(updates)
        numbers = eqn.params["dimension_numbers"]
        indexed = tuple(map(int, numbers.scatter_dims_to_operand_dims))
        inserted = tuple(map(int, numbers.inserted_window_dims))
        window = tuple(map(int, numbers.update_window_dims))
        batching = tuple(map(int, getattr(numbers, "operand_batching_dims", ()) or ()))
        batched = tuple(map(int, getattr(numbers, "scatter_indices_batching_dims", ()) or ()))
        batch_rank = len(indices.shape) - 1
        batch_out = [k for k in range(updates.rank) if k not in window]
        labels: list[int] = [-1] * updates.rank
        for k, place in enumerate(batch_out):
            labels[place] = k
        kept = [a for a in range(x.rank) if a not in inserted and a not in batching]
        out = list(range(100, 100 + x.rank))
        for a, b in zip(batching, batched, strict=True):
            out[a] = b
        masks: list[tuple[View, list[int]]] = []
        for a, place in zip(kept, window, strict=True):
            size = updates.shape[place]
            if a not in indexed and size != x.shape[a]:
                raise walk.refusal(eqn, index, "a window of an axis that is not indexed")
            labels[place] = out[a] if a not in indexed else 200 + a
        for column, axis in enumerate(indexed):
            size = 1 if axis in inserted else updates.shape[window[kept.index(axis)]]
            picked = _selection(walk, eqn, index, indices, column, x.shape[axis], size, drops=True)
            if axis in inserted:
                masks.append((picked, [*range(batch_rank), out[axis]]))
            else:
                spread = _window(picked, size, x.shape[axis])
                masks.append((spread, [*range(batch_rank), 200 + axis, out[axis]]))
        placed = views.contract([(updates, labels), *masks], out)
        if kind == "add":
            return [views.add(x, placed)]
        if isinstance(indices, Static):
            if _repeats(indices.value, batched):
                raise walk.refusal(eqn, index, "a position is replaced twice")
        elif prod(n for k, n in enumerate(indices.shape[:-1]) if k not in batched) > 1:
            raise walk.refusal(eqn, index, "several positions that are arguments may coincide")
        hit = views.contract([(views.number(1, updates.shape), labels), *masks], out)
        return [views.add(views.multiply(x, views.add(views.number(1), hit, -1)), placed)]

    return rule


def _convolution(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """A convolution: output o, kernel k and input i meet where i = stride o + dilation k - pad."""
    x, w = (walk.view(operand) for operand in operands)
    p = eqn.params
    spec = p["dimension_numbers"]
    groups = int(p["feature_group_count"])
    if int(p["batch_group_count"]) != 1:
        raise walk.refusal(eqn, index, "groups of the batch have no row")
    x = views.transpose(x, spec.lhs_spec)  # batch, channel, space
    w = views.transpose(w, spec.rhs_spec)  # out channel, in channel, space
    spatial = x.rank - 2
    x = views.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    w = views.reshape(w, (groups, w.shape[0] // groups, *w.shape[1:]))
    shape = eqn.outvars[0].aval.shape
    lengths = [shape[axis] for axis in spec.out_spec[2:]]
    batch, group, inside, outside = 0, 1, 2, 3
    space_in = [10 + k for k in range(spatial)]
    space_out = [20 + k for k in range(spatial)]
    space_kernel = [30 + k for k in range(spatial)]
    factors: list[tuple[View, list[int]]] = [
        (x, [batch, group, inside, *space_in]),
        (w, [group, outside, inside, *space_kernel]),
    ]
    for k in range(spatial):
        stride, (low, _) = int(p["window_strides"][k]), p["padding"][k]
        spread, step = int(p["lhs_dilation"][k]), int(p["rhs_dilation"][k])
        # lhs_dilation * i = stride * o + rhs_dilation * k - low
        equation = affine(
            (x.shape[3 + k], lengths[k], w.shape[3 + k]), (spread, -stride, -step), int(low)
        )
        factors.append((views.view(equation), [space_in[k], space_out[k], space_kernel[k]]))
    result = views.contract(factors, [batch, group, outside, *space_out])
    merged = (result.shape[0], groups * result.shape[2], *result.shape[3:])
    result = views.reshape(result, merged)
    return [views.transpose(result, np.argsort(spec.out_spec).tolist())]


def _reduce_window(kind: str) -> Callable[..., list[Any]]:
    def rule(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        """A reduction over a moving window, axis by axis."""
        x = walk.view(operands[0])
        p = eqn.params
        window, strides = p["window_dimensions"], p["window_strides"]
        padding = p["padding"]
        dilations = (*p["base_dilation"], *p["window_dilation"])
        if any(d != 1 for d in dilations):
            raise walk.refusal(eqn, index, "dilated windows have no row")
        if kind != "sum" and any(low or high for low, high in padding):
            raise walk.refusal(eqn, index, "padded windows of this reduction have no row")
        shape = eqn.outvars[0].aval.shape
        reduced = []
        for axis in range(x.rank):
            size, step, (low, _) = int(window[axis]), int(strides[axis]), padding[axis]
            place = axis + len(reduced)
            if size == step == 1 and not low:
                continue
            # entry (o, k) of the windows is entry step*o + k - low
            pick = affine((x.shape[place], shape[axis], size), (1, -step, -1), int(low))
            labels = list(range(x.rank))
            out = [*labels[:place], 100, 101, *labels[place + 1 :]]
            x = views.contract([(x, labels), (views.view(pick), [place, 100, 101])], out)
            reduced.append(place + 1)
        if kind == "sum":
            return [views.total(x, reduced)]
        return [views.reduce(kind, x, reduced)]

    return rule


def _iota(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    p = eqn.params
    shape, axis = tuple(p["shape"]), int(p["dimension"])
    steps = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return [Static(np.broadcast_to(steps, shape).astype(p["dtype"]))]


def _square_sum(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    return [views.multiply(x, x)]


def _clamp(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    low, x, high = (walk.view(operand) for operand in operands)
    return [views.elementwise(lambda a, b, c: sp.Min(sp.Max(b, a), c), low, x, high)]


RULES |= {
    "argmax": _position("max"),
    "argmin": _position("min"),
    "reduce_and": _quantifier("min"),
    "reduce_or": _quantifier("max"),
    "stack": _stack,
    "tile": _tile,
    "unstack": _unstack,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "cumlogsumexp": _cumulative("logsumexp"),
    "cummax": _cumulative("max"),
    "cummin": _cumulative("min"),
    "cumprod": _cumulative("prod"),
    "cumsum": _cumulative("sum"),
    "dot_general": _dot_general,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "gather": _gather,
    "iota": _iota,
    "pad": _pad,
    "psum": _mapped_sum,
    "reduce_max": _reduction("max"),
    "reduce_min": _reduction("min"),
    "reduce_prod": _reduction("prod"),
    "reduce_sum": _reduce_sum,
    "reduce_window_max": _reduce_window("max"),
    "reduce_window_min": _reduce_window("min"),
    "reduce_window_sum": _reduce_window("sum"),
    "rev": _reverse,
    "scatter": _scatter("set"),
    "scatter-add": _scatter("add"),
    "scatter_add": _scatter("add"),
    "slice": _slice,
    "split": _split,
    "square": _square_sum,
}

"""An array as a program sees it: a node, and which of the array's axes are the node's.

Transposing, broadcasting and adding axes of length 1 only relabel a `View`; nothing is built
until values meet.  An axis that is not the node's is constant along its length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.nodes import Node, Shape, affine, const, is_predicate, select
from diffkit.tensor.partials import indicator


@dataclass(frozen=True)
class View:
    """An array.

    Args:
        node: What it holds.
        axes: For each axis of the array, the axis of the node, or None where it is constant.
        shape: Lengths of the array's axes.
    """

    node: Node
    axes: tuple[int | None, ...]
    shape: Shape

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def labels(self) -> tuple[int, ...]:
        """The array's axis for each axis of the node."""
        places = {axis: k for k, axis in enumerate(self.axes) if axis is not None}
        return tuple(places[k] for k in range(len(self.node.shape)))


def view(node: Node) -> View:
    """A node as it is."""
    return View(node, build.all_axes(node), node.shape)


def number(value: sp.Expr | int, shape: Sequence[int] = ()) -> View:
    """The same exact number everywhere."""
    return View(const(value), (None,) * len(shape), tuple(shape))


def array(values: Sequence[sp.Expr], shape: Sequence[int]) -> View:
    """An array of exact numbers, row-major; axes along which nothing changes are dropped."""
    # A leading axis of length 1 is no axis of the node: summed, it would look like a stretched one.
    first = next((k for k, n in enumerate(shape) if n != 1), len(shape))
    kept = range(first, len(shape))
    node = const(list(values), [shape[k] for k in kept])
    value = build.number(node)
    return number(value, shape) if value is not None else _rewrap(node, kept, shape)


def dense(x: View) -> Node:
    """The node of the whole array, its axes in order."""
    if build.is_zero(x.node):
        return build.zero(x.shape)
    return build.spread(x.node, x.labels(), x.shape)


def _rewrap(node: Node, present: Sequence[int], shape: Sequence[int]) -> View:
    """A node whose axes are the axes `present` of an array of the given shape."""
    axes: list[int | None] = [None] * len(shape)
    for k, place in enumerate(present):
        axes[place] = k
    return View(node, tuple(axes), tuple(shape))


# relabelling --------------------------------------------------------------------------------------


def transpose(x: View, perm: Sequence[int]) -> View:
    """Axis k of the result is axis perm[k]."""
    return View(x.node, tuple(x.axes[k] for k in perm), tuple(x.shape[k] for k in perm))


def broadcast_in_dim(x: View, shape: Sequence[int], dimensions: Sequence[int]) -> View:
    """Axis k of the operand becomes axis dimensions[k]; an axis of length 1 is stretched."""
    axes: list[int | None] = [None] * len(shape)
    stretched = []
    for k, place in enumerate(dimensions):
        if x.shape[k] == shape[place]:
            axes[place] = x.axes[k]
        elif x.axes[k] is not None:
            stretched.append(k)
    if not stretched:
        return View(x.node, tuple(axes), tuple(shape))
    squeezed = squeeze(x, stretched)
    rest = [place for k, place in enumerate(dimensions) if k not in stretched]
    return broadcast_in_dim(squeezed, shape, rest)


def expand(x: View, place: int, length: int = 1) -> View:
    """A new axis, constant along its length, before axis `place`."""
    axes = (*x.axes[:place], None, *x.axes[place:])
    return View(x.node, axes, (*x.shape[:place], length, *x.shape[place:]))


def squeeze(x: View, dimensions: Sequence[int]) -> View:
    """Without axes of length 1."""
    gone = set(dimensions)
    real = [x.axes[k] for k in gone if x.axes[k] is not None]
    node = x.node
    if real:
        labels = build.all_axes(node)
        node = build.einsum([(node, labels)], tuple(k for k in labels if k not in real))
    shift = {
        axis: new for new, axis in enumerate(k for k in build.all_axes(x.node) if k not in real)
    }
    kept = [k for k in range(x.rank) if k not in gone]
    axes = tuple(None if (a := x.axes[k]) is None else shift[a] for k in kept)
    return View(node, axes, tuple(x.shape[k] for k in kept))


def broadcast_to(x: View, shape: Sequence[int]) -> View:
    """As NumPy does: trailing axes are aligned."""
    first = len(shape) - x.rank
    return broadcast_in_dim(x, shape, tuple(range(first, len(shape))))


def reshape(x: View, shape: Sequence[int]) -> View:
    """Row-major; runs of axes that do not change keep their axes, others are merged and split."""
    shape = tuple(shape)
    if build.number(x.node) is not None and not x.node.shape:
        return View(x.node, (None,) * len(shape), shape)
    for before, after in _blocks(x.shape, shape):
        if [x.shape[k] for k in before] == [shape[k] for k in after]:
            continue
        return _reshape_block(x, shape, _blocks(x.shape, shape))
    return View(x.node, x.axes, shape)


def _blocks(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Smallest groups of neighbouring axes with equal products of lengths."""
    blocks = []
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = [], []
        if i < len(before) and j < len(after) and before[i] == after[j]:
            blocks.append(([i], [j]))
            i, j = i + 1, j + 1
            continue
        if i < len(before) and before[i] == 1:
            blocks.append(([i], []))
            i += 1
            continue
        if j < len(after) and after[j] == 1:
            blocks.append(([], [j]))
            j += 1
            continue
        left, right = [i], [j]
        a, b = before[i], after[j]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                a *= before[i]
                left.append(i)
                i += 1
            else:
                b *= after[j]
                right.append(j)
                j += 1
        blocks.append((left, right))
    return blocks


def _reshape_block(x: View, shape: Shape, blocks: Sequence[tuple[list[int], list[int]]]) -> View:
    """Axes merged or split through an index equation per block."""
    first = x.rank
    place = [*range(first, first + len(shape))]
    factors: list[build.Factor] = []
    sizes: dict[int, int] = {}
    carried: set[int] = set()
    for before, after in blocks:
        real = [k for k in before if x.axes[k] is not None]
        if not real:
            continue  # constant along the whole block
        if not after:
            # A real axis of length 1 vanishes: it is summed over.
            continue
        if len(before) == len(after) == 1:
            factors.append((build.identity(x.shape[before[0]]), (before[0], place[after[0]])))
        else:
            labels = (*before, *(place[k] for k in after))
            lengths = (*(x.shape[k] for k in before), *(shape[k] for k in after))
            weights = (
                *_strides([x.shape[k] for k in before]),
                *(-c for c in _strides([shape[k] for k in after])),
            )
            factors.append((affine(lengths, weights), labels))
        factors += [(build.ones((x.shape[k],)), (k,)) for k in before if x.axes[k] is None]
        carried.update(after)
    node_labels = x.labels()
    present = sorted(carried)
    out = tuple(place[k] for k in present)
    sizes.update({place[k]: shape[k] for k in present})
    node = build.einsum([(x.node, node_labels), *factors], out, 1, sizes)
    return _rewrap(node, present, shape)


def _strides(lengths: Sequence[int]) -> list[int]:
    return [prod(lengths[k + 1 :]) for k in range(len(lengths))]


# entry by entry -----------------------------------------------------------------------------------


def common_shape(*views: View) -> Shape:
    """The shape all operands have or broadcast to.

    Raises:
        UsageError: two lengths of one axis differ and neither is 1.
    """
    from diffkit.tensor.nodes import broadcast_shape

    return broadcast_shape(*(x.shape for x in views))


def elementwise(kernel: Callable[..., sp.Basic] | sp.Lambda, *views: View) -> View:
    """A scalar function of several arrays, NumPy broadcasting."""
    shape = common_shape(*views)
    places = sp.symbols(f"e:{len(views)}", real=True)
    expr = kernel(*places)
    return mapped(expr, dict(zip(places, views, strict=True)), shape)


def mapped(expr: sp.Basic, arguments: dict[sp.Symbol, View], shape: Sequence[int]) -> View:
    """An expression whose symbols are arrays."""
    shape = tuple(shape)
    aligned = {s: broadcast_to(x, shape) for s, x in arguments.items()}
    present = sorted({k for x in aligned.values() for k, a in enumerate(x.axes) if a is not None})
    inner = {s: (x.node, tuple(present.index(k) for k in x.labels())) for s, x in aligned.items()}
    node = build.mapped(expr, inner, tuple(shape[k] for k in present))
    return compact(_rewrap(node, present, shape))


def compact(x: View) -> View:
    """A view whose constant node is a plain number."""
    if x.node.shape:
        if build.is_zero(x.node):
            return number(0, x.shape)
        value = build.number(x.node)
        if value is not None:
            return number(value, x.shape)
    return x


def add(x: View, y: View, sign: int = 1) -> View:
    """x + y, or x - y."""
    shape = common_shape(x, y)
    x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    present = sorted({k for v in (x, y) for k, a in enumerate(v.axes) if a is not None})
    terms = [
        (sp.Integer(c), v.node, tuple(present.index(k) for k in v.labels()))
        for c, v in ((1, x), (sign, y))
    ]
    node = build.add(terms, tuple(shape[k] for k in present))
    return compact(_rewrap(node, present, shape))


def multiply(x: View, y: View) -> View:
    """The entrywise product."""
    shape = common_shape(x, y)
    x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    present = sorted({k for v in (x, y) for k, a in enumerate(v.axes) if a is not None})
    sizes = {k: shape[k] for k in present}
    node = build.einsum([(v.node, v.labels()) for v in (x, y)], tuple(present), 1, sizes)
    return compact(_rewrap(node, present, shape))


def scale(c: sp.Expr | int, x: View) -> View:
    """A number times an array."""
    return compact(View(build.scale(c, x.node), x.axes, x.shape))


def power(x: View, exponent: sp.Expr | int) -> View:
    """A rational power, entry by entry."""
    return compact(View(build.power(x.node, sp.sympify(exponent, strict=True)), x.axes, x.shape))


def divide(x: View, y: View) -> View:
    """The entrywise quotient."""
    return multiply(x, power(y, -1))


def choose(predicate: View, on_true: View, on_false: View) -> View:
    """`where`: on_true where the predicate holds."""
    shape = common_shape(predicate, on_true, on_false)
    value = build.number(predicate.node)
    if value == sp.true:
        return broadcast_to(on_true, shape)
    if value == sp.false:
        return broadcast_to(on_false, shape)
    mask = _mask_of(predicate)
    if mask is not None and build.is_zero(on_false.node):
        return multiply(broadcast_to(mask, shape), on_true)
    parts = [broadcast_to(v, shape) for v in (predicate, on_true, on_false)]
    present = sorted({k for v in parts for k, a in enumerate(v.axes) if a is not None})
    axes = [tuple(present.index(k) for k in v.labels()) for v in parts]
    if is_predicate(on_true.node):
        raise UsageError("a choice between truth values is a connective")
    node = select(*(v.node for v in parts), axes=axes)
    return _rewrap(node, present, shape)


_A = sp.Symbol("_0", real=True)


def truth(mask: View) -> View:
    """A 0/1 array as a predicate."""
    node = build.unary(sp.Ne(_A, 0), mask.node)
    return View(node, mask.axes, mask.shape)


def _mask_of(predicate: View) -> View | None:
    """The 0/1 index array behind a predicate, if it is one."""
    found = build.kernel_of(predicate.node)
    if found is not None and found[0] == sp.Ne(_A, 0):
        from diffkit.tensor.nodes import Affine

        if isinstance(found[1], Affine):
            return View(found[1], predicate.axes, predicate.shape)
    return None


def as_number(predicate: View) -> View:
    """1 where the predicate holds, 0 elsewhere."""
    mask = _mask_of(predicate)
    if mask is not None:
        return mask
    value = build.number(predicate.node)
    if value is not None:
        return number(1 if value == sp.true else 0, predicate.shape)
    return View(indicator(predicate.node), predicate.axes, predicate.shape)


# sums, maxima, products ---------------------------------------------------------------------------


def contract(
    factors: Sequence[tuple[View, Sequence[int]]], out: Sequence[int], coefficient: Any = 1
) -> View:
    """A product of arrays with a label on every axis, summed over labels that `out` lacks."""
    sizes: dict[int, int] = {}
    inner: list[build.Factor] = []
    carried: set[int] = set()
    for x, labels in factors:
        for label, length in zip(labels, x.shape, strict=True):
            if sizes.setdefault(label, length) != length:
                raise UsageError(f"axes of length {sizes[label]} and {length} do not match")
        own = tuple(labels[k] for k in x.labels())
        inner.append((x.node, own))
        carried.update(own)
    c = sp.sympify(coefficient, strict=True)
    for label, length in sizes.items():
        if label not in carried and label not in out:
            c = c * length
    shape = tuple(sizes[label] for label in out)
    present = [k for k, label in enumerate(out) if label in carried]
    node = build.einsum(inner, tuple(out[k] for k in present), c)
    return compact(_rewrap(node, present, shape))


def total(x: View, axes: Sequence[int] | None = None) -> View:
    """The sum over axes (all by default)."""
    gone = range(x.rank) if axes is None else [k % x.rank for k in axes]
    return contract([(x, range(x.rank))], [k for k in range(x.rank) if k not in gone])


def mean(x: View, axes: Sequence[int] | None = None) -> View:
    """The mean over axes (all by default)."""
    gone = list(range(x.rank)) if axes is None else [k % x.rank for k in axes]
    count = prod(x.shape[k] for k in gone)
    return scale(sp.Rational(1, count), total(x, gone))


def reduce(kind: str, x: View, axes: Sequence[int]) -> View:
    """A maximum, minimum, product or logsumexp over axes."""
    gone = [k % x.rank for k in axes]
    constant = [k for k in gone if x.axes[k] is None]
    real = [x.axes[k] for k in gone if x.axes[k] is not None]
    copies = prod(x.shape[k] for k in constant)
    node = build.reduce(kind, x.node, [a for a in real if a is not None])
    left = [a for a in build.all_axes(x.node) if a not in real]
    kept = [k for k in range(x.rank) if k not in gone]
    axes_ = tuple(None if (a := x.axes[k]) is None else left.index(a) for k in kept)
    result = View(node, axes_, tuple(x.shape[k] for k in kept))
    if copies > 1 and kind == "prod":
        return power(result, copies)
    if copies > 1 and kind == "logsumexp":
        return add(result, number(sp.log(copies)))
    return compact(result)

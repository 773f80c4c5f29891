"""The order of axes in which every part of a program is computed, so that little is transposed.

A node's axes have a canonical order that knows nothing of memory.  Here each node is a view of
an array: a transposition is only a view, a product of one array with weights keeps the array's
order, a sum takes the order of most of its large terms, and a matrix product that only the sum
needs is computed in that order, which costs nothing.  What is left is a transposition where an
operation needs the axes in order, and at the results.
"""

from collections import Counter
from collections.abc import Sequence
from math import prod

from diffkit.tensor import build
from diffkit.tensor.nodes import (
    Add,
    Axes,
    Einsum,
    Labels,
    Map,
    Node,
    map_node,
    raw_add,
    raw_einsum,
    topological,
)

#: An array, and the axis of the node that each of its axes is.
View = tuple[Node, Axes]


def oriented(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values, computed with few transpositions.

    >>> from diffkit.tensor.nodes import var
    >>> A = var("A", (2, 3))
    >>> turned = build.permute(A, (1, 0))
    >>> oriented([build.permute(turned, (1, 0))])[0] is A
    True
    """
    views: dict[Node, View] = {}
    users = Counter(x for node in topological(*roots) for x in node.operands)
    free = {node for node, count in users.items() if count == 1 and _is_contraction(node)}
    free -= set(roots)
    for node in topological(*roots):
        operands = [views[x] for x in node.operands]
        if isinstance(node, Add):
            views[node] = _of_sum(node, operands, [x in free for x in node.operands])
        else:
            views[node] = _view(node, operands)
    return tuple(_in_order(views[root]) for root in roots)


def _view(node: Node, operands: list[View]) -> View:
    match node:
        case Einsum():
            return _of_product(node, operands)
        case Map() if len(operands) == 1 and len(node.axes[0]) == len(node.shape):
            ((x, order),) = operands
            inner = map_node(node.kernel, x, axes=[build.all_axes(x)])
            return inner, tuple(node.axes[0][k] for k in order)
    inner = tuple(map(_in_order, operands))
    same = node if inner == node.operands else type(node)._intern(node.key, inner, node.shape)
    return same, build.all_axes(node)


def _of_product(node: Einsum, operands: list[View]) -> View:
    """A product in the order of the array it scales; any other in its own order."""
    factors = [
        (x, tuple(labels[k] for k in order))
        for (x, order), labels in zip(operands, node.labels, strict=True)
    ]
    kept = set(node.out)
    scaled = [ls for _, ls in factors if set(ls) == kept and len(set(ls)) == len(ls)]
    is_scaling = bool(scaled) and all(set(ls) <= kept for _, ls in factors)
    out: Labels = scaled[0] if is_scaling else node.out
    order = tuple(node.out.index(label) for label in out)
    if len(factors) == 1 and is_scaling:
        return factors[0][0], order
    return raw_einsum(factors, out), order


def _is_contraction(node: Node) -> bool:
    """Whether a node is a matrix product: its two orders cost the same."""
    return isinstance(node, Einsum) and len(node.operands) > 1 and len(node.sizes) > len(node.out)


def _of_sum(node: Add, operands: list[View], is_free: Sequence[bool]) -> View:
    """A sum in the order that most of its terms have, by their size; free terms follow."""
    terms = [
        (c, x, tuple(axes[k] for k in order))
        for c, (x, order), axes in zip(node.coefficients, operands, node.axes, strict=True)
    ]
    rank = len(node.shape)
    votes: Counter[Axes] = Counter()
    for (_, x, axes), free in zip(terms, is_free, strict=True):
        if len(axes) == rank and not free:
            votes[axes] += prod(x.shape)
    natural = build.all_axes(node)
    order = max(votes, key=lambda axes: (votes[axes], axes == natural), default=natural)
    place = {axis: k for k, axis in enumerate(order)}
    shape = tuple(node.shape[axis] for axis in order)
    laid = [
        (c, *(_sorted(x, where) if free else (x, where)))
        for (c, x, axes), free in zip(terms, is_free, strict=True)
        for where in [tuple(place[a] for a in axes)]
    ]
    return raw_add(laid, shape), order


def _sorted(node: Node, axes: Axes) -> View:
    """A product computed with its axes in the order of the sum."""
    if not isinstance(node, Einsum):
        return node, axes
    out = tuple(label for _, label in sorted(zip(axes, node.out, strict=True)))
    return raw_einsum(node.factors, out), tuple(sorted(axes))


def _in_order(view: View) -> Node:
    """The array with the axes of the node in order."""
    x, order = view
    natural = tuple(range(len(order)))
    return x if order == natural else raw_einsum([(x, order)], natural)

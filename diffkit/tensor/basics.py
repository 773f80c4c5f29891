"""The plainest nodes and what can be read off a node: numbers, zero, ones, the identity."""

from collections.abc import Sequence

import sympy as sp

from diffkit.tensor.nodes import Add, Affine, Axes, Const, Labels, Node, affine, const, raw_add

Factor = tuple[Node, Labels]
Term = tuple[sp.Expr, Node, Axes]

#: Up to this power a product is written as factors, so that sums under it can be expanded.
LARGEST_PRODUCT_POWER = 4

ONE, ZERO = sp.S.One, sp.S.Zero


def all_axes(node: Node) -> Axes:
    """0, 1, ..., one per axis."""
    return tuple(range(len(node.shape)))


def zero(shape: Sequence[int]) -> Node:
    """The array of zeros."""
    return raw_add((), shape)


def ones(shape: Sequence[int]) -> Node:
    """The array of ones; the number 1 for shape ()."""
    return affine(shape, (0,) * len(shape)) if len(shape) else const(1)


def identity(size: int) -> Node:
    """The identity matrix."""
    return affine((size, size), (1, -1))


def is_zero(node: Node) -> bool:
    """Whether the node is written as zero."""
    if isinstance(node, Const):
        return all(value == 0 for value in node.values)
    return isinstance(node, Add) and not node.operands


def number(node: Node) -> sp.Expr | None:
    """The value of a constant that has one value, of whatever shape, else None."""
    if isinstance(node, Const) and len(set(node.values)) == 1:
        return node.values[0]
    if isinstance(node, Affine) and node.is_ones:
        return ONE
    return None


def inverse_order(perm: Sequence[int]) -> Axes:
    """The permutation that undoes `perm`."""
    result = [0] * len(perm)
    for place, axis in enumerate(perm):
        result[axis] = place
    return tuple(result)

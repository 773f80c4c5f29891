"""A term of a derivative, and what the rules for matrices share."""

from dataclasses import dataclass

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.nodes import Labels, Node

Factor = tuple[Node, Labels]


@dataclass(frozen=True)
class Term:
    """One term of the derivative by one operand.

    Args:
        operand: Which operand.
        factors: Nodes and labels.
        out: Label of each axis of the node.
        inside: Label of each axis of the operand.
        coefficient: An exact factor.
    """

    operand: int
    factors: tuple[Factor, ...]
    out: Labels
    inside: Labels
    coefficient: sp.Expr = sp.S.One


def batch_labels(node: Node) -> tuple[Labels, int]:
    """Batch labels, and the first free one."""
    batch = len(node.operands[0].shape) - 2
    return tuple(range(batch)), batch


def transposed(node: Node) -> Node:
    """The last two axes exchanged."""
    rank = len(node.shape)
    return build.permute(node, (*range(rank - 2), rank - 1, rank - 2))


def inverse(matrix: Node) -> Node:
    """The inverse of the last two axes."""
    return build.linop("inv", matrix, matrix.shape)


def complement(left: Node, right: Node, size: int) -> Node:
    """I - L R."""
    rank = len(left.shape)
    b = tuple(range(rank - 2))
    i, j, m = rank, rank + 1, rank + 2
    product = build.einsum([(left, (*b, i, m)), (right, (*b, m, j))], (*b, i, j))
    eye = build.identity(size)
    axes = build.all_axes(product)
    terms = [(sp.S.One, eye, axes[-2:]), (-sp.S.One, product, axes)]
    return build.add(terms, product.shape)

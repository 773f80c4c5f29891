"""Which products are symmetric matrices, so that half of their blocks need not be multiplied.

X' W X with a diagonal W is, whatever X; a Hessian is, however it is written.  Small products are
not worth the blocks.
"""

from diffkit.tensor.nodes import Add, Einsum, Node

#: From this many columns and rows on, blocks are worth it.
LEAST_GRAM = 128


def product_behind(node: Node) -> Node:
    """What a matrix is up to its coefficient and a transposition."""
    while len(node.operands) == 1 and isinstance(node, Einsum | Add):
        if len(node.operands[0].shape) != 2:
            break
        (node,) = node.operands
    return node


def joins_columns(node: Node) -> bool:
    """Whether a matrix is a product of two matrices with many columns, summed over many rows."""
    if not isinstance(node, Einsum) or len(node.operands) != 2 or len(node.out) != 2:
        return False
    first, second = (set(labels) for labels in node.labels)
    summed = (first & second) - set(node.out)
    is_plain = all(len(set(labels)) == len(labels) == 2 for labels in node.labels)
    rows = [node.sizes[label] for label in summed]
    return is_plain and len(summed) == 1 and min(*node.shape, *rows) >= LEAST_GRAM


def scaled_of_gram(node: Einsum) -> int | None:
    """Which factor is W X in a product X' W X with a diagonal W and many columns, else None."""
    if not joins_columns(node):
        return None
    for place in (0, 1):
        (scaled, own), (plain, other) = node.factors[place], node.factors[1 - place]
        ((line, row),) = ((own.index(l), other.index(l)) for l in set(own) & set(other))
        if _is_scaling(scaled, line, plain, row):
            return place
    return None


def _is_scaling(scaled: Node, line: int, plain: Node, row: int) -> bool:
    """Whether `scaled` is `plain` times a number for each index of `plain`'s axis `row`."""
    if scaled is plain:
        return line == row
    if not isinstance(scaled, Einsum) or len(scaled.out) != 2:
        return False
    summed, kept = scaled.out[line], scaled.out[1 - line]
    expected = (summed, kept) if row == 0 else (kept, summed)
    matrices = [(x, ls) for x, ls in scaled.factors if set(ls) - {summed}]
    return matrices == [(plain, expected)]

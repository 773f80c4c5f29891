"""The degree of a formula in its atoms, which bounds the error of identity testing."""

import numpy as np

from diffkit.tensor.nodes import Add, Einsum, LinOp, Map, Node, Reduce, Select, topological


def degree(root: Node) -> int:
    """A bound on numerator plus denominator degree in the atoms, for the error probability."""
    found: dict[Node, int] = {}
    for node in topological(root):
        below = [found[x] for x in node.operands]
        length = max(node.operands[0].shape[-1:] or (1,)) if node.operands else 1
        match node:
            case Add():
                found[node] = sum(below)
            case Einsum():
                summed = [n for label, n in node.sizes.items() if label not in node.out]
                found[node] = sum(below) * int(np.prod(summed, dtype=np.int64) or 1)
            case Map() | Select():
                found[node] = 8 * max([1, *below])
            case Reduce():
                found[node] = max([1, *below]) * length
            case LinOp():
                found[node] = 2 * length * max([1, *below])
            case _:
                found[node] = 1
        found[node] = min(found[node], 10**12)
    return found[root]

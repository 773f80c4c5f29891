"""Products with a 0/1 choice, computed so that 0 times something infinite is 0.

The derivative of `where(p, f, g)` is f' where p holds: as a product it is [p] f', and f' may be
infinite where p fails.  In a product with [p] every factor that has the axes of [p] is therefore
replaced by `where(p, factor, 0)`; as mathematics it is the same product.
"""

from collections.abc import Sequence

import sympy as sp

from diffkit.tensor.nodes import (
    Affine,
    Axes,
    Const,
    Einsum,
    Labels,
    Node,
    Select,
    Var,
    const,
    map_node,
    raw_einsum,
    select,
    topological,
)

_A = sp.Symbol("_0", real=True)
_HOLDS = sp.Lambda((_A,), sp.Ne(_A, 0))


def masked(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values, with the factors of choices of 0 and 1 chosen instead of multiplied."""
    done: dict[Node, Node] = {}
    for node in topological(*roots):
        operands = tuple(done[x] for x in node.operands)
        same = operands == node.operands
        done[node] = node if same else type(node)._intern(node.key, operands, node.shape)
        if isinstance(node, Einsum) and any(map(is_choice, node.operands)):
            done[node] = _masked_product(done[node])
    return tuple(done[root] for root in roots)


def is_choice(node: Node) -> bool:
    """Whether a node is a choice of 0 and 1 alone."""
    return isinstance(node, Select) and all(
        x in (const(0), const(1)) or is_choice(x) for x in node.operands[1:]
    )


def _masked_product(node: Node) -> Node:
    factors = list(zip(node.operands, node.key[0], strict=True))
    for choice in [f for f in factors if is_choice(f[0])]:
        targets = [k for k, f in enumerate(factors) if _may_be_masked(f, choice)]
        for k in targets:
            factors[k] = (_chosen(choice, factors[k]), factors[k][1])
        if targets:
            factors.remove(choice)
    return raw_einsum(factors, node.key[1])


def _may_be_masked(factor: tuple[Node, Labels], choice: tuple[Node, Labels]) -> bool:
    (node, labels), (mask, own) = factor, choice
    is_plain = isinstance(node, Affine | Const | Var) or is_choice(node)
    is_regular = len(set(labels)) == len(labels) and len(set(own)) == len(own)
    return node is not mask and not is_plain and is_regular and set(own) <= set(labels)


def _chosen(choice: tuple[Node, Labels], factor: tuple[Node, Labels]) -> Node:
    """`where(choice, factor, 0)` with the axes of the factor."""
    (mask, own), (node, labels) = choice, factor
    places: Axes = tuple(labels.index(label) for label in own)
    every = tuple(range(len(labels)))
    if mask.operands[1:] in ((const(1), const(0)), (const(0), const(1))):
        predicate = mask.operands[0]
        inside = tuple(places[k] for k in mask.key[0][0])
        if mask.operands[1] is const(1):
            return select(predicate, node, const(0), axes=[inside, every, ()])
        return select(predicate, const(0), node, axes=[inside, (), every])
    return select(map_node(_HOLDS, mask), node, const(0), axes=[places, every, ()])

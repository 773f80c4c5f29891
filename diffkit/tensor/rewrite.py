"""Rebuild a formula with some of its nodes replaced, through the simplifying constructors."""

from collections.abc import Mapping, Sequence

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Opaque,
    Reduce,
    Select,
    Var,
    map_node,
    opaque,
    select,
    topological,
)


def replace(root: Node, changes: Mapping[Node, Node]) -> Node:
    """The formula with nodes for others of the same shape, wherever they occur.

    >>> from diffkit.tensor.nodes import var
    >>> x, y = var("x"), var("y")
    >>> replace(build.power(x, 3), {x: y}) is build.power(y, 3)
    True
    """
    done: dict[Node, Node] = {}
    for node in topological(root):
        if node in changes:
            done[node] = changes[node]
            continue
        operands = [done[x] for x in node.operands]
        is_same = all(a is b for a, b in zip(operands, node.operands, strict=True))
        done[node] = node if is_same else rebuilt(node, operands)
    return done[root]


def rebuilt(node: Node, operands: Sequence[Node]) -> Node:
    """A node of the same kind over other operands."""
    match node:
        case Var() | Const() | Affine():
            return node
        case Add():
            pairs = zip(node.coefficients, operands, node.axes, strict=True)
            return build.add(list(pairs), node.shape)
        case Einsum():
            return build.einsum(list(zip(operands, node.labels, strict=True)), node.out)
        case Map():
            return map_node(node.kernel, *operands, axes=node.axes)
        case Select():
            return select(*operands, axes=node.axes)
        case Reduce():
            return build.reduce(node.kind, operands[0], node.axes)
        case LinOp():
            return build.linop(node.kind, operands[0], node.shape, node.params)
        case Opaque():
            return opaque(node.payload, node.index, operands, node.shape)
    raise TypeError(f"{type(node).__name__} cannot be rebuilt")


def with_sizes(root: Node, sizes: Mapping[str, int]) -> Node:
    """The formula with numbers for the size symbols in its coefficients."""
    done: dict[Node, Node] = {}
    for node in topological(root):
        operands = [done[x] for x in node.operands]
        if isinstance(node, Add):
            terms = [
                (_valued(c, sizes), x, axes)
                for c, x, axes in zip(node.coefficients, operands, node.axes, strict=True)
            ]
            done[node] = build.add(terms, node.shape)
        else:
            is_same = all(a is b for a, b in zip(operands, node.operands, strict=True))
            done[node] = node if is_same else rebuilt(node, operands)
    return done[root]


def _valued(coefficient: sp.Expr, sizes: Mapping[str, int]) -> sp.Expr:
    named = {s: sizes[s.name] for s in coefficient.free_symbols if s.name in sizes}
    return coefficient.subs(named) if named else coefficient

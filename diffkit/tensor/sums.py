"""Linear combinations, permutations and stretching of axes, in canonical order.

Coefficients are collected per node, a permutation is absorbed by what it permutes, and functions
of one node are one kernel.
"""

from collections.abc import Sequence
from functools import lru_cache

import sympy as sp

from diffkit.tensor import products
from diffkit.tensor.basics import ONE, ZERO, Factor, Term, all_axes, inverse_order, number, ones
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Axes,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Select,
    Shape,
    Var,
    affine,
    const,
    map_node,
    raw_add,
    raw_einsum,
    select,
)


def scaled(node: Node) -> tuple[sp.Expr, Node]:
    """Coefficient and rest: (2, x) for 2 x."""
    if isinstance(node, Add) and len(node.operands) == 1:
        ((coefficient, operand, axes),) = node.terms
        return coefficient, permute(operand, inverse_order(axes))
    return ONE, node


def scale(coefficient: sp.Expr | int, node: Node) -> Node:
    """A number times a node."""
    return add([(sp.sympify(coefficient, strict=True), node, all_axes(node))], node.shape)


def add(terms: Sequence[Term], shape: Sequence[int], *, flat: bool = False) -> Node:
    """A linear combination; every axis of `shape` must belong to some term.

    Args:
        terms: Coefficient, node, and for each axis of the node the axis of the result.
        shape: Shape of the result.
        flat: Whether functions of one node stay separate terms.
    """
    shape = tuple(shape)
    if len(terms) == 1 and not flat:
        ((coefficient, node, axes),) = terms
        if isinstance(node, Add) and len(node.operands) > 1 and len(axes) == len(shape):
            # A multiple of a sum stays one: 2 (X w - y), not 2 X w - 2 y.
            node = permute(node, inverse_order(axes))
            return node if coefficient == 1 else _multiple(coefficient, node)
    total: dict[tuple[Node, Axes], sp.Expr] = {}
    for coefficient, node, axes in _flat_terms(terms):
        axes, node = _increasing(axes, node)
        total[node, axes] = total.get((node, axes), ZERO) + coefficient
    kept = [(c, node, axes) for (node, axes), c in total.items() if c != 0]
    covered = {axis for _, _, axes in kept for axis in axes}
    bare = tuple(k for k in range(len(shape)) if k not in covered)
    if bare and kept:
        kept[0] = _cover(kept[0], bare, shape)
    if len(kept) == 1:
        coefficient, node, axes = kept[0]
        if coefficient == 1 and axes == all_axes(node):
            return node
    fused = None if flat else products.fused_sum(kept, shape)
    if fused is not None:
        return fused
    kept.sort(key=lambda term: (-len(term[2]), term[1].digest, term[2]))
    return raw_add(kept, shape)


def _multiple(coefficient: sp.Expr, node: Node) -> Node:
    if coefficient == 0:
        return raw_add((), node.shape)
    return raw_add([(coefficient, node, all_axes(node))], node.shape)


def _flat_terms(terms: Sequence[Term]) -> list[Term]:
    flat: list[Term] = []
    for coefficient, node, axes in terms:
        if isinstance(node, Add):
            inner = [(coefficient * c, x, tuple(axes[k] for k in a)) for c, x, a in node.terms]
            flat += _flat_terms(inner)
        elif (value := number(node)) is not None:
            # It spans its axes only through the others; `add` covers what is bare.
            flat.append((coefficient * value, const(1), ()))
        else:
            flat.append((coefficient, node, tuple(axes)))
    return flat


def _cover(term: Term, bare: Axes, shape: Shape) -> Term:
    """The term stretched over axes that no term carries."""
    coefficient, node, axes = term
    labels = tuple(axes)
    factors: list[Factor] = [(node, labels), *((ones((shape[k],)), (k,)) for k in bare)]
    out = tuple(sorted((*axes, *bare)))
    return coefficient, products.einsum(factors, out), out


def _increasing(axes: Axes, node: Node) -> tuple[Axes, Node]:
    """Axes in ascending order, the node permuted to fit."""
    order = sorted(range(len(axes)), key=axes.__getitem__)
    if order == list(range(len(axes))):
        return tuple(axes), node
    return tuple(axes[k] for k in order), permute(node, tuple(order))


def permute(node: Node, perm: Sequence[int]) -> Node:
    """The node with its axes in another order: axis k of the result is axis perm[k]."""
    perm = tuple(perm)
    if perm == tuple(range(len(perm))):
        return node
    where = inverse_order(perm)
    match node:
        case Add():
            shape = tuple(node.shape[k] for k in perm)
            moved_terms = [(c, x, tuple(where[a] for a in axes)) for c, x, axes in node.terms]
            return add(moved_terms, shape, flat=True)
        case Einsum():
            return products.einsum(node.factors, tuple(node.out[k] for k in perm), unfused=True)
        case Map():
            moved = [tuple(where[a] for a in axes) for axes in node.axes]
            return map_node(node.kernel, *node.operands, axes=moved)
        case Select():
            moved = [tuple(where[a] for a in axes) for axes in node.axes]
            return select(*node.operands, axes=moved)
        case Affine():
            shape = tuple(node.shape[k] for k in perm)
            return affine(
                shape, tuple(node.coefficients[k] for k in perm), node.offset, node.relation
            )
        case Const():
            return _permuted_constant(node, perm)
    if is_symmetric(node) and perm == (1, 0):
        return node
    return raw_einsum([(node, all_axes(node))], perm)


def _permuted_constant(node: Const, perm: Axes) -> Node:
    import numpy as np

    array = np.empty(len(node.values), dtype=object)
    array[:] = node.values
    moved = array.reshape(node.shape).transpose(perm)
    return const(list(moved.ravel()), moved.shape)


@lru_cache(maxsize=4096)
def is_symmetric(node: Node) -> bool:
    """Whether a square matrix is known to equal its transpose."""
    if len(node.shape) != 2 or node.shape[0] != node.shape[1]:
        return False
    if isinstance(node, Var):
        return bool(node.facts & {"symmetric", "spd"})
    if isinstance(node, LinOp):
        return node.kind in ("inv", "pinv", "expm", "power") and is_symmetric(node.operands[0])
    if isinstance(node, Einsum | Add | Map | Affine | Const):
        return permute(node, (1, 0)) is node
    return False


def spread(node: Node, axes: Axes, shape: Sequence[int]) -> Node:
    """A node laid into a larger shape: along axes it does not have it is constant."""
    shape = tuple(shape)
    if len(axes) == len(shape):
        return permute(node, inverse_order(axes))
    bare = tuple(k for k in range(len(shape)) if k not in axes)
    factors: list[Factor] = [(node, tuple(axes)), *((ones((shape[k],)), (k,)) for k in bare)]
    return products.einsum(factors, tuple(range(len(shape))))

r"""Differentiation of array formulas: one reverse sweep for all variables, and forward mode.

Reverse: the cotangent of a node is the sum, over the terms of its users' derivatives, of the
user's cotangent times the term's factors.  Forward: the tangent of a node is the sum of the
factors times the operands' tangents.  Axes of the result (reverse) or of the variable (forward)
that a Jacobian carries are extra leading labels; no Jacobian chain is ever built.
"""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.exponential import exponential_pullback, exponential_pushforward
from diffkit.tensor.nodes import LinOp, Node, Opaque, Var, topological
from diffkit.tensor.partials import Term, partials

Conventions = tuple[tuple[str, float], ...]


def gradient(
    root: Node, variables: Sequence[Var], conventions: Conventions = ()
) -> tuple[Node, ...]:
    """The gradients of a number with respect to all variables, each of its variable's shape.

    Raises:
        UsageError: the root is no number.
    """
    if root.shape:
        raise UsageError(
            f"the gradient is that of a number; this result has shape {root.shape}: "
            "ask for the jacobian"
        )
    return pullback(root, variables, build.const(1), (), conventions)


def jacobian(root: Node, variable: Var, conventions: Conventions = ()) -> Node:
    """The Jacobian, its axes those of the result and then those of the variable."""
    rank = len(root.shape)
    factors = [(build.identity(n), (k, rank + k)) for k, n in enumerate(root.shape)]
    seed = build.einsum(factors, tuple(range(2 * rank)))
    (found,) = pullback(root, [variable], seed, root.shape, conventions)
    return found


def hessian(root: Node, left: Var, right: Var | None = None, conventions: Conventions = ()) -> Node:
    """The Hessian of a number by forward mode over the reverse sweep; axes of `left`, `right`."""
    (first,) = gradient(root, [left], conventions)
    return pushforward_all(first, right or left, conventions)


def pullback(
    root: Node,
    variables: Sequence[Var],
    seed: Node,
    carried: Sequence[int],
    conventions: Conventions = (),
) -> tuple[Node, ...]:
    """Cotangents of the variables.

    Args:
        root: The result.
        variables: Inputs to differentiate by.
        seed: Cotangent of the result: the carried axes, then the axes of the root.
        carried: Lengths of the carried axes.
        conventions: Values at kinks.
    """
    order = list(topological(root))
    reach = _reaching(order, variables)
    collected: dict[Node, list[Node]] = {root: [seed]}
    done: dict[Node, Node] = {}
    for node in reversed(order):
        parts = collected.pop(node, None)
        if parts is None or node not in reach:
            continue
        cotangent = _total(parts, (*carried, *node.shape))
        done[node] = cotangent
        if isinstance(node, Opaque):
            _through_opaque(node, cotangent, len(carried), reach, collected)
            continue
        if is_exponential(node):
            part = exponential_pullback(node, cotangent, len(carried))
            collected.setdefault(node.operands[0], []).append(part)
            continue
        wanted = {k for k, x in enumerate(node.operands) if x in reach}
        for term in partials(node, conventions, wanted):
            operand = node.operands[term.operand]
            if operand in reach and not build.is_zero(cotangent):
                part = _transposed(term, cotangent, len(carried), operand)
                collected.setdefault(operand, []).append(part)
    return tuple(
        done.get(variable, build.zero((*carried, *variable.shape))) for variable in variables
    )


def pushforward_all(root: Node, variable: Var, conventions: Conventions = ()) -> Node:
    """The Jacobian by forward mode: axes of the result, then of the variable."""
    rank = len(variable.shape)
    factors = [(build.identity(n), (k, rank + k)) for k, n in enumerate(variable.shape)]
    seed = build.einsum(factors, tuple(range(2 * rank)))
    found = pushforward(root, {variable: seed}, variable.shape, conventions)
    back = (*range(rank, rank + len(root.shape)), *range(rank))
    return build.permute(found, back)


def pushforward(
    root: Node,
    tangents: Mapping[Var, Node],
    carried: Sequence[int] = (),
    conventions: Conventions = (),
) -> Node:
    """The tangent of the result; tangents have the carried axes first, then the node's own."""
    order = list(topological(root))
    reach = _reaching(order, list(tangents))
    done: dict[Node, Node] = dict(tangents)
    for node in order:
        if node not in reach or node in done:
            continue
        if isinstance(node, Opaque):
            done[node] = node.payload.jvp(node, done, tuple(carried))
            continue
        if is_exponential(node):
            done[node] = exponential_pushforward(node, done[node.operands[0]], len(carried))
            continue
        wanted = {k for k, x in enumerate(node.operands) if x in reach}
        parts = [
            _forward(term, done[node.operands[term.operand]], len(carried), node)
            for term in partials(node, conventions, wanted)
            if node.operands[term.operand] in reach
        ]
        done[node] = _total(parts, (*carried, *node.shape))
    return done[root] if root in reach else build.zero((*carried, *root.shape))


def is_exponential(node: Node) -> TypeGuard[LinOp]:
    """Whether a node is the exponential of a matrix, which differentiates itself."""
    return isinstance(node, LinOp) and node.kind == "expm"


def _reaching(order: Sequence[Node], variables: Sequence[Var]) -> set[Node]:
    """Nodes that depend on one of the variables."""
    wanted = set(variables)
    reach: set[Node] = set()
    for node in order:
        if node in wanted or any(operand in reach for operand in node.operands):
            reach.add(node)
    return reach


def _total(parts: Sequence[Node], shape: Sequence[int]) -> Node:
    if len(parts) == 1:
        return parts[0]
    axes = tuple(range(len(shape)))
    terms = [(sp.S.One, part, axes) for part in parts if not build.is_zero(part)]
    return build.add(terms, shape) if terms else build.zero(shape)


def _shift(term: Term) -> int:
    labels = [*term.out, *term.inside, *(l for _, ls in term.factors for l in ls)]
    return 1 + max(labels, default=-1)


def _transposed(term: Term, cotangent: Node, carried: int, operand: Node) -> Node:
    """The part of the operand's cotangent that one term contributes."""
    first = _shift(term)
    extra = tuple(range(first, first + carried))
    factors = [(cotangent, (*extra, *term.out)), *term.factors]
    sizes = dict(zip(term.inside, operand.shape, strict=True))
    return build.einsum(factors, (*extra, *term.inside), term.coefficient, sizes)


def _forward(term: Term, tangent: Node, carried: int, node: Node) -> Node:
    """The part of the node's tangent that one term contributes."""
    first = _shift(term)
    extra = tuple(range(first, first + carried))
    factors = [(tangent, (*extra, *term.inside)), *term.factors]
    sizes = dict(zip(term.out, node.shape, strict=True))
    return build.einsum(factors, (*extra, *term.out), term.coefficient, sizes)


def _through_opaque(
    node: Opaque,
    cotangent: Node,
    carried: int,
    reach: set[Node],
    collected: dict[Node, list[Node]],
) -> None:
    for operand, part in node.payload.vjp(node, cotangent, carried):
        if operand in reach:
            collected.setdefault(operand, []).append(part)


def contributions(root: Node, variable: Var, most: int) -> list[Node]:
    """The parts of the derivative that reach the variable through different operands.

    The first node at which the paths to the variable part gives one contribution per operand;
    the largest is opened again while there are fewer than `most`.

    Args:
        root: A number, or an array (then the parts are of its Jacobian).
        variable: The input.
        most: How many parts at most.
    """
    rank = len(root.shape)
    factors = [(build.identity(n), (k, rank + k)) for k, n in enumerate(root.shape)]
    seed = build.einsum(factors, tuple(range(2 * rank)))
    order = list(topological(root))
    reach = _reaching(order, [variable])
    if root not in reach:
        return []
    open_: list[tuple[Node, Node]] = [(root, seed)]
    while True:
        for place, (node, cotangent) in enumerate(open_):
            below = _one_step(node, cotangent, rank, reach)
            if below is not None and len(open_) - 1 + len(below) <= most:
                open_[place : place + 1] = below
                break
        else:
            break
    return [pullback(node, [variable], cotangent, root.shape)[0] for node, cotangent in open_]


def _one_step(
    node: Node, cotangent: Node, carried: int, reach: set[Node]
) -> list[tuple[Node, Node]] | None:
    """The operands that reach the variable and their cotangents; None where nothing parts."""
    if isinstance(node, Var | Opaque) or is_exponential(node):
        return None
    return [
        (
            node.operands[term.operand],
            _transposed(term, cotangent, carried, node.operands[term.operand]),
        )
        for term in partials(node)
        if node.operands[term.operand] in reach
    ]

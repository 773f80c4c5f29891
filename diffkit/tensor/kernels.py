"""Scalar kernels, powers, reductions and functions of matrices, simplified as they are made.

log(sum exp u) is read as logsumexp(u) and exp(u) / sum exp(u) as exp(u - logsumexp(u)), a softmax
that is accurate as it stands; kernels of one node are joined while they stay small.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp

from diffkit.symbolic.walk import nodes
from diffkit.tensor import products, sums
from diffkit.tensor.basics import (
    LARGEST_PRODUCT_POWER,
    ONE,
    all_axes,
    inverse_order,
    number,
    ones,
    zero,
)
from diffkit.tensor.canonical import standard_axes
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Axes,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Reduce,
    Shape,
    Var,
    const,
    is_truth,
    map_node,
    raw_linop,
    raw_reduce,
)
from diffkit.tensor.substitute import substitute

#: Kernels are joined while the result has at most this many distinct parts.
LARGEST_KERNEL = 32

_A = sp.Symbol("_0", real=True)


def view_of(node: Node) -> tuple[Node, Axes]:
    """What a transposition is applied to, and the axes of the result its axes are."""
    if isinstance(node, Einsum) and len(node.operands) == 1:
        ((operand, labels),) = node.factors
        if sorted(labels) == sorted(node.out):
            return operand, tuple(node.out.index(label) for label in labels)
    return node, all_axes(node)


def mapped(expr: sp.Basic, arguments: Mapping[sp.Symbol, tuple[Node, Axes]], shape: Shape) -> Node:
    """The value of a scalar expression whose symbols are nodes, entry by entry.

    Sums, products and powers that join several nodes become `Add` and `Einsum`; what depends on
    one node is one kernel.

    Args:
        expr: Expression in the symbols of `arguments`.
        arguments: Symbol -> node and, for each of its axes, the axis of the result.
        shape: Shape of the result.
    """
    free = _free(expr)
    used = {s: a for s, a in arguments.items() if s in free}
    literals = {s: value for s, (x, _) in used.items() if (value := number(x)) is not None}
    if literals:
        expr = substitute(expr, literals)
        free = _free(expr)
        used = {s: a for s, a in used.items() if s in free}
    if not used:
        return filled(expr, shape)
    node, axes = _mapped(expr, used)
    return sums.spread(node, axes, shape)


def filled(expr: sp.Basic, shape: Shape) -> Node:
    """The array with one value in every entry."""
    if is_truth(expr) or not shape:
        return const(expr) if not shape else spread_truth(expr, shape)
    return sums.scale(expr, ones(shape)) if expr != 0 else zero(shape)


def spread_truth(expr: sp.Basic, shape: Shape) -> Node:
    """A truth value of every entry."""
    size = 1
    for length in shape:
        size *= length
    return const([expr] * size, shape)


def _free(expr: sp.Basic) -> set[Any]:
    return {s for s in expr.free_symbols if isinstance(s, sp.Symbol)}


def _mapped(expr: sp.Basic, used: Mapping[sp.Symbol, tuple[Node, Axes]]) -> tuple[Node, Axes]:
    """The node of an expression and the axes of the result it has."""
    free = _free(expr)
    mine = {s: a for s, a in used.items() if s in free}
    if isinstance(expr, sp.Symbol):
        return mine[expr]
    bases = {(a[0], a[1]) for a in mine.values()}
    if len(bases) == 1 and not is_algebraic(expr):
        ((node, axes),) = bases
        return unary(substitute(expr, dict.fromkeys(mine, _A)), node), axes
    if isinstance(expr, sp.Add) and not is_truth(expr):
        return _sum_of([(ONE, *_part(arg, used)) for arg in expr.args])
    if isinstance(expr, sp.Mul):
        return _product_of([_part(arg, used) for arg in expr.args])
    if isinstance(expr, sp.Pow) and expr.exp.is_Rational:
        base, axes = _part(expr.base, used)
        return power(base, expr.exp), axes
    return _several(expr, mine)


@lru_cache(maxsize=8192)
def is_algebraic(expr: sp.Basic) -> bool:
    """Whether an expression has sums, products and rational powers only."""
    return all(
        isinstance(x, sp.Add | sp.Mul | sp.Symbol)
        or x.is_number
        or (isinstance(x, sp.Pow) and x.exp.is_Rational)
        for x in nodes(expr)
    )


def _part(expr: sp.Basic, used: Mapping[sp.Symbol, tuple[Node, Axes]]) -> tuple[Node, Axes]:
    if not _free(expr) & used.keys():
        return const(expr), ()
    return _mapped(expr, used)


def _several(expr: sp.Basic, mine: Mapping[sp.Symbol, tuple[Node, Axes]]) -> tuple[Node, Axes]:
    """A kernel that joins several nodes, such as max(a, b)."""
    places, operands, axes = [], [], []
    for s, (node, where) in mine.items():
        inner, seen = standing(node, where)
        operands.append(inner)
        axes.append(seen)
        places.append(s)
    present = sorted({a for each in axes for a in each})
    local = [tuple(present.index(a) for a in each) for each in axes]
    node = map_node(sp.Lambda(tuple(places), expr), *operands, axes=local)
    return node, tuple(present)


def _sum_of(parts: Sequence[tuple[sp.Expr, Node, Axes]]) -> tuple[Node, Axes]:
    present = tuple(sorted({a for _, _, axes in parts for a in axes}))
    lengths = {a: n for _, x, axes in parts for a, n in zip(axes, x.shape, strict=True)}
    terms = [(c, x, tuple(present.index(a) for a in axes)) for c, x, axes in parts]
    return sums.add(terms, tuple(lengths[a] for a in present)), present


def _product_of(parts: Sequence[tuple[Node, Axes]]) -> tuple[Node, Axes]:
    present = tuple(sorted({a for _, axes in parts for a in axes}))
    return products.einsum([(x, axes) for x, axes in parts], present), present


#: What comparisons with 0 say of a positive number.
_SIGN_TESTS: dict[sp.Basic, sp.Basic] = {
    sp.Gt(_A, 0): sp.true,
    sp.Ge(_A, 0): sp.true,
    sp.Ne(_A, 0): sp.true,
    sp.Lt(_A, 0): sp.false,
    sp.Le(_A, 0): sp.false,
    sp.Eq(_A, 0): sp.false,
}


def unary(kernel: sp.Basic, node: Node) -> Node:
    """A kernel of one scalar, written in the symbol `_0`, applied to a node."""
    if kernel == _A:
        return node
    if not _free(kernel):
        return filled(kernel, node.shape)
    value = number(node)
    if value is not None:
        return filled(substitute(kernel, {_A: value}), node.shape)
    if kernel == sp.log(_A):
        found = _logarithm(node)
        if found is not None:
            return found
    if kernel == sp.Abs(_A) and is_positive(node):
        return node
    if kernel in _SIGN_TESTS and is_positive(node):
        return spread_truth(_SIGN_TESTS[kernel], node.shape)
    if kernel == sp.sign(_A) and is_positive(node):
        return ones(node.shape)
    if isinstance(kernel, sp.Pow) and kernel.base == _A and kernel.exp.is_Rational:
        return power(node, kernel.exp)
    coefficient, rest = sums.scaled(node)
    if coefficient != 1 and coefficient.is_number and isinstance(rest, Map):
        # -log(u) and log(u) are functions of one u: the number belongs to the kernel.
        return unary(substitute(kernel, {_A: coefficient * _A}), rest)
    if isinstance(node, Map) and len(node.operands) == 1 and not is_probability(node):
        (operand,), (axes,) = node.operands, node.axes
        (place,) = node.kernel.signature
        joined = substitute(kernel, {_A: substitute(node.kernel.expr, {place: _A})})
        if not is_truth(node.kernel.expr) and is_small(joined):
            return sums.spread(unary(joined, operand), axes, node.shape)
    inner, axes = standing(node, all_axes(node))
    return map_node(sp.Lambda((_A,), kernel), inner, axes=[axes])


def standing(node: Node, axes: Axes) -> tuple[Node, Axes]:
    """An operand without transposition and in standard orientation, and where its axes go."""
    inner, seen = view_of(node)
    if inner is not node:
        return inner, tuple(axes[k] for k in seen)
    return standard_axes(node, axes)


@lru_cache(maxsize=8192)
def is_small(kernel: sp.Basic) -> bool:
    """Whether a joined kernel is still one a reader (and SymPy) takes in at a glance."""
    return sum(1 for _ in nodes(kernel)) <= LARGEST_KERNEL


def kernel_of(node: Node) -> tuple[sp.Basic, Node] | None:
    """Kernel in `_0` and operand of a unary map that keeps the axes in place, else None."""
    if isinstance(node, Map) and len(node.operands) == 1 and node.axes[0] == all_axes(node):
        (place,) = node.kernel.signature
        return substitute(node.kernel.expr, {place: _A}), node.operands[0]
    return None


def exponent_of(node: Node) -> Node | None:
    """u for a node exp(u), else None."""
    if isinstance(node, Map) and isinstance(node.kernel.expr, sp.exp) and len(node.operands) == 1:
        argument = node.kernel.expr.args[0]
        (place,) = node.kernel.signature
        coefficient = argument / place
        if coefficient.is_number:
            return sums.scale(
                coefficient, sums.permute(node.operands[0], inverse_order(node.axes[0]))
            )
    return None


def is_probability(node: Node) -> bool:
    """Whether the node is exp(u - logsumexp(u)): a softmax, which stays whole."""
    exponent = exponent_of(node)
    return exponent is not None and normaliser(exponent) is not None


def normaliser(exponent: Node) -> tuple[Node, Axes] | None:
    """The logsumexp of the other terms that an exponent subtracts, and its axes."""
    if not isinstance(exponent, Add):
        return None
    for coefficient, operand, axes in exponent.terms:
        if coefficient == -1 and isinstance(operand, Reduce) and operand.kind == "logsumexp":
            rest = [t for t in exponent.terms if t[1] is not operand]
            if rest and sums.add(rest, exponent.shape) is _spread_back(
                operand, axes, exponent.shape
            ):
                return operand, axes
    return None


def _spread_back(operand: Reduce, axes: Axes, shape: Shape) -> Node | None:
    """The argument of a logsumexp laid over `shape`, when its kept axes are `axes`."""
    inner = operand.operands[0]
    if len(inner.shape) != len(shape):
        return None
    gone = [k for k in range(len(shape)) if k not in axes]
    places = dict(zip(operand.kept, axes, strict=True)) | dict(zip(operand.axes, gone, strict=True))
    moved = tuple(places[k] for k in range(len(shape)))
    if tuple(shape[k] for k in moved) != inner.shape:
        return None
    return sums.permute(inner, inverse_order(moved))


def _logarithm(node: Node) -> Node | None:
    """log(exp u) is u, log(sum exp u) is logsumexp(u), log(c u) = log c + log u for c > 0."""
    exponent = exponent_of(node)
    if exponent is not None:
        return exponent
    summed = log_of_sum(node)
    if summed is not None:
        return summed
    coefficient, rest = sums.scaled(node)
    if coefficient != 1 and coefficient.is_positive:
        inner = _logarithm(rest)
        if inner is not None:
            return sums.add(
                [(sp.log(coefficient), const(1), ()), (ONE, inner, all_axes(inner))], node.shape
            )
    return None


def log_of_sum(node: Node) -> Node | None:
    """logsumexp(u) for a node that is the sum of exp(u) over some axes, else None."""
    if not isinstance(node, Einsum) or len(node.operands) != 1:
        return None
    ((operand, labels),) = node.factors
    exponent = exponent_of(operand)
    if exponent is None or len(set(labels)) != len(labels) or is_probability(operand):
        return None
    gone = tuple(k for k, label in enumerate(labels) if label not in node.out)
    kept = [label for label in labels if label in node.out]
    if not gone:
        return None
    return sums.permute(reduce("logsumexp", exponent, gone), tuple(kept.index(l) for l in node.out))


@lru_cache(maxsize=4096)
def is_positive(node: Node) -> bool:
    """Whether every entry is known to be positive."""
    match node:
        case Const():
            return all(bool(value.is_positive) for value in node.values)
        case Map():
            kernel = node.kernel.expr
            return isinstance(kernel, sp.exp) or bool(kernel.is_positive)
        case Einsum():
            return all(map(is_positive, node.operands))
        case Add():
            return bool(node.operands) and all(
                bool(c.is_positive) and is_positive(x) for c, x, _ in node.terms
            )
        case Affine():
            return node.is_ones
        case Var():
            return "positive" in node.facts
    return False


def power(node: Node, exponent: sp.Expr) -> Node:
    """A rational power, entry by entry."""
    exponent = sp.sympify(exponent, strict=True)
    if exponent == 1:
        return node
    if exponent == 0:
        return ones(node.shape)
    value = number(node)
    if value is not None:
        return filled(value**exponent, node.shape)
    is_whole = bool(exponent.is_Integer)
    coefficient, rest = sums.scaled(node)
    if coefficient != 1 and (is_whole or coefficient.is_positive):
        return sums.scale(coefficient**exponent, power(rest, exponent))
    argument = exponent_of(node)
    if argument is not None and not is_probability(node):
        return exponential(sums.scale(exponent, argument))
    summed = log_of_sum(node)
    if summed is not None and exponent.is_negative:
        return exponential(sums.scale(exponent, summed))
    if is_whole and isinstance(node, Einsum) and is_entrywise(node):
        return products.einsum(
            [(power(x, exponent), labels) for x, labels in node.factors], node.out
        )
    if isinstance(node, Map) and len(node.operands) == 1:
        (place,), kernel = node.kernel.signature, node.kernel.expr
        if is_whole or (isinstance(kernel, sp.Pow) and kernel.base == place and kernel.exp.q != 1):
            if isinstance(kernel, sp.Pow) and kernel.base == place:
                whole = power(node.operands[0], kernel.exp * exponent)
                return sums.permute(whole, inverse_order(node.axes[0]))
            if not is_probability(node) and exponent.is_negative and is_small(kernel):
                raised = sp.Lambda((place,), kernel**exponent)
                return map_node(raised, *node.operands, axes=node.axes)
    if is_whole and 1 < exponent <= LARGEST_PRODUCT_POWER:
        labels = all_axes(node)
        return products.einsum([(node, labels)] * int(exponent), labels)
    inner, axes = standing(node, all_axes(node))
    return map_node(sp.Lambda((_A,), _A**exponent), inner, axes=[axes])


def exponential(node: Node) -> Node:
    """exp of a node; exp(log u) is u."""
    coefficient, rest = sums.scaled(node)
    inside = kernel_of(rest)
    if inside is not None and inside[0] == sp.log(_A) and coefficient.is_Rational:
        return power(inside[1], coefficient)
    return unary(sp.exp(_A), node)


def is_entrywise(node: Einsum) -> bool:
    """Whether the product sums over nothing and takes no diagonal."""
    out = set(node.out)
    return all(set(ls) <= out and len(set(ls)) == len(ls) for ls in node.labels)


def reduce(kind: str, node: Node, axes: Sequence[int]) -> Node:
    """A maximum, minimum, product or logsumexp; terms constant along `axes` come out of it."""
    gone = tuple(sorted(axes))
    if not gone:
        return node
    kept = [k for k in range(len(node.shape)) if k not in gone]
    shape = tuple(node.shape[k] for k in kept)
    value = number(node)
    size = 1
    for k in gone:
        size *= node.shape[k]
    if value is not None and kind in ("max", "min"):
        return filled(value, shape)
    if value is not None and kind == "logsumexp":
        return filled(value + sp.log(size), shape)
    if isinstance(node, Add) and kind in ("max", "min", "logsumexp"):
        outer = [t for t in node.terms if not set(t[2]) & set(gone)]
        if outer:
            inner_terms = [t for t in node.terms if set(t[2]) & set(gone)]
            terms = [(c, x, tuple(kept.index(a) for a in axes_)) for c, x, axes_ in outer]
            if inner_terms:
                inner = reduce(kind, sums.add(inner_terms, node.shape), gone)
                terms.append((ONE, inner, all_axes(inner)))
            elif kind == "logsumexp":
                terms.append((sp.log(size), const(1), ()))
            return sums.add(terms, shape)
    inner, places = standing(node, all_axes(node))
    if places == all_axes(node):
        return raw_reduce(kind, node, gone)
    found = raw_reduce(kind, inner, [k for k, place in enumerate(places) if place in gone])
    order = [place for place in places if place not in gone]
    return sums.permute(found, tuple(order.index(k) for k in kept))


def linop(kind: str, node: Node, shape: Sequence[int], params: tuple[Any, ...] = ()) -> Node:
    """A function of matrices; inv, det and the like of a transpose are those of the matrix."""
    rank = len(node.shape)
    if kind in _OF_EXPONENTIAL and isinstance(node, LinOp) and node.kind == "expm":
        return _OF_EXPONENTIAL[kind](node.operands[0])
    if rank == 2 and kind in ("inv", "pinv", "det", "logabsdet", "detsign", "expm", "power"):
        inner, axes = view_of(node)
        flipped = sums.permute(node, (1, 0))
        is_open = isinstance(node, Einsum | Add | Map) and axes == (0, 1)
        if axes == (1, 0) or (is_open and flipped.digest < node.digest):
            base = inner if axes == (1, 0) else flipped
            found = linop(kind, base, shape[::-1] if len(shape) == 2 else shape, params)
            return sums.permute(found, (1, 0)) if len(shape) == 2 else found
        if kind in ("inv", "pinv"):
            if isinstance(node, LinOp) and node.kind == "inv":
                return node.operands[0]
            coefficient, rest = sums.scaled(node)
            if coefficient != 1:
                return sums.scale(1 / coefficient, linop(kind, rest, shape, params))
            if isinstance(node, Affine) and node.is_identity:
                return node
            if kind == "inv" and isinstance(node, Var) and "orthogonal" in node.facts:
                return sums.permute(node, (1, 0))
    return raw_linop(kind, (node,), shape, params)


def _trace(x: Node) -> Node:
    batch = tuple(range(len(x.shape) - 2))
    return products.einsum([(x, (*batch, len(batch), len(batch)))], batch)


#: det e^X = e^tr X.
_OF_EXPONENTIAL: dict[str, Callable[[Node], Node]] = {
    "logabsdet": _trace,
    "det": lambda x: exponential(_trace(x)),
    "detsign": lambda x: filled(sp.S.One, x.shape[:-2]),
}

r"""The derivative of every node by its operands, as products over labels.

A row returns the terms of dY = sum_k T_k dX_k, where T is a product of factors whose labels are
those of Y's axes, those of the operand's axes, and summed ones.  Forward and reverse mode read
the same rows, so there is one table of rules.  A node without a row raises.

Matrix functions: Giles (2008); factorisations have a file of their own.
"""

from collections.abc import Callable, Container, Sequence
from functools import lru_cache

import sympy as sp

from diffkit.core.errors import UnsupportedFunction
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.textbook import textbook
from diffkit.symbolic.vocabulary import FUNCTIONS
from diffkit.tensor import build
from diffkit.tensor.factorisations import FACTORISATION_RULES
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Reduce,
    Select,
    Var,
    is_truth,
    map_node,
    select,
)
from diffkit.tensor.terms import Factor, Term, batch_labels, complement, inverse


def partials(
    node: Node,
    conventions: tuple[tuple[str, float], ...] = (),
    wanted: Container[int] | None = None,
) -> list[Term]:
    """The terms of the derivative of a node by its operands.

    Args:
        node: Any node but `Opaque`, which differentiates itself.
        conventions: Values at kinks, as `symbolic.differentiate.derivative` takes them.
        wanted: Positions of the operands that matter (all for None): a function may have a
            derivative by some of its arguments only.

    Raises:
        UnsupportedFunction: there is no rule.
    """
    match node:
        case Var() | Const() | Affine():
            return []
        case Add():
            return _of_sum(node)
        case Einsum():
            return _of_product(node)
        case Map():
            return _of_map(node, conventions, wanted)
        case Select():
            return _of_select(node)
        case Reduce():
            return _of_reduction(node)
        case LinOp():
            if node.kind not in MATRIX_RULES:
                raise UnsupportedFunction(
                    f"the matrix function {node.kind} has no rule of differentiation; "
                    "add one in tensor/partials.py"
                )
            return MATRIX_RULES[node.kind](node)
    raise UnsupportedFunction(f"{type(node).__name__} has no rule of differentiation")


def _of_sum(node: Add) -> list[Term]:
    out = build.all_axes(node)
    return [
        Term(k, tuple(_bare_ones(node, axes)), out, axes, coefficient)
        for k, (coefficient, _, axes) in enumerate(node.terms)
    ]


def _bare_ones(node: Node, axes: Sequence[int]) -> list[Factor]:
    """Ones along the axes of the node that the operand does not have."""
    return [(build.ones((node.shape[k],)), (k,)) for k in range(len(node.shape)) if k not in axes]


def _of_product(node: Einsum) -> list[Term]:
    terms = []
    for k, (operand, labels) in enumerate(node.factors):
        if isinstance(operand, Affine):
            continue
        rest = [f for j, f in enumerate(node.factors) if j != k]
        if len(set(labels)) < len(labels):
            # A diagonal: give every axis its own label and tie them.
            fresh = max([*node.sizes, 0]) + 1
            inside = tuple(range(fresh, fresh + len(labels)))
            for own, label, size in zip(inside, labels, operand.shape, strict=True):
                rest.append((build.identity(size), (own, label)))
            labels = inside
        carried = {label for _, ls in rest for label in ls} | set(labels)
        rest += [
            (build.ones((node.sizes[label],)), (label,))
            for label in node.out
            if label not in carried
        ]
        terms.append(Term(k, tuple(rest), node.out, labels))
    return terms


def _of_map(
    node: Map, conventions: tuple[tuple[str, float], ...], wanted: Container[int] | None
) -> list[Term]:
    if is_truth(node.kernel.expr):
        return []
    out = build.all_axes(node)
    terms = []
    for k, (place, axes) in enumerate(zip(node.kernel.signature, node.axes, strict=True)):
        if wanted is not None and k not in wanted:
            continue
        slope = slope_of(node.kernel, place, conventions)
        if slope == 0:
            continue
        arguments = dict(
            zip(node.kernel.signature, zip(node.operands, node.axes, strict=True), strict=True)
        )
        factor = build.mapped(slope, arguments, node.shape)
        terms.append(Term(k, ((factor, out),), out, axes))
    return terms


def slope_of(
    kernel: sp.Lambda, place: sp.Symbol, conventions: tuple[tuple[str, float], ...] = ()
) -> sp.Basic:
    """The partial derivative of a kernel, in the form of a textbook."""
    return _slope(kernel, place, conventions)[0]


def slope_notes(kernel: sp.Lambda) -> tuple[str, ...]:
    """What the derivatives of a kernel leave out, such as the jumps of a floor."""
    return tuple(note for place in kernel.signature for note in _slope(kernel, place, ())[1])


@lru_cache(maxsize=2048)
def _slope(
    kernel: sp.Lambda, place: sp.Symbol, conventions: tuple[tuple[str, float], ...]
) -> tuple[sp.Basic, tuple[str, ...]]:
    notes: list[str] = []
    raw = derivative(kernel.expr, place, conventions=dict(conventions) or None, notes=notes)
    return textbook(raw), tuple(notes)


def indicator(predicate: Node, holds: bool = True) -> Node:
    """1 where a predicate holds and 0 elsewhere, or the other way round."""
    on_true, on_false = (1, 0) if holds else (0, 1)
    axes = [build.all_axes(predicate), (), ()]
    return select(predicate, build.const(on_true), build.const(on_false), axes=axes)


def step_of(condition: sp.Basic) -> sp.Basic | None:
    """The vocabulary's step function for an inequality: step(x, 0) for x > 0, step(x, 1) for >=."""
    step = FUNCTIONS["step"]
    gap = getattr(condition, "lhs", 0) - getattr(condition, "rhs", 0)
    match condition:
        case sp.StrictGreaterThan():
            return step(gap, 0)
        case sp.GreaterThan():
            return step(gap, 1)
        case sp.StrictLessThan():
            return step(-gap, 0)
        case sp.LessThan():
            return step(-gap, 1)
    return None


def _of_select(node: Select) -> list[Term]:
    out = build.all_axes(node)
    terms = []
    for k, holds in ((1, True), (2, False)):
        where = indicator(node.predicate, holds)
        axes = node.axes[k]
        factors = [(where, node.axes[0])]
        carried = {*node.axes[0], *axes}
        factors += [(build.ones((node.shape[a],)), (a,)) for a in out if a not in carried]
        terms.append(Term(k, tuple(factors), out, axes))
    return terms


_A, _B = sp.symbols("_0 _1", real=True)
_EQUAL = sp.Lambda((_A, _B), sp.Eq(_A, _B))


def _of_reduction(node: Reduce) -> list[Term]:
    (operand,) = node.operands
    inside = build.all_axes(operand)
    out = node.kept
    if node.kind == "logsumexp":
        shifted = build.add([(sp.S.One, operand, inside), (-sp.S.One, node, out)], operand.shape)
        return [Term(0, ((build.exponential(shifted), inside),), out, inside)]
    if node.kind in ("max", "min"):
        where = indicator(map_node(_EQUAL, operand, node, axes=[inside, out]))
        ties = build.power(build.einsum([(where, inside)], out), -sp.S.One)
        return [Term(0, ((where, inside), (ties, out)), out, inside)]
    if node.kind == "prod":
        quotient = build.power(operand, -sp.S.One)
        return [Term(0, ((node, out), (quotient, inside)), out, inside)]
    raise UnsupportedFunction(f"the reduction {node.kind} has no rule of differentiation")


# matrix functions: labels 0, 1, ... are a batch ---------------------------------------------------


def _inverse(node: LinOp) -> list[Term]:
    """dY = -Y dX Y."""
    b, n = batch_labels(node)
    i, j, k, l = range(n, n + 4)
    factors = ((node, (*b, i, k)), (node, (*b, l, j)))
    return [Term(0, factors, (*b, i, j), (*b, k, l), -sp.S.One)]


def _log_abs_det(node: LinOp) -> list[Term]:
    """d log|det X| = tr(X^-1 dX)."""
    b, n = batch_labels(node)
    k, l = n, n + 1
    return [Term(0, ((inverse(node.operands[0]), (*b, l, k)),), b, (*b, k, l))]


def _det(node: LinOp) -> list[Term]:
    """d det X = det X tr(X^-1 dX), X regular."""
    b, n = batch_labels(node)
    k, l = n, n + 1
    factors = ((node, b), (inverse(node.operands[0]), (*b, l, k)))
    return [Term(0, factors, b, (*b, k, l))]


def _flat(node: LinOp) -> list[Term]:
    """The sign of a determinant is constant where it is not zero."""
    return []


def _power(node: LinOp) -> list[Term]:
    """d X^n = sum_k X^k dX X^(n-1-k)."""
    (operand,), (exponent,) = node.operands, node.params
    b, first = batch_labels(node)
    i, j, k, l = range(first, first + 4)
    terms = []
    for count in range(exponent):
        factors: list[Factor] = []
        left, right = matrix_power(operand, count), matrix_power(operand, exponent - 1 - count)
        factors.append((left, (*b, i, k)))
        factors.append((right, (*b, l, j)))
        terms.append(Term(0, tuple(factors), (*b, i, j), (*b, k, l)))
    return terms


def matrix_power(matrix: Node, exponent: int) -> Node:
    """X^n for a whole n; small powers are products."""
    rank = len(matrix.shape)
    if exponent == 0:
        eye = build.identity(matrix.shape[-1])
        bare = [(build.ones((n,)), (k,)) for k, n in enumerate(matrix.shape[:-2])]
        return build.einsum([*bare, (eye, (rank - 2, rank - 1))], tuple(range(rank)))
    if exponent < 0:
        return matrix_power(inverse(matrix), -exponent)
    if exponent == 1:
        return matrix
    b = tuple(range(rank - 2))
    chain = [(matrix, (*b, rank + k, rank + k + 1)) for k in range(exponent)]
    return build.einsum(chain, (*b, rank, rank + exponent))


def _pseudo_inverse(node: LinOp) -> list[Term]:
    """dP = -P dX P + P P' dX' (I - X P) + (I - P X) dX' P' P; constant rank.

    Source: Golub and Pereyra (1973).
    """
    (operand,) = node.operands
    b, first = batch_labels(node)
    i, j, k, l, m = range(first, first + 5)
    *_, rows, columns = operand.shape
    plain = Term(0, ((node, (*b, i, k)), (node, (*b, l, j))), (*b, i, j), (*b, k, l), -sp.S.One)
    right_null = complement(operand, node, rows)
    left_null = complement(node, operand, columns)
    return [
        plain,
        Term(
            0,
            ((node, (*b, i, m)), (node, (*b, l, m)), (right_null, (*b, k, j))),
            (*b, i, j),
            (*b, k, l),
        ),
        Term(
            0,
            ((left_null, (*b, i, l)), (node, (*b, m, k)), (node, (*b, m, j))),
            (*b, i, j),
            (*b, k, l),
        ),
    ]


MATRIX_RULES: dict[str, Callable[[LinOp], list[Term]]] = {
    "inv": _inverse,
    "logabsdet": _log_abs_det,
    "det": _det,
    "detsign": _flat,
    "power": _power,
    "pinv": _pseudo_inverse,
    **FACTORISATION_RULES,
}

"""From a DAG of nodes to one SymPy expression, and its elementwise derivative.

Composition substitutes kernels into each other once per node, never once per path.  A constant
array cannot stand inside a scalar expression: it is given a symbol, and `Composed.arrays` says
what the symbol holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.symbolic.symbols import symbol
from diffkit.tensor import build
from diffkit.tensor.masks import masked
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    Map,
    Node,
    Select,
    Var,
    is_truth,
    topological,
)
from diffkit.tensor.partials import slope_notes
from diffkit.tensor.substitute import substitute
from diffkit.tensor.sweep import pushforward
from diffkit.tensor.views import View


@dataclass(frozen=True)
class Composed:
    """One scalar expression that is applied entry by entry.

    Args:
        expr: The expression in the symbols of the inputs.
        arrays: Symbol -> the constant array it stands for.
    """

    expr: sp.Basic
    arrays: Mapping[sp.Symbol, Const] = field(default_factory=dict)


def compose(root: Node) -> Composed:
    """Return the formula of `root` as one expression.

    >>> x, y = symbol("x"), symbol("y")
    >>> from diffkit.tensor.nodes import map_node, var
    >>> compose(map_node(sp.Lambda((x, y), x * sp.exp(y)), var("x"), var("w"))).expr
    x*exp(w)
    """
    (root,) = masked((root,))
    done: dict[Node, sp.Basic] = {}
    arrays: dict[sp.Symbol, Const] = {}
    taken = {node.name for node in topological(root) if isinstance(node, Var)}
    for node in topological(root):
        done[node] = _compose_one(node, done, arrays, taken)
    return Composed(done[root], arrays)


def _compose_one(
    node: Node, done: Mapping[Node, sp.Basic], arrays: dict[sp.Symbol, Const], taken: set[str]
) -> sp.Basic:
    values = tuple(done[operand] for operand in node.operands)
    match node:
        case Var():
            return node.symbol
        case Const():
            if len(set(node.values)) == 1:
                return node.values[0]
            name = next(n for i in range(1, len(taken) + 2) if (n := f"C_{i}") not in taken)
            taken.add(name)
            arrays[symbol(name)] = node
            return symbol(name)
        case Map():
            places = node.kernel.signature
            return substitute(node.kernel.expr, dict(zip(places, values, strict=True)))
        case Select():
            return _choose(*values)
        case Add():
            pairs = zip(node.coefficients, values, strict=True)
            return sp.Add(*(c * value for c, value in pairs))
        case Einsum() if not any(isinstance(x, Affine) and not x.is_ones for x in node.operands):
            return sp.Mul(*values)
        case Affine() if node.is_ones:
            return sp.S.One
    raise UsageError(f"{type(node).__name__} is no elementwise node")


def is_elementwise(result: View) -> bool:
    """Whether every input reaches the result entry by entry, aligned as NumPy broadcasts.

    Such a formula is one scalar expression (`compose`); any other needs its axes.
    """
    rank = result.rank
    places: dict[Node, tuple[int | None, ...]] = {
        result.node: tuple(rank - 1 - label for label in result.labels())
    }
    for node in reversed(list(topological(result.node))):
        own = places[node]
        if isinstance(node, Var | Const):
            length = len(node.shape)
            expected = range(length - 1, -1, -1)
            # An axis of length 1 that was summed is stretched again, or it is gone.
            if any(
                (q >= rank) if p is None else p != q for p, q in zip(own, expected, strict=True)
            ):
                return False
            continue
        below = _places_below(node, own)
        if below is None:
            return False
        for operand, where in zip(node.operands, below, strict=True):
            if places.setdefault(operand, where) != where:
                return False
    return True


Places = tuple[int | None, ...]


def _places_below(node: Node, own: Places) -> list[Places] | None:
    """Where the operands' axes lie, counted from the last; None when a sum is taken."""
    if isinstance(node, Map | Select | Add):
        return [tuple(own[a] for a in axes) for axes in node.axes]
    if isinstance(node, Affine) and node.is_ones:
        return []
    if not isinstance(node, Einsum):
        return None
    sizes = node.sizes
    names = dict(zip(node.out, own, strict=True))
    found = []
    for operand, labels in node.factors:
        if len(set(labels)) < len(labels) or (isinstance(operand, Affine) and not operand.is_ones):
            return None
        if any(label not in names and sizes[label] != 1 for label in labels):
            return None
        found.append(tuple(names.get(label) for label in labels))
    return found


def _choose(predicate: sp.Basic, on_true: sp.Basic, on_false: sp.Basic) -> sp.Basic:
    if predicate == sp.true:
        return on_true
    if predicate == sp.false:
        return on_false
    if is_truth(on_true):
        return sp.Or(sp.And(predicate, on_true), sp.And(sp.Not(predicate), on_false))
    on_true, on_false = _assuming(on_true, predicate, True), _assuming(on_false, predicate, False)
    if on_true == on_false:
        return on_true
    return sp.Piecewise((on_true, predicate), (on_false, True), evaluate=False)


def _assuming(branch: sp.Basic, predicate: sp.Basic, holds: bool) -> sp.Basic:
    """`branch` where the truth of `predicate` is known: the guards of a "double where" vanish."""
    known = {predicate: sp.true if holds else sp.false, sp.Not(predicate): sp.Not(holds)}
    decided: dict[sp.Basic, sp.Basic] = {}
    for node in branch.atoms(sp.Piecewise):
        value, condition = node.args[0]
        if condition in known and len(node.args) == 2:
            decided[node] = value if known[condition] == sp.true else node.args[1][0]
    return substitute(branch, decided) if decided else branch


def differentiate(root: Node, wrt: Var, notes: list[str] | None = None) -> Node:
    """Return the elementwise derivative of an elementwise node with respect to one input.

    Forward mode with a tangent of ones; predicates count as constant.

    Args:
        root: Any elementwise node.
        wrt: The input; it need not occur.
        notes: Receives what the answer leaves out, as `symbolic.differentiate.derivative` says.
    """
    if notes is not None:
        kernels = [x.kernel for x in topological(root) if isinstance(x, Map)]
        notes += [
            note for kernel in kernels if not is_truth(kernel.expr) for note in slope_notes(kernel)
        ]
    return pushforward(root, {wrt: build.ones(wrt.shape)})

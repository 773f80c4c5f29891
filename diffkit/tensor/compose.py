"""From a DAG of nodes to one SymPy expression, and its elementwise derivative.

Composition substitutes kernels into each other once per node, never once per path.  A constant
array cannot stand inside a scalar expression: it is given a symbol, and `Composed.arrays` says
what the symbol holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.symbols import symbol
from diffkit.tensor.nodes import (
    Const,
    Map,
    Node,
    Select,
    Var,
    const,
    is_truth,
    map_node,
    select,
    topological,
)
from diffkit.tensor.substitute import substitute


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
    >>> from diffkit.tensor.nodes import var
    >>> compose(map_node(sp.Lambda((x, y), x * sp.exp(y)), var("x"), var("w"))).expr
    x*exp(w)
    """
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
    raise UsageError(f"{type(node).__name__} is no elementwise node")


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
    r"""Return the elementwise derivative of `root` with respect to one input.

    Forward accumulation over the DAG: a node's derivative is
    $\sum_i \partial_i k(\text{operands})\; d(\text{operand}_i)$; predicates count as constant.

    Args:
        root: Any elementwise node.
        wrt: The input; it need not occur.
        notes: Receives what the answer leaves out, as `symbolic.differentiate.derivative` says.
    """
    zero, one = const(0), const(1)
    slopes: dict[Node, Node] = {}
    for node in topological(root):
        match node:
            case Var():
                slopes[node] = one if node is wrt else zero
            case Const():
                slopes[node] = zero
            case Select():
                on_true, on_false = slopes[node.on_true], slopes[node.on_false]
                slopes[node] = select(node.predicate, on_true, on_false)
            case Map():
                slopes[node] = _map_slope(node, slopes, notes)
    return slopes[root]


_A, _B = sp.symbols("a b", real=True)
_PRODUCT, _SUM = sp.Lambda((_A, _B), _A * _B), sp.Lambda((_A, _B), _A + _B)


def _map_slope(node: Map, slopes: Mapping[Node, Node], notes: list[str] | None) -> Node:
    zero, one = const(0), const(1)
    total: Node = zero
    if is_truth(node.kernel.expr):
        return zero
    for place, operand in zip(node.kernel.signature, node.operands, strict=True):
        slope = slopes[operand]
        if slope is zero:
            continue
        partial = derivative(node.kernel.expr, place, notes=notes)
        if partial == 0:
            continue
        term: Node = map_node(sp.Lambda(node.kernel.signature, partial), *node.operands)
        term = term if slope is one else map_node(_PRODUCT, term, slope)
        total = term if total is zero else map_node(_SUM, total, term)
    return total

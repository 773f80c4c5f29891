"""Kernels of one argument with kinks, written with one step per kink.

abs, sign, max, clip and conditions of one x cut the line at finitely many numbers b_k; between
them the kernel is one expression e_k.  Then it is e_0 + sum_k (e_k - e_(k-1)) step(x - b_k), which
is the same for every way to write the kernel.  Values at the cuts themselves do not count.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import sympy as sp
from sympy.core.relational import Relational

from diffkit.tensor.nodes import Const, Einsum, Labels, Map, Node, Select, map_node

#: More pieces than this are left as they are.
MOST_PIECES = 24
_KINKS = (sp.Abs, sp.sign, sp.Max, sp.Min, Relational)
_X = sp.Symbol("_0", real=True)

Piece = tuple[sp.Expr, sp.Expr, sp.Basic]


class _NotPiecewise(Exception):
    """A kink lies at no rational number."""


def by_regions(expr: sp.Basic) -> sp.Basic:
    """The kernel with one sign per kink, or as it is when that cannot be done.

    >>> x = sp.Symbol("x", real=True)
    >>> by_regions(sp.Max(x, 0)) == by_regions((x + sp.Abs(x)) / 2)
    True
    """
    symbols = expr.free_symbols
    if len(symbols) != 1 or not expr.has(*_KINKS):
        return expr
    (x,) = symbols
    try:
        pieces = _pieces(expr, x, -sp.oo, sp.oo)
    except _NotPiecewise:
        return expr
    if all(value in (sp.true, sp.false) for _, _, value in pieces):
        pieces = [(a, b, sp.Integer(1 if value == sp.true else 0)) for a, b, value in pieces]
    result = sp.expand(pieces[0][2])
    for (_, _, before), (low, _, after) in pairwise(pieces):
        gap = sp.expand(after - before)
        if gap != 0:
            result += gap * (1 + sp.sign(x - low)) / 2
    return result


def _pieces(expr: sp.Basic, x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> list[Piece]:
    """The expression on every interval between its kinks."""
    kink = next(
        (e for e in sp.postorder_traversal(expr) if isinstance(e, _KINKS) and _is_smooth(e)), None
    )
    if kink is None:
        return [(low, high, expr)]
    cuts = sorted({cut for gap in _gaps(kink) for cut in _roots(gap, x) if low < cut < high})
    ends = [low, *cuts, high]
    found: list[Piece] = []
    for a, b in pairwise(ends):
        settled = expr.xreplace({kink: _chosen(kink, x, _between(a, b))})
        found += _pieces(settled, x, a, b)
        if len(found) > MOST_PIECES:
            raise _NotPiecewise
    return found


def _is_smooth(kink: sp.Basic) -> bool:
    return not any(arg.has(*_KINKS, sp.Piecewise) for arg in kink.args)


def _gaps(kink: sp.Basic) -> Iterator[sp.Expr]:
    """What changes its sign at a kink."""
    if isinstance(kink, Relational):
        yield kink.lhs - kink.rhs
    elif isinstance(kink, sp.Max | sp.Min):
        for k, left in enumerate(kink.args):
            for right in kink.args[k + 1 :]:
                yield left - right
    else:
        yield kink.args[0]


def _roots(gap: sp.Expr, x: sp.Symbol) -> list[sp.Expr]:
    """The root of an affine gap.

    Raises:
        _NotPiecewise: the gap is not affine with rational coefficients.
    """
    opened = sp.expand(gap)
    slope = opened.coeff(x, 1)
    rest = sp.expand(opened - slope * x)
    if not (slope.is_Rational and rest.is_Rational):
        raise _NotPiecewise
    return [-rest / slope] if slope else []


def _between(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    if a == -sp.oo:
        return sp.Integer(0) if b == sp.oo else b - 1
    return a + 1 if b == sp.oo else (a + b) / 2


def _chosen(kink: sp.Basic, x: sp.Symbol, place: sp.Expr) -> sp.Basic:
    """What a kink is on the interval around a place."""
    if isinstance(kink, Relational):
        return sp.true if kink.xreplace({x: place}) == sp.true else sp.false
    if isinstance(kink, sp.Max | sp.Min):
        pick = max if isinstance(kink, sp.Max) else min
        return pick(kink.args, key=lambda arg: arg.xreplace({x: place}))
    sign = sp.sign(kink.args[0].xreplace({x: place}))
    return sign if isinstance(kink, sp.sign) else sign * kink.args[0]


def fused_choice(node: Select) -> Map | None:
    """A choice as one kernel, when test and branches are kernels of one array."""
    parts = [_kernel(x, axes) for x, axes in zip(node.operands, node.axes, strict=True)]
    arguments = {part[1] for part in parts if part is not None and part[1] is not None}
    if any(part is None for part in parts) or len(arguments) != 1:
        return None
    (argument,) = arguments
    test, yes, no = (part[0] for part in parts if part is not None)
    kernel = sp.Lambda(_X, sp.Piecewise((yes, test), (no, True)))
    return map_node(kernel, argument[0], axes=[argument[1]])


def fused_factors(node: Einsum) -> list[tuple[Node, Labels]]:
    """The factors of a product, those with kinks in one array under the same labels as one."""
    groups: dict[Labels, list[Node]] = {}
    for x, labels in node.factors:
        groups.setdefault(labels, []).append(x)
    found: list[tuple[Node, Labels]] = []
    for labels, factors in groups.items():
        found += [(x, labels) for x in _fused_group(factors)]
    return found


def _fused_group(factors: Sequence[Node]) -> list[Node]:
    """Factors of one shape; kernels with kinks in the same array become one kernel."""
    kernels: dict[tuple[Node, tuple[int, ...]], list[sp.Basic]] = {}
    rest = []
    for x in factors:
        part = _kernel(x, tuple(range(len(x.shape)))) if _bends(x) else None
        if part is None or part[1] is None:
            rest.append(x)
        else:
            kernels.setdefault(part[1], []).append(part[0])
    fused = [
        map_node(sp.Lambda(_X, sp.Mul(*parts)), x, axes=[axes])
        for (x, axes), parts in kernels.items()
    ]
    return [*rest, *fused]


def _bends(node: Node) -> bool:
    return isinstance(node, Select) or (isinstance(node, Map) and node.kernel.expr.has(*_KINKS))


def _kernel(
    node: Node, axes: Sequence[int]
) -> tuple[sp.Basic, tuple[Node, tuple[int, ...]] | None] | None:
    """An operand as an expression of one array, with the array and where its axes lie."""
    if isinstance(node, Const):
        return None if node.shape else (node.values[0], None)
    if isinstance(node, Select):
        fused = fused_choice(node)
        return None if fused is None else _kernel(fused, axes)
    if isinstance(node, Map):
        if len(node.operands) != 1:
            return None
        (place,) = node.kernel.signature
        inner = tuple(axes[k] for k in node.axes[0])
        return node.kernel.expr.xreplace({place: _X}), (node.operands[0], inner)
    return _X, (node, tuple(axes))

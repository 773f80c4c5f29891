r"""Where a formula stops being affine in a variable, and the Hessian by congruence.

If w enters f only through affine maps $z_i = A_i w + c_i$, then
$$\nabla^2_w f = \sum_{ij} A_i^\top\, \frac{\partial^2 f}{\partial z_i\,\partial z_j}\, A_j,$$
with A constant.  The frontier is the set of largest affine parts; the inner Hessians are taken by
fresh variables in their place, so the structure of A and that of the inside stay apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from diffkit.tensor import build, sweep
from diffkit.tensor.nodes import Add, Einsum, Labels, Node, Select, Var, topological, var

Factor = tuple[Node, Labels]
#: Name of the variable that stands for a part of the frontier; no argument can be called so.
INNER = "inside {}"
#: More parts than this and the Hessian is taken directly.
MOST_PARTS = 3


@dataclass(frozen=True)
class Piece:
    """One term of a Hessian: a product of nodes.

    Args:
        coefficient: An exact factor.
        factors: Nodes and labels; axis k of the variable is label k on the left and
            `rank + k` on the right, other labels are summed.
        sizes: Length of every label.
    """

    coefficient: sp.Expr
    factors: tuple[Factor, ...]
    sizes: Mapping[int, int]


def hessian_pieces(root: Node, variable: Var) -> list[list[Piece]]:
    """Ways to write the Hessian as a sum of products, the most direct one last.

    Args:
        root: A number.
        variable: What to differentiate by, twice.
    """
    direct = sweep.hessian(root, variable)
    if build.is_zero(direct):
        return [[]]
    rank = len(variable.shape)
    labels = tuple(range(2 * rank))
    sizes = dict(enumerate(direct.shape))
    whole = [Piece(sp.S.One, ((direct, labels),), sizes)]
    through = _by_congruence(root, variable)
    return [whole] if through is None else [through, whole]


def _by_congruence(root: Node, variable: Var) -> list[Piece] | None:
    """The terms A_i' G_ij A_j, or None where that is no simplification."""
    parts = frontier(root, variable)
    if not parts or parts == [variable] or len(parts) > MOST_PARTS:
        return None
    maps = [_one_product(sweep.jacobian(part, variable)) for part in parts]
    inner = [var(INNER.format(k), part.shape, variable.dtype) for k, part in enumerate(parts)]
    inside = replaced(root, dict(zip(parts, inner, strict=True)))
    back: dict[Node, Node] = dict(zip(inner, parts, strict=True))
    pieces = []
    for i, first in enumerate(sweep.gradient(inside, inner)):
        for j, other in enumerate(inner):
            block = sweep.pushforward_all(first, other)
            if build.is_zero(block):
                continue
            left, right = maps[i], maps[j]
            if i != j or left is None or right is None:
                return None
            pieces.append(_sandwich(left, replaced(block, back), right, len(variable.shape)))
    return pieces


def frontier(root: Node, variable: Var) -> list[Node]:
    """The largest parts that are affine in the variable, in order of dependency.

    >>> x = var("x", (3,))
    >>> square = build.einsum([(x, (0,)), (x, (0,))], ())
    >>> frontier(square, x) == [x]
    True
    """
    order = list(topological(root))
    degrees: dict[Node, int] = {}
    for node in order:
        degrees[node] = _degree(node, variable, [degrees[x] for x in node.operands])
    used = {x for node in order if degrees[node] == 2 for x in node.operands if degrees[x] == 1}
    return [node for node in order if node in used]


def _degree(node: Node, variable: Var, inner: Sequence[int]) -> int:
    """0 for what does not depend on the variable, 1 for what is affine in it, 2 otherwise."""
    match node:
        case Var():
            return int(node is variable)
        case Add():
            return max(inner, default=0)
        case Einsum():
            return min(sum(inner), 2)
        case Select():
            return 2 if inner[0] else max(inner[1:])
    return 2 if any(inner) else 0


def replaced(root: Node, new: Mapping[Node, Node]) -> Node:
    """The formula with some nodes replaced by nodes of the same shape."""
    done: dict[Node, Node] = dict(new)
    for node in topological(root):
        if node not in done:
            operands = tuple(done[x] for x in node.operands)
            is_same = operands == node.operands
            done[node] = node if is_same else type(node)._intern(node.key, operands, node.shape)
    return done[root]


def _one_product(node: Node) -> tuple[sp.Expr, Node] | None:
    """Coefficient and product of a Jacobian that is one term, else None."""
    coefficient, core = build.scaled(node)
    return None if isinstance(core, Add) else (coefficient, core)


def _sandwich(
    left: tuple[sp.Expr, Node], middle: Node, right: tuple[sp.Expr, Node], rank: int
) -> Piece:
    """The product A' G A with the variable's axes as labels 0, 1, ... on both sides."""
    depth = len(middle.shape) // 2
    first = 2 * rank
    rows = tuple(range(first, first + depth))
    columns = tuple(range(first + depth, first + 2 * depth))
    fresh = first + 2 * depth
    factors: list[Factor] = [(middle, (*rows, *columns))]
    for (_, core), inner, outer in (
        (left, rows, tuple(range(rank))),
        (right, columns, tuple(range(rank, 2 * rank))),
    ):
        opened, fresh = _under(core, (*inner, *outer), fresh)
        factors += opened
    sizes = {l: n for x, ls in factors for l, n in zip(ls, x.shape, strict=True)}
    return Piece(left[0] * right[0], tuple(factors), sizes)


def _under(node: Node, labels: Labels, fresh: int) -> tuple[list[Factor], int]:
    """The factors of a node under the labels of its axes; its own sums get fresh labels."""
    if not isinstance(node, Einsum):
        return [(node, labels)], fresh
    names = dict(zip(node.out, labels, strict=True))
    for label in sorted(node.sizes):
        if label not in names:
            names[label] = fresh
            fresh += 1
    return [(x, tuple(names[l] for l in ls)) for x, ls in node.factors], fresh

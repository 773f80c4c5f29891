"""What the printers recognise in nodes: differentials, nested products, softmax, functions."""

from collections.abc import Sequence

import sympy as sp

from diffkit import typeset as ts
from diffkit.symbolic.vocabulary import FUNCTIONS
from diffkit.tensor import build
from diffkit.tensor.nodes import Add, Axes, Einsum, Labels, Node, Reduce, Var
from diffkit.tensor.substitute import symbols_of

#: What is declared of a variable dX that stands for a change of X.
DIFFERENTIAL = "differential"

#: The step function; where it is 0 at 0 it is written as the bracket `[z > 0]`.
STEP = FUNCTIONS["step"]


def variable(node: Var) -> ts.Node:
    """The layout of an input; that of a differential dX is declared as such."""
    if DIFFERENTIAL in node.facts:
        return ts.Prefix(ts.Glyph("d"), ts.Name(node.name[1:]))
    return ts.Name(spelt(node.name))


def spelt(name: str) -> str:
    """A leaf of a pytree with its path as the index: p.W is W_p."""
    *path, last = name.split(".")
    if not path or not last.isidentifier():
        return name
    inner = ",".join(path)
    return f"{last}_{inner}" if len(inner) == 1 else f"{last}_{{{inner}}}"


def opened(factors: Sequence[tuple[Node, Labels]], out: Labels) -> list[tuple[Node, Labels]]:
    """The factors, products of rank 3 and more among them opened."""
    result: list[tuple[Node, Labels]] = []
    fresh = 1 + max([*out, *(l for _, ls in factors for l in ls)], default=0)
    stack = list(reversed(factors))
    while stack:
        node, labels = stack.pop()
        if not isinstance(node, Einsum) or len(node.shape) <= 2:
            result.append((node, labels))
            continue
        names = dict(zip(node.out, labels, strict=True))
        for inner in node.sizes:
            if inner not in names:
                names[inner], fresh = fresh, fresh + 1
        stack += [(x, tuple(names[l] for l in ls)) for x, ls in reversed(node.factors)]
    return result


def normalised(node: Add) -> tuple[Node, Axes, int] | None:
    """For u - logsumexp(u): u laid out as the sum, the axes summed over, and the rank."""
    rank = len(node.shape)
    for place, term in enumerate(node.terms):
        operand, seen = build.view_of(term[1])
        axes = tuple(term[2][k] for k in seen)
        if term[0] != -1 or not isinstance(operand, Reduce) or operand.kind != "logsumexp":
            continue
        rest = [each for k, each in enumerate(node.terms) if k != place]
        inner = operand.operands[0]
        gone = tuple(k for k in range(rank) if k not in axes)
        if not rest or len(inner.shape) != rank or len(gone) != len(operand.axes):
            continue
        places = dict(zip(operand.kept, axes, strict=True))
        places |= dict(zip(operand.axes, gone, strict=True))
        order = tuple(places[k] for k in range(rank))
        if {a for each in rest for a in each[2]} != set(range(rank)):
            continue
        found = build.add(rest, node.shape)
        if build.spread(inner, order, node.shape) is found:
            return found, gone, rank
    return None


def outer_functions(expr: sp.Basic) -> list[sp.Basic]:
    """Functions of one place that stand inside no other function, in order of appearance."""
    found: list[sp.Basic] = []
    stack = [expr]
    while stack:
        part = stack.pop()
        if isinstance(part, sp.Function) and len(symbols_of(part)) == 1:
            if part not in found:
                found.append(part)
        elif part.args and not isinstance(part, sp.Piecewise):
            stack.extend(reversed(part.args))
    return found

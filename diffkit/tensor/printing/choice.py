"""Which of two equal forms is shown: as it was derived, or multiplied out; the shorter one."""

from functools import lru_cache
from math import prod

import sympy as sp

from diffkit.tensor.nodes import Add, Einsum, Map, Node, topological
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.printing.layout import show

#: Larger formulas are shown as they were derived.
MOST_NODES = 80
#: A form multiplied out into more terms than this is never the shorter one.
MOST_TERMS = 32


@lru_cache(maxsize=1024)
def shortest(node: Node) -> Node:
    """The form of a formula that takes less room, the derived one where they are alike.

    >>> from diffkit.tensor import views as v
    >>> from diffkit.tensor.nodes import var
    >>> x = v.view(var("x", (3,)))
    >>> show(shortest(v.dense(v.add(v.add(x, v.number(1)), v.number(1), -1))))
    'x'
    """
    if sum(1 for _ in topological(node)) > MOST_NODES or _terms(node) > MOST_TERMS:
        return node
    opened = normal_form(node)
    return opened if len(show(opened)) < len(show(node)) else node


def _terms(root: Node) -> int:
    """How many terms a formula is multiplied out into, without doing it."""
    found: dict[Node, int] = {}
    for node in topological(root):
        below = [found[x] for x in node.operands]
        match node:
            case Add():
                count = sum(below)
            case Einsum():
                count = prod(below)
            case Map():
                count = len(sp.Add.make_args(node.kernel.expr))
            case _:
                count = 1
        found[node] = min(count, MOST_TERMS + 1)
    return found[root]

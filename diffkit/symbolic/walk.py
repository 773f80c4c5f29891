"""The distinct nodes of an expression, each once: what keeps every pass linear in its size.

SymPy's own traversals visit a shared subexpression once per use, which is exponential in the
depth of a derivative; they also recurse.
"""

from collections.abc import Callable, Iterator

import sympy as sp


def nodes(
    expr: sp.Basic, is_leaf: Callable[[sp.Basic], bool] = lambda node: False
) -> Iterator[sp.Basic]:
    """Every distinct node of `expr`, arguments before the node that uses them.

    Args:
        expr: The root, which comes last.
        is_leaf: Nodes below which not to descend.
    """
    seen: set[sp.Basic] = set()
    stack: list[tuple[sp.Basic, bool]] = [(expr, False)]
    while stack:
        node, is_expanded = stack.pop()
        if node in seen:
            continue
        if is_expanded:
            seen.add(node)
            yield node
            continue
        stack.append((node, True))
        if not is_leaf(node):
            stack.extend((arg, False) for arg in reversed(node.args))


def written_size(expr: sp.Basic) -> int:
    """How many symbols it takes to write `expr` out, shared parts once per use.

    >>> from diffkit.symbolic.symbols import symbol
    >>> written_size(symbol("x") ** 2 + 1)
    5
    """
    sizes: dict[sp.Basic, int] = {}
    for node in nodes(expr):
        sizes[node] = 1 + sum(sizes[arg] for arg in node.args)
    return sizes[expr]

"""Substitution and free symbols on the expression DAG: each distinct node once.

SymPy's `xreplace` and `free_symbols` walk the tree, which is exponential in the depth of a
derivative; for a node that binds symbols (an integral, a sum) they are asked all the same.
"""

from collections.abc import Mapping

import sympy as sp

from diffkit.symbolic.walk import nodes


def _binds(node: sp.Basic) -> bool:
    return bool(getattr(node, "bound_symbols", None)) or isinstance(node, sp.Derivative | sp.Subs)


def symbols_of(expr: sp.Basic) -> set[sp.Symbol]:
    """The free symbols of an expression.

    >>> sorted(symbols_of(sp.Symbol("x") + sp.Integral(sp.Symbol("t"), (sp.Symbol("t"), 0, 1))))
    [x]
    """
    found: set[sp.Symbol] = set()
    for node in nodes(expr, _binds):
        if isinstance(node, sp.Symbol):
            found.add(node)
        elif _binds(node):
            found |= {each for each in node.free_symbols if isinstance(each, sp.Symbol)}
    return found


def substitute(expr: sp.Basic, values: Mapping[sp.Symbol, sp.Basic]) -> sp.Basic:
    """`expr` with free symbols replaced at once.

    >>> x, y = sp.symbols("x y")
    >>> substitute(x + sp.sin(y), {x: y, y: x})
    y + sin(x)
    """
    changed = {before: after for before, after in values.items() if before != after}
    if not changed:
        return expr
    done: dict[sp.Basic, sp.Basic] = {}
    for node in nodes(expr, _binds):
        if node in changed:
            done[node] = changed[node]
        elif _binds(node):
            done[node] = node.xreplace(dict(changed))
        else:
            args = tuple(done[arg] for arg in node.args)
            done[node] = node.func(*args) if args != node.args else node
    return done[expr]

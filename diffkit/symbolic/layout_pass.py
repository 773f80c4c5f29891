"""One pass over an expression that gives every distinct part its layout once.

A part that also occurs in an exponent is laid out a second time, with slashes for fractions.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from diffkit.core.errors import UnsupportedFunction
from diffkit.symbolic.arrangement import Measures, measure
from diffkit.symbolic.walk import nodes
from diffkit.typeset import Node


class Writer:
    """One pass: the layouts made so far, and what is known of the whole expression."""

    def __init__(self, root: sp.Basic, rules: "Mapping[type, Rule]") -> None:
        self.rules = rules
        self.measures: Measures = measure(root)
        self.taken = {node.name for node in self.measures if isinstance(node, sp.Symbol)}
        self.exponents = [exponent for node in self.measures for exponent in _exponent(node)]
        self._done: dict[tuple[sp.Basic, bool], Node] = {}

    def __call__(self, expr: sp.Basic, *, inline: bool = False) -> Node:
        """Return the layout of `expr`, which may be no part of the root.

        Raises:
            UnsupportedFunction: its class has no rule; the message names it.
        """
        key = (expr, inline)
        if key not in self._done:
            rule = self.rule(expr)
            if rule is None:
                raise UnsupportedFunction(
                    f"cannot print {type(expr).__name__}: it has no layout; rewrite the expression "
                    "without it, or add a rule to diffkit/symbolic/layout.py"
                )
            if expr not in self.measures:
                self.measures |= measure(expr)
            self._done[key] = rule(expr, self, inline)
        return self._done[key]

    def rule(self, expr: sp.Basic) -> "Rule | None":
        """The rule of the nearest class of `expr`, None if there is none."""
        classes = type(expr).__mro__
        return next((self.rules[cls] for cls in classes if cls in self.rules), None)

    def prepare(self, root: sp.Basic) -> None:
        """Lay out all parts, innermost first, so that no rule recurses along the depth.

        A part without a rule is left to the rule that needs it, which may take it apart.
        """
        for node in nodes(sp.Tuple(*self.exponents)):
            if self.rule(node) is not None:
                self(node, inline=True)
        for node in nodes(root):
            if self.rule(node) is not None:
                self(node)


#: A rule gets the expression, the pass it belongs to, and whether fractions keep the slash.
Rule = Callable[[Any, Writer, bool], Node]


def _exponent(node: sp.Basic) -> tuple[sp.Basic, ...]:
    if isinstance(node, sp.exp):
        return node.args
    return (node.exp,) if isinstance(node, sp.Pow) else ()

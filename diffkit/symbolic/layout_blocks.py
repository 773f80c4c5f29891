"""How large operators, derivatives, statements, cases and arrays are written."""

from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from diffkit.symbolic.layout_functions import call
from diffkit.symbolic.layout_pass import Rule, Writer
from diffkit.typeset import (
    Big,
    Cases,
    Commas,
    Derivative,
    Fence,
    Integral,
    Logic,
    Mark,
    Matrix,
    Name,
    Node,
    Not,
    Prime,
    Row,
    Subscript,
    Text,
    relation,
)


def _big(operator: str) -> Rule:
    def rule(expr: Any, write: Writer, inline: bool) -> Node:
        node = write(expr.function)
        for index, *bounds in expr.limits:
            lower: Node = write(index)
            if not bounds:
                node = Big(operator, node, lower)
                continue
            lower = relation(lower, "=", write(bounds[0], inline=True))
            node = Big(operator, node, lower, write(bounds[1], inline=True))
        return node

    return rule


def _integral(expr: sp.Integral, write: Writer, inline: bool) -> Node:
    node = write(expr.function)
    for variable, *bounds in expr.limits:
        ends = [write(bound, inline=True) for bound in bounds]
        lower, upper = (None, None) if not ends else (ends[0] if len(ends) > 1 else None, ends[-1])
        node = Integral(node, write(variable), lower, upper)
    return node


def _derivative(expr: sp.Derivative, write: Writer, inline: bool) -> Node:
    variables = tuple((write(variable), int(count)) for variable, count in expr.variable_count)
    is_partial = len(expr.expr.free_symbols) > 1
    return Derivative(write(expr.expr), variables, is_partial)


def _substituted(expr: sp.Subs, write: Writer, inline: bool) -> Node:
    """f'(g(x)) where that is what it says, else [body] with the values as an index."""
    body, variables, values = expr.expr, expr.variables, expr.point
    if isinstance(body, sp.Derivative) and isinstance(body.expr, AppliedUndef):
        (variable, count), *more = body.variable_count
        if body.expr.args == (variable,) == tuple(variables) and not more:
            return call(Prime(Name(body.expr.func.__name__), int(count)), values, write, inline)
    pairs = [
        relation(write(variable), "=", write(value, inline=True))
        for variable, value in zip(variables, values, strict=True)
    ]
    return Subscript(
        Fence(write(body), "[", "]"), pairs[0] if len(pairs) == 1 else Commas(tuple(pairs))
    )


def _relational(sign: str) -> Rule:
    return lambda expr, write, inline: relation(
        write(expr.lhs, inline=inline), sign, write(expr.rhs, inline=inline)
    )


def _logic(sign: Any) -> Rule:
    return lambda expr, write, inline: Logic(
        tuple(write(arg, inline=inline) for arg in expr.args), sign
    )


def _piecewise(expr: sp.Piecewise, write: Writer, inline: bool) -> Node:
    rows = []
    for value, condition in expr.args:
        shown = Text("otherwise") if condition is sp.true else write(condition)
        rows.append((write(value), shown))
    return Cases(tuple(rows))


def _matrix(expr: sp.MatrixBase, write: Writer, inline: bool) -> Node:
    return Matrix(tuple(tuple(write(entry) for entry in row) for row in expr.tolist()))


def _tuple(expr: sp.Tuple, write: Writer, inline: bool) -> Node:
    return Fence(Commas(tuple(write(item, inline=inline) for item in expr.args)))


def _indexed(expr: sp.Indexed, write: Writer, inline: bool) -> Node:
    items: list[Node] = []
    for index in expr.indices:
        items += ([Mark(",")] if items else []) + [write(index, inline=True)]
    return Subscript(Name(expr.base.name), items[0] if len(items) == 1 else Row(tuple(items)))


def _lambda(expr: sp.Lambda, write: Writer, inline: bool) -> Node:
    names = [write(variable) for variable in expr.variables]
    left = names[0] if len(names) == 1 else Fence(Commas(tuple(names)))
    return relation(left, "↦", write(expr.expr))


BLOCK_RULES: dict[type, Rule] = {
    sp.Sum: _big("sum"),
    sp.Product: _big("prod"),
    sp.Integral: _integral,
    sp.Derivative: _derivative,
    sp.Subs: _substituted,
    sp.Piecewise: _piecewise,
    sp.Eq: _relational("="),
    sp.Ne: _relational("≠"),
    sp.StrictLessThan: _relational("<"),
    sp.LessThan: _relational("≤"),
    sp.StrictGreaterThan: _relational(">"),
    sp.GreaterThan: _relational("≥"),
    sp.And: _logic("∧"),
    sp.Or: _logic("∨"),
    sp.Not: lambda expr, write, inline: Not(write(expr.args[0], inline=inline)),
    sp.MatrixBase: _matrix,
    sp.Tuple: _tuple,
    sp.Indexed: _indexed,
    sp.Lambda: _lambda,
}

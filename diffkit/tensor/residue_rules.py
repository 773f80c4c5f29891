"""Residues of the scalar functions that identity testing knows laws of.

A rule gets the draw, the expression and the residues of its symbols.  A comparison is one atom per
gap and its complement for the opposite gap; a circle is a rational point; an odd function is an
atom up to sign.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.relational import Relational

from diffkit.symbolic.vocabulary import FUNCTIONS, definition
from diffkit.tensor.regions import by_regions

Array = Any


@lru_cache(maxsize=4096)
def elementary(expr: sp.Basic) -> sp.Basic:
    """A kernel in exponentials, roots, atoms, and signs, linear in these for one argument."""
    opened = definition(_kept(expr)).rewrite([sp.tanh, sp.sinh, sp.cosh, sp.coth], sp.exp)
    return by_regions(opened)


def _kept(expr: sp.Basic) -> sp.Basic:
    """The vocabulary's own steps as signs, whose laws are known here."""
    step, relu = FUNCTIONS["step"], FUNCTIONS["relu"]
    changed = expr.replace(relu, lambda x: x * (1 + sp.sign(x)) / 2)
    return changed.replace(lambda e: isinstance(e, step), lambda e: (1 + sp.sign(e.args[0])) / 2)


Rule = Callable[[Any, Any, Mapping[sp.Symbol, Any]], Array]


def _piecewise(draw: Any, expr: sp.Piecewise, scope: Mapping[sp.Symbol, Any]) -> Array:
    result: Array = np.int64(0)
    open_: Array = np.int64(1)
    for value, condition in expr.args:
        holds = draw.scalar(condition, scope)
        result = (
            result + open_ * holds % draw.field.prime * draw.scalar(value, scope)
        ) % draw.field.prime
        open_ = open_ * (1 - holds) % draw.field.prime
    return result


def _gap(draw: Any, left: sp.Expr, right: sp.Expr, scope: Any) -> Array:
    return (draw.scalar(left, scope) - draw.scalar(right, scope)) % draw.field.prime


def _relation(draw: Any, expr: Relational, scope: Any) -> Array:
    gap = _gap(draw, expr.lhs, expr.rhs, scope)
    if isinstance(expr, sp.Eq | sp.Ne):
        value = np.asarray(gap)
        found = np.where(
            value == 0, 1, draw.atom("eq", np.minimum(value, draw.field.prime - value))
        )
        return found if isinstance(expr, sp.Eq) else (1 - found) % draw.field.prime
    is_less = isinstance(expr, sp.StrictLessThan | sp.LessThan)
    return draw.step((-gap if is_less else gap) % draw.field.prime)


def _extreme(is_max: bool) -> Rule:
    def rule(draw: Any, expr: Any, scope: Any) -> Array:
        if len(expr.args) > 2:
            values = [np.asarray(draw.scalar(arg, scope)) for arg in expr.args]
            ordered = np.sort(np.stack(np.broadcast_arrays(*values)), axis=0)
            return draw.atom("max" if is_max else "min", *ordered)
        a, b = (draw.scalar(arg, scope) for arg in expr.args)
        gap = (a - b) % draw.field.prime
        chosen = draw.step(gap if is_max else (-gap) % draw.field.prime)
        return (b + gap * chosen) % draw.field.prime

    return rule


def _sign(draw: Any, expr: Any, scope: Any) -> Array:
    return (2 * draw.step(draw.scalar(expr.args[0], scope)) - 1) % draw.field.prime


def _abs(draw: Any, expr: Any, scope: Any) -> Array:
    value = draw.scalar(expr.args[0], scope)
    return value * ((2 * draw.step(value) - 1) % draw.field.prime) % draw.field.prime


def _log(draw: Any, expr: Any, scope: Any) -> Array:
    return draw.logarithm(draw.scalar(expr.args[0], scope))


def _cos(draw: Any, expr: Any, scope: Any) -> Array:
    return draw.circle(draw.scalar(expr.args[0], scope))[0]


def _sin(draw: Any, expr: Any, scope: Any) -> Array:
    return draw.circle(draw.scalar(expr.args[0], scope))[1]


def _tan(draw: Any, expr: Any, scope: Any) -> Array:
    cos, sin = draw.circle(draw.scalar(expr.args[0], scope))
    return sin * draw.field.power(cos, -1) % draw.field.prime


def _and(draw: Any, expr: Any, scope: Any) -> Array:
    result: Array = np.int64(1)
    for arg in expr.args:
        result = result * draw.scalar(arg, scope) % draw.field.prime
    return result


def _or(draw: Any, expr: Any, scope: Any) -> Array:
    missed: Array = np.int64(1)
    for arg in expr.args:
        missed = missed * ((1 - draw.scalar(arg, scope)) % draw.field.prime) % draw.field.prime
    return (1 - missed) % draw.field.prime


def _not(draw: Any, expr: Any, scope: Any) -> Array:
    return (1 - draw.scalar(expr.args[0], scope)) % draw.field.prime


def _ite(draw: Any, expr: Any, scope: Any) -> Array:
    which, yes, no = (draw.scalar(arg, scope) for arg in expr.args)
    return (which * yes + (1 - which) * no) % draw.field.prime


def _odd(name: str) -> Rule:
    return lambda draw, expr, scope: draw.odd(name, draw.scalar(expr.args[0], scope))


def _erfc(draw: Any, expr: Any, scope: Any) -> Array:
    return (1 - draw.odd("erf", draw.scalar(expr.args[0], scope))) % draw.field.prime


RULES: dict[Any, Rule] = {
    sp.Piecewise: _piecewise,
    Relational: _relation,
    sp.Max: _extreme(True),
    sp.Min: _extreme(False),
    sp.sign: _sign,
    sp.Abs: _abs,
    sp.log: _log,
    sp.cos: _cos,
    sp.sin: _sin,
    sp.tan: _tan,
    sp.And: _and,
    sp.Or: _or,
    sp.Not: _not,
    sp.ITE: _ite,
    sp.erf: _odd("erf"),
    sp.erfc: _erfc,
    sp.atan: _odd("atan"),
    sp.asin: _odd("asin"),
    sp.asinh: _odd("asinh"),
    sp.atanh: _odd("atanh"),
}

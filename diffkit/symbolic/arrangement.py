"""In which order a person writes the terms of a sum and the factors of a product.

Sums: falling polynomial degree, constants last, a positive term in front where there is one;
a constant comes first where nothing has a degree (`1 + exp(-x)`).  Products: constants,
symbols by name, powers,
polynomials, exponentials, functions, sums of functions, then what reaches to the end.
All measures are taken bottom up, once per distinct node.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy.core.function import Application

from diffkit.symbolic.walk import nodes

#: Layouts that are blocks of their own: they stay out of numerators and exponents.
BLOCKS = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.Piecewise, sp.MatrixBase)


@dataclass(frozen=True, slots=True)
class Measure:
    """What ordering needs to know of a node.

    Args:
        size: Number of nodes written out, capped at `MAX_SIZE`.
        degree: Polynomial degree; that of a function is 0.
        exponentials: How many exponentials are nested.
        is_constant: Whether no symbol occurs.
        has_block: Whether one of `BLOCKS` occurs.
        has_function: Whether a function of a symbol occurs.
    """

    size: int
    degree: sp.Rational
    exponentials: int
    is_constant: bool
    has_block: bool
    has_function: bool


Measures = dict[sp.Basic, Measure]
MAX_SIZE = 10**6


def measure(expr: sp.Basic) -> Measures:
    """Measure every distinct node of `expr`."""
    measures: Measures = {}
    for node in nodes(expr):
        parts = [measures[arg] for arg in node.args]
        measures[node] = Measure(
            size=min(MAX_SIZE, 1 + sum(part.size for part in parts)),
            degree=_degree(node, measures),
            exponentials=max((part.exponentials for part in parts), default=0)
            + isinstance(node, sp.exp),
            is_constant=not isinstance(node, sp.Symbol) and all(part.is_constant for part in parts),
            has_block=isinstance(node, BLOCKS) or any(part.has_block for part in parts),
            has_function=isinstance(node, Application) or any(part.has_function for part in parts),
        )
    return measures


def _degree(node: sp.Basic, measures: Measures) -> sp.Rational:
    if isinstance(node, sp.Symbol):
        return sp.S.One
    if isinstance(node, sp.Add):
        return max(measures[arg].degree for arg in node.args)
    if isinstance(node, sp.Mul):
        return sum((measures[arg].degree for arg in node.args), sp.S.Zero)
    if isinstance(node, sp.Pow) and node.exp.is_Rational:
        return measures[node.base].degree * node.exp
    return sp.S.Zero


def is_negative_term(term: sp.Expr) -> bool:
    """Whether `term` is written with a minus sign in front."""
    head = term.args[0] if isinstance(term, sp.Mul) else term
    return bool(head.is_Number and head.is_extended_negative)


def ordered_terms(add: sp.Add, measures: Measures) -> list[sp.Expr]:
    """The terms of a sum in the order they are written."""
    rest = [term for term in add.args if not measures[term].is_constant]
    constants = [term for term in add.args if measures[term].is_constant]
    rest.sort(key=lambda term: _term_key(term, measures))
    has_degree = any(measures[term].degree > 0 for term in rest)
    terms = rest + constants if has_degree else constants + rest
    if not is_negative_term(terms[0]):
        return terms
    positive = [index for index, term in enumerate(terms) if not is_negative_term(term)]
    if len(positive) > 1 and not is_negative_term(terms[-1]):
        return terms[::-1]
    first = positive[0] if positive else 0
    return [terms[first], *terms[:first], *terms[first + 1 :]]


def _term_key(term: sp.Expr, measures: Measures) -> tuple[sp.Rational, bool, Any]:
    powers = _symbol_powers(term)
    return (-measures[term].degree, not powers, powers)


def _symbol_powers(term: sp.Expr) -> list[tuple[tuple[tuple[int, str], ...], sp.Rational]]:
    """Sorts x**2 before x*y before y**2, and w_2 before w_10."""
    powers = []
    for factor in sp.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        if isinstance(base, sp.Symbol) and exponent.is_Rational:
            powers.append((natural(base.name), -exponent))
    return sorted(powers)


def ordered_factors(factors: list[sp.Expr], measures: Measures) -> list[sp.Expr]:
    """Factors in the order they are written; equals keep their order."""
    return sorted(factors, key=lambda factor: _factor_key(factor, measures))


def _factor_key(factor: sp.Expr, measures: Measures) -> tuple[int, tuple[tuple[int, str], ...]]:
    if measures[factor].is_constant and not isinstance(factor, sp.Add):
        return (0, ())
    base = factor.base if isinstance(factor, sp.Pow) else factor
    if isinstance(base, sp.Symbol):
        is_plain = factor is base or factor.exp.is_Number
        return (1 if is_plain else 2, natural(base.name))
    if isinstance(base, BLOCKS):
        return (7, ())
    if isinstance(base, sp.Add):
        return (6 if measures[base].has_function else 3, ())
    if isinstance(factor, sp.exp):
        return (4, ())
    if isinstance(base, Application):
        return (5, natural(base.func.__name__))
    return (2, ())


def split_roots(
    coefficient: sp.Rational, factors: list[sp.Expr]
) -> tuple[sp.Rational, sp.Expr, list[sp.Expr]]:
    """Take the square roots of positive constants out of a product.

    SymPy spreads sqrt(2/pi) over two factors and writes 1/sqrt(2) as sqrt(2)/2; a person writes
    one root.

    Returns:
        coefficient', r and the other factors: the product is coefficient' * sqrt(r) * factors'.
        r is 1 when there is nothing to take out.

    >>> split_roots(sp.Rational(1, 2), [sp.sqrt(2), 1 / sp.sqrt(sp.pi)])
    (1, 1/(2*pi), [])
    """
    radicand, others = sp.S.One, []
    for factor in factors:
        is_root = isinstance(factor, sp.Pow) and abs(factor.exp) == sp.S.Half
        if is_root and (factor.base.is_Rational or factor.base is sp.pi) and factor.base > 0:
            radicand *= factor.base ** (2 * factor.exp)
        else:
            others.append(factor)
    whole = radicand.as_coeff_Mul()[0]
    if coefficient.q % whole.p == 0:
        return coefficient * whole.p, radicand / whole.p**2, others
    return coefficient, radicand, others


@lru_cache(maxsize=4096)
def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A sort key by which w_2 comes before w_10.

    >>> sorted(["w_10", "w_2"], key=natural)
    ['w_2', 'w_10']
    """
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts if part)

"""Products, quotients and powers in the layout tree, and the signs that tell arrays from numbers.

Where arrays meet entry by entry a product is `⊙`, a quotient `⊘`, a power of a matrix `Z^(⊙2)`.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import sympy as sp

from diffkit import typeset as ts
from diffkit.symbolic.layout import layout as scalar_layout


class Piece(NamedTuple):
    """A layout and the rank of what it shows."""

    tree: ts.Node
    rank: int


def powered(base: Piece, exponent: ts.Node) -> ts.Node:
    """An entrywise power; for a matrix its exponent is marked."""
    if base.rank < 2:
        return ts.Superscript(base.tree, exponent)
    if exponent == ts.Number("2") and isinstance(base.tree, ts.Name):
        return ts.Times((base.tree, base.tree), "⊙")
    is_negative = isinstance(exponent, ts.Negative)
    sign = (ts.Mark("-"),) if is_negative else ()
    body = exponent.body if isinstance(exponent, ts.Negative) else exponent
    return ts.Superscript(base.tree, ts.Row((ts.Mark("⊙"), *sign, body)))


def fenced(tree: ts.Node) -> ts.Node:
    """A product between brackets: a matrix product and `⊙` have no common precedence."""
    return ts.Fence(tree) if isinstance(tree, ts.Times) else tree


def entrywise(numbers: list[ts.Node], arrays: list[ts.Node]) -> ts.Node:
    """Numbers times the entrywise product of arrays."""
    first, *rest = arrays
    if len(arrays) > 1:
        first, *rest = map(fenced, arrays)
    head = ts.Times((*numbers, fenced(first))) if numbers else first
    return ts.Times((head, *rest), "⊙") if rest else head


def map_fenced(parts: Sequence[ts.Node], among_others: Any) -> list[ts.Node]:
    """Numbers that are products, such as x'Ax, between brackets where more factors follow."""
    return [fenced(part) for part in parts] if among_others else list(parts)


def times(factors: Sequence[ts.Node], sign: str = "matrix") -> ts.Node:
    """Factors side by side; an entrywise product keeps its numbers in front."""
    if len(factors) == 1:
        return factors[0]
    last = factors[-1]
    if isinstance(last, ts.Times) and last.sign in ("⊙", "⊘"):
        head, *rest = last.factors
        if head == ts.Number("1"):
            return ts.Times((times(factors[:-1]), *rest), last.sign)
        return ts.Times((times([*factors[:-1], head]), *rest), last.sign)
    flat: list[ts.Node] = []
    for factor in factors:
        is_open = isinstance(factor, ts.Times) and factor.sign in ("", "matrix")
        flat += factor.factors if is_open else (factor,)
    return ts.Times(tuple(flat), sign)


def quotient(
    above: Sequence[ts.Node],
    over: sp.Expr,
    below: Sequence[ts.Node],
    under: sp.Expr,
    sign: str = "matrix",
) -> ts.Node:
    """A fraction of products with exact numbers in front."""
    top = [*([exact(over)] if over != 1 else []), *above] or [ts.Number("1")]
    bottom = [*([exact(under)] if under != 1 else []), *below]
    if not bottom:
        return times(top, sign)
    return ts.Fraction(times(top, sign), times(bottom, sign))


def exact(value: sp.Expr) -> ts.Node:
    """An exact number; as an exponent it keeps its slash."""
    return scalar_layout(value)


def raised_to(value: sp.Expr) -> ts.Node:
    """An exponent."""
    return ts.number(Fraction(int(value.p), int(value.q)), inline=True)


def negated(term: ts.Node) -> ts.Node:
    """Minus a term of a sum."""
    return term.body if isinstance(term, ts.Negative) else ts.Negative(term)

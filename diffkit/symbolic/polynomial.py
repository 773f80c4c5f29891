"""Expanding and factoring a small sum as a polynomial in its generators.

Everything that is not +, *, or a whole power is a generator: symbols, functions, roots, pi.  Both
routines refuse (yield less) above their size guards instead of growing.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement, PolyRing

#: A sum as (coefficient, [(base, exponent), ...]).
Form = tuple[sp.Expr, list[tuple[sp.Expr, sp.Expr]]]

MAX_EXPANDED = 200
MAX_FACTORED = 60
MAX_DEGREE = 16
MAX_GENERATORS = 12


def cancelled_forms(total: sp.Expr) -> Iterator[Form]:
    """Ways to write `total`: as it stands, expanded with like terms cancelled, and factored.

    >>> s, y = sp.symbols("s y")
    >>> [form for _, form in cancelled_forms(y * (1 - s) - (1 - y) * s)][-1]
    [(-s + y, 1)]
    """
    yield sp.S.One, [(total, sp.S.One)]
    if not isinstance(total, sp.Add) or expanded_size(total) > MAX_EXPANDED:
        return
    atoms = generators(total)
    if not atoms or len(atoms) > MAX_GENERATORS:
        return
    ring = _ring(len(atoms))
    index = dict(zip(atoms, ring.gens, strict=True))
    polynomial = _in_ring(total, index, ring)
    if not polynomial:
        yield sp.S.Zero, []
        return
    yield sp.S.One, [(polynomial.as_expr(*atoms), sp.S.One)]
    if _may_factor(polynomial):
        coefficient, factors = _factors(polynomial)
        if len(factors) > 1 or factors[0][1] > 1:
            yield (
                sp.Rational(coefficient.numerator, coefficient.denominator),
                [(factor.as_expr(*atoms), sp.Integer(k)) for factor, k in factors],
            )


@lru_cache(maxsize=64)
def _ring(count: int) -> PolyRing:
    """Polynomials in `count` nameless generators."""
    return PolyRing([sp.Dummy() for _ in range(count)], QQ)


@lru_cache(maxsize=1024)
def _factors(polynomial: PolyElement) -> tuple[Any, list[tuple[PolyElement, int]]]:
    """The factors; sums of one shape in other generators are one polynomial."""
    return polynomial.factor_list()


def expanded_size(expr: sp.Expr) -> int:
    """An upper bound on the number of terms after expansion."""
    if isinstance(expr, sp.Add):
        return sum(map(expanded_size, expr.args))
    if isinstance(expr, sp.Mul):
        size = 1
        for factor in expr.args:
            size *= expanded_size(factor)
        return size
    if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
        return expanded_size(expr.base) ** min(int(expr.exp), 8)
    return 1


def generators(expr: sp.Expr) -> list[sp.Expr]:
    """What `expr` is a polynomial in, in SymPy's order."""
    found: dict[sp.Expr, None] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, sp.Add | sp.Mul):
            stack.extend(node.args)
        elif isinstance(node, sp.Pow) and node.exp.is_Integer and node.exp > 0:
            stack.append(node.base)
        elif not node.is_Rational:
            found[node] = None
    # nan, "no derivative here" in a branch, has no place in SymPy's order: it goes last
    return sorted(found, key=_position)


def _position(node: sp.Expr) -> tuple[bool, object]:
    return (True, ()) if node is sp.nan else (False, sp.default_sort_key(node))


def _in_ring(expr: sp.Expr, index: dict[sp.Expr, PolyElement], ring: PolyRing) -> PolyElement:
    if expr in index:
        return index[expr]
    if isinstance(expr, sp.Add):
        total = ring.zero
        for term in expr.args:
            total += _in_ring(term, index, ring)
        return total
    if isinstance(expr, sp.Mul):
        product = ring.one
        for factor in expr.args:
            product *= _in_ring(factor, index, ring)
        return product
    if isinstance(expr, sp.Pow):
        return _in_ring(expr.base, index, ring) ** int(expr.exp)
    return ring(QQ(expr.p, expr.q))


def _may_factor(polynomial: PolyElement) -> bool:
    """Whether factoring is small enough and not known to be in vain.

    With no common monomial, a generator that occurs in one term only, to the first power, makes
    the polynomial irreducible: it is linear in it, with a monomial as leading coefficient.
    """
    monomials = polynomial.monoms()
    if len(monomials) < 2 or len(monomials) > MAX_FACTORED:
        return False
    if max(map(sum, monomials)) > MAX_DEGREE:
        return False
    columns = list(zip(*monomials, strict=True))
    if any(min(column) > 0 for column in columns):
        return True
    return not any(sum(column) == 1 for column in columns)

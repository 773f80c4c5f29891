"""The cells into which kinks cut a domain: sign patterns, tightened intervals, empty patterns."""

from collections.abc import Mapping
from fractions import Fraction

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.symbolic.points import domain_of
from diffkit.symbolic.signs import Range, domain_range, range_of

Domains = Mapping[str, Domain]
Facts = Mapping[sp.Expr, int]
#: A linear form: coefficient by monomial, the constant under 1; it is > 0.
Row = dict[sp.Expr, Fraction]

#: Fourier-Motzkin elimination stops at this many rows.
MOST_ROWS = 60


def tightened(domains: Domains, facts: Facts) -> dict[str, Domain] | None:
    """The domains cut down by the facts that are linear in one symbol; None if nothing is left."""
    cut = dict(domains)
    for expr, sign in facts.items():
        bound = _half_line(expr, sign)
        if bound is None:
            continue
        symbol, half = bound
        own = domain_of(symbol, cut)
        joint = domain_range(own).intersect(half)
        if joint.is_empty:
            return None
        cut[symbol.name] = Domain(
            joint.low, joint.high, joint.open_low, joint.open_high, own.integer
        )
    return cut


def is_empty(facts: Facts, domains: Domains) -> bool:
    """Whether no point has these signs, as far as intervals and linear elimination can tell."""
    for expr, sign in facts.items():
        found = range_of(expr, domains)
        if found.sign == -sign or found.strict_sign == 0:
            return True
    return _is_infeasible([_row(expr, sign) for expr, sign in facts.items()])


def root(expr: sp.Expr) -> tuple[sp.Symbol, sp.Expr] | None:
    """(x, r) if expr = 0 exactly where x = r, r free of x; None where that is not so simple."""
    numerator = expr.as_numer_denom()[0]
    for symbol in sorted(numerator.free_symbols, key=str):
        poly = numerator.as_poly(symbol) if numerator.is_polynomial(symbol) else None
        if poly is not None and poly.degree() == 1 and poly.LC().is_number:
            return symbol, -poly.coeff_monomial(1) / poly.LC()
    return None


def _half_line(expr: sp.Expr, sign: int) -> tuple[sp.Symbol, Range] | None:
    if len(expr.free_symbols) != 1:
        return None
    (symbol,) = expr.free_symbols
    poly = expr.as_poly(symbol) if expr.is_polynomial(symbol) else None
    if poly is None or poly.degree() != 1 or not all(c.is_Rational for c in poly.all_coeffs()):
        return None
    slope, constant = (Fraction(int(c.p), int(c.q)) for c in poly.all_coeffs())
    at = -constant / slope
    return symbol, (Range(low=at) if (slope > 0) == (sign > 0) else Range(high=at))


def _row(expr: sp.Expr, sign: int) -> Row:
    row: Row = {}
    for term in sp.Add.make_args(sp.expand(sign * expr)):
        coefficient, rest = term.as_coeff_Mul()
        if not isinstance(coefficient, sp.Rational):
            coefficient, rest = sp.S.One, term
        row[rest] = row.get(rest, Fraction(0)) + Fraction(int(coefficient.p), int(coefficient.q))
    return row


def _is_infeasible(rows: list[Row]) -> bool:
    """Whether no real values of the monomials make every form > 0 (Fourier and Motzkin)."""
    one = sp.S.One
    names = {name for row in rows for name in row} - {one}
    for name in sorted(names, key=str):
        above = [row for row in rows if row.get(name, 0) > 0]
        below = [row for row in rows if row.get(name, 0) < 0]
        rows = [row for row in rows if not row.get(name, 0)]
        rows += [_combine(low, high, name) for low in above for high in below]
        if len(rows) > MOST_ROWS:
            return False
        if any(_is_impossible(row) for row in rows):
            return True
    return any(_is_impossible(row) for row in rows)


def _combine(low: Row, high: Row, name: sp.Expr) -> Row:
    a, b = -high[name], low[name]
    names = {*low, *high} - {name}
    return {n: a * low.get(n, Fraction(0)) + b * high.get(n, Fraction(0)) for n in names}


def _is_impossible(row: Row) -> bool:
    return all(not c for n, c in row.items() if n != 1) and row.get(sp.S.One, Fraction(0)) <= 0

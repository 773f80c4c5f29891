"""A product under construction: a number times powers of bases, put together the way people write.

Sums are kept primitive and in one orientation, so that y - s and s - y cancel; the sign goes where
it disappears, and 1 - g stays 1 - g for a bounded generator g.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache

import sympy as sp


class Product:
    """coefficient * base_1**exponent_1 * ...; only exponents that are rational numbers move.

    Args:
        complements: Symbols p for which 1 - p is written (and not p - 1), as for a probability.
    """

    def __init__(self, complements: Collection[sp.Expr] = ()):
        self.complements = complements
        self.coefficient: sp.Expr = sp.S.One
        self.powers: dict[sp.Expr, sp.Expr] = {}

    @classmethod
    def of(cls, expr: sp.Expr, complements: Collection[sp.Expr] = ()) -> "Product":
        """Read a product."""
        made = cls(complements)
        for factor in sp.Mul.make_args(expr):
            made.multiply(*base_and_exponent(factor))
        return made

    def copy(self) -> "Product":
        """An independent copy."""
        made = Product(self.complements)
        made.coefficient, made.powers = self.coefficient, dict(self.powers)
        return made

    def multiply(self, base: sp.Expr, exponent: sp.Expr = sp.S.One) -> None:
        """Multiply by base**exponent, taken apart as far as it is valid for real bases."""
        is_whole = exponent.is_Integer
        if base.is_Rational and is_whole:
            self.coefficient *= base**exponent
        elif isinstance(base, sp.Mul) and is_whole:
            for factor in base.args:
                self.multiply(*base_and_exponent(factor, exponent))
        elif isinstance(base, sp.exp):
            scale, core = scale_and_core(base.args[0])
            self.shift(sp.exp(core), scale * exponent)
        elif isinstance(base, sp.Add) and is_whole:
            content, oriented = self._orient(base)
            self.coefficient *= content**exponent
            self.shift(oriented, exponent)
        elif isinstance(base, sp.Pow) and base.exp.is_Rational and is_whole:
            self.multiply(base.base, base.exp * exponent)
        else:
            self.shift(base, exponent)

    def shift(self, base: sp.Expr, exponent: sp.Expr) -> None:
        """Add to the exponent of a base that is already in its kept form."""
        total = self.powers.get(base, sp.S.Zero) + exponent
        if total == 0:
            self.powers.pop(base, None)
        else:
            self.powers[base] = total

    def expr(self) -> sp.Expr:
        """The product, with the sign where a person puts it and 1 - t^2 in one piece."""
        joined = self.copy()
        joined._join_conjugates()
        return joined._with_sign()

    def _orient(self, total: sp.Add) -> tuple[sp.Expr, sp.Expr]:
        """A sum as content times a primitive sum of canonical sign."""
        return _oriented(total, frozenset(self.complements))

    def _complement(self, total: sp.Expr) -> sp.Expr | None:
        return _complement(total, self.complements)

    def _join_conjugates(self) -> None:
        """(1 - g)^a (1 + g)^b becomes (1 - g^2)^min(a, b) times the rest, for a function g."""
        for base in list(self.powers):
            inner = self._complement(base)
            if not isinstance(inner, sp.Function):
                continue
            minus, plus = self.powers.get(base), self.powers.get(1 + inner)
            if minus is None or plus is None or minus * plus < 0:
                continue
            shared = minus if abs(minus) <= abs(plus) else plus
            self.shift(base, -shared)
            self.shift(1 + inner, -shared)
            self.shift(1 - inner**2, shared)

    def _with_sign(self) -> sp.Expr:
        powers, coefficient = self.powers, self.coefficient
        if coefficient.is_negative:
            for base, exponent in powers.items():
                if isinstance(base, sp.Add) and exponent.is_odd and self._prefers_flip(base):
                    powers = {(-key if key == base else key): e for key, e in powers.items()}
                    coefficient = -coefficient
                    break
        return sp.Mul(coefficient, *(base**exponent for base, exponent in powers.items()))

    def _prefers_flip(self, total: sp.Add) -> bool:
        if self._complement(total) is not None:
            return False
        negative = sum(term.could_extract_minus_sign() for term in total.args)
        return 2 * negative >= len(total.args)


@lru_cache(maxsize=4096)
def _oriented(total: sp.Add, complements: frozenset[sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
    content, primitive = total.primitive()
    mirrored = -primitive
    if _complement(mirrored, complements) is not None:
        return -content, mirrored
    if _complement(primitive, complements) is None and primitive.could_extract_minus_sign():
        return -content, mirrored
    return content, primitive


def _complement(total: sp.Expr, complements: Collection[sp.Expr]) -> sp.Expr | None:
    """g when `total` is 1 - g with g bounded: a function, a power of one, a declared symbol."""
    if not isinstance(total, sp.Add) or len(total.args) != 2 or total.args[0] != 1:
        return None
    inner = -total.args[1]
    function = inner.base if isinstance(inner, sp.Pow) else inner
    is_function = isinstance(function, sp.Function) and not isinstance(function, sp.exp)
    return inner if is_function or function in complements else None


def base_and_exponent(factor: sp.Expr, outer: sp.Expr = sp.S.One) -> tuple[sp.Expr, sp.Expr]:
    """The base and exponent of factor**outer, where the exponents may be multiplied."""
    if isinstance(factor, sp.Pow) and factor.exp.is_Rational and outer.is_Integer:
        return factor.base, factor.exp * outer
    return factor, outer


def scale_and_core(argument: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """2x - 2y as 2 and x - y: one core for all exponentials that are powers of each other."""
    scale, core = argument.as_coeff_Mul()
    if isinstance(core, sp.Add):
        content, core = core.primitive()
        scale *= content
        if core.could_extract_minus_sign():
            scale, core = -scale, -core
    return scale, core


def common_factors(terms: list[Product]) -> Iterator[Product]:
    """What can be divided out of a sum: the factors of every term, then every denominator too."""
    first, *others = (product.powers for product in terms)
    shared = Product(terms[0].complements)
    for base, exponent in first.items():
        if all(base in powers for powers in others):
            shared.powers[base] = min(exponent, *(powers[base] for powers in others))
    yield shared
    everything = Product(terms[0].complements)
    for base in {base: None for product in terms for base in product.powers}:
        lowest = min(product.powers.get(base, sp.S.Zero) for product in terms)
        if lowest != 0:
            everything.powers[base] = lowest
    if everything.powers != shared.powers:
        yield everything


def quotient(product: Product, divisor: Product) -> sp.Expr:
    """The product divided by the powers of `divisor`, whose coefficient is not looked at."""
    left = product.copy()
    for base, exponent in divisor.powers.items():
        left.shift(base, -exponent)
    return sp.Mul(left.coefficient, *(base**exponent for base, exponent in left.powers.items()))

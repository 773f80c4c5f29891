"""Exact sample points of a domain: ordinary ones first, the same ones every time."""

import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil, floor, inf

import sympy as sp

from diffkit.core.domain import Domain

Domains = Mapping[str, Domain]
Point = dict[sp.Symbol, Fraction]

#: Prime denominators keep a random point away from kinks, which sit at simple numbers.
_DENOMINATORS = (97, 101, 103, 107, 109, 113)
#: Half-widths of the regions points are drawn from, in turn.
_WIDTHS = (1, 3, 2, 8, 5, 25)
_SIMPLE = tuple(map(Fraction, ("1", "2", "-1", "1/2", "3", "-2", "-1/2", "1/3", "5", "-3", "1/10")))


def ordinary_points(
    symbols: list[sp.Symbol], domains: Domains, count: int, seed: int = 0
) -> Iterator[Point]:
    """Yield `count` random points with exact coordinates inside the domains."""
    chooser = random.Random(seed)
    for i in range(count):
        width = _WIDTHS[i % len(_WIDTHS)]
        yield {s: _draw(chooser, domain_of(s, domains), width) for s in symbols}


def simple_points(symbols: list[sp.Symbol], domains: Domains, count: int = 60) -> Iterator[Point]:
    """Yield points with small numbers as coordinates, the simplest first."""
    choices = []
    for s in symbols:
        inside = [x for x in _SIMPLE if domain_of(s, domains).contains(x)]
        choices.append(inside or [_draw(random.Random(0), domain_of(s, domains), 1)])
    chooser = random.Random(1)
    for i in range(count):
        reach = 1 + i // 4
        yield {
            s: chooser.choice(options[:reach]) for s, options in zip(symbols, choices, strict=True)
        }


def domain_of(symbol: sp.Symbol, domains: Domains) -> Domain:
    """The domain of a symbol, from the mapping and from its own assumptions."""
    domain = domains.get(symbol.name, Domain())
    low, high = domain.low, domain.high
    open_low, open_high = domain.open_low, domain.open_high
    if symbol.is_nonnegative and low < 0:
        low, open_low = Fraction(0), bool(symbol.is_positive)
    if symbol.is_negative and high > 0:
        high, open_high = Fraction(0), True
    return Domain(low, high, open_low, open_high, domain.integer or bool(symbol.is_integer))


def _draw(chooser: random.Random, domain: Domain, width: int) -> Fraction:
    low, high = _window(domain, width)
    if low == high:
        return low
    if domain.integer:
        return Fraction(chooser.randint(ceil(low), max(ceil(low), floor(high))))
    denominator = chooser.choice(_DENOMINATORS)
    return low + (high - low) * Fraction(chooser.randint(1, denominator - 1), denominator)


def _window(domain: Domain, width: int) -> tuple[Fraction, Fraction]:
    """A bounded part of the domain, next to its finite end if it has one."""
    if domain.low == -inf and domain.high == inf:
        return Fraction(-width), Fraction(width)
    if domain.low == -inf:
        return Fraction(domain.high) - width, Fraction(domain.high)
    if domain.high == inf:
        return Fraction(domain.low), Fraction(domain.low) + width
    return Fraction(domain.low), Fraction(domain.high)

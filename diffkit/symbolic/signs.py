"""The interval in which a formula lies: bounds pushed through its tree, open ends remembered.

The law of the file: an interval may be too wide, never too narrow.  `sigmoid(x)` lies in (0, 1) and
`x**2 + 1` in [1, oo) for every real x; no point is ever sampled.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from math import inf

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError
from diffkit.symbolic.enclosure import enclose
from diffkit.symbolic.scalar_function import ScalarFunction

Bound = Fraction | float  # float only for -inf and inf
Domains = Mapping[str, Domain]

#: Bounds are rounded outwards to this many binary digits, lest exact fractions grow without end.
BITS = 160
#: A power with more digits than this is not worked out.
LONGEST = 4000


@dataclass(frozen=True)
class Range:
    """All values an expression may take: an interval with open or closed ends."""

    low: Bound = -inf
    high: Bound = inf
    open_low: bool = True
    open_high: bool = True

    @property
    def sign(self) -> int | None:
        """1 if every value is >= 0, -1 if every value is <= 0, else None; 0 may be a value."""
        if self.low >= 0:
            return 1
        return -1 if self.high <= 0 else None

    @property
    def strict_sign(self) -> int | None:
        """1 if every value is > 0, -1 if every value is < 0, 0 if every value is 0, else None."""
        if self.low > 0 or (self.low == 0 and self.open_low):
            return 1
        if self.high < 0 or (self.high == 0 and self.open_high):
            return -1
        return 0 if self.low == self.high == 0 else None

    @property
    def is_empty(self) -> bool:
        """Whether no number lies in it."""
        if self.low == self.high:
            return self.open_low or self.open_high
        return self.low > self.high

    def __neg__(self) -> "Range":
        """Return the range of -x."""
        return Range(-self.high, -self.low, self.open_high, self.open_low)

    def __add__(self, other: "Range") -> "Range":
        """Return a range that holds every sum."""
        low, high = _plus(self.low, other.low, -inf), _plus(self.high, other.high, inf)
        return Range(low, high, self.open_low or other.open_low, self.open_high or other.open_high)

    def __mul__(self, other: "Range") -> "Range":
        """Return a range that holds every product."""
        corners = [
            _times(a, b)
            for a in ((self.low, self.open_low), (self.high, self.open_high))
            for b in ((other.low, other.open_low), (other.high, other.open_high))
        ]
        low = min(corners, key=lambda corner: (corner[0], corner[1]))
        high = max(corners, key=lambda corner: (corner[0], not corner[1]))
        return Range(_tidy(low[0], -inf), _tidy(high[0], inf), low[1], high[1])

    def power(self, n: int) -> "Range":
        """The range of x^n for a whole n >= 0."""
        if n == 0:
            return Range(Fraction(1), Fraction(1), False, False)
        if any(n * _length(end) > LONGEST for end in (self.low, self.high)):
            return _NONNEGATIVE if n % 2 == 0 else _ray(self.strict_sign)
        if n % 2 == 0 and self.low < 0 < self.high:
            top = max(-self.low, self.high)
            is_open = all(is_open for end, is_open in self._ends() if abs(end) == top)
            return Range(Fraction(0), top**n, False, is_open)
        ends = [(self.low**n, self.open_low), (self.high**n, self.open_high)]
        if n % 2 == 0 and self.high <= 0:
            ends.reverse()
        return Range(ends[0][0], ends[1][0], ends[0][1], ends[1][1])

    def reciprocal(self) -> "Range":
        """The range of 1/x where x is not zero."""
        if self.low == self.high == 0:
            return Range()  # 1/0 is no number: nothing is known of it
        if self.low >= 0:
            low = Fraction(0) if self.high == inf else 1 / self.high
            high = inf if self.low == 0 else 1 / self.low
            return Range(low, high, self.open_high, self.open_low or high == inf)
        if self.high <= 0:
            return -((-self).reciprocal())
        return Range()

    def intersect(self, other: "Range") -> "Range":
        """The values in both."""
        low = max((self.low, self.open_low), (other.low, other.open_low))
        high = min((self.high, not self.open_high), (other.high, not other.open_high))
        return Range(low[0], high[0], low[1], not high[1])

    def union(self, other: "Range") -> "Range":
        """The smallest interval that holds both."""
        low = min((self.low, self.open_low), (other.low, other.open_low))
        high = max((self.high, not self.open_high), (other.high, not other.open_high))
        return Range(low[0], high[0], low[1], not high[1])

    def _ends(self) -> tuple[tuple[Bound, bool], ...]:
        return ((self.low, self.open_low), (self.high, self.open_high))


def _plus(a: Bound, b: Bound, unbounded: float) -> Bound:
    return unbounded if unbounded in (a, b) else _tidy(a + b, unbounded)


def _times(a: tuple[Bound, bool], b: tuple[Bound, bool]) -> tuple[Bound, bool]:
    # 0 * oo = 0: a factor that is exactly zero makes the product zero, however large the other.
    (x, x_open), (y, y_open) = a, b
    if x == 0 or y == 0:
        closed = (x == 0 and not x_open) or (y == 0 and not y_open)
        return Fraction(0), not closed
    if inf in (abs(x), abs(y)):  # not x * y: a huge fraction is no float
        return inf if (x > 0) == (y > 0) else -inf, x_open or y_open
    return Fraction(x) * Fraction(y), x_open or y_open


def _length(x: Bound) -> int:
    """Binary digits of a bound."""
    if not isinstance(x, Fraction):
        return 0
    return max(abs(x.numerator), x.denominator).bit_length()


def _ray(sign: int | None) -> Range:
    return _POSITIVE if sign == 1 else -_POSITIVE if sign == -1 else Range()


def _tidy(x: Bound, towards: float) -> Bound:
    """Round a long fraction outwards."""
    if not isinstance(x, Fraction) or x.denominator.bit_length() <= BITS:
        return x
    scale = 1 << BITS
    whole = x.numerator * scale // x.denominator
    return Fraction(whole + (towards > 0), scale)


def range_of(expr: sp.Expr, domains: Domains) -> Range:
    """Return an interval that holds every real value of `expr` on the domains of its symbols.

    >>> x = sp.Symbol("x", real=True)
    >>> range_of(x**2 + 1, {}).low
    Fraction(1, 1)
    """
    try:
        return _Ranges(domains)(expr)
    except RecursionError:
        return Range()


def to_rational(bound: Bound) -> sp.Rational:
    """A finite bound as a SymPy number."""
    exact = Fraction(bound)
    return sp.Rational(exact.numerator, exact.denominator)


def domain_range(domain: Domain) -> Range:
    """The interval of a domain of numbers."""
    return Range(domain.low, domain.high, domain.open_low, domain.open_high)


class _Ranges:
    def __init__(self, domains: Domains):
        self.domains = domains
        self.memo: dict[sp.Basic, Range] = {}

    def __call__(self, expr: sp.Basic) -> Range:
        found = self.memo.get(expr)
        if found is None:
            found = self.memo[expr] = self.visit(expr)
        return found

    def visit(self, expr: sp.Basic) -> Range:
        if isinstance(expr, sp.Rational):
            exact = Fraction(int(expr.p), int(expr.q))
            return Range(exact, exact, False, False)
        if expr.is_Symbol:
            return self.symbol(expr)
        if not expr.free_symbols:
            return _constant(expr)
        if expr.is_Add:
            return _fold(lambda a, b: a + b, map(self, expr.args))
        if expr.is_Mul:
            return _fold(lambda a, b: a * b, map(self, expr.args))
        if expr.is_Pow:
            return self.power(expr)
        if isinstance(expr, sp.Piecewise):
            return _fold(Range.union, (self(branch) for branch, _ in expr.args))
        return self.function(expr)

    def symbol(self, symbol: sp.Symbol) -> Range:
        found = domain_range(self.domains.get(symbol.name, Domain()))
        if symbol.is_positive:
            return found.intersect(Range(Fraction(0), inf))
        if symbol.is_nonnegative:
            return found.intersect(Range(Fraction(0), inf, False, True))
        if symbol.is_negative:
            return found.intersect(Range(-inf, Fraction(0)))
        return found

    def power(self, expr: sp.Pow) -> Range:
        base, exponent = self(expr.base), expr.exp
        if exponent.is_Integer:
            n = int(exponent)
            if n >= 0:
                return base.power(n)
            return base.power(-n).reciprocal()
        if exponent.is_Rational and exponent.is_positive:
            return _apply_monotone(
                lambda u: u**exponent, base.intersect(_NONNEGATIVE), Fraction(0), inf
            )
        if exponent.is_even:
            return _NONNEGATIVE
        # a whole exponent or a real one that may be whole: a negative base has either sign
        is_power_of_positive = base.low >= 0 or (exponent.is_Rational and not exponent.is_integer)
        return _POSITIVE if is_power_of_positive else Range()

    def function(self, expr: sp.Expr) -> Range:
        name = expr.func.__name__
        if name == "Abs":
            return _magnitude(self(expr.args[0]))
        if name == "Max":
            return _fold(_larger, map(self, expr.args))
        if name == "Min":
            return -_fold(_larger, (-self(argument) for argument in expr.args))
        if name in _INCREASING and len(expr.args) == 1:
            low, high = _INCREASING[name]
            return _apply_monotone(expr.func, self(expr.args[0]), low, high)
        if name in _BOUNDED:
            return _BOUNDED[name]
        if isinstance(expr, ScalarFunction):
            return self.vocabulary(expr)
        return Range()

    def vocabulary(self, expr: ScalarFunction) -> Range:
        count = len(expr.row.defaults)
        stated = Range()
        if not count or expr.args[-count:] == expr.row.defaults:
            stated = domain_range(expr.row.range)
        return stated.intersect(self(expr.row.definition(*expr.args)))


_NONNEGATIVE = Range(Fraction(0), inf, False, True)
_POSITIVE = Range(Fraction(0), inf)
_HALF_PI = Fraction(355, 226) + Fraction(1, 10**6)

#: Increasing functions of one variable: infimum and supremum; neither is attained.
_INCREASING: dict[str, tuple[Bound, Bound]] = {
    "exp": (Fraction(0), inf),
    "log": (-inf, inf),
    "sinh": (-inf, inf),
    "asinh": (-inf, inf),
    "tanh": (Fraction(-1), Fraction(1)),
    "atan": (-_HALF_PI, _HALF_PI),
    "erf": (Fraction(-1), Fraction(1)),
    "sigmoid": (Fraction(0), Fraction(1)),
    "softplus": (Fraction(0), inf),
    "log_sigmoid": (-inf, Fraction(0)),
    "normal_cdf": (Fraction(0), Fraction(1)),
    "log_normal_cdf": (-inf, Fraction(0)),
    "expm1": (Fraction(-1), inf),
    "log1p": (-inf, inf),
    "expm1_over": (Fraction(0), inf),
    "exp2": (Fraction(0), inf),
}
_BOUNDED = {
    "sin": Range(Fraction(-1), Fraction(1), False, False),
    "cos": Range(Fraction(-1), Fraction(1), False, False),
    "cosh": Range(Fraction(1), inf, False, True),
    "sech": Range(Fraction(0), Fraction(1), True, False),
    "erfc": Range(Fraction(0), Fraction(2)),
    "gamma": Range(),
    "sign": Range(Fraction(-1), Fraction(1), False, False),
    "Heaviside": Range(Fraction(0), Fraction(1), False, False),
    "asin": Range(-_HALF_PI, _HALF_PI),
    "acos": Range(Fraction(0), 2 * _HALF_PI, False, True),
    "acosh": _NONNEGATIVE,
    "LambertW": Range(Fraction(-1), inf, False, True),
}


def _fold(join: Callable[[Range, Range], Range], parts: Iterable[Range]) -> Range:
    return reduce(join, parts)


def _magnitude(x: Range) -> Range:
    if x.low >= 0:
        return x
    return -x if x.high <= 0 else x.union(-x).intersect(_NONNEGATIVE)


def _larger(a: Range, b: Range) -> Range:
    low = max((a.low, a.open_low), (b.low, b.open_low))
    high = max((a.high, not a.open_high), (b.high, not b.open_high))
    return Range(low[0], high[0], low[1], not high[1])


@lru_cache(maxsize=2048)
def _constant(expr: sp.Expr) -> Range:
    try:
        low, high = enclose(expr, {}, 30)
    except DiffkitError:
        return Range()
    return Range(low, high, False, False)


def _apply_monotone(function: Callable, x: Range, infimum: Bound, supremum: Bound) -> Range:
    """The range of an increasing function, from enclosures of its values at the ends."""
    low = infimum if x.low == -inf else _end(function, x.low, 0, infimum)
    high = supremum if x.high == inf else _end(function, x.high, 1, supremum)
    return Range(low, high, x.open_low or low == infimum, x.open_high or high == supremum)


def _end(function: Callable, at: Bound, which: int, otherwise: Bound) -> Bound:
    if abs(at) > 10**6:
        return otherwise
    exact = function(to_rational(at))
    if isinstance(exact, sp.Rational):
        return Fraction(int(exact.p), int(exact.q))
    try:
        return enclose(exact, {}, 30)[which]
    except DiffkitError:
        return otherwise

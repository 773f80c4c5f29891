r"""Germs: truncated series of balls in an infinitesimal t, the numbers of the rigorous witness.

A germ is a finite sum of known terms and a bounded ignorance,

$$g(t) = \sum_{e < N} \sum_m c_{e,m}\, t^e (\log t)^m + O(t^N), \qquad t \to 0^+,$$

with rational exponents e (Laurent and Puiseux) and coefficients that are exact rationals or
balls of python-flint.  The variable is x = x0 + direction * t, so direction +1 and -1 give the
right and left derivatives; comparisons are decided by the leading term of the difference.
The law of the file: every true coefficient lies in its ball, and what cannot be decided raises
`Undecidable` (the caller asks again with more bits or terms), it is never guessed.
No derivative rule is used here: a derivative is a coefficient times a factorial.
"""

import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, factorial, inf, isfinite, prod
from typing import Any, ClassVar

from flint import arb, arb_series, ctx, fmpq

from diffkit.core.errors import DiffkitError, TimeLimitExceeded, Undecidable
from diffkit.numeric import germ_functions
from diffkit.numeric.algebra import NAMED, Exact, Relation, unsupported, with_defaults
from diffkit.numeric.germ_arithmetic import (
    ARITHMETIC,
    Coefficient,
    Exponent,
    Key,
    ball,
    exact,
    from_series,
    is_zero,
    power,
    sign_of,
    tidy,
)

_EXTRA_TERMS = 4  # a division by t^k loses k terms; k <= 4 stays free


class Singular(DiffkitError):
    """The value or derivative asked for is infinite or does not exist.

    Args:
        kind: "infinite" or "undefined".
        sign: Sign of the infinity, 0 when it is unknown or there is none.
    """

    def __init__(self, kind: str, sign: int = 0):
        self.kind, self.sign = kind, sign
        super().__init__(f"the derivative is {kind}" + (f" with sign {sign:+d}" if sign else ""))


class Germ:
    """One number of a `GermAlgebra`; immutable.

    Args:
        algebra: The algebra that made it and does its arithmetic.
        terms: (exponent, power of log t) -> coefficient, none exactly zero.
        order: Terms below this exponent are known; inf when the sum is exact.
        fault: "", or "+inf", "-inf", "inf" (sign unknown), "nan", "undecided".
        key: Serial number; the algebra gives equal computations the same germ.
    """

    __slots__ = ("algebra", "fault", "key", "order", "terms")

    def __init__(
        self,
        algebra: "GermAlgebra",
        terms: Mapping[Key, Coefficient],
        order: Exponent | float,
        fault: str,
        key: int,
    ):
        self.algebra, self.terms, self.order, self.fault, self.key = (
            algebra,
            terms,
            order,
            fault,
            key,
        )

    def __add__(self, other: Any) -> "Germ":
        return self.algebra.apply("add", self, other)

    def __sub__(self, other: Any) -> "Germ":
        return self.algebra.apply("sub", self, other)

    def __mul__(self, other: Any) -> "Germ":
        return self.algebra.apply("mul", self, other)

    def __truediv__(self, other: Any) -> "Germ":
        return self.algebra.apply("div", self, other)

    def __radd__(self, other: Any) -> "Germ":
        return self.algebra.apply("add", other, self)

    def __rsub__(self, other: Any) -> "Germ":
        return self.algebra.apply("sub", other, self)

    def __rmul__(self, other: Any) -> "Germ":
        return self.algebra.apply("mul", other, self)

    def __rtruediv__(self, other: Any) -> "Germ":
        return self.algebra.apply("div", other, self)

    def __neg__(self) -> "Germ":
        return self.algebra.apply("neg", self)

    def __pow__(self, exponent: Any) -> "Germ":
        if isinstance(exponent, int | Fraction):
            return self.algebra.power(self, Fraction(exponent))
        return self.algebra.apply("pow", self, exponent)

    @property
    def valuation(self) -> Exponent | float:
        """The least exponent present; the order when no term is known."""
        return min((exponent for exponent, _ in self.terms), default=self.order)

    @property
    def is_exact_zero(self) -> bool:
        """Whether the germ is the number zero, proved."""
        return not self.fault and not self.terms and self.order == inf

    def rational(self) -> Fraction | None:
        """The exact rational the germ equals, or None."""
        if self.is_exact_zero:
            return Fraction(0)
        if self.fault or self.order != inf or set(self.terms) != {(0, 0)}:
            return None
        value = self.terms[0, 0]
        return Fraction(int(value.p), int(value.q)) if isinstance(value, fmpq) else None

    def __repr__(self) -> str:
        if self.fault:
            return f"Germ({self.fault})"
        parts = [f"{c}*t^{e}" + (f"*log(t)^{m}" if m else "") for (e, m), c in self.terms.items()]
        tail = [] if self.order == inf else [f"O(t^{self.order})"]
        return f"Germ({' + '.join(parts + tail) or '0'})"


class GermAlgebra:
    """Arithmetic on germs at one precision, direction and number of terms.

    Args:
        terms: How many Taylor coefficients the caller wants, >= 1 (order + 1).
        direction: +1 (t to the right), -1 (to the left) or 0 (the point itself, no t).
        bits: Working precision of the balls, >= 16.
        deadline: Value of `time.monotonic()` after which operations raise, or None.

    >>> algebra = GermAlgebra(terms=3, direction=-1, bits=64)
    >>> x = algebra.variable(0)
    >>> float(algebra.derivative(algebra.function("abs")(x), 1))
    -1.0
    """

    rules: ClassVar[Mapping[str, Callable[..., Germ]]] = germ_functions.RULES

    def __init__(
        self, terms: int = 4, direction: int = 1, bits: int = 128, deadline: float | None = None
    ):
        self.window, self.direction, self.bits = terms + _EXTRA_TERMS, direction, bits
        self.deadline = deadline
        self._memo: dict[tuple[Any, ...], Germ] = {}
        #: Key of a square -> what was squared: sqrt(x*x) is |x|, exactly.
        self.roots: dict[int, Germ] = {}
        #: Key of a germ -> its negative, so that x + (-x) is the number zero.
        self.opposites: dict[int, Germ] = {}
        self._serial = 0

    # Making germs

    def make(
        self, terms: Mapping[Key, Coefficient], order: Exponent | float = inf, fault: str = ""
    ) -> Germ:
        """Return the germ of these terms, truncated to the window of the algebra."""
        kept: dict[Key, Coefficient] = {}
        for key, value in terms.items():
            coefficient = tidy(value)
            if coefficient is None:
                fault = fault or "undecided"
            elif not is_zero(coefficient):
                kept[key] = coefficient
        if fault:
            kept = {}
        elif kept:
            last = min(order, min(e for e, _ in kept) + self.window)
            short = {key: value for key, value in kept.items() if key[0] < last}
            if len(short) < len(kept):
                kept, order = short, last
        self._serial += 1
        return Germ(self, kept, order, fault, self._serial)

    def constant(self, value: Exact | arb | fmpq) -> Germ:
        """Return the constant germ `value`, exact for rationals and floats."""
        item = getattr(value, "item", None)
        value = value if item is None else item()  # a NumPy scalar
        known = self._memo.get(("constant", type(value), value)) if _hashable(value) else None
        if known is not None:
            return known
        if isinstance(value, float) and not isfinite(value):
            fault = "nan" if value != value else ("+inf" if value > 0 else "-inf")
            made = self.make({}, fault=fault)
        else:
            made = self.make({(0, 0): value if isinstance(value, arb | fmpq) else exact(value)})
        if _hashable(value):
            self._memo["constant", type(value), value] = made
        return made

    def variable(self, x0: Exact, slope: Exact = 1) -> Germ:
        """Return x0 + direction * slope * t (x0 alone for direction 0)."""
        key = ("variable", Fraction(x0), Fraction(slope))
        if key not in self._memo:
            terms: dict[Key, Coefficient] = {
                (0, 0): exact(x0),
                (1, 0): self.direction * exact(slope),
            }
            self._memo[key] = self.make(terms)
        return self._memo[key]

    def named(self, name: str) -> Germ:
        """Return "pi", "E" or "EulerGamma" as a ball."""
        if name not in NAMED:
            raise unsupported(name, "GermAlgebra")
        return self.apply(name)

    # Operations

    def function(self, name: str) -> Callable[..., Germ]:
        """Return the function `name` on germs.

        Raises:
            UnsupportedFunction: no row in `germ_functions.RULES`.
        """
        if name not in self.rules:
            raise unsupported(name, "GermAlgebra")

        def call(*arguments: Any) -> Germ:
            germs = tuple(self.lifted(argument) for argument in arguments)
            return self.apply(name, *with_defaults(name, germs, self))

        return call

    def lifted(self, value: Any) -> Germ:
        """Return `value` itself if it is a germ, else the constant."""
        if isinstance(value, Undecidable):  # a comparison nobody could decide, used as a number
            raise value
        return value if isinstance(value, Germ) else self.constant(value)

    def apply(self, name: str, *arguments: Any) -> Germ:
        """Run the rule `name` at this precision, once for equal arguments."""
        germs = [self.lifted(argument) for argument in arguments]
        key = (name, *[germ.key for germ in germs])
        if key not in self._memo:
            rule = ARITHMETIC.get(name) or self.rules[name]
            if name not in ARITHMETIC and any(map(_is_blank, germs)):
                return self.undecided()
            self._memo[key] = self._run(rule, *germs)
        return self._memo[key]

    def power(self, base: Any, exponent: Fraction) -> Germ:
        """Return base**exponent on the real branch; nan for a negative base and odd roots."""
        base = self.lifted(base)
        key = ("power", base.key, exponent)
        if key not in self._memo:
            self._memo[key] = self._run(power, base, Fraction(exponent))
        return self._memo[key]

    def _run(self, rule: Callable[..., Germ], *arguments: Any) -> Germ:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeLimitExceeded("the ball arithmetic used up its time; allow more seconds")
        bits, cap = ctx.prec, ctx.cap
        # the context is global: set for one rule and put back
        ctx.prec, ctx.cap = self.bits, 4 * self.window + 8
        try:
            return rule(self, *arguments)
        finally:
            ctx.prec, ctx.cap = bits, cap

    def compose(self, jet: Callable[[arb, int], arb_series], inner: Germ) -> Germ:
        """Return f(inner) for an f analytic at the finite limit of `inner`.

        Args:
            jet: (x0, n) -> Taylor series of f at x0 with at least n terms.
            inner: Germ with a finite limit.
        """
        if inner.order <= 0 or any(e < 0 or (e == 0 and m) for e, m in inner.terms):
            return self.make({}, fault="undecided")
        start = ball(inner.terms.get((0, 0), fmpq(0)))
        rest = {key: value for key, value in inner.terms.items() if key[0] > 0}
        if not rest:
            value = jet(start, 1)
            return self.make({(0, 0): value[0]}, inner.order)
        step = min(e for e, _ in rest)
        count = ceil(self.window / step) + 1
        outer = jet(start, count)
        if all(m == 0 and e.denominator == 1 for e, m in rest):
            # a perturbation of valuation v loses nothing: f(c + h) = f(c) + f'(c) h + ...
            last = int(min(inner.order, step + self.window))
            return from_series(self, outer, rest, last)
        small = self.make(rest, inner.order)
        coefficients = outer.coeffs()
        total = self.make({}, order=0)
        for index in range(min(count, outer.prec) - 1, -1, -1):
            value = coefficients[index] if index < len(coefficients) else arb(0)
            total = small * total + self.make({(0, 0): value})
        return total

    # Decisions

    def sign(self, germ: Germ) -> int:
        """Return -1, 0 or 1: the sign for all small t > 0.

        Raises:
            Undecidable: the leading coefficient's ball contains zero, or no term is known.
        """
        if germ.fault in ("+inf", "-inf"):
            return 1 if germ.fault == "+inf" else -1
        if germ.is_exact_zero:
            return 0
        if germ.fault or not germ.terms:
            raise Undecidable(f"the sign of {germ!r} is not known at {self.bits} bits")
        exponent, logs = min(germ.terms, key=lambda key: (key[0], -key[1]))
        sign = sign_of(germ.terms[exponent, logs])
        if sign is None:
            raise Undecidable(f"a leading coefficient contains zero at {self.bits} bits")
        return -sign if logs % 2 else sign  # log t < 0

    def truth(self, relation: Relation, a: Any, b: Any) -> bool:
        """Decide `a relation b` for all small t > 0; with a NaN as IEEE does.

        Raises:
            Undecidable: the difference is not known well enough.
        """
        a, b = self.lifted(a), self.lifted(b)
        if "nan" in (a.fault, b.fault):
            return relation == "ne"
        if {a.fault, b.fault} & {"inf", "undecided"}:
            raise Undecidable("a comparison with a number of unknown sign or value")
        if a.fault or b.fault:
            rank = {"+inf": 1, "-inf": -1, "": 0}
            difference = rank[a.fault] - rank[b.fault]
        else:
            difference = self.sign(a - b)
        return {
            "lt": difference < 0,
            "le": difference <= 0,
            "gt": difference > 0,
            "ge": difference >= 0,
            "eq": difference == 0,
            "ne": difference != 0,
        }[relation]

    def select(self, condition: bool, if_true: Any, if_false: Any) -> Germ:
        """Return the chosen branch; a fault of the other one is discarded."""
        return self.lifted(if_true if condition else if_false)

    def undecided(self) -> Germ:
        """Return the number nothing is known of; it may be selected away."""
        return self.make({}, fault="undecided")

    def is_finite(self, value: Any) -> bool:
        """Whether the value is finite for all small t (a pole at t = 0 does not count)."""
        germ = self.lifted(value)
        if germ.fault == "undecided":
            raise Undecidable("a value is not known well enough to tell whether it is finite")
        return not germ.fault

    def integer(self, value: Any) -> int:
        """Return `value` rounded toward zero.

        Raises:
            Undecidable: the value is not known well enough, or not finite.
        """
        whole = self.function("trunc")(value).rational()
        if whole is None:
            raise Undecidable("a value is not known well enough to be rounded to an integer")
        return int(whole)

    def derivative(self, germ: Germ, order: int) -> arb:
        """Return the one-sided derivative of this order (0: the limit) as a ball.

        Raises:
            Singular: it is infinite, or the germ is undefined (NaN).
            Undecidable: more bits or terms are needed.
        """
        bits = ctx.prec
        ctx.prec = self.bits
        try:
            return _derivative(self, germ, order)
        finally:
            ctx.prec = bits


def _hashable(value: Any) -> bool:
    return not isinstance(value, arb | fmpq)


def _is_blank(germ: Germ) -> bool:
    """Whether not even the limit is known: every term was cancelled up to t^0."""
    return not germ.fault and not germ.terms and germ.order <= 0


def _derivative(algebra: GermAlgebra, germ: Germ, order: int) -> arb:
    if germ.fault == "undecided":
        raise Undecidable(f"the value is not known at {algebra.bits} bits")
    if germ.fault == "nan":
        raise Singular("undefined")
    if germ.fault:
        raise Singular("infinite", {"+inf": 1, "-inf": -1}.get(germ.fault, 0))
    singular = [
        (e, m)
        for e, m in germ.terms
        if (e < order or (e == order and m)) and (m or e < 0 or e.denominator != 1)
    ]
    if singular:
        raise _infinite(algebra, germ, min(singular, key=lambda key: (key[0], -key[1])), order)
    if order >= germ.order:
        raise Undecidable(f"the series is known below order {germ.order} only; use more terms")
    side = -1 if algebra.direction < 0 and order % 2 else 1
    return ball(germ.terms.get((order, 0), fmpq(0))) * (side * factorial(order))


def _infinite(algebra: GermAlgebra, germ: Germ, key: Key, order: int) -> DiffkitError:
    """The sign of d^n/dt^n of c t^e log(t)^m as t -> 0+, n the order."""
    e, m = key
    sign = sign_of(germ.terms[key])
    if sign is None:
        return Undecidable(f"a leading coefficient contains zero at {algebra.bits} bits")
    falling = prod(e - k for k in range(order))
    if falling:
        sign *= (1 if falling > 0 else -1) * (-1) ** m
    else:
        # e is one of 0..n-1: one log is differentiated away, (t^e log t)^(n) ~ (-1)^(n-e-1) t^(e-n)
        sign *= (-1) ** (order - int(e) - 1) * (-1) ** (m - 1)
    return Singular("infinite", sign * (algebra.direction**order if algebra.direction else 1))

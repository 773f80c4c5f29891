r"""Running error analysis: what a program in a given float format may return, as a bound.

Each number is a pair: the exact value (a ball of tiny radius) and a spread, a ball that contains
every value the floating-point program can hold there.  An operation is applied to both; the
spread then grows by the operation's own rounding,

$$|\mathrm{fl}(f(\hat x)) - f(\hat x)| \le k\,u\,|f(\hat x)| + \eta,$$

k from `ALLOWANCE` (ulps, for XLA on CPU), u the spacing of the format at 1, eta the smallest
normal number (XLA flushes subnormals).  Contraction lengths appear by themselves.
Source: Higham (2002), Accuracy and Stability of Numerical Algorithms, section 3.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import inf
from typing import Any

import numpy.typing as npt
from flint import arb, ctx

from diffkit.core.errors import Undecidable
from diffkit.numeric.algebra import Exact, Relation, with_defaults
from diffkit.numeric.balls import Enclosure, outward
from diffkit.numeric.definitions import DEFINITIONS
from diffkit.numeric.germ_functions import Functions
from diffkit.numeric.germs import Germ, GermAlgebra
from diffkit.numeric.ulps import Format, float_format

#: Ulps one operation may be off for operands exactly as given; others `_DEFAULT_ALLOWANCE`.
#: At least twice the worst of 900 arguments per function, XLA on CPU, float32 and float64.
ALLOWANCE: dict[str, float] = {
    **dict.fromkeys("add sub mul div sqrt square".split(), 1.0),
    **dict.fromkeys("exp log rsqrt sin cos tan".split(), 2.0),
    **dict.fromkeys("neg abs max min sign floor ceil round trunc relu rem".split(), 0.0),
    **dict.fromkeys("tanh expm1".split(), 8.0),
    **dict.fromkeys("pow digamma polygamma bessel_i0e bessel_i1e".split(), 16.0),
    **dict.fromkeys("erfinv lgamma".split(), 48.0),
    **dict.fromkeys("sinh cosh erfc".split(), 16.0),
}
#: Ulps that come on top where XLA rounds an exponent before it exponentiates: of each unit of
#: that exponent, |x| or x^2, so many.  Measured up to the end of the range: 0.35.
GROWTH: dict[str, tuple[float, int]] = {
    **dict.fromkeys("exp2 sinh cosh".split(), (0.75, 1)),
    "erfc": (0.75, 2),
}
#: XLA's float64 log1p loses up to 110 ulps near -0.41, and atanh is made of it.
ALLOWANCE_OF_FORMAT: dict[str, dict[str, float]] = {"float64": {"log1p": 256.0, "atanh": 128.0}}
_DEFAULT_ALLOWANCE = 4.0
#: Functions XLA computes as one operation; others are compositions and err step by step.
_PRIMITIVE = frozenset(
    "exp exp2 expm1 log log1p sqrt rsqrt cbrt square abs sign floor ceil round trunc sin cos tan "
    "asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc erfinv lgamma digamma "
    "polygamma gamma bessel_i0e bessel_i1e sigmoid max min rem pow".split()
)
#: Errors of these near their roots are absolute: they count ulps of max(|result|, 1).
_ABSOLUTE = frozenset("lgamma digamma sin cos tan".split())

#: Choices by size, as functions of balls that may meet.
_HULLS: dict[str, Callable[..., arb]] = {
    "abs": abs,
    "relu": lambda x: x.max(arb(0)),
    "max": lambda first, *others: reduce(lambda a, b: a.max(b), others, first),
    "min": lambda first, *others: reduce(lambda a, b: a.min(b), others, first),
}


@dataclass(frozen=True)
class Running:
    """A value with everything rounding may make of it.

    Args:
        algebra: The algebra that made it.
        exact: Germ of the exact value.
        spread: Germ whose ball contains every value the program may hold; a faulty germ when
            the program may overflow or leave the domain.
    """

    algebra: "RunningErrorAlgebra"
    exact: Germ
    spread: Germ

    def __add__(self, other: Any) -> "Running":
        return self.algebra.apply("add", self, other)

    def __sub__(self, other: Any) -> "Running":
        return self.algebra.apply("sub", self, other)

    def __mul__(self, other: Any) -> "Running":
        return self.algebra.apply("mul", self, other)

    def __truediv__(self, other: Any) -> "Running":
        return self.algebra.apply("div", self, other)

    def __radd__(self, other: Any) -> "Running":
        return self.algebra.apply("add", other, self)

    def __rsub__(self, other: Any) -> "Running":
        return self.algebra.apply("sub", other, self)

    def __rmul__(self, other: Any) -> "Running":
        return self.algebra.apply("mul", other, self)

    def __rtruediv__(self, other: Any) -> "Running":
        return self.algebra.apply("div", other, self)

    def __neg__(self) -> "Running":
        return self.algebra.apply("neg", self)

    @property
    def value(self) -> float:
        """The exact value as the nearest double; +-inf or nan where it has none."""
        if self.exact.fault:
            return {"+inf": inf, "-inf": -inf}.get(self.exact.fault, float("nan"))
        return Enclosure.of(_ball(self.exact)).value

    @property
    def bound(self) -> float:
        """Bound on |computed - exact|; inf when the program may overflow or fail."""
        if self.exact.fault or self.spread.fault:
            same = self.exact.fault == self.spread.fault
            return 0.0 if same and self.exact.fault in ("+inf", "-inf") else inf
        low, high = outward(_ball(self.spread) - _ball(self.exact))
        return max(abs(low), abs(high))


@dataclass(frozen=True)
class Ambiguous:
    """A comparison rounding may flip: the exact answer, for a program that may take the other."""

    holds: bool

    def __and__(self, other: Any) -> Any:
        return other & self.holds if other is True else (False if other is False else self)

    def __or__(self, other: Any) -> Any:
        return True if other is True else self

    __rand__, __ror__ = __and__, __or__

    def __invert__(self) -> "Ambiguous":
        return Ambiguous(not self.holds)


class RunningErrorAlgebra:
    """Numbers with a running error bound for a program in one float format.

    Args:
        dtype: "float64", "float32", "float16" or "bfloat16".
        bits: Precision of the exact values.
        deadline: Value of `time.monotonic()` after which operations raise, or None.

    >>> algebra = RunningErrorAlgebra("float32")
    >>> third = algebra.constant(1) / algebra.constant(3)
    >>> 0 < third.bound < 1e-7
    True
    """

    def __init__(
        self, dtype: npt.DTypeLike = "float64", bits: int = 192, deadline: float | None = None
    ):
        self.format: Format = float_format(dtype)
        self.exact = GermAlgebra(terms=1, direction=0, bits=bits, deadline=deadline)
        self._narrower: dict[str, RunningErrorAlgebra] = {}

    def constant(self, value: Exact) -> Running:
        """Return `value`; a number the format cannot hold carries its conversion error."""
        item = getattr(value, "item", None)
        value = value if item is None else item()  # a NumPy scalar
        exact = self.exact.constant(value)
        held = isinstance(value, float) or _fits(value, self.format)
        return Running(self, exact, exact if held else self._rounded(exact, 1.0, "constant"))

    def named(self, name: str) -> Running:
        """Return a named constant with its conversion error."""
        exact = self.exact.named(name)
        return Running(self, exact, self._rounded(exact, 1.0, name))

    def function(self, name: str) -> Callable[..., Running]:
        """Return the function `name` on running errors.

        Raises:
            UnsupportedFunction: the balls have no such function.
        """
        on_balls = self.exact.function(name)
        if name not in _PRIMITIVE and name in DEFINITIONS:
            definition = DEFINITIONS[name]
            return lambda *given: definition(
                Functions(self), *with_defaults(name, tuple(map(self.lifted, given)), self)
            )

        def call(*given: Any) -> Running:
            operands = [self.lifted(value) for value in given]
            exact = on_balls(*(operand.exact for operand in operands))
            spread = on_balls(*(operand.spread for operand in operands))
            if spread.fault == "undecided":
                spread = self._hull(name, [operand.spread for operand in operands])
            return self._result(name, exact, spread, self._grown(name, operands))

        return call

    def lifted(self, value: Any) -> Running:
        """Return `value` itself if it is a running error, else the constant; truths are 0 and 1."""
        if isinstance(value, Undecidable):
            raise value
        if isinstance(value, Ambiguous):
            return self.select(value, self.constant(1), self.constant(0))
        return value if isinstance(value, Running) else self.constant(value)

    def apply(self, name: str, *given: Any) -> Running:
        """Run one arithmetic operation on values and spreads."""
        operands = [self.lifted(value) for value in given]
        exact = self.exact.apply(name, *(operand.exact for operand in operands))
        spread = self.exact.apply(name, *(operand.spread for operand in operands))
        return self._result(name, exact, spread)

    def power(self, base: Any, exponent: Fraction) -> Running:
        """Return base**exponent; a whole power n is n - 1 rounded multiplications at most."""
        x = self.lifted(base)
        exact = self.exact.power(x.exact, exponent)
        spread = self.exact.power(x.spread, exponent)
        whole = exponent.denominator == 1
        ulps = float(abs(exponent)) + 1 if whole else ALLOWANCE["pow"]
        if exponent in (1, 0):
            return Running(self, exact, spread)
        return self._result("pow" if ulps else "neg", exact, spread, ulps)

    def truth(self, relation: Relation, a: Any, b: Any) -> Any:
        """Decide by the exact values; `Ambiguous` when rounding may decide otherwise."""
        x, y = self.lifted(a), self.lifted(b)
        holds = self.exact.truth(relation, x.exact, y.exact)
        try:
            computed = self.exact.truth(relation, x.spread, y.spread)
        except Undecidable:
            return Ambiguous(holds)
        return holds if computed == holds else Ambiguous(holds)

    def select(self, condition: Any, if_true: Any, if_false: Any) -> Running:
        """Return the chosen branch; an ambiguous condition may return either."""
        a, b = self.lifted(if_true), self.lifted(if_false)
        if not isinstance(condition, Ambiguous):
            return a if condition else b
        chosen = a if condition.holds else b
        if a.spread.fault or b.spread.fault:
            return Running(self, chosen.exact, self.exact.undecided())
        hull = _ball(a.spread).union(_ball(b.spread))
        return Running(self, chosen.exact, self.exact.make({(0, 0): hull}))

    def convert(self, value: Any, dtype: npt.DTypeLike) -> Any:
        """Return `value` after a conversion to another float format."""
        if not isinstance(value, Running):
            return value
        target = float_format(str(dtype))
        if target.precision >= self.format.precision or value.spread.fault:
            return value
        narrow = RunningErrorAlgebra(target.name)
        spread = narrow._rounded(value.spread, 1.0, "convert")
        return Running(self, value.exact, self.exact.make(spread.terms, fault=spread.fault))

    def in_format(self, dtype: npt.DTypeLike) -> "RunningErrorAlgebra":
        """The algebra of an operation whose result is held in `dtype`: itself, or a narrower one.

        A program in float64 rounds to float32 what it computes of float32 constants alone.
        """
        name = str(dtype)
        if name not in self._narrower:
            target = float_format(name)
            found = self
            if target.precision < self.format.precision:
                found = RunningErrorAlgebra(target.name)
                found.exact = self.exact
            self._narrower[name] = found
        return self._narrower[name]

    def taken(self, value: Any) -> Any:
        """A number of another format as one of this algebra, with the spread it has."""
        if not isinstance(value, Running) or value.algebra is self:
            return value
        return Running(self, value.exact, value.spread)

    def is_finite(self, value: Any) -> bool:
        """Whether the exact value is finite."""
        return self.exact.is_finite(self.lifted(value).exact)

    def integer(self, value: Any) -> int:
        """Return the value rounded toward zero.

        Raises:
            Undecidable: rounding may give another integer.
        """
        number = self.lifted(value)
        whole = self.exact.integer(number.exact)
        if self.exact.integer(number.spread) != whole:
            raise Undecidable("rounding may change an integer the program depends on")
        return whole

    def _grown(self, name: str, operands: Sequence[Running]) -> float | None:
        """The ulps of a function whose error grows with its operand; None for the others."""
        if name not in GROWTH or operands[0].spread.fault:
            return None
        factor, degree = GROWTH[name]
        low, high = outward(_ball(operands[0].spread))
        size = max(abs(low), abs(high))
        return ALLOWANCE.get(name, _DEFAULT_ALLOWANCE) + factor * size**degree

    def _hull(self, name: str, spreads: Sequence[Germ]) -> Germ:
        """A choice rounding may make either way: the ball that holds both of its results."""
        if name not in _HULLS or any(spread.fault for spread in spreads):
            return self.exact.undecided()
        previous = ctx.prec
        ctx.prec = self.exact.bits
        try:
            return self.exact.make({(0, 0): _HULLS[name](*map(_ball, spreads))})
        finally:
            ctx.prec = previous

    def _result(self, name: str, exact: Germ, spread: Germ, ulps: float | None = None) -> Running:
        own = ALLOWANCE_OF_FORMAT.get(self.format.name, {})
        allowance = own.get(name, ALLOWANCE.get(name, _DEFAULT_ALLOWANCE))
        return Running(
            self, exact, self._rounded(spread, allowance if ulps is None else ulps, name)
        )

    def _rounded(self, spread: Germ, ulps: float, name: str) -> Germ:
        """The spread widened by one rounding; undecided when it may exceed the format."""
        if spread.fault or not ulps or spread.is_exact_zero:
            return spread
        previous = ctx.prec
        ctx.prec = self.exact.bits
        try:
            ball = _ball(spread)
            size = abs(ball)
            level = size.max(arb(1)) if name in _ABSOLUTE else size
            error = (level * (2 * ulps * self.format.unit)).upper() + self.format.tiny
            wide = ball + arb(0, error)
            if not wide.is_finite() or not abs(wide) <= self.format.largest:
                return self.exact.undecided()
            return self.exact.make({(0, 0): wide})
        finally:
            ctx.prec = previous


def _ball(germ: Germ) -> arb:
    return arb(germ.terms.get((0, 0), 0))


def _fits(value: Exact, form: Format) -> bool:
    exact = Fraction(value)
    if not exact:
        return True
    bits = abs(exact.numerator).bit_length()
    is_dyadic = exact.denominator & (exact.denominator - 1) == 0
    trailing = (abs(exact.numerator) & -abs(exact.numerator)).bit_length() - 1
    return is_dyadic and bits - trailing <= form.precision

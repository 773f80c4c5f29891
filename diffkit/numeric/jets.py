r"""Jets of balls: the fast half of the rigorous witness, for points where a program is analytic.

A jet is the Taylor polynomial of one number of the program along the line x0 + u t,

$$g(t) = c_0 + c_1 t + \dots + c_n t^n + O(t^{n+1}),$$

whose coefficients are balls of python-flint.  It has the interface of a `Germ` and runs the same
rules (`germ_functions.RULES`), some twenty times faster.  The law of the file: whatever is not
analytic beyond doubt (a comparison whose balls meet, a root or a quotient at zero, an infinity)
makes the jet unknown or raises `Undecidable`; germs then answer in its place.  A jet never says
that something has a kink, is infinite or undefined.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from flint import arb, arb_series, ctx, fmpq

from diffkit.core.errors import TimeLimitExceeded, Undecidable
from diffkit.numeric import germ_functions
from diffkit.numeric.algebra import NAMED, Exact, Relation, unsupported, with_defaults
from diffkit.numeric.germ_arithmetic import exact, sign_of

Program = Callable[[Sequence[Any]], Sequence[Any]]
_LARGEST_POWER = 64
#: Functions that only compare: an infinite argument is no obstacle.
_CHOICES = frozenset({"max", "min"})


class Jet:
    """One number of a `JetAlgebra`; immutable.

    Args:
        algebra: The algebra that made it.
        series: Its Taylor polynomial; None when nothing is known of it, or it is infinite.
        rational: The number it is, where it is a known constant, else None.
        infinity: Sign of the infinite constant it is, 0 for any other number.
    """

    __slots__ = ("_rational", "algebra", "infinity", "series")

    #: Balls have no exponents below zero and no logarithms.
    valuation, order = 0, 0

    def __init__(
        self,
        algebra: "JetAlgebra",
        series: arb_series | None,
        rational: Fraction | None = None,
        infinity: int = 0,
    ):
        self.algebra, self.series, self._rational = algebra, series, rational
        self.infinity = infinity

    @property
    def fault(self) -> str:
        """Either "" or "undecided"."""
        return "undecided" if self.series is None else ""

    @property
    def terms(self) -> dict[tuple[int, int], arb | fmpq]:
        """The constant term, as a germ names it."""
        if self.series is None:
            return {}
        return {(0, 0): exact(self._rational) if self._rational is not None else self.series[0]}

    @property
    def is_exact_zero(self) -> bool:
        """Whether the jet is the number zero."""
        return self._rational == 0

    def rational(self) -> Fraction | None:
        """The exact number the jet is, or None."""
        return self._rational

    def __add__(self, other: Any) -> "Jet":
        return self.algebra.add(self, other)

    def __sub__(self, other: Any) -> "Jet":
        if self is other and self.series is not None:
            return self.algebra.constant(0)
        return self.algebra.add(self, -self.algebra.lifted(other))

    def __mul__(self, other: Any) -> "Jet":
        return self.algebra.mul(self, other)

    def __truediv__(self, other: Any) -> "Jet":
        return self.algebra.div(self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> "Jet":
        return self.algebra.add(-self, other)

    def __rtruediv__(self, other: Any) -> "Jet":
        return self.algebra.div(other, self)

    def __neg__(self) -> "Jet":
        if self.series is None:
            return Jet(self.algebra, None, infinity=-self.infinity)
        return Jet(self.algebra, -self.series, None if self._rational is None else -self._rational)

    def __pow__(self, exponent: Any) -> "Jet":
        if isinstance(exponent, int | Fraction):
            return self.algebra.power(self, Fraction(exponent))
        return self.algebra.function("pow")(self, exponent)


class JetAlgebra:
    """Arithmetic on jets at one precision; run it inside `precision`.

    Args:
        terms: Taylor coefficients kept, >= 1 (order + 1).
        bits: Working precision of the balls.
        deadline: Value of `time.monotonic()` after which operations raise, or None.
    """

    def __init__(self, terms: int, bits: int, deadline: float | None = None):
        self.terms, self.bits, self.deadline = terms, bits, deadline
        self._constants: dict[Fraction, Jet] = {}

    def constant(self, value: Exact | arb) -> Jet:
        """Return the constant jet `value`; NaN is unknown, an infinity may be compared with."""
        if isinstance(value, arb):
            return Jet(self, arb_series([value], prec=self.terms))
        item = getattr(value, "item", None)
        value = value if item is None else item()  # a NumPy scalar
        try:
            number = Fraction(value)
        except OverflowError:
            return Jet(self, None, infinity=1 if value > 0 else -1)
        except ValueError:
            return self.undecided()
        known = self._constants.get(number)
        if known is None:
            known = Jet(self, arb_series([arb(exact(number))], prec=self.terms), number)
            self._constants[number] = known
        return known

    def variable(self, x0: Exact, slope: Exact) -> Jet:
        """Return x0 + slope * t."""
        return Jet(self, arb_series([arb(exact(x0)), arb(exact(slope))], prec=self.terms))

    def named(self, name: str) -> Jet:
        """Return "pi", "E" or "EulerGamma" as a ball."""
        if name not in NAMED:
            raise unsupported(name, "JetAlgebra")
        return germ_functions.RULES[name](self)

    def make(self, terms: Mapping[Any, Any], order: Any = None, fault: str = "") -> Jet:
        """The constant of these terms as a germ's rule asks for it; unknown for anything else."""
        if fault or set(terms) != {(0, 0)}:
            return self.undecided()
        return self.constant(arb(terms[0, 0]))

    def undecided(self) -> Jet:
        """The number nothing is known of; it may be selected away."""
        return Jet(self, None)

    def lifted(self, value: Any) -> Jet:
        """Return `value` itself if it is a jet, else the constant."""
        if isinstance(value, Undecidable):  # a comparison nobody could decide, used as a number
            raise value
        return value if isinstance(value, Jet) else self.constant(value)

    # Arithmetic: exact where both numbers are, so that constants of a program stay rational.

    def add(self, a: Any, b: Any) -> Jet:
        """The sum."""
        x, y = self.lifted(a), self.lifted(b)
        if x.series is None or y.series is None:
            return self.undecided()
        if x._rational is not None and y._rational is not None:
            return self.constant(x._rational + y._rational)
        self._keep_time()
        return Jet(self, x.series + y.series)

    def mul(self, a: Any, b: Any) -> Jet:
        """The product; the number zero times any known number is zero."""
        x, y = self.lifted(a), self.lifted(b)
        if x.series is None or y.series is None:
            return self.undecided()
        if x._rational is not None and y._rational is not None:
            return self.constant(x._rational * y._rational)
        if x._rational == 0 or y._rational == 0:
            return self.constant(0)
        self._keep_time()
        return Jet(self, x.series * y.series)

    def div(self, a: Any, b: Any) -> Jet:
        """The quotient by a number that is certainly not zero, else unknown."""
        x, y = self.lifted(a), self.lifted(b)
        if x.series is None or y.series is None or not sign_of(y.series[0]):
            return self.undecided()
        if x._rational is not None and y._rational is not None:
            return self.constant(x._rational / y._rational)
        return Jet(self, x.series / y.series)

    def power(self, base: Any, exponent: Fraction) -> Jet:
        """base**exponent where it is analytic, else unknown."""
        x = self.lifted(base)
        if x.series is None or exponent == 1:
            return x
        if exponent == 0:
            return self.constant(1)
        if exponent.denominator == 1 and abs(exponent) <= _LARGEST_POWER:
            raised = _whole_power(x, abs(int(exponent)))
            return raised if exponent > 0 else self.div(1, raised)
        if not x.series[0] > 0:
            return self.undecided()
        if abs(exponent) == Fraction(1, 2):
            root = x.series.sqrt() if exponent > 0 else x.series.rsqrt()
            return Jet(self, root)
        return Jet(self, (x.series.log() * arb(exact(exponent))).exp())

    def compose(self, jet: Callable[[arb, int], arb_series], inner: Jet) -> Jet:
        """f(inner) for an f analytic at the constant term of `inner`."""
        if inner.series is None:
            return inner
        self._keep_time()
        outer = jet(inner.series[0], self.terms)
        small = [inner.series[k] for k in range(1, self.terms)]
        if all(coefficient.is_zero() for coefficient in small):
            return Jet(self, arb_series([outer[0]], prec=self.terms))
        return Jet(self, outer(arb_series([arb(0), *small], prec=self.terms)))

    def function(self, name: str) -> Callable[..., Jet]:
        """The function `name` by the rule germs have for it.

        Raises:
            UnsupportedFunction: no row in `germ_functions.RULES`.
        """
        rule = germ_functions.RULES.get(name)
        if rule is None:
            raise unsupported(name, "JetAlgebra")

        def call(*arguments: Any) -> Jet:
            jets = with_defaults(name, tuple(map(self.lifted, arguments)), self)
            known = not any(jet.series is None for jet in jets)
            if not known and not (name in _CHOICES and all(map(_is_comparable, jets))):
                return self.undecided()
            return self.lifted(rule(self, *jets))

        return call

    def _keep_time(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeLimitExceeded("the ball arithmetic used up its time; allow more seconds")

    # Decisions

    def sign(self, jet: Jet) -> int:
        """The sign at the point and around it.

        Raises:
            Undecidable: the ball contains zero.
        """
        if jet.series is not None:
            if jet._rational is not None:
                return (jet._rational > 0) - (jet._rational < 0)
            sign = sign_of(jet.series[0])
            if sign:
                return sign
        raise Undecidable("a sign is not decided by the ball of the value alone")

    def truth(self, relation: Relation, a: Any, b: Any) -> bool:
        """Decide `a relation b` at the point and around it.

        Raises:
            Undecidable: the two may be equal.
        """
        x, y = self.lifted(a), self.lifted(b)
        if x is y and x.series is not None:
            difference = 0
        elif x.infinity or y.infinity:
            if not (_is_comparable(x) and _is_comparable(y)):
                raise Undecidable("a comparison with an infinity of a number nothing is known of")
            difference = x.infinity - y.infinity
        else:
            difference = self.sign(x - y)
        return {
            "lt": difference < 0,
            "le": difference <= 0,
            "gt": difference > 0,
            "ge": difference >= 0,
            "eq": difference == 0,
            "ne": difference != 0,
        }[relation]

    def select(self, condition: bool, if_true: Any, if_false: Any) -> Jet:
        """The chosen branch; whatever the other one is is discarded."""
        return self.lifted(if_true if condition else if_false)

    def is_finite(self, value: Any) -> bool:
        """Whether the value is finite; a known jet is.

        Raises:
            Undecidable: nothing is known of it.
        """
        series = self.lifted(value).series
        if series is None or not series[0].is_finite():
            raise Undecidable("a value is not known well enough to tell whether it is finite")
        return True

    def integer(self, value: Any) -> int:
        """The value rounded toward zero.

        Raises:
            Undecidable: the value is no known constant.
        """
        number = self.lifted(value).rational()
        if number is None:
            raise Undecidable("a value is not known well enough to be rounded to an integer")
        return int(number)


def taylor(
    program: Program,
    point: Sequence[Exact],
    tangent: Sequence[Exact],
    order: int,
    bits: int,
    deadline: float | None = None,
) -> list[tuple[arb, arb]] | None:
    """Value and derivative of this order along the line, per output; None if not analytic.

    Args:
        program: Jets of the inputs -> jets of the outputs.
        point: Exact coordinates.
        tangent: Exact direction.
        order: Order of the derivative, >= 0.
        bits: Working precision.
        deadline: Value of `time.monotonic()` after which the attempt ends, or None.

    >>> [(value, slope)] = taylor(lambda x: [x[0] * x[0]], [3], [1], 1, 128)
    >>> int(float(value.mid())), int(float(slope.mid()))
    (9, 6)
    >>> taylor(lambda x: [x[0].algebra.function("abs")(x[0])], [0], [1], 1, 128) is None
    True
    """
    algebra = JetAlgebra(order + 1, bits, deadline)
    previous = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = bits, order + 2
    try:
        inputs = [algebra.variable(x, u) for x, u in zip(point, tangent, strict=True)]
        outputs = [algebra.lifted(output).series for output in program(inputs)]
        factorial = arb(order).fac()
        found = [(series[0], series[order] * factorial) for series in outputs if series is not None]
    except Undecidable:
        return None
    finally:
        ctx.prec, ctx.cap = previous
    if len(found) < len(outputs):
        return None
    return found if all(ball.is_finite() for pair in found for ball in pair) else None


def _is_comparable(jet: Jet) -> bool:
    return jet.series is not None or bool(jet.infinity)


def _whole_power(base: Jet, n: int) -> Jet:
    result, square = None, base
    while n:
        if n & 1:
            result = square if result is None else result * square
        n >>= 1
        if n:
            square = square * square
    return result if result is not None else base.algebra.constant(1)

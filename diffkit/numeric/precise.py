r"""High-precision numbers (mpmath) and derivatives by difference quotients of tiny steps.

A witness of its own group: it shares no function with the balls and no rule with AD.  The step
is about 1e-25 and the arithmetic carries 120 digits, so that neither truncation nor rounding
reaches the digits of a double; what it cannot see is a kink closer than the step.  Its error is
an estimate, hence it never refutes alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, comb, inf, log10, nan
from typing import Any

import mpmath

from diffkit.numeric.algebra import Exact, Relation, unsupported, with_defaults

_STEP_DIGITS = 25
_SPARE_POINTS = 3  # truncation h^3 f^(n+3)


class Precise:
    """One mpmath number of an `MpAlgebra`; division by zero and domain errors give inf or nan."""

    __slots__ = ("algebra", "value")

    def __init__(self, algebra: "MpAlgebra", value: Any):
        self.algebra, self.value = algebra, value

    def _with(self, operation: Callable[[Any, Any], Any], a: Any, b: Any) -> "Precise":
        x, y = self.algebra.raw(a), self.algebra.raw(b)
        try:
            return Precise(self.algebra, operation(x, y))
        except ZeroDivisionError:
            m = self.algebra.context
            return Precise(self.algebra, m.inf * m.sign(x) if x else m.nan)

    def __add__(self, other: Any) -> "Precise":
        return self._with(lambda a, b: a + b, self, other)

    def __sub__(self, other: Any) -> "Precise":
        return self._with(lambda a, b: a - b, self, other)

    def __mul__(self, other: Any) -> "Precise":
        return self._with(lambda a, b: a * b, self, other)

    def __truediv__(self, other: Any) -> "Precise":
        return self._with(lambda a, b: a / b, self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> "Precise":
        return self._with(lambda a, b: a - b, other, self)

    def __rtruediv__(self, other: Any) -> "Precise":
        return self._with(lambda a, b: a / b, other, self)

    def __neg__(self) -> "Precise":
        return Precise(self.algebra, -self.value)

    def __pow__(self, exponent: Any) -> "Precise":
        if isinstance(exponent, int | Fraction):
            return self.algebra.power(self, Fraction(exponent))
        return self.algebra.function("pow")(self, exponent)

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"Precise({mpmath.nstr(self.value, 20)})"


class MpAlgebra:
    """Real numbers with a fixed number of decimal digits.

    Args:
        digits: Significant decimal digits, >= 15.

    >>> round(float(MpAlgebra(30).function("softplus")(-2)), 12)
    0.126928011043
    """

    def __init__(self, digits: int = 50):
        self.context = mpmath.mp.clone()
        self.context.dps = digits

    def constant(self, value: Exact) -> Precise:
        """Return `value` (a float by its binary value) to the digits of the algebra."""
        if isinstance(value, Fraction):
            return Precise(self, self.context.mpf(value.numerator) / value.denominator)
        return Precise(self, self.context.mpf(value))

    def named(self, name: str) -> Precise:
        """Return "pi", "E" or "EulerGamma"."""
        constants = {
            "pi": self.context.pi,
            "E": self.context.e,
            "EulerGamma": self.context.euler,
        }
        if name not in constants:
            raise unsupported(name, "MpAlgebra")
        return Precise(self, +constants[name])

    def raw(self, value: Any) -> Any:
        """Return the mpmath number in `value`."""
        if isinstance(value, Precise):
            return value.value
        if isinstance(value, Fraction):
            return self.constant(value).value
        return self.context.mpf(value)

    def function(self, name: str) -> Callable[..., Precise]:
        """Return the function `name`; nan outside its real domain.

        Raises:
            UnsupportedFunction: no row in the table.
        """
        if name not in FUNCTIONS:
            raise unsupported(name, "MpAlgebra")

        def call(*arguments: Any) -> Precise:
            filled = with_defaults(name, arguments, self)
            values = [self.raw(argument) for argument in filled]
            if name not in ALGEBRAIC:
                values = [_seen(self.context, value) for value in values]
            return Precise(self, _real(self.context, FUNCTIONS[name], values))

        return call

    def power(self, base: Any, exponent: Fraction) -> Precise:
        """Return base**exponent on the real branch; nan for a negative base and a root."""
        x = self.raw(base)
        if exponent.denominator == 1:
            if exponent < 0 and x == 0:
                return Precise(self, self.context.inf)
            return Precise(self, x ** int(exponent))
        return self.function("pow")(x, self.constant(exponent))

    def is_finite(self, value: Any) -> bool:
        """Whether `value` is neither infinite nor nan."""
        return bool(self.context.isfinite(self.raw(value)))

    def integer(self, value: Any) -> int:
        """Return `value` rounded toward zero."""
        return int(self.raw(value))

    def truth(self, relation: Relation, a: Any, b: Any) -> bool:
        """Return `a relation b`."""
        x, y = self.raw(a), self.raw(b)
        return {
            "lt": x < y,
            "le": x <= y,
            "gt": x > y,
            "ge": x >= y,
            "eq": x == y,
            "ne": x != y,
        }[relation]

    def select(self, condition: bool, if_true: Any, if_false: Any) -> Precise:
        """Return the chosen branch."""
        return if_true if condition else if_false


def _seen(context: Any, value: Any) -> Any:
    """The argument, or an infinity in place of one whose digits would fill the memory."""
    if context.isfinite(value) and context.mag(value) > HUGE_BITS:
        return context.inf * context.sign(value)
    return value


def _real(context: Any, function: Callable[..., Any], values: list[Any]) -> Any:
    if any(context.isnan(value) for value in values):
        return context.nan
    try:
        found = function(context, *values)
    except (ValueError, ZeroDivisionError):
        return context.nan
    return found if not isinstance(found, context.mpc) else context.nan


def _log(m: Any, x: Any) -> Any:
    return -m.inf if x == 0 else m.log(x)


def _sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def _softplus(m: Any, x: Any) -> Any:
    return m.log1p(m.exp(x))


def _phi(m: Any, x: Any) -> Any:
    return m.erfc(-x / m.sqrt(2)) / 2


def _elu(m: Any, x: Any, a: Any) -> Any:
    return x if x > 0 else a * m.expm1(x)


def _selu(m: Any, x: Any) -> Any:
    # mean 0 and variance 1 are a fixed point: the two constants from the moments of elu
    e, q = m.e, m.erfc(1 / m.sqrt(2))
    alpha = m.sqrt(2 / m.pi) / (1 - q * m.sqrt(e))
    # E[elu(z)^2] = 1/2 + alpha^2 (e^2 erfc(sqrt 2) - 2 sqrt(e) q + 1)/2
    second = m.mpf(1) / 2 + alpha**2 * (e**2 * m.erfc(m.sqrt(2)) - 2 * m.sqrt(e) * q + 1) / 2
    return _elu(m, x, alpha) / m.sqrt(second)


def _cbrt(m: Any, x: Any) -> Any:
    return m.sign(x) * m.cbrt(abs(x))


def _pow(m: Any, x: Any, y: Any) -> Any:
    if x == 0:
        return m.mpf(y == 0) if y >= 0 else m.inf
    return x**y if x > 0 or m.isint(y) else m.nan


def _round(m: Any, x: Any) -> Any:
    return m.nint(x)


def _cut(low: int, x: Any, high: int) -> Any:
    return max(low, min(x, high))


def _trunc(m: Any, x: Any) -> Any:
    return m.floor(x) if x >= 0 else m.ceil(x)


def _lgamma(m: Any, x: Any) -> Any:
    return m.loggamma(x) if x > 0 else m.log(abs(m.gamma(x)))


def _scaled_bessel(order: int) -> Callable[[Any, Any], Any]:
    return lambda m, x: m.besseli(order, x) * m.exp(-abs(x))


#: exp and sin reduce their argument modulo log 2 and pi: to so many more digits as it is long.
HUGE_BITS = 2**16
#: Functions that never do.
ALGEBRAIC = frozenset("sqrt rsqrt cbrt square abs sign max min hypot log log2 log10 log1p".split())
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: (lambda m, x, name=name: getattr(m, name)(x))
        for name in "exp expm1 log1p sqrt sin cos tan cot sec csc asin acos atan sinh cosh tanh "
        "coth sech csch asinh acosh atanh erf erfc erfi erfinv gamma digamma lambertw sign "
        "floor ceil".split()
    },
    "log": _log,
    "exp2": lambda m, x: m.mpf(2) ** x,
    "log2": lambda m, x: _log(m, x) / m.ln2,
    "log10": lambda m, x: _log(m, x) / m.ln10,
    "rsqrt": lambda m, x: 1 / m.sqrt(x) if x else m.inf,
    "cbrt": _cbrt,
    "square": lambda m, x: x * x,
    "abs": lambda m, x: abs(x),
    "round": _round,
    "trunc": _trunc,
    "atan2": lambda m, y, x: m.atan2(y, x),
    "erfcinv": lambda m, x: m.erfinv(1 - x),
    "lgamma": _lgamma,
    "polygamma": lambda m, n, x: m.polygamma(int(n), x),
    "bessel_i0e": _scaled_bessel(0),
    "bessel_i1e": _scaled_bessel(1),
    "pow": _pow,
    "rem": lambda m, x, y: x - y * _trunc(m, x / y),
    "mod": lambda m, x, y: x - y * m.floor(x / y),
    "hypot": lambda m, x, y: m.hypot(x, y),
    "max": lambda m, *values: max(values),
    "min": lambda m, *values: min(values),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "log_sigmoid": lambda m, x: -_softplus(m, -x),
    "relu": lambda m, x: max(x, m.zero),
    "relu6": lambda m, x: _cut(0, x, 6) * m.one,
    "leaky_relu": lambda m, x, a: x if x >= 0 else a * x,
    "prelu": lambda m, x, a: x if x >= 0 else a * x,
    "elu": _elu,
    "celu": lambda m, x, a: x if x > 0 else a * m.expm1(x / a),
    "selu": _selu,
    "gelu": lambda m, x: x * _phi(m, x),
    # 1 + tanh u = 2 / (1 + exp(-2u))
    "gelu_tanh": lambda m, x: (
        x * _sigmoid(m, 2 * m.sqrt(2 / m.pi) * (x + m.mpf(44715) / 10**6 * x**3))
    ),
    "silu": lambda m, x: x * _sigmoid(m, x),
    "swish": lambda m, x: x * _sigmoid(m, x),
    "mish": lambda m, x: x * m.tanh(_softplus(m, x)),
    "softsign": lambda m, x: x / (1 + abs(x)),
    "hard_tanh": lambda m, x: _cut(-1, x, 1) * m.one,
    "hard_sigmoid": lambda m, x: m.mpf(_cut(0, x + 3, 6)) / 6,
    "hard_swish": lambda m, x: x * _cut(0, x + 3, 6) / 6,
    "squareplus": lambda m, x, b: (x + m.sqrt(x * x + b)) / 2,
    "logaddexp": lambda m, x, y: max(x, y) + m.log1p(m.exp(-abs(x - y))),
    "xlogy": lambda m, x, y: m.zero if x == 0 else x * m.log(y),
    "xlog1py": lambda m, x, y: m.zero if x == 0 else x * m.log1p(y),
    "entr": lambda m, x: m.zero if x == 0 else -x * m.log(x),
    "step": lambda m, x, at_zero: at_zero if x == 0 else m.mpf(int(x > 0)),
    "huber": lambda m, x, d: x * x / 2 if abs(x) <= d else d * (abs(x) - d / 2),
    "log_cosh": lambda m, x: m.log1p(m.cosh(x) - 1)
    if abs(x) > 1
    else m.log1p(2 * m.sinh(x / 2) ** 2),
    "logit": lambda m, x: m.log(x) - m.log1p(-x),
    "sinc": lambda m, x: m.sinc(x),
    "normal_pdf": lambda m, x: m.npdf(x),
    "normal_cdf": _phi,
    "log_normal_cdf": lambda m, x: m.log(_phi(m, x)),
    "expm1_over": lambda m, x: m.one if x == 0 else m.expm1(x) / x,
    "cosm1_over": lambda m, x: m.zero if x == 0 else -2 * m.sin(x / 2) ** 2 / x,
}


@dataclass(frozen=True)
class Side:
    """A one-sided derivative by difference quotients.

    Args:
        value: The derivative to about 20 digits; +-inf when the quotients diverge, nan when the
            function has no value on this side.
        error: Estimate of |value - truth|, from three step sizes; inf or nan as `value`.
    """

    value: Any
    error: float

    @property
    def is_finite(self) -> bool:
        """Whether the quotients converge."""
        return bool(mpmath.isfinite(self.value))


@dataclass(frozen=True)
class PreciseDerivative:
    """Both one-sided derivatives at a point.

    Args:
        left: From the left.
        right: From the right.
        value: The function value at the point.
    """

    left: Side
    right: Side
    value: Any

    @property
    def agrees(self) -> bool:
        """Whether the two sides are finite and equal within their errors."""
        if not (self.left.is_finite and self.right.is_finite):
            return False
        return abs(self.left.value - self.right.value) <= 4 * (self.left.error + self.right.error)


def derivative(
    program: Callable[[Precise], Precise], x: Exact, order: int = 1, digits: int = 120
) -> PreciseDerivative:
    r"""Return one-sided derivatives by forward and backward differences of tiny steps.

    $$f^{(n)}(x) \approx h^{-n} \sum_{j=0}^{n+3} w_j f(x \pm j h), \qquad h \approx 10^{-25}|x|$$

    Args:
        program: Number -> number; `number.algebra` offers constants and functions.
        x: The point, by its exact value.
        order: Order of the derivative, >= 1.
        digits: Digits beyond those that the division by h^n costs.

    >>> found = derivative(lambda x: x.algebra.function("abs")(x), 0)
    >>> float(found.left.value), float(found.right.value)
    (-1.0, 1.0)
    """
    scale = abs(float(x)) or 1.0
    lost = order * (_STEP_DIGITS + 12 + max(0, ceil(-log10(scale))))
    algebra = MpAlgebra(digits + lost)
    centre = algebra.constant(Fraction(x))
    value = program(centre).value

    def from_centre(x: Precise) -> Precise:
        return Precise(algebra, value) if x.value == centre.value else program(x)

    return PreciseDerivative(
        left=_side(from_centre, centre, -1, order, scale),
        right=_side(from_centre, centre, 1, order, scale),
        value=value,
    )


def _side(
    program: Callable[[Precise], Precise], centre: Precise, sign: int, order: int, scale: float
) -> Side:
    m = centre.algebra.context
    steps = [sign * m.mpf(scale) * m.mpf(10) ** -(_STEP_DIGITS + 6 * k) for k in range(3)]
    quotients = [_quotient_of(program, centre, step, order) for step in steps]
    if any(m.isnan(value) for value, _ in quotients):
        return Side(m.nan, nan)
    (first, _), (second, _), (third, noise) = quotients
    early, late = abs(second - first), abs(third - second)
    # a divergent quotient grows with every step; a convergent one stands still, or is all noise
    grows = late > early / 2 and abs(third) >= abs(second)
    # a value that is all cancellation, as of a function that is 0 throughout, has the rounding of
    # the numbers it is the difference of: take them to be about 1
    rounding = max(noise, m.eps * 10**6 / abs(steps[-1]) ** order)
    if grows and late > abs(third) * m.mpf(10) ** -12 and abs(third) > rounding:
        return Side(m.inf * m.sign(third), inf)
    return Side(third, float(late + noise + abs(third) * m.mpf(10) ** -30))


def _quotient_of(
    program: Callable[[Precise], Precise], centre: Precise, step: Any, order: int
) -> tuple[Any, Any]:
    """The n-th derivative at `centre` of the polynomial through n + 4 points, and its noise."""
    m = centre.algebra.context
    count = order + _SPARE_POINTS + 1
    values = [program(Precise(centre.algebra, centre.value + j * step)).value for j in range(count)]
    if any(not m.isfinite(value) for value in values):
        return m.nan, m.nan
    # forward differences D_k = sum_j (-1)^(k-j) C(k,j) f_j;  f^(n) = h^-n sum_k s(k,n) n!/k! D_k
    total = m.zero
    for k in range(order, count):
        difference = sum(((-1) ** (k - j) * comb(k, j) * values[j] for j in range(k + 1)), m.zero)
        total += difference * _stirling(k, order) * m.factorial(order) / m.factorial(k)
    largest = max((abs(value) for value in values), default=m.zero)
    noise = m.eps * 10**6 * largest / abs(step) ** order
    return total / step**order, noise


def _stirling(k: int, n: int) -> int:
    """Signed Stirling number of the first kind: coefficient of x^n in x(x-1)...(x-k+1)."""
    row = [1]
    for i in range(k):
        row = [
            (row[j - 1] if j else 0) - i * (row[j] if j < len(row) else 0)
            for j in range(len(row) + 1)
        ]
    return row[n]

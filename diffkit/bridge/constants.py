r"""What exact number a float constant of a program stands for.

A program holds 0.1 as the nearest float; the formula means 1/10.  A constant is read as the
shortest of: the simplest rational that rounds to it, the shortest decimal that rounds to it,
or, when both need nearly all digits, a tabled constant such as $\sqrt{2/\pi}$, or what 1 - c is in
floating point for a short c (1 - 0.9 is two units in the last place off 0.1, and means 1/10).
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import isfinite, log2

import numpy as np
import sympy as sp

#: Constants people write as floats; checked against the float in its own dtype.
TABLE: tuple[sp.Expr, ...] = (
    sp.pi,
    sp.pi / 2,
    sp.pi / 4,
    2 * sp.pi,
    1 / sp.pi,
    2 / sp.pi,
    sp.pi / 180,
    180 / sp.pi,
    sp.sqrt(sp.pi),
    1 / sp.sqrt(sp.pi),
    2 / sp.sqrt(sp.pi),
    sp.sqrt(2 * sp.pi),
    1 / sp.sqrt(2 * sp.pi),
    sp.sqrt(2 / sp.pi),
    sp.sqrt(sp.pi / 2),
    sp.log(2 * sp.pi),
    sp.log(2 * sp.pi) / 2,
    sp.log(sp.pi),
    sp.E,
    1 / sp.E,
    sp.sqrt(2),
    1 / sp.sqrt(2),
    sp.sqrt(3),
    1 / sp.sqrt(3),
    sp.log(2),
    1 / sp.log(2),
    sp.log(10),
    1 / sp.log(10),
    sp.EulerGamma,
    sp.GoldenRatio,
    # Klambauer et al. (2017), arXiv:1706.02515: alpha and lambda of SELU.
    sp.Rational("1.6732632423543772848170429916717"),
    sp.Rational("1.0507009873554804934193349852946"),
)
#: A rational is believed before the table is asked when it needs less than this share of the digits
#: of its dtype; 113/355, which needs 0.64 of float32's, is 1/pi there.
BELIEVED = 0.5


@dataclass(frozen=True)
class Reading:
    """An exact number and how it was read.

    Args:
        value: The exact number.
        note: "" when the float is that number exactly, else one clause.
    """

    value: sp.Expr
    note: str = ""


def read(value: float, dtype: str) -> Reading:
    """Read a float constant of the given dtype.

    Args:
        value: Any float, infinities and NaN included.
        dtype: Name of a floating dtype ("float32", "bfloat16", ...).

    >>> read(0.1, "float64").value, read(0.7978845608028654, "float64").value
    (1/10, sqrt(2)/sqrt(pi))
    """
    if not isfinite(value):
        return Reading(sp.nan if value != value else sp.oo if value > 0 else -sp.oo)
    return _read(abs(float(value)), dtype) if value >= 0 else _negated(_read(-float(value), dtype))


def _negated(reading: Reading) -> Reading:
    return Reading(-reading.value, reading.note and f"negated: {reading.note}")


@lru_cache(maxsize=4096)
def _read(value: float, dtype: str) -> Reading:
    """Read a finite constant >= 0."""
    exact = Fraction(value)
    low, high, bits = _rounding_interval(value, dtype)
    rational = simplest_between(low, high)
    decimal = _decimal(value, dtype)
    best = min((rational, decimal), key=_cost)
    if _cost(best) > BELIEVED * bits:
        for constant in TABLE:
            if low <= _approximation(constant) <= high:
                return Reading(constant, f"{value!r} read as {_named(constant)}")
        rest = _taken_from_one(value, dtype)
        if rest is not None:
            return Reading(1 - rest, f"{value!r} read as 1 - {rest}")
        if _cost(best) > bits:
            best = exact
    number = sp.Rational(best.numerator, best.denominator)
    shown = str(number) if len(str(number)) <= 40 else f"the decimal {_shortest(value, dtype)}"
    return Reading(number, "" if best == exact else f"{value!r} read as {shown}")


def _taken_from_one(value: float, dtype: str) -> sp.Rational | None:
    """The short c whose 1 - c is this constant in floating point: the 0.9 of a decay rate.

    Python computes it in float64, of which a narrower dtype drops the digits that were lost.
    """
    rest = 1.0 - value
    if dtype != "float64" or not 0 < rest < 1 or 1.0 - rest != value:
        return None
    low, high, bits = _rounding_interval(rest, dtype)
    best = min((simplest_between(low, high), _decimal(rest, dtype)), key=_cost)
    if _cost(best) > BELIEVED * bits:
        return None
    return sp.Rational(best.numerator, best.denominator)


def _cost(number: Fraction) -> float:
    """Digits, in bits, one needs to write the number as a fraction or as a decimal."""
    as_fraction = log2(abs(number.numerator) + 1) + log2(number.denominator)
    mantissa, places = number.numerator, number.denominator
    while places % 10 == 0:
        places //= 10
    scale = 1
    while (scale % places) and scale < 10**20:
        scale *= 10
    if scale % places:
        return as_fraction
    digits = str(abs(mantissa) * (scale // places)).strip("0")
    return min(as_fraction, len(digits) * log2(10))


def _decimal(value: float, dtype: str) -> Fraction:
    """The shortest decimal that rounds to `value` in its dtype."""
    return Fraction(_shortest(value, dtype))


def _shortest(value: float, dtype: str) -> str:
    if dtype in ("float64", "float32", "float16"):
        return str(np.dtype(dtype).type(value))
    return repr(value)


def _named(constant: sp.Expr) -> str:
    return f"{float(constant):.17g}..." if constant.is_Rational else str(constant)


def _rounding_interval(value: float, dtype: str) -> tuple[Fraction, Fraction, int]:
    """Numbers that round to `value`, and the precision of the dtype in bits."""
    bits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}.get(dtype, 24)
    if value == 0:
        return Fraction(0), Fraction(0), bits
    exact = Fraction(value)
    exponent = int(np.floor(np.log2(value)))
    if Fraction(2) ** exponent > exact:
        exponent -= 1
    # Half a unit in the last place, a little less so that no tie rounds to the neighbour.
    half = Fraction(2) ** (exponent - bits) * Fraction(2**20 - 1, 2**20)
    is_power = exact == Fraction(2) ** exponent
    return exact - (half / 2 if is_power else half), exact + half, bits


def simplest_between(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of smallest denominator in [low, high], 0 <= low <= high (Stern and Brocot).

    >>> simplest_between(Fraction(31, 100), Fraction(35, 100))
    Fraction(1, 3)
    """
    whole = low.numerator // low.denominator
    if whole == low:
        return Fraction(whole)
    if whole + 1 <= high:
        return Fraction(whole + 1)
    rest = simplest_between(1 / (high - whole), 1 / (low - whole))
    return whole + 1 / rest


@lru_cache(maxsize=64)
def _approximation(constant: sp.Expr) -> Fraction:
    """A constant of the table to 60 digits, as a fraction."""
    if constant.is_Rational:
        return Fraction(int(constant.p), int(constant.q))
    return Fraction(str(constant.evalf(60)))

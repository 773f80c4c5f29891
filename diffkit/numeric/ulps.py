"""Units in the last place for the float formats of machine learning, and samples over exponents.

A format is its NumPy dtype or, for bfloat16, its name: NumPy alone does not know it, hence the
spacing is computed from the format's parameters and no format needs a library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp, inf, isfinite, isnan, ldexp, nan
from struct import pack, unpack

import numpy as np
import numpy.typing as npt

from diffkit.core.errors import UsageError


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Args:
        name: Name of the dtype.
        precision: Bits of the significand, the hidden one included.
        least: Exponent of the smallest normal number, 2**least.
        greatest: Exponent of the power of two just above the largest number.
    """

    name: str
    precision: int
    least: int
    greatest: int

    @property
    def unit(self) -> float:
        """The rounding unit u: half the distance from 1 to the next number."""
        return ldexp(1.0, -self.precision)

    @property
    def tiny(self) -> float:
        """The smallest normal number."""
        return ldexp(1.0, self.least)

    @property
    def subnormal(self) -> float:
        """The smallest positive number."""
        return ldexp(1.0, self.least - self.precision + 1)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return ldexp(2.0 - ldexp(1.0, 1 - self.precision), self.greatest - 1)


FORMATS = {
    "float64": Format("float64", 53, -1022, 1024),
    "float32": Format("float32", 24, -126, 128),
    "float16": Format("float16", 11, -14, 16),
    "bfloat16": Format("bfloat16", 8, -126, 128),
}


def float_format(dtype: npt.DTypeLike) -> Format:
    """Return the format of a dtype or dtype name.

    Raises:
        UsageError: not one of the four formats.
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in FORMATS:
        raise UsageError(f"{name!r} is no float format; known: {', '.join(FORMATS)}")
    return FORMATS[name]


def spacing(x: float, dtype: npt.DTypeLike = "float64") -> float:
    """Return the distance between neighbouring numbers of the format at |x|, nan for inf or nan.

    >>> spacing(1.0, "bfloat16"), spacing(0.0, "float32") == 2.0**-149
    (0.0078125, True)
    """
    found = float_format(dtype)
    if not isfinite(x):
        return nan
    exponent = frexp(x)[1] - 1 if x else found.least
    return ldexp(1.0, max(exponent, found.least) - found.precision + 1)


def distance(value: float, truth: float, dtype: npt.DTypeLike = "float64") -> float:
    """Return |value - truth| in spacings of the format at `truth`; inf when one is not finite.

    Two equal infinities are 0 apart, two NaNs are not: a NaN never agrees with anything.
    """
    if value == truth:
        return 0.0
    if not (isfinite(value) and isfinite(truth)):
        return inf
    return abs(value - truth) / spacing(truth, dtype)


def ordered(x: float) -> int:
    """Return the place of a double in the order of all doubles; 0 and -0 both have place 0.

    >>> ordered(5e-324), ordered(-5e-324)
    (1, -1)
    """
    if isnan(x):
        raise UsageError("a NaN has no place in the order of the doubles")
    (bits,) = unpack("<q", pack("<d", x))
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def from_ordered(place: int) -> float:
    """Return the double at a place; the inverse of `ordered`."""
    (x,) = unpack("<d", pack("<q", abs(place)))
    return x if place >= 0 else -x


def exponent_uniform(
    low: float, high: float, count: int, rng: np.random.Generator, *, smallest: float = 1e-30
) -> list[float]:
    """Sample doubles uniformly over their order (over exponents), as Herbie does.

    Args:
        low: Lower bound, may be -inf.
        high: Upper bound, > low, may be inf.
        count: How many.
        rng: Source of randomness.
        smallest: Magnitudes below this are not drawn unless the interval needs them, for the
            half of all doubles below 1e-154 teaches nothing about most functions.
    """
    first, last = ordered(max(low, -1.7e308)), ordered(min(high, 1.7e308))
    gap = ordered(smallest)
    pieces: Sequence[tuple[int, int]] = [
        piece
        for piece in ((first, min(last, -gap)), (max(first, gap), last))
        if piece[0] <= piece[1]
    ] or [(first, last)]
    weights = np.array([stop - start + 1.0 for start, stop in pieces])
    chosen = rng.choice(len(pieces), size=count, p=weights / weights.sum())
    return [from_ordered(int(rng.integers(*pieces[k], endpoint=True))) for k in chosen]

"""Sums of floats without rounding: every float is a whole number times a power of two."""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

_BITS = 53


def weighted_sum(
    weights: Sequence[Fraction], values: npt.NDArray[np.float64]
) -> tuple[Fraction, ...]:
    r"""Return $\sum_i w_i v_{ij}$ exactly, for every j.

    Args:
        weights: n rational weights.
        values: Finite floats, shape (n, entries).

    >>> weighted_sum([Fraction(1, 3), Fraction(2, 3)], np.array([[0.5], [2.0]]))
    (Fraction(3, 2),)
    """
    mantissa, exponent = np.frexp(values)
    lowest = int(exponent.min(initial=0)) - _BITS
    whole = np.ldexp(mantissa, _BITS).astype(np.int64).astype(object)
    whole = whole << (exponent.astype(object) - _BITS - lowest)
    denominator = lcm(*(weight.denominator for weight in weights))
    scaled = [weight.numerator * (denominator // weight.denominator) for weight in weights]
    totals = np.array(scaled, dtype=object) @ whole
    unit = Fraction(2) ** lowest / denominator
    return tuple(int(total) * unit for total in totals)

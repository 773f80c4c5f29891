"""Whether what a caller gave is a number of a range: the first thing to ask of an argument."""

from math import inf
from numbers import Integral, Real
from typing import Any

#: Seeds of JAX are 32 bits; a larger one would give the numbers of a smaller one unnoticed.
SEEDS = 2**32


def is_whole(value: Any, least: int, most: float = inf) -> bool:
    """Whether the value is a whole number of [least, most]; `True` is none.

    >>> is_whole(3, 1), is_whole(3.0, 1), is_whole(True, 1), is_whole("3", 1)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= value <= most


def is_real(value: Any) -> bool:
    """Whether the value is a real number, NaN and infinities included; `True` is none.

    >>> is_real(0.5), is_real(2), is_real("0.5"), is_real(None)
    (True, True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)

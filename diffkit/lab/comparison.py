"""Means over independent repetitions: the statistic behind every judged row and decided claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.outcome import ClaimVerdict
from diffkit.lab.wording import signed
from diffkit.numeric.statistics import at_zero, standard_error, z_score

#: Standard errors beyond which a number and a mean are said to differ.
LARGEST_Z = 3.0


@dataclass(frozen=True)
class Mean:
    """A mean over independent repetitions with its standard error.

    Args:
        value: The mean.
        error: Its standard error.
    """

    value: float
    error: float

    def z(self, expected: float = 0.0) -> float:
        """Distance to a number in standard errors, infinite where they are 0 and it is not."""
        return z_score(self.value, expected, self.error)

    def exceeds(self, bound: float = 0.0) -> bool:
        """Whether it is above a number by 3 standard errors."""
        return self.z(bound) >= LARGEST_Z

    def is_below(self, bound: float = 0.0) -> bool:
        """Whether it is below a number by 3 standard errors."""
        return self.z(bound) <= -LARGEST_Z

    def rises(self) -> bool | None:
        """Whether it is positive; None where 3 standard errors do not tell."""
        if self.error == 0:
            return self.value > 0
        return True if self.exceeds() else False if self.is_below() else None

    def falls(self) -> bool | None:
        """Whether it is negative; None where 3 standard errors do not tell."""
        return Mean(-self.value, self.error).rises()

    def __str__(self) -> str:
        return f"{signed(self.value, 3)} ± {self.error:.3f}"


def mean(samples: Any) -> Mean:
    """The mean of one number for each repetition.

    Raises:
        UsageError: not a list of numbers, or fewer than two.

    >>> mean([1.0, 2.0, 3.0])
    Mean(value=2.0, error=0.5773502691896258)
    """
    values = np.asarray(samples, float)
    if values.ndim != 1:
        raise UsageError(f"samples of shape {values.shape}; give one number for each repetition")
    return Mean(float(values.mean()), float(standard_error(values)))


def paired(first: Any, second: Any) -> Mean:
    """The mean of `first - second` over repetitions that share their data.

    Args:
        first: One number for each repetition.
        second: The same; or one number, the expected one, for all.

    Raises:
        UsageError: not as many, or fewer than two.

    >>> print(paired([3.0, 4.0, 5.0], [1.0, 2.0, 2.0]))
    +2.333 ± 0.333
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if b.ndim > 0 and a.shape != b.shape:
        raise UsageError(f"shapes {a.shape} and {b.shape}; pair as many numbers of each")
    return mean(a - b)


def intercept(x: Sequence[float], means: Sequence[Mean]) -> Mean:
    """Weighted least squares of a straight line through means: its value at x = 0.

    >>> intercept([1.0, 2.0], [Mean(3.0, 1.0), Mean(5.0, 1.0)]).value
    1.0
    """
    values, errors = np.array([(each.value, each.error) for each in means]).T
    value, error = at_zero(np.asarray(x, float), values, errors)
    return Mean(float(value), float(error))


def verdict_of(holds: Sequence[bool | None]) -> ClaimVerdict:
    """Confirmed where every part of a claim holds, refuted where none does, mixed where some do.

    Undecided where parts are (None) that could make the difference.

    >>> verdict_of([True, None]), verdict_of([True, None, False])
    ('undecided', 'mixed')
    """
    known = {each for each in holds if each is not None}
    if len(known) == 2:
        return "mixed"
    if None in holds:
        return "undecided"
    return "confirmed" if known == {True} else "refuted"

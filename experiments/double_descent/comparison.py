"""Paired differences over independent repetitions: the statistic behind every decided claim."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.wording import signed
from diffkit.numeric.statistics import standard_error, z_score

LARGEST_Z = 3.0


@dataclass(frozen=True)
class Difference:
    """Mean of a difference, with its standard error.

    Args:
        mean: Over the repetitions.
        error: Standard error of the mean.
    """

    mean: float
    error: float

    @property
    def z(self) -> float:
        """The mean in standard errors."""
        return z_score(self.mean, 0.0, self.error)

    @property
    def is_rise(self) -> bool:
        """Whether it is positive by 3 standard errors."""
        return self.z >= LARGEST_Z

    @property
    def is_fall(self) -> bool:
        """Whether it is negative by 3 standard errors."""
        return self.z <= -LARGEST_Z

    def __str__(self) -> str:
        return f"{signed(self.mean, 3)} (z = {signed(self.z, 1)})"


def paired(first: Any, second: Any) -> Difference:
    """The mean of `first - second` over repetitions that share their data.

    Args:
        first: One number for each repetition.
        second: The same.

    Raises:
        UsageError: not as many, or fewer than two.

    >>> paired([3.0, 4.0, 5.0], [1.0, 2.0, 2.0])
    Difference(mean=2.3333333333333335, error=0.3333333333333333)
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or a.ndim != 1:
        raise UsageError(f"shapes {a.shape} and {b.shape}; pair as many numbers of each")
    return Difference(float(np.mean(a - b)), float(standard_error(a - b)))


def z_of(samples: Any, expected: Any) -> float:
    """(mean - expected mean) in standard errors of the difference, over repetitions.

    Args:
        samples: One number for each repetition.
        expected: One number, or one for each repetition.
    """
    values = np.asarray(samples, float)
    return paired(values, np.broadcast_to(expected, values.shape)).z

"""Running moments of independent draws, entry by entry, merged block by block in float64.

Deviations are taken from the first draw before anything is summed, so a large common value
cancels nothing, and draws that are all equal have a spread of exactly zero.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffkit.core.errors import UsageError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count, mean and central sums of draws; every array has one value per entry.

    Args:
        count: Number of draws n.
        mean: Mean of the draws.
        second: Sum of (x - mean)^2.
        third: Sum of (x - mean)^3.
        low: Smallest draw.
        high: Largest draw.
    """

    count: int
    mean: Array
    second: Array
    third: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, draws: npt.ArrayLike) -> "Moments":
        """Moments of one block of draws, shape (draws, entries).

        Raises:
            UsageError: no draws, or not a table of them.

        >>> block = Moments.of([[1.0], [2.0], [6.0]])
        >>> float(block.mean[0]), float(block.second[0]), float(block.third[0])
        (3.0, 14.0, 18.0)
        """
        values = np.asarray(draws, dtype=np.float64)
        if values.ndim != 2 or len(values) == 0:
            raise UsageError(f"moments need draws of shape (draws, entries), not {values.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = values - values[0]
            middle = shifted.mean(axis=0)
            off = shifted - middle
            square = off * off
            return cls(
                len(values),
                values[0] + middle,
                square.sum(axis=0),
                (square * off).sum(axis=0),
                values.min(axis=0),
                values.max(axis=0),
            )

    def merge(self, other: "Moments") -> "Moments":
        r"""Moments of both sets of draws together.

        $$M_2 = M_2^a + M_2^b + \delta^2 \frac{ab}{n}, \quad
        M_3 = M_3^a + M_3^b + \delta^3 \frac{ab(a - b)}{n^2}
        + 3\delta\,\frac{a M_2^b - b M_2^a}{n}$$

        with a and b draws, n = a + b, and delta the difference of the means.

        Source: Chan, Golub and LeVeque (1983), The American Statistician 37, for the second sum.
        """
        a, b = self.count, other.count
        n = a + b
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            third = delta**3 * (a * b * (a - b) / n**2)
            third += 3 * delta * (a * other.second - b * self.second) / n
            return Moments(
                n,
                self.mean + delta * (b / n),
                self.second + other.second + delta**2 * (a * b / n),
                self.third + other.third + third,
                np.minimum(self.low, other.low),
                np.maximum(self.high, other.high),
            )

    @property
    def variance(self) -> Array:
        """Sample variance; nan for one draw."""
        return self.second / (self.count - 1) if self.count > 1 else np.full_like(self.mean, np.nan)

    @property
    def standard_error(self) -> Array:
        """Standard error of the mean."""
        return np.sqrt(self.variance / self.count)

    @property
    def is_constant(self) -> npt.NDArray[np.bool_]:
        """Whether every draw of an entry was the same number."""
        return self.low == self.high

    @property
    def skewness(self) -> Array:
        """Third standardised moment; 0 for constant entries, nan where it overflows."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = np.sqrt(self.count) * self.third / self.second**1.5
        return np.where(self.is_constant, 0.0, found)

    @property
    def leverage(self) -> Array:
        """Share of the sum of squared deviations that the most extreme draw holds, in [0, 1].

        The t statistic of independent draws is asymptotically normal exactly if this share
        vanishes (Gine, Goetze and Mason 1997, Annals of Probability 25).
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            furthest = np.maximum(self.high - self.mean, self.mean - self.low) ** 2
            return np.where(self.is_constant, 0.0, furthest / self.second)

    @property
    def root_mean_square(self) -> Array:
        """Size of a typical draw, sqrt(E x^2)."""
        with np.errstate(over="ignore"):
            return np.sqrt(self.mean**2 + self.second / self.count)

r"""A group-sequential test of means with a declared level and power.

The draws are looked at when there are 1024, 2048, 4096, ... of them.  A mean is refuted at a look
if it is further from the claimed value than the allowed difference plus c standard errors, and
supported once a bias of the size to be detected would be refuted with the declared power.

Level: every look of every test spends alpha/(looks x tests).  The chance that any of them errs is
at most the sum (union bound), whatever the dependence between looks and entries.

Critical value: the tail of Student's t of skewed draws is, to first order of the Edgeworth
expansion and in the moderate tail (Hall 1992, The Bootstrap and Edgeworth Expansion, chapter 2),

$$P(T > c) \approx (1 - \Phi(c))\,\exp\left(-\frac{\gamma c^3}{3\sqrt n}\right),$$

so that positive skewness makes the lower tail heavy.  The side on which the mean lies is given the
c of its own tail; where the correction is no longer small, that look may decide nothing.
"""

from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np
import numpy.typing as npt

from diffkit.core.errors import UsageError
from diffkit.numeric.moments import Moments
from diffkit.numeric.statistics import bonferroni, normal_quantile

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FIRST_LOOK = 1024
#: One draw may hold this share of the spread; more, and the mean hangs on too few draws.
MOST_LEVERAGE = 1 / 20
#: Share of the way to where the corrected tail turns upwards up to which it is trusted.
_TRUSTED = 0.5
_HALVINGS = 60


@dataclass(frozen=True)
class Plan:
    """What a sequential test promises.

    Args:
        alpha: Probability of refuting anything true, over all looks and tests.
        power: Probability of refuting a bias of the size to be detected.
        tests: Number of means tested together.
        most: Largest number of draws.
    """

    alpha: float
    power: float
    tests: int
    most: int

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of draws at which the test looks.

        >>> Plan(alpha=0.05, power=0.9, tests=1, most=5000).looks
        (1024, 2048, 4096, 5000)
        """
        sizes, size = [], FIRST_LOOK
        while size < self.most:
            sizes.append(size)
            size *= 2
        return (*sizes, self.most)

    @property
    def level(self) -> float:
        """One-sided level of one look of one test."""
        return bonferroni(self.alpha, len(self.looks) * self.tests) / 2


@dataclass(frozen=True)
class Look:
    """What one look found, entry by entry.

    Args:
        refuted: The mean is further from the claim than chance and the allowed difference explain.
        powered: A bias of the size to be detected would have been refuted with the power.
        reliable: The normal approximation holds well enough for either.
        critical: c, in standard errors; inf where unreliable.
        needed: Number of draws without which the spread seen hides the bias to be detected.
    """

    refuted: Mask
    powered: Mask
    reliable: Mask
    critical: Array
    needed: Array


def look(moments: Moments, claimed: Array, allowed: Array, detectable: Array, plan: Plan) -> Look:
    """Judge means against claimed values at one look.

    Args:
        moments: Moments of the draws.
        claimed: Claimed mean, per entry.
        allowed: Difference that counts as none (truncation, rounding), >= 0, per entry.
        detectable: Absolute bias to be found with the power, > 0, per entry.
        plan: Level and power.

    Returns:
        One answer per entry.  An entry whose draws were all equal is neither refuted nor powered:
        a test of means says nothing about a spread that was not seen.
    """
    error, skewness = moments.standard_error, moments.skewness
    bias = moments.mean - claimed
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        spread_is_seen = ~moments.is_constant & np.isfinite(error) & np.isfinite(skewness)
        reliable = spread_is_seen & (moments.leverage <= MOST_LEVERAGE)
        toward = critical_value(plan.level, -np.sign(bias) * skewness, moments.count)
        either = critical_value(plan.level, np.abs(skewness), moments.count)
        critical = np.where(reliable, toward, np.inf)
        refuted = reliable & (np.abs(bias) > allowed + critical * error)
        reach = either + normal_quantile(plan.power)
        room = np.maximum(detectable - allowed, 0.0)
        powered = reliable & np.isfinite(reach) & (reach * error <= room) & (room > 0)
        needed = moments.count * (reach * error / detectable) ** 2
    return Look(refuted, powered, reliable & np.isfinite(critical), critical, needed)


def critical_value(level: float, skewness: npt.ArrayLike, count: int) -> Array:
    """Return the c that Student's t of n draws exceeds with probability at most `level`.

    Args:
        level: One-sided level, in (0, 1/4).
        skewness: Skewness that makes this tail heavier if positive; entry by entry.
        count: Number of draws n.

    Returns:
        c per entry, inf where the draws are too skewed for n; never below the normal quantile.

    Raises:
        UsageError: another level.

    >>> normal, skewed = critical_value(1e-4, [0.0, 5.0], 10_000)
    >>> round(float(normal), 2), round(float(skewed), 2)
    (3.74, 3.99)
    """
    if not 0 < level < 0.25:
        raise UsageError(f"a one-sided level lies between 0 and 1/4, not {level}")
    heavy = np.nan_to_num(np.maximum(np.asarray(skewness, dtype=np.float64), 0.0), nan=np.inf)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        # 1 = k c/sqrt(n) + c^2/n: beyond it the corrected tail no longer falls
        turn = sqrt(count) * 2 / (heavy + np.hypot(heavy, 2))
        low, top = np.ones_like(heavy), np.maximum(_TRUSTED * turn, 1.0)
        is_found = _log_tail(top, heavy, count) <= log(level)
        high = top
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            is_small = _log_tail(middle, heavy, count) <= log(level)
            low, high = np.where(is_small, low, middle), np.where(is_small, middle, high)
    return np.where(is_found, high, np.inf)


def _log_tail(c: Array, heavy: Array, count: int) -> Array:
    """Logarithm of a bound on the tail beyond c.

    Mills' ratio bounds the normal tail by phi(c)/c; c^4/(4 n) turns it into that of Student's t.
    """
    normal = -c * c / 2 - np.log(c * sqrt(2 * pi))
    return normal + heavy * c**3 / (3 * sqrt(count)) + c**4 / (4 * count)

"""Statistics as small pure functions: z-scores, standard errors, quantiles, bootstrap intervals."""

from collections.abc import Callable
from math import inf, sqrt

import mpmath
import numpy as np
import numpy.typing as npt

from diffkit.core.errors import UsageError


def standard_error(samples: npt.ArrayLike, axis: int = 0) -> npt.NDArray[np.float64]:
    """Return the standard error of the mean of independent samples along `axis`.

    Raises:
        UsageError: fewer than two samples; one sample has no spread.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.shape[axis] < 2:
        raise UsageError("a standard error needs at least two independent samples")
    return values.std(axis=axis, ddof=1) / sqrt(values.shape[axis])


def z_score(estimate: float, expected: float, error: float) -> float:
    """Return (estimate - expected) / error; 0 or +-inf when the error is exactly 0."""
    difference = estimate - expected
    if error == 0:
        return 0.0 if difference == 0 else inf if difference > 0 else -inf
    return difference / error


def at_zero(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], errors: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Value and standard error at x = 0 of the lines through points, weighted by 1/errors^2.

    Args:
        x: Places, (points,), two or more different ones.
        y: Measured values, (points, ...).
        errors: Their standard errors, (points, ...), > 0.

    >>> value, error = at_zero(np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([1.0, 1.0]))
    >>> float(value)
    1.0
    """
    weights = 1 / errors**2
    x = x.reshape(-1, *[1] * (y.ndim - 1))
    total, first, second = (np.sum(weights * x**power, axis=0) for power in range(3))
    determinant = total * second - first**2
    value = (
        second * np.sum(weights * y, axis=0) - first * np.sum(weights * x * y, axis=0)
    ) / determinant
    return value, np.sqrt(second / determinant)


def normal_quantile(probability: float) -> float:
    r"""Return the z with $\Phi(z) = p$, 0 < p < 1.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    if not 0 < probability < 1:
        raise UsageError(f"a probability strictly between 0 and 1 is needed, not {probability}")
    context = mpmath.mp.clone()
    context.dps = 30
    return float(context.sqrt(2) * context.erfinv(2 * context.mpf(probability) - 1))


def two_sided_p(z: float) -> float:
    r"""Return $P(|Z| \ge |z|)$ for a standard normal Z, accurate in the tails."""
    return float(mpmath.erfc(abs(z) / mpmath.sqrt(2)))


def critical_z(alpha: float, tests: int = 1) -> float:
    """Return the |z| exceeded with probability `alpha` in any of `tests` (Bonferroni)."""
    return normal_quantile(1 - bonferroni(alpha, tests) / 2)


def bonferroni(alpha: float, tests: int) -> float:
    """Return the level of each of `tests` tests so that all together keep `alpha`."""
    if tests < 1 or not 0 < alpha < 1:
        raise UsageError("needs 0 < alpha < 1 and at least one test")
    return alpha / tests


def bootstrap_interval(
    samples: npt.ArrayLike,
    statistic: Callable[[npt.NDArray[np.float64]], float] = np.mean,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic of independent samples.

    Args:
        samples: Independent samples along the first axis.
        statistic: Samples -> number.
        level: Coverage asked for, in (0, 1).
        resamples: Number of resampled sets.
        seed: Same seed, same interval.

    Source: Efron and Tibshirani (1993), chapter 13.
    """
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2:
        raise UsageError("a bootstrap interval needs at least two samples")
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(values), size=(resamples, len(values)))
    found = np.array([statistic(values[pick]) for pick in picks])
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interquartile_mean(samples: npt.ArrayLike) -> float:
    """Return the mean of the middle half of the samples (rliable's IQM)."""
    values = np.sort(np.asarray(samples, dtype=np.float64).ravel())
    cut = len(values) // 4
    return float(values[cut : len(values) - cut].mean())

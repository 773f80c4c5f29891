"""Exact errors of least squares against the number of features.  No JAX here, nothing is fitted.

For p <= n - 2 and p >= n + 2 the risk is a rational number of n and p; at n - 1, n and n + 1 it is
infinite.  The limit n to infinity, which is what one usually draws, is the negative control.
"""

from collections.abc import Sequence
from functools import cache
from math import inf

import numpy as np

from diffkit.theory import least_squares
from diffkit.theory.law import Law


@cache
def laws() -> tuple[Law, Law]:
    """The two branches of the test error with p of D features."""
    return least_squares.weak_features()


def coefficients(features: int, decay: float, noise: float) -> np.ndarray:
    """Squared coefficients b_j^2 that fall as j^-decay and add up to 1 - noise.

    The most useful features come first; signal and noise together have variance 1.
    """
    shares = np.arange(1, features + 1, dtype=float) ** -decay
    return (1 - noise) * shares / shares.sum()


def test_error(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """E (y - x'b_hat)^2 of a new sample, exact; infinite within one of the threshold."""
    if abs(used - samples) <= 1:
        return inf
    below, above = laws()
    kept, left = float(squares[:used].sum()), float(squares[used:].sum())
    if used < samples:
        return below.at(n=samples, p=used, c2=left, s2=noise)
    return above.at(n=samples, p=used, b2=kept, c2=left, s2=noise)


def training_error(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """Mean squared residual of the training set, exact for every p; 0 from the threshold on."""
    if used >= samples:
        return 0.0
    law = least_squares.training_error()
    return law.at(n=samples, p=used, c2=float(squares[used:].sum()), s2=noise)


def limit(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """The same for n to infinity at p/n: the wrong formula of the negative control."""
    if used == samples:
        return inf
    below, above = least_squares.limits()
    kept, left = float(squares[:used].sum()), float(squares[used:].sum())
    ratio, inner = used / samples, left + noise
    if ratio < 1:
        return inner + below.at(gamma=ratio, s2=inner)
    return inner + above.at(gamma=ratio, s2=inner, r2=kept)


def ridge_error(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """The least test error that a ridge penalty reaches, for n to infinity: no peak."""
    kept, left = float(squares[:used].sum()), float(squares[used:].sum())
    inner = left + noise
    return inner + least_squares.best_ridge().at(gamma=used / samples, r2=kept, s2=inner)


def curves(
    samples: int, widths: Sequence[int], squares: np.ndarray, noise: float
) -> dict[str, list[float | None]]:
    """Every prediction at each width; None where it is infinite."""
    rules = {"exact": test_error, "limit": limit, "ridge": ridge_error}
    return {
        name: [_finite(rule(samples, used, squares, noise)) for used in widths]
        for name, rule in rules.items()
    }


def _finite(value: float) -> float | None:
    return value if value < inf else None

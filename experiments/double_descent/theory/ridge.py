"""Ridge regression at its best penalty: the limit of many samples and its 1/n correction.

No JAX here.  What the features left out explain is noise to the others, as in the exact part.
"""

from functools import cache

import numpy as np

from diffkit.theory import finite_ridge, least_squares
from diffkit.theory.law import Law


@cache
def laws() -> tuple[Law, Law, Law]:
    """The best penalty, the limit risk there, and the coefficient of 1/n."""
    return (
        least_squares.best_penalty(),
        least_squares.best_ridge(),
        finite_ridge.best_ridge_correction(),
    )


def penalty(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """The best weight of |b|^2 beside |y - x b|^2, for every n: p times noise over signal."""
    kept, inner = _signal_and_noise(used, squares, noise)
    return samples * laws()[0].at(gamma=used / samples, r2=kept, s2=inner)


def limit(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """Test error for n to infinity at p/n."""
    kept, inner = _signal_and_noise(used, squares, noise)
    return inner + laws()[1].at(gamma=used / samples, r2=kept, s2=inner)


def correction(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """What 1/n is multiplied by in the test error with n samples."""
    kept, inner = _signal_and_noise(used, squares, noise)
    return laws()[2].at(gamma=used / samples, r2=kept, s2=inner)


def test_error(samples: int, used: int, squares: np.ndarray, noise: float) -> float:
    """Test error with n samples, off by O(1/n^2)."""
    at = (samples, used, squares, noise)
    return limit(*at) + correction(*at) / samples


def _signal_and_noise(used: int, squares: np.ndarray, noise: float) -> tuple[float, float]:
    return float(squares[:used].sum()), float(squares[used:].sum()) + noise

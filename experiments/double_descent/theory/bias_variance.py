"""Exact bias and variance: smoothers on a fixed design, and Gaussian features.  No JAX here."""

from functools import cache

import numpy as np

from diffkit.theory import least_squares, smoothers
from diffkit.theory.law import Law

Array = np.ndarray


@cache
def laws() -> tuple[Law, ...]:
    """Bias, variance and error of a smoother; the ridge factor; the Gaussian features."""
    return (
        smoothers.bias(),
        smoothers.variance(),
        smoothers.error(),
        smoothers.ridge_factor(),
        *least_squares.weak_bias(),
        *least_squares.weak_variance(),
    )


def legendre(points: int, degree: int) -> tuple[Array, Array]:
    """Evenly spread points of [-1, 1] and the Legendre polynomials up to a degree there."""
    x = np.linspace(-1, 1, points)
    return x, np.polynomial.legendre.legvander(x, degree)


def truth(x: Array) -> Array:
    """What is to be found: no polynomial, and neither odd nor even."""
    return np.sin(2 * np.pi * x + 0.5)


def projection(design: Array, target: Array, noise: float) -> dict[str, float]:
    """Parts of the error of least squares: the factor is 1 on p directions, 0 on the others."""
    basis = np.linalg.qr(design)[0]
    kept = basis.T @ target
    points, used = design.shape
    rest = target @ target - kept @ kept
    # The control counts the parameters where the variance counts squares: here they agree.
    return _parts(rest / points, noise * used / points, noise * used / points, noise)


def ridge(design: Array, target: Array, noise: float, penalty: float) -> dict[str, float]:
    """Parts of the error of ridge: `smoothers.bias` and `variance` over all directions.

    The factor is d/(d + penalty) along an eigenvector of X X' and 0 outside of them.
    """
    vectors, singular, _ = np.linalg.svd(design, full_matrices=False)
    factors = singular**2 / (singular**2 + penalty)
    along, points = vectors.T @ target, len(target)
    rest = target @ target - along @ along
    bias = (np.sum((1 - factors) ** 2 * along**2) + rest) / points
    variance = noise * np.sum(factors**2) / points
    return _parts(bias, variance, noise * np.sum(factors) / points, noise)


def _parts(bias: float, variance: float, control: float, noise: float) -> dict[str, float]:
    """The control is the noise times the trace of the smoother, not of its square."""
    return {
        "bias": float(bias),
        "variance": float(variance),
        "error": float(bias + variance + noise),
        "control": float(control),
    }


def gaussian(samples: int, used: int, squares: Array, noise: float) -> dict[str, float]:
    """Bias and variance with p of D Gaussian features; the control has the noise's part alone."""
    kept, left = float(squares[:used].sum()), float(squares[used:].sum())
    branch = 0 if used < samples else 1
    bias, variance = least_squares.weak_bias()[branch], least_squares.weak_variance()[branch]
    if branch == 0:
        at = {"n": samples, "p": used, "c2": left, "s2": noise}
        return {
            "bias": bias.at(c2=left),
            "variance": variance.at(**at),
            "control": noise * used / (samples - used - 1),
        }
    at = {"n": samples, "p": used, "b2": kept, "c2": left, "s2": noise}
    return {
        "bias": bias.at(n=samples, p=used, b2=kept, c2=left),
        "variance": variance.at(**at),
        "control": (left + noise) * samples / (used - samples - 1),
    }

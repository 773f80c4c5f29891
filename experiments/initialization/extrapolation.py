"""What finite widths say of the limit of wide layers."""

import numpy as np


def at_zero(x: np.ndarray, y: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and standard error at x = 0 of the lines through points, weighted by 1/errors^2.

    Args:
        x: 1/width of each point, (points,), two or more different ones.
        y: Measured values, (points, ...).
        errors: Their standard errors, (points, ...), > 0.
    """
    weights = 1 / errors**2
    x = x.reshape(-1, *[1] * (y.ndim - 1))
    total, first, second = (np.sum(weights * x**power, axis=0) for power in range(3))
    determinant = total * second - first**2
    value = (
        second * np.sum(weights * y, axis=0) - first * np.sum(weights * x * y, axis=0)
    ) / determinant
    return value, np.sqrt(second / determinant)

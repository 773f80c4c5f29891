"""Smoothers on a fixed design: every line holds, and matrices of hat and noise agree."""

import numpy as np
import pytest

from diffkit.theory import smoothers
from diffkit.theory.law import Line

LAWS = (
    smoothers.bias(),
    smoothers.variance(),
    smoothers.error(),
    smoothers.training_error(),
    smoothers.best_factor(),
    smoothers.ridge_factor(),
    smoothers.descent_factor(),
    smoothers.flow_factor(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_of_a_derivation_holds(law):
    assert law.lines
    assert [line.reason for line in law.lines if not line.holds()] == []


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_line_with_another_right_side_does_not_hold(law):
    for line in law.lines:
        assert not Line(line.reason, line.left, line.right + 1).holds()


def test_the_directions_add_up_to_the_hat_matrix_of_ridge(rng):
    x, f, penalty, noise = rng.standard_normal((9, 4)), rng.standard_normal(9), 0.7, 0.3
    hat = x @ np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T)
    bias = np.sum(((np.eye(9) - hat) @ f) ** 2)
    variance = noise * np.trace(hat.T @ hat)
    vectors, singular, _ = np.linalg.svd(x)
    found = {"bias": 0.0, "variance": 0.0}
    for k in range(9):
        theta = float(vectors[:, k] @ f)
        if k < 4:
            h = smoothers.ridge_factor().at(**{"d": float(singular[k] ** 2), "lambda": penalty})
            found["bias"] += smoothers.bias().at(h=h, theta=theta)
            found["variance"] += smoothers.variance().at(h=h, s2=noise)
        else:  # outside of the columns nothing is fitted
            found["bias"] += theta**2
    assert found["bias"] == pytest.approx(bias)
    assert found["variance"] == pytest.approx(variance)


def test_descent_has_its_factor_after_every_step(rng):
    x, y, eta = rng.standard_normal((6, 3)), rng.standard_normal(6), 0.05
    vectors, singular, _ = np.linalg.svd(x, full_matrices=False)
    b = np.zeros(3)
    for k in range(1, 6):
        b = b + eta * x.T @ (y - x @ b)
        for direction in range(3):
            factor = smoothers.descent_factor().at(d=float(singular[direction] ** 2), eta=eta, k=k)
            along = vectors[:, direction]
            assert along @ x @ b == pytest.approx(factor * (along @ y))


def test_the_best_factor_is_better_than_its_neighbours():
    best = smoothers.best_factor().at(theta=2, s2=1)
    error = lambda h: smoothers.error().at(h=h, theta=2, s2=1)
    assert error(best) < min(error(0.95 * best), error(1.05 * best))

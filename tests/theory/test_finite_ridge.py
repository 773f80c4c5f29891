"""The 1/n correction of ridge: every line holds, and random matrices have it."""

import numpy as np
import pytest

from diffkit.theory import finite_ridge, least_squares
from diffkit.theory.law import Line

LAWS = (
    finite_ridge.resolvent_correction(),
    finite_ridge.best_ridge_correction(),
    finite_ridge.best_ridge_with(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_of_a_derivation_holds(law):
    assert law.lines
    assert [line.reason for line in law.lines if not line.holds()] == []


@pytest.mark.parametrize("law", LAWS[:2], ids=lambda law: law.name)
def test_a_line_with_another_right_side_does_not_hold(law):
    for line in law.lines:
        assert not Line(line.reason, line.left, line.right + 1).holds()


def resolvents(n: int, p: int, penalty: float, draws: int) -> np.ndarray:
    """tr (X'X/n + penalty)^-1 of random matrices, from their eigenvalues."""
    x = np.random.default_rng(n + p).standard_normal((draws, n, p))
    values = np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x / n)
    return np.sum(1 / (values + penalty), axis=1)


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "p"), [(30, 15), (30, 30), (20, 60)])
def test_random_matrices_have_the_limit_and_its_correction(n, p):
    """Fails by chance with probability 6e-5 for each case: 4 standard errors."""
    draws, penalty = 4000, 0.5
    found = resolvents(n, p, penalty, draws)
    error = found.std(ddof=1) / np.sqrt(draws)
    at = {"gamma": p / n, "lambda": penalty}
    gamma = p / n
    root = np.sqrt((1 - gamma + penalty) ** 2 + 4 * gamma * penalty)
    limit = p * (root - (1 - gamma + penalty)) / (2 * gamma * penalty)
    correction = gamma * finite_ridge.resolvent_correction().at(**at)
    assert abs(found.mean() - limit - correction) < 4 * error + 1 / n**2
    assert abs(found.mean() - limit) > 4 * error + 1 / n**2  # the control: no correction


def test_one_sample_of_one_feature_has_the_equation_of_the_mean_resolvent():
    """n = p = 1: z E[g^2] + z E[g] + 1 + (z E[g])' = 0 with g = 1/(x^2 - z), by quadrature."""
    x = np.linspace(-12, 12, 2_000_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])
    z = -0.7
    g, slope = 1 / (x**2 - z), 1 / (x**2 - z) ** 2
    mean, square = density @ g, density @ g**2
    assert z * square + z * mean + 1 + mean + z * (density @ slope) == pytest.approx(0, abs=1e-9)


def test_the_risk_with_n_samples_tends_to_the_limit():
    at = {"gamma": 1.5, "r2": 4, "s2": 1}
    limit = least_squares.best_ridge().at(**at)
    correction = finite_ridge.best_ridge_correction().at(**at)
    assert finite_ridge.best_ridge_with().at(n=100, **at) == pytest.approx(limit + correction / 100)
    assert correction > 0

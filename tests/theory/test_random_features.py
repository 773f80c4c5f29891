"""The kernel of random cosine features: every line holds, and sampled features agree."""

import numpy as np
import pytest

from diffkit.theory import random_features
from diffkit.theory.law import Line

LAWS = (
    random_features.kernel(),
    random_features.kernel_variance(),
    random_features.interpolation_error(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_of_a_derivation_holds(law):
    assert law.lines
    assert [line.reason for line in law.lines if not line.holds()] == []


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_line_with_another_right_side_does_not_hold(law):
    for line in law.lines:
        assert not Line(line.reason, line.left, line.right + 1).holds()


@pytest.mark.statistical
def test_sampled_features_have_the_mean_and_the_variance():
    """Fails by chance with probability 1.3e-4: two tests at 4 standard errors."""
    rng, count = np.random.default_rng(3), 400_000
    x, new, scale = np.array([0.3, -1.0]), np.array([0.9, 0.2]), 1.3
    v = rng.standard_normal((count, 2)) / scale
    u = rng.uniform(0, 2 * np.pi, count)
    products = 2 * np.cos(v @ x + u) * np.cos(v @ new + u)
    q = float(np.sum((x - new) ** 2)) / scale**2
    mean = random_features.kernel().at(q=q)
    variance = random_features.kernel_variance().at(q=q, N=1)
    assert abs(products.mean() - mean) < 4 * np.sqrt(variance / count)
    squares = (products - mean) ** 2
    error = squares.std() / np.sqrt(count)
    assert abs(squares.mean() - variance) < 4 * error
    assert abs(squares.mean() - (1 + np.exp(-q))) > 4 * error  # the control: Gaussian features


def test_the_interpolation_error_falls_to_that_of_the_kernel():
    law = random_features.interpolation_error()
    values = [law.at(N=N, n=100, E_0=0.2, c=0.5, w=10) for N in (102, 200, 1000, 10**9)]
    assert values[0] == pytest.approx(0.2 + 5)
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0.2, abs=1e-7)

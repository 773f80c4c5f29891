"""Batch normalisation: every line of the derivations, and the factor by simulation."""

import numpy as np
import pytest

from diffkit.theory import normalisation

LAWS = [normalisation.infinite_batch(), normalisation.finite_batch()]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.where.replace(" ", "_"))
def test_every_line_holds(law):
    assert all(line.holds() for line in law.lines)


def test_the_kernel_is_an_expectation(rng):
    for c in (-0.5, 0.0, 0.3, 0.9):
        z = rng.normal(size=(2, 400_000))
        pair = z[0], c * z[0] + np.sqrt(1 - c * c) * z[1]
        positive = [np.maximum(each, 0) for each in pair]
        assert float(normalisation.kernel(c)) == pytest.approx(
            2 * np.mean(positive[0] * positive[1]), abs=0.01
        )
        share = np.mean((pair[0] > 0) & (pair[1] > 0))
        assert float(normalisation.both_positive(c)) == pytest.approx(share, abs=0.005)


def simulated(batch: int, rng: np.random.Generator, draws: int = 40_000) -> tuple[float, float]:
    """E|g_l|^2/E|g_{l+1}|^2 of one unit by the Jacobian of the normalisation, with its error.

    h ~ N(0, a P) with a = (1 - kappa)/2 (sigma_w = 1), and a gradient from above with covariance P.
    """
    centring = np.eye(batch) - 1 / batch
    a = (1 - float(normalisation.kernel(-1 / (batch - 1)))) / 2
    h = np.sqrt(a) * rng.normal(size=(draws, batch)) @ centring
    above = rng.normal(size=(draws, batch)) @ centring  # E|above|^2 = B - 1
    length = np.linalg.norm(h, axis=1, keepdims=True)
    u = h / length
    passed = above * (u > 0)
    passed = passed @ centring - u * np.sum(passed * u, axis=1, keepdims=True)
    squares = batch * np.sum(passed**2, axis=1) / length[:, 0] ** 2 / (batch - 1)
    return squares.mean(), squares.std() / np.sqrt(draws)


@pytest.mark.statistical
@pytest.mark.parametrize("batch", [8, 16, 40])
def test_the_factor_is_that_of_a_simulated_unit(batch: int, rng):
    """Fails by chance with probability 1e-4 (four standard errors); heavy tails below B = 8."""
    found, error = simulated(batch, rng)
    assert abs(found - normalisation.finite_batch().at(B=batch)) < 4 * error
    assert abs(found - normalisation.infinite_batch().at()) > 4 * error  # the control


def test_small_batches_explode_faster():
    values = [normalisation.finite_batch().at(B=batch) for batch in (5, 8, 16, 64, 256, 4096)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(np.pi / (np.pi - 1), rel=1e-3)

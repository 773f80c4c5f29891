"""Exact moments of ReLU layers of finite width against sums over draws and enumeration."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from diffkit.core.errors import UsageError
from diffkit.theory import finite_width as fw

LAWS = (fw.second_moment(), fw.second_moment_of_a_layer(), fw.drift_of_the_log())


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_holds_and_another_right_side_does_not(law):
    for line in law.lines:
        assert line.holds(), line.reason
        assert not fw.Line(line.reason, line.left, line.right + 1).holds()


def factors(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    return 2 / n * np.sum(np.maximum(rng.standard_normal((draws, n)), 0) ** 2, axis=1)


@pytest.mark.statistical
def test_the_second_moment_is_that_of_draws(rng):
    """Fails by chance with probability 6e-5: 4 standard errors."""
    products = np.prod([factors(20, 400_000, rng) for _ in range(3)], axis=0) ** 2
    error = products.std(ddof=1) / np.sqrt(products.size)
    assert abs(products.mean() - fw.second_moment().at(n=20, L=3)) < 4 * error
    assert abs(products.mean() - (1 + 4 / 20) ** 3) > 4 * error  # the control: 4 for 5


@pytest.mark.statistical
@pytest.mark.parametrize("n", [4, 30])
def test_the_moments_of_the_log_are_those_of_draws(n, rng):
    """Fails by chance with probability 1.2e-4 for each case: 4 standard errors, twice."""
    logs = np.log(s := factors(n, 400_000, rng), where=s > 0, out=np.full(s.shape, np.nan))
    logs = logs[~np.isnan(logs)]
    mean, variance = fw.log_moments(n)
    error = logs.std(ddof=1) / np.sqrt(logs.size)
    assert abs(logs.mean() - mean) < 4 * error
    assert abs(logs.mean() + 5 / (2 * n)) > 4 * error  # the first order is not exact
    squares = (logs - logs.mean()) ** 2
    assert abs(squares.mean() - variance) < 4 * squares.std(ddof=1) / np.sqrt(logs.size)


def test_one_unit_is_a_chi_square_variable():
    # log of 2 g^2 for a half-normal g, by quadrature
    mean, variance = fw.log_moments(1)
    log = lambda t: np.log(2 * t * t) * 2 * scipy.stats.norm.pdf(t)
    expected = scipy.integrate.quad(log, 0, 1)[0] + scipy.integrate.quad(log, 1, 40)[0]
    assert mean == pytest.approx(expected, rel=1e-9)
    assert variance == pytest.approx(np.pi**2 / 2, rel=1e-9)


@pytest.mark.parametrize("n", [200, 800])
def test_the_exact_drift_approaches_the_law(n):
    mean, variance = fw.log_moments(n)
    assert abs(mean * n - fw.drift_of_the_log().at(n=n, L=1) * n) < 10 / n
    assert abs(variance * n - 5) < 30 / n


@pytest.mark.statistical
def test_uniform_weights_have_the_second_moment_of_their_kurtosis(rng):
    """Fails by chance with probability 6e-5: 4 standard errors."""
    n = 8
    v = np.array([3.0, 1, 1, 0.5, 0, 0, 0, 0])
    share = np.sum(v**4) / np.sum(v**2) ** 2
    w = rng.uniform(-1, 1, (200_000, n, n)) * np.sqrt(6 / n)
    s = np.sum(np.maximum(w @ v, 0) ** 2, axis=1) / np.sum(v**2)
    error = (s**2).std(ddof=1) / np.sqrt(s.size)
    law = fw.second_moment_of_a_layer()
    assert abs((s**2).mean() - law.at(n=n, kappa=-1.2, r=share)) < 4 * error
    assert abs((s**2).mean() - law.at(n=n, kappa=0, r=share)) > 4 * error


@pytest.mark.parametrize("width", [0, -3, 2.5])
def test_a_width_that_is_no_number_of_units_is_refused(width):
    with pytest.raises(UsageError, match="whole number of units"):
        fw.log_moments(width)

"""Expectations on bisected panels against mpmath and closed forms; what has none is an error."""

import mpmath
import numpy as np
import pytest

from diffkit.core.errors import DomainError
from diffkit.numeric.gaussian_panels import gaussian_means, unit_panels


def steep(k: float):
    """tanh(k z), its square and the square of its slope."""
    return lambda z: np.stack(
        [np.tanh(k * z), np.tanh(k * z) ** 2, (k / np.cosh(np.clip(k * z, -300, 300)) ** 2) ** 2]
    )


def by_mpmath(k: int) -> list[float]:
    """The same by mpmath in u = k z, where nothing is steep."""
    with mpmath.workdps(25):
        density = lambda u: mpmath.npdf(mpmath.mpf(u) / k) / k
        ends = [0, 1, 5, 20, 60, 12 * k]
        square = 2 * mpmath.quad(lambda u: mpmath.tanh(u) ** 2 * density(u), ends)
        slope = 2 * mpmath.quad(lambda u: (k * mpmath.sech(u) ** 2) ** 2 * density(u), ends[:-1])
        return [0.0, float(square), float(slope)]


@pytest.mark.parametrize("k", [1, 30, 1000, 10**6])
def test_a_step_is_closed_in_upon_however_steep(k: int):
    value, error = gaussian_means(steep(k))
    truth = np.array(by_mpmath(k))
    assert np.all(np.abs(value - truth) <= error)
    assert np.all(error <= 1e-12 * np.maximum(1, truth))


def test_panels_that_are_not_halved_miss_a_step():
    z, weights = unit_panels(24)
    missed = weights @ steep(1000)(z)[2]
    assert abs(missed / by_mpmath(1000)[2] - 1) > 0.5


@pytest.mark.parametrize("c", [0.1, 0.237])
def test_a_heavy_tail_that_has_an_expectation_is_followed_to_its_end(c: float):
    value, error = gaussian_means(lambda z: np.exp(2 * c * z * z))
    assert abs(value[0] - (1 - 4 * c) ** -0.5) <= error[0] < 1e-10


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda z: np.exp(0.6 * z * z), "outgrows"),
        (lambda z: np.exp(z * z) ** 4, "outgrows"),
        (lambda z: 1 / z**2, "does not exist"),
        (lambda z: 1 / np.abs(z), "does not exist"),
        (lambda z: np.tan(z) ** 2, "does not exist"),
        (lambda z: 1 / (z - 0.123) ** 2, "does not exist|not finite"),
        (np.sqrt, "no real number"),
        (lambda z: np.where(z > 3, np.inf, z), "not finite"),
    ],
)
def test_what_has_no_expectation_is_an_error(f, reason: str):
    with pytest.raises(DomainError, match=reason):
        gaussian_means(f)


def test_an_integrable_pole_and_kinks_off_the_panels_are_settled():
    value, error = gaussian_means(
        lambda z: np.stack([np.log(np.abs(z)), np.maximum(z - 0.123, 0), (z > 0.7) * 1.0])
    )
    with mpmath.workdps(20):
        truth = [
            -(mpmath.euler + mpmath.log(2)) / 2,
            mpmath.npdf(0.123) - 0.123 * (1 - mpmath.ncdf(0.123)),
            1 - mpmath.ncdf(0.7),
        ]
    assert np.all(np.abs(value - np.array(truth, float)) <= error)
    assert np.all(error < 1e-8)


def test_a_step_anywhere_is_found_to_its_stated_error():
    # beside the ends of panels (and where they are cut) above all
    near = [
        end + gap for end in (0.37, 0.81, -0.63 + 0.382) for gap in (-1e-3, -1e-6, 1e-9, 1e-4, 2e-3)
    ]
    for place in [*near, *np.random.default_rng(3).uniform(-3, 3, 60)]:
        value, error = gaussian_means(lambda z, place=place: (z > place) * 1.0)
        truth = float(mpmath.ncdf(-place))
        assert abs(value[0] - truth) <= error[0] < 1e-9, place

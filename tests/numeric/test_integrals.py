"""Cauchy integrals, Gaussian expectations and small statistics against closed forms."""

from math import exp, pi, sqrt

import numpy as np
import pytest
from flint import acb, arb, ctx

from diffkit.core.errors import DomainError, Undecidable, UsageError
from diffkit.numeric.cauchy import cauchy_derivative
from diffkit.numeric.quadrature import gauss_hermite, gaussian_expectation_ball
from diffkit.numeric.statistics import (
    bonferroni,
    bootstrap_interval,
    critical_z,
    interquartile_mean,
    normal_quantile,
    standard_error,
    two_sided_p,
    z_score,
)


@pytest.fixture(autouse=True)
def _wide_context():
    """The expected values of a test are computed with more bits than the integrals have."""
    bits, ctx.prec = ctx.prec, 400
    yield
    ctx.prec = bits


@pytest.mark.parametrize("order", range(5))
def test_cauchys_formula_encloses_the_derivatives_of_exp_and_of_a_pole(order: int):
    found = cauchy_derivative(lambda z: z.exp(), arb(0.5), order, 1.0)
    assert found.overlaps(arb(0.5).exp())
    assert found.rad() < 1e-25
    # (1/z)^(n) = (-1)^n n!/z^(n+1) at 2
    pole = cauchy_derivative(lambda z: 1 / z, arb(2), order, 1.0)
    assert pole.overlaps((-1) ** order * arb(order).fac() / arb(2) ** (order + 1))


def test_a_disc_around_a_pole_is_undecidable():
    with pytest.raises(Undecidable):
        cauchy_derivative(lambda z: 1 / z, arb(0.5), 1, 1.0)
    with pytest.raises(DomainError):
        cauchy_derivative(lambda z: z, arb(0.5), 1, 0.0)


@pytest.mark.parametrize("q", [0.25, 1.0, 2.0])
def test_gaussian_expectations_meet_their_closed_forms(q: float):
    cosine = gauss_hermite(lambda x: np.cos(x), q)  # E cos(sqrt q z) = exp(-q/2)
    assert abs(cosine.value - exp(-q / 2)) <= cosine.bound.value < 1e-10
    fourth = gauss_hermite(lambda x: x**4, q)
    assert abs(fourth.value - 3 * q * q) <= fourth.bound.value
    rough = gauss_hermite(np.abs, q)  # a kink: the bound is wide, and holds
    assert abs(rough.value - sqrt(2 * q / pi)) <= rough.bound.value


def test_the_rigorous_expectation_contains_the_closed_form():
    found = gaussian_expectation_ball(lambda z, analytic: z.cos(), 2, bits=128)
    assert found.overlaps(arb(-1).exp())
    assert found.rad() < 1e-25
    wrong = arb(-1).exp() + arb(1e-20)
    assert not found.overlaps(wrong)
    tanh = gaussian_expectation_ball(lambda z, analytic: acb.tanh(z) ** 2, 1)
    assert abs(float(tanh.mid()) - gauss_hermite(lambda x: np.tanh(x) ** 2, 1.0).value) < 1e-5


def test_statistics_meet_textbook_values():
    assert round(normal_quantile(0.995), 6) == 2.575829
    assert round(two_sided_p(1.959963984540054), 10) == 0.05
    assert critical_z(0.05) < critical_z(0.05, tests=10)
    assert bonferroni(0.05, 10) == pytest.approx(0.005)
    assert standard_error([1.0, 2.0, 3.0]) == pytest.approx(1 / sqrt(3))
    assert z_score(2.0, 1.0, 0.5) == 2
    assert z_score(1.0, 1.0, 0.0) == 0
    assert interquartile_mean([0, 1, 2, 3, 4, 5, 6, 100]) == 3.5
    with pytest.raises(UsageError):
        standard_error([1.0])
    with pytest.raises(UsageError):
        normal_quantile(1.0)


def test_the_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = 0
    for k in range(100):
        low, high = bootstrap_interval(rng.normal(size=40), resamples=300, seed=k)
        hits += low <= 0 <= high
    assert 85 <= hits <= 100

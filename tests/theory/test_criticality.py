"""Critical initialisations: chi is 1 and the variance stays, by iteration and by random layers."""

from math import inf, sqrt

import numpy as np
import pytest
import sympy as sp

from diffkit.core.errors import NoClosedForm, UsageError
from diffkit.theory import critical_initialisation, criticality, mean_field
from diffkit.theory.gaussian_integrals import q

NAMES = ("relu", "tanh", "erf", "gelu", "silu", "mish", "selu", "sigmoid", "hard_tanh", "sin")


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_the_variance_are_kept(name):
    found = critical_initialisation(name)
    assert mean_field.layer_gain(name, found.variance, found.sigma_w) == pytest.approx(1, abs=1e-9)
    after = mean_field.variances(name, found.variance, 2, found.sigma_w, found.sigma_b)[-1]
    assert after == pytest.approx(found.variance, rel=1e-9)
    assert found.is_stable


@pytest.mark.parametrize("name", ["tanh", "gelu", "selu"])
def test_a_wrong_variance_returns_at_the_rate_of_the_slope(name):
    found = critical_initialisation(name)
    start = found.variance * 1.001
    after = mean_field.variances(name, start, 2, found.sigma_w, found.sigma_b)[-1]
    rate = (after - found.variance) / (start - found.variance)
    assert rate == pytest.approx(found.slope, abs=2e-3)


def test_the_slope_is_chi_and_the_curvature_term():
    # chi + sigma_w^2 E[phi'' phi] for tanh, the expectation by Monte Carlo
    z = np.random.default_rng(5).standard_normal(4_000_000)
    t = np.tanh(z)
    term = np.mean(-2 * t * (1 - t * t) * t)
    found = critical_initialisation("tanh", variance=1.0)
    assert found.slope == pytest.approx(1 + found.sigma_w**2 * term, abs=2e-3)


@pytest.mark.statistical
@pytest.mark.parametrize("text", ["x*tanh(softplus(x))", "t + sin(t)^2"])
def test_random_layers_keep_the_variance_of_a_design(text, rng):
    """Fails by chance with probability 6e-5 for each case: 4 standard errors."""
    found = critical_initialisation(text)
    phi = mean_field.values_of(text, 0)
    h = rng.standard_normal((4000, 400)) * sqrt(found.variance)
    w = rng.standard_normal((400, 400)) * found.sigma_w / 20
    after = phi(h) @ w + rng.standard_normal(400) * found.sigma_b
    columns = (after**2).mean(axis=0)
    error = columns.std(ddof=1) / 20
    assert abs(columns.mean() - found.variance) < 4 * error
    wrong = (phi(h) @ w * sqrt(2) / found.sigma_w) ** 2  # He's weights instead: the control
    assert abs(wrong.mean() - found.variance) > 4 * error


def test_an_expression_of_ones_own_is_designed_for():
    s = sp.Symbol("s")
    found = critical_initialisation(s * sp.erf(s), variance=1.0)
    assert found.method == "closed form"
    assert found.error == 0


def test_a_variance_that_cannot_be_kept_is_refused_with_those_that_can():
    with pytest.raises(UsageError, match=r"keeps the variance 1: .* 56\.2 to 1e\+03 are possible"):
        critical_initialisation("sigmoid", variance=1.0)
    with pytest.raises(UsageError, match="has no critical initialisation"):
        critical_initialisation("step")


def test_an_unstable_design_says_so():
    found = critical_initialisation("x**2", variance=1.0)
    assert not found.is_stable
    assert "not stable" in str(found)


def test_the_curve_of_erf_is_symbolic_and_passes_through_the_numeric_points():
    weight, bias = criticality.critical_curve("erf")
    assert weight.formula == sp.pi * sp.sqrt(4 * q + 1) / 4
    for variance in (0.1, 0.5, 2.0):
        sigma_w, rest = mean_field.edge_of_chaos("erf", sqrt(bias.at(q=variance)))
        assert rest == pytest.approx(variance, rel=1e-7)
        assert sigma_w**2 == pytest.approx(weight.at(q=variance), rel=1e-7)
    assert all(line.holds() for law in (weight, bias) for line in law.lines)


def test_a_curve_without_closed_moments_is_refused():
    with pytest.raises(NoClosedForm, match="quadrature"):
        criticality.critical_curve("tanh")
    with pytest.raises(NoClosedForm, match="slope 0"):
        criticality.critical_curve("step")


def test_depth_scales_are_infinite_at_criticality_and_those_of_a_geometric_decay_elsewhere():
    assert criticality.gradient_depth_scale(1.0) == inf
    assert 0.9 ** criticality.gradient_depth_scale(0.9) == pytest.approx(1 / np.e)
    assert criticality.length_depth_scale(1.0) == inf
    assert 1.2 ** criticality.length_depth_scale(1.2) == pytest.approx(np.e)
    with pytest.raises(UsageError, match="positive"):
        criticality.gradient_depth_scale(0.0)

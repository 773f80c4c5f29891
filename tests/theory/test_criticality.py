"""Critical initialisations: chi is 1 and the variance stays, by iteration and by random layers."""

from math import inf, sqrt

import numpy as np
import pytest
import sympy as sp

from diffkit.core.errors import DomainError, NoClosedForm, UsageError
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


def test_a_variance_that_cannot_be_kept_is_refused_with_the_nearest_that_can():
    with pytest.raises(
        UsageError, match=r"keeps the variance 1: .* possible is (\d+\.\d+)"
    ) as told:
        critical_initialisation("sigmoid", variance=1.0)
    nearest = float(str(told.value).rpartition(" ")[2])
    assert critical_initialisation("sigmoid", variance=nearest).sigma_b < 0.3
    with pytest.raises(UsageError, match="sigma_b"):
        critical_initialisation("sigmoid", variance=0.99 * nearest)
    with pytest.raises(UsageError, match="has no critical initialisation"):
        critical_initialisation("step")


def test_an_unstable_design_says_so():
    found = critical_initialisation("x**2", variance=1.0)
    assert not found.is_stable
    assert "not stable" in str(found)


def test_an_exponential_is_never_stable():
    # E[exp(x)^2] = exp(2 q) grows by the factor 2 sigma_w^2 exp(2 q) = 2 wherever chi is 1
    for variance in (1.0, 20.0, 42.0):
        assert critical_initialisation("exp(x)", variance=variance).slope == pytest.approx(2)
    found = critical_initialisation("exp(x)")
    assert (found.variance, found.sigma_w) == (1.0, pytest.approx(np.exp(-1)))
    assert not found.is_stable


@pytest.mark.parametrize(
    ("plain", "spelt", "variance"),
    [
        ("sigmoid(60*x)", "1/(1+exp(-60*x))", 1.0),
        ("sigmoid", "1/(1+exp(-x))", 5000.0),
        ("tanh", "(exp(x)-exp(-x))/(exp(x)+exp(-x))", 1000.0),
        ("tanh(1000*x)", "1 - 2/(1+exp(2000*x))", 1.0),
    ],
)
def test_the_spelling_of_an_activation_does_not_matter(plain: str, spelt: str, variance: float):
    one, other = (critical_initialisation(text, variance=variance) for text in (plain, spelt))
    assert one.sigma_w == pytest.approx(other.sigma_w, rel=1e-10)
    assert one.sigma_b == pytest.approx(other.sigma_b, rel=1e-10)


def test_a_steep_activation_has_the_integral_of_its_slope():
    # E[sech(k z)^4] for large k: the integral 4/(3 k) of sech^4 times the density at 0
    for k in (1000, 10**6):
        found = critical_initialisation(f"tanh({k}*x)", variance=1.0)
        assert found.sigma_w**-2 == pytest.approx(4 * k / 3 / sqrt(2 * np.pi), rel=3 / k)


@pytest.mark.parametrize(
    "text",
    ["1/x", "log(x)", "sqrt(x)", "sqrt(abs(x))", "gamma(x)", "log(abs(x))", "x**10**10"],
)
def test_an_activation_without_moments_is_refused(text: str):
    with pytest.raises(DomainError, match="no moments of"):
        critical_initialisation(text)


def test_steps_that_are_no_kinks_of_affine_functions_are_seen():
    with pytest.raises(UsageError, match="no critical initialisation"):
        critical_initialisation("where(x**2<1,0,x)")
    z = np.random.default_rng(1).standard_normal(4_000_000)
    x = sqrt(0.5) * z
    truth = np.mean((2 * x * (x * x > 1)) ** 2)
    found = mean_field.moments("relu(x**2-1)", 0.5).derivative_square
    assert found == pytest.approx(truth, rel=2e-2)


@pytest.mark.parametrize(
    ("phi", "what"),
    [
        (None, "no activation"),
        ([1], "no activation"),
        (np.tanh, "lift it first"),
        (sp.DiracDelta(sp.Symbol("x")), "real numbers"),
        (sp.Function("f")(sp.Symbol("x")), "real numbers"),
        (sp.oo * sp.Symbol("x"), "no real number"),
    ],
)
def test_what_is_no_activation_is_refused_in_a_sentence(phi, what: str):
    with pytest.raises(UsageError, match=what):
        critical_initialisation(phi)


def test_a_bias_may_be_given_instead_of_a_variance():
    # Schoenholz et al. (2017), fig. 1
    found = critical_initialisation("tanh", sigma_b=sqrt(0.05))
    assert found.sigma_w**2 == pytest.approx(1.76095, abs=1e-5)
    assert found.sigma_b == pytest.approx(sqrt(0.05), rel=1e-9)
    for wrong in ({"sigma_b": -1.0}, {"sigma_b": float("nan")}, {"sigma_b": 1.0, "variance": 1.0}):
        with pytest.raises(UsageError):
            critical_initialisation("tanh", **wrong)


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

"""Gaussian moments, length map and edge of chaos against other integrals and known numbers."""

from math import pi, sqrt

import numpy as np
import pytest
import sympy as sp

from diffkit.core.errors import NoClosedForm, UnknownNameError
from diffkit.numeric.quadrature import gauss_hermite
from diffkit.theory import mean_field

VARIANCES = (0.01, 0.3, 1.0, 2.7, 30.0)


def close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-12 * max(1.0, abs(b))


@pytest.mark.parametrize("name", ["linear", "relu", "erf", "sin", "gelu", "elu", "hard_tanh"])
@pytest.mark.parametrize("variance", VARIANCES)
def test_closed_moments_equal_the_quadrature(name: str, variance: float):
    closed, numeric = mean_field.moments(name, variance), mean_field.quadrature(name, variance)
    assert closed.method == "closed form"
    assert close(closed.square, numeric.square)
    assert close(closed.derivative_square, numeric.derivative_square)


def test_a_closed_form_with_a_lost_term_does_not_equal_the_quadrature():
    wrong = mean_field.closed_moments("gelu").square.formula - mean_field.q / 4
    assert not close(
        float(wrong.subs(mean_field.q, 1.0)), mean_field.quadrature("gelu", 1.0).square
    )


@pytest.mark.parametrize(("name", "phi"), [("tanh", np.tanh), ("sin", np.sin)])
def test_the_quadrature_equals_gauss_hermite(name: str, phi):
    other = gauss_hermite(lambda z: phi(z) ** 2, 0.7, nodes=120)
    assert abs(mean_field.quadrature(name, 0.7).square - other.value) < 1e-9


def test_the_relu_row_equals_sympy_integrals():
    z, variance = sp.Symbol("z", real=True), mean_field.q
    density = sp.exp(-(z**2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)
    square = sp.integrate(z**2 * density, (z, 0, sp.oo))
    slope = sp.integrate(density, (z, 0, sp.oo))
    row = mean_field.closed_moments("relu")
    assert sp.simplify(square - row.square.formula) == 0
    assert sp.simplify(slope - row.derivative_square.formula) == 0


@pytest.mark.parametrize("sigma_w", [1.0, sqrt(2.0), 1.7])
def test_relu_multiplies_by_half_the_weight_variance_at_every_depth(sigma_w: float):
    profile = mean_field.log_gradient_profile("relu", 1.0, 9, sigma_w)
    exact = [(8 - index) * np.log(sigma_w**2 / 2) for index in range(9)]
    assert np.allclose(profile, exact, atol=1e-13)


def test_the_sigmoid_settles_where_it_is_known_to():
    rest = mean_field.fixed_point("sigmoid", 1.0)
    assert round(rest, 5) == 0.26469
    assert round(mean_field.layer_gain("sigmoid", rest, 1.0), 6) == 0.055721


def test_tanh_without_bias_at_unit_variance_does_not_settle():
    with pytest.raises(ValueError, match="does not settle"):
        mean_field.fixed_point("tanh", 1.0)


# sigma_b^2 -> sigma_w^2, found by an independent root search in (sigma_w, q).
@pytest.mark.parametrize(("bias", "weight"), [(0.05, 1.76095), (0.1, 1.98607), (0.3, 2.50513)])
def test_the_edge_of_chaos_of_tanh_is_where_it_is_known_to_be(bias: float, weight: float):
    sigma_w, rest = mean_field.edge_of_chaos("tanh", sqrt(bias))
    assert round(sigma_w**2, 5) == weight
    assert abs(mean_field.fixed_point("tanh", sigma_w, sqrt(bias)) - rest) < 1e-6
    assert abs(mean_field.layer_gain("tanh", rest, sigma_w) - 1) < 1e-12


def test_the_edge_of_chaos_of_erf_has_its_closed_form():
    sigma_w, rest = mean_field.edge_of_chaos("erf", 0.4)
    assert abs(sigma_w**2 - pi * sqrt(1 + 4 * rest) / 4) < 1e-12


def test_relu_with_a_bias_has_no_edge_of_chaos():
    with pytest.raises(ValueError, match="no edge of chaos"):
        mean_field.edge_of_chaos("relu", 0.3)


@pytest.mark.parametrize(("name", "slope"), [("sigmoid", 0.25), ("tanh", 1.0), ("relu", 1.0)])
def test_the_steepest_slope_is_the_known_one(name: str, slope: float):
    assert mean_field.steepest_slope(name) == pytest.approx(slope, abs=1e-12)


def test_the_steepest_slope_of_swish_exceeds_one():
    assert mean_field.steepest_slope("silu") == pytest.approx(1.09983932, abs=1e-7)


def test_an_activation_without_closed_moments_says_what_to_use():
    with pytest.raises(NoClosedForm, match="moments"):
        mean_field.closed_moments("tanh")


def test_an_unknown_activation_lists_the_known():
    with pytest.raises(UnknownNameError, match="did you mean swish"):
        mean_field.moments("swisch", 1.0)


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), 1e5])
def test_a_variance_out_of_range_is_refused(variance: float):
    with pytest.raises(ValueError, match="variance"):
        mean_field.moments("tanh", variance)

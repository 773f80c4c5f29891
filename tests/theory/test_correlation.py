"""Overlaps and the correlation map against sampling in the plane, iteration and known kernels."""

import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.theory import correlation, mean_field

LAWS = (
    correlation.relu_overlap(),
    correlation.erf_overlap(),
    correlation.relu_correlation(),
    correlation.relu_correlation_at_depth(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_holds_and_another_right_side_does_not(law):
    for line in law.lines:
        assert line.holds(), line.reason
        assert not correlation.Line(line.reason, line.left, line.right + 1).holds()


@pytest.mark.parametrize(("name", "law"), [("relu", LAWS[0]), ("erf", LAWS[1])])
@pytest.mark.parametrize("c", [-0.7, 0.0, 0.4, 0.95])
def test_a_closed_overlap_is_that_of_the_plane(name, law, c):
    value, error = correlation.overlap(name, 0.8, c)
    assert abs(law.at(q=0.8, c=c) - value) <= error
    assert error < 2e-2 * max(0.05, abs(value))
    assert abs(law.at(q=0.8, c=c) + 0.01 - value) > error  # a hundredth more would be seen


def test_the_overlap_of_sines_is_the_known_kernel():
    # E[sin u sin v] = exp(-q) sinh(q c), by the characteristic function
    value, error = correlation.overlap("sin", 1.3, 0.6)
    assert abs(value - np.exp(-1.3) * np.sinh(1.3 * 0.6)) < max(error, 1e-12)


def test_the_overlap_at_one_is_the_second_moment():
    value, error = correlation.overlap("tanh", 0.9, 1.0)
    assert abs(value - mean_field.moments("tanh", 0.9).square) < max(error, 1e-10)


def test_relu_layers_forget_like_a_power_of_depth():
    law, c, depth = LAWS[2], 0.5, 2000
    for _ in range(depth):
        c = float((np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / np.pi)
    assert (1 - c) / LAWS[3].at(l=depth) == pytest.approx(1, abs=0.02)
    assert law.at(c=0.5) == pytest.approx(0.6089977810442293)  # Cho and Saul: (sqrt 3/2 + pi/3)/pi


def test_the_map_keeps_equal_inputs_and_its_slope_there_is_chi():
    sigma_w, sigma_b = 1.7, 0.4
    rest = mean_field.fixed_point("tanh", sigma_w, sigma_b)
    at = lambda c: correlation.correlation_map("tanh", rest, c, sigma_w, sigma_b)
    assert at(1.0) == pytest.approx(1)
    slope = (at(1.0) - at(1 - 1e-5)) / 1e-5
    assert slope == pytest.approx(mean_field.layer_gain("tanh", rest, sigma_w), rel=1e-3)


def test_a_correlation_outside_its_range_is_refused():
    with pytest.raises(UsageError, match="-1 <= c <= 1"):
        correlation.overlap("relu", 1.0, 1.5)


def test_the_bound_of_an_activation_that_no_grid_resolves_says_so():
    value, error = correlation.overlap("sin(1000*x)", 1.0, 1.0)
    assert abs(value - 0.5) <= error  # E[sin(1000 z)^2]
    with pytest.raises(UsageError, match="too steep"):
        correlation.correlation_map("sin(1000*x)", 1.0, 0.5, 1.0)

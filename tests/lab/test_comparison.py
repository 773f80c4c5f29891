"""Means of repetitions against least squares and the t test of other libraries."""

import numpy as np
import pytest
from scipy import stats

from diffkit.core.errors import UsageError
from diffkit.lab.comparison import Mean, intercept, mean, paired, verdict_of


def test_a_paired_difference_is_that_of_the_paired_t_test(rng):
    first, second = rng.normal(size=(2, 12))
    expected = stats.ttest_rel(first, second).statistic
    assert paired(first, second).z() == pytest.approx(expected, rel=1e-12)
    assert mean(first).z(0.3) == pytest.approx(stats.ttest_1samp(first, 0.3).statistic, rel=1e-12)
    assert paired(first, 0.3).z() == pytest.approx(mean(first).z(0.3), rel=1e-12)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: paired([1.0, 2.0, 3.0], [1.0, 2.0]),
        lambda: paired([1.0, 2.0], [[1.0, 2.0]]),
        lambda: mean([[1.0, 2.0], [3.0, 4.0]]),
        lambda: mean([1.0]),
    ],
)
def test_what_has_no_standard_error_is_refused(ask):
    with pytest.raises(UsageError):
        ask()


def test_an_intercept_with_equal_errors_is_that_of_least_squares(rng):
    x = [0.1, 0.2, 0.4, 0.5]
    y = rng.normal(size=4)
    found = intercept(x, [Mean(value, 0.3) for value in y])
    line, covariance = np.polyfit(x, y, 1, cov="unscaled")
    assert found.value == pytest.approx(line[1], rel=1e-9)
    assert found.error == pytest.approx(0.3 * np.sqrt(covariance[1, 1]), rel=1e-9)


def test_a_precise_point_moves_the_intercept_more():
    near = intercept([1.0, 2.0, 3.0], [Mean(0.0, 1e-6), Mean(1.0, 1e-6), Mean(9.0, 1.0)])
    assert near.value == pytest.approx(-1.0, abs=1e-3)


def test_a_mean_without_scatter_is_infinitely_far_from_another_number():
    same = mean([2.0, 2.0, 2.0])
    assert same.z(2.0) == 0
    assert same.exceeds(1.9)
    assert same.is_below(2.1)


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [
        ([True, True], "confirmed"),
        ([True, False], "mixed"),
        ([False], "refuted"),
        ([None, True], "undecided"),
        ([None, False], "undecided"),
        ([None, True, False], "mixed"),
    ],
)
def test_a_part_that_is_not_decided_decides_nothing(holds, verdict):
    assert verdict_of(holds) == verdict


def test_a_sign_is_told_beyond_three_standard_errors_only():
    assert [Mean(value, 1.0).rises() for value in (3.0, 2.9, -2.9, -3.0)] == [
        True, None, None, False,
    ]  # fmt: skip
    assert [Mean(0.0, 0.0).rises(), Mean(0.0, 0.0).falls()] == [False, False]  # known exactly
    assert [Mean(value, 1.0).falls() for value in (3.0, 2.9, -2.9, -3.0)] == [
        False, None, None, True,
    ]  # fmt: skip

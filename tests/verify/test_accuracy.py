"""Accuracy of AD in units in the last place: what explains an error, against closed forms."""

from math import isfinite, isnan

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from flint import arb

from diffkit.bridge.subject import subject
from diffkit.core.errors import UsageError
from diffkit.numeric.balls import DerivativeEnclosure, Enclosure
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify import accuracy
from diffkit.verify.accuracy import measure, sample, ulps_of


def rows(f, points, dtypes=("float64",), *args):
    found = measure(subject(f, (0.5, *args), {}, 0), points, dtypes)
    return {(row.dtype, row.mode): row for row in found}


def test_a_correctly_rounded_derivative_is_accurate_in_every_format():
    found = rows(lambda x: x * x, sample(64, "float16"), tuple(accuracy.FORMATS))
    assert {row.verdict for row in found.values()} == {"accurate"}
    assert all(row.worst <= 1 for row in found.values())
    assert len(found) == 12  # value, reverse and forward in four formats


def test_the_error_is_the_distance_to_the_true_derivative_in_spacings():
    x = 0.7
    (row,) = [
        each
        for each in measure(subject(jnp.tan, (x,), {}, 0), [x], ("float64",))
        if each.mode == "reverse"
    ]
    with mpmath.workdps(40):
        truth = 1 / mpmath.cos(mpmath.mpf(x)) ** 2
        expected = abs(mpmath.mpf(float(jax.grad(jnp.tan)(x))) - truth)  # float32 by default
    assert row.truth == pytest.approx(float(truth), rel=1e-15)
    assert isfinite(float(expected))
    assert row.worst == abs(row.value - row.truth) / np.spacing(row.truth)


def test_cancellation_is_unstable_and_not_ill_conditioned():
    # (exp(x) - 1)/x: the derivative tends to 1/2, its condition number to 0
    found = rows(lambda x: (jnp.exp(x) - 1) / x, [2.0**-k for k in range(1, 40)])
    row = found["float64", "reverse"]
    assert row.verdict == "unstable"
    assert row.condition < 1
    assert row.truth == pytest.approx(0.5, rel=0.2)
    assert row.worst > 1e6


def test_an_ill_conditioned_derivative_is_not_called_unstable():
    # d sin(x) = cos(x) next to its zero: the argument's last digit decides
    zero = float(np.pi / 2)
    found = rows(jnp.sin, [zero * 64 * k + 0.25 for k in range(1, 40)], ("float32",))
    assert found["float32", "reverse"].verdict in ("accurate", "ill-conditioned")


def test_a_wrong_rule_is_wrong_and_a_right_one_is_not():
    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda x, v: (jnp.sin(x[0]), 1.001 * jnp.cos(x[0]) * v[0]))
    points = sample(32, "float64")
    assert rows(sine, points)["float64", "reverse"].verdict == "wrong"
    assert rows(sine, points)["float64", "primal"].verdict != "wrong"
    assert rows(jnp.sin, points)["float64", "reverse"].verdict != "wrong"


def test_a_constant_rounded_by_a_narrow_format_is_an_error_of_that_format():
    found = rows(lambda x: 0.1 * x, [1.0], ("float64", "bfloat16"))
    assert found["bfloat16", "reverse"].truth == 0.1
    assert found["bfloat16", "reverse"].value == float(jnp.bfloat16(0.1))
    assert 0 < found["bfloat16", "reverse"].worst <= 0.5


def test_a_derivative_far_below_its_usual_size_is_small_in_spacings_of_the_usual_size():
    row = rows(jnp.tanh, [0.1, 0.2, 0.3, 0.5, 1.0, 18.0])["float64", "reverse"]
    assert row.at == 18.0
    assert row.worst > 1e6  # 4 exp(-36) comes out as 1 - tanh^2
    assert row.scaled < 8


def test_points_without_a_derivative_are_outside_and_never_compared():
    found = rows(jnp.log, [-1.0, 0.0, 1.0, 2.0])
    assert found["float64", "reverse"].points == 2
    assert found["float64", "reverse"].outside == 2


def test_nothing_to_compare_is_said():
    row = rows(jnp.log, [-1.0])["float64", "reverse"]
    assert row.points == 0
    assert isnan(row.worst)


def test_arrays_are_refused():
    with pytest.raises(UsageError, match="one number"):
        measure(subject(jnp.sin, (jnp.ones(3),), {}, 0), [1.0])


@pytest.mark.parametrize("dtype", accuracy.FORMATS)
def test_samples_are_numbers_of_the_format_of_either_sign_and_any_size(dtype):
    points = np.array(sample(200, dtype, seed=3))
    assert np.array_equal(points, points.astype(jnp.dtype(dtype)).astype(float))
    assert points.min() < 0 < points.max()
    assert np.abs(points).max() > 1e3 > 1e-3 > np.abs(points).min()
    assert sample(200, dtype, seed=3) == points.tolist()


def test_an_error_is_infinite_where_ad_is_not_finite_and_none_below_the_normal_numbers():
    assert ulps_of(float("nan"), 1.0, "float64") == np.inf
    assert ulps_of(0.0, 1e-310, "float64") == 0.0
    assert ulps_of(1.0 + 2.0**-7, 1.0, "bfloat16") == 1.0


def test_an_infinite_answer_is_explained_by_no_rounding():
    # x * x underflows, and AD divides by it: the derivative of sin(x)/x is -x/3
    found = rows(lambda x: jnp.sin(x) / x, [1e-25, 2e-25, 0.5, 1.0], ("float32",))
    row = found["float32", "reverse"]
    assert not isfinite(row.value)
    assert row.verdict == "wrong"


def test_a_condition_that_is_no_number_explains_nothing():
    steep = Enclosure.of(arb(1e300))
    following = DerivativeEnclosure(steep, steep, steep, "smooth")
    assert accuracy._relative(2.0, following, 1e300) == 2
    assert accuracy._relative(2.0, following, 1e-300) == 0  # the quotient overflows


def test_points_the_balls_cannot_decide_are_counted_apart(monkeypatch):
    undecided = DerivativeEnclosure(None, None, None, "undecided", "out of time")
    monkeypatch.setattr(Rigorous, "enclosures", lambda self, xs: [undecided] * len(xs))
    (row, *_) = measure(subject(jnp.sin, (0.5,), {}, 0), [0.5, 1.0], ("float64",))
    assert (row.points, row.outside, row.undecided) == (0, 2, 2)

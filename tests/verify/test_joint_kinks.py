"""Kinks that no single entry shows: elements of the subdifferential pass, other answers do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.bridge.subject import Probe, subject
from diffkit.verify.joint_kinks import joint_kink

TIE = jnp.zeros(4)


def probe_of(what, entry):
    tangent = np.zeros(what.values[0].shape)
    tangent.flat[entry] = 1.0
    return Probe(what.values, tangent, np.ones(()))


@pytest.mark.parametrize(
    "f",
    [
        pytest.param(jnp.median, marks=pytest.mark.slow),
        pytest.param(lambda a: jnp.quantile(a, 0.37), marks=pytest.mark.slow),
        lambda a: a.sort()[1],
    ],
)
def test_an_order_statistic_at_a_full_tie_is_supported(f):
    verdict = dk.verify(f, TIE, dtypes=("float64",))
    assert verdict.status == "supported"
    assert not [found for found in verdict.findings if found.severity != "note"]
    assert any("entries tie" in found.message for found in verdict.findings)


def test_the_interval_is_that_of_the_gradients_nearby():
    # the median of four is the mean of the middle two: each entry's share is 0 or 1/2
    what = subject(jnp.median, (np.zeros(4),), {}, None)
    kink = joint_kink(what, probe_of(what, 1))
    assert (kink.left.value, kink.right.value) == (0.0, 0.5)
    assert kink.kind == "kink"


@pytest.mark.slow
def test_an_answer_outside_the_interval_is_refuted():
    @jax.custom_jvp
    def median(a):
        return jnp.median(a)

    median.defjvp(lambda a, v: (jnp.median(a[0]), 0.75 * jnp.sum(v[0])))
    assert dk.verify(median, TIE, dtypes=("float64",)).status == "refuted"


def test_a_wrong_limit_at_a_tie_is_still_refuted():
    # the identity: the derivative is 1 at the tie and around it
    def identity(a):
        return jnp.sum(jax.nn.relu(a) - jax.nn.relu(-a))

    assert dk.verify(identity, TIE, dtypes=("float64",)).status == "refuted"


@pytest.mark.parametrize("f", [lambda a: jnp.sum(a**2), lambda a: jnp.prod(jnp.sin(a) + 2)])
def test_a_smooth_function_has_no_joint_kink(f):
    what = subject(f, (np.array([0.5, 0.5, -0.25]),), {}, None)
    assert joint_kink(what, probe_of(what, 0)) is None


def test_functions_of_one_number_have_none():
    what = subject(jnp.abs, (0.0,), {}, None)
    assert joint_kink(what, Probe(what.values, np.ones(()), np.ones(()))) is None


def test_a_steep_slope_beside_a_maximum_is_no_kink():
    """The derivative moves by a tenth between neighbours, and by less the nearer they are."""

    @jax.custom_jvp
    def steep(a):
        return jnp.sum(jnp.sin(1e5 * a))

    steep.defjvp(lambda a, v: (steep(a[0]), 1.02e5 * jnp.sum(jnp.cos(1e5 * a[0]) * v[0])))

    def f(a):
        return steep(a) + jnp.max(a)

    point = np.array([0.5, 0.25, 0.125])
    what = subject(lambda a: jnp.sum(jnp.sin(1e5 * a)) + jnp.max(a), (point,), {}, None)
    assert joint_kink(what, probe_of(what, 0)) is None
    assert dk.verify(f, point, dtypes=("float64",)).status == "refuted"

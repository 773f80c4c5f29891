"""Derivative programs give the same answers compiled and equation by equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.bridge.batch import interpreted, run_rows, traced
from diffkit.bridge.subject import subject
from diffkit.oracles import forward, reverse
from diffkit.verify.modes import mode_error


def pooled(x, A):
    return jax.nn.logsumexp(jnp.tanh(A @ x) * jax.nn.softplus(x[0]))


@jax.custom_vjp
def backward_only(x):
    return jnp.sin(x)


backward_only.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_interpreted_and_compiled_programs_agree(dtype, rng):
    what = subject(pooled, (rng.normal(size=3), rng.normal(size=(2, 3))), {}, 0)
    probes = what.probes(what.values)
    rows = {mode.NAME: mode.row(what, 1) for mode in (forward, reverse)}
    compiled = run_rows(what, dtype, probes, rows)
    with interpreted():
        found = run_rows(what, dtype, probes, rows)
    for name in rows:
        np.testing.assert_allclose(found[name], compiled[name], rtol=64 * jnp.finfo(dtype).eps)


def test_nothing_is_compiled_inside_the_block(monkeypatch):
    what = subject(jnp.sin, (0.5,), {}, None)
    monkeypatch.setattr(jax, "jit", lambda _: pytest.fail("compiled"))
    with interpreted():
        run_rows(what, "float64", what.probes(what.values), {"forward": forward.row(what, 1)})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rule_for_reverse_mode_only_is_refused_alike(dtype):
    what = subject(backward_only, (0.5,), {}, None)
    reasons = [mode_error(what, dtype, mode.row(what, 1)) for mode in (forward, reverse)]
    with interpreted():
        again = [mode_error(what, dtype, mode.row(what, 1)) for mode in (forward, reverse)]
    assert reasons == again
    assert "custom_vjp" in reasons[0]
    assert reasons[1] is None


def test_a_row_is_made_and_traced_once_per_subject():
    what = subject(jnp.sin, (0.5,), {}, None)
    assert forward.row(what, 1) is forward.row(what, 1)
    assert forward.row(what, 1) is not forward.row(what, 2)
    row = forward.row(what, 1)
    assert traced(what, "float64", row) is traced(what, "float64", row)
    other = subject(jnp.cos, (0.5,), {}, None)
    assert forward.row(other, 1) is not row


@pytest.mark.parametrize("size", [20, 10**6])
def test_random_directions_are_the_same_in_every_precision(size):
    what = subject(jnp.sum, (np.ones(size),), {}, None)
    for probe in what.probes(what.values):
        assert np.linalg.norm(probe.tangent) == pytest.approx(1, rel=0.01)
        narrow = probe.tangent.astype(jnp.bfloat16).astype(float)
        assert np.array_equal(narrow, probe.tangent)

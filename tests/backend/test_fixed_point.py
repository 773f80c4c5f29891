"""Fixed points: the limit, its derivatives, and what is returned without one."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from diffkit.backend.compat import x64
from diffkit.backend.fixed_point import NAME, fixed_point


@pytest.fixture(autouse=True)
def float64():
    with x64():
        yield


def kepler(anomaly):
    """E - e sin(E) = M with e = 0.4, as a fixed point of E -> M + e sin(E)."""
    return fixed_point(lambda z: anomaly + 0.4 * jnp.sin(z), anomaly)


def test_the_limit_solves_the_equation():
    found = float(kepler(1.3))
    assert abs(found - 0.4 * np.sin(found) - 1.3) < 1e-14


@pytest.mark.parametrize("differentiate", [jax.jacfwd, jax.jacrev], ids=["forward", "reverse"])
def test_both_modes_differentiate_the_limit(differentiate):
    found = differentiate(kepler)(1.3)
    with mp.workdps(40):
        true = mp.diff(lambda m: mp.findroot(lambda z: z - 0.4 * mp.sin(z) - m, 1.6), mp.mpf(1.3))
    assert abs(float(found) - true) < 1e-13


def test_the_start_has_no_part_in_the_derivative():
    slope = jax.grad(lambda start: fixed_point(lambda z: jnp.cos(z) / 2, start))(0.3)
    assert float(slope) == 0


def test_a_pytree_comes_back_as_it_went_in():
    found = fixed_point(
        lambda z: {"a": z["a"] / 2 + 1, "b": z["b"] / 3}, {"a": 0.0, "b": jnp.ones(2)}
    )
    assert float(found["a"]) == pytest.approx(2, rel=1e-14)
    assert np.allclose(found["b"], 0, atol=1e-14)


def test_without_convergence_the_answer_is_nan():
    assert np.isnan(float(fixed_point(lambda z: 2 * z + 1, 1.0, max_steps=20)))


def test_it_runs_under_jit_and_vmap():
    points = jnp.linspace(0.1, 2.0, 4)
    assert np.allclose(jax.jit(jax.vmap(kepler))(points), [float(kepler(p)) for p in points])


def test_a_jaxpr_shows_its_name():
    assert NAME in str(jax.make_jaxpr(kepler)(1.0))

"""Pytrees are judged whole; models of many entries along directions."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.verify.large import LARGE
from diffkit.verify.verify import verify

RANDOM = np.random.default_rng(0)


def params(*sizes):
    return {
        f"l{k}": {"W": RANDOM.normal(size=(a, b)) / a**0.5, "b": np.zeros(b)}
        for k, (a, b) in enumerate(pairwise(sizes))
    }


def loss_with(activation):
    def loss(params, x):
        hidden = x
        for k in range(len(params) - 1):
            hidden = activation(hidden @ params[f"l{k}"]["W"] + params[f"l{k}"]["b"])
        last = params[f"l{len(params) - 1}"]
        return jnp.mean((hidden @ last["W"] + last["b"]) ** 2)

    return loss


@jax.custom_jvp
def slightly_wrong(x):
    return jnp.tanh(x)


slightly_wrong.defjvp(lambda p, t: (jnp.tanh(*p), 1.01 * t[0] * (1 - jnp.tanh(*p) ** 2)))


def test_a_small_pytree_is_proved_entry_by_entry():
    verdict = verify(loss_with(jnp.tanh), params(2, 2, 1), np.ones((1, 2)), dtypes=("float64",))
    assert verdict.status == "proved"
    assert any("params.l0.W 2x2" in each for each in verdict.assumptions)


def test_a_wrong_rule_inside_names_the_entry():
    verdict = verify(
        loss_with(slightly_wrong), params(2, 2, 1), np.ones((1, 2)), dtypes=("float64",)
    )
    assert verdict.status == "refuted"
    assert "params.l0." in verdict.statement


@pytest.mark.parametrize(
    ("activation", "status"),
    [(jnp.tanh, "supported"), pytest.param(slightly_wrong, "refuted", marks=pytest.mark.slow)],
)
def test_a_large_model_is_judged_along_directions(activation, status):
    model = params(100, 150, 10)
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) > LARGE
    verdict = verify(loss_with(activation), model, RANDOM.normal(size=(4, 100)))
    assert verdict.status == status
    assert len(verdict.to_json()) < 250_000  # no array of that size is written out
    if status == "refuted":
        groups = {row.group for row in verdict.evidence if row.outcome == "disagrees"}
        assert {"numerical", "closed form"} <= groups


def test_a_large_gradient_that_is_nan_is_no_support():
    def poisoned(x):
        return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))

    x = np.abs(RANDOM.normal(size=LARGE + 1))
    x[17] = -1.0
    verdict = verify(poisoned, x, dtypes=("float64",))
    assert not verdict.ok
    assert "nan-gradient" in {finding.kind for finding in verdict.findings}


def test_higher_orders_of_many_entries_are_refused():
    with pytest.raises(UsageError, match="to the first order"):
        verify(lambda x: jnp.sum(x**3), np.ones(LARGE + 1), order=2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_narrow_type_is_no_excuse_for_a_gradient_of_the_other_sign(dtype):
    """A thousand units of bfloat16 are 800 % of a derivative."""

    @jax.custom_jvp
    def flipped(x):
        return jnp.sin(x)

    flipped.defjvp(lambda p, t: (jnp.sin(*p), -t[0] * jnp.cos(*p)))
    point = np.linspace(-1, 1, LARGE + 1)

    def mean(f):
        return lambda x: jnp.mean(f(x))

    assert verify(mean(flipped), point, dtypes=(dtype,)).status in ("refuted", "undecided")
    assert verify(mean(jnp.sin), point, dtypes=(dtype,)).status == "supported"

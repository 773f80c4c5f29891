"""Claims about functions of pytrees are judged leaf by leaf, and the worst leaf is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.core.errors import UsageError

RANDOM = np.random.default_rng(0)
PARAMS = {"W": RANDOM.normal(size=(2, 3)), "b": RANDOM.normal(size=2)}
X = RANDOM.normal(size=3)


def net(p, x):
    return jnp.sum(jnp.tanh(p["W"] @ x + p["b"]))


def right(p, x):
    delta = 1 - jnp.tanh(p["W"] @ x + p["b"]) ** 2
    return {"W": jnp.outer(delta, x), "b": delta}


def wrong_bias(p, x):
    return {**right(p, x), "b": 2 * right(p, x)["b"]}


def test_every_leaf_is_proved():
    verdict = dk.check(net, right, PARAMS, X)
    assert verdict.status == "proved"
    assert "leaf by leaf: p.W proved, p.b proved" in verdict.assumptions


def test_one_wrong_leaf_refutes():
    verdict = dk.check(net, wrong_bias, PARAMS, X)
    assert verdict.status == "refuted"
    assert verdict.claim.wrt == "p.b"
    assert verdict.repair.edit == "factor 1/2"
    assert "leaf by leaf: p.W proved, p.b refuted" in verdict.assumptions


@pytest.mark.parametrize(("leaf", "status"), [("p.W", "proved"), ("p.b", "refuted")])
def test_one_leaf(leaf, status):
    assert dk.check(net, wrong_bias, PARAMS, X, wrt=leaf).status == status


def test_position_of_an_argument_after_a_pytree():
    assert dk.check(net, jax.grad(net, argnums=1), PARAMS, X, wrt=1).status == "proved"
    assert dk.check(net, lambda p, x: -jax.grad(net, 1)(p, x), PARAMS, X, wrt=1).status == "refuted"


def test_written_claim_by_path():
    claim = "1 - tanh(p_W@x + p_b)**2"
    assert dk.check(net, claim, PARAMS, X, wrt="p.b").status == "proved"
    with pytest.raises(UsageError, match=r"one array; give wrt=, one of: p\.W, p\.b"):
        dk.check(net, claim, PARAMS, X)


def test_claim_of_another_structure():
    with pytest.raises(UsageError, match="returns 3 arrays for an argument of 2"):
        dk.check(net, lambda p, x: (x, x, x), PARAMS, X)


def test_unknown_leaf():
    with pytest.raises(UsageError, match="wrt names none of the arrays"):
        dk.check(net, right, PARAMS, X, wrt="p.c")

"""`wrt` names what JAX's argnums name: an argument, a tuple of them, or a whole pytree."""

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
    return jnp.sum(jnp.tanh(p["W"] @ x + p["b"]) ** 2)


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


@pytest.mark.parametrize(("wrt", "argnums"), [(None, 0), (0, 0), (1, 1), (-1, 1), ((0, 1), (0, 1))])
def test_positions_count_arguments(wrt, argnums):
    assert_equal(dk.derive(net, PARAMS, X, wrt=wrt)(PARAMS, X), jax.grad(net, argnums)(PARAMS, X))


@pytest.mark.parametrize(("wrt", "argnums"), [("p", 0), ("x", 1), (("x", "p"), (1, 0))])
def test_names_of_arguments(wrt, argnums):
    assert_equal(dk.derive(net, PARAMS, X, wrt=wrt)(PARAMS, X), jax.grad(net, argnums)(PARAMS, X))


def test_path_of_a_leaf():
    found = dk.derive(net, PARAMS, X, wrt="p.W")
    assert_equal(found(PARAMS, X), jax.grad(net)(PARAMS, X)["W"])
    assert "p.W" not in found.text()


def test_compiled_form_runs_under_jit_and_by_name():
    program = dk.derive(net, PARAMS, x=X, wrt="p").compile()
    assert_equal(jax.jit(program)(PARAMS, x=X), jax.grad(net)(PARAMS, X))


def test_a_key_before_the_variable():
    def noisy(key, x):
        return jnp.sum(x * jax.random.normal(key, x.shape, jnp.float32) ** 2)

    key = jax.random.key(0)
    found = dk.derive(noisy, key, X, wrt=1)
    assert_equal(found(key, X), jax.grad(noisy, 1)(key, jnp.asarray(X, "float32")))
    with pytest.raises(UsageError, match=r"key .a random key. is fixed in the formula"):
        found(jax.random.key(1), X)


@pytest.mark.parametrize(
    ("wrt", "said"), [(2, "no position of net"), ("q", "none of the symbols"), ((), "empty tuple")]
)
def test_unknown_variable(wrt, said):
    with pytest.raises(UsageError, match=said):
        dk.derive(net, PARAMS, X, wrt=wrt)


def test_empty_pytree():
    with pytest.raises(UsageError, match="no array that can be differentiated"):
        dk.derive(lambda p, x: jnp.sum(x), {}, X)

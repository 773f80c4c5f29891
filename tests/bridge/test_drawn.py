"""Random numbers of a fixed key are the program's own numbers, never symbols."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.bridge.lift import lift
from diffkit.core.errors import DiffkitError, UsageError

KEY, X = jax.random.key(7), np.array([1.0, -2.0, 0.5])


def noisy(key, x):
    return jnp.sum(x**2 * jax.random.normal(key, (3,), x.dtype))


def dropout(x):
    kept = jax.random.bernoulli(jax.random.key(1), 0.5, (3,))
    return jnp.sum(jnp.where(kept, x**2, 0.0) / 0.5)


@pytest.mark.parametrize(
    ("function", "args"), [(noisy, (KEY, X)), (dropout, (X,))], ids=["noise", "dropout"]
)
def test_draws_are_constants_of_the_formula(function, args):
    with jax.enable_x64(True):  # the user's own setting
        given = (*args[:-1], jnp.asarray(X))
        formula = lift(function, *given)
        assert formula.names == ("x",)
        np.testing.assert_allclose(formula(X), function(*given), rtol=1e-12)
        expected = jax.grad(function, len(args) - 1)(*given)
        np.testing.assert_allclose(formula.grad("x")(X), expected, rtol=1e-12)
    assert "random numbers of a fixed key are constants" in formula.notes


def test_another_key_gives_another_formula():
    one, other = (lift(noisy, jax.random.key(k), jnp.asarray(X)) for k in (1, 2))
    assert one.node is not other.node


def test_draws_that_depend_on_an_argument_are_refused():
    with pytest.raises(DiffkitError, match="lift"):
        lift(lambda seed, x: x * jax.random.normal(jax.random.key(seed)), 3, 1.0)


def test_draws_that_are_others_in_the_users_configuration_are_refused():
    with pytest.raises(UsageError, match="draws float64 numbers here and float32 ones"):
        dk.derive(dropout, X)


def test_draws_of_a_stated_dtype_are_the_users():
    def function(x):
        return jnp.sum(x * jax.random.normal(KEY, (3,), jnp.float32))

    np.testing.assert_allclose(dk.derive(function, X)(X), jax.random.normal(KEY, (3,)), rtol=1e-6)

"""What is no array function of real arrays gets one sentence with the remedy."""

import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.core.errors import DomainError, UsageError

RANDOM = np.random.default_rng(0)
X, W, Y = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3), RANDOM.normal(size=5)


def loss(X, w, y):
    return jnp.sum((X @ w - y) ** 2)


def test_complex_argument():
    with pytest.raises(UsageError, match=r"z is complex.*real and imaginary part"):
        dk.derive(lambda z: jnp.sum(jnp.abs(z)), np.ones(3) + 1j)


def test_claim_that_raises():
    with pytest.raises(UsageError, match=r"raises ZeroDivisionError.*mend it"):
        dk.check(loss, lambda X, w, y: 1 / 0, X, W, Y, wrt="w")


def test_claim_that_is_no_claim():
    with pytest.raises(UsageError, match=r"a claim is a JAX function, text, LaTeX.*not a list"):
        dk.check(loss, [1, 2, 3], X, W, Y, wrt="w")


def test_argument_outside_its_domain():
    with pytest.raises(DomainError, match=r"S is not in its domain.*only its shape"):
        dk.check(lambda S: jnp.trace(S), "eye(3)", np.ones((3, 3)), domain={"S": "orthogonal"})


def test_data_of_a_closure_keeps_its_digits_and_gets_a_name():
    data = X[:2]
    found = dk.derive(lambda w: jnp.mean((jnp.asarray(data) @ w) ** 2), W)
    assert "a constant of shape" in str(found)
    assert np.allclose(found(W), data.T @ (data @ W), rtol=1e-6)


def test_large_data_of_a_closure_belongs_into_an_argument():
    data = RANDOM.normal(size=(500, 100))
    with pytest.raises(UsageError, match=r"50000 entries; pass it as an argument"):
        dk.derive(lambda w: jnp.mean((jnp.asarray(data) @ w) ** 2), RANDOM.normal(size=100))

"""LSUV against one written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets.initialisers import mean_field
from diffkit.nets.lsuv import lsuv
from diffkit.nets.mlp import Classifier

INPUTS = np.asarray(jax.random.normal(jax.random.key(3), (50, 4)))


def test_the_pass_is_that_of_the_paper():
    make = lambda: Classifier((4, 9, 9, 9, 3), "relu", mean_field(3.0, 0.2), rngs=nnx.Rngs(0))
    net, expected = make(), []
    h = INPUTS.astype(float)
    for place, (kernel, bias) in enumerate(make().linears()):
        w, b = np.asarray(kernel, float), np.asarray(bias, float)
        h = np.maximum(h, 0) if place else h
        for _ in range(10):
            if abs(np.var(h @ w + b) - 1) < 0.01:
                break
            w = w / np.sqrt(np.var(h @ w + b))
        expected.append(w)
        h = h @ w + b
    found = lsuv(net, INPUTS, tolerance=0.01)
    for (kernel, _), w in zip(net.linears(), expected, strict=True):
        np.testing.assert_allclose(kernel, w, rtol=1e-4)
    assert found[-1] == pytest.approx(np.var(h), rel=1e-4)


def test_a_residual_network_with_dropout_and_normalisation_reaches_unit_branches():
    net = Classifier(
        (4, *[12] * 6, 2),
        "tanh",
        "orthogonal",
        normalisation="batch",
        dropout=0.5,
        residual=1.0,
        rngs=nnx.Rngs(0),
    )
    assert np.abs(lsuv(net, INPUTS, tolerance=1e-3) - 1).max() < 1e-3
    outputs = [net(jnp.asarray(INPUTS)) for _ in range(2)]
    assert not np.allclose(*outputs)  # dropout is on again


def test_it_runs_where_networks_are_made_from_many_seeds():
    def spread(key):
        net = Classifier((4, 8, 8, 8), "sigmoid", "lecun", rngs=nnx.Rngs(key))
        lsuv(net, INPUTS, tolerance=1e-3)
        return jnp.var(net(INPUTS))

    found = jax.jit(jax.vmap(spread))(jax.random.split(jax.random.key(0), 3))
    np.testing.assert_allclose(found, 1.0, atol=2e-3)


def test_without_the_pass_the_variance_is_another():
    net = Classifier((4, 8, 8, 8), "sigmoid", "lecun", rngs=nnx.Rngs(0))
    assert abs(float(jnp.var(net(jnp.asarray(INPUTS)))) - 1) > 0.1


def test_an_output_that_does_not_vary_is_told():
    net = Classifier((4, 6, 3), "relu", rngs=nnx.Rngs(0))
    assert np.isnan(lsuv(net, np.zeros((5, 4)))).all()
    with pytest.raises(UsageError, match="tolerance=0"):
        lsuv(net, INPUTS, tolerance=0)

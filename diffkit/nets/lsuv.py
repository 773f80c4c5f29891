"""LSUV: weights rescaled layer by layer until every layer's output has variance 1 on data.

Mishkin and Matas (2016), arXiv:1511.06422: start from orthonormal matrices, then divide each one,
the first layer first, by the standard deviation of what its layer puts out.  Without biases one
division is enough; with them it is repeated.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets.mlp import Classifier, Layer


def lsuv(
    net: Classifier, inputs: jax.Array, *, tolerance: float = 0.1, tries: int = 10
) -> jax.Array:
    """Rescale the weights of a network in place; nothing is dropped meanwhile.

    It may be called where a network is made, under `jit` and `vmap` too.

    Args:
        net: The network, its initialiser "orthogonal" as published.
        inputs: Some samples, (batch, n_0).
        tolerance: Of |Var - 1|, > 0.
        tries: Divisions of a layer at most, >= 1.

    Returns:
        Variance of each layer's output after the pass, (L,): within the tolerance of 1 where the
        pass succeeded.  It is NaN from a layer on whose output is the same for all samples and
        units; no scale mends that.

    Raises:
        UsageError: tolerance or tries out of range.

    >>> net = Classifier((4, *[32] * 10, 3), "tanh", "orthogonal", rngs=nnx.Rngs(0))
    >>> found = lsuv(net, jax.random.normal(jax.random.key(1), (64, 4)), tolerance=1e-3)
    >>> bool(jnp.all(jnp.abs(found - 1) < 1e-3))
    True
    """
    if not tolerance > 0 or tries < 1:
        raise UsageError(f"tolerance={tolerance!r}, tries={tries}; give numbers > 0")
    return _rescale_all(net, jnp.asarray(inputs), tolerance, tries)


@partial(nnx.jit, static_argnums=(2, 3))
def _rescale_all(net: Classifier, inputs: jax.Array, tolerance: float, tries: int) -> jax.Array:
    h, net.first.kernel[...], variance = _rescaled(net.first, inputs, tolerance, tries)
    found = [variance[None]]

    def step(layer: Layer, h: jax.Array, _: None) -> Any:
        branch, *kept = _rescaled(layer.linear, layer.features(h), tolerance, tries)
        return layer.join(h, branch), kept

    for stack in net.stacks:
        h, (kernels, variances) = stack.scan(step, h, None)
        shape = stack.layers.linear.kernel[...].shape
        stack.layers.linear.kernel[...] = kernels.reshape(shape)
        found.append(variances)
    return jnp.concatenate(found)


def _rescaled(
    linear: nnx.Linear, features: jax.Array, tolerance: float, tries: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Output of one layer, its weights and the variance after they are rescaled."""
    bias = 0.0 if linear.bias is None else linear.bias[...]

    def divide(state: tuple[jax.Array, jax.Array, int]) -> tuple[jax.Array, jax.Array, int]:
        kernel, variance, count = state
        kernel = kernel / jnp.sqrt(variance)
        return kernel, jnp.var(features @ kernel + bias), count + 1

    def is_off(state: tuple[jax.Array, jax.Array, int]) -> jax.Array:
        _, variance, count = state
        return (jnp.abs(variance - 1) >= tolerance) & (count < tries)

    start = linear.kernel[...]
    kernel, variance, _ = jax.lax.while_loop(
        is_off, divide, (start, jnp.var(features @ start + bias), 0)
    )
    return features @ kernel + bias, kernel, variance

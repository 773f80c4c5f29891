"""Layer-wise gradients of random deep networks, measured by reverse mode.  No SymPy here.

dL/dh_l is read off as the gradient with respect to a zero perturbation added to the
pre-activation h_l; L is a random linear functional of the last layer, so the numbers are
about the network and not about a loss.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from diffkit.nets.mlp import MLP


@dataclass(frozen=True)
class Measurement:
    """What was measured on `seeds` independent networks.

    Args:
        log_square: log ||dL/dh_l||^2 / ||dL/dh_L||^2, shape (seeds, depth).
        first_variance: Mean square of h_1, shape (seeds,).
        samples: Some entries of dL/dh_l of the first network, shape (depth, count).
    """

    log_square: np.ndarray
    first_variance: np.ndarray
    samples: np.ndarray


def gradients(
    activation: str,
    initialiser: str,
    inputs: np.ndarray,
    *,
    width: int,
    depth: int,
    seeds: int,
    seed: int,
    samples: int = 2000,
) -> Measurement:
    """Measure `seeds` networks at once (one vmapped program).

    Args:
        activation: Name of phi.
        initialiser: Initialiser of layers 2, ..., L; layer 1 is LeCun.
        inputs: Data, shape (batch, features).
        width: n, units of every layer.
        depth: L, number of layers.
        seeds: Number of independent networks.
        seed: Root of all random streams.
        samples: Entries of each layer's gradient kept for histograms.
    """
    keys = jax.random.split(jax.random.key(seed), seeds)
    measure = jax.jit(jax.vmap(partial(_one_network, activation, initialiser, width, depth, inputs)))
    log_square, variance, entries = measure(keys)
    flat = np.asarray(entries[0]).reshape(depth, -1)
    return Measurement(np.asarray(log_square), np.asarray(variance), flat[:, :samples])


def _one_network(
    activation: str,
    initialiser: str,
    width: int,
    depth: int,
    inputs: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    weights, functional = jax.random.split(key)
    net = MLP(
        inputs.shape[1], width, depth, activation, initialiser, rngs=nnx.Rngs(params=weights)
    )
    cotangent = jax.random.normal(functional, (inputs.shape[0], width)) / jnp.sqrt(width)
    zeros = jnp.zeros((depth, inputs.shape[0], width))

    def loss(perturbations: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden = net.pre_activations(jnp.asarray(inputs), perturbations)
        return jnp.sum(cotangent * hidden[-1]), jnp.mean(hidden[0] ** 2)

    layers, variance = jax.grad(loss, has_aux=True)(zeros)  # (depth, batch, width)
    log_square = _log_square_norm(layers)
    return log_square - log_square[-1], variance, layers


def _log_square_norm(gradient: jax.Array) -> jax.Array:
    """log sum g^2 per layer, scaled first: a norm of 1e-25 squared is 0 in float32."""
    scale = jnp.max(jnp.abs(gradient), axis=(1, 2))
    safe = jnp.where(scale > 0, scale, 1.0)
    total = jnp.sum((gradient / safe[:, None, None]) ** 2, axis=(1, 2))
    return jnp.where(scale > 0, jnp.log(total) + 2 * jnp.log(safe), -jnp.inf)

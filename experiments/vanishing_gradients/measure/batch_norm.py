"""Gradients of random networks with batch normalisation, by reverse mode.  No SymPy here."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from diffkit.nets.instruments import signals
from diffkit.nets.mlp import MLP


def log_growth(
    batch: int, width: int, *, depth: int, skip: int, networks: int, seed: int
) -> np.ndarray:
    """log of the factor of |dL/dh_l|^2 per layer, l from `skip` to L - `skip`, (networks,).

    L is a random linear functional of the last layer; inputs are independent N(0, 1).

    Args:
        batch: B.
        width: n.
        depth: L.
        skip: Layers left out at both ends.
        networks: Independent networks.
        seed: Root of all random streams.
    """
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), batch * width), networks)
    first, last = np.asarray(_squares(batch, width, depth, skip, keys), float)
    return (np.log(first) - np.log(last)) / (depth - 1 - 2 * skip)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _squares(batch: int, width: int, depth: int, skip: int, keys: jax.Array) -> jax.Array:
    """|dL/dh_l|^2 at the two ends, (2, networks)."""

    def one(key: jax.Array) -> jax.Array:
        of_weights, of_inputs, of_functional = jax.random.split(key, 3)
        net = MLP(
            width, width, depth, "relu", "he", normalisation="batch", rngs=nnx.Rngs(of_weights)
        )
        inputs = jax.random.normal(of_inputs, (batch, width))
        functional = jax.random.normal(of_functional, (batch, width))
        slopes = signals(net, inputs, lambda h: jnp.sum(functional * h)).gradients
        return jnp.sum(slopes[jnp.array([skip, depth - 1 - skip])] ** 2, axis=(1, 2))

    # One network at a time: each fills the cores by itself.
    return jax.lax.map(one, keys).T

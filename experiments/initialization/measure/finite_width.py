"""Lengths of tangents through random ReLU layers, by forward mode.  No SymPy here."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

#: Networks at a time.
BATCH = 256


def log_tangents(*, width: int, depth: int, networks: int, seed: int) -> np.ndarray:
    """log |J_l u|^2/|u|^2 for l = 1, ..., L, (networks, depth), float64; -inf where all is dead.

    Args:
        width: n, units of every layer and of the input.
        depth: L.
        networks: Independent networks with W_ij ~ N(0, 2/n), inputs and directions.
        seed: Root of all random streams.
    """
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.key(seed), width)
        return np.asarray(_of_all(key, jnp.arange(networks), width, depth))


@partial(jax.jit, static_argnums=(2, 3))
def _of_all(key: jax.Array, numbers: jax.Array, width: int, depth: int) -> jax.Array:
    def one(number: jax.Array) -> jax.Array:
        of_point, of_direction, of_layers = jax.random.split(jax.random.fold_in(key, number), 3)
        point = jax.random.normal(of_point, (width,))
        direction = jax.random.normal(of_direction, (width,))
        keys = jax.random.split(of_layers, depth)

        def network(x: jax.Array) -> jax.Array:
            def layer(x: jax.Array, layer_key: jax.Array) -> tuple[jax.Array, jax.Array]:
                weights = jax.random.normal(layer_key, (width, width)) * jnp.sqrt(2 / width)
                following = jax.nn.relu(weights @ x)
                return following, following

            return jax.lax.scan(layer, x, keys)[1]

        _, tangents = jax.jvp(network, (point,), (direction,))
        return jnp.log(jnp.sum(tangents**2, axis=1) / jnp.sum(direction**2))

    return jax.lax.map(one, numbers, batch_size=BATCH)

"""Layer-wise gradients of random networks, many activations and scales at once.  No SymPy here.

All rows share the weights of a network, so that a layer is one matrix product.  dL/dh_l is the
gradient with respect to a zero perturbation added to h_l; L is a random linear functional of h_L.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

Activation = Callable[[jax.Array], jax.Array]
#: Weights that a block of networks may hold at once.
HELD = 4_000_000


@dataclass(frozen=True)
class Rows:
    """Networks that differ in activation and scales.

    Args:
        phis: Activations, each with the number of rows it serves.
        sigma_w: Weight standard deviation times sqrt(fan_in), (rows,).
        sigma_b: Bias standard deviation, (rows,).
        variance: Variance of h_1, (rows,).
    """

    phis: tuple[tuple[Activation, int], ...]
    sigma_w: np.ndarray
    sigma_b: np.ndarray
    variance: np.ndarray


def log_gradients(
    rows: Rows, *, width: int, depth: int, inputs: int, networks: range, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return log |dL/dh_l|^2, (networks, depth, rows), and mean squares of h_L, (networks, rows).

    Args:
        rows: Activations and scales.
        width: n.
        depth: L.
        inputs: Inputs of each network, with independent h_1.
        networks: Numbers of the networks; a number fixes the weights whatever else is measured.
        seed: Root of all random streams.
    """
    scales = tuple(
        jnp.asarray(each, jnp.float32) for each in (rows.sigma_w, rows.sigma_b, rows.variance)
    )
    numbers = jnp.arange(networks.start, networks.stop)
    key = jax.random.fold_in(jax.random.key(seed), width)
    found = _of_all(key, numbers, scales, rows.phis, width, depth, inputs)
    log_square, square = (np.asarray(each, np.float64) for each in found)
    return log_square, square


@partial(jax.jit, static_argnums=(3, 4, 5, 6))
def _of_all(
    key: jax.Array,
    numbers: jax.Array,
    scales: tuple[jax.Array, ...],
    phis: tuple[tuple[Activation, int], ...],
    width: int,
    depth: int,
    inputs: int,
) -> tuple[jax.Array, jax.Array]:
    one = lambda number: _of_one(
        jax.random.fold_in(key, number), scales, phis, (width, depth, inputs)
    )
    batch = max(1, HELD // (depth * width**2))
    return jax.lax.map(one, numbers, batch_size=batch)


def _of_one(
    key: jax.Array,
    scales: tuple[jax.Array, ...],
    phis: tuple[tuple[Activation, int], ...],
    sizes: tuple[int, int, int],
) -> tuple[jax.Array, jax.Array]:
    width, depth, inputs = sizes
    sigma_w, sigma_b, variance = (each[:, None, None] for each in scales)
    of_start, of_functional, of_layers = jax.random.split(key, 3)
    shape = (len(scales[0]), inputs, width)
    start = jnp.sqrt(variance) * jax.random.normal(of_start, (inputs, width))
    functional = jax.random.normal(of_functional, (inputs, width)) / jnp.sqrt(width)
    cuts = np.cumsum([count for _, count in phis])[:-1].tolist()

    def layer(h: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        layer_key, perturbation = step
        of_weights, of_biases = jax.random.split(layer_key)
        weights = jax.random.normal(of_weights, (width, width)) / jnp.sqrt(width)
        active = [phi(part) for (phi, _), part in zip(phis, jnp.split(h, cuts), strict=True)]
        biases = sigma_b * jax.random.normal(of_biases, (width,))
        return sigma_w * (jnp.concatenate(active) @ weights) + biases + perturbation, None

    def loss(perturbations: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(of_layers, depth - 1)
        last, _ = jax.lax.scan(layer, start + perturbations[0], (keys, perturbations[1:]))
        return jnp.sum(functional * last), last

    slopes, last = jax.grad(loss, has_aux=True)(jnp.zeros((depth, *shape)))
    return _log_square(slopes), jnp.mean(last**2, axis=(1, 2))


def _log_square(slopes: jax.Array) -> jax.Array:
    """log sum g^2 of each layer and row, scaled first: a square may leave float32."""
    scale = jnp.max(jnp.abs(slopes), axis=(2, 3))
    safe = jnp.where(scale > 0, scale, 1.0)
    total = jnp.sum((slopes / safe[..., None, None]) ** 2, axis=(2, 3))
    return jnp.where(scale > 0, jnp.log(total) + 2 * jnp.log(safe), -jnp.inf)


def rows_of(
    phis: Sequence[Activation],
    sigma_w: Sequence[float],
    sigma_b: Sequence[float],
    variance: Sequence[float],
) -> Rows:
    """Rows in which every activation has its own scales."""
    return Rows(
        tuple((phi, 1) for phi in phis), *(np.array(each) for each in (sigma_w, sigma_b, variance))
    )

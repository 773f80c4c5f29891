"""Layer-wise gradients of random deep networks, measured by reverse mode.  No SymPy here.

dL/dh_l is read off as the gradient with respect to a zero perturbation added to the
pre-activation h_l; L is a random linear functional of the last layer, so the numbers are
about the network and not about a loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets.mlp import MLP

#: Edges of the histograms of log10 |dL/dh_l|: ten bins a decade, float32's whole range.
EDGES = np.linspace(-46.0, 14.0, 601)


@dataclass(frozen=True)
class Sizes:
    """What all networks of a measurement have in common.

    Args:
        features: n_0, entries of an input.
        width: n, units of every layer.
        depth: L >= 2, number of layers.
    """

    features: int
    width: int
    depth: int


@dataclass(frozen=True)
class Measurement:
    """Gradients of one activation over the networks of a block.

    Args:
        log_square: log ||dL/dh_l||^2 / ||dL/dh_L||^2, shape (networks, depth).
        counts: Histograms of log10 |dL/dh_l| over `EDGES`, shape (layers, bins).
        zeros: Entries that are exactly 0 (dead units), shape (layers,).
    """

    log_square: np.ndarray
    counts: np.ndarray
    zeros: np.ndarray


def gradients(
    activations: Sequence[str],
    initialiser: str,
    inputs: np.ndarray,
    sizes: Sizes,
    *,
    networks: Sequence[int],
    seed: int,
    layers: Sequence[int],
) -> Mapping[str, Measurement]:
    """Measure every activation on the same random networks, one after another.

    Args:
        activations: Names of phi.
        initialiser: Initialiser of layers 2, ..., L; layer 1 is LeCun.
        inputs: Data, shape (batch, features).
        sizes: Shape of the networks.
        networks: Numbers of the networks; a number fixes the weights whatever else is measured.
        seed: Root of all random streams.
        layers: Layers, 1 to L, whose histograms are counted.

    Raises:
        UsageError: a gradient left the range of float32.
    """
    images = jnp.asarray(inputs)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in activations}
    for number in networks:
        key = jax.random.fold_in(jax.random.key(seed), number)
        weights, functional = _sample(initialiser, sizes, len(inputs), key)
        for name in activations:
            log_square, entries = layer_gradients(name, sizes, weights, images, functional)
            shown = np.stack([np.asarray(entries[layer - 1]) for layer in layers])
            found[name].append((np.asarray(log_square), shown))
    return {name: _summary(name, rows) for name, rows in found.items()}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _sample(
    initialiser: str, sizes: Sizes, batch: int, key: jax.Array
) -> tuple[nnx.State, jax.Array]:
    """Weights of one network and the functional c of L = <c, h_L>, of expected norm 1 per input."""
    weights, functional = jax.random.split(key)
    cotangent = jax.random.normal(functional, (batch, sizes.width)) / jnp.sqrt(sizes.width)
    return nnx.state(_network("linear", initialiser, sizes, weights)), cotangent


@partial(jax.jit, static_argnums=(0, 1))
def layer_gradients(
    activation: str, sizes: Sizes, weights: nnx.State, inputs: jax.Array, functional: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return log ||g_l||^2 / ||g_L||^2, (depth,), and g_l = dL/dh_l, (depth, batch, width)."""
    net = nnx.eval_shape(lambda: _network(activation, "lecun", sizes, jax.random.key(0)))
    nnx.update(net, weights)
    zeros = jnp.zeros((sizes.depth, inputs.shape[0], sizes.width), inputs.dtype)

    def loss(perturbations: jax.Array) -> jax.Array:
        return jnp.sum(functional * net.pre_activations(inputs, perturbations)[-1])

    layers = jax.grad(loss)(zeros)
    log_square = _log_square_norm(layers)
    return log_square - log_square[-1], layers


def _network(activation: str, initialiser: str, sizes: Sizes, key: jax.Array) -> MLP:
    rngs = nnx.Rngs(params=key)
    return MLP(sizes.features, sizes.width, sizes.depth, activation, initialiser, rngs=rngs)


def _log_square_norm(gradient: jax.Array) -> jax.Array:
    """log sum g^2 per layer, scaled first: a norm of 1e-25 squared is 0 in float32."""
    scale = jnp.max(jnp.abs(gradient), axis=(1, 2))
    safe = jnp.where(scale > 0, scale, 1.0)
    total = jnp.sum((gradient / safe[:, None, None]) ** 2, axis=(1, 2))
    return jnp.where(scale > 0, jnp.log(total) + 2 * jnp.log(safe), -jnp.inf)


def _summary(activation: str, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> Measurement:
    log_square = np.stack([row for row, _ in rows])
    if not np.all(np.isfinite(log_square)):
        layer = 1 + int(np.argmin(np.isfinite(log_square).all(axis=0)))
        raise UsageError(
            f"{activation}: ||dL/dh_{layer}|| left the range of float32; use fewer layers"
        )
    entries = np.abs(np.stack([shown for _, shown in rows], axis=1))  # (layers, networks, ...)
    counts = [np.histogram(np.log10(each[each > 0]), bins=EDGES)[0] for each in entries]
    zeros = [int(np.count_nonzero(each == 0)) for each in entries]
    return Measurement(log_square, np.stack(counts), np.array(zeros))

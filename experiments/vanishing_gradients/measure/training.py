"""Back-propagated gradients of a network while it is trained, layer by layer.  No SymPy here."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from diffkit.nets.instruments import objective, signals
from diffkit.nets.mlp import Classifier
from diffkit.training.supervised import cross_entropy

#: Edges of the histograms, in standard deviations of the last hidden layer's gradients.
EDGES = np.linspace(-4.0, 4.0, 82)


def gradients(
    activation: str,
    initialiser: str,
    inputs: np.ndarray,
    targets: np.ndarray,
    *,
    width: int,
    layers: int,
    classes: int,
    rate: float,
    batch: int,
    moments: tuple[int, ...],
    networks: int,
    seed: int,
) -> Mapping[str, np.ndarray]:
    """Train with SGD and look at dL/dh_l of all samples at several moments.

    Args:
        activation: phi.
        initialiser: Of all layers.
        inputs: Samples, (N, features).
        targets: Their classes, (N,).
        width: Units of a hidden layer.
        layers: Hidden layers.
        classes: Number of classes.
        rate: Step size.
        batch: Samples of a step, drawn with replacement.
        moments: Numbers of steps after which gradients are looked at, ascending, 0 first.
        networks: Independent networks.
        seed: Root of all random streams.

    Returns:
        "log_std": log of the standard deviation of the entries of dL/dh_l, (networks, moments,
        layers); "counts": their histograms over `EDGES` in standard deviations of the last hidden
        layer's, summed over the networks, (moments, layers, bins); "loss": (networks, moments).
    """
    of_weights, of_batches = jax.random.split(jax.random.key(seed), (2, networks))
    spans = np.stack([np.array([0, *moments[:-1]]), np.array(moments)], axis=1)
    sizes = (inputs.shape[1], *[width] * layers, classes)
    log_std, counts, loss = _train(
        activation,
        sizes,
        batch,
        _weights(initialiser, sizes, of_weights),
        jnp.asarray(inputs),
        jnp.asarray(targets),
        jnp.asarray(spans),
        rate,
        of_batches,
    )
    return {
        "log_std": np.asarray(log_std),
        "counts": np.asarray(counts).sum(axis=0),
        "loss": np.asarray(loss),
    }


@partial(jax.jit, static_argnums=(0, 1))
def _weights(initialiser: str, sizes: tuple[int, ...], keys: jax.Array) -> nnx.State:
    """Weights of all networks.  They do not depend on the activation."""
    make = lambda key: Classifier(sizes, "linear", initialiser, rngs=nnx.Rngs(key))
    return jax.vmap(lambda key: nnx.state(make(key)))(keys)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _train(
    activation: str,
    sizes: tuple[int, ...],
    batch: int,
    weights: nnx.State,
    inputs: jax.Array,
    targets: jax.Array,
    spans: jax.Array,
    rate: float,
    keys: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One program for each activation: weights, data and moments are its arguments."""
    graph, _ = nnx.split(nnx.eval_shape(lambda: Classifier(sizes, activation, rngs=nnx.Rngs(0))))

    def step(params: nnx.State, of_step: jax.Array) -> nnx.State:
        rows = jax.random.randint(of_step, (batch,), 0, len(targets))
        of, params = objective(nnx.merge(graph, params), cross_entropy, inputs[rows], targets[rows])
        return jax.tree.map(lambda w, g: w - rate * g, params, jax.grad(of)(params))

    def look(params: nnx.State) -> tuple[jax.Array, jax.Array, jax.Array]:
        total = lambda logits: cross_entropy(lambda _: logits, None, targets) * len(targets)
        found = signals(nnx.merge(graph, params), inputs, total)
        hidden = found.gradients[:-1]
        spread = jnp.stack([jnp.std(each) for each in hidden])
        scaled = [each.ravel() / spread[-1] for each in hidden]
        counts = jnp.stack([jnp.histogram(each, jnp.asarray(EDGES))[0] for each in scaled])
        return jnp.log(spread), counts, found.value / len(targets)

    def one(params: nnx.State, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        advance = lambda number, params: step(params, jax.random.fold_in(key, number))

        def to_moment(params: nnx.State, span: jax.Array) -> tuple[nnx.State, Any]:
            params = jax.lax.fori_loop(span[0], span[1], advance, params)
            return params, look(params)

        return jax.lax.scan(to_moment, params, spans)[1]

    return jax.vmap(one)(weights, keys)

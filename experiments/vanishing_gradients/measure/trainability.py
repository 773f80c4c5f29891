"""Many small networks trained on digits: what their gradients were, and how far they got.

No SymPy and no theory here.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree

from diffkit.problems.dataset import Dataset
from diffkit.training.supervised import cross_entropy
from experiments.vanishing_gradients.measure.adaptable import INITIAL, trainer

Array = np.ndarray
Sizes = tuple[int, int, int, int]


def train(
    sizes: Sizes,
    names: tuple[str, ...],
    data: Dataset,
    test: Dataset,
    choice: Mapping[str, Sequence[float]],
    *,
    steps: int,
    batch: int,
    seeds: Sequence[int],
    looks_back: bool = False,
) -> Mapping[str, Array]:
    """Train from every setting and seed, the seeds varying fastest.

    Args:
        sizes: Inputs, units of a layer, square layers at most, outputs.
        names: Activations to choose from.
        data: Training data.
        test: Test data.
        choice: Settings, see `adaptable.settings`.
        steps: Updates.
        batch: Samples of an update.
        seeds: Of weights and batches.
        looks_back: Whether the gradients at the start are measured.

    Returns:
        Per run: "losses" (steps,) and the accuracy on the "test" data after it; if the start is
        asked for, that on the "train" data instead, and of the network at the start "log_norms" of
        dL/dh_l, (layers + 1,), and "change", the relative change of dL/dw by one step of gradient
        descent.
    """
    found = trainer(sizes, names, steps, batch)(data.inputs, data.targets, seeds, choice)
    if not looks_back:
        return {"losses": found.losses, "test": found.accuracy(test.inputs, test.targets)}
    rows = slice(0, 8 * batch)
    norms, change = _start(sizes, names)(
        jnp.asarray(found.seeds),
        {name: jnp.asarray(values) for name, values in found.settings.items()},
        jnp.asarray(data.inputs[rows]),
        jnp.asarray(data.targets[rows]),
    )
    return {
        "losses": found.losses,
        "train": found.accuracy(data.inputs, data.targets),
        "log_norms": np.asarray(norms),
        "change": np.asarray(change),
    }


@cache
def _start(sizes: Sizes, names: tuple[str, ...]) -> Any:
    """The program that measures log norms of gradients by layer and their change by one step."""
    make = trainer(sizes, names, 1, 1).make

    def one(seed: Array, choice: Mapping[str, Array], inputs: Array, targets: Array) -> Any:
        of_weights, _ = jax.random.split(jax.random.key(seed))  # as the trainer draws them
        initial = {name: choice[name] for name in INITIAL}
        graph, params, rest = nnx.split(make(nnx.Rngs(of_weights), **initial), nnx.Param, ...)
        flat, unravel = ravel_pytree(params)

        def run(flat: Array, bumps: Any) -> Any:
            net = nnx.merge(graph, unravel(flat), rest, copy=True)
            return net.pre_activations(inputs, bumps)

        def loss(flat: Array, bumps: Any) -> Array:
            return cross_entropy(lambda _: run(flat, bumps)[1], None, targets)

        shapes = jax.eval_shape(lambda: run(flat, None))
        zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

        def step(flat: Array, _: None) -> Any:
            slope, (of_layers, _) = jax.grad(loss, (0, 1))(flat, zeros)
            return flat - choice["rate"] * slope, (slope, jnp.sum(of_layers**2, axis=(1, 2)))

        _, (slopes, squares) = jax.lax.scan(step, flat, None, length=2)
        change = jnp.linalg.norm(slopes[1] - slopes[0]) / jnp.linalg.norm(slopes[0])
        return jnp.log(squares[0]) / 2, change

    return jax.jit(jax.vmap(one, (0, 0, None, None)))


def escapes(
    noises: Sequence[float], *, rate: float, limit: int, runs: int, seed: int
) -> tuple[Array, Array]:
    """Steps of noisy gradient descent away from the saddle of f = (x^2 - 1)^2/4 + y^2/2 at 0.

    It starts at (0, 1), on the way into the saddle, with gradient noise N(0, s^2) in both
    directions, and has escaped when |x| > 1/2.

    Args:
        noises: s.
        rate: Step size.
        limit: Steps at most.
        runs: Independent runs of each noise.
        seed: Root of all random streams.

    Returns:
        Steps until escape, (noises, runs), `limit` where there was none; and (x, y) after `limit`
        steps without any noise.
    """
    f = lambda z: (z[0] ** 2 - 1) ** 2 / 4 + z[1] ** 2 / 2

    def run(noise: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> Any:
            z, number, key = state
            key, now = jax.random.split(key)
            slope = jax.grad(f)(z) + noise * jax.random.normal(now, (2,))
            return z - rate * slope, number + 1, key

        stays = lambda state: (jnp.abs(state[0][0]) <= 0.5) & (state[1] < limit)
        z, number, _ = jax.lax.while_loop(stays, step, (jnp.array([0.0, 1.0]), 0, key))
        return number, z

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), runs)
        many = jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))
        steps, places = many(jnp.asarray([*noises, 0.0]), keys)
    return np.asarray(steps[:-1]), np.asarray(places[-1, 0])

"""Learning rates and optimisers on a network that reads digits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.flatten_util import ravel_pytree

from diffkit.nets.mlp import Classifier
from diffkit.training.supervised import Trainer, cross_entropy, fit

#: Iterations of the power method; the gap of the largest curvatures is a few per cent.
POWER_ITERATIONS = 200
#: Size of the perturbation, relative to the parameters.
NUDGE = 1e-5

OPTIMISERS: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "SGD": optax.sgd,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "Nesterov": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9, nesterov=True),
    "Adagrad": optax.adagrad,
    "Adadelta": optax.adadelta,
    "RMSProp": optax.rmsprop,
    "Adam": optax.adam,
    "Nadam": optax.nadam,
    "AdamW": optax.adamw,
    "Lion": optax.lion,
}


def make(rngs: nnx.Rngs) -> nnx.Module:
    """The network of every measurement: 64 pixels, 32 hidden units, 10 digits."""
    return Classifier((64, 32, 10), "tanh", rngs=rngs)


def accuracies(
    inputs: np.ndarray,
    targets: np.ndarray,
    *,
    rates: Sequence[float],
    batch: int,
    epochs: int,
    seeds: Sequence[int],
) -> np.ndarray:
    """Share of training samples that SGD gets right after some epochs, (rates, seeds)."""
    steps = epochs * (len(targets) // batch)
    trainer = Trainer(make, optax.sgd, steps, batch)
    found = trainer(inputs, targets, seeds, {"learning_rate": rates})
    return found.accuracy(inputs, targets).reshape(len(rates), len(seeds))


def nudged(
    inputs: np.ndarray, targets: np.ndarray, shares: Sequence[float], *, steps: int, seed: int
) -> tuple[float, np.ndarray]:
    """What a step of descent makes of a nudge along the direction of largest curvature.

    The network is trained first; then one step is taken from its parameters and from nudged ones,
    and the difference after the step, along the direction, is held against the nudge.

    Args:
        inputs: Samples.
        targets: Classes.
        shares: Learning rates as multiples of 1/curvature.
        steps: Updates of the training.
        seed: Seed of the weights.

    Returns:
        The curvature lambda, and the factor of the nudge for every share.
    """
    trained = fit(
        make, inputs, targets, optax.sgd, steps=steps, batch=len(targets), seeds=(seed,),
        settings={"learning_rate": (0.5,)},
    )  # fmt: skip
    with jax.enable_x64(True):
        graph, params, rest = nnx.split(trained.module(0), nnx.Param, ...)
        flat, rebuilt = ravel_pytree(
            jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        )
        data = jnp.asarray(inputs, jnp.float64), jnp.asarray(targets)

        def loss(flat: jax.Array) -> jax.Array:
            return cross_entropy(nnx.merge(graph, rebuilt(flat), rest), *data)

        slope = jax.jit(jax.grad(loss))
        curvature, direction = _steepest(loss, flat)
        nudge = NUDGE * jnp.linalg.norm(flat)

        def factor(share: jax.Array) -> jax.Array:
            rule = optax.sgd(share / curvature)
            ends = [
                optax.apply_updates(start, rule.update(slope(start), rule.init(start))[0])
                for start in (flat + nudge * direction, flat - nudge * direction)
            ]
            return direction @ (ends[0] - ends[1]) / (2 * nudge)

        factors = jax.jit(jax.vmap(factor))(jnp.asarray(shares))
        return float(curvature), np.asarray(factors)


def _steepest(loss: Any, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Largest curvature and its direction by the power method on Hessian-vector products."""

    @jax.jit
    def run(start: jax.Array) -> tuple[jax.Array, jax.Array]:
        def product(v: jax.Array) -> jax.Array:
            return jax.jvp(jax.grad(loss), (flat,), (v,))[1]

        def turn(_: int, v: jax.Array) -> jax.Array:
            turned = product(v)
            return turned / jnp.linalg.norm(turned)

        v = jax.lax.fori_loop(0, POWER_ITERATIONS, turn, start / jnp.linalg.norm(start))
        return v @ product(v), v

    return run(jax.random.normal(jax.random.key(0), flat.shape))


def race(
    inputs: np.ndarray,
    targets: np.ndarray,
    name: str,
    *,
    rates: Sequence[float],
    batch: int,
    steps: int,
    seeds: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed training losses and final accuracies of one optimiser.

    Returns:
        Mean loss of the last tenth of the steps, and share of training samples got right, both
        (rates, seeds).
    """
    trainer = Trainer(make, OPTIMISERS[name], steps, batch)
    found = trainer(inputs, targets, seeds, {"learning_rate": rates})
    shape = len(rates), len(seeds)
    ends = found.losses[:, -max(1, steps // 10) :].mean(axis=1)
    return ends.reshape(shape), found.accuracy(inputs, targets).reshape(shape)

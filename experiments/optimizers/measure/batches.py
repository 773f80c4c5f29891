"""SGD and momentum of Optax on a noisy quadratic, batch by batch, many shufflings at once."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

#: Shufflings that run as one program.
SIDE_BY_SIDE = 16


def losses(
    problem: Any,
    *,
    step: float,
    momentum: float,
    batch: int,
    epochs: int,
    shufflings: range,
    seed: int,
) -> np.ndarray:
    """Mean training loss at the end of every epoch, in float64, (shufflings, epochs + 1).

    Every epoch is a new shuffling; samples that do not fill a batch are left out of it.

    Args:
        problem: Has `hessian` (d, d), `samples` (N, d), `start` (d,).
        step: Learning rate.
        momentum: 0 for plain SGD.
        batch: Samples of a batch.
        epochs: Passes over the samples.
        shufflings: Numbers of the runs; a number fixes its shufflings.
        seed: Root of the random streams.
    """
    with jax.enable_x64(True):
        arrays = tuple(map(jnp.asarray, (problem.hessian, problem.samples, problem.start)))
        numbers = jnp.arange(shufflings.start, shufflings.stop)
        key = jax.random.key(seed)
        found = _losses(*arrays, key, numbers, step, momentum, batch, epochs)
        return np.asarray(found)


def loss(hessian: jax.Array, samples: jax.Array, theta: jax.Array) -> jax.Array:
    """Mean over samples of (theta - x)' Q (theta - x)/2."""
    away = theta - samples
    return jnp.mean(jnp.sum(away * (away @ hessian), axis=1)) / 2


@partial(jax.jit, static_argnums=(7, 8))
def _losses(
    hessian: jax.Array,
    samples: jax.Array,
    start: jax.Array,
    key: jax.Array,
    numbers: jax.Array,
    step: float,
    momentum: float,
    batch: int,
    epochs: int,
) -> jax.Array:
    rule = optax.sgd(step, momentum=momentum)
    slope = jax.grad(loss, argnums=2)
    in_epoch = len(samples) // batch

    def update(state: Any, rows: jax.Array) -> Any:
        theta, memory = state
        change, memory = rule.update(slope(hessian, samples[rows], theta), memory, theta)
        return (optax.apply_updates(theta, change), memory), None

    def one(number: jax.Array) -> jax.Array:
        def epoch(state: Any, key: jax.Array) -> Any:
            rows = jax.random.permutation(key, len(samples))[: in_epoch * batch]
            state, _ = jax.lax.scan(update, state, rows.reshape(in_epoch, batch))
            return state, loss(hessian, samples, state[0])

        keys = jax.random.split(jax.random.fold_in(key, number), epochs)
        _, found = jax.lax.scan(epoch, (start, rule.init(start)), keys)
        return jnp.concatenate([loss(hessian, samples, start)[None], found])

    return jax.lax.map(one, numbers, batch_size=SIDE_BY_SIDE)

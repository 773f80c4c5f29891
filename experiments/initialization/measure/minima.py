"""Where gradient descent from random starts ends, and what equal units do.  No SymPy here."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

#: Corners of a square and whether exactly one coordinate is positive.
CORNERS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))
EITHER = (-1.0, 1.0, 1.0, -1.0)
RATE = 0.05
WELL_STEPS = 3000
#: Hidden units that arrays have room for, or the next power of two.
LEAST = 8


def final_losses(width: int, *, starts: int, steps: int, seed: int) -> np.ndarray:
    """Mean squared error of exclusive or after training, (starts,), float64; 1 is the mean's.

    Args:
        width: Hidden tanh units.
        starts: Random starts.
        steps: Updates of gradient descent with momentum 0.9 on all four corners.
        seed: Root of all random streams.
    """
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.key(seed), width)
        shape = max(LEAST, 1 << (width - 1).bit_length())
        return np.asarray(_trained(key, jnp.asarray(width), shape, starts, steps))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _trained(key: jax.Array, width: jax.Array, shape: int, starts: int, steps: int) -> jax.Array:
    """Losses of networks in arrays of a shape that many widths share, as a compiled program is."""
    rule = optax.sgd(RATE, momentum=0.9)

    def train(start: jax.Array) -> jax.Array:
        def step(state: tuple, _: None) -> tuple:
            weights, memory = state
            update, memory = rule.update(jax.grad(_loss)(weights), memory)
            return (optax.apply_updates(weights, update), memory), None

        # Units that are 0 have no gradient: they stay out of the network.
        is_used = jnp.arange(shape) < width
        *units, shift = _weights(start, shape, width)
        weights = (*(jnp.where(is_used, each, 0.0) for each in units), shift)
        (weights, _), _ = jax.lax.scan(step, (weights, rule.init(weights)), length=steps)
        return _loss(weights)

    return jax.vmap(train)(jax.random.split(key, starts))


def _weights(key: jax.Array, units: int, width: Any) -> tuple[jax.Array, ...]:
    """Hidden weights and biases, output weights and bias, of the fan-in `width`."""
    drawn = jax.random.normal(key, (4, units))
    return (
        drawn[:2] / jnp.sqrt(2),
        drawn[2] / jnp.sqrt(2),
        drawn[3] / jnp.sqrt(width),
        jnp.zeros(()),
    )


def _loss(weights: tuple[jax.Array, ...]) -> jax.Array:
    first, bias, last, shift = weights
    outputs = jnp.tanh(jnp.array(CORNERS) @ first + bias) @ last + shift
    return jnp.mean((outputs - jnp.array(EITHER)) ** 2)


def ends(slope: object, starts: np.ndarray, rates: Sequence[float]) -> np.ndarray:
    """Where gradient descent on a function of one number ends, (rates, starts), float64.

    Args:
        slope: Its derivative, a JAX function.
        starts: Where it begins.
        rates: Step sizes.
    """
    with jax.enable_x64(True):

        def descend(rate: jax.Array, x: jax.Array) -> jax.Array:
            return jax.lax.fori_loop(0, WELL_STEPS, lambda _, x: x - rate * slope(x), x)

        each = jax.vmap(jax.vmap(descend, (None, 0)), (0, None))
        return np.asarray(jax.jit(each)(jnp.asarray(rates), jnp.asarray(starts)))


def distinct_units(scheme: str, *, width: int, steps: int, seed: int) -> tuple[int, float]:
    """Numbers of different hidden units after training, and the largest gradient of the last layer.

    Args:
        scheme: "random", "equal" (every unit starts alike) or "zero".
        width: Hidden units.
        steps: Updates of gradient descent on all samples.
        seed: Root of all random streams.
    """
    with jax.enable_x64(True):
        found = _units(jax.random.key(seed), scheme, width, steps)
    units, slope = map(np.asarray, found)
    return len(np.unique(units, axis=0)), float(np.max(np.abs(slope)))


@partial(jax.jit, static_argnums=(1, 2, 3))
def _units(key: jax.Array, scheme: str, width: int, steps: int) -> tuple[jax.Array, jax.Array]:
    first, bias, last, shift = _weights(key, width, width)
    if scheme == "zero":
        first, bias, last = (jnp.zeros_like(each) for each in (first, bias, last))
    if scheme == "equal":
        first, bias, last = (
            jnp.broadcast_to(each[..., :1], each.shape) for each in (first, bias, last)
        )

    def step(weights: tuple[jax.Array, ...], _: None) -> tuple:
        return jax.tree.map(lambda w, g: w - RATE * g, weights, jax.grad(_loss)(weights)), None

    weights, _ = jax.lax.scan(step, (first, bias, last, shift), length=steps)
    first, bias, last, _ = weights
    return jnp.concatenate([first, bias[None], last[None]]).T, jax.grad(_loss)(weights)[0]

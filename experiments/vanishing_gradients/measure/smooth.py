"""Networks learn a smooth function from its values, and are judged by its derivative."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.training.supervised import squared_error
from experiments.vanishing_gradients.measure.adaptable import adam, trainer

SAMPLES = 1024


def target(x: jax.Array) -> jax.Array:
    """sin(2 x_1) cos(x_2) at one point of [-2, 2]^2."""
    return jnp.sin(2 * x[0]) * jnp.cos(x[1])


def slope_errors(
    names: tuple[str, ...],
    choice: Mapping[str, Sequence[float]],
    *,
    width: int,
    steps: int,
    batch: int,
    seeds: Sequence[int],
) -> np.ndarray:
    """Relative squared error of the gradient by the inputs on new points, per run.

    Args:
        names: Activations to choose from.
        choice: Settings, see `adaptable.settings`; the optimiser is Adam.
        width: Units of a layer.
        steps: Updates.
        batch: Samples of an update.
        seeds: Of weights and batches.
    """
    train, test = (
        jnp.asarray(np.random.default_rng(seed).uniform(-2, 2, (SAMPLES, 2)), "float32")
        for seed in (0, 1)
    )
    sizes = (2, width, int(max(choice["depth"])), 1)
    program = trainer(sizes, names, steps, batch, squared_error, adam)
    found = program(train, jax.vmap(target)(train), seeds, choice)
    return found.evaluate(_slope_error, test, jax.vmap(jax.grad(target))(test))


def _slope_error(module: Any, inputs: jax.Array, slopes: jax.Array) -> jax.Array:
    """Mean |grad f - grad y|^2 over mean |grad y|^2."""
    found = jax.vmap(jax.grad(lambda x: module(x[None])[0, 0]))(inputs)
    return jnp.sum((found - slopes) ** 2) / jnp.sum(slopes**2)

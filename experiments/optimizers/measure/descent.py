"""Gradient descent of Optax over learning rates: a parabola, and a curve with two wells."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def parabola(rates: np.ndarray, steps: int) -> np.ndarray:
    """x_0 = 1, x_1, ... on x^2/2 with every learning rate, (rates, steps + 1), in float64."""
    with jax.enable_x64(True):
        slope = jax.grad(lambda x: x**2 / 2)
        _, paths = jax.vmap(lambda rate: _descend(slope, rate, jnp.ones(()), steps, lambda x: x))(
            jnp.asarray(rates)
        )
        return np.concatenate([np.ones((len(rates), 1)), np.asarray(paths)], axis=1)


def two_wells(
    coefficients: tuple[float, ...], rates: np.ndarray, starts: np.ndarray, steps: int
) -> np.ndarray:
    """Where descent on a polynomial ends from every start with every rate, (rates, starts).

    Args:
        coefficients: Of the polynomial, constant first.
        rates: Learning rates.
        starts: Where it begins.
        steps: Updates.
    """
    with jax.enable_x64(True):
        powers = jnp.asarray(coefficients)[::-1]
        slope = jax.vmap(jax.grad(lambda x: jnp.polyval(powers, x)))
        of_rates = jax.vmap(
            lambda rate: _descend(slope, rate, jnp.asarray(starts), steps, lambda x: None)[0]
        )
        return np.asarray(of_rates(jnp.asarray(rates)))


def _descend(
    slope: Callable[[jax.Array], jax.Array],
    rate: jax.Array,
    start: jax.Array,
    steps: int,
    keep: Callable[[jax.Array], Any],
) -> tuple[jax.Array, Any]:
    """The end, and what is kept of every step."""
    rule = optax.sgd(rate)

    def update(state: Any, _: Any) -> Any:
        x, memory = state
        change, memory = rule.update(slope(x), memory, x)
        x = optax.apply_updates(x, change)
        return (x, memory), keep(x)

    (end, _), kept = jax.lax.scan(update, (start, rule.init(start)), length=steps)
    return end, kept

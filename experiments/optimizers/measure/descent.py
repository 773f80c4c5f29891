"""Gradient descent of Optax over learning rates: a parabola, and a curve with two wells."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def parabola(rates: np.ndarray, steps: int) -> np.ndarray:
    """x_0 = 1, x_1, ... on x^2/2 with every learning rate, (rates, steps + 1), in float64."""
    with jax.enable_x64(True):
        return np.asarray(
            _descend(jax.grad(lambda x: x**2 / 2), jnp.asarray(rates), jnp.ones(()), steps)
        )


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
        slope = jax.grad(lambda x: jnp.polyval(powers, x))
        of_starts = jax.vmap(lambda x: _descend(slope, jnp.asarray(rates), x, steps)[:, -1])
        return np.asarray(of_starts(jnp.asarray(starts))).T


def _descend(slope: Any, rates: jax.Array, start: jax.Array, steps: int) -> jax.Array:
    def one(rate: jax.Array) -> jax.Array:
        rule = optax.sgd(rate)

        def update(state: Any, _: Any) -> Any:
            x, memory = state
            change, memory = rule.update(slope(x), memory, x)
            x = optax.apply_updates(x, change)
            return (x, memory), x

        _, found = jax.lax.scan(update, (start, rule.init(start)), length=steps)
        return jnp.concatenate([start[None], found])

    return jax.vmap(one)(rates)

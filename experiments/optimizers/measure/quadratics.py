"""Linear methods of Optax on quadratics: decay of the error, Jacobians, noise floors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree


def method(step: Any, momentum: Any, *, is_ahead: bool = False) -> optax.GradientTransformation:
    """Gradient descent, the heavy ball, or Nesterov's method, as Optax has them."""
    return optax.sgd(step, momentum=momentum, nesterov=is_ahead)


def errors(
    curvatures: np.ndarray, step: float, momentum: float, steps: int, *, is_ahead: bool
) -> np.ndarray:
    """log max |x_t| for t = 0 ... steps, from x = 1 in every direction, in float64."""
    with jax.enable_x64(True):
        return np.asarray(_errors(jnp.asarray(curvatures), step, momentum, steps, is_ahead))


@partial(jax.jit, static_argnums=(3, 4))
def _errors(
    curvatures: jax.Array, step: float, momentum: float, steps: int, is_ahead: bool
) -> jax.Array:
    rule = method(step, momentum, is_ahead=is_ahead)
    slope = jax.grad(lambda x: jnp.sum(curvatures * x**2) / 2)

    def update(state: Any, _: Any) -> Any:
        x, memory = state
        change, memory = rule.update(slope(x), memory, x)
        x = optax.apply_updates(x, change)
        return (x, memory), jnp.log(jnp.abs(x).max())

    start = jnp.ones_like(curvatures)
    _, found = jax.lax.scan(update, (start, rule.init(start)), length=steps)
    return jnp.concatenate([jnp.zeros(1), found])


def fitted_rate(log_errors: np.ndarray, *, is_defective: bool) -> float:
    """The rho of |x_t| ~ rho^t, or ~ t rho^t, by least squares over the last half of the run."""
    t = np.arange(len(log_errors), dtype=float)
    half = slice(len(t) // 2, None)
    heights = log_errors - (np.log(np.maximum(t, 1)) if is_defective else 0.0)
    slope = np.polyfit(t[half], heights[half], 1)[0]
    return float(np.exp(slope))


def radii(steps: np.ndarray, momenta: np.ndarray) -> np.ndarray:
    """Spectral radius of an update on x^2/2, from the Jacobian that AD finds, for pairs (a, b)."""
    with jax.enable_x64(True):
        jacobians = np.asarray(_jacobians(jnp.asarray(steps), jnp.asarray(momenta)))
    return np.abs(np.linalg.eigvals(jacobians)).max(axis=-1)


@jax.jit
def _jacobians(steps: jax.Array, momenta: jax.Array) -> jax.Array:
    """d(next state)/d(state) of one Optax update, state = (x, memory)."""
    x = jnp.zeros(())

    def jacobian(step: jax.Array, momentum: jax.Array) -> jax.Array:
        rule = method(step, momentum)
        flat, rebuilt = ravel_pytree((x, rule.init(x)))

        def update(state: jax.Array) -> jax.Array:
            x, memory = rebuilt(state)
            change, memory = rule.update(jax.grad(lambda x: x**2 / 2)(x), memory, x)
            return ravel_pytree((optax.apply_updates(x, change), memory))[0]

        return jax.jacfwd(update)(flat)

    return jax.vmap(jacobian)(steps, momenta)


def noisy_chains(
    step: float, momentum: float, *, chains: int, burn: int, steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of x^2 and share of turns of every chain at curvature 1 under noise of variance 1.

    A turn is an update of the opposite sign to the one before.

    Returns:
        Two arrays (chains,), over `steps` steps after `burn` steps.
    """
    with jax.enable_x64(True):
        found = _chains(step, momentum, jax.random.key(seed), chains, burn, steps)
        return tuple(np.asarray(each) for each in found)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _chains(
    step: float, momentum: float, key: jax.Array, chains: int, burn: int, steps: int
) -> tuple[jax.Array, jax.Array]:
    rule = method(step, momentum)
    slope: Callable[[jax.Array], jax.Array] = jax.grad(lambda x: jnp.sum(x**2) / 2)

    def update(state: Any, number: jax.Array) -> Any:
        x, memory, last, squares, turns = state
        noise = jax.random.normal(jax.random.fold_in(key, number), (chains,))
        change, memory = rule.update(slope(x) + noise, memory, x)
        x = optax.apply_updates(x, change)
        counted = number >= burn
        squares += jnp.where(counted, x**2, 0.0)
        turns += jnp.where(counted, change * last < 0, False)
        return (x, memory, change, squares, turns), None

    zeros = jnp.zeros(chains)
    start = (zeros, rule.init(zeros), zeros, zeros, zeros)
    (_, _, _, squares, turns), _ = jax.lax.scan(update, start, jnp.arange(burn + steps))
    return squares / steps, turns / steps


def falling_rate(*, chains: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x^2 after `steps` steps at curvature 1 with the steps 1/10 and 1/t, each (chains,)."""
    with jax.enable_x64(True):
        key = jax.random.key(seed)
        constant = _ends(optax.sgd(0.1), key, chains, steps)
        falling = _ends(optax.sgd(lambda count: 1.0 / (count + 1.0)), key, chains, steps)
        return np.asarray(constant) ** 2, np.asarray(falling) ** 2


def _ends(rule: optax.GradientTransformation, key: jax.Array, chains: int, steps: int) -> jax.Array:
    def update(state: Any, number: jax.Array) -> Any:
        x, memory = state
        noise = jax.random.normal(jax.random.fold_in(key, number), (chains,))
        change, memory = rule.update(x + noise, memory, x)
        return (optax.apply_updates(x, change), memory), None

    start = jnp.ones(chains)
    (x, _), _ = jax.lax.scan(update, (start, rule.init(start)), jnp.arange(steps))
    return x

"""Adaptive optimisers of Optax on sequences of gradients that are given, in float64."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

#: Small enough to play no part beside any root of a gradient's square.
TINY = 1e-200
PERIOD = 3


def adam_steps(gradients: np.ndarray, decays: tuple[float, float]) -> np.ndarray:
    """|step| of Adam with learning rate 1 at every gradient of every row, the shape of them."""
    with jax.enable_x64(True):
        return np.asarray(_adam_steps(jnp.asarray(gradients), *decays))


@jax.jit
def _adam_steps(gradients: jax.Array, b1: float, b2: float) -> jax.Array:
    rule = optax.adam(1.0, b1=b1, b2=b2, eps=TINY)

    def update(memory: Any, gradient: jax.Array) -> Any:
        change, memory = rule.update(gradient, memory)
        return memory, jnp.abs(change)

    start = rule.init(gradients[..., 0])
    _, found = jax.lax.scan(update, start, jnp.moveaxis(gradients, -1, 0))
    return jnp.moveaxis(found, 0, -1)


def growing(decays: tuple[float, float], steps: int, silence: int = 0) -> np.ndarray:
    """Gradients (b2/b1)^t after `silence` zeros."""
    return np.concatenate([np.zeros(silence), (decays[1] / decays[0]) ** np.arange(float(steps))])


def wild(rows: int, steps: int, seed: int) -> np.ndarray:
    """Random gradients over many orders of magnitude, with random runs of zeros, (rows, steps)."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(0, 8, (rows, 1)) * np.cumsum(rng.normal(size=(rows, steps)), 1) / 8)
    is_zero = rng.random((rows, steps)) < rng.random((rows, 1))
    return np.where(is_zero, 0.0, size * rng.choice([-1.0, 1.0], (rows, steps)))


#: The printed AMSGrad corrects no bias; Optax does unless it is told not to.
REDDI: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "Adam": optax.adam,
    "AMSGrad": partial(optax.amsgrad, bias_correction_mu=False, bias_correction_nu=False),
    "AMSGrad (corrected)": optax.amsgrad,
}


def _reddi_rule(name: str, step: Any, b2: Any) -> optax.GradientTransformation:
    return REDDI[name](step, b1=0.0, b2=b2, eps=TINY)


def counterexample(
    name: str, slope: float, *, periods: int, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """x and the mean regret of an optimiser on Reddi's losses, at the end of every period.

    The loss is C x at every third step and -x at the others, x in [-1, 1], the step rate/sqrt(t);
    the optimiser has b1 = 0 and b2 = 1/(1 + C^2), and x is projected after each update.
    """
    with jax.enable_x64(True):
        found = _counterexample(name, slope, periods, rate)
        return tuple(np.asarray(each) for each in found)


@partial(jax.jit, static_argnums=(0, 2))
def _counterexample(
    name: str, slope: float, periods: int, rate: float
) -> tuple[jax.Array, jax.Array]:
    schedule = lambda count: rate / jnp.sqrt(count + 1.0)
    rule = _reddi_rule(name, schedule, 1 / (1 + slope**2))
    slopes = jnp.where(jnp.arange(PERIOD) == 0, slope, -1.0)

    def update(state: Any, gradient: jax.Array) -> Any:
        x, memory, loss = state
        value, found = jax.value_and_grad(lambda x: gradient * x)(x)
        change, memory = rule.update(found, memory, x)
        x = jnp.clip(optax.apply_updates(x, change), -1.0, 1.0)
        # against the best fixed x of all, which is -1
        return (x, memory, loss + value + gradient), None

    def period(state: Any, number: jax.Array) -> Any:
        state, _ = jax.lax.scan(update, state, slopes)
        return state, (state[0], state[2] / (PERIOD * (number + 1)))

    x = jnp.zeros(())
    _, found = jax.lax.scan(period, (x, rule.init(x), jnp.zeros(())), jnp.arange(periods))
    return found


def drift(name: str, slope: float, *, periods: int) -> float:
    """Move over one period at a constant step, per step size, once v repeats."""
    with jax.enable_x64(True):
        rule = _reddi_rule(name, 1.0, 1 / (1 + slope**2))
        gradients = jnp.tile(jnp.asarray([slope, -1.0, -1.0]), periods)

        def update(memory: Any, gradient: jax.Array) -> Any:
            change, memory = rule.update(gradient, memory)
            return memory, change

        _, changes = jax.lax.scan(update, rule.init(jnp.zeros(())), gradients)
        return float(jnp.sum(changes[-PERIOD:]))


def distances(steps: int) -> dict[str, np.ndarray]:
    """How far Adagrad and Adadelta are after 1 ... `steps` gradients of 1, per learning rate."""
    rules = {
        "Adagrad": optax.adagrad(1.0, initial_accumulator_value=0.0, eps=0.0),
        "Adadelta": optax.adadelta(1.0),
    }
    with jax.enable_x64(True):
        return {name: np.asarray(_distances(rule, steps)) for name, rule in rules.items()}


def _distances(rule: optax.GradientTransformation, steps: int) -> jax.Array:
    def update(memory: Any, _: Any) -> Any:
        change, memory = rule.update(jnp.ones(()), memory, jnp.zeros(()))
        return memory, -change

    _, changes = jax.lax.scan(update, rule.init(jnp.zeros(())), length=steps)
    return jnp.cumsum(changes)


def path(optimiser: str, scale: float, *, steps: int) -> np.ndarray:
    """x_1 ... x_steps on scale (x^2/2 + cos x) from x = 3, by "Adadelta" or "descent"."""
    rules = {"Adadelta": optax.adadelta(1.0, eps=1e-12), "descent": optax.sgd(1e-3)}
    rule = rules[optimiser]
    with jax.enable_x64(True):
        slope = jax.grad(lambda x: scale * (x**2 / 2 + jnp.cos(x)))

        def update(state: Any, _: Any) -> Any:
            x, memory = state
            change, memory = rule.update(slope(x), memory, x)
            x = optax.apply_updates(x, change)
            return (x, memory), x

        x = jnp.asarray(3.0)
        return np.asarray(jax.lax.scan(update, (x, rule.init(x)), length=steps)[1])

r"""Estimators that differentiate through the draw itself.

Pathwise: $x = g_\theta(\varepsilon)$ with noise that knows nothing of the parameters.
Straight-through: a discrete draw on the way forward, its probabilities on the way back.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def pathwise_gradient(
    objective: Callable[[Any], Any],
    transform: Callable[[Any, Any], Any],
    params: Any,
    noise: Any,
) -> Any:
    r"""Return $\frac1n\sum_i\nabla_\theta f(g_\theta(\varepsilon_i))$.

    Unbiased where f and g are differentiable (a jump of f is not seen).

    Args:
        objective: f, one draw -> a number.
        transform: g, (params, noise of one draw) -> the draw.
        params: Parameters theta, a pytree.
        noise: A pytree of arrays whose first axis is n.

    Source: Kingma and Welling (2014), arXiv:1312.6114, section 2.4.

    >>> shift = lambda mean, noise: mean + noise
    >>> print(pathwise_gradient(jnp.square, shift, 1.0, jnp.array([-0.5, 0.5])))
    2.0
    """

    def mean_objective(params: Any) -> Any:
        return jnp.mean(jax.vmap(lambda each: objective(transform(params, each)))(noise))

    return jax.grad(mean_objective)(params)


def antithetic(estimate: Callable[[Any], Any], noise: Any) -> Any:
    r"""Return $\frac12(e(\varepsilon) + e(-\varepsilon))$: unbiased for symmetric noise.

    Args:
        estimate: Noise -> estimate, a pytree.
        noise: A pytree of arrays with a distribution symmetric about 0.

    >>> print(antithetic(lambda noise: noise + noise**2, jnp.array(3.0)))
    9.0
    """
    mirrored = jax.tree.map(jnp.negative, noise)
    return jax.tree.map(lambda a, b: (a + b) / 2, estimate(noise), estimate(mirrored))


def straight_through(probabilities: Any, one_hot: Any) -> Any:
    r"""Return the one-hot draw, with the derivative of the probabilities.

    Unbiased for objectives that are linear in the draw; biased for others.

    Args:
        probabilities: p, shape (..., k).
        one_hot: The draw, shape (..., k).

    Source: Bengio, Leonard and Courville (2013), arXiv:1308.3432.

    >>> draw = lambda p: straight_through(p, jnp.array([0.0, 1.0]))
    >>> print(draw(jnp.array([0.25, 0.75])), jax.jacobian(draw)(jnp.array([0.25, 0.75])).trace())
    [0. 1.] 2.0
    """
    # p - stop(p) is exactly 0, so the value is the draw without rounding
    return jax.lax.stop_gradient(one_hot) + (probabilities - jax.lax.stop_gradient(probabilities))

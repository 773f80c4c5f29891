r"""Score-function estimators of the gradient of a mean reward.

$$\nabla_\theta E_{x\sim p_\theta}[r(x)] = E_{x\sim p_\theta}[r(x)\,\nabla_\theta\log p_\theta(x)]$$

A gradient is `score_gradient(log_density, params, draws, weights)`; the functions after it make
the weights of a group of n draws from their rewards.  Whether the result is unbiased depends on the
weights alone, and `dk.verify_estimator` says it.  Draws of a group lie along the first axis.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.core.errors import UsageError


def score_gradient(
    log_density: Callable[[Any, Any], Any], params: Any, draws: Any, weights: Any
) -> Any:
    r"""Return $\frac1n\sum_i w_i\,\nabla_\theta\log p_\theta(x_i)$.

    Args:
        log_density: (params, one draw) -> log p, a number.
        params: Parameters theta, a pytree.
        draws: n draws, a pytree of arrays whose first axis is n.
        weights: w, shape (n,); no gradient flows through them.

    Returns:
        A pytree like `params`.

    Source: Williams (1992), Machine Learning 8.

    >>> log_softmax = lambda logits, arm: jax.nn.log_softmax(logits)[arm]
    >>> gradient = score_gradient(log_softmax, jnp.zeros(2), jnp.array([0, 0]), jnp.ones(2))
    >>> print(gradient)
    [ 0.5 -0.5]
    """
    weights = jax.lax.stop_gradient(jnp.asarray(weights))

    def surrogate(params: Any) -> Any:
        return jnp.mean(weights * jax.vmap(log_density, in_axes=(None, 0))(params, draws))

    return jax.grad(surrogate)(params)


def leave_one_out(rewards: Any) -> Any:
    r"""Return $r_i - \frac{1}{n-1}\sum_{j\ne i} r_j$ (RLOO): unbiased, the baseline is independent.

    Args:
        rewards: Rewards of n >= 2 independent draws, shape (n,).

    Raises:
        UsageError: fewer than two rewards.

    Source: Kool, van Hoof and Welling (2019), "Buy 4 REINFORCE samples, get a baseline for free!"

    >>> print(leave_one_out(jnp.array([1.0, 2.0, 6.0])))
    [-3.  -1.5  4.5]
    """
    rewards = _group(rewards)
    return (rewards - jnp.mean(rewards)) * (len(rewards) / (len(rewards) - 1))


def group_centred(rewards: Any) -> Any:
    r"""Return $r_i - \bar r$: the direction is unbiased, the length is (n - 1)/n of it.

    Args:
        rewards: Rewards of n >= 2 independent draws, shape (n,).

    Raises:
        UsageError: fewer than two rewards.
    """
    rewards = _group(rewards)
    return rewards - jnp.mean(rewards)


def group_normalised(rewards: Any, *, epsilon: float = 0.0) -> Any:
    r"""Return $(r_i - \bar r)/(s + \epsilon)$ with the group's own standard deviation s (GRPO).

    The divisor depends on the very rewards it divides, so the weights are biased, and rare large
    rewards count little.  A group of equal rewards has weights 0.

    Args:
        rewards: Rewards of n >= 2 independent draws, shape (n,).
        epsilon: Added to s, >= 0; 0 is the published formula.

    Raises:
        UsageError: fewer than two rewards.

    Source: Shao et al. (2024), arXiv:2402.03300, section 4.1.

    >>> print(group_normalised(jnp.array([0.0, 100.0])))
    [-1.  1.]
    """
    rewards = _group(rewards)
    centred = group_centred(rewards)
    # equal rewards are compared themselves: their rounded mean may differ from them, and the
    # rounding divided by its own size would be 1; the root is guarded for the gradient's sake
    varies = jnp.any(rewards != rewards[0])
    variance = jnp.where(varies, jnp.mean(centred**2), 1.0)
    return jnp.where(varies, centred / (jnp.sqrt(variance) + epsilon), 0.0)


def _group(rewards: Any) -> Any:
    rewards = jnp.asarray(rewards)
    if rewards.ndim != 1 or len(rewards) < 2:
        raise UsageError(
            f"a group has the rewards of two draws or more, shape (n,), not {rewards.shape}"
        )
    return rewards

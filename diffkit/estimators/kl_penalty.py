r"""The estimators k1, k2, k3 of a divergence from a reference, and what their gradients follow.

$$\mathrm{KL}(\pi\,\|\,\rho) = E_{x\sim\pi}[\log\pi(x) - \log\rho(x)]$$

With the log ratio l = log rho(x) - log pi(x) at a draw x of pi, the mean of all three is at or near
the divergence.  Their gradients, taken with the draws held fixed as in a loss, have other means:

| penalty | mean of its gradient |
|---|---|
| k1 | 0 |
| k2 | the gradient of KL(pi || rho) |
| k3 | the gradient of KL(rho || pi) |

Source: Schulman (2020), "Approximating KL divergence", for the names and the values.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def k1(log_ratio: Any) -> Any:
    r"""Return $-\ell$: unbiased for the divergence, may be negative.

    >>> float(k1(jnp.log(2.0))) < 0
    True
    """
    return -jnp.asarray(log_ratio)


def k2(log_ratio: Any) -> Any:
    r"""Return $\ell^2/2$: biased for the divergence, small where the policies are near.

    >>> float(k2(2.0))
    2.0
    """
    return jnp.asarray(log_ratio) ** 2 / 2


def k3(log_ratio: Any) -> Any:
    r"""Return $e^\ell - 1 - \ell$: unbiased for the divergence, never negative.

    >>> float(k3(0.0))
    0.0
    """
    return jnp.expm1(log_ratio) - log_ratio


def penalty_gradient(
    penalty: Callable[[Any], Any],
    log_policy: Callable[[Any, Any], Any],
    log_reference: Callable[[Any], Any],
    params: Any,
    draws: Any,
) -> Any:
    r"""Return the gradient of a penalty in a loss: the draws are held fixed.

    $$\frac1n\sum_i\nabla_\theta\,k(\log\rho(x_i) - \log\pi_\theta(x_i))$$

    Args:
        penalty: `k1`, `k2`, `k3` or another function of the log ratio.
        log_policy: (params, one draw) -> log pi.
        log_reference: One draw -> log rho.
        params: Parameters theta, a pytree.
        draws: n draws of the policy, a pytree of arrays whose first axis is n.

    >>> log_policy = lambda logits, arm: jax.nn.log_softmax(logits)[arm]
    >>> log_reference = lambda arm: jnp.log(jnp.array([0.5, 0.5]))[arm]
    >>> draws = jnp.array([0, 1])
    >>> print(penalty_gradient(k3, log_policy, log_reference, jnp.zeros(2), draws))
    [0. 0.]
    """

    def loss(params: Any) -> Any:
        ratios = jax.vmap(lambda draw: log_reference(draw) - log_policy(params, draw))(draws)
        return jnp.mean(penalty(ratios))

    return jax.grad(loss)(params)

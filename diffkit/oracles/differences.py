"""Difference quotients of the program itself in float64, with an error bar of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.evidence import Estimate
from diffkit.numeric.differences import difference

NAME = "finite differences"
GROUP = "numerical"


def estimate(subject: Subject, probe: Probe, order: int = 1) -> Estimate:
    """Central differences of phi with truncation and rounding estimated, in float64.

    A scalar variable is stepped itself, so that steps scale with it; an array along the probe's
    direction.
    """
    x = probe.leaves[subject.wrt]
    is_scalar = x.ndim == 0
    start = float(x) if is_scalar else 0.0

    def phi(t: Any) -> Any:
        leaves = list(probe.leaves)
        if is_scalar:
            leaves[subject.wrt] = t
            return subject.line(leaves, jnp.zeros(()), probe.cotangent)(jnp.zeros(()))
        return subject.line(leaves, probe.tangent, probe.cotangent)(t)

    with compat.x64():
        program = jax.jit(jax.vmap(phi))

        def values(t: np.ndarray) -> np.ndarray:
            return np.asarray(program(jnp.asarray(t, dtype=jnp.float64)))

        return difference(values, start, order)

"""Taylor mode: `jax.experimental.jet`, whose rules are not those of jvp and vjp."""

from typing import Any

import jax.numpy as jnp
from jax.experimental import jet

from diffkit.bridge.batch import Row, once
from diffkit.bridge.subject import Subject

NAME = "jet"
GROUP = "AD rules"


@once
def row(subject: Subject, order: int) -> Row:
    """n-th derivative along the line from the truncated Taylor series of the program.

    jet takes and returns derivatives, not coefficients, so no factorial is left over.
    """
    series = [1.0, *[0.0] * (order - 1)]  # of t itself

    def derivative(leaves: Any, tangent: Any, cotangent: Any) -> Any:
        phi = subject.line(leaves, tangent, cotangent)
        zero = jnp.zeros((), leaves[subject.wrt].dtype)
        terms = [jnp.asarray(value, zero.dtype) for value in series]
        _, found = jet.jet(phi, (zero,), (terms,))
        return found[order - 1]

    return derivative

"""Reverse mode: the cotangent that `jax.vjp` pulls back; for n > 1 reverse over forward."""

from typing import Any

import jax
import jax.numpy as jnp

from diffkit.bridge.batch import Row, once
from diffkit.bridge.subject import Subject, rate, weighted

NAME = "reverse"
GROUP = "AD rules"


@once
def row(subject: Subject, order: int) -> Row:
    """<grad_x of the (n-1)-th derivative along v, v> with u pulled back through f itself."""

    def derivative(leaves: Any, tangent: Any, cotangent: Any) -> Any:
        def inner(x: Any) -> Any:
            moved = [*leaves[: subject.wrt], x, *leaves[subject.wrt + 1 :]]
            if order == 1:
                return weighted(cotangent, jax.tree.leaves(subject.call(*moved))[0])
            phi = subject.line(moved, tangent, cotangent)
            for _ in range(order - 1):
                phi = rate(phi)
            return phi(jnp.zeros((), x.dtype))

        return weighted(tangent, jax.grad(inner)(leaves[subject.wrt]))

    return derivative

"""Forward mode: the tangent that `jax.jvp` pushes through the program."""

from typing import Any

import jax

from diffkit.bridge.batch import Row, once
from diffkit.bridge.subject import Subject, rate

NAME = "forward"
GROUP = "AD rules"


@once
def row(subject: Subject, order: int) -> Row:
    """d^n/dt^n <u, f(x + t v)> at t = 0 by nested jvp."""

    def derivative(leaves: Any, tangent: Any, cotangent: Any) -> Any:
        phi = subject.line(leaves, tangent, cotangent)
        for _ in range(order):
            phi = rate(phi)
        return phi(_zero(leaves, subject))

    return derivative


def _zero(leaves: Any, subject: Subject) -> Any:
    return jax.numpy.zeros((), leaves[subject.wrt].dtype)

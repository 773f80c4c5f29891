"""The complex step: Im f(x + ih)/h, for programs made of holomorphic primitives only."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.core.evidence import Estimate
from diffkit.numeric.differences import complex_step

NAME = "complex step"
GROUP = "numerical"

#: Primitives that are holomorphic where they are defined, and those that only move numbers.
HOLOMORPHIC = frozenset(
    "add sub mul div neg exp exp2 log log1p expm1 sin cos tan sinh cosh tanh logistic sqrt rsqrt "
    "integer_pow square broadcast_in_dim reshape squeeze transpose reduce_sum dot_general "
    "convert_element_type jit custom_jvp_call copy add_any".split()
)


def estimate(subject: Subject, probe: Probe) -> Estimate:
    """The first derivative asked for by a probe.

    Raises:
        UnsupportedPrimitive: the program is not made of holomorphic primitives (abs, max, where,
            comparisons), where a complex step would be wrong without a word.
    """
    jaxpr = subject.jaxpr("float64")
    foreign = sorted(compat.primitives(jaxpr) - HOLOMORPHIC)
    if _rounds(jaxpr):
        foreign.append("a narrower type")
    if foreign:
        raise UnsupportedPrimitive(
            f"no complex step through {', '.join(foreign)}: not holomorphic; use differences"
        )

    def phi(t: np.ndarray) -> np.ndarray:
        leaves = [jnp.asarray(leaf) for leaf in probe.leaves]
        leaves[subject.wrt] = leaves[subject.wrt] + t[0] * probe.tangent
        with compat.x64():
            value = subject.line(leaves, jnp.zeros(()), probe.cotangent)(jnp.zeros(()))
        return np.asarray(value).reshape(1)

    # a cast to the type a value has leaves no equation, and would drop the imaginary part
    with compat.x64(), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return complex_step(phi, 0.0)
        except (TypeError, ValueError, Warning) as error:  # complex arguments are refused
            raise UnsupportedPrimitive(f"no complex step: {str(error).splitlines()[0]}") from error


def _rounds(jaxpr: Any) -> bool:
    """Whether a value is converted to another type, which drops its imaginary part."""
    for eqn in compat.open_jaxpr(jaxpr)[0].eqns:
        if eqn.primitive.name == "convert_element_type":
            if eqn.invars[0].aval.dtype != eqn.outvars[0].aval.dtype:
                return True
        elif any(map(_rounds, compat.inner_jaxprs(eqn))):
            return True
    return False

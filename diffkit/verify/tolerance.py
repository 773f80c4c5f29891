"""How far a floating-point derivative may be from the true one: running error analysis.

The program AD runs is itself interpreted with every rounding it may make; the bound is that
program's own and is never multiplied by the number of outputs.
"""

from math import inf
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import Row, traced
from diffkit.bridge.interpret_jaxpr import run
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import DiffkitError
from diffkit.core.evidence import ErrorBound
from diffkit.numeric.rounding import RunningErrorAlgebra

#: XLA may reorder and fuse what the analysis sees in sequence: these ulps are granted first.
FREE_ULPS = 4.0
#: A share beyond which an allowance for rounding checks nothing: a wrong factor would pass.
COARSEST = 0.25


def allowance(ulps: float, dtype: Any) -> float:
    """So many units of a type as a share, at most `COARSEST`: 256 of bfloat16 are 200 %.

    >>> allowance(64, "float32") == 64 * 2.0**-23, allowance(64, "bfloat16")
    (True, 0.25)
    """
    return min(ulps * float(jnp.finfo(dtype).eps), COARSEST)


class Tolerance:
    """The rounding bound of one derivative program.

    Args:
        subject: The function.
        dtype: Its precision.
        row: The derivative program of one AD mode.
    """

    def __init__(self, subject: Subject, dtype: str, row: Row):
        self.subject, self.dtype, self.row = subject, dtype, row

    def free(self, truth: float) -> ErrorBound:
        """What is granted without analysis: a few ulps of the truth, and underflow."""
        limits = jnp.finfo(self.dtype)
        return ErrorBound(
            {
                "rounding": FREE_ULPS * float(limits.eps) * abs(truth),
                "underflow": float(limits.tiny),
            }
        )

    def bound(self, probe: Probe, truth: float) -> ErrorBound:
        """Bound on |AD's value - truth| at the probe; infinite when no bound can be given."""
        try:
            rounding = self._running(probe)
        except DiffkitError:
            rounding = inf
        return self.free(truth) + ErrorBound({"rounding": rounding})

    def _running(self, probe: Probe) -> float:
        leaves = self.subject.at(self.dtype, probe.leaves)
        arguments = [*leaves, *self._weights(probe)]
        program = traced(self.subject, self.dtype, self.row)
        (found,) = run(program, arguments, RunningErrorAlgebra(self.dtype))
        return float(np.asarray(found, dtype=object).item().bound)

    def _weights(self, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
        kind = jnp.dtype(self.dtype)
        return probe.tangent.astype(kind), probe.cotangent.astype(kind)

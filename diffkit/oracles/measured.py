"""Difference quotients in float64 in the place of an enclosure, where ball arithmetic has no row.

The quotients estimate their error and do not prove it: what is judged by them is supported at
most, and refuted only when the closed form, which shares nothing with them, says the same.
"""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from math import inf, isfinite
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from diffkit.backend import compat
from diffkit.bridge.batch import within
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import TimeLimitExceeded
from diffkit.core.evidence import Estimate, Group
from diffkit.numeric import balls
from diffkit.numeric.balls import DerivativeEnclosure, Enclosure
from diffkit.numeric.differences import difference

NAME = "finite differences"
GROUP = "numerical"
#: Time for all questions about one function; what is asked later stays undecided.
SECONDS = 20.0
_UNDECIDED = DerivativeEnclosure(None, None, None, "undecided", "differences take too long")
#: An estimate whose bound exceeds this share of it says nothing.
COARSE = 1e-3
#: One-sided quotients that differ by this share of the larger one are a kink.
JUMP = 1e-4


class Measured:
    """The numerical witness for one function, with the interface of the rigorous one.

    Args:
        subject: The function.
        dtype: Precision of the program that is judged; points are rounded to it.
    """

    name: str = NAME
    group: Group = GROUP

    def __init__(self, subject: Subject, dtype: str):
        self.subject, self.dtype = subject, dtype
        self.seconds = SECONDS

    @cached_property
    def jaxpr(self) -> Any:
        """The program in its own precision."""
        return self.subject.jaxpr(self.dtype)

    @cached_property
    def _program(self) -> Callable[..., Any]:
        """phi at many t, compiled once for all probes."""
        what = self.subject.widened(self.dtype)

        def values(t: Any, leaves: Any, tangent: Any, cotangent: Any) -> Any:
            return jax.vmap(what.line(leaves, tangent, cotangent))(t)

        return jax.jit(values)

    def enclosure(
        self, probe: Probe, order: int = 1, ladder: Sequence[int] = balls.LADDER
    ) -> DerivativeEnclosure:
        """Both one-sided derivatives as intervals of their estimated errors.

        Args:
            probe: The question; its point is rounded to the dtype.
            order: Order of the derivative, 1 to 4.
            ladder: Precisions of the rigorous witness; differences have one.
        """
        if self.seconds <= 0:
            return _UNDECIDED
        leaves = self.subject.at("float64", self.subject.at(self.dtype, probe.leaves))
        start = time.monotonic()
        try:
            with compat.x64():
                return within(self.seconds, lambda: self._sides(probe, leaves, order))
        except TimeLimitExceeded:
            return _UNDECIDED
        finally:
            self.seconds -= time.monotonic() - start

    def _sides(self, probe: Probe, leaves: tuple[Any, ...], order: int) -> DerivativeEnclosure:
        def values(t: np.ndarray) -> np.ndarray:
            steps = jnp.asarray(t, dtype=jnp.float64)
            return np.asarray(self._program(steps, leaves, probe.tangent, probe.cotangent))

        value = float(values(np.zeros(1))[0])
        if not isfinite(value):
            return DerivativeEnclosure(None, None, None, "undefined", "no finite value")
        here = Enclosure.of(arb(value))
        estimates = [difference(values, 0.0, order, side=side) for side in (-1, 1, 0)]
        left, right, both = map(_enclosed, estimates)
        if left is not None and right is not None:
            gap = abs(left.value - right.value)
            size = max(abs(left.value), abs(right.value))
            if gap > JUMP * size and not left.overlaps(right):
                return DerivativeEnclosure(left, right, here, "kink", "by differences")
        if both is None:
            return DerivativeEnclosure(left, right, here, "undecided", "differences do not settle")
        return DerivativeEnclosure(both, both, here, "smooth", "by differences")


def _enclosed(found: Estimate) -> Enclosure | None:
    """The estimate as an interval, None where it does not settle."""
    bound = found.bound.value if found.bound is not None else inf
    if not isfinite(found.value) or not bound <= max(COARSE * abs(found.value), 1e-9):
        return None
    middle = 0.0 if abs(found.value) <= bound else found.value
    return Enclosure.of(arb(middle, bound))

"""Difference quotients of the jaxpr in about 150 digits (mpmath): independent of balls and of AD.

It estimates its error but does not prove it, so it confirms and never refutes alone.
"""

from fractions import Fraction
from typing import Any

import numpy as np

from diffkit.bridge.subject import Probe, Subject
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.numeric import precise

NAME = "difference quotients"
GROUP = "high precision"
#: Beyond this size the digits of an argument and of a step of 1e-25 no longer fit in one number.
HUGE = 2.0**64


def estimate(subject: Subject, dtype: str, jaxpr: Any, probe: Probe, order: int = 1) -> Estimate:
    """Both one-sided quotients at the point rounded to `dtype`; one question is asked once.

    Every mode of AD that disagrees at a probe asks for the same number.
    """
    key = NAME, dtype, id(probe), order
    if key not in subject.memo:
        # the probe is kept, so that its identity is not given to another one
        subject.memo[key] = probe, _estimate(subject, dtype, jaxpr, probe, order)
    return subject.memo[key][1]


def _estimate(subject: Subject, dtype: str, jaxpr: Any, probe: Probe, order: int) -> Estimate:
    leaves = subject.at(dtype, probe.leaves)
    phi = subject.exact_line(jaxpr, leaves, probe)
    unit = _unit(leaves[subject.wrt])
    found = precise.derivative(lambda t: phi(t * unit), 0, order)
    shrunk = float(unit) ** -order
    left, right = float(found.left.value) * shrunk, float(found.right.value) * shrunk
    error = (float(found.left.error) + float(found.right.error)) * shrunk
    bound = ErrorBound({"truncation": error + 1e-15 * max(abs(left), abs(right))})
    if found.agrees:
        return Estimate(right, bound)
    return Estimate(float("nan"), bound, left=left, right=right)


def _unit(x: np.ndarray) -> Fraction:
    """The length steps are measured in: 1, but a power of two of the size of huge arguments."""
    size = float(np.max(np.abs(x), initial=0.0))
    return Fraction(2) ** int(np.log2(size)) if size > HUGE else Fraction(1)

"""Difference quotients of the jaxpr in about 150 digits (mpmath): independent of balls and of AD.

It estimates its error but does not prove it, so it confirms and never refutes alone.
"""

from typing import Any

from diffkit.bridge.subject import Probe, Subject
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.numeric import precise

NAME = "difference quotients"
GROUP = "high precision"


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
    found = precise.derivative(subject.exact_line(jaxpr, leaves, probe), 0, order)
    left, right = float(found.left.value), float(found.right.value)
    error = float(found.left.error) + float(found.right.error)
    bound = ErrorBound({"truncation": error + 1e-15 * max(abs(left), abs(right))})
    if found.agrees:
        return Estimate(right, bound)
    return Estimate(float("nan"), bound, left=left, right=right)

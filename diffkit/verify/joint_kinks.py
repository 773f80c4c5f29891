"""Kinks of a function of several entries that no entry by itself shows.

At a tie of four numbers the median does not change with any one of them, yet it has no gradient
there: in a neighbourhood its partial derivatives are 0 and 1/2.  AD may return any element of the
Clarke subdifferential, the convex hull of the limits of nearby gradients; its projection on one
entry is the interval between the least and the greatest nearby partial derivative.
"""

from math import isfinite

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.subject import Probe, Subject
from diffkit.numeric.balls import DerivativeEnclosure, Enclosure
from diffkit.oracles.rigorous import Rigorous

#: Nearby points asked, and how far they lie, relative to each entry (or to 1 at zero).
SAMPLES = 8
DISTANCE = 2.0**-20
#: A jump is one when it is still there so many times nearer; a steep slope has shrunk with it.
NEARER = 2.0**-10
#: Nearby derivatives that differ by less than this share of the largest are one derivative.
JUMP = 2.0**-8
#: Primitives at whose ties a function of several entries bends.
CHOICES = frozenset(
    "abs argmax argmin clamp cummax cummin max min reduce_max reduce_min reduce_window_max "
    "reduce_window_min select_and_gather_add select_n sign sort top_k".split()
)
NOTE = "the derivatives nearby differ although no single entry has a kink"


def joint_kink(what: Subject, probe: Probe) -> DerivativeEnclosure | None:
    """The interval of nearby derivatives as a kink; None where they are one, or not known.

    Args:
        what: A function of an array.
        probe: The question at the point itself.
    """
    if what.values[what.wrt].size < 2:
        return None  # its own one-sided derivatives say it all
    if CHOICES.isdisjoint(compat.primitives(what.jaxpr("float64"))):
        return None
    oracle = Rigorous(what, "float64")
    far = _nearby_derivatives(what, oracle, probe, DISTANCE)
    if far is None or not _differ(*far):
        return None
    near = _nearby_derivatives(what, oracle, probe, DISTANCE * NEARER)
    if near is None or not _width(*near) >= _width(*far) / 2:
        return None
    return DerivativeEnclosure(*near, oracle.enclosure(probe).value, "kink", NOTE)


def _nearby_derivatives(
    what: Subject, oracle: Rigorous, probe: Probe, distance: float
) -> tuple[Enclosure, Enclosure] | None:
    """The least and the greatest derivative at a distance; None where too few are known."""
    found = []
    for moved in _nearby(probe.leaves[what.wrt], distance):
        leaves = (*probe.leaves[: what.wrt], moved, *probe.leaves[what.wrt + 1 :])
        truth = oracle.enclosure(Probe(leaves, probe.tangent, probe.cotangent, probe.entry))
        derivative = truth.derivative
        if truth.kind == "smooth" and derivative is not None and isfinite(derivative.value):
            found.append(derivative)
    if len(found) < SAMPLES // 2:
        return None
    return min(found, key=_value), max(found, key=_value)


def _value(enclosure: Enclosure) -> float:
    return enclosure.value


def _width(low: Enclosure, high: Enclosure) -> float:
    return high.value - low.value


def _differ(low: Enclosure, high: Enclosure) -> bool:
    return _width(low, high) > JUMP * max(abs(low.value), abs(high.value))


def _nearby(base: np.ndarray, distance: float) -> list[np.ndarray]:
    generator = np.random.default_rng(0)  # the same nearby points in every run
    size = np.where(base == 0, 1.0, np.abs(base)) * distance
    # multiples of one step: entries that tie stay apart by more than rounding
    steps = [np.round(generator.uniform(-64, 64, base.shape)) / 64 for _ in range(SAMPLES)]
    return [base + size * np.where(step == 0, 1 / 64, step) for step in steps]

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
from diffkit.numeric.balls import DerivativeEnclosure
from diffkit.oracles.rigorous import Rigorous

#: Nearby points asked, and how far they lie, relative to each entry (or to 1 at zero).
SAMPLES = 8
DISTANCE = 2.0**-20
#: Nearby derivatives that differ by less than this share of the largest are one derivative.
JUMP = 2.0**-8
#: Primitives at whose ties a function of several entries bends.
CHOICES = frozenset(
    "abs argmax argmin clamp cummax cummin max min reduce_max reduce_min reduce_window_max "
    "reduce_window_min select_and_gather_add select_n sign sort top_k".split()
)
NOTE = "the derivatives nearby differ although no single entry has a kink"


def joint_kink(what: Subject, probe: Probe, *, seed: int = 0) -> DerivativeEnclosure | None:
    """The interval of nearby derivatives as a kink; None where they are one, or not known.

    Args:
        what: A function of an array.
        probe: The question at the point itself.
        seed: Same seed, same nearby points.
    """
    if what.values[what.wrt].size < 2:
        return None  # its own one-sided derivatives say it all
    if CHOICES.isdisjoint(compat.primitives(what.jaxpr("float64"))):
        return None
    key = "joint kink", id(probe), seed
    if key not in what.memo:  # every mode that disagrees at a probe asks the same
        # the probe is kept, so that its identity is not given to another one
        what.memo[key] = probe, _measured(what, probe, seed)
    return what.memo[key][1]


def _measured(what: Subject, probe: Probe, seed: int) -> DerivativeEnclosure | None:
    oracle = Rigorous(what, "float64")
    found = []
    for moved in _nearby(probe.leaves[what.wrt], seed):
        leaves = (*probe.leaves[: what.wrt], moved, *probe.leaves[what.wrt + 1 :])
        truth = oracle.enclosure(Probe(leaves, probe.tangent, probe.cotangent, probe.entry))
        derivative = truth.derivative
        if truth.kind == "smooth" and derivative is not None and isfinite(derivative.value):
            found.append(derivative)
    if len(found) < SAMPLES // 2:
        return None
    low, high = (pick(found, key=lambda each: each.value) for pick in (min, max))
    if high.value - low.value <= JUMP * max(abs(low.value), abs(high.value)):
        return None
    here = oracle.enclosure(probe).value
    return DerivativeEnclosure(low, high, here, "kink", NOTE)


def _nearby(base: np.ndarray, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    size = np.where(base == 0, 1.0, np.abs(base)) * DISTANCE
    # few bits, so that the sums are exact
    steps = [np.round(generator.uniform(-64, 64, base.shape)) / 64 for _ in range(SAMPLES)]
    return [base + size * np.where(step == 0, 1 / 64, step) for step in steps]

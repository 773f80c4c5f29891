"""A mend for lost digits: the stable form of the function itself, run before it is recommended.

The function is read as a formula and rewritten by the named rules of `symbolic.stable`
(log(1 + exp(x)) to softplus(x)); AD of the rewritten form is measured against the enclosures of
the function it came from, at the point and around it.
"""

from dataclasses import replace
from math import inf, isfinite

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.batch import run_rows
from diffkit.bridge.lift import lift
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import DiffkitError
from diffkit.numeric.ulps import float_format
from diffkit.oracles import reverse
from diffkit.oracles.rigorous import Rigorous
from diffkit.symbolic.stable import stable
from diffkit.verify.accuracy import ulps_of

#: A form worth recommending is off by at most this many units in the last place,
MOST_ULPS = 32.0
#: and by so many times less than the function as it is written.
GAIN = 8.0
#: Points at which a form is tried, per format and order.
MOST_TRIED = 4
#: Distances of the points around the user's at which the form is tried, relative to it, or to 1
#: beside 0.
AROUND = (0.0, 2.0**-6, -(2.0**-6), 2.0**-3, -(2.0**-3))

#: At so many of them the derivative must be known.
LEAST_KNOWN = 3


def stable_form(what: Subject, probe: Probe, dtype: str, order: int = 1) -> str | None:
    """A remedy that was run, or None: no formula, no other form, or no gain.

    Args:
        what: A function of numbers.
        probe: The point at which digits are lost.
        dtype: The float format.
        order: Order of the derivative.
    """
    if what.output_shape or any(leaf.shape for leaf in probe.leaves):
        return None
    rewritten = _rewritten(what)
    if rewritten is None:
        return None
    text, mended = rewritten
    tried = what.memo.setdefault(("stable form tried", dtype, order), [])
    if len(tried) >= MOST_TRIED:
        return None
    tried.append(probe)
    probes = _around(what, probe, dtype)
    try:
        truths = [_truth(what, dtype, each, order) for each in probes]
        if sum(truth is not None for truth in truths) < LEAST_KNOWN:
            return None
        before = _worst(what, dtype, probes, truths, order)
        after = _worst(mended, dtype, probes, truths, order)
    except DiffkitError:
        return None
    if not after <= MOST_ULPS or not before >= GAIN * max(after, 1.0):
        return None
    lost = f"{before:.0e}" if isfinite(before) else "nan or inf"
    lowered = f"dk.lower(dk.lift({what.name}, ...))"
    return f"{text}, by {lowered}: <= {int(np.ceil(after))} ulp, not {lost}"


def _rewritten(what: Subject) -> tuple[str, Subject] | None:
    """The stable form as text and as a function; None where there is no other form."""
    key = "stable form"
    if key not in what.memo:
        what.memo[key] = _read(what)
    return what.memo[key]


def _read(what: Subject) -> tuple[str, Subject] | None:
    try:
        with compat.x64():
            formula = lift(what.renamed(what.call), *what.values)
        plain = formula.sympy()
        form = stable(plain).expr
        if form == plain:
            return None
        return str(form), replace(what, call=formula.lower())
    except DiffkitError:
        return None


def _around(what: Subject, probe: Probe, dtype: str) -> list[Probe]:
    """The point and its neighbours, as numbers of the format."""
    x = float(probe.leaves[what.wrt])
    size = abs(x) or 1.0
    found = []
    for distance in AROUND:
        (moved,) = what.at(dtype, [np.asarray(x + size * distance)])
        if abs(float(moved)) <= float_format(dtype).largest:
            leaves = list(probe.leaves)
            leaves[what.wrt] = np.asarray(moved, np.float64)
            found.append(replace(probe, leaves=tuple(leaves)))
    return found


def _truth(what: Subject, dtype: str, probe: Probe, order: int) -> float | None:
    """The derivative where it exists; None elsewhere, where nothing is compared."""
    found = Rigorous(what, dtype).enclosure(probe, order)
    if found.kind != "smooth" or found.derivative is None:
        return None
    return found.derivative.value


def _worst(
    what: Subject,
    dtype: str,
    probes: list[Probe],
    truths: list[float | None],
    order: int,
) -> float:
    """Largest error of AD over the points that have a derivative; inf without any."""
    values = run_rows(what, dtype, probes, {"reverse": reverse.row(what, order)})["reverse"]
    errors = [
        ulps_of(float(value), truth, dtype)
        for value, truth in zip(values, truths, strict=True)
        if truth is not None
    ]
    return max(errors, default=inf)

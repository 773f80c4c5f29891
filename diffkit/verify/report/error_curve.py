"""The error of AD over the domain of a function of numbers, in units in the last place.

The truth is the rigorous enclosure (germs of balls on the program itself), so the curve needs
no second opinion about a rule; AD's value is the one its compiled program returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan
from time import monotonic

import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import run_rows
from diffkit.bridge.subject import Subject
from diffkit.core.domain import Bound, Domain
from diffkit.core.errors import UsageError
from diffkit.numeric.ulps import distance
from diffkit.oracles import forward, reverse
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.modes import mode_error

#: Magnitudes drawn where the domain sets no end: towards 0, and away from it.
SMALLEST, LARGEST = 1e-12, 1e2
#: Decades drawn at least, towards a 0 beside a small end and away from a large one.
DECADES_IN, DECADES_OUT = 8, 4
#: How far inside of an end that does not belong to the domain the last point lies, as its share.
INSIDE = 2.0**-10
POINTS = 121
#: How many times as large as the other one end of an axis with equal steps is at most.
MOST_LINEAR = 1000
#: Seconds spent on one enclosure, and on the points of one precision.
SECONDS, SECONDS_IN_ALL = 0.5, 5.0


@dataclass(frozen=True)
class Curve:
    """Errors of one precision.

    Args:
        dtype: The precision.
        points: Where AD was asked, as rounded to the precision.
        errors: Distance to the true derivative in spacings of the precision; inf for nan or inf.
        not_smooth: Points left out for they have no smooth finite derivative, or no decision.
        not_representable: Those where point or derivative is outside of the precision's range.
        out_of_time: Those that were not asked.
    """

    dtype: str
    points: tuple[float, ...]
    errors: tuple[float, ...]
    not_smooth: int = 0
    not_representable: int = 0
    out_of_time: int = 0


@dataclass(frozen=True)
class ErrorCurves:
    """What is drawn.

    Args:
        variable: Name of the variable.
        mode: The AD mode that was asked.
        is_logarithmic: Whether the axis shows magnitudes.
        curves: One per precision.
    """

    variable: str
    mode: str
    is_logarithmic: bool
    curves: tuple[Curve, ...]


def error_curves(
    what: Subject,
    leaves: Sequence[np.ndarray],
    domain: Domain,
    *,
    order: int = 1,
    dtypes: Sequence[str] = ("float64", "float32"),
) -> ErrorCurves:
    """Compare AD with the enclosure at points over the domain.

    Args:
        what: A function of numbers with a number as result.
        leaves: Values of the other arguments.
        domain: Where the variable lives.
        order: Order of the derivative.
        dtypes: Precisions.

    Raises:
        UsageError: the curve does not apply; says why.
    """
    if any(value.ndim for value in what.values) or what.output_shape:
        raise UsageError("the curve is drawn for functions of numbers; this one takes arrays")
    if domain.integer or domain.matrix_set:
        raise UsageError(f"there is no curve over the domain {domain}")
    modes = [
        m for m in (reverse, forward) if mode_error(what, dtypes[0], m.row(what, order)) is None
    ]
    if not modes:
        raise UsageError("neither AD mode of JAX differentiates this function")
    points, is_logarithmic = abscissae(domain)
    if not points:
        raise UsageError(f"no floating-point number to ask at was found in the domain {domain}")
    curves = tuple(
        _curve(what, leaves, points, dtype, modes[0].row(what, order), order) for dtype in dtypes
    )
    if not any(curve.points for curve in curves):
        raise UsageError(f"no point of the domain can be drawn: {left_out(curves)}")
    return ErrorCurves(what.variable, modes[0].NAME, is_logarithmic, curves)


def abscissae(domain: Domain) -> tuple[list[float], bool]:
    """Points over a domain, and whether they are spread over magnitudes.

    A bounded domain that does not touch 0 and whose ends are near in size gets equal steps; every
    other one all magnitudes of each sign, up to the domain's own ends where it has some, and 0
    itself, where ties sit.

    >>> points, is_logarithmic = abscissae(Domain.parse("(0, 1)"))
    >>> is_logarithmic, min(points), 0.99 < max(points) < 1
    (True, 1e-12, True)
    """
    low, high = _float(domain.low), _float(domain.high)
    near, far = sorted((abs(low), abs(high)))
    if isfinite(far) and not low <= 0 <= high and far <= MOST_LINEAR * near:
        steps = {float(x) for x in np.linspace(low, high, POINTS)}
        return sorted(x for x in steps if domain.contains(x)), False
    below = _sizes(max(-high, 0.0), -low, domain.open_high, domain.open_low)
    above = _sizes(max(low, 0.0), high, domain.open_low, domain.open_high)
    both = {*(-x for x in below), 0.0, *above}
    return sorted(x for x in both if domain.contains(x)), True


def _sizes(near: float, far: float, is_near_open: bool, is_far_open: bool) -> list[float]:
    """Magnitudes of one sign between the ends of a domain, near >= 0 and far, maybe infinite."""
    if far <= near:
        return [near] * (far == near)
    if isfinite(far):
        last = far * (1 - INSIDE * is_far_open)
    else:
        last = min(max(LARGEST, near * 10.0**DECADES_OUT), float(np.finfo(np.float64).max))
    first = near * (1 + INSIDE * is_near_open) or min(SMALLEST, last * 10.0**-DECADES_IN)
    inner = np.geomspace(first, last, POINTS // 2)[1:-1].tolist() if 0 < first < last else []
    return [first, *inner, last]


def _float(bound: Bound) -> float:
    try:
        return float(bound)
    except OverflowError:  # an end beyond the doubles
        return inf if bound > 0 else -inf


def _curve(
    what: Subject,
    leaves: Sequence[np.ndarray],
    points: Sequence[float],
    dtype: str,
    row: object,
    order: int,
) -> Curve:
    probes = []
    for number in spread(len(points)):
        moved = list(leaves)
        moved[what.wrt] = np.asarray(points[number], dtype=np.float64)
        if what.is_representable(dtype, moved):
            (probe,) = what.probes(tuple(moved))
            probes.append(probe)
    if not probes:
        return Curve(dtype, (), (), not_representable=len(points))
    values = run_rows(what, dtype, probes, {"AD": row})["AD"]  # ty: ignore[invalid-argument-type]
    rigorous = Rigorous(what, dtype, SECONDS)
    limit = float(jnp.finfo(dtype).max)
    found: dict[float, float] = {}
    asked = not_smooth = beyond = 0
    start = monotonic()
    for probe, value in zip(probes, values.tolist(), strict=True):
        if monotonic() - start > SECONDS_IN_ALL:
            break
        asked += 1
        truth = _smooth(rigorous, probe, order)
        if isnan(truth):
            not_smooth += 1
        elif abs(truth) > limit:
            beyond += 1
        else:
            at = float(what.at(dtype, probe.leaves)[what.wrt])
            found[at] = distance(value, truth, dtype)
    kept = sorted(found)
    return Curve(
        dtype,
        tuple(kept),
        tuple(found[x] for x in kept),
        not_smooth,
        len(points) - len(probes) + beyond,
        len(probes) - asked,
    )


def spread(count: int) -> list[int]:
    """The numbers below `count` so that any first part of them is spread over all: bits reversed.

    >>> spread(6)
    [0, 4, 2, 1, 5, 3]
    """
    bits = max(count - 1, 1).bit_length()
    return sorted(range(count), key=lambda k: int(f"{k:0{bits}b}"[::-1], 2))


def left_out(curves: Sequence[Curve]) -> str:
    """How many points are left out for which reason, of the precision with most; "" for none."""
    counts = (
        (max(c.not_smooth for c in curves), "without a smooth enclosed derivative"),
        (max(c.not_representable for c in curves), "outside of the range of a precision"),
        (max(c.out_of_time for c in curves), "out of time"),
    )
    return ", ".join(f"{count} {reason}" for count, reason in counts if count)


def _smooth(rigorous: Rigorous, probe: object, order: int) -> float:
    """The derivative at a smooth point with a finite value, else nan."""
    found = rigorous.enclosure(probe, order)  # ty: ignore[invalid-argument-type]
    has_value = found.value is not None and isfinite(found.value.value)
    if found.kind != "smooth" or not has_value or found.derivative is None:
        return nan
    return found.derivative.value if isfinite(found.derivative.value) else nan


def worst(curves: ErrorCurves) -> Mapping[str, tuple[float, float]]:
    """dtype -> the largest error and where it occurs."""
    found = {}
    for curve in curves.curves:
        if curve.points:
            number = max(range(len(curve.errors)), key=lambda k: curve.errors[k])
            found[curve.dtype] = (curve.errors[number], curve.points[number])
    return found

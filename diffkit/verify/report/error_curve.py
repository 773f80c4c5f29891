"""The error of AD over the domain of a function of numbers, in units in the last place.

The truth is the rigorous enclosure (germs of balls on the program itself), so the curve needs
no second opinion about a rule; AD's value is the one its compiled program returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from time import monotonic

import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import run_rows
from diffkit.bridge.subject import Subject
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.numeric.ulps import distance
from diffkit.oracles import forward, reverse
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.modes import mode_error

#: Magnitudes drawn on an unbounded side, as powers of ten.
SMALLEST, LARGEST = -12, 2
POINTS = 121
#: Seconds spent on one enclosure, and on the points of one precision.
SECONDS, SECONDS_IN_ALL = 0.5, 5.0


@dataclass(frozen=True)
class Curve:
    """Errors of one precision.

    Args:
        dtype: The precision.
        points: Where AD was asked, as rounded to the precision.
        errors: Distance to the true derivative in spacings of the precision; inf for nan or inf.
        left_out: Points without a smooth finite derivative, or without a decision.
    """

    dtype: str
    points: tuple[float, ...]
    errors: tuple[float, ...]
    left_out: int


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
    curves = tuple(
        _curve(what, leaves, points, dtype, modes[0].row(what, order), order) for dtype in dtypes
    )
    if not any(curve.points for curve in curves):
        raise UsageError("no point of the domain has a smooth derivative that balls can enclose")
    return ErrorCurves(what.variable, modes[0].NAME, is_logarithmic, curves)


def abscissae(domain: Domain) -> tuple[list[float], bool]:
    """Points over a domain, and whether they are spread over magnitudes.

    A bounded domain that does not touch 0 gets equal steps; every other one both signs of all
    magnitudes, and 0 itself, where ties sit.

    >>> points, is_logarithmic = abscissae(Domain.parse("(0, 1)"))
    >>> is_logarithmic, min(points), max(points) < 1
    (True, 1e-12, True)
    """
    low, high = float(domain.low), float(domain.high)
    if isfinite(low) and isfinite(high) and not low <= 0 <= high:
        steps = np.linspace(low, high, POINTS)
        return [float(x) for x in steps if domain.contains(float(x))], False
    sizes = np.logspace(SMALLEST, LARGEST, POINTS // 2)
    both = [*(-sizes[::-1]).tolist(), 0.0, *sizes.tolist()]
    return [x for x in both if domain.contains(x)], True


def _curve(
    what: Subject,
    leaves: Sequence[np.ndarray],
    points: Sequence[float],
    dtype: str,
    row: object,
    order: int,
) -> Curve:
    probes = []
    for x in points:
        moved = list(leaves)
        moved[what.wrt] = np.asarray(x, dtype=np.float64)
        if what.is_representable(dtype, moved):
            (probe,) = what.probes(tuple(moved))
            probes.append(probe)
    values = run_rows(what, dtype, probes, {"AD": row})["AD"]  # ty: ignore[invalid-argument-type]
    rigorous = Rigorous(what, dtype, SECONDS)
    limit = float(jnp.finfo(dtype).max)
    kept, errors, start = [], [], monotonic()
    for probe, value in zip(probes, values.tolist(), strict=True):
        if monotonic() - start > SECONDS_IN_ALL:
            break
        truth = _smooth(rigorous, probe, order)
        if isnan(truth) or abs(truth) > limit:
            continue
        at = what.at(dtype, probe.leaves)[what.wrt]
        kept.append(float(at))
        errors.append(distance(value, truth, dtype))
    return Curve(dtype, tuple(kept), tuple(errors), len(points) - len(kept))


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

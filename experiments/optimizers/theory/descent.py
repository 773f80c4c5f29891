"""What a learning rate does: factors and step counts on a parabola, the basins of two wells."""

from functools import cache
from math import ceil, log

import sympy as sp

from diffkit.theory import quadratic
from diffkit.theory.law import Law, Line

_x = sp.Symbol("x", real=True)
#: Slope of a curve with two wells: a sharp one at -1, a hill at 0, a wide and deeper one at 2.
SLOPE = sp.expand((_x + 1) * _x * (_x - 2) * (_x**2 - 6 * _x + 10) / 12)
CURVE = sp.integrate(SLOPE, _x)
SHARP, HILL, WIDE = -1, 0, 2


def factor(share: float) -> float:
    """What a step multiplies x by, at the learning rate share/curvature."""
    return quadratic.descent_factor().at(a=share, h=1.0)


def behaviour(share: float) -> str:
    """Monotone below 1, oscillating below 2, diverging above."""
    kept = factor(share)
    if abs(kept) > 1:
        return "diverging"
    return "oscillating" if kept < 0 else "monotone"


def wrong_behaviour(share: float) -> str:
    """The control: descent would diverge beyond the inverse curvature."""
    return "diverging" if share > 1 else "monotone"


def steps_to(accuracy: float, share: float) -> int | None:
    """Steps until |x| is below the accuracy, from 1; None where it never is."""
    kept = abs(factor(share))
    if kept >= 1:
        return None
    # one step where it is exact
    return 1 if kept < 1e-15 else ceil(log(accuracy) / log(kept))


def coefficients() -> tuple[float, ...]:
    """Of the curve with two wells, constant first."""
    return tuple(float(each) for each in reversed(sp.Poly(CURVE, _x).all_coeffs()))


def curvature(place: int) -> float:
    """Second derivative of the curve there."""
    return float(sp.diff(SLOPE, _x).subs(_x, place))


@cache
def steepest(low: float, high: float) -> float:
    """Largest size of the curvature between two places, at an end or at a root of its slope."""
    bend = sp.diff(SLOPE, _x)
    inside = [float(root) for root in sp.real_roots(sp.diff(bend, _x)) if low < root < high]
    return max(abs(float(bend.subs(_x, place))) for place in (low, high, *inside))


def trapped(rate: float, low: float, high: float) -> float | None:
    """Share of the starts, evenly spread, that end in the sharp well; None where none is known.

    Below the inverse of the largest curvature no step crosses the hill; above 2 over the curvature
    of the well a start leaves it again.
    """
    if rate < 1 / steepest(low, high):
        return (HILL - low) / (high - low)
    return 0.0 if rate > 2 / curvature(SHARP) else None


def laws() -> tuple[Law, ...]:
    """The factor of a step, and the places of the wells."""
    a = sp.Symbol("a", positive=True)
    bend = sp.diff(SLOPE, _x)
    lines = tuple(
        Line(f"slope of the curve at {place}", SLOPE.subs(_x, place), sp.Integer(0))
        for place in (SHARP, HILL, WIDE)
    )
    limit = 2 / bend.subs(_x, SHARP)
    edge = Line("factor of a step there", 1 - a * bend.subs(_x, SHARP), 1 - a * 2 / limit)
    return (
        quadratic.descent_factor(),
        Law("largest rate that stays in the sharp well", a, limit, "", (*lines, edge), str(CURVE)),
    )

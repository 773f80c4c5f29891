"""The errors over the domain as inline SVG: logarithmic in the error, labelled axes, two marks."""

from math import ceil, floor, isfinite, log10

from diffkit.verify.report.error_curve import ErrorCurves, left_out, worst
from diffkit.verify.report.writing import number, text

WIDTH, HEIGHT = 760.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 18.0, 30.0, 46.0
#: Decades between the smallest magnitudes and zero on a logarithmic axis of both signs.
GAP = 0.8
#: Errors below this many units are drawn on the line "exact".
LEAST = -1.0
_SHAPES = {"float64": "circle", "float32": "diamond"}


class _Axes:
    """Maps points and errors to places in the drawing."""

    def __init__(self, curves: ErrorCurves) -> None:
        points = [x for curve in curves.curves for x in curve.points]
        errors = [e for curve in curves.curves for e in curve.errors if isfinite(e) and e > 0]
        self.is_logarithmic = curves.is_logarithmic
        self.first, self.last = min(points), max(points)
        sizes = [abs(x) for x in points if x] or [1.0]
        #: The powers of ten between which the magnitudes lie.
        self.smallest = floor(log10(min(sizes)) + 1e-9)
        self.largest = ceil(log10(max(sizes)) - 1e-9)
        places = [self.along(x) for x in points]
        self.low, self.high = min(places), max(places)
        self.top = max(3.0, ceil(log10(max(errors, default=1.0)) + 0.2))
        self.has_infinite = any(not isfinite(e) for c in curves.curves for e in c.errors)

    def along(self, x: float) -> float:
        """The place of a point on its axis, before scaling."""
        if not self.is_logarithmic:
            return x
        if x == 0:
            return 0.0
        decades = max(log10(abs(x)) - self.smallest, 0.0) + GAP
        return decades if x > 0 else -decades

    def x(self, point: float) -> float:
        span = (self.high - self.low) or 1.0
        return LEFT + (self.along(point) - self.low) / span * (WIDTH - LEFT - RIGHT)

    def y(self, error: float) -> float:
        if not isfinite(error):
            return TOP
        exponent = max(log10(error), LEAST) if error > 0 else LEAST - 0.6
        first, last = TOP + (22 if self.has_infinite else 4), HEIGHT - BOTTOM
        return last - (exponent - (LEAST - 0.6)) / (self.top - (LEAST - 0.6)) * (last - first)


def plot(curves: ErrorCurves, label: str) -> str:
    """The figure with its legend and a sentence that says what is seen."""
    axes = _Axes(curves)
    marks = "".join(
        _mark(curve.dtype, axes.x(x), axes.y(e), isfinite(e))
        for curve in curves.curves
        for x, e in zip(curve.points, curve.errors, strict=True)
    )
    sentence = _sentence(curves)
    return (
        f'<figure class="errors"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="error of AD over the domain">'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}" '
        f'role="img" aria-label="{text(label)}: {text(sentence)}">'
        f"{_vertical(axes)}{_horizontal(axes, curves)}<g>{marks}</g></svg></div>"
        f"<figcaption>{_legend(curves)} {text(sentence)}</figcaption></figure>"
    )


def _mark(dtype: str, x: float, y: float, is_finite: bool) -> str:
    if not is_finite:
        return f'<path class="{dtype}" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"/>'
    if _SHAPES.get(dtype, "circle") == "circle":
        return f'<circle class="{dtype}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
    return f'<path class="{dtype}" d="M{x:.1f} {y - 3.6:.1f}l3.6 3.6l-3.6 3.6l-3.6 -3.6z"/>'


def _vertical(axes: _Axes) -> str:
    """Grid and labels of the errors."""
    step = max(1, ceil(axes.top / 6))
    ticks = [(10.0**k, number(10.0**k, 2)) for k in range(0, int(axes.top) + 1, step)]
    lines = [(0.0, "exact"), *ticks]
    if axes.has_infinite:
        lines.append((float("inf"), "nan, ∞"))
    parts = [
        f'<path class="grid{" one" if error == 1 else ""}" '
        f'd="M{LEFT:g} {axes.y(error):.1f}H{WIDTH - RIGHT:g}"/>'
        f'<text class="tick" x="{LEFT - 8:g}" y="{axes.y(error) + 4:.1f}" '
        f'text-anchor="end">{words}</text>'
        for error, words in lines
    ]
    title = '<text class="axis" x="4" y="13">error of AD in units in the last place (ulp)</text>'
    return "".join(parts) + title


def _horizontal(axes: _Axes, curves: ErrorCurves) -> str:
    parts = [
        f'<path class="grid" d="M{axes.x(x):.1f} {TOP:g}V{HEIGHT - BOTTOM:g}"/>'
        f'<text class="tick" x="{axes.x(x):.1f}" y="{HEIGHT - BOTTOM + 17:g}" '
        f'text-anchor="middle">{number(x, 3)}</text>'
        for x in _ticks(axes)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    is_split = axes.low < 0 and axes.is_logarithmic
    words = " (both signs, logarithmic)" if is_split else ""
    title = (
        f'<text class="axis" x="{middle:g}" y="{HEIGHT - 6:g}" text-anchor="middle">'
        f"{text(curves.variable, 40)}{words}</text>"
    )
    return "".join(parts) + title


def _ticks(axes: _Axes) -> list[float]:
    if axes.high == axes.low:
        return [axes.first]
    if not axes.is_logarithmic:
        step = 10.0 ** floor(log10((axes.high - axes.low) or 1.0))
        while (axes.high - axes.low) / step < 4:
            step /= 2
        first = ceil(axes.low / step - 1e-9)
        return [k * step for k in range(first, floor(axes.high / step + 1e-9) + 1)]
    # of both signs the smallest magnitudes stand too near to 0 for a label
    is_split = axes.low < 0 < axes.high
    step = max(4 if is_split else 2, ceil((axes.largest - axes.smallest) / 7))
    first = axes.smallest + (step if is_split else 0)
    sizes = [10.0**k for k in range(first, axes.largest + 2, step) if -308 <= k <= 308]
    sizes += [1.0, 100.0] * (axes.largest <= 4)
    both = sorted({*sizes, *(-s for s in sizes), 0.0})
    return [x for x in both if axes.low - 1e-9 <= axes.along(x) <= axes.high + 1e-9]


def _legend(curves: ErrorCurves) -> str:
    parts = []
    for curve in curves.curves:
        sample = _mark(curve.dtype, 7, 7, True)
        parts.append(
            f'<span class="key"><svg width="14" height="14" aria-hidden="true">{sample}</svg>'
            f"{curve.dtype}</span>"
        )
    return "".join(parts)


def _sentence(curves: ErrorCurves) -> str:
    """The worst error per precision, and what is left out."""
    parts = [
        f"{dtype}: at most {number(error, 2)} ulp, near {curves.variable} = {number(at, 3)}"
        if isfinite(error)
        else f"{dtype}: nan or infinite at {curves.variable} = {number(at, 3)}"
        for dtype, (error, at) in worst(curves).items()
    ]
    omitted = left_out(curves.curves)
    note = f" Left out: {omitted}." if omitted else ""
    return (
        f"{curves.mode.capitalize()} mode against the enclosed derivative {_range(curves)}. "
        f"{'; '.join(parts)}.{note}"
    )


def _range(curves: ErrorCurves) -> str:
    """Where the errors were looked for: nothing is said about points beyond."""
    points = {x for curve in curves.curves for x in curve.points}
    first, last = number(min(points), 3), number(max(points), 3)
    if len(points) == 1:
        return f"at {curves.variable} = {first}"
    sizes = [abs(x) for x in points if x]
    is_split = curves.is_logarithmic and min(points) <= 0 <= max(points) and sizes
    down = f", magnitudes from {number(min(sizes), 3)} on" if is_split else ""
    most = max(len(curve.points) for curve in curves.curves)
    return f"at {most} points, {curves.variable} from {first} to {last}{down}"

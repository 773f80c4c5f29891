"""Hypothesis strategies: smooth functions with their derivatives, arrays away from kinks.

Hypothesis is imported when the first strategy is made; it is in the extra `testing`.
"""

from collections.abc import Callable, Sequence
from math import isfinite, prod
from types import ModuleType
from typing import TYPE_CHECKING, Any

from diffkit.core.errors import DiffkitError, UsageError
from diffkit.testing.smooth import BINARY, UNARY, SmoothFunction, X, constant, of

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_ATTEMPTS = 10


class MissingExtra(DiffkitError, ImportError):
    """A package of an extra is not installed."""


def smooth_functions(*, max_depth: int = 3) -> "SearchStrategy[SmoothFunction]":
    """Random smooth functions of a number, each with its exact derivative.

    Args:
        max_depth: Most operations between x and the result, 1 to 8; shrinks to x itself.

    Returns:
        A strategy of `SmoothFunction`: `f(x)`, `f.derivative(x)`, `f.source`,
        `f.derivative_source`.

    Raises:
        MissingExtra: Hypothesis is not installed.

    >>> from hypothesis import find
    >>> find(smooth_functions(), lambda f: "sin" in f.source).source
    'sin(x)'
    """
    st = _strategies()
    if isinstance(max_depth, bool) or not isinstance(max_depth, int) or not 1 <= max_depth <= 8:
        raise UsageError(f"max_depth={max_depth!r}; write a whole number from 1 to 8")
    quarters = st.integers(1, 8).map(lambda n: n / 4)
    numbers = st.builds(
        lambda size, sign: constant(sign * size), quarters, st.sampled_from((1, -1))
    )

    @st.composite
    def functions(draw: Callable[..., Any], left: int) -> SmoothFunction:
        # drawn at the bottom too, where it does not matter: an operation can then be shrunk away
        rule = draw(st.sampled_from(("x", *UNARY, *BINARY)))
        if rule == "x" or not left:
            return X
        first = draw(functions(left - 1))
        if rule in UNARY:
            return of(rule, first)
        return of(rule, first, draw(st.one_of(numbers, functions(left - 1))))

    return functions(max_depth)


def arrays_away_from(
    kinks: Sequence[float],
    shape: int | Sequence[int] = (),
    *,
    distance: float = 1e-3,
    low: float = -3.0,
    high: float = 3.0,
    ties: bool = True,
) -> "SearchStrategy[Any]":
    """Arrays of float64 whose entries keep a distance from kinks, and from each other.

    Every array of that kind can be drawn: entries are placed into the intervals that the kinks
    leave, nothing is rejected.

    Args:
        kinks: Numbers to keep away from.
        shape: Shape of the arrays; () for a number.
        distance: Least |entry - kink|, and least |entry - entry| with `ties`.
        low: Smallest entry.
        high: Largest entry.
        ties: Whether two equal entries are a kink too (maximum, sort).

    Raises:
        UsageError: nothing is left between `low` and `high`.
        MissingExtra: Hypothesis is not installed.

    >>> from hypothesis import find
    >>> bool(find(arrays_away_from([0.0], distance=0.5), lambda x: x > 0) >= 0.5)
    True
    """
    st = _strategies()
    dims = _shape(shape)
    _check_numbers(kinks=kinks, distance=distance, low=low, high=high)
    if not (distance > 0 and low < high):
        raise UsageError(f"distance={distance!r} must be positive, and low={low!r} < high={high!r}")
    # a little more than asked for, so that rounding takes nothing away
    step = distance + 8 * 2.0**-52 * max(abs(low), abs(high), distance)
    free = _intervals(kinks, step, low, high)
    count = prod(dims)
    room = sum(b - a for a, b in free) - (max(count - 1, 0) * step if ties else 0.0)
    if not free or room < 0:
        raise UsageError(
            f"no {count} entries between {low} and {high} keep the distance {distance} from the "
            "kinks" + (" and from each other" if ties else "") + "; lower it or widen the range"
        )

    @st.composite
    def arrays(draw: Callable[..., Any]) -> Any:
        import numpy as np

        offsets = st.floats(0.0, room, allow_nan=False)
        drawn = draw(st.lists(offsets, min_size=count, max_size=count))
        if ties:
            order = draw(st.permutations(range(count)))
            ranked = [offset + k * step for k, offset in enumerate(sorted(drawn))]
            drawn = [ranked[k] for k in order]
        return np.array([_placed(offset, free) for offset in drawn]).reshape(dims)

    return arrays()


def points_away_from_kinks(
    f: Callable[[Any], Any],
    shape: int | Sequence[int] = (),
    *,
    distance: float = 1e-3,
    low: float = -3.0,
    high: float = 3.0,
) -> "SearchStrategy[Any]":
    """Arrays at which no comparison of the program `f` is close, and no edge of a domain is.

    The program is run equation by equation at each candidate (`diffkit.testing.kinks.margin`):
    comparisons, maxima, absolute values, roundings, roots, logarithms and quotients must be
    decided by at least `distance` of their operands.

    Args:
        f: JAX function of one array.
        shape: Shape of its argument.
        distance: Least distance of intermediate values from a kink.
        low: Smallest entry.
        high: Largest entry.

    Raises:
        UnsupportedPrimitive: a comparison inside a loop or a scatter; when the first point is
            drawn.
        MissingExtra: Hypothesis is not installed.
    """
    st = _strategies()
    candidates = arrays_away_from((), shape, distance=distance, low=low, high=high, ties=False)
    traced: list[Callable[[Any], float]] = []  # by the first point drawn, for JAX is lazy here

    @st.composite
    def points(draw: Callable[..., Any]) -> Any:
        import hypothesis

        from diffkit.testing.kinks import margins

        for _ in range(_ATTEMPTS):
            point = draw(candidates)
            if not traced:
                traced.append(margins(f, point))
            if traced[0](point) >= distance:
                return point
        return hypothesis.reject()

    return points()


def _strategies() -> ModuleType:
    try:
        from hypothesis import strategies
    except ImportError as error:
        raise MissingExtra(
            'strategies need Hypothesis; install it: pip install "diffkit[testing]"'
        ) from error
    return strategies


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    dims = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in dims):
        raise UsageError(f"shape={shape!r}; write whole numbers that are not negative")
    return dims


def _check_numbers(kinks: Sequence[float], **given: float) -> None:
    for name, value in [*given.items(), *(("kinks", kink) for kink in kinks)]:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not isfinite(value):
            raise UsageError(f"{name}: {value!r} is no finite number")


def _intervals(
    kinks: Sequence[float], step: float, low: float, high: float
) -> list[tuple[float, float]]:
    """What is left of [low, high] when the neighbourhood of every kink is taken out."""
    free, start = [], low
    for kink in sorted(kinks):
        if kink - step >= start:
            free.append((start, min(kink - step, high)))
        start = max(start, kink + step)
    if start <= high:
        free.append((start, high))
    return [(a, b) for a, b in free if a <= b]


def _placed(offset: float, free: Sequence[tuple[float, float]]) -> float:
    """The point that lies `offset` into the intervals laid end to end."""
    for a, b in free:
        if offset <= b - a:
            return a + offset
        offset -= b - a
    return free[-1][1]

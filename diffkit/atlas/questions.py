"""Where a public function is asked for its derivative.

Elementwise functions are asked as functions of numbers.  The points are ties, zeros, poles, the
ends of the float formats, and infinite points.

Nothing here is chosen for a function by its name: every function meets the same points.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.atlas.public_functions import PublicFunction, replace_at
from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.batch import within
from diffkit.bridge.subject import Subject

Leaves = tuple[np.ndarray, ...]

#: Ties, zeros, poles of the usual functions, saturation and the ends of the formats.
NUMBERS = tuple(
    map(
        float,
        "0 1 -1 0.5 -0.5 2 -2 3 -3 6 10 -10 20 -20 89 -89 105 -105 710 -710 "
        "1e-8 -1e-8 1e-25 -1e-25 1e10 -1e10 1e25 -1e25".split(),
    )
)
#: Values at which several arguments meet each other.
_MEETING = (0.0, 1.0, -1.0, 2.0)
#: Limit of one call at an infinite argument.
SECONDS = 10.0
#: Where limits at infinity are looked for, and how well two of them must agree.
_FAR = (1e4, 1e6)
_AGREEMENT = 1e-3


@dataclass(frozen=True)
class Question:
    """One derivative of a function with the points it is asked at.

    Args:
        function: The public function.
        what: It, as a function of numbers or of arrays.
        is_elementwise: Whether it is asked as a function of numbers.
    """

    function: PublicFunction
    what: Subject
    is_elementwise: bool

    @property
    def points(self) -> list[Leaves]:
        """The points at which AD is judged, the example arguments first."""
        base, wrt = self.what.values, self.what.wrt
        moved = _numbers(base, wrt) if self.is_elementwise else _arrays(base, wrt)
        return _distinct([base, *moved])


def question(function: PublicFunction, wrt: int) -> Question:
    """The question about one derivative of a public function."""
    names = argument_names(function)
    scalars = _as_numbers(function)
    if scalars is None:
        what = _subject(function, function.scalar, names, function.args, wrt)
        return Question(function, what, False)
    return Question(function, _subject(function, function.scalar, names, scalars, wrt), True)


def argument_names(function: PublicFunction) -> tuple[str, ...]:
    """Names of the arguments: the function's own where it is called with the arrays alone."""
    count = len(function.args)
    if getattr(function.call, "func", None) is None:  # no recipe body around it
        try:
            parameters = inspect.signature(function.call).parameters.values()
        except (TypeError, ValueError):
            parameters = ()
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = tuple(p.name for p in parameters if p.kind in kinds)[:count]
        if len(names) == count:
            return names
    return ("x", "y", "z", "w")[:count]


def _subject(
    function: PublicFunction,
    call: Callable[..., Any],
    names: tuple[str, ...],
    values: Leaves,
    wrt: int,
) -> Subject:
    leaves = tuple(np.asarray(each, np.float64) for each in values)
    return Subject(function.name, call, call, names, leaves, (False,) * len(leaves), wrt)


def _as_numbers(function: PublicFunction) -> Leaves | None:
    """The first entries of the arguments, when the function works entry by entry; else None."""
    if len({each.shape for each in function.args}) != 1 or function.args[0].size < 2:
        return None
    with compat.x64():
        try:
            whole = jax.tree.leaves(function.call(*map(jnp.asarray, function.args)))
            firsts = [
                jax.tree.leaves(
                    function.call(*(jnp.asarray(each.flat[k]) for each in function.args))
                )
                for k in (0, 1)
            ]
        except USER_ERRORS:
            return None
    if not whole or any(each.shape != function.args[0].shape for each in whole):
        return None
    for k, found in enumerate(firsts):
        if len(found) != len(whole) or any(jnp.ndim(each) for each in found):
            return None
        if not all(_near(a, b.ravel()[k]) for a, b in zip(found, whole, strict=True)):
            return None
    return tuple(np.asarray(each.flat[0]) for each in function.args)


def _near(a: Any, b: Any) -> bool:
    return bool(np.isclose(float(a), float(b), rtol=1e-6, atol=0.0))


def _numbers(base: Leaves, wrt: int) -> Iterator[Leaves]:
    """Points of a function of numbers."""
    for value in NUMBERS:
        yield replace_at(base, wrt, np.asarray(value))
    others = [k for k in range(len(base)) if k != wrt]
    if others:
        for mine, theirs in product(_MEETING, _MEETING):
            yield tuple(np.asarray(mine if k == wrt else theirs) for k in range(len(base)))
    for k in others:
        yield replace_at(base, wrt, base[k])
        for value in _MEETING[:3] if len(others) > 1 else ():
            yield replace_at(base, k, np.asarray(value))


def _arrays(base: Leaves, wrt: int) -> Iterator[Leaves]:
    """Points of a function of arrays: zeros, ties, one zero, the size of the formats' ends."""
    mine = base[wrt]
    for moved in _shapes_of_note(mine):
        yield replace_at(base, wrt, moved)
    for k, other in enumerate(base):
        if k != wrt and other.shape == mine.shape:
            yield replace_at(base, wrt, other)
    if len(base) > 1:
        yield tuple(np.zeros_like(each) for each in base)


def _shapes_of_note(mine: np.ndarray) -> Iterator[np.ndarray]:
    yield np.zeros_like(mine)
    yield np.ones_like(mine)
    if mine.size > 1:
        yield np.full_like(mine, 0.5)
        one = mine.copy()
        one.flat[0] = 0.0
        yield one
        pair = mine.copy()
        pair.flat[1] = pair.flat[0]
        yield pair
    if mine.ndim == 2 and mine.shape[0] == mine.shape[1]:
        yield np.eye(len(mine))
    yield -mine
    yield 1e3 * mine
    yield 1e-9 * mine


def _distinct(points: Sequence[Leaves]) -> list[Leaves]:
    found: dict[tuple[bytes, ...], Leaves] = {}
    for leaves in points:
        found.setdefault(tuple((each + 0.0).tobytes() for each in leaves), leaves)
    return list(found.values())


@dataclass(frozen=True)
class AtInfinity:
    """What AD returns where the argument is infinite, and the limit towards it.

    Args:
        leaves: The point.
        value: The function's value there.
        gradient: AD's gradient there, by the entries of the argument.
        limit: Its gradient far out, nan where two distances do not agree.
    """

    leaves: Leaves
    value: float
    gradient: np.ndarray
    limit: np.ndarray

    @property
    def is_trap(self) -> bool:
        """AD gives nan although the gradient has a limit."""
        return bool(np.any(np.isnan(self.gradient) & np.isfinite(self.limit)))


def at_infinity(ask: Question) -> Iterator[AtInfinity]:
    """AD's answers where the argument is infinite, one by one: all entries, or the first alone.

    Raises:
        TimeLimitExceeded: the function does not return at such an argument.
    """
    what = ask.what
    base = what.values[what.wrt]
    directions = [np.ones_like(base)]
    if base.size > 1:
        first = np.zeros_like(base)
        first.flat[0] = 1.0
        directions.append(first)
    program = jax.jit(jax.value_and_grad(what.call, what.wrt))

    def answer(moved: np.ndarray) -> tuple[float, np.ndarray]:
        leaves = replace_at(what.values, what.wrt, moved)
        # LAPACK iterates for ever on some infinite matrices
        value, gradient = within(SECONDS, lambda: program(*map(jnp.asarray, leaves)))
        return float(value), np.asarray(gradient)

    for direction, sign in product(directions, (-1.0, 1.0)):
        there = np.where(direction != 0, sign * inf, base)
        with compat.x64():
            value, gradient = answer(there)
            near, far = (answer(np.where(direction != 0, sign * d, base))[1] for d in _FAR)
        with np.errstate(invalid="ignore"):
            gap = np.abs(near - far)
        settled = gap <= _AGREEMENT * np.maximum(np.abs(far), _AGREEMENT)
        limit = np.where(settled, far, np.nan)
        yield AtInfinity(replace_at(what.values, what.wrt, there), value, gradient, limit)

"""Hold a mended gradient against the derivative of the loss as it is written.

Small programs are enclosed by germs of balls, which see one-sided limits through the very branch
that poisons AD; larger ones are differenced in float64, each side apart, with an error bar.  The
directions are those that matter: single entries at which the gradient was not finite, and a random
one for the rest.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, nan
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.blocks import Block, all_nodes, coarsest, is_float
from diffkit.bridge.subject import Probe, Subject
from diffkit.bridge.wide import run_wide
from diffkit.core.errors import DiffkitError
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.numeric.balls import DerivativeEnclosure
from diffkit.numeric.differences import difference
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.tolerance import COARSEST, allowance

Array = Any
#: Programs of at most this many numbers, results of all equations counted, are enclosed.
LARGEST_ENCLOSED = 2000
ENCLOSURE_SECONDS = 4.0
#: Differences call the loss about this many times a direction and side.
EVALUATIONS = 300
#: And this many times where that would take too long.
FEW = 21
#: How much larger the error of a difference may be than the change that shows it.
_SAFETY = 4.0
#: Most seconds spent on differences.
SECONDS = 6.0
#: Rounding of a loss in float64, in ulps: sums of many terms.
NOISE = 64.0
#: The loss in float64 and as it is run differ by rounding: half the digits of float32.
_SAME_LOSS = 3e-4
#: Rounding of a directional derivative by AD, in units of the gradient's norm: about
#: sqrt(n) eps for sums of n terms in float32, n up to a million.
_AD_ROUNDING = 1e3
#: Rounding in a narrower type inside of the program, in its units.
FEW_ULPS = 16.0
#: Below so many smallest numbers a derivative underflows.
_TINIES = 1e3

#: How the rigorous witness is called.
BALLS = "germs of balls"
#: How far a kink may lie from a point, in ulps of its coordinates.
ROUNDING_ULPS = 64.0

Outcome = Literal["agrees", "one-sided", "infinite", "wrong", "unknown"]


@dataclass(frozen=True)
class Direction:
    """A direction of the differentiated leaves.

    Args:
        name: How reports call it.
        tangents: One array per differentiated leaf.
    """

    name: str
    tangents: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Comparison:
    """A mended derivative along one direction and the true one.

    Args:
        direction: The direction.
        mended: What the mended gradient says.
        left: Derivative of the loss on the left, None where it is not known.
        right: The same on the right.
        outcome: What follows.
        witness: Who knows the truth.
    """

    direction: str
    mended: float
    left: float | None
    right: float | None
    outcome: Outcome
    witness: str


@dataclass(frozen=True)
class Truth:
    """A loss as it is written, at the arguments.

    Args:
        call: The loss as a function of its leaves.
        names: Names of the leaves.
        leaves: Their values.
        wrt: Positions of the differentiated ones.
        value: The loss.
        root: The program.
    """

    call: Callable[..., Any]
    names: tuple[str, ...]
    leaves: tuple[Array, ...]
    wrt: tuple[int, ...]
    value: float
    root: Block

    def compare(
        self, directions: Sequence[Direction], gradient: Sequence[Array]
    ) -> list[Comparison]:
        """Hold a gradient against the derivative along each direction."""
        found = []
        deadline = time.monotonic() + SECONDS
        for direction in directions:
            mended, rounding = _along(gradient, direction, self.rounding)
            left, right, error, witness = self._sides(direction, deadline)
            outcome = _outcome(mended, left, right, error + rounding)
            if outcome == "wrong" and witness == BALLS:
                near = self._near(direction)
                if near and _outcome(mended, *near, rounding) != "wrong":
                    (left, right), outcome = near, "one-sided"
            found.append(Comparison(direction.name, mended, left, right, outcome, witness))
        return found

    def _sides(
        self, direction: Direction, deadline: float
    ) -> tuple[float | None, float | None, float, str]:
        """One-sided derivatives, a bound on their errors, and the witness."""
        enclosed = self._enclosed(direction)
        if enclosed is not None:
            return (*enclosed, 0.0, BALLS)
        return (*self._differenced(direction, deadline), "differences")

    def _near(self, direction: Direction) -> tuple[float, float] | None:
        """Derivatives on both sides at a distance of rounding: a kink may lie that near.

        The program meets a kink exactly where its rounded values do, the balls where the exact
        ones do.
        """
        found = []
        for sign in (-1, 1):
            leaves = list(self.leaves)
            for place, tangent in zip(self.wrt, direction.tangents, strict=True):
                leaf = np.asarray(leaves[place])
                eps = float(jnp.finfo(jnp.asarray(leaf).dtype).eps)
                size = float(np.max(np.abs(leaf.astype(float)), initial=0.0)) or 1.0
                move = sign * ROUNDING_ULPS * eps * size
                leaves[place] = (leaf.astype(float) + move * tangent).astype(leaf.dtype)
            found.append(replace(self, leaves=tuple(leaves))._enclosed(direction))
        finite = [v for sides in found if sides for v in sides if v is not None and isfinite(v)]
        return (min(finite), max(finite)) if len(finite) > 1 else None

    def _enclosed(self, direction: Direction) -> tuple[float | None, float | None] | None:
        places = [k for k, t in enumerate(direction.tangents) if np.any(t)]
        if len(places) != 1 or self._size > LARGEST_ENCLOSED:
            return None
        moved = places[0]
        values = tuple(_wide(leaf) for leaf in self.leaves)
        what = Subject(
            "loss",
            self.call,
            self.call,
            self.names,
            values,
            (False,) * len(values),
            self.wrt[moved],
        )
        probe = Probe(values, direction.tangents[moved].astype(np.float64), np.ones(()))
        try:
            dtype = str(jnp.asarray(self.leaves[self.wrt[moved]]).dtype)
            found = Rigorous(what, dtype, ENCLOSURE_SECONDS).enclosure(probe)
        except (DiffkitError, *USER_ERRORS):
            return None
        if not _is_known(found):
            return None
        sides = [None if each is None else each.value for each in (found.left, found.right)]
        return sides[0], sides[1]

    @cached_property
    def rounding(self) -> float:
        """Rounding of a directional derivative by AD, relative to the gradient's norm."""
        types = [jnp.asarray(self.leaves[k]).dtype for k in self.wrt]
        own = max(allowance(_AD_ROUNDING, dtype) for dtype in types)
        # what is off by four times as much is wrong: more than all of the gradient never is
        return min(max(own, FEW_ULPS * coarsest(self.root)), COARSEST / 4)

    @property
    def _size(self) -> int:
        return sum(
            int(np.prod(inner.types[v].shape))
            for _, inner, node in all_nodes(self.root)
            for v in node.outputs
            if is_float(inner.types[v])
        )

    def _differenced(
        self, direction: Direction, deadline: float
    ) -> tuple[float | None, float | None, float]:
        unknown = (None, None, inf)
        if not isfinite(self.value):
            return unknown
        try:
            with compat.x64():
                program, seconds = self._program
                tangents = [jnp.asarray(t, jnp.float64) for t in direction.tangents]

                def values(ts: np.ndarray) -> np.ndarray:
                    return np.array([program(t, tangents) for t in np.ravel(ts)])

                left = deadline - time.monotonic()
                if 2 * seconds * FEW > left:
                    return unknown
                rule = difference if 2 * seconds * EVALUATIONS <= left else few_differences
                sides = [rule(values, 0.0, side=side, noise=NOISE) for side in (-1, 1)]
        except (DiffkitError, *USER_ERRORS):
            return unknown
        bounds = [each.bound.value for each in sides]
        left, right = (s.value if isfinite(s.bound.value) else None for s in sides)
        return left, right, max([b for b in bounds if isfinite(b)], default=inf)

    @cached_property
    def _program(self) -> tuple[Callable[..., Any], float]:
        """(t, tangents) -> the loss in float64, and seconds per value."""
        leaves = [leaf if _is_integer(leaf) else _wide(leaf) for leaf in self.leaves]

        @jax.jit
        def at(t: Any, leaves: Sequence[Array], tangents: Sequence[Array]) -> Any:
            moved = list(leaves)
            for place, tangent in zip(self.wrt, tangents, strict=True):
                moved[place] = jnp.asarray(moved[place]) + t * tangent
            return jnp.reshape(run_wide(self.root, moved)[0], ())

        still = [np.zeros(np.shape(self.leaves[place])) for place in self.wrt]
        first = float(at(0.0, leaves, still))
        most = max(_SAME_LOSS, FEW_ULPS * coarsest(self.root)) * max(abs(first), abs(self.value))
        if not abs(first - self.value) <= most:
            raise DiffkitError("the loss is another one in float64")
        start = time.monotonic()
        at(0.0, leaves, still).block_until_ready()
        seconds = time.monotonic() - start
        return lambda t, tangents: float(at(t, leaves, tangents)), seconds


def few_differences(
    f: Callable[[np.ndarray], np.ndarray], x: float, *, side: int, noise: float
) -> Estimate:
    r"""A one-sided derivative from `FEW` values, for losses that take long.

    $$f'(x) = \frac{-3 f(x) + 4 f(x + h) - f(x + 2h)}{2h} + O(h^2)$$

    The truncation is what a step eight times smaller changes, times `_SAFETY`.

    Args:
        f: Vectorised float64 function.
        x: The point.
        side: 1 from the right, -1 from the left.
        noise: Rounding error of f in ulps of the largest |f|.

    >>> found = few_differences(np.sin, 0.0, side=1, noise=4.0)
    >>> abs(found.value - 1.0) <= found.bound.value < 1e-7
    True
    """
    steps = side * 2.0 ** -np.arange(4.0, 4.0 + 3 * ((FEW - 1) // 2), 3.0)
    values = f(np.concatenate([[x], x + steps, x + 2 * steps]))
    start, near, far = values[0], values[1 : 1 + steps.size], values[1 + steps.size :]
    with np.errstate(all="ignore"):
        found = (4 * near - far - 3 * start) / (2 * steps)
        level = np.maximum(np.maximum(np.abs(near), np.abs(far)), abs(start))
        rounding = noise * np.finfo(float).eps * 4 * level / np.abs(steps)
        truncation = _SAFETY * np.abs(np.diff(found))
    total = rounding[:-1] + truncation
    total = np.where(np.isfinite(total), total, inf)
    best = int(np.argmin(total))
    parts = {"rounding": float(rounding[best]), "truncation": float(truncation[best])}
    if not isfinite(total[best]):
        return Estimate(nan, ErrorBound({"truncation": inf}))
    return Estimate(float(found[best]), ErrorBound(parts))


def directions(
    names: Sequence[str],
    leaves: Sequence[Array],
    entries: Sequence[tuple[int, tuple[int, ...]]],
    seed: int,
) -> list[Direction]:
    """Single entries that a mend changes, and a random direction.

    Args:
        names: Names of the differentiated leaves.
        leaves: Their values.
        entries: Pairs of a leaf and an index of it.
        seed: Of the random direction.
    """
    zeros = [np.zeros(np.shape(leaf)) for leaf in leaves]
    found = []
    for k, index in entries:
        tangent = np.zeros(np.shape(leaves[k]))
        tangent[index] = 1.0
        entry = f"[{', '.join(map(str, index))}]" if index else ""
        found.append(Direction(f"{names[k]}{entry}", (*zeros[:k], tangent, *zeros[k + 1 :])))
    if sum(each.size for each in zeros) == 1:
        return found
    generator = np.random.default_rng(seed)
    random = [generator.standard_normal(each.shape) for each in zeros]
    norm = np.sqrt(sum(float(np.sum(each**2)) for each in random))
    return [*found, Direction("a random direction", tuple(each / norm for each in random))]


def _along(gradient: Sequence[Array], direction: Direction, rounding: float) -> tuple[float, float]:
    """<g, v> and a bound on the rounding of g."""
    total, size = 0.0, 0.0
    for g, v in zip(gradient, direction.tangents, strict=True):
        if np.any(v):
            wide = np.asarray(g, np.float64)
            total += float(np.sum(wide * v))
            size += float(np.sum(wide[v != 0] ** 2))
    tiny = max(float(jnp.finfo(jnp.asarray(g).dtype).tiny) for g in gradient)
    return total, rounding * np.sqrt(size) + _TINIES * tiny


def _is_known(found: DerivativeEnclosure) -> bool:
    """Whether the sides of an enclosure are derivatives: a jump between them has none."""
    sides = sum(each is not None for each in (found.left, found.right))
    if not sides or found.kind == "undecided" or found.is_break:
        return False
    return found.value is not None or "removable" in found.note or sides == 1


def _outcome(mended: float, left: float | None, right: float | None, error: float) -> Outcome:
    """What a mended derivative is worth against the one-sided derivatives."""
    known = [each for each in (left, right) if each is not None]
    finite = [each for each in known if isfinite(each)]
    if not known or not isfinite(error):
        return "unknown"
    if not finite:
        return "infinite"
    gap = min(abs(mended - each) for each in finite)
    if len(finite) < len(known):
        return "one-sided" if gap <= error else "wrong"
    if len(known) == 2 and abs(known[0] - known[1]) > 2 * error:
        low, high = sorted(known)
        return "one-sided" if low - error <= mended <= high + error else "wrong"
    if gap <= error:
        return "agrees"
    return "wrong" if gap > 4 * error else "unknown"


def _is_integer(leaf: Any) -> bool:
    return not isinstance(leaf, float) and not is_float(leaf)


def _wide(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array if _is_integer(leaf) else array.astype(np.float64)

"""Both sides of a claim about arrays at points, and what independent witnesses say there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.batch import within
from diffkit.bridge.fixed_points import CONVERGED, residuals
from diffkit.bridge.lower_arrays import compile_nodes
from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError
from diffkit.core.evidence import ErrorBound, Evidence, Group, Outcome
from diffkit.numeric import matrix_sets
from diffkit.verify.array_question import ArrayQuestion

EPS = 2.0**-52
#: Random points besides the given ones, by budget.
POINTS = {"fast": 12, "full": 64}
#: Units of rounding granted, and multiples of the change under 4 ulps of all arguments.
ROUNDING, CONDITION = 256.0, 32.0

Leaves = tuple[Any, ...]


def _sides(question: ArrayQuestion) -> Callable[..., tuple[Any, Any, Any, tuple[Any, ...]]]:
    """One program of what a point is judged by: compiling it costs more than running it.

    It returns the truth, the claim, the function's value, and the change that one more step makes
    of every fixed point of the two sides.
    """
    nodes = [question.truth.whole, *filter(None, [question.claimed.node])]
    gaps = list(dict.fromkeys(gap for node in nodes for gap in residuals(node)))
    truth, claim = question.truth.lower(), question.claimed.value
    further = compile_nodes(gaps, question.inputs)
    count = len(question.what.values)

    def sides(*leaves: Any) -> tuple[Any, Any, Any, tuple[Any, ...]]:
        value = question.what.call(*leaves[:count])
        return truth(*leaves), claim(*leaves), value, further(*leaves)

    return jax.jit(sides)


@dataclass(frozen=True)
class Reading:
    """Both sides at one point.

    Args:
        point: Name -> array.
        true: The closed form's value.
        claimed: The claim's value.
        error: The largest disagreement, absolute, and what the error model allows there.
        allowed: The bound.
        place: Index of the worst entry.
        is_finite: Whether both sides and the function are finite, and its loops have converged.
    """

    point: Mapping[str, Any]
    true: Any
    claimed: Any
    error: float
    allowed: float
    place: tuple[int, ...]
    is_finite: bool = True

    @property
    def disagrees(self) -> bool:
        """Whether the error exceeds the bound."""
        return self.is_finite and not self.error <= self.allowed


class Court:
    """Evaluates both sides at points."""

    def __init__(self, question: ArrayQuestion) -> None:
        self.question = question
        self.names = [each.name for each in question.inputs]
        self.sides = _sides(question)
        self.seed = int(question.claim.options.get("seed", 0))
        self.count = POINTS[str(question.claim.options.get("budget", "fast"))]

    def hear(self) -> list[Reading]:
        """Read both sides at all points; stop at the first disagreement."""
        readings: list[Reading] = []
        for leaves in self.points():
            reading = within(60.0, lambda leaves=leaves: self.read(leaves))
            readings.append(reading)
            if reading.disagrees:
                break
        return readings

    def points(self) -> list[Leaves]:
        """The given point, the user's further ones, then random ones (half of them near)."""
        question, what = self.question, self.question.what
        random = np.random.default_rng(self.seed)
        base = tuple(
            self._drawn(k, random) if shape_only else value
            for k, (value, shape_only) in enumerate(
                zip(what.values, what.is_shape_only, strict=True)
            )
        )
        found: list[Leaves] = []
        if not what.is_shape_only[what.wrt]:
            found.append(base)
        found += [
            tuple(
                np.asarray(point.get(name, value), dtype=value.dtype)
                for name, value in zip(what.names, base, strict=True)
            )
            for point in question.points
        ]
        for number in range(self.count):
            moved = list(base)
            moved = [
                self._drawn(k, random) if what.is_shape_only[k] else value
                for k, value in enumerate(moved)
            ]
            has_fact = bool(question.domains.get(what.variable, Domain()).matrix_set)
            if found and number % 2 == 0 and not has_fact:
                value = base[what.wrt]
                step = random.uniform(-0.125, 0.125, size=value.shape)
                moved[what.wrt] = value + step * np.where(value == 0, 1.0, np.abs(value))
            else:
                moved[what.wrt] = self._drawn(what.wrt, random)
            found.append(tuple(moved))
        return [self._with_tangent(leaves, random) for leaves in found]

    def _with_tangent(self, leaves: Leaves, random: Any) -> Leaves:
        if self.question.kind != "jvp":
            return leaves
        shape = self.question.what.values[self.question.what.wrt].shape
        return (*leaves, random.normal(size=shape))

    def _drawn(self, place: int, random: Any) -> Any:
        what = self.question.what
        value = what.values[place]
        if not np.issubdtype(value.dtype, np.floating):
            return value
        domain = self.question.domains.get(what.names[place], Domain())
        return matrix_sets.draw(domain, value.shape, random)

    def read(self, leaves: Leaves) -> Reading:
        """Both sides at one point, and what rounding may explain."""
        with compat.x64():
            true, claimed, value, gaps = self.sides(*leaves)
            true, claimed = np.asarray(true, dtype=float), np.asarray(claimed, dtype=float)
            spread = self._spread(leaves, true, claimed)
        # every loop that is read as a fixed point must have reached it
        has_converged = all(np.max(np.abs(gap), initial=0.0) <= CONVERGED for gap in gaps)
        point = dict(zip(self.names, (np.asarray(x) for x in leaves), strict=True))
        is_finite = np.all(np.isfinite(true)) and np.all(np.isfinite(value))
        if not is_finite or not has_converged:
            return Reading(point, true, claimed, 0.0, 0.0, (), is_finite=False)
        scale = max(float(np.max(np.abs(true), initial=0.0)), 1e-300)
        error = np.abs(claimed - true)
        error = np.where(np.isfinite(error), error, inf)
        place = np.unravel_index(int(np.argmax(error)), true.shape) if error.size else ()
        worst = float(np.max(error, initial=0.0))
        allowed = ROUNDING * EPS * scale + CONDITION * spread
        return Reading(point, true, claimed, worst, allowed, tuple(map(int, place)))

    def _spread(self, leaves: Leaves, true: Any, claimed: Any) -> float:
        """The change of both sides when every argument moves by 4 ulps."""
        random = np.random.default_rng(1)
        moved = tuple(
            leaf * (1 + 4 * EPS * random.choice([-1.0, 1.0], size=np.shape(leaf)))
            if np.issubdtype(np.asarray(leaf).dtype, np.floating)
            else leaf
            for leaf in leaves
        )
        pairs = zip(self.sides(*moved)[:2], (true, claimed), strict=True)
        changes = [np.abs(np.asarray(there, dtype=float) - here) for there, here in pairs]
        finite = [c[np.isfinite(c)] for c in changes]
        return max(float(np.max(c, initial=0.0)) for c in finite)

    def witnesses(self, reading: Reading) -> list[Evidence]:
        """What AD and differences of values say about the worst entry of a reading."""
        rows = []
        leaves = tuple(reading.point.values())
        for oracle, group, ask in (
            ("reverse mode", "AD rules", self._by_reverse),
            ("differences", "numerical", self._by_differences),
        ):
            try:
                with compat.x64():
                    found, bound = ask(leaves, reading)
            except (DiffkitError, TypeError, ValueError, NotImplementedError):
                continue
            rows.append(_row(oracle, group, reading, found, bound))
        return rows

    def _by_reverse(self, leaves: Leaves, reading: Reading) -> tuple[float, float]:
        """The worst entry by JAX's own AD."""
        kind = self.question.kind
        if kind == "jvp":
            found = self._along(*self._split(leaves), leaves[-1])
        else:
            mode = {"hessian": jax.hessian, "gradient": jax.grad, "value": lambda f: f}
            program = mode.get(kind, jax.jacrev)(self._alone)
            found = jax.jit(program)(*self._split(leaves))
        found = np.asarray(found, dtype=float)
        return float(found[reading.place]), max(reading.allowed, 1e-12)

    def _alone(self, x: Any, leaves: Leaves) -> Any:
        """The function of the variable first; `leaves` holds the other arguments."""
        what = self.question.what
        moved = [jnp.asarray(leaf) for leaf in leaves]
        moved[what.wrt] = x
        return jax.tree.leaves(what.call(*moved))[0]

    def _split(self, leaves: Leaves) -> tuple[Any, Leaves]:
        """The variable and the arguments, without a tangent."""
        what = self.question.what
        return jnp.asarray(leaves[what.wrt]), leaves[: len(what.values)]

    def _along(self, x: Any, leaves: Leaves, tangent: Any) -> Any:
        """The directional derivative by AD."""

        def along(x: Any, leaves: Leaves, tangent: Any) -> Any:
            return jax.jvp(lambda x: self._alone(x, leaves), (x,), (tangent,))[1]

        return jax.jit(along)(x, leaves, jnp.asarray(tangent, x.dtype))

    def _by_differences(self, leaves: Leaves, reading: Reading) -> tuple[float, float]:
        """The worst entry by central differences of values (of AD's gradient for a Hessian)."""
        what, kind = self.question.what, self.question.kind
        program = jax.jit(jax.grad(self._alone) if kind == "hessian" else self._alone)
        rest = leaves[: len(what.values)]
        x = np.asarray(leaves[what.wrt], dtype=float)

        def f(x: Any) -> Any:
            return np.asarray(program(x, rest), dtype=float)

        if kind == "value":
            return float(f(x)[reading.place]), reading.allowed
        if kind == "jvp":
            direction, out = np.asarray(leaves[-1]), reading.place
        else:
            rank = x.ndim
            split = len(reading.place) - rank
            out = reading.place[:split]
            direction = np.zeros_like(x)
            direction[reading.place[split:]] = 1.0
        step = 2.0**-17 * max(1.0, float(np.max(np.abs(x), initial=0.0)))

        def slope(h: float) -> float:
            return float((f(x + h * direction)[out] - f(x - h * direction)[out]) / (2 * h))

        coarse, fine = slope(2 * step), slope(step)
        found = fine + (fine - coarse) / 3
        size = float(np.max(np.abs(f(x)), initial=0.0))
        return found, abs(fine - coarse) + 64 * EPS * size / step


def _row(oracle: str, group: Group, reading: Reading, found: float, bound: float) -> Evidence:
    claimed = float(np.asarray(reading.claimed)[reading.place])
    true = float(np.asarray(reading.true)[reading.place])
    outcome: Outcome
    if not np.isfinite(found):
        outcome = "unsure"
    elif abs(found - claimed) <= bound and abs(found - true) > bound:
        outcome = "agrees"
    elif abs(found - claimed) > bound and abs(found - true) <= max(bound, 1e-6 * abs(true)):
        outcome = "disagrees"
    else:
        outcome = "unsure"
    return Evidence(
        oracle,
        group,
        outcome,
        value=found,
        claimed=claimed,
        error=abs(found - claimed),
        allowed=ErrorBound({"rounding and truncation": bound}),
        dtype="float64",
        note=f"entry {list(reading.place)}" if reading.place else "",
    )

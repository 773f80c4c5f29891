r"""Functions of many entries: directional derivatives, a handful of gradients, no Jacobian.

One gradient g per point is computed and held against central differences along random unit
directions u in float64; forward mode answers about the same directions.  The allowed error is
that of the differences plus rounding of the size of a typical projection, $\|g\|/\sqrt n$.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from diffkit.backend import compat
from diffkit.bridge.batch import within
from diffkit.bridge.subject import Probe, Subject, weighted
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.evidence import ErrorBound, Outcome
from diffkit.numeric.balls import DerivativeEnclosure, Enclosure
from diffkit.oracles import forward, reverse
from diffkit.oracles.measured import Measured
from diffkit.verify.answers import UNBOUNDED_ULPS, Answer, against_differences
from diffkit.verify.modes import mode_error
from diffkit.verify.sampling import Leaves, given
from diffkit.verify.tolerance import allowance

#: From this many entries on a function counts as large.
LARGE = 10_000
#: Directions at the user's point, and at the one beside it.
DIRECTIONS = (3, 1)
#: Steps of the differences as shares of the argument's norm.
STEPS = (2.0**-8, 2.0**-12, 2.0**-16)
#: Differences that may be off by more than this share of themselves say nothing.
COARSE = 0.05
SECONDS = 600.0
_REASON = "a function of many entries is judged along directions, by differences"


def is_large(what: Subject) -> bool:
    """Whether the differentiated leaf is too large for questions entry by entry."""
    return what.values[what.wrt].size > LARGE


def check_order(what: Subject, order: int) -> None:
    """Refuse higher derivatives of many entries.

    Raises:
        UsageError: the order is above 1.
    """
    if order > 1:
        raise UsageError(
            f"order={order} of {what.values[what.wrt].size:,} entries: large arguments are judged "
            "to the first order; name a smaller part with wrt="
        )


def points(
    what: Subject,
    domains: Mapping[str, Domain],
    further: Sequence[Mapping[str, Any]],
    seed: int,
) -> tuple[list[Leaves], int]:
    """The user's points and one beside the first; a random one where there is none."""
    found = given(what, domains, further)
    random = np.random.default_rng(seed)
    base = found[0] if found else what.values
    x = base[what.wrt]
    moved = (
        x * (1 + random.uniform(-0.125, 0.125, x.shape)) if found else random.normal(size=x.shape)
    )
    return [*found, (*base[: what.wrt], moved, *base[what.wrt + 1 :])], len(found)


def ask_large(
    what: Subject, dtype: str, leaves: Sequence[Any], mine: int, seed: int
) -> list[Answer]:
    """What both modes of AD answer along random directions, and how far that is off.

    Args:
        what: A function of one real result.
        dtype: Precision of the program.
        leaves: The points, the user's first.
        mine: How many are the user's.
        seed: Seed of the directions.
    """
    programs = _Programs(what, dtype)
    found: list[Answer] = []
    for number, point in enumerate(leaves):
        if not what.is_representable(dtype, point):
            continue
        is_given = number < mine
        random = np.random.default_rng([seed, number])
        found += programs.answers(point, random, DIRECTIONS[0 if is_given else 1], is_given)
    return found


def ask_scaled(
    what: Subject, dtype: str, answers: Sequence[Answer], scales: Sequence[float]
) -> list[Answer]:
    """Reverse mode along scaled cotangents, where it is not the scaled answer.

    Args:
        what: A function of one real result.
        dtype: Precision of the program.
        answers: Those to the questions themselves.
        scales: Factors of the cotangent.
    """
    asked = next((a for a in answers if a.mode == reverse.NAME and isfinite(a.value)), None)
    if asked is None:
        return []
    programs = _Programs(what, dtype)
    rounded = what.at(dtype, asked.probe.leaves)
    found = []
    for scale in scales:
        probe = replace(asked.probe, cotangent=scale * asked.probe.cotangent)
        _, gradient = programs._gradient(rounded, probe.cotangent)
        value = float(np.sum(gradient * probe.tangent))
        size = float(np.linalg.norm(gradient)) / gradient.size**0.5
        rounding = allowance(UNBOUNDED_ULPS, dtype)
        if abs(value - scale * asked.value) <= rounding * (abs(value) + size):
            continue
        truth = programs._truth(rounded, probe.tangent, probe.cotangent)
        bent = replace(asked, probe=probe, value=value, truth=truth, rows=(), scale=scale)
        found.append(programs._judged(bent, size))
    return found


@dataclass(frozen=True)
class _Programs:
    """The compiled programs of one function in one precision."""

    what: Subject
    dtype: str

    @cached_property
    def _value_and_grad(self) -> Callable[..., Any]:
        def value(x: Any, rest: Any, cotangent: Any) -> Any:
            moved = [*rest[: self.what.wrt], x, *rest[self.what.wrt :]]
            return weighted(cotangent, jax.tree.leaves(self.what.call(*moved))[0])

        return jax.jit(jax.value_and_grad(value))

    @cached_property
    def _jvp(self) -> Callable[..., Any]:
        return jax.jit(forward.row(self.what, 1))

    @cached_property
    def _line(self) -> Callable[..., Any]:
        what = self.what.widened(self.dtype)

        def phi(t: Any, leaves: Any, u: Any, cotangent: Any) -> Any:
            return what.line(leaves, u, cotangent)(t)

        return jax.jit(phi)

    def answers(
        self, point: Any, random: np.random.Generator, count: int, is_given: bool
    ) -> list[Answer]:
        """The answers of all modes along `count` directions at one point."""
        what, dtype = self.what, self.dtype
        rounded = what.at(dtype, point)
        shape, size = rounded[what.wrt].shape, rounded[what.wrt].size
        cotangent = random.normal(size=what.output_shape) if what.output_shape else np.ones(())
        gradient = primal = None
        if mode_error(what, dtype, reverse.row(what, 1)) is None:
            primal, gradient = self._gradient(rounded, cotangent)
        found = []
        for number in range(count):
            u = random.normal(size=shape)
            u /= np.linalg.norm(u)
            probe = Probe(tuple(point), u, cotangent, f"direction {number}")
            truth = self._truth(rounded, u, cotangent)
            values = self._forward(rounded, u, cotangent)
            if gradient is not None:
                values[reverse.NAME] = float(np.sum(gradient * u))
            norm = float(np.linalg.norm(gradient)) if gradient is not None else 0.0
            scale = norm / size**0.5 if isfinite(norm) else 0.0
            for mode, value in values.items():
                answer = Answer(
                    probe,
                    dtype,
                    mode,
                    value,
                    truth,
                    "unsure",
                    is_given=is_given,
                    primal=primal if primal is not None else float("nan"),
                    measured=_REASON,
                )
                found.append(self._judged(answer, scale))
        return found

    def _judged(self, answer: Answer, scale: float) -> Answer:
        truth = answer.truth
        if truth.kind != "smooth":
            outcome: Outcome = "out of domain" if truth.kind == "undefined" else "unsure"
            return replace(answer, outcome=outcome, note=truth.note)
        eps = float(jnp.finfo(self.dtype).eps)
        free = ErrorBound({"rounding": UNBOUNDED_ULPS * eps * scale})
        return against_differences(self.what, answer, free)

    def _gradient(self, leaves: Any, cotangent: Any) -> tuple[float, np.ndarray]:
        what = self.what
        rest = [leaf for k, leaf in enumerate(leaves) if k != what.wrt]
        with compat.x64(self.dtype == "float64"):
            arguments = leaves[what.wrt], rest, np.asarray(cotangent, jnp.dtype(self.dtype))
            found = within(SECONDS, lambda: jax.block_until_ready(self._value_and_grad(*arguments)))
        return float(found[0]), np.asarray(found[1], dtype=np.float64)

    def _forward(self, leaves: Any, u: Any, cotangent: Any) -> dict[str, float]:
        row = forward.row(self.what, 1)
        if mode_error(self.what, self.dtype, row) is not None:
            return {}
        kind = jnp.dtype(self.dtype)
        with compat.x64(self.dtype == "float64"):
            arguments = leaves, u.astype(kind), np.asarray(cotangent, kind)
            value = within(SECONDS, lambda: float(self._jvp(*arguments)))
        return {forward.NAME: value}

    def _truth(self, leaves: Any, u: Any, cotangent: Any) -> DerivativeEnclosure:
        """Central differences at pairs of steps; the pair that agrees best with itself counts."""
        what = self.what
        wide = what.at("float64", leaves)
        size = float(np.linalg.norm(wide[what.wrt])) or 1.0
        with compat.x64():

            def value(t: float) -> float:
                return within(SECONDS, lambda: float(self._line(t, wide, u, cotangent)))

            here = value(0.0)
            if not isfinite(here):
                return DerivativeEnclosure(None, None, None, "undefined", "no finite value")
            pairs = [self._pair(value, share * size, here) for share in STEPS]
        best, bound = min(pairs, key=lambda pair: pair[1] if isfinite(pair[1]) else inf)
        at = Enclosure.of(arb(here))
        if not isfinite(bound) or bound > COARSE * abs(best):
            return DerivativeEnclosure(None, None, at, "undecided", "differences do not settle")
        side = Enclosure.of(arb(best, bound))
        return DerivativeEnclosure(side, side, at, "smooth", Measured.name)

    @staticmethod
    def _pair(value: Callable[[float], float], h: float, here: float) -> tuple[float, float]:
        """The derivative from steps h and h/2, and how far it may be off."""
        whole, half = ((value(s) - value(-s)) / (2 * s) for s in (h, h / 2))
        noise = 256 * 2.0**-52 * abs(here) / h
        return half + (half - whole) / 3, 2 * abs(half - whole) + noise

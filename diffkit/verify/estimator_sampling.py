"""An estimator judged by its draws: the sequential test of every entry of every candidate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np

from diffkit.core.evidence import ErrorBound
from diffkit.core.verdict import Status
from diffkit.numeric.moments import Moments
from diffkit.numeric.sequential import MOST_LEVERAGE, Look, Plan, look
from diffkit.verify.estimator import Candidate, Draws, coarsest_dtype
from diffkit.verify.estimator_verdict import Comparison, cosine

#: An entry that never varied counts as constant once a change as rare as this would have shown.
RAREST = 1e-3


@dataclass(frozen=True)
class Settings:
    """The keywords of the verb that decide.

    Args:
        alpha: Probability of refuting something true.
        detectable: Bias to be found, relative to the largest entry of the exact leaf.
        power: Probability of finding it.
        truncation: Absolute bias, entry by entry, that is known and allowed.
        most: Largest number of draws.
    """

    alpha: float
    detectable: float
    power: float
    truncation: float
    most: int


def draws_of_a_constant(power: float) -> int:
    """Number of equal draws after which an entry counts as constant.

    An event of probability `RAREST` would have been seen in them with the power.

    >>> draws_of_a_constant(0.99)
    4606
    """
    return ceil(log(1 / (1 - power)) / RAREST)


@dataclass(frozen=True)
class Sample:
    """What the draws said.

    Args:
        comparisons: One a candidate.
        moments: Moments of the draws, entries only.
        bad_draw: Number of the first draw that is not finite, or None.
        bad_entry: The entry in which it is not.
        bad_value: What it is there.
    """

    comparisons: tuple[Comparison, ...] = ()
    moments: Moments | None = None
    bad_draw: int | None = None
    bad_entry: str = ""
    bad_value: float = 0.0


class _NotFinite(Exception):
    """A draw holds NaN or an infinity."""

    def __init__(self, draw: int, entry: int, value: float) -> None:
        super().__init__(draw, entry, value)
        self.draw, self.entry, self.value = draw, entry, value


def sample(
    draws: Draws,
    candidates: Sequence[Candidate],
    fixed: np.ndarray,
    key: Any,
    settings: Settings,
) -> Sample:
    """Draw until every candidate is refuted or supported, or no draw is left.

    Args:
        draws: The estimator.
        candidates: What its mean is held against.
        fixed: Entries that are computed without the key.
        key: The key.
        settings: Level, power, sizes.
    """
    # every entry, and the mean along the candidate's direction, for every candidate
    plan = Plan(settings.alpha, settings.power, len(candidates) * (draws.size + 1), settings.most)
    judges = [_Judge(draws, each, fixed, settings, plan, i) for i, each in enumerate(candidates)]
    directions = np.stack([judge.direction for judge in judges], axis=1)
    try:
        for moments in _moments_at_looks(draws, directions, key, plan):
            decided = [judge.is_decided_by(moments) for judge in judges]
            if all(decided):
                break
    except _NotFinite as error:
        return Sample(
            bad_draw=error.draw, bad_entry=draws.entries[error.entry], bad_value=error.value
        )
    return Sample(tuple(judge.comparison() for judge in judges), _part(moments, 0, draws.size))


def moments_of(draws: Draws, key: Any, count: int) -> Moments:
    """Moments of the first `count` draws.

    Raises:
        FloatingPointError: one of them is not finite.
    """
    plan = Plan(0.5, 0.5, 1, count)
    try:
        *_, found = _moments_at_looks(draws, np.zeros((draws.size, 0)), key, plan)
    except _NotFinite as error:
        raise FloatingPointError(f"draw {error.draw} of {draws.name} is {error.value}") from error
    return found


def _moments_at_looks(
    draws: Draws, directions: np.ndarray, key: Any, plan: Plan
) -> Iterator[Moments]:
    """The moments at every look, of the entries and then of the components along directions."""
    total: Moments | None = None
    kept = np.zeros((0, draws.size))
    made = 0
    for size in plan.looks:
        while (total.count if total else 0) < size:
            if not len(kept):
                kept = draws.from_keys(key, made)
                _check_finite(kept, made)
                made += len(kept)
            need = size - (total.count if total else 0)
            table, kept = kept[:need], kept[need:]
            with np.errstate(over="ignore", invalid="ignore"):
                block = Moments.of(np.concatenate([table, table @ directions], axis=1))
            total = total.merge(block) if total else block
        assert total is not None
        yield total


def _check_finite(table: np.ndarray, start: int) -> None:
    if not np.all(np.isfinite(table)):
        draw, entry = np.argwhere(~np.isfinite(table))[0]
        raise _NotFinite(start + int(draw), int(entry), float(table[draw, entry]))


def _part(moments: Moments, start: int, stop: int) -> Moments:
    """The moments of some of the columns."""
    columns = slice(start, stop)
    return Moments(
        moments.count,
        *(getattr(moments, name)[columns] for name in ("mean", "second", "third", "low", "high")),
    )


class _Judge:
    """One candidate and the last look at it."""

    def __init__(
        self,
        draws: Draws,
        candidate: Candidate,
        fixed: np.ndarray,
        settings: Settings,
        plan: Plan,
        number: int,
    ) -> None:
        self.draws, self.candidate, self.fixed = draws, candidate, fixed
        self.settings, self.plan, self.number = settings, plan, number
        self.refuted = np.zeros(draws.size, dtype=bool)
        # divided twice, so that squares of small or large entries stay in range
        scaled = candidate.values / (np.abs(candidate.values).max() or 1.0)
        self.direction = scaled / (np.linalg.norm(scaled) or 1.0)
        # draws are taken as right to half their digits
        self.half_digits = np.sqrt(np.maximum(draws.epsilon, candidate.epsilon))

    def is_decided_by(self, moments: Moments) -> bool:
        """Look at the moments; whether nothing more needs to be known."""
        size = self.draws.size
        self.moments = _part(moments, 0, size)
        self.along = _part(moments, size + self.number, size + self.number + 1)
        self.rounding = self.half_digits * self.moments.root_mean_square
        self.allowed = self.settings.truncation + self.rounding
        self.detectable = self.settings.detectable * self._scale()
        exact = self.candidate.values
        self.look: Look = look(self.moments, exact, self.allowed, self.detectable, self.plan)
        is_off = np.abs(self.moments.mean - exact) > self.allowed
        # once refuted, refuted: the level is spent on every look
        self.refuted = self.refuted | self.look.refuted | (self.fixed & is_off)
        is_still = self.moments.is_constant & ~self.fixed
        self.still_off, self.still_agrees = is_still & is_off, is_still & ~is_off
        is_enough = self.moments.count >= draws_of_a_constant(self.settings.power)
        agrees = (self.fixed & ~is_off) | (self.still_agrees & is_enough)
        self.supported = self.look.powered | agrees
        return bool(self.refuted.any() or self.supported.all())

    def _scale(self) -> np.ndarray:
        """Largest |entry| of the exact leaf; of the whole, or the size of a draw, if that is 0."""
        exact = np.abs(self.candidate.values)
        starts = np.concatenate([[0], np.cumsum(self.draws.sizes)[:-1]]).astype(int)
        largest = self.draws.per_entry(np.maximum.reduceat(exact, starts))
        whole = exact.max() or self.moments.root_mean_square.max()
        return np.where(largest > 0, largest, whole)

    def comparison(self) -> Comparison:
        """What the last look says."""
        is_constant = self.moments.is_constant
        error = np.where(is_constant, 0.0, self.moments.standard_error)
        chance = np.where(is_constant, 0.0, np.where(is_constant, 0.0, self.look.critical) * error)
        mean, exact = self.moments.mean, self.candidate.values
        slope, slope_error = float(self.along.mean[0]), float(self.along.standard_error[0])
        zero, one = np.zeros(1), np.ones(1)
        is_away = bool(look(self.along, zero, zero, one, self.plan).refuted[0]) and slope < 0
        return Comparison(
            name=self.candidate.name,
            status=self._status(),
            entries=self.draws.entries,
            mean=mean,
            exact=exact,
            standard_error=error,
            allowed=tuple(
                ErrorBound(
                    {
                        "sampling": float(chance[i]),
                        "truncation": self.settings.truncation,
                        "rounding": float(self.rounding[i]),
                    }
                )
                for i in range(len(mean))
            ),
            cosine=cosine(mean, exact),
            slope=slope,
            slope_error=slope_error,
            points_away=is_away,
            reason=self._reason(),
        )

    def _status(self) -> Status:
        if self.refuted.any():
            return "refuted"
        return "supported" if self.supported.all() else "undecided"

    def _reason(self) -> str:
        """Why nothing was decided, worst obstacle first."""
        if self.refuted.any() or self.supported.all():
            return ""
        open_entries = ~self.supported
        n = self.moments.count
        still_off = np.flatnonzero(open_entries & self.still_off)
        if len(still_off):
            i = int(still_off[0])
            rare = log(1 / self.plan.level) / n
            return (
                f"all {n:,} draws{self._at(i)} are {self.moments.mean[i]:.4g}, exact is "
                f"{self.candidate.values[i]:.4g}: only an event rarer than {rare:.1g} could make "
                "up the difference; enumerate the cases with support="
            )
        wild = np.flatnonzero(open_entries & ~self.look.reliable & ~self.still_agrees)
        if len(wild):
            i = int(wild[np.argmax(np.nan_to_num(self.moments.leverage[wild], nan=np.inf))])
            share, skew = self.moments.leverage[i], self.moments.skewness[i]
            what = (
                f"one draw holds {share:.0%} of the spread (at most {MOST_LEVERAGE:.0%} is safe)"
                if not share <= MOST_LEVERAGE
                else f"the draws are too skewed ({skew:.3g}) for the normal approximation"
            )
            return (
                f"heavy tails{self._at(i)}: {what}; make more draws, average several into one "
                "draw, or enumerate the cases with support="
            )
        still = np.flatnonzero(open_entries & self.still_agrees)
        if len(still):
            return (
                f"{n:,} draws{self._at(int(still[0]))} agree with exact and never varied; "
                f"{draws_of_a_constant(self.settings.power):,} draws are needed to call it "
                "constant; raise max_samples="
            )
        i = int(np.flatnonzero(open_entries)[np.argmax(self.look.needed[open_entries])])
        if self.look.needed[i] <= n:
            floats = coarsest_dtype(self.draws.epsilon)
            return (
                f"rounding of {floats} draws ({self.rounding[i]:.1g}) and "
                f"truncation{self._at(i)} hide a bias of {self.detectable[i]:.1g}; draw in a wider "
                "dtype or raise detectable="
            )
        return (
            f"a bias of {self.detectable[i]:.2g}{self._at(i)} takes at least "
            f"{self.look.needed[i]:,.0f} draws to exclude; raise max_samples= or detectable="
        )

    def _at(self, i: int) -> str:
        entry = self.draws.entries[i]
        return f" at {entry}" if entry else ""

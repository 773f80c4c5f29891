"""`dk.blame`: which equation makes a loss or its gradient NaN or infinite, and what helps.

The program is the user's own, run again with counters at cotangents and values.  A mend is run
before it is recommended, and held against the derivative of the loss as it is written: the usual
guard can give a finite number that is wrong.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite, isinf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.bridge import local
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.blocks import Path, block_at, coarsest, is_float, node_at, of_one_line
from diffkit.bridge.cotangents import Caught, Edit, Found
from diffkit.bridge.culprits import Culprit, Origin, Search, is_written
from diffkit.bridge.subject import subject
from diffkit.core.blame import BadLeaf, Blame, Cause, Mend
from diffkit.core.errors import DiffkitError, UsageError
from diffkit.verify.blame_question import Case
from diffkit.verify.mended import FEW_ULPS, Comparison, Truth, directions
from diffkit.verify.mends import Proposal, proposals
from diffkit.verify.remedy import series
from diffkit.verify.spelling import composed, names_of
from diffkit.verify.telling import (
    cut_off,
    line_of,
    tell_argument,
    tell_branch,
    tell_result,
    tell_share,
    tell_truth,
    untaken,
)
from diffkit.verify.tolerance import allowance

#: At most this many equations are mended one after the other, or listed.
ROUNDS = 6
#: Entries that were not finite are held against the truth in this many arrays.
MOST_ENTRIES = 3
#: Two losses, or the entries of two gradients relative to the largest one, are the same up to this
#: many units of their type, and `FEW_ULPS` of the narrowest type on their way.
_SAME_ULPS = 256.0


def blame(
    loss: Callable[..., Any],
    *args: Any,
    wrt: int | str | tuple[int | str, ...] = 0,
    has_aux: bool = False,
    mend: bool = True,
    seconds: float = 60.0,
    seed: int = 0,
    **kwargs: Any,
) -> Blame:
    """Say why a loss or its gradient is not finite: the equation, the line, a mend that was run.

    Args:
        loss: A JAX function with one real number as result; it may be jitted.
        *args: Its arguments, as in the step that went wrong; pytrees, keys and counters included.
        wrt: What the gradient is taken by: position, name, path of a leaf, or a tuple of them.
        has_aux: Whether the loss returns a pair of the number and something else.
        mend: Whether mends are searched.
        seconds: After this time no further mend is tried.
        seed: Of the random direction along which a mend is checked.
        **kwargs: Arguments by name; those that are no float arrays are static.

    Returns:
        A `Blame`; `.ok` when loss and gradient are finite.

    Raises:
        UsageError: the question cannot be asked this way; says how it can.

    >>> import jax.numpy as jnp
    >>> found = blame(lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0)), jnp.array([4.0, -1.0]))
    >>> found.cause.primitive, found.cause.entry, found.mend.code
    ('sqrt', (1,), 'jnp.sqrt(jnp.where(x > 0, x, 1.0))')
    """
    _check_options(seconds, seed)
    # a user who looks for a NaN may have told JAX to stop at the first one
    with jax.debug_nans(False), jax.debug_infs(False), jax.disable_jit(False):
        case = Case.read(loss, args, kwargs, wrt, has_aux)
        return _answer(case, time.monotonic() + seconds, seed, with_mends=mend)


def _answer(case: "Case", deadline: float, seed: int, *, with_mends: bool) -> Blame:
    search = Search(case.replay)
    outcome = case.first(search)
    leaves = tuple(
        BadLeaf(name, tuple(np.shape(leaf)), int(nan), int(inf))
        for name, leaf, (nan, inf) in zip(case.varied, case.points, outcome.gradient, strict=True)
        if nan or inf
    )
    found = Blame(case.name, case.wrt_text, float(outcome.value), leaves, notes=case.notes)
    if found.ok:
        return replace(found, notes=(*found.notes, *case.remarks()))
    return _Diagnosis(case, deadline, seed).run(found, search, with_mends=with_mends)


@dataclass
class _Diagnosis:
    """One search for causes and mends.

    Args:
        case: The question.
        deadline: When no further mend is tried.
        seed: Of the random direction.
    """

    case: Case
    deadline: float
    seed: int
    edits: dict[Path, Edit] = field(default_factory=dict)
    applied: list[Proposal] = field(default_factory=list)
    rejected: list[Mend] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, found: Blame, search: Search, *, with_mends: bool) -> Blame:
        """The first cause with its origins, the mends, and the causes that come to light."""
        causes: list[Cause] = []
        point = self._point(search)
        origins = tuple(point.told)
        current, following, is_cured = search, None, False
        for _ in range(ROUNDS):
            if point.cause is not None:
                causes.append(point.cause)
            following = self._mended(point, found) if with_mends else None
            is_cured = following is not None and _is_finite(following.outcome())
            if following is None:
                following = self._cut_off(point)
                with_mends = False
            if following is None or _is_finite(following.outcome()) or self._is_late():
                break
            current = following
            point = self._point(current, with_origins=with_mends)
        if not causes and found.leaves:
            self.notes.append(
                "the replay finds no equation at which cotangents stop being finite: they add up "
                "to what is not"
            )
        mend = None
        if is_cured and self.applied and following is not None:
            mend = self._judged(found, search.outcome(), following.outcome())
        if mend is not None and not mend.is_recommended:
            self.rejected.append(mend)
            mend = self._series(found)
        return replace(
            found,
            causes=tuple(dict.fromkeys(causes)),
            origins=origins,
            mend=mend,
            rejected=tuple(self.rejected),
            notes=(*found.notes, *self.notes),
        )

    # --- causes --------------------------------------------------------------------------------

    def _point(self, search: Search, *, with_origins: bool = True) -> "_Point":
        """The first culprit of a program, told, with the origins of the values it meets."""
        root = self.case.replay.root
        culprit = search.culprit()
        if culprit is None:
            origin = search.origin((), (), root.outputs[0], "nan") or search.origin(
                (), (), root.outputs[0], "any"
            )
            return self._with_origins(search, None, [origin])
        block, node = block_at(root, culprit.path[:-1]), node_at(root, culprit.path)
        selects = untaken(block, culprit.path)
        caught = self._catch(search, [culprit.path, *selects], culprit.steps)
        mine = caught[culprit.path]
        entry = None if culprit.is_sum else local.bad_share(block, node, mine, culprit.operand)
        branch = tell_branch(root, culprit, mine, entry, {p: caught[p] for p in selects})
        cause = Cause(
            "sum" if culprit.is_sum else "backward",
            node.name,
            line_of(node.source),
            node.source.text,
            culprit.steps,
            () if entry is None else entry.index,
            tell_share(node, mine, culprit, entry),
            branch,
        )
        told = (culprit, mine, bool(branch), cause)
        if not with_origins:
            return self._with_origins(search, told, [])
        origins = [
            self._origin(search, culprit.path[:-1], culprit.steps, v, array)
            for v, array in zip(node.inputs, mine.operands, strict=True)
        ]
        if not any(origins) and not isfinite(float(search.outcome().value)):
            origins.append(self._origin(search, (), (), root.outputs[0], search.outcome().value))
        return self._with_origins(search, told, origins)

    def _origin(
        self, search: Search, path: Path, steps: tuple[int, ...], value: int, array: Any
    ) -> Origin | None:
        if local.first_bad(jnp.asarray(array)) is None:
            return None
        has_nan = bool(jnp.any(jnp.isnan(array)))
        return search.origin(path, steps, value, "nan" if has_nan else "any")

    def _with_origins(
        self,
        search: Search,
        culprit: "tuple[Culprit, Caught, bool, Cause] | None",
        origins: Sequence[Origin | None],
    ) -> "_Point":
        """Origins told, and the origins of infinities of which an origin made NaN."""
        point = _Point(*(culprit or (None, None, False, None)))
        open_ = [each for each in dict.fromkeys(origins) if each is not None]
        while open_ and len(point.origins) < ROUNDS:
            origin = open_.pop(0)
            caught = self._caught_origin(search, origin)
            point.origins.append((origin, caught))
            point.told.append(self._told(origin, caught))
            if caught is None:
                continue
            block = block_at(self.case.replay.root, origin.path[:-1])
            more = [
                self._origin(search, origin.path[:-1], origin.steps, v, array)
                for v, array in zip(
                    node_at(self.case.replay.root, origin.path).inputs, caught.operands, strict=True
                )
                if not is_written(block, v)
            ]
            known = [*open_, *(each for each, _ in point.origins)]
            open_ += [
                each
                for each in dict.fromkeys(more)
                if each and each not in known and each.kind != "constant"
            ]
        return point

    def _caught_origin(self, search: Search, origin: Origin) -> Caught | None:
        if origin.kind != "equation":
            return None
        found = search.replay.look(catch=[origin.path], step=origin.steps, edits=search.edits)
        return found.caught[origin.path]

    def _told(self, origin: Origin, caught: Caught | None) -> Cause:
        case, root = self.case, self.case.replay.root
        if origin.kind == "argument":
            name, leaf = case.names[origin.place], case.replay.leaves[origin.place]
            index = local.first_bad(jnp.asarray(leaf)) or ()
            return Cause("argument", name, entry=index, message=tell_argument(name, leaf, index))
        if caught is None:
            array = block_at(root, origin.path).constants[origin.place]
            index = local.first_bad(jnp.asarray(array)) or ()
            message = tell_argument("it", array, index)
            return Cause("constant", "a constant of the program", entry=index, message=message)
        node = node_at(root, origin.path)
        entry = local.bad_result(node, caught, origin.place)
        return Cause(
            "forward",
            node.name,
            line_of(node.source),
            node.source.text,
            origin.steps,
            () if entry is None else entry.index,
            tell_result(node, caught, entry),
        )

    def _catch(
        self, search: Search, paths: Sequence[Path], steps: tuple[int, ...]
    ) -> Mapping[Path, Caught]:
        return search.replay.run(catch=paths, step=steps, edits=search.edits).caught

    # --- mends ---------------------------------------------------------------------------------

    def _mended(self, point: "_Point", found: Blame) -> Search | None:
        """The program with the first mend that cures this cause; None where none does."""
        for proposal in self._proposals(point):
            if self._is_late():
                self.notes.append("time is up: no further mend was tried; seconds= allows more")
                return None
            edits = {**self.edits, **proposal.edits}
            trial = Search(self.case.replay, edits)
            try:
                if not self._helps(trial, point):
                    continue
            except USER_ERRORS:
                continue  # a mend that does not fit the program is none
            outcome = trial.outcome()
            if _is_changed(found.value, outcome, self.eps):
                self.rejected.append(
                    Mend(
                        proposal.code,
                        line_of(proposal.source),
                        _is_finite(outcome),
                        message=f"changes the loss to {float(outcome.value):.7g}",
                    )
                )
                continue
            self.edits = edits
            self.applied.append(proposal)
            return trial
        return None

    def _helps(self, trial: Search, point: "_Point") -> bool:
        """Whether the cause is gone, although another one may be left."""
        if point.culprit is None:
            return isfinite(float(trial.outcome().value))
        return not trial.still_makes(point.culprit)

    @cached_property
    def eps(self) -> float:
        """Rounding of the program."""
        return coarsest(self.case.replay.root)

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def _proposals(self, point: "_Point") -> Iterator[Proposal]:
        root = self.case.replay.root
        seen: set[tuple[Any, ...]] = set()
        for path, caught, is_untaken in point.targets():
            for proposal in proposals(root, path, caught, is_untaken=is_untaken):
                key = (proposal.code, *sorted(proposal.edits))
                if key not in seen and not set(proposal.edits) & set(self.edits):
                    seen.add(key)
                    yield proposal

    def _cut_off(self, point: "_Point") -> Search | None:
        """The program without the bad contributions of a cause, to see what else is wrong."""
        if point.culprit is None or point.culprit.path in self.edits:
            return None
        places = of_one_line(self.case.replay.root, point.culprit.path)
        self.edits = {**dict.fromkeys(places, cut_off), **self.edits}
        trial = Search(self.case.replay, self.edits)
        try:
            trial.outcome()
        except USER_ERRORS:
            return None
        return trial

    # --- judgement -----------------------------------------------------------------------------

    def _judged(self, found: Blame, first: Found, last: Found) -> Mend:
        """All applied mends together, held against the derivative of the loss as written."""
        case = self.case
        before, after = first.leaves, last.leaves
        mend = Mend(*_written(self.applied), is_finite=True)
        is_exact = all(each.is_exact for each in self.applied)
        if isinf(found.value) and not is_exact:
            reason = f"the loss is {found.value} as written, and this gives it another value"
            return replace(mend, message=reason)
        changed = _changed_entries(before, after, self.eps)
        bad = {
            k: index
            for k, leaf in enumerate(before)
            if (index := local.first_bad(leaf)) is not None
        }
        truth = Truth(
            case.call,
            case.names,
            case.replay.leaves,
            case.replay.wrt,
            found.value,
            case.replay.root,
        )
        entries = [*changed.items(), *list(bad.items())[:MOST_ENTRIES]]
        asked = directions(case.varied, case.points, entries, self.seed)
        compared = truth.compare(asked, after)
        message = tell_truth(compared, found.value, is_exact=is_exact)
        is_right = _is_right(compared, found.value)
        outcomes = {each.outcome for each in compared[: len(changed)]}
        if not changed or "wrong" in outcomes:
            return replace(mend, is_recommended=is_right, message=message)
        told = [f"{case.varied[k]}{list(index) or ''}" for k, index in changed.items()]
        claim = f"changes finite entries of the gradient, as {' and '.join(told)}"
        if not is_exact and not outcomes <= {"agrees", "one-sided"}:
            return replace(mend, message=f"{claim}, and nothing shows that it must")
        return replace(mend, is_recommended=is_right, message=f"{message}; it {claim}")

    def _series(self, found: Blame) -> Mend | None:
        """A Taylor series for a removable singularity of a function of one number."""
        case = self.case
        if len(case.names) != 1 or np.ndim(case.points[0]) or not isfinite(found.value):
            return None
        try:
            what = subject(case.call, (case.points[0],), {}, 0)
            dtype = str(jnp.asarray(case.points[0]).dtype)
            text = series(replace(what, names=case.names), what.probes(what.values)[0], dtype, 1)
        except (DiffkitError, *USER_ERRORS):
            return None
        if text is None:
            return None
        return Mend(text, is_finite=True, is_recommended=True, message="run against germs of balls")


@dataclass
class _Point:
    """Where one program goes bad.

    Args:
        culprit: Where cotangents do, None where only the loss does.
        caught: Its arrays.
        is_untaken: Whether its result is not taken there.
        cause: The same told.
        origins: Where values go bad, with their arrays.
        told: The same told.
    """

    culprit: Culprit | None
    caught: Caught | None
    is_untaken: bool
    cause: Cause | None
    origins: list[tuple[Origin, Caught | None]] = field(default_factory=list)
    told: list[Cause] = field(default_factory=list)

    def targets(self) -> Iterator[tuple[Path, Caught, bool]]:
        """Equations that may be mended: what is bad was made before it is met."""
        for origin, caught in self.origins:
            if caught is not None:
                yield origin.path, caught, True
        if self.culprit is not None and self.caught is not None and not self._meets_nan():
            yield self.culprit.path, self.caught, self.is_untaken

    def _meets_nan(self) -> bool:
        """Whether the culprit is given NaN: no mend of itself helps."""
        given = () if self.caught is None else self.caught.operands
        return any(bool(np.any(np.isnan(each))) for each in given if is_float(each))


def _check_options(seconds: float, seed: int) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise UsageError(f"seconds={seconds!r}; give a positive number")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed={seed!r}; give a whole number >= 0")


def _written(applied: Sequence[Proposal]) -> tuple[str, str]:
    """All mends as code, one expression inside of another one where they are, and their lines."""
    # the function is left out: what stands in a comprehension is on the same line
    lines: dict[Any, list[tuple[str, str]]] = {}
    for each in applied:
        line = replace(each.source, function="")
        lines.setdefault(line, []).append((each.code, each.target))
    code = "; ".join(
        text for source, mends in lines.items() for text in composed(mends, names_of(source))
    )
    return code, ", ".join(dict.fromkeys(map(line_of, lines)))


def _is_finite(outcome: Found) -> bool:
    return bool(np.isfinite(outcome.value)) and not np.any(outcome.gradient)


def _is_changed(before: float, outcome: Found, eps: float) -> bool:
    """Whether a finite loss is another one, rounding aside."""
    after = float(outcome.value)
    if not isfinite(before):
        return False
    most = max(allowance(_SAME_ULPS, outcome.value.dtype), FEW_ULPS * eps)
    return not abs(after - before) <= most * max(abs(before), abs(after))


def _changed_entries(
    before: Sequence[Any], after: Sequence[Any], eps: float
) -> dict[int, tuple[int, ...]]:
    """Per array: the finite entry that differs most, if by more than rounding of the largest."""
    found = {}
    kept = jax.jit(_kept_entries)(list(before), list(after))
    for k, (gap, size, place) in enumerate(kept):
        if float(gap) > max(allowance(_SAME_ULPS, gap.dtype), FEW_ULPS * eps) * float(size):
            found[k] = tuple(int(n) for n in np.unravel_index(int(place), np.shape(before[k])))
    return found


def _kept_entries(before: list[Any], after: list[Any]) -> list[tuple[Any, Any, Any]]:
    """Per array, over the entries that were finite: largest change, largest entry, its place."""
    found = []
    for old, new in zip(before, after, strict=True):
        is_kept = jnp.isfinite(old)
        gap = jnp.where(is_kept, jnp.abs(new - old), 0)
        size = jnp.max(jnp.where(is_kept, jnp.abs(old), 0), initial=0.0)
        place = jnp.argmax(gap) if old.size else jnp.zeros((), int)
        found.append((jnp.max(gap, initial=0.0), size, place))
    return found


def _is_right(compared: Sequence[Comparison], value: float) -> bool:
    """Whether no direction contradicts a mend and, where the loss is a number, one confirms it."""
    outcomes = {each.outcome for each in compared}
    is_confirmed = not isfinite(value) or not outcomes.isdisjoint(("agrees", "one-sided"))
    return is_confirmed and outcomes.isdisjoint(("wrong", "infinite"))

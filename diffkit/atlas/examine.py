"""Examine one derivative of a public function: modes, digits, traps, conventions, defects.

Every stage runs under the time that is left; what a stage found is kept when a later one does not
end, and the entry says which did not.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import inf, isfinite, nan
from typing import Any

import numpy as np

from diffkit.atlas.attempt import DEFECTS, time_limit
from diffkit.atlas.domain import is_differentiable, outside
from diffkit.atlas.entry import Entry, Trap
from diffkit.atlas.public_functions import ZERO, PublicFunction, module_of
from diffkit.atlas.questions import AtInfinity, Leaves, Question, at_infinity, question
from diffkit.atlas.spelling import reproducer, spell
from diffkit.backend import compat
from diffkit.bridge.subject import Subject
from diffkit.core.errors import DiffkitError, UnsupportedFunction, UnsupportedPrimitive
from diffkit.core.finding import Finding
from diffkit.numeric.ulps import FORMATS, float_format, spacing
from diffkit.oracles import forward, reverse
from diffkit.verify import accuracy, findings
from diffkit.verify.accuracy import ACCURATE, CLASSES, MOST_EXAMINED, Accuracy, Class, ulps_of
from diffkit.verify.answers import Answer, ask
from diffkit.verify.modes import mode_error

#: Limit for one derivative.
SECONDS = 60.0
#: Time every stage has, however long the ones before it took.
LEAST = 2.0
#: Points of the accuracy of a function of numbers.
POINTS = 256
#: Formats traps are looked for in, and those the example arguments are asked in as well.
TRAP_DTYPES = ("float64", "float32")
#: Points shown of one kind of trap.
MOST_SHOWN = 3
#: Losses of digits: of no harm where the derivative is far below its usual size.
_LOSSES = frozenset({"cancellation", "silent-zero", "overflow"})
#: A defect loses this share of the digits, as an exponent of the format's spacing at 1.
HALF_THE_DIGITS = 0.5
#: The least such share where the derivative is known from differences in float64 alone.
MEASURED = 1e-3


class OutOfTime(BaseException):
    """The time of a stage is up; no witness takes it for a question it could not decide."""


def examine(function: PublicFunction, wrt: int, *, seconds: float = SECONDS) -> Entry:
    """All the atlas says of one derivative.

    Args:
        function: A public function with example arguments.
        wrt: Position of the argument.
        seconds: Limit; what did not end is named in the entry.
    """
    start = time.monotonic()
    asked = question(function, wrt)
    what = asked.what
    survey = _Survey(asked)
    # with the share of the time left that each may take, so that none starves those after it
    stages: tuple[tuple[str, float, Callable[[], None]], ...] = (
        ("modes", 1.0, survey.modes),
        ("accuracy", 0.6, survey.accuracies),
        ("traps", 0.7, survey.traps_at_points),
        ("second order", 0.7, survey.second_order),
        ("infinity", 1.0, survey.traps_at_infinity),
    )
    unfinished = []
    for name, share, stage in stages:
        left = share * (seconds - (time.monotonic() - start))
        try:
            with time_limit(max(left, LEAST), OutOfTime):
                stage()
        except (DiffkitError, OutOfTime) as error:
            unfinished.append(f"{name}: {_first_line(error)}")
        except DEFECTS as error:
            unfinished.append(f"{name}: {type(error).__name__}: {_first_line(error)}")
    return Entry(
        name=function.name,
        argument=what.variable,
        module=module_of(function.name),
        form="elementwise" if asked.is_elementwise else "array",
        call=spell(function),
        modes=survey.found_modes,
        accuracy=tuple(survey.found_accuracy),
        traps=tuple(_shown(survey.found_traps)),
        truth="differences" if survey.is_measured else "balls",
        unfinished=tuple(unfinished),
        skipped=survey.skipped,
        seconds=round(time.monotonic() - start, 2),
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:240]


class _Survey:
    """What the stages find about one question."""

    def __init__(self, asked: Question):
        self.asked, self.what = asked, asked.what
        self.found_modes: dict[str, str] = {}
        self.found_accuracy: list[dict[str, Any]] = []
        self.skipped: dict[str, str] = {}
        self.found_traps: list[Trap] = []
        self.is_measured = False

    def modes(self) -> None:
        """Which modes of AD can differentiate the function."""
        for mode in (reverse, forward):
            error = mode_error(self.what, "float64", mode.row(self.what, 1))
            self.found_modes[mode.NAME] = error or ""

    def accuracies(self) -> None:
        """Errors over a range of points; of array functions, at their example arguments."""
        if not self.asked.is_elementwise:
            for dtype in FORMATS:
                self._accuracy_here(dtype)
            return
        try:
            for dtype in FORMATS:
                with self._half_precision_may_be_missing(dtype):
                    points = accuracy.sample(POINTS, dtype)
                    rows = accuracy.measure(self.what, points, (dtype,))
                    self.found_accuracy += [{**row.to_dict(), "entry": ""} for row in rows]
        except (UnsupportedPrimitive, UnsupportedFunction):
            self.is_measured = True
            self._accuracy_here("float32")  # differences in float64 see that far, no farther

    def _accuracy_here(self, dtype: str) -> None:
        answers: list[Answer] = []
        with self._half_precision_may_be_missing(dtype):
            answers = ask(self.what, dtype, [self.what.values], 1, 1, 0)
        self.is_measured |= any(answer.measured for answer in answers)
        for mode in (reverse.NAME, forward.NAME):
            mine = [answer for answer in answers if answer.mode == mode]
            summary = _summary(self.what, dtype, mode, mine)
            if summary is not None:
                self.found_accuracy.append(summary)

    def traps_at_points(self) -> None:
        """AD judged at ties, zeros, edges and the points of the largest unexplained errors."""
        points = [*self.asked.points, *self._suspicious()]
        for dtype in TRAP_DTYPES:
            answers = ask(self.what, dtype, points, len(points), 1, 0)
            self.is_measured |= any(answer.measured for answer in answers)
            self._note(answers, 1)

    def second_order(self) -> None:
        """Second derivatives of functions of numbers at the simplest points."""
        if not self.asked.is_elementwise:
            return
        points = self.asked.points[:12]
        self._note(ask(self.what, "float64", points, len(points), 2, 0), 2)

    def traps_at_infinity(self) -> None:
        """AD's convention at infinite arguments, where its gradient has a limit."""
        for found in at_infinity(self.asked):
            if found.is_trap:
                self.found_traps.append(_limit_trap(self.what, found))

    @contextmanager
    def _half_precision_may_be_missing(self, dtype: str) -> Generator[None]:
        """Note what JAX raises for a narrow format that a function does not support."""
        try:
            yield
        except DiffkitError:
            raise
        except (TypeError, ValueError, NotImplementedError) as error:
            if dtype in TRAP_DTYPES:
                raise
            self.skipped[f"accuracy {dtype}"] = f"{type(error).__name__}: {_first_line(error)}"

    def _suspicious(self) -> Iterator[Leaves]:
        """Points at which an accuracy row has an error that no rounding explains."""
        for row in self.found_accuracy:
            if row["verdict"] != "wrong" or row["dtype"] not in TRAP_DTYPES or row["entry"]:
                continue  # an entry of an array: the rows are about the example arguments alone
            if isfinite(row["at"]):
                leaves = list(self.what.values)
                leaves[self.what.wrt] = np.asarray(row["at"])
                yield tuple(leaves)

    def _note(self, answers: Sequence[Answer], order: int) -> None:
        """The traps that answers of one format show, one for a point and kind of all formats."""
        usually, largest = findings.usual_size(answers), _largest_entries(answers)
        known = {_key(trap): place for place, trap in enumerate(self.found_traps)}
        for answer in answers:
            for found in findings.of_answer(self.what, answer, order, is_watched=False):
                usual = max(usually, largest[_place(answer)])
                if _is_noise(answer, found, usual):
                    continue
                trap = self._trap(answer, found, usual)
                place = known.setdefault(_key(trap), len(self.found_traps))
                if place == len(self.found_traps):
                    self.found_traps.append(trap)
                elif trap.dtype not in self.found_traps[place].dtype:
                    other = self.found_traps[place]
                    both = f"{other.dtype}, {trap.dtype}"
                    self.found_traps[place] = replace(other, dtype=both)

    def _trap(self, answer: Answer, found: Finding, usual: float) -> Trap:
        is_refuted = _is_refuted(answer, usual)
        doubt = self._doubt(answer) if is_refuted else ""
        is_defect = is_refuted and not doubt
        shown = ""
        if answer.outcome == "disagrees":
            question = {
                "point": answer.probe.leaves,
                "dtype": answer.dtype,
                "mode": answer.mode,
                "order": answer.order,
                "value": answer.value,
                "truth": answer.true_value
                if answer.left == answer.right
                else (answer.left, answer.right),
                "direction": answer.probe.tangent,
            }
            shown = reproducer(self.asked.function, self.what, question)
        return Trap(
            kind=found.kind,
            severity="note" if doubt else found.severity,
            message=f"{found.message} ({doubt})" if doubt else found.message,
            point={k: v for k, v in found.point.items() if k != "relative error"},
            order=answer.order,
            dtype=answer.dtype,
            remedy=found.remedy,
            is_defect=is_defect,
            groups=tuple(dict.fromkeys(str(row.group) for row in answer.rows)),
            reproducer=shown,
        )

    def _doubt(self, answer: Answer) -> str:
        """Why a refuted answer is none of the library's, "" where it is."""
        leaves = answer.probe.leaves
        if answer.measured and not is_differentiable(self.asked, leaves, answer.probe.tangent):
            return "differences in different directions do not add up to a derivative"
        return outside(self.asked.function, leaves, self.what.wrt)


def _key(trap: Trap) -> tuple[Any, ...]:
    return trap.kind, trap.severity, trap.is_defect, trap.order, str(trap.point)


def _largest_entries(answers: Iterable[Answer]) -> dict[bytes, float]:
    """Point -> the largest entry of the gradient there: the rounding of one is that of its sums."""
    found: dict[bytes, float] = defaultdict(float)
    for answer in answers:
        if answer.truth.kind == "smooth" and isfinite(answer.true_value):
            place = _place(answer)
            found[place] = max(found[place], abs(answer.true_value))
    return found


def _place(answer: Answer) -> bytes:
    return b"".join(leaf.tobytes() for leaf in answer.probe.leaves)


def _is_noise(answer: Answer, found: Finding, usual: float) -> bool:
    """Whether a finding is none of a library: outside its domain, or off by what rounding costs."""
    if answer.outcome == "disagrees":
        return False
    if not isfinite(answer.primal) and found.kind in ("nan-value", "nan-gradient"):
        return True
    if found.kind == "kink" and answer.order > 1 and answer.left == answer.right:
        return True
    unit = 2 * FORMATS[answer.dtype].unit
    return found.kind in _LOSSES and answer.error <= findings.INNOCENT_ULPS * unit * usual


def _is_refuted(answer: Answer, usual: float) -> bool:
    """Whether a finite derivative that exists is contradicted by half the digits or more."""
    if answer.outcome != "disagrees" or answer.truth.kind != "smooth":
        return False
    size = max(abs(answer.true_value), usual)
    half = (2 * FORMATS[answer.dtype].unit) ** HALF_THE_DIGITS
    allowed = max(half, MEASURED) if answer.measured else half
    return isfinite(answer.true_value) and not answer.error <= allowed * size


def _summary(
    what: Subject, dtype: str, mode: str, answers: Sequence[Answer]
) -> dict[str, Any] | None:
    """Errors of the entries of a gradient, in spacings at its largest entry; None without any."""
    smooth = [answer for answer in answers if _has_derivative(answer)]
    largest = max((abs(answer.true_value) for answer in smooth), default=0.0)
    compared = [answer for answer in smooth if _is_known(answer, largest)]
    if not compared:
        return None
    errors = [
        ulps_of(largest + (answer.value - answer.true_value), largest, dtype) for answer in compared
    ]
    first = np.argsort(-np.asarray(errors), kind="stable")[:MOST_EXAMINED]
    examined = [(int(k), *_class(what, compared[k], errors[k], largest)) for k in first]
    worst, verdict, condition = max(
        examined, key=lambda each: (CLASSES.index(each[1]), errors[each[0]])
    )
    shown = compared[worst]
    row = Accuracy(
        dtype=dtype,
        mode=mode,
        points=len(compared),
        outside=len(answers) - len(compared),
        median=float(np.median(errors)),
        worst=float(errors[worst]),
        scaled=float(errors[worst]),
        at=_asked_about(what, shown),
        value=shown.value,
        truth=shown.true_value,
        condition=condition,
        verdict=verdict,
        undecided=sum(answer.truth.kind == "undecided" for answer in answers),
    )
    return {**row.to_dict(), "entry": shown.probe.entry}


def _has_derivative(answer: Answer) -> bool:
    """Whether a derivative exists to compare with.

    A nan that a second witness does not confirm to be wrong is no error of any size: it is listed
    among the traps.
    """
    if answer.truth.kind != "smooth" or not isfinite(answer.true_value):
        return False
    return isfinite(answer.value) or answer.outcome == "disagrees"


def _is_known(answer: Answer, largest: float) -> bool:
    """Whether the truth is known to a rounding, or AD is off by more than differences see."""
    found = answer.truth.derivative
    width = found.high - found.low if found is not None else inf
    smallest = float_format(answer.dtype).tiny
    return width <= ACCURATE * spacing(max(largest, smallest), answer.dtype) or answer.error > width


def _class(what: Subject, answer: Answer, ulps: float, largest: float) -> tuple[Class, float]:
    """What explains the error of an entry, and its condition number when it was asked for.

    The condition is |x dg| / max |g|, since the error is held against the largest entry too.
    """
    if ulps <= ACCURATE:
        return "accurate", nan
    try:
        condition = accuracy.condition(what, answer, 1) * abs(answer.true_value) / (largest or 1.0)
    except DiffkitError:  # nobody can differentiate it twice
        condition = 0.0
    if ulps <= ACCURATE * (1 + condition) and ulps < inf:
        return "ill-conditioned", condition
    return ("wrong" if answer.outcome == "disagrees" else "unstable"), condition


def _asked_about(what: Subject, answer: Answer) -> float:
    """The entry of the argument that an answer is about; nan along a direction through several."""
    mine = answer.probe.leaves[what.wrt][answer.probe.tangent != 0]
    return float(mine[0]) if mine.size == 1 else nan


def _limit_trap(what: Any, found: AtInfinity) -> Trap:
    spelt = {name: leaf.tolist() for name, leaf in zip(what.names, found.leaves, strict=True)}
    bad = np.isnan(found.gradient) & np.isfinite(found.limit)
    limit = float(np.ravel(found.limit[bad])[0] if found.limit.ndim else found.limit)
    return Trap(
        kind="nan-gradient",
        severity="note" if not isfinite(found.value) else "warning",
        message=f"at {what.variable} = {spelt[what.variable]} the value is {found.value:g} and AD "
        f"gives nan; its gradient tends to {limit:.4g} on the way there",
        point=spelt,
    )


def _shown(traps: Iterable[Trap]) -> list[Trap]:
    """The worst first; of one kind a few, the last of them telling how many more there are."""
    ranked = sorted(traps, key=lambda t: (findings.RANK[t.severity], not t.is_defect, t.order))
    groups: dict[tuple[Any, ...], list[Trap]] = defaultdict(list)
    for trap in ranked:
        groups[trap.kind, trap.severity, trap.is_defect, trap.order].append(trap)
    return [
        replace(trap, more=len(mine) - MOST_SHOWN)
        if place == MOST_SHOWN - 1 and len(mine) > MOST_SHOWN
        else trap
        for mine in groups.values()
        for place, trap in enumerate(mine[:MOST_SHOWN])
    ]


def all_of(function: PublicFunction, *, seconds: float = SECONDS) -> list[Entry]:
    """The entries of all arguments of a function that have a gradient.

    An argument by which JAX itself gives none, or 0, has an entry that says so.
    """
    names = question(function, function.wrt[0]).what.names
    refused = [
        Entry(
            function.name,
            names[position],
            module_of(function.name),
            call=spell(function),
            modes={reverse.NAME: reason},
        )
        for position, reason in function.without
    ]
    refused += [
        Entry(
            function.name,
            names[position],
            module_of(function.name),
            call=spell(function),
            skipped={"derivative": ZERO},
        )
        for position in function.zero
    ]
    with compat.x64():
        return [*(examine(function, wrt, seconds=seconds) for wrt in function.wrt), *refused]

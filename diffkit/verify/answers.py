"""What AD answered at a point, and what the rigorous witness makes of it.

A disagreement is one only when a second group sides with the balls, and the balls stand by it
at doubled precision; anything less is unsure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, isinf, isnan, nan
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import Row, run_rows
from diffkit.bridge.subject import Probe, Subject, weighted
from diffkit.bridge.survey import has_iterated_rule
from diffkit.core.errors import DiffkitError, UnsupportedFunction, UnsupportedPrimitive
from diffkit.core.evidence import ErrorBound, Evidence, Group, Outcome
from diffkit.numeric.balls import DerivativeEnclosure
from diffkit.oracles import closed_form, forward, high_precision, reverse
from diffkit.oracles.measured import Measured
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.joint_kinks import joint_kink
from diffkit.verify.modes import mode_error
from diffkit.verify.overflow import SAID, first_overflow
from diffkit.verify.tolerance import Tolerance, allowance

#: The AD modes that are judged; jet is heard as evidence only.
JUDGED_MODES = (reverse, forward)
DOUBLED_LADDER = (256, 512, 1024, 2048, 4096)
#: Entries asked about at a point that is not the user's; other points ask about others.
MOST_PROBES = 3
#: The row of the function's own value.
PRIMAL = "primal"
#: AD in a narrower type may lose this many units where no running bound can be given.
UNBOUNDED_ULPS = 1024.0
#: Where the derivative is 0, so many units of the size its terms have.
CANCELLED_ULPS = 16.0
#: `lax.custom_root` of a problem without a root returns a number all the same.
ITERATED = "a custom rule of an iteration holds only where the iteration has converged"


@dataclass(frozen=True)
class Answer:
    """What one AD mode returned for one probe, and how that was judged.

    Args:
        probe: The question.
        dtype: Precision of the program.
        mode: "reverse", "forward" or "jet".
        value: AD's answer.
        truth: The rigorous enclosure.
        outcome: What it means.
        allowed: The bound the error was held against, when one was needed.
        note: One clause.
        is_given: Whether the point is the user's.
        rows: Rows of the witnesses heard on a disagreement.
        order: Order of the derivative.
        primal: The function's own value in this precision.
        measured: Why the truth is measured by differences, "" where it is enclosed.
        scale: How many times the tangent or cotangent of an ordinary question was asked about.
    """

    probe: Probe
    dtype: str
    mode: str
    value: float
    truth: DerivativeEnclosure
    outcome: Outcome
    allowed: ErrorBound | None = None
    note: str = ""
    is_given: bool = False
    rows: tuple[Evidence, ...] = ()
    order: int = 1
    primal: float = nan
    measured: str = ""
    scale: float = 1.0

    @property
    def true_value(self) -> float:
        """The derivative as a double; nan where it does not exist."""
        found = self.truth.derivative
        return found.value if found is not None else nan

    @property
    def left(self) -> float:
        """The derivative from the left; nan where it does not exist."""
        return self.truth.left.value if self.truth.left is not None else nan

    @property
    def right(self) -> float:
        """The derivative from the right; nan where it does not exist."""
        return self.truth.right.value if self.truth.right is not None else nan

    @property
    def error(self) -> float:
        """|AD - truth|; inf when only one of the two is finite."""
        gap = abs(self.value - self.true_value)
        return inf if isnan(gap) else gap


def ask(
    what: Subject,
    dtype: str,
    leaves: Sequence[tuple[Any, ...]],
    mine: int,
    order: int,
    seed: int,
) -> list[Answer]:
    """The answers at points that all decide the status; see `ask_beside`."""
    return ask_beside(what, dtype, leaves, mine, order, seed, ())[0]


def ask_beside(
    what: Subject,
    dtype: str,
    leaves: Sequence[tuple[Any, ...]],
    mine: int,
    order: int,
    seed: int,
    watched: Sequence[tuple[Any, ...]],
) -> tuple[list[Answer], list[Answer]]:
    """Ask AD and the rigorous witness at all points; judge each answer of each mode.

    Args:
        what: The function.
        dtype: Precision of the program.
        leaves: The points that decide the status, the user's first.
        mine: How many of them are the user's.
        order: Order of the derivative.
        seed: Seed of random directions.
        watched: Points beside them; a disagreement there is not confirmed.

    Returns:
        The answers at the judged points and those at the watched ones, from one compiled program.
    """
    probes: list[Probe] = []
    given: list[bool] = []
    judged: list[bool] = []
    for number, point in enumerate([*leaves, *watched]):
        if not what.is_representable(dtype, point):
            continue  # 1e200 is no float32: another question than the one asked
        asked = what.probes(point, seed)
        if number >= mine:
            asked = _some(asked, MOST_PROBES, seed + number)
        probes += asked
        given += [number < mine] * len(asked)
        judged += [number < len(leaves)] * len(asked)
    found = ask_probes(what, dtype, probes, given, judged, order)
    sides: tuple[list[Answer], list[Answer]] = [], []
    modes = len(found) // max(len(probes), 1)
    for number, answer in enumerate(found):
        sides[0 if judged[number // modes] else 1].append(answer)
    return sides


def ask_probes(
    what: Subject,
    dtype: str,
    probes: Sequence[Probe],
    given: Sequence[bool],
    judged: Sequence[bool],
    order: int,
) -> list[Answer]:
    """The judged answers to some questions, those of all modes to one after the other.

    Args:
        what: The function.
        dtype: Precision of the program.
        probes: The questions.
        given: Whether each is about a point of the user.
        judged: Whether a disagreement is confirmed.
        order: Order of the derivative.
    """
    if not probes:
        return []
    rows = {mode.NAME: mode.row(what, order) for mode in JUDGED_MODES}
    rows = {name: row for name, row in rows.items() if mode_error(what, dtype, row) is None}
    values = run_rows(what, dtype, probes, {**rows, PRIMAL: primal_row(what)})
    # a sampled point at which the program has no value is outside the domain: nobody is asked
    asked_about = [
        is_mine or isfinite(primal) for is_mine, primal in zip(given, values[PRIMAL], strict=True)
    ]
    oracle, truths, reason = _truths(what, dtype, probes, asked_about, order)
    tolerances = {name: Tolerance(what, dtype, row) for name, row in rows.items()}
    found = []
    for number, (probe, truth) in enumerate(zip(probes, truths, strict=True)):
        for name in rows:
            answer = Answer(
                probe,
                dtype,
                name,
                float(values[name][number]),
                truth,
                "unsure",
                is_given=given[number],
                order=order,
                primal=float(values[PRIMAL][number]),
                measured=reason,
            )
            found.append(_judge(what, oracle, tolerances[name], answer, order, judged[number]))
    return found


def _some(probes: list[Probe], most: int, seed: int) -> list[Probe]:
    """A few of the questions at one point: beside the user's own, not every entry is asked."""
    if len(probes) <= most:
        return probes
    places = np.random.default_rng(seed).choice(len(probes), most, replace=False)
    return [probes[k] for k in sorted(places)]


Oracle = Rigorous | Measured
_NO_VALUE = DerivativeEnclosure(None, None, None, "undefined", "the program has no value here")


def primal_row(what: Subject) -> Row:
    """The value asked about, <u, f(x)>."""

    def row(leaves: Any, tangent: Any, cotangent: Any) -> Any:
        return weighted(cotangent, jax.tree.leaves(what.call(*leaves))[0])

    return row


def _truths(
    what: Subject,
    dtype: str,
    probes: Sequence[Probe],
    asked_about: Sequence[bool],
    order: int,
) -> tuple[Oracle, list[DerivativeEnclosure], str]:
    """The truth at every probe by balls, or by differences with the reason why balls cannot."""

    def truths(oracle: Oracle) -> list[DerivativeEnclosure]:
        return [
            oracle.enclosure(probe, order) if is_asked else _NO_VALUE
            for probe, is_asked in zip(probes, asked_about, strict=True)
        ]

    rigorous = Rigorous(what, dtype)
    try:
        return rigorous, truths(rigorous), ""
    except (UnsupportedPrimitive, UnsupportedFunction) as error:
        measured = Measured(what, dtype)
        return measured, truths(measured), str(error).splitlines()[0]


def _judge(
    what: Subject,
    oracle: Oracle,
    tolerance: Tolerance,
    answer: Answer,
    order: int,
    is_judged: bool,
) -> Answer:
    """Decide what one answer means; a disagreement is confirmed before it is one."""
    truth = answer.truth
    if truth.kind == "undecided":
        return _with(answer, "unsure", truth.note)
    if truth.value is None or not isfinite(truth.value.value):
        return _with(answer, "out of domain", "the function has no finite value here")
    if truth.kind == "undefined":
        return _with(answer, "out of domain", truth.note or "no derivative")
    if truth.kind == "infinite":
        return _infinite(answer)
    if truth.kind == "kink":
        return _kink(what, oracle, answer, order, is_judged)
    true = answer.true_value
    largest = float(jnp.finfo(answer.dtype).max)
    if abs(true) > largest or abs(truth.value.value) > largest:
        # a given point in float16 does not make the verdict on float64 uncertain
        beyond = replace(answer, is_given=answer.is_given and answer.dtype == "float64")
        return _with(beyond, "out of domain", f"not representable in {answer.dtype}")
    free = tolerance.free(true)
    if answer.measured:
        return against_differences(what, answer, free)
    if answer.error <= free.value:
        return _with(answer, "agrees", "", free)
    if isfinite(answer.value):
        allowed = tolerance.bound(answer.probe, true)
        if allowed.value == inf:
            return _unbounded(what, oracle, answer, allowed, free, is_judged)
        if answer.error <= allowed.value:
            return _with(answer, "agrees", "", allowed)
    else:
        allowed = free
    return _disagreement(what, oracle, _with(answer, "disagrees", "", allowed), order, is_judged)


def _unbounded(
    what: Subject,
    oracle: Oracle,
    answer: Answer,
    allowed: ErrorBound,
    free: ErrorBound,
    is_judged: bool,
) -> Answer:
    """An answer without a rounding bound: wrong only where an overflow at the user's point made it.

    The value and the derivative are numbers of the type, the program leaves them on the way.
    """
    unsure = _with(answer, "unsure", "no rounding bound for this program", allowed)
    off = answer.error > float(jnp.finfo(answer.dtype).eps) ** 0.5 * abs(answer.true_value)
    if not (answer.is_given and is_judged and off):
        return unsure
    place = first_overflow(what, answer.dtype, answer.mode, answer.probe, answer.order)
    if place is None:
        return unsure
    wrong = _with(answer, "disagrees", f"`{place.primitive}` {SAID}", free)
    return _disagreement(what, oracle, wrong, answer.order, is_judged)


def against_differences(what: Subject, answer: Answer, free: ErrorBound) -> Answer:
    """Where balls have no row: differences and the closed form together may refute."""
    derivative = answer.truth.derivative
    width = derivative.high - derivative.low if derivative is not None else inf
    eps = float(jnp.finfo(answer.dtype).eps)
    loss = UNBOUNDED_ULPS * eps * abs(answer.true_value)
    if derivative is not None and derivative.low <= 0 <= derivative.high:
        loss += CANCELLED_ULPS * eps * _natural_size(what, answer)  # terms that cancel to 0
    allowed = free + ErrorBound({"differences": width, "rounding": loss})
    if answer.error <= allowed.value:
        # a thousand units of bfloat16 are 800 %: an answer of the other sign would pass
        share = allowance(UNBOUNDED_ULPS, answer.dtype) / (UNBOUNDED_ULPS * eps)
        if answer.error > share * (free.value + loss) + width:
            return _with(answer, "unsure", f"{answer.dtype} is too coarse for differences", allowed)
        return _with(answer, "agrees", "by differences", allowed)
    if not answer.is_given:
        return _with(answer, "unsure", "differences disagree", allowed)
    rows = [_row(answer, Measured.name, Measured.group, answer.true_value, answer.order)]
    try:
        second = closed_form.estimate(what, answer.probe, answer.order, answer.dtype)
    except DiffkitError as error:
        return _with(answer, "unsure", f"no second witness: {str(error).splitlines()[0]}", allowed)
    sides = abs(second.value - answer.true_value) <= allowed.value + second.bound.value
    contradicts_ad = not abs(second.value - answer.value) <= 4 * allowed.value + second.bound.value
    if not (sides and contradicts_ad):
        return _with(answer, "unsure", "the witnesses do not agree on the truth", allowed)
    rows.append(_row(answer, closed_form.NAME, closed_form.GROUP, second.value, answer.order))
    return replace(_with(answer, "disagrees", "", allowed), rows=tuple(rows))


def _natural_size(what: Subject, answer: Answer) -> float:
    """|f|/|x|: how large the terms of a derivative are that is 0 itself."""
    x = float(np.max(np.abs(answer.probe.leaves[what.wrt]), initial=0.0))
    return abs(answer.primal) / x if x > 0 and isfinite(answer.primal) else 0.0


def _disagreement(
    what: Subject, rigorous: Oracle, answer: Answer, order: int, is_judged: bool
) -> Answer:
    """Confirm by balls at doubled precision and by difference quotients in many digits."""
    element = _element(what, answer, order)
    if element is not None or not is_judged:
        return element or answer
    if not answer.is_given and has_iterated_rule(what.jaxpr(answer.dtype)):
        return _with(answer, "out of domain", ITERATED)
    again = _once(
        what,
        answer.probe,
        f"{answer.dtype}, doubled, {order}",
        lambda: rigorous.enclosure(answer.probe, order, DOUBLED_LADDER),
    )
    first, second_look = answer.truth.derivative, again.derivative
    kept = first is not None and second_look is not None and second_look.overlaps(first)
    rows = [_row(answer, "germs of balls", "rigorous", answer.true_value, order)]
    try:
        second = high_precision.estimate(what, answer.dtype, rigorous.jaxpr, answer.probe, order)
    except DiffkitError as error:
        return _with(answer, "unsure", f"no second witness: {error}")
    gap = abs(second.value - answer.true_value)
    sides_with_truth = gap <= 4 * second.bound.value + 1e-9 * abs(answer.true_value)
    contradicts_ad = not abs(second.value - answer.value) <= second.bound.value
    rows.append(_row(answer, high_precision.NAME, high_precision.GROUP, second.value, order))
    if kept and sides_with_truth and contradicts_ad:
        return replace(answer, rows=tuple(rows))
    return _with(answer, "unsure", "the witnesses do not agree on the truth")


def _once(what: Subject, probe: Probe, name: str, ask: Callable[[], Any]) -> Any:
    """What a witness says of a probe, asked once for all modes of AD."""
    key = name, id(probe)
    if key not in what.memo:
        # the probe is kept, so that its identity is not given to another one
        what.memo[key] = probe, ask()
    return what.memo[key][1]


def _element(what: Subject, answer: Answer, order: int) -> Answer | None:
    """AD's answer as an element of the subdifferential where several entries tie; else None."""
    if order > 1 or not isfinite(answer.value) or answer.truth.kind != "smooth":
        return None
    kink = _once(what, answer.probe, "joint kink", lambda: joint_kink(what, answer.probe))
    if kink is None or kink.left is None or kink.right is None:
        return None
    slack = 8 * float(jnp.finfo(answer.dtype).eps) * max(abs(kink.left.low), abs(kink.right.high))
    if not kink.left.low - slack <= answer.value <= kink.right.high + slack:
        return None
    allowed = ErrorBound({"rounding": slack})
    return _with(replace(answer, truth=kink), "agrees", f"kink: {kink.note}", allowed)


def _infinite(answer: Answer) -> Answer:
    true = answer.true_value
    if isinf(answer.value) and (isnan(true) or (answer.value > 0) == (true > 0)):
        return _with(answer, "agrees", "the derivative is infinite")
    return _with(answer, "unsure", "the derivative is infinite, AD's answer is not")


def _kink(what: Subject, oracle: Oracle, answer: Answer, order: int, is_judged: bool) -> Answer:
    """Any element of the Clarke subdifferential will do at a kink."""
    left, right = answer.truth.left, answer.truth.right
    if left is None or right is None or left.is_infinite or right.is_infinite:
        return _with(answer, "unsure", "one-sided derivatives differ and one is infinite")
    low, high = min(left.low, right.low), max(left.high, right.high)
    slack = 8 * what.coarsest(answer.dtype) * max(abs(low), abs(high))
    allowed = ErrorBound({"rounding": slack})
    note = f"kink: one-sided derivatives {left.value:g} and {right.value:g}"
    if low - slack <= answer.value <= high + slack:
        return _with(answer, "agrees", note, allowed)
    if order > 1 or answer.measured:
        return _with(answer, "unsure", note)
    refuted = _with(answer, "disagrees", note, allowed)
    if not is_judged:
        return refuted
    again = oracle.enclosure(answer.probe, order, DOUBLED_LADDER)
    second = high_precision.estimate(what, answer.dtype, oracle.jaxpr, answer.probe, order)
    if again.kind != "kink" or second.left is None or second.right is None:
        return _with(answer, "unsure", "the witnesses do not agree on the kink")
    value = f"{second.left:g} and {second.right:g}"
    rows = (
        _row(answer, "germs of balls", "rigorous", f"{left.value:g} and {right.value:g}", order),
        _row(answer, high_precision.NAME, high_precision.GROUP, value, order),
    )
    return replace(refuted, rows=rows)


def _with(answer: Answer, outcome: Outcome, note: str, allowed: ErrorBound | None = None) -> Answer:
    return replace(answer, outcome=outcome, note=note, allowed=allowed or answer.allowed)


def _row(answer: Answer, oracle: str, group: Group, value: Any, order: int) -> Evidence:
    return Evidence(
        oracle,
        group,
        "disagrees",
        {},
        value=value,
        claimed=answer.value,
        error=answer.error if isinstance(value, float) else None,
        allowed=answer.allowed,
        dtype=answer.dtype,
        order=order,
    )

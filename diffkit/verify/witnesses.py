"""Hear every witness at one point: whether they agree with each other, not only with AD.

A witness group that contradicts the balls means that a table, a rule or the lift is wrong
somewhere in diffkit; then nothing is called proved or supported.
"""

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any

from diffkit.bridge.batch import run_rows, within
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import DiffkitError
from diffkit.core.evidence import ErrorBound, Estimate, Evidence, Group
from diffkit.oracles import closed_form, complex_step, differences, high_precision, jet
from diffkit.oracles.measured import Measured
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.answers import Answer
from diffkit.verify.modes import mode_error
from diffkit.verify.tolerance import Tolerance

DTYPE = "float64"
#: A witness that takes longer is not heard.
SECONDS = 20.0


def hear(what: Subject, answers: Sequence[Answer], order: int) -> tuple[Evidence, ...]:
    """One row per witness at the first smooth point judged in float64; none if there is none."""
    smooth = [
        a for a in answers if (a.dtype, a.order) == (DTYPE, order) and a.truth.kind == "smooth"
    ]
    chosen = next((a for a in smooth if isfinite(a.true_value)), None)
    if chosen is None:
        return ()
    truth = chosen.true_value
    derivative = chosen.truth.derivative
    is_measured = bool(chosen.measured) and derivative is not None
    width = derivative.high - derivative.low if is_measured else 0.0
    reference = Measured if chosen.measured else Rigorous
    note = "the others are held against this enclosure"
    if chosen.measured:
        note = f"the others are held against this: {chosen.measured}"
    rows = [
        Evidence(
            reference.name,
            reference.group,
            "agrees",
            value=truth,
            dtype=DTYPE,
            order=order,
            note=note,
        )
    ]
    for name, group, ask in _witnesses(what, chosen.probe, order):
        if name == reference.name:
            continue
        rows.append(_row(name, group, ask, truth, order, width))
    return tuple(rows)


def contradiction(rows: Sequence[Evidence]) -> Evidence | None:
    """The first witness that contradicts the balls, or None."""
    return next((row for row in rows if row.outcome == "disagrees"), None)


def _witnesses(
    what: Subject, probe: Probe, order: int
) -> Iterator[tuple[str, Group, Callable[[], Estimate]]]:
    yield closed_form.NAME, closed_form.GROUP, lambda: closed_form.estimate(what, probe, order)
    yield jet.NAME, jet.GROUP, lambda: _jet(what, probe, order)
    yield differences.NAME, differences.GROUP, lambda: differences.estimate(what, probe, order)
    if order == 1:
        yield complex_step.NAME, complex_step.GROUP, lambda: complex_step.estimate(what, probe)
    yield (
        high_precision.NAME,
        high_precision.GROUP,
        lambda: high_precision.estimate(what, DTYPE, Rigorous(what, DTYPE).jaxpr, probe, order),
    )


def _jet(what: Subject, probe: Probe, order: int) -> Estimate:
    row = jet.row(what, order)
    reason = mode_error(what, DTYPE, row)
    if reason is not None:
        raise DiffkitError(f"jet has no rule: {reason}")
    (value,) = run_rows(what, DTYPE, [probe], {jet.NAME: row})[jet.NAME]
    return Estimate(float(value), Tolerance(what, DTYPE, row).bound(probe, float(value)))


def _row(
    name: str, group: Group, ask: Callable[[], Estimate], truth: float, order: int, width: float
) -> Evidence:
    """One witness against the truth, which is itself known to `width`."""
    common: dict[str, Any] = {"dtype": DTYPE, "order": order}
    try:
        found = within(SECONDS, ask)
    except (DiffkitError, NotImplementedError) as error:
        return Evidence(name, group, "failed", note=str(error).splitlines()[0][:100], **common)
    if not isfinite(found.value):
        return Evidence(name, group, "unsure", note=found.note or "no finite value", **common)
    error = abs(found.value - truth)
    # the truth itself is shown as the nearest double
    allowed = found.bound + ErrorBound({"rounding": 2.0**-50 * abs(truth) + 2.0**-1022 + width})
    is_close = error <= allowed.value
    outcome = "agrees" if is_close else ("disagrees" if group in _OBJECTORS else "unsure")
    return Evidence(name, group, outcome, value=found.value, error=error, allowed=allowed, **common)


#: Groups whose disagreement with the balls is a contradiction; AD's own is judged elsewhere and
#: the error bars of difference quotients are estimates.
_OBJECTORS = frozenset({"closed form"})

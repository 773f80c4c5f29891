"""What the claim and the rigorous witness say at one point, and who confirms a disagreement.

Three witnesses share no rule: germs of balls evaluated on the target itself (rigorous), the
closed form (symbolic differentiation) and high-precision difference quotients.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import Any

from diffkit.bridge.interpret import interpret_expression
from diffkit.core.errors import (
    DiffkitError,
    TimeLimitExceeded,
    Undecidable,
    UnsupportedFunction,
)
from diffkit.core.evidence import ErrorBound, Evidence, Group, Outcome
from diffkit.numeric import balls, precise
from diffkit.numeric.balls import DerivativeEnclosure, Enclosure
from diffkit.numeric.germs import Singular
from diffkit.verify.enclose import enclose_value, grounded
from diffkit.verify.points import Point
from diffkit.verify.question import Expr, Question

DOUBLED_LADDER = (256, 512, 1024, 2048, 4096)
#: How far from a point without a claimed value its neighbours lie.
NEAR = Fraction(1, 2**20)


@dataclass(frozen=True)
class Reading:
    """What the rigorous witness and the claim say at one point.

    Args:
        point: Where.
        truth: The derivative (or value) of the target, or None where it has none.
        claimed: The claim's value, or None where it has none.
        outcome: "agrees", "disagrees", "unsure" or "out of domain".
        note: One clause.
    """

    point: Point
    truth: DerivativeEnclosure | None
    claimed: Enclosure | None
    outcome: Outcome
    note: str = ""

    @property
    def shown(self) -> Enclosure | None:
        """The true value to print: the derivative, at a kink the one from the right."""
        if self.truth is None:
            return None
        return self.truth.derivative or self.truth.right


def read_point(question: Question, point: Point, ladder: tuple[int, ...] = balls.LADDER) -> Reading:
    """Put the claim and the rigorous witness to one point."""
    try:
        truth = rigorous(question, point, ladder)
        claimed = enclose_value(question.claimed, point, ladder)
    except (Undecidable, TimeLimitExceeded, UnsupportedFunction) as error:
        return Reading(point, None, None, "unsure", str(error))
    except Singular:
        return _without_claim(question, point, ladder)
    if truth.kind == "undecided":
        return Reading(point, truth, claimed, "unsure", truth.note)
    if truth.kind in ("undefined", "infinite"):
        return Reading(point, truth, claimed, "out of domain", truth.note or truth.kind)
    if truth.kind == "kink":
        return _at_kink(question, point, truth, claimed)
    agrees = truth.derivative is not None and truth.derivative.overlaps(claimed)
    return Reading(point, truth, claimed, "agrees" if agrees else "disagrees")


def _without_claim(question: Question, point: Point, ladder: tuple[int, ...]) -> Reading:
    """The claim has no value here: a removable point is set aside, a whole neighbourhood is not."""
    note = "the claim has no finite value here"
    aside = Reading(point, None, None, "out of domain", note)
    try:
        truth = rigorous(question, point, ladder)
    except (Singular, Undecidable, TimeLimitExceeded, UnsupportedFunction):
        return aside
    near = list(around(question, point))
    if truth.kind != "smooth" or not near or any(_has_value(question, each) for each in near):
        return aside
    return Reading(point, truth, None, "disagrees", "the claim has no real value around it")


def around(question: Question, point: Point) -> Iterator[Point]:
    """Points close by inside the domain, all coordinates but whole numbers moved."""
    domains = question.domains
    for step in (-NEAR, NEAR):
        moved = {
            name: value if domains[name].integer else value + step for name, value in point.items()
        }
        if moved != point and all(domains[name].contains(moved[name]) for name in moved):
            yield moved


def _has_value(question: Question, point: Point) -> bool:
    try:
        enclose_value(question.claimed, point)
    except (Singular, Undecidable, TimeLimitExceeded, UnsupportedFunction):
        return False
    return True


def rigorous(
    question: Question, point: Point, ladder: tuple[int, ...] = balls.LADDER
) -> DerivativeEnclosure:
    """The derivative (or value) of the target by germs of balls: no differentiation rule."""
    if question.order == 0:
        value = enclose_value(question.quantity, point, ladder)
        return DerivativeEnclosure(value, value, value, "smooth")
    return balls.one_sided(
        _program(question, point), point[str(question.wrt)], question.order, ladder=ladder
    )


def confirm(
    question: Question,
    quantity: Expr,
    reading: Reading,
    ladder: tuple[int, ...] = DOUBLED_LADDER,
) -> list[Evidence] | None:
    """Ask a second group, and the first again at doubled precision; None if they do not agree.

    Ball arithmetic may refute alone only because it is asked twice; the closed form and the
    difference quotients are the second group.
    """
    again = rigorous(question, reading.point, ladder)
    if reading.claimed is None:
        return _confirm_absence(question, quantity, reading, again)
    claimed = enclose_value(question.claimed, reading.point, ladder)
    first = _judged_by(again, claimed)
    if first is None:
        return None
    rows = [_evidence("germs of balls", "rigorous", reading.point, first, claimed, question)]
    for name, group, witness in _second_witnesses(question, quantity, reading.point, ladder):
        try:
            value = witness()
        except (DiffkitError, ZeroDivisionError) as error:
            rows.append(
                Evidence(name, group, "failed", floats(reading.point), note=str(error)[:120])
            )
            continue
        outcome = _outcome(value, claimed, first)
        rows.append(_evidence(name, group, reading.point, value, claimed, question, outcome))
    confirmed = any(row.outcome == "disagrees" for row in rows[1:])
    contradicted = any(row.outcome == "agrees" for row in rows[1:])
    return rows if confirmed and not contradicted else None


def _confirm_absence(
    question: Question, quantity: Expr, reading: Reading, again: DerivativeEnclosure
) -> list[Evidence] | None:
    """The target has a value by balls and by the closed form, the claim has none."""
    try:
        closed = enclose_value(quantity, reading.point, DOUBLED_LADDER)
    except (Singular, Undecidable, TimeLimitExceeded, UnsupportedFunction):
        return None
    found = again.derivative
    if found is None or not found.overlaps(closed):
        return None
    return [
        Evidence(
            name,
            group,
            "disagrees",
            floats(reading.point),
            value=display(found),
            claimed="no real value",
            order=max(question.order, 1),
        )
        for name, group in _BOTH
    ]


_BOTH: tuple[tuple[str, Group], ...] = (
    ("germs of balls", "rigorous"),
    ("symbolic rules", "closed form"),
)


def _outcome(value: Enclosure, claimed: Enclosure, truth: Enclosure) -> Outcome:
    """What a second witness says; one too coarse to tell the two apart says nothing."""
    if not claimed.overlaps(value):
        return "disagrees"
    return "unsure" if truth.overlaps(value) else "agrees"


def _judged_by(truth: DerivativeEnclosure, claimed: Enclosure) -> Enclosure | None:
    """The enclosure the claim misses, or None when it is not missed."""
    if truth.kind == "kink" and truth.left is not None and truth.right is not None:
        inside = truth.left.low <= claimed.high and claimed.low <= truth.right.high
        mirrored = truth.right.low <= claimed.high and claimed.low <= truth.left.high
        return None if inside or mirrored else truth.right
    found = truth.derivative
    return found if found is not None and not found.overlaps(claimed) else None


def _second_witnesses(
    question: Question, quantity: Expr, point: Point, ladder: tuple[int, ...]
) -> Iterator[tuple]:
    yield (
        "symbolic rules",
        "closed form",
        lambda: enclose_value(quantity, point, ladder),
    )
    if question.order:
        yield "difference quotients", "high precision", lambda: _quotient(question, point)


def _quotient(question: Question, point: Point) -> Enclosure:
    found = precise.derivative(_program(question, point), point[str(question.wrt)], question.order)
    if not found.agrees:
        raise Undecidable("the one-sided difference quotients differ")
    value, error = float(found.right.value), 16 * float(found.right.error)
    return Enclosure.of(balls.arb(value, max(error, abs(value) * 2.0**-50)))


def _program(question: Question, point: Point) -> Any:
    """The target as a program of its variable, the other symbols fixed."""
    name = str(question.wrt)

    def run(x: Any) -> Any:
        algebra = x.algebra
        env = {key: algebra.constant(value) for key, value in point.items()}
        return interpret_expression(target, {**env, name: x}, algebra)

    target = grounded(question.target, point)
    return run


def _at_kink(
    question: Question, point: Point, truth: DerivativeEnclosure, claimed: Enclosure
) -> Reading:
    """At a kink any element of the Clarke subdifferential will do, unless a convention is set."""
    if question.claim.conventions:
        convention = enclose_value(question.quantity, point)
        outcome: Outcome = "agrees" if convention.overlaps(claimed) else "disagrees"
        return Reading(
            point,
            replace(truth, kind="smooth", left=convention, right=convention),
            claimed,
            outcome,
            "the convention asked for",
        )
    missed = _judged_by(truth, claimed)
    note = f"kink: one-sided derivatives {display(truth.left)} and {display(truth.right)}"
    return Reading(point, truth, claimed, "agrees" if missed is None else "disagrees", note)


def _evidence(
    name: str,
    group: Group,
    point: Point,
    value: Enclosure,
    claimed: Enclosure,
    question: Question,
    outcome: Outcome = "disagrees",
) -> Evidence:
    width = ErrorBound({"enclosure": _width(value) + _width(claimed)})
    error = gap(value, claimed)
    return Evidence(
        name,
        group,
        outcome,
        floats(point),
        value=display(value),
        claimed=display(claimed),
        error=error,
        allowed=width,
        order=max(question.order, 1),
    )


def gap(value: Enclosure, claimed: Enclosure) -> float:
    """How far the two are apart, also where they are the same in float64."""
    if value.ball is None or claimed.ball is None:
        return abs(value.value - claimed.value)
    return abs(float((value.ball - claimed.ball).mid()))


def _width(enclosure: Enclosure) -> float:
    return float(enclosure.ball.rad()) if enclosure.ball is not None else 0.0


def display(enclosure: Enclosure | None) -> str:
    """A short exact fraction when the ball pins one down, else 7 significant digits."""
    if enclosure is None:
        return "no real value"
    if enclosure.ball is None:
        return str(enclosure.value)
    if not isfinite(enclosure.value):  # beyond every double: the ball prints itself
        return enclosure.ball.mid().str(7, radius=False)
    guess = Fraction(enclosure.value).limit_denominator(1000)
    if abs(guess) < 10**6 and (guess != 0 or enclosure.value == 0) and _holds(enclosure, guess):
        return str(guess)
    return f"{enclosure.value:.7g}"


def _holds(enclosure: Enclosure, guess: Fraction) -> bool:
    # In exact arithmetic: a quotient of balls would depend on flint's global precision.
    ball: Any = enclosure.ball
    return ball.is_finite() and abs(_exactly(ball.mid()) - guess) <= _exactly(ball.rad())


def _exactly(ball: Any) -> Fraction:
    mantissa, exponent = ball.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def where(point: Mapping[str, Any]) -> str:
    """A point in words: "x = 1, y = 1/2"."""
    return ", ".join(f"{name} = {_short(value)}" for name, value in sorted(point.items()))


def _short(value: Any) -> str:
    """A simple fraction as such, a float the user gave as they wrote it."""
    is_simple = not isinstance(value, Fraction) or value.denominator < 10**6
    return str(value) if is_simple else repr(float(value))


def floats(point: Point) -> dict[str, float]:
    """A point as plain numbers."""
    return {name: number(value) for name, value in point.items()}


def number(value: Fraction) -> float | int:
    """A fraction as an int where it is one, else as a float."""
    return int(value) if value.denominator == 1 else float(value)

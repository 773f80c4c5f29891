"""Judge claims that are no equality: inequalities, and values rounded as they are printed."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from diffkit.core.errors import CertificateError, DiffkitError, Undecidable, UsageError
from diffkit.core.evidence import Evidence, Outcome
from diffkit.core.verdict import Repair, Status, Verdict
from diffkit.numeric.balls import arb
from diffkit.numeric.germs import Singular
from diffkit.symbolic.inequalities import prove_relation
from diffkit.symbolic.layout import show, source
from diffkit.verify import repair
from diffkit.verify.enclose import enclose_value
from diffkit.verify.points import exact, points
from diffkit.verify.question import Question
from diffkit.verify.reading import where

_STATUS: dict[str, Status] = {"true": "proved", "false": "refuted"}
_OUTCOME: dict[Status, Outcome] = {
    "proved": "agrees",
    "refuted": "disagrees",
    "undecided": "unsure",
}


def judge_relation(question: Question, *, with_repair: bool = True) -> Verdict:
    """Decide whether a relation holds on the whole domain."""
    proof = prove_relation(question.relation, question.domains)
    status = _STATUS.get(proof.status, "undecided")
    scope = "; ".join(part for part in (proof.method, proof.scope) if part)
    if status == "proved":
        status, scope = _heard(question, scope)
    witness = getattr(proof, "witness", None) or None
    contradiction = ""
    if status == "refuted" and witness:
        place = ", ".join(f"{name} = {value}" for name, value in sorted(witness.items()))
        contradiction = f"fails at {place}"
    found = _turned(question) if status == "refuted" and with_repair else None
    return Verdict(
        diagnosis=found.edit if found else None,
        repair=found,
        claim=question.claim,
        status=status,
        statement=question.statement,
        scope=scope,
        evidence=(
            Evidence(
                "sign analysis",
                "rigorous",
                _OUTCOME[status],
                {name: float(value) for name, value in (witness or {}).items()},
                note=proof.method,
            ),
        ),
        counterexample={name: float(value) for name, value in witness.items()} if witness else None,
        contradiction=contradiction,
    )


def _heard(question: Question, scope: str) -> tuple[Status, str]:
    """Put a proved relation before ball arithmetic at points, the user's first."""
    held = 0
    for point in points(question.domains, given=question.claim.points, count=POINTS):
        holds = holds_at(question.relation, point)
        if holds is False:
            raise CertificateError(
                f"a proof of {question.statement!r} is contradicted by ball arithmetic at "
                f"{where(point)}; please report this formula"
            )
        held += holds is True
    if not held and question.domains:
        return "undecided", "the relation has no value at any judged point; give domain= or points="
    return "proved", f"{scope}; ball arithmetic agrees at {held} points" if held else scope


def holds_at(relation: Any, point: Mapping[str, Fraction]) -> bool | None:
    """Whether a relation holds at an exact point; None where it has no value or is not decided."""
    name = relation.func.__name__
    if name in ("BooleanTrue", "BooleanFalse"):  # decided as soon as it was written down
        return name == "BooleanTrue"
    if name in ("And", "Or"):
        parts = [holds_at(part, point) for part in relation.args]
        decisive = name == "Or"
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if not getattr(relation, "is_Relational", False):
        return None
    try:
        left, right = (enclose_value(side, point).ball for side in relation.args)
    except DiffkitError:
        return None
    test = _TESTS.get(name)
    if test is None or left is None or right is None:
        return None
    if test(left, right):
        return True
    return False if _TESTS[_OPPOSITE[name]](left, right) else None


#: A comparison of balls is true only when it holds for every pair of their numbers.
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "StrictLessThan": lambda a, b: bool(a < b),
    "LessThan": lambda a, b: bool(a <= b),
    "StrictGreaterThan": lambda a, b: bool(a > b),
    "GreaterThan": lambda a, b: bool(a >= b),
}
_OPPOSITE = {
    "StrictLessThan": "GreaterThan",
    "LessThan": "StrictGreaterThan",
    "StrictGreaterThan": "LessThan",
    "GreaterThan": "StrictLessThan",
}
#: Points at which a proved relation is heard by ball arithmetic.
POINTS = 24


def _turned(question: Question) -> Repair | None:
    """The relation the other way round, when that one holds."""
    relation: Any = question.relation
    if not getattr(relation, "is_Relational", False) or relation.func.__name__ in (
        "Equality",
        "Unequality",
    ):
        return None
    turned = relation.func(relation.args[1], relation.args[0])
    if prove_relation(turned, question.domains).status != "true":
        return None
    return Repair(source(turned), "direction of the relation", "proved", show(turned, "latex"))


def judge_rounding(question: Question, *, with_repair: bool = True) -> Verdict:
    """Decide whether a number is the target's value rounded to the digits printed.

    The enclosure of the value must lie within half a unit of the last printed place.
    """
    half = Fraction(1, 2) / Fraction(10) ** question.decimals
    given = question.claim.points
    if question.domains and not given:
        names = ", ".join(sorted(question.domains))
        raise UsageError(
            f"a rounded value needs numbers for {names}: give points= (--arg NAME=VALUE)"
        )
    point = exact(given[0], question.domains) if given else {}
    try:
        value = enclose_value(question.quantity, point)
    except (Singular, Undecidable) as error:
        return Verdict(question.claim, "undecided", question.statement, scope=str(error))
    printed = Fraction(int(question.claimed.p), int(question.claimed.q))
    gap = abs(value.ball - _ball(printed))
    if gap <= _ball(half):
        status = "proved"
    elif gap > _ball(half):
        status = "refuted"
    else:
        status = "undecided"
    searched = status == "refuted" and with_repair
    found = repair.find(question, question.quantity) if searched else None
    return Verdict(
        question.claim,
        status,
        question.statement,
        scope=f"the value is {value.value:.10g}; half a unit of the last place is {float(half):g}",
        evidence=(
            Evidence(
                "balls",
                "rigorous",
                _OUTCOME[status],
                value=value.value,
                claimed=float(printed),
                error=float(gap.mid()),
            ),
        ),
        contradiction="" if status != "refuted" else f"claimed {printed}, true {value.value:.10g}",
        repair=found,
        diagnosis=found.edit if found else None,
    )


def _ball(number: Fraction) -> arb:
    return arb(number.numerator) / number.denominator

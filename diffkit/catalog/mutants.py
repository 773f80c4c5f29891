"""Wrong versions of right claims, and whether the judge refutes them.

A mutant is one slip of the pen in the claim's expression: a sign, a factor, a forgotten chain
factor, a wrong power.  The rules here know nothing of the edits that repair a claim
(`diffkit.verify.edits`), so that neither is written to please the other.  A mutant equal to the
claim it was made from is none: it is dropped and counted.

`python -m diffkit.catalog.mutants --record FILE` writes the counts of the whole catalogue.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from diffkit.catalog.activations import ACTIVATIONS
from diffkit.catalog.known import KnownClaim
from diffkit.catalog.ledger import LedgerRow, load
from diffkit.catalog.losses import LOSSES
from diffkit.core.errors import DiffkitError, Undecidable, UsageError
from diffkit.core.verdict import write_atomically
from diffkit.numeric.balls import LADDER
from diffkit.numeric.germs import Singular
from diffkit.symbolic.prove import prove_equal
from diffkit.verify.check import judge_question
from diffkit.verify.enclose import enclose_value
from diffkit.verify.expression import CLOSER_LADDER
from diffkit.verify.question import Question, read

SCHEMA = "diffkit.mutants/1"
RECORD = Path("tests/mutants/record.json")
FACTORS = {
    "factor 2": sp.Integer(2),
    "factor 1/2": sp.Rational(1, 2),
    "factor 1.01": sp.Rational(101, 100),
}
#: Pairs of symbols that are exchanged, at most.
PAIRS = 6
#: What may become of a mutant, best first.
OUTCOMES = ("refuted", "undecided", "accepted", "failed")

Rule = Callable[[sp.Expr], Iterator[tuple[str, sp.Expr]]]
Place = Callable[[sp.Expr], sp.Expr]


@dataclass(frozen=True)
class Mutant:
    """A claim with one slip.

    Args:
        name: The slip: "sign", "dropped factor x", ...
        question: The question with the mutant in place of the claim.
    """

    name: str
    question: Question


@dataclass
class Tally:
    """What became of the mutants of some rows.

    Args:
        rows: Rows mutated.
        without: Names of the rows that have no mutant: "0 = 0" has none that is wrong.
        mutants: Mutants judged.
        equal: Mutants dropped because they equal the claim.
        outcomes: Outcome -> number of mutants.
        by_rule: First word(s) of the slip -> number of mutants judged and refuted.
        unrefuted: One line on each mutant that was not refuted: row, slip, claim, reason.
    """

    rows: int = 0
    without: list[str] = field(default_factory=list)
    mutants: int = 0
    equal: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    by_rule: dict[str, list[int]] = field(default_factory=dict)
    unrefuted: list[dict[str, str]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the mutants that were refuted, 1 if there are none."""
        return self.outcomes["refuted"] / self.mutants if self.mutants else 1.0

    def add(self, row: str, kind: str, mutant: Mutant, outcome: str, reason: str) -> None:
        """Count one mutant."""
        if outcome == "equal":
            self.equal += 1
            return
        self.mutants += 1
        self.outcomes[outcome] += 1
        counts = self.by_rule.setdefault(kind, [0, 0])
        counts[0] += 1
        counts[1] += outcome == "refuted"
        if outcome != "refuted":
            said = mutant.question.claim.claimed
            self.unrefuted.append(
                {"row": row, "slip": mutant.name, "claim": said, "outcome": outcome, "why": reason}
            )

    def to_dict(self) -> dict[str, Any]:
        """The tally as plain data."""
        return {
            "rows": self.rows,
            "rows_without_mutants": self.without,
            "mutants": self.mutants,
            "equal_to_original": self.equal,
            **self.outcomes,
            "refuted_share": round(self.share, 5),
            "by_rule": {
                name: {"mutants": all_, "refuted": refuted}
                for name, (all_, refuted) in sorted(self.by_rule.items())
            },
            "unrefuted": self.unrefuted,
        }


# The rules: one claim in, its slips out.


def _sign(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    yield "sign", -claim


def _factor(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    for name, number in FACTORS.items():
        yield name, number * claim


def _chain_factor(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    for product, put in _places(claim, sp.Mul):
        for factor in product.args:
            if not factor.is_number:
                rest = [other for other in product.args if other is not factor]
                yield f"dropped factor {factor}", put(sp.Mul(*rest))


def _term(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    for total, put in _places(claim, sp.Add):
        for term in total.args:
            rest = [other for other in total.args if other is not term]
            yield f"dropped term {term}", put(sp.Add(*rest))


def _sign_of_term(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    for total, put in _places(claim, sp.Add):
        for term in total.args:
            rest = [other for other in total.args if other is not term]
            yield f"sign of term {term}", put(sp.Add(*rest, -term))


def _power(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    for power, put in _places(claim, sp.Pow):
        if power.exp.is_Rational:
            yield f"power of {power.base}", put(power.base ** (power.exp + 1))
    for letter, put in _places(claim, sp.Symbol):
        yield f"power of {letter}", put(letter**2)


def _exchange(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    letters = sorted(_kept(claim), key=str)
    for a, b in list(combinations(letters, 2))[:PAIRS]:
        if a.is_integer == b.is_integer:
            yield f"exchanged {a} and {b}", claim.xreplace({a: b, b: a})


def _sample_size(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    """1/N too many, or too few: N is the number of terms of a sum, or a printed denominator."""
    sizes = {len(total.args) for total, _ in _places(claim, sp.Add)} or {3}
    for size in sorted(sizes):
        yield f"extra 1/N, N = {size}", claim / size
    for product, put in _places(claim, sp.Mul):
        number = product.args[0]
        if number.is_Rational and number.q > 1:
            yield f"missing 1/N, N = {number.q}", claim * number.q
            yield f"missing 1/N in {product}", put(product * number.q)


def _number(claim: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    if claim.is_number:
        yield "number off by one", claim + 1


RULES: Mapping[str, Rule] = {
    "sign": _sign,
    "factor": _factor,
    "dropped factor": _chain_factor,
    "dropped term": _term,
    "sign of term": _sign_of_term,
    "power": _power,
    "exchanged": _exchange,
    "1/N": _sample_size,
    "number": _number,
}


def mutants(question: Question) -> Iterator[tuple[str, Mutant]]:
    """Yield (rule, mutant) for every slip in the claim of `question`, no two written alike."""
    if question.form == "relation":
        yield from _of_relation(question)
    elif question.form == "rounding":
        yield from _of_rounding(question)
    else:
        seen = {question.claimed}
        for kind, rule in RULES.items():
            for name, claim in rule(question.claimed):
                if claim not in seen and not claim.has(sp.nan, sp.zoo, sp.oo):
                    seen.add(claim)
                    yield kind, Mutant(name, _claiming(question, claim))


def outcome(question: Question, mutant: Mutant) -> tuple[str, str]:
    """What the judge makes of a mutant of the claim in `question`: one of `OUTCOMES`, and why.

    "equal" where the mutant says the same as the claim, so that it is none.
    """
    try:
        verdict = judge_question(mutant.question, with_repair=False)
        if verdict.status == "refuted":
            if _differ(question, mutant.question, verdict.counterexample):
                return "refuted", verdict.contradiction
            return "failed", f"refuted where the claim says the same: {verdict.contradiction}"
        if _is_same(question, mutant.question):
            return "equal", ""
    except DiffkitError as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "accepted" if verdict.ok else verdict.status, verdict.scope


def run(
    questions: Iterable[tuple[str, Question]], *, progress: Callable[[str], None] = lambda _: None
) -> Tally:
    """Judge all mutants of the named questions."""
    tally = Tally()
    for name, question in questions:
        progress(name)
        tally.rows += 1
        judged = tally.mutants
        for kind, mutant in mutants(question):
            tally.add(name, kind, mutant, *outcome(question, mutant))
        if tally.mutants == judged:
            tally.without.append(name)
    return tally


def known_questions(rows: Sequence[KnownClaim]) -> Iterator[tuple[str, Question]]:
    """Rows of the catalogue as questions."""
    for row in rows:
        yield row.name, row.question()


def ledger_questions() -> Iterator[tuple[str, Question]]:
    """The right rows of the lecture ledger as questions."""
    for row in load():
        if row.judged and row.truth in ("correct", "definition"):
            yield row.id, question_of(row)


def question_of(row: LedgerRow) -> Question:
    """A ledger row as the judge reads it."""
    target, claim, kind = row.target, row.claim, "value"
    match row.relation:
        case "gradient":
            kind = "gradient"
        case "holds":
            target, claim = row.claim, "true"
        case "rounds":
            claim = f"~{row.claim}"
    return read(
        target,
        claim,
        wrt=row.wrt or None,
        kind=kind,
        order=row.order,
        domain=dict(row.domain),
        conventions=dict(row.conventions),
    )


#: Rows whose derivative (a Bessel function) has no spelling as formula text, as mutants need it.
UNSPELT = frozenset(("bessel_i0e", "bessel_i1e"))

GROUPS: Mapping[str, Callable[[], Iterator[tuple[str, Question]]]] = {
    "ledger": ledger_questions,
    "activations": lambda: (
        (name, question) for name, question in known_questions(ACTIVATIONS) if name not in UNSPELT
    ),
    "losses": lambda: known_questions(LOSSES),
}


def record(*, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Judge the mutants of the whole catalogue and return the counts as plain data."""
    tallies = {name: run(source(), progress=progress) for name, source in GROUPS.items()}
    total = sum(tally.mutants for tally in tallies.values())
    refuted = sum(tally.outcomes["refuted"] for tally in tallies.values())
    return {
        "schema": SCHEMA,
        "rows": sum(tally.rows for tally in tallies.values()),
        "mutants": total,
        "equal_to_original": sum(tally.equal for tally in tallies.values()),
        **{
            outcome: sum(tally.outcomes[outcome] for tally in tallies.values())
            for outcome in OUTCOMES
        },
        "refuted_share": round(refuted / total, 5),
        "groups": {name: tally.to_dict() for name, tally in tallies.items()},
    }


def write_record(path: Path, found: Mapping[str, Any]) -> None:
    """Write the counts to `path`.

    Raises:
        UsageError: the share refuted is lower than the one on record; it may only rise.
    """
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    least = before.get("refuted_share", 0.0)
    if found["refuted_share"] < least:
        raise UsageError(
            f"{found['refuted_share']:.2%} of the mutants are refuted, {least:.2%} were; find out "
            f"which ones the judge misses, or delete {path} to begin a new record"
        )
    write_atomically(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge all mutants; 0, or 1 if one is accepted as right or breaks the judge."""
    parser = argparse.ArgumentParser(prog="python -m diffkit.catalog.mutants", description=__doc__)
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        nargs="?",
        const=RECORD,
        help=f"write the counts as JSON (default: {RECORD})",
    )
    chosen = parser.parse_args(arguments)
    found = record(progress=lambda name: print(name, file=sys.stderr))
    counts = ", ".join(f"{found[name]} {name}" for name in OUTCOMES)
    equal = found["equal_to_original"]
    print(f"{found['mutants']} mutants: {counts}; {equal} more equal the claim they come from")
    if chosen.record:
        write_record(chosen.record, found)
    return 1 if found["accepted"] or found["failed"] else 0


def _differ(claim: Question, mutant: Question, where: Mapping[str, Any] | None) -> bool:
    """Whether claim and mutant have different values at the counterexample."""
    if claim.form != "value":
        return True
    point = {name: Fraction(value) for name, value in (where or {}).items()}
    for ladder in (LADDER, CLOSER_LADDER):
        try:
            right, wrong = (enclose_value(side.claimed, point, ladder) for side in (claim, mutant))
        except (Singular, Undecidable):
            break
        if not right.overlaps(wrong):
            return True
    return not _is_same(claim, mutant)


def _is_same(claim: Question, mutant: Question) -> bool:
    if claim.form != "value":
        return False
    return prove_equal(claim.claimed, mutant.claimed, claim.domains).status == "equal"


def _claiming(question: Question, claim: sp.Expr) -> Question:
    asked = replace(question.claim, claimed=str(claim))
    return replace(question, claim=asked, claimed=claim)


def _of_relation(question: Question) -> Iterator[tuple[str, Mutant]]:
    """A relation that holds everywhere fails everywhere once one of its parts is turned."""
    relation: Any = question.relation
    parts: list[Any] = sorted(relation.atoms(Relational), key=str)
    for part in parts:
        turned = relation.xreplace({part: part.negated})
        asked = replace(question.claim, target=str(turned), claimed="true")
        mutant = replace(question, claim=asked, target=turned, relation=turned)
        yield "turned", Mutant(f"turned {part}", mutant)


def _of_rounding(question: Question) -> Iterator[tuple[str, Mutant]]:
    """Other decimals of the same length; one that reads the same is none."""
    printed = Fraction(int(question.claimed.p), int(question.claimed.q))
    unit = Fraction(1, 10**question.decimals)
    slips = {
        "sign": -printed,
        "factor 2": 2 * printed,
        "factor 1/2": printed / 2,
        "last digit up": printed + unit,
        "last digit down": printed - unit,
        "point moved": 10 * printed,
    }
    seen = {printed}
    for name, value in slips.items():
        rounded = round(value / unit) * unit
        if rounded not in seen:
            seen.add(rounded)
            number = sp.Rational(rounded.numerator, rounded.denominator)
            asked = replace(question.claim, claimed=f"~{float(rounded):.{question.decimals}f}")
            yield "number", Mutant(name, replace(question, claim=asked, claimed=number))


def _places(claim: sp.Expr, kind: type[sp.Basic]) -> Iterator[tuple[Any, Place]]:
    """Every node of `kind` that sums, products, powers and cases lead to, and how to replace it.

    What stands inside a function is its argument, not a factor or a term of the derivative.
    """
    stack: list[tuple[sp.Basic, Place]] = [(claim, lambda new: new)]
    while stack:
        node, put = stack.pop()
        if isinstance(node, kind):
            yield node, put
        if isinstance(node, sp.Add | sp.Mul):
            stack += [(arg, _into(node, index, put)) for index, arg in enumerate(node.args)]
        elif isinstance(node, sp.Pow) and node.exp.is_Rational:
            stack.append((node.base, _into(node, 0, put)))
        elif isinstance(node, sp.Piecewise):
            for index, (value, _) in enumerate(node.args):
                stack.append((value, _into_case(node, index, put)))


def _into(node: sp.Expr, index: int, put: Place) -> Place:
    return lambda new: put(node.func(*node.args[:index], new, *node.args[index + 1 :]))


def _into_case(node: sp.Piecewise, index: int, put: Place) -> Place:
    def replaced(new: sp.Expr) -> sp.Expr:
        cases = [(new if k == index else value, c) for k, (value, c) in enumerate(node.args)]
        return put(sp.Piecewise(*cases))

    return replaced


def _kept(claim: sp.Expr) -> set[sp.Symbol]:
    """Symbols that may be exchanged: not those bound by a sum."""
    bound = {limit[0] for total in claim.atoms(sp.Sum, sp.Product) for limit in total.limits}
    return claim.free_symbols - bound


if __name__ == "__main__":
    raise SystemExit(main())

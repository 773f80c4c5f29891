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
from diffkit.core.errors import DiffkitError
from diffkit.core.verdict import write_atomically
from diffkit.symbolic.prove import prove_equal
from diffkit.verify.check import judge_question
from diffkit.verify.question import Question, read

SCHEMA = "diffkit.mutants/1"
FACTORS = {
    "factor 2": sp.Integer(2),
    "factor 1/2": sp.Rational(1, 2),
    "factor 1.01": sp.Rational(101, 100),
}
#: Pairs of symbols that are exchanged, at most.
PAIRS = 6
#: What the judge may say of a mutant, best first.
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
            yield f"missing 1/N, N = {number.q}", put(product * number.q)


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


def is_the_claim(question: Question, mutant: Mutant) -> bool:
    """Whether the mutant says the same as the claim it was made from."""
    if question.form != "value":
        return False
    proof = prove_equal(question.claimed, mutant.question.claimed, question.domains)
    return proof.status == "equal"


def run(questions: Iterable[tuple[str, Question]], *, progress: Callable[[str], None]) -> Tally:
    """Judge all mutants of the named questions."""
    tally = Tally()
    for name, question in questions:
        tally.rows += 1
        progress(name)
        judged = tally.mutants
        for kind, mutant in mutants(question):
            if is_the_claim(question, mutant):
                tally.equal += 1
            else:
                _judge(tally, name, kind, mutant)
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


GROUPS: Mapping[str, Callable[[], Iterator[tuple[str, Question]]]] = {
    "ledger": ledger_questions,
    "activations": lambda: known_questions(ACTIVATIONS),
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge all mutants; 0 if every one is refuted or undecided, 1 if one is accepted."""
    parser = argparse.ArgumentParser(prog="python -m diffkit.catalog.mutants", description=__doc__)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the counts as JSON")
    chosen = parser.parse_args(arguments)
    found = record(progress=lambda name: print(name, file=sys.stderr))
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if chosen.record:
        write_atomically(chosen.record, text)
    counts = ", ".join(f"{found[outcome]} {outcome}" for outcome in OUTCOMES)
    equal = found["equal_to_original"]
    print(f"{found['mutants']} mutants: {counts}; {equal} more equal the claim they come from")
    return 1 if found["accepted"] or found["failed"] else 0


def _judge(tally: Tally, row: str, kind: str, mutant: Mutant) -> None:
    try:
        verdict = judge_question(mutant.question, with_repair=False)
        outcome = "accepted" if verdict.ok else verdict.status
        reason = verdict.scope
    except DiffkitError as error:
        outcome, reason = "failed", f"{type(error).__name__}: {error}"
    tally.mutants += 1
    tally.outcomes[outcome] += 1
    counts = tally.by_rule.setdefault(kind, [0, 0])
    counts[0] += 1
    counts[1] += outcome == "refuted"
    if outcome != "refuted":
        said = mutant.question.claim.claimed
        tally.unrefuted.append(
            {"row": row, "slip": mutant.name, "claim": said, "outcome": outcome, "reason": reason}
        )


def _claiming(question: Question, claim: sp.Expr) -> Question:
    asked = replace(question.claim, claimed=str(claim))
    return replace(question, claim=asked, claimed=claim)


def _of_relation(question: Question) -> Iterator[tuple[str, Mutant]]:
    """A relation that holds everywhere fails everywhere once one of its parts is turned."""
    parts = sorted(question.relation.atoms(Relational), key=str)
    for part in parts:
        turned = question.relation.xreplace({part: part.negated})
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

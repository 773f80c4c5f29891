"""Put the rows of the lecture ledger before the judge and hold the verdicts against their truth.

The judge sees a row's target, claim, domain and conventions; never its truth, its correction
or its `edit` mark.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from diffkit.catalog.ledger import LedgerRow, Reading
from diffkit.core.verdict import Verdict, plain
from diffkit.verify.cache import VerdictCache
from diffkit.verify.check import check


@dataclass(frozen=True)
class Judgement:
    """What the engine says of one row.

    Args:
        row: The row.
        verdict: Verdict on the printed claim; None for sentences and ambiguous rows.
        readings: Verdict on every reading of an ambiguous row.
    """

    row: LedgerRow
    verdict: Verdict | None = None
    readings: tuple[tuple[Reading, Verdict], ...] = ()

    @property
    def status(self) -> str:
        """The verdict in a word: a `Status`, "ambiguous" (readings differ), "not a formula"."""
        if self.readings:
            return self._of_readings()
        return "not a formula" if self.verdict is None else self.verdict.status

    def _of_readings(self) -> str:
        outcomes = {verdict.ok for _, verdict in self.readings}
        if any(verdict.status == "undecided" for _, verdict in self.readings):
            return "undecided"
        if len(outcomes) == 2:
            return "ambiguous"
        return "supported" if outcomes == {True} else "refuted"

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether the engine's verdict is what the row's truth demands."""
        if self.readings:
            return all(v.ok == r.holds and v.status != "undecided" for r, v in self.readings)
        if self.verdict is None:
            return not self.row.judged
        if self.row.truth == "wrong":
            return self.verdict.status == "refuted"
        return self.verdict.ok

    @property
    def reason(self) -> str:
        """Why the row is ambiguous, unjudged or refuted, in one line."""
        if self.readings:
            return "; ".join(
                f"{'holds' if verdict.ok else 'fails'} if {reading.name}"
                for reading, verdict in self.readings
            )
        if self.verdict is None:
            return self.row.reason
        return self.verdict.contradiction

    @property
    def repair(self) -> str:
        """The engine's own repair, "" if it has none."""
        found = self.verdict.repair if self.verdict is not None else None
        return f"{found.text}  ({found.edit}; {found.status})" if found else ""

    def to_dict(self) -> dict[str, Any]:
        """The judgement as plain data for reports and the paper."""
        row = self.row
        return {
            "id": row.id,
            "source": row.source,
            "lines": row.lines,
            "label": row.label,
            "printed": row.printed,
            "kind": row.kind,
            "truth": row.truth,
            "status": self.status,
            "as_it_should_be": self.is_as_it_should_be,
            "reason": self.reason,
            "correction": row.correction,
            "edit": row.edit,
            "repair": plain(vars(self.verdict.repair))
            if self.verdict is not None and self.verdict.repair
            else None,
            "scope": self.verdict.scope if self.verdict is not None else "",
            "target": row.target,
            "claim": row.claim,
        }


def judge_row(row: LedgerRow, cache: VerdictCache | None = None) -> Judgement:
    """Judge one row, reading by reading where it is ambiguous.

    Args:
        row: The row.
        cache: Where verdicts are kept between runs, or None.
    """
    if not row.judged:
        return Judgement(row)
    if row.readings:
        readings = tuple((each, _kept(each, cache)) for each in row.readings)
        return Judgement(row, readings=readings)
    return Judgement(row, _kept(row, cache))


def counts(judgements: Iterable[Judgement]) -> Mapping[str, int]:
    """Status -> number of rows, and how many are as they should be."""
    found: dict[str, int] = {}
    for judgement in judgements:
        found[judgement.status] = found.get(judgement.status, 0) + 1
        found["as it should be"] = found.get("as it should be", 0) + judgement.is_as_it_should_be
    return found


def _kept(question: LedgerRow | Reading, cache: VerdictCache | None) -> Verdict:
    if cache is None:
        return _judge(question)
    asked = ("relation", "target", "claim", "wrt", "order", "domain", "conventions")
    return cache.get({name: getattr(question, name) for name in asked}, lambda: _judge(question))


def _judge(question: LedgerRow | Reading) -> Verdict:
    common: dict[str, Any] = {
        "domain": dict(question.domain),
        "conventions": dict(question.conventions),
    }
    match question.relation:
        case "gradient":
            return check(
                question.target,
                question.claim,
                wrt=question.wrt,
                order=question.order,
                **common,
            )
        case "holds":
            return check(question.claim, "true", kind="value", **common)
        case "rounds":
            return check(question.target, f"~{question.claim}", kind="value", **common)
        case _:
            return check(question.target, question.claim, kind="value", **common)

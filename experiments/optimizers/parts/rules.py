"""The optimisers of Optax against the papers they cite, and the rules that lectures print."""

from collections.abc import Mapping, Sequence
from typing import Any

from diffkit.catalog.optimisers import (
    ROWS,
    VALUES,
    OptimiserClaim,
    domains_of,
    judge_optimiser,
)
from diffkit.catalog.printed_rules import PRINTED, PrintedClaim, judge_printed
from diffkit.core.verdict import Verdict
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.symbolic.update_rule import UpdateRule
from diffkit.verify.updates import check_updates

NAME = "rules"


def run(config: Any, store: Store, progress: Progress) -> Part:
    """Judge every row; nothing is drawn, so that there is nothing to keep."""
    progress.expect(len(ROWS) + len(PRINTED))
    programs = [_stepped(progress, judge_optimiser, row) for row in ROWS]
    printed = [_stepped(progress, judge_printed, row) for row in PRINTED]
    return outcome(programs, printed, _as_rmsprop(), _mutants())


def _stepped(progress: Progress, judge: Any, row: Any) -> Any:
    found = judge(row)
    progress.step()
    return found


def _as_rmsprop() -> tuple[Verdict, Verdict]:
    """Adam without momentum against RMSProp, with and without the bias correction."""
    adam = next(row for row in ROWS if row.name == "Adam")
    plain = UpdateRule(("v = b2*v + (1 - b2)*g**2", "w = w - a*g/(sqrt(v) + eps)"))
    values = {name: VALUES[name] for name in ("a", "b1", "b2", "eps")}
    corrected = plain.changed({"w": "w - a*g/(sqrt(v/(1 - b2**t)) + eps)"})
    where, given = domains_of(values), {"b1": "0"}
    same, other = (
        check_updates(rule, adam.rule, values, domain=where, given=given, with_repair=False)
        for rule in (corrected, plain)
    )
    return same, other


def _mutants() -> list[Verdict]:
    """The control: every proved rule with the sign of its last line turned is refuted."""
    found = []
    for row in ROWS:
        rule = row.with_deviations(row.deviations)
        right = next(line for line in rule.lines if line.startswith("w = ")).partition("=")[2]
        turned = rule.changed({"w": f"2*w - ({right})"})
        values = {name: VALUES[name] for name in VALUES if name in {*rule.hyper, *row.rule.hyper}}
        where = domains_of(values)
        found.append(check_updates(row.build(), turned, values, domain=where, with_repair=False))
    return found


def outcome(
    programs: Sequence[OptimiserClaim],
    printed: Sequence[PrintedClaim],
    as_rmsprop: tuple[Verdict, Verdict],
    mutants: Sequence[Verdict],
) -> Part:
    """Join the rows."""
    equal = [claim for claim in programs if claim.paper.ok]
    located = [claim for claim in programs if claim.is_located]
    wrong = [claim for claim in printed if claim.repaired is not None]
    mended = [claim for claim in wrong if claim.repaired is not None and claim.repaired.ok]
    statement = (
        f"{len(equal)} of {len(programs)} optimisers of Optax are the paper's rule, the others "
        f"with deviations that are located in {len(located) - len(equal)} of "
        f"{len(programs) - len(equal)}; {len(wrong)} of {len(printed)} rules of the lectures are "
        f"refuted and {len(mended)} of these repaired"
    )
    same, other = as_rmsprop
    claim = Decided(
        "C021",
        "confirmed" if same.status == "proved" else "refuted",
        f"Adam with b1 = 0 is RMSProp with epsilon outside the root and a bias correction "
        f"({same.status}, three updates, all hyper-parameters); without the correction it is not "
        f"({other.status})",
    )
    consistent = all(
        (each.printed.status == "refuted") == (each.repaired is not None) for each in printed
    )
    return Part(
        NAME,
        judged(
            misses=len(located) < len(programs) or len(mended) < len(wrong) or not consistent,
            is_blind=any(verdict.status != "refuted" for verdict in mutants),
        ),
        statement,
        {
            "programs": [_program(claim) for claim in programs],
            "printed": [_printed(claim) for claim in printed],
            "mutants": len(mutants),
        },
        [claim],
    )


def _status(verdict: Verdict | None) -> str:
    return "" if verdict is None else verdict.status


def _program(claim: OptimiserClaim) -> Mapping[str, Any]:
    row = claim.row
    return {
        "name": row.name,
        "program": row.program,
        "source": row.source,
        "lines": row.rule.lines,
        "at": row.rule.at,
        "status": claim.paper.status,
        "counterexample": claim.paper.contradiction,
        "deviations": [{"kind": d.kind, "says": d.says} for d in row.deviations],
        "deviating": _status(claim.deviating),
        "fewer": len(claim.fewer),
        "call": row.call,
        "cured": _status(claim.cured),
    }


def _printed(claim: PrintedClaim) -> Mapping[str, Any]:
    row = claim.row
    return {
        "id": row.id,
        "says": row.says,
        "named": row.named,
        "lines": row.rule.lines,
        "at": row.rule.at,
        "status": claim.printed.status,
        "counterexample": claim.printed.contradiction,
        "update": claim.printed.statement,
        "mend": row.mend,
        "repaired": _status(claim.repaired),
        "repaired_lines": row.repaired.lines if row.mend else (),
        "paper": _status(claim.paper),
        "is_really": row.is_really if _status(claim.really) == "proved" else "",
    }

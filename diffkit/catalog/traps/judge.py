"""All traps, and the judge put before each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from diffkit.catalog.traps.clean import CLEAN
from diffkit.catalog.traps.kinks import KINKS
from diffkit.catalog.traps.lost_values import LOST_VALUES
from diffkit.catalog.traps.nan_gradients import NAN_GRADIENTS
from diffkit.catalog.traps.programs import PROGRAMS
from diffkit.catalog.traps.row import Trap
from diffkit.catalog.traps.second_order import SECOND_ORDER
from diffkit.core.verdict import Verdict
from diffkit.verify.verify import verify

TRAPS: tuple[Trap, ...] = (
    *NAN_GRADIENTS,
    *KINKS,
    *SECOND_ORDER,
    *LOST_VALUES,
    *PROGRAMS,
    *CLEAN,
)


@dataclass(frozen=True)
class TrapJudgement:
    """What the judge says of one trap.

    Args:
        row: The trap.
        verdict: The verdict at its point.
    """

    row: Trap
    verdict: Verdict

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the findings, in their order."""
        return tuple(dict.fromkeys(finding.kind for finding in self.verdict.findings))

    @property
    def is_detected(self) -> bool:
        """Whether the trap is refuted, or has any finding."""
        return self.verdict.status == "refuted" or bool(self.verdict.findings)

    @property
    def is_named(self) -> bool:
        """Whether a finding of the right kind is there."""
        return not self.row.kinds or bool(set(self.kinds) & set(self.row.kinds))

    @property
    def is_false_alarm(self) -> bool:
        """Whether a clean function is refuted, or called wrong."""
        wrong = any(finding.severity == "wrong" for finding in self.verdict.findings)
        return not self.row.kinds and (wrong or self.verdict.status == "refuted")


def judge_trap(row: Trap, *, seed: int = 0) -> TrapJudgement:
    """Judge one trap at its point."""
    return TrapJudgement(row, verify(row.f, row.argument, order=row.order, seed=seed))


def shares(judged: Sequence[TrapJudgement]) -> dict[str, float]:
    """Shares of traps detected and rightly named, and the number of false alarms."""
    traps = [each for each in judged if each.row.kinds]
    count = max(len(traps), 1)
    return {
        "detected": sum(each.is_detected for each in traps) / count,
        "named": sum(each.is_named for each in traps) / count,
        "false alarms": float(sum(each.is_false_alarm for each in judged)),
    }

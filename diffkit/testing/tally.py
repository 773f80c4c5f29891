"""Counts of a fuzzing run: mergeable, and plain data for JSON."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Reports kept per kind of defect; the counts are of all.
REPORTS = 20
DEFECTS = ("false refutation", "missed bug", "wrong enclosure", "failed")


@dataclass
class Tally:
    """What came of a number of programs.

    Args:
        programs: Programs judged.
        array_programs: Those about arrays.
        compiled: Those judged in their compiled form as well.
        clean: Worst outcome of an unchanged program -> count.
        bugs: Kind of bug -> outcome -> count.
        defects: Kind of defect -> count.
        reports: Kind of defect -> the first reports.
        without_bug: Seeds of programs in which no bug shows.
    """

    programs: int = 0
    array_programs: int = 0
    compiled: int = 0
    clean: Counter[str] = field(default_factory=Counter)
    bugs: dict[str, Counter[str]] = field(default_factory=dict)
    defects: Counter[str] = field(default_factory=Counter)
    reports: dict[str, list[str]] = field(default_factory=dict)
    without_bug: list[int] = field(default_factory=list)

    def add_program(self, is_scalar: bool, is_compiled: bool) -> None:
        """Count one program."""
        self.programs += 1
        self.array_programs += not is_scalar
        self.compiled += is_compiled

    def add_bug(self, kind: str, outcome: str) -> None:
        """Count one judged bug."""
        self.bugs.setdefault(kind, Counter())[outcome] += 1

    def defect(self, kind: str, report: str) -> None:
        """Count one defect of the judge or of the generator."""
        self.defects[kind] += 1
        reports = self.reports.setdefault(kind, [])
        if len(reports) < REPORTS:
            reports.append(report)

    def merge(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.programs += other.programs
        self.array_programs += other.array_programs
        self.compiled += other.compiled
        self.clean += other.clean
        for kind, counts in other.bugs.items():
            self.bugs[kind] = self.bugs.get(kind, Counter()) + counts
        self.defects += other.defects
        for kind, reports in other.reports.items():
            self.reports[kind] = [*self.reports.get(kind, []), *reports][:REPORTS]
        self.without_bug += other.without_bug

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data, with the two shares the judge is held to."""
        planted = sum(sum(counts.values()) for counts in self.bugs.values())
        refuted = sum(counts["refuted"] for counts in self.bugs.values())
        judged = sum(self.clean.values())
        return {
            "programs": self.programs,
            "array_programs": self.array_programs,
            "compiled": self.compiled,
            "bugs": planted,
            "refuted": refuted,
            "share": round(refuted / planted, 6) if planted else 0.0,
            "clean": dict(sorted(self.clean.items())),
            "false_refutations": self.defects["false refutation"],
            "false_alarm_share": self.defects["false refutation"] / judged if judged else 0.0,
            "by_kind": {kind: dict(self.bugs[kind]) for kind in sorted(self.bugs)},
            "defects": {kind: self.defects[kind] for kind in DEFECTS},
            "reports": dict(sorted(self.reports.items())),
            "without_bug": sorted(self.without_bug),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Tally":
        """The tally `to_dict` wrote."""
        return cls(
            found["programs"],
            found["array_programs"],
            found["compiled"],
            Counter(found["clean"]),
            {kind: Counter(counts) for kind, counts in found["by_kind"].items()},
            Counter({kind: n for kind, n in found["defects"].items() if n}),
            {kind: list(reports) for kind, reports in found["reports"].items()},
            list(found["without_bug"]),
        )

"""What a session of pytest judged: the line at its end and the JSON file.

A test that was skipped or expected to fail is an entry with its reason, so that nobody takes a
claim that was not judged for a good one.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from diffkit.core.verdict import Status, write_atomically

SCHEMA = "diffkit.pytest/1"
_BEST_FIRST: tuple[Status, ...] = ("proved", "supported", "refuted", "undecided")
#: Outcomes that say a test did not simply pass or fail, in the order of the summary.
_SPECIAL = ("skipped", "xfailed", "xpassed", "error")


@dataclass
class Entry:
    """One test.

    Args:
        test: Its node id.
        outcome: "passed", "failed", "skipped", "xfailed", "xpassed" or "error".
        reason: Why it was skipped or expected to fail.
        refused: Why diffkit could not judge it, or "".
        verdicts: The verdicts reached in it, as `Verdict.to_dict` writes them.
    """

    test: str
    outcome: str = "passed"
    reason: str = ""
    refused: str = ""
    verdicts: list[dict[str, Any]] = field(default_factory=list)


class Ledger:
    """Gathers the reports of a session, those of workers included.

    Args:
        path: Where the JSON goes, None for nowhere.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter what one phase of a test says."""
        text = getattr(report, "diffkit", None)
        if text is None:
            return
        data = json.loads(text)
        entry = self.entries.setdefault(report.nodeid, Entry(report.nodeid))
        entry.verdicts += data["verdicts"]
        entry.refused = entry.refused or data["refused"]
        outcome = _outcome(report)
        if outcome != "passed":
            entry.outcome, entry.reason = outcome, _reason(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file."""
        if self.path is None:
            return
        try:
            write_atomically(self.path, self.to_json() + "\n")
        except OSError as error:
            pytest.exit(f"cannot write {self.path}: {error.strerror}; choose another file", 4)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one line, if anything was to be judged."""
        if self.entries:
            terminalreporter.write_line(self.summary())

    def counts(self) -> dict[str, int]:
        """Status -> number of verdicts, best status first."""
        found = Counter(v["status"] for entry in self.entries.values() for v in entry.verdicts)
        return {status: found[status] for status in _BEST_FIRST}

    def summary(self) -> str:
        """The line: "diffkit: 12 proved, 3 supported, 1 refuted, 0 undecided"."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items())
        outcomes = Counter(entry.outcome for entry in self.entries.values())
        more = [f"{outcomes[name]} {name}" for name in _SPECIAL if outcomes[name]]
        refused = sum(bool(entry.refused) for entry in self.entries.values())
        more += [f"{refused} not judged"] if refused else []
        return f"diffkit: {counts}" + (f" ({', '.join(more)})" if more else "")

    def to_json(self) -> str:
        """Every entry as JSON text, in the order of the tests' names."""
        data = {
            "schema": SCHEMA,
            "counts": self.counts(),
            "tests": [asdict(self.entries[name]) for name in sorted(self.entries)],
        }
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and report.when != "call":
        return "error"
    return report.outcome


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return ""

"""Annotations of a GitHub workflow: refuted claims and findings shown at their lines of a diff.

One line of text each (`::error file=...,line=...::message`) in which a percent sign, the ends of
lines and, in a property, the colon and the comma are written as GitHub demands.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from diffkit.core.finding import Finding, Severity
from diffkit.core.verdict import Status, Verdict

Level = Literal["error", "warning", "notice"]

_OF_STATUS: dict[Status, Level] = {"refuted": "error", "undecided": "warning"}
_OF_SEVERITY: dict[Severity, Level] = {"wrong": "error", "warning": "warning", "note": "notice"}
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
_PLACE = re.compile(r"^(?P<name>[^:]+\.py):(?P<line>\d+)$")


@dataclass(frozen=True)
class Place:
    """Where in a file something is said; `file` is "" and `line` 0 when that is unknown."""

    file: str = ""
    line: int = 0


NOWHERE = Place()


def annotation(level: Level, message: str, place: Place = NOWHERE, title: str = "") -> str:
    r"""Return one workflow command.

    Args:
        level: "error", "warning" or "notice".
        message: Any text; it may have several lines.
        place: File, relative to the repository where it lies in it, and line.
        title: Shown above the message.

    >>> annotation("error", "off by 50%\nat x = 1", Place("a,b.py", 3))
    '::error file=a%2Cb.py,line=3::off by 50%25%0Aat x = 1'
    """
    properties = {"file": place.file, "line": str(place.line or ""), "title": title}
    if not place.file:
        properties["line"] = ""
    given = [f"{name}={text.translate(_PROPERTY)}" for name, text in properties.items() if text]
    head = f"::{level} {','.join(given)}" if given else f"::{level}"
    return f"{head}::{message.translate(_DATA)}"


def of_verdict(verdict: Verdict, place: Place = NOWHERE) -> Iterator[str]:
    """The annotations of one verdict: its claim where it is not good, and each finding.

    Args:
        verdict: The verdict.
        place: The claim, or the function it is about.
    """
    where = _relative(place)
    level = _OF_STATUS.get(verdict.status)
    if level is not None:
        lines = [verdict.statement or verdict.claim.target, verdict.contradiction]
        if verdict.repair is not None:
            lines.append(f"repair: {verdict.repair.text} ({verdict.repair.edit})")
        message = "\n".join(filter(None, lines))
        yield annotation(level, message, where, f"diffkit: {verdict.status}")
    for finding in verdict.findings:
        yield annotation(
            _OF_SEVERITY[finding.severity],
            _said(finding),
            _relative(_place_of(finding, place)),
            f"diffkit: {finding.kind}",
        )


def of_refusal(name: str, error: Exception, place: Place = NOWHERE) -> str:
    """The annotation of a claim that could not be judged."""
    return annotation("error", f"{name}: {error}", _relative(place), "diffkit: not judged")


def show(lines: Sequence[str]) -> None:
    """Print annotations to stderr, which GitHub reads like stdout: results stay alone there."""
    for line in lines:
        print(line, file=sys.stderr)


def _said(finding: Finding) -> str:
    place = f"{finding.where}: " if finding.where else ""
    remedy = f"\nremedy: {finding.remedy}" if finding.remedy else ""
    return f"{place}{finding.message}{remedy}"


def _place_of(finding: Finding, claim: Place) -> Place:
    """The file whose last name and line the finding tells, where exactly one module has it."""
    found = _PLACE.match(finding.where)
    if found is None:
        return claim
    if Path(claim.file).name == found["name"]:
        return Place(claim.file, int(found["line"]))
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    fitting = [file for file in files if file and Path(file).name == found["name"]]
    return Place(fitting[0], int(found["line"])) if len(fitting) == 1 else claim


def _relative(place: Place) -> Place:
    """The place as GitHub names files: relative to the repository, with slashes."""
    if not place.file:
        return place
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    path = Path(place.file).resolve()
    if path.is_relative_to(root):
        return Place(path.relative_to(root).as_posix(), place.line)
    return Place(str(path), place.line)

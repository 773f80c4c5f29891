"""The answer: a status, what it covers, the evidence for it, and what to do about it.

`proved` is said only of equal normal forms or of an identity test with its error
probability printed; numerical agreement is `supported`.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from html import escape
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from diffkit.core.as_latex import latex_of_verdict
from diffkit.core.as_test import source_of_test
from diffkit.core.claim import Claim
from diffkit.core.errors import ClaimRefuted, UsageError
from diffkit.core.evidence import ErrorBound, Evidence, Outcome
from diffkit.core.finding import Finding, Severity

Status = Literal["proved", "supported", "refuted", "undecided"]
SCHEMA = "diffkit.verdict/1"
#: Worst first: a mixed result takes the first status that occurs.
SEVERITY: tuple[Status, ...] = ("refuted", "undecided", "supported", "proved")
EXIT_STATUS: Mapping[Status, int] = {"proved": 0, "supported": 0, "refuted": 1, "undecided": 3}


@dataclass(frozen=True)
class Repair:
    """A repaired claim that was itself judged.

    Args:
        text: The repaired claim, as formula text.
        edit: The edit that makes it: "sign of term 1", "factor 2", "missing 1/n", ...
        status: Verdict on the repaired claim.
        latex: The repaired claim as LaTeX, "" if it has none.
        scope: How far a proof of it reaches, such as "for every size of X", or "".
    """

    text: str
    edit: str
    status: Status
    latex: str = ""
    scope: str = ""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What was decided about a claim.

    Args:
        claim: The question.
        status: The worst status over dtypes and points.
        statement: The claim in one line, as read by diffkit.
        scope: What a proof covers, or how far agreement was tested.
        evidence: One row per witness and point.
        counterexample: Name -> value of the smallest failing input, or None.
        contradiction: Claimed and true value at the counterexample, in words, or "".
        diagnosis: The edit that repairs the claim, or None.
        repair: The repaired claim, itself judged, or None.
        findings: Traps at or near the judged points.
        assumptions: What was held fixed or chosen by convention.
        reproducer: Three lines that show a refutation without diffkit's judge, or "".
        latex: The claim as LaTeX, "" if it has none.
        is_read: Whether it was read from data, so that who wrote the data chose every name in it.
    """

    claim: Claim
    status: Status
    statement: str = ""
    scope: str = ""
    evidence: tuple[Evidence, ...] = ()
    counterexample: Mapping[str, Any] | None = None
    contradiction: str = ""
    diagnosis: str | None = None
    repair: Repair | None = None
    findings: tuple[Finding, ...] = ()
    assumptions: tuple[str, ...] = ()
    reproducer: str = ""
    latex: str = field(default="", repr=False)
    is_read: bool = field(default=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the claim is proved or supported."""
        return self.status in ("proved", "supported")

    @property
    def exit_status(self) -> int:
        """0 proved or supported, 1 refuted, 3 undecided."""
        return EXIT_STATUS[self.status]

    def __bool__(self) -> bool:
        """The same as `ok`, so that `if check(...)` means what it says."""
        return self.ok

    def explain(self) -> str:
        """The verdict with its evidence table, as text."""
        lines = [str(self)]
        if self.scope:
            lines.append(f"scope    {self.scope}")
        lines += [f"assumes  {text}" for text in self.assumptions]
        if self.evidence:
            lines.append("evidence")
            lines += [f"  {_row(row)}" for row in self.evidence]
        if self.reproducer:
            lines += ["reproducer", *(f"  {line}" for line in self.reproducer.splitlines())]
        return "\n".join(lines)

    def raise_if_refuted(self) -> "Verdict":
        """Return the verdict itself, or raise `ClaimRefuted` with the explanation."""
        if self.status == "refuted":
            raise ClaimRefuted(self.explain())
        return self

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, with a schema version."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "ok": self.ok,
            "claim": plain(asdict(self.claim)),
            "statement": self.statement,
            "scope": self.scope,
            "counterexample": plain(self.counterexample),
            "contradiction": self.contradiction,
            "diagnosis": self.diagnosis,
            "repair": plain(asdict(self.repair)) if self.repair else None,
            "findings": [plain(asdict(finding)) for finding in self.findings],
            "assumptions": list(self.assumptions),
            "evidence": [_evidence_dict(row) for row in self.evidence],
            "reproducer": self.reproducer,
            "latex": self.latex,
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """The verdict as JSON text (non-finite numbers as the strings "nan", "inf", "-inf")."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_html(self) -> str:
        """The explanation as a self-contained HTML fragment."""
        return (
            f'<div class="diffkit-verdict {self.status}"><pre>{escape(self.explain())}</pre></div>'
        )

    def to_latex(self) -> str:
        """Statement, verdict and evidence as LaTeX for the body of a document (amsmath)."""
        return latex_of_verdict(self)

    def to_test(self) -> str:
        """The source of a pytest test that judges the claim again and expects this status.

        Raises:
            UsageError: the claim holds a function or arguments that cannot be written as text.
        """
        return source_of_test(self)

    def save(self, path: str | Path) -> None:
        """Write the verdict to `path` atomically; `diffkit replay` judges its claim again.

        Raises:
            UsageError: the claim holds a function that cannot be imported by name.
        """
        if not self.claim.is_replayable:
            raise UsageError(
                'only claims given as text or as an importable "module:function" can be saved '
                f"for replay; {self.claim.target!r} is neither"
            )
        write_atomically(Path(path), self.to_json() + "\n")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Verdict":
        """Read what `to_dict` wrote.

        Raises:
            UsageError: another schema, a missing field, or a word that is none of those it may be.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
            raise UsageError(
                f"not a saved verdict of schema {SCHEMA} (found {found!r}); name a file that "
                "v.save or --save wrote"
            )
        try:
            claim = dict(data["claim"])
            claim["points"] = tuple(claim.get("points", ()))
            found = cls(
                claim=_typed(Claim(**claim)),
                status=_one_of("status", data["status"], Status),
                statement=data["statement"],
                scope=data["scope"],
                evidence=tuple(_evidence(row) for row in data["evidence"]),
                counterexample=data["counterexample"],
                contradiction=data["contradiction"],
                diagnosis=data["diagnosis"],
                repair=_repair(data["repair"]) if data["repair"] else None,
                findings=tuple(_finding(row) for row in data["findings"]),
                assumptions=tuple(data["assumptions"]),
                reproducer=data["reproducer"],
                latex=data["latex"],
                is_read=True,
            )
            return _typed(found)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise UsageError(f"the saved verdict is damaged ({error}); make it again") from error

    def with_findings(self, findings: tuple[Finding, ...]) -> "Verdict":
        """The same verdict with `findings` added."""
        return replace(self, findings=self.findings + findings)

    def __str__(self) -> str:
        lines = [f"{self.status.upper():<10}{self.statement}"]
        if self.contradiction:
            lines.append(f"{'':<10}{self.contradiction}")
        if self.repair is not None:
            lines.append(
                f"{'repair':<10}{self.repair.text}    {self.repair.edit}; "
                f"{self.repair.status.upper()}{' ' if self.repair.scope else ''}{self.repair.scope}"
            )
        lines += [str(finding) for finding in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def _repr_latex_(self) -> str | None:
        return f"$\\displaystyle {self.latex}$" if self.latex else None


def worst(statuses: "list[Status] | tuple[Status, ...]") -> Status:
    """The worst of several statuses; at least one is needed."""
    return min(statuses, key=SEVERITY.index)


def plain(value: Any) -> Any:
    """`value` as JSON data: tuples to lists, fractions to text, non-finite floats to text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile: its files are private, a result is as readable as any other file
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with partial.open("x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _evidence_dict(row: Evidence) -> dict[str, Any]:
    data = plain(asdict(row))
    data["allowed"] = plain(dict(row.allowed.parts)) if row.allowed else None
    return data


def _one_of(name: str, value: Any, words: Any) -> Any:
    """The value, if it is one of the words of a `Literal`."""
    allowed = get_args(words)
    if value not in allowed:
        raise UsageError(f"unknown {name} {value!r}; known: {', '.join(allowed)}")
    return value


_Read = TypeVar("_Read", bound=Any)


def _typed(found: _Read) -> _Read:
    """A dataclass read from a file, if every field is of the type it is declared with.

    Raises:
        TypeError: one is not.
    """
    hints = get_type_hints(type(found))
    for each in fields(found):
        value = getattr(found, each.name)
        if not _is_of(value, hints[each.name]):
            raise TypeError(f"{each.name} is {value!r:.40}")
    return found


def _is_of(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_of(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if hint is float:  # what is not finite is spelled
        return isinstance(value, int | float) or value in ("nan", "inf", "-inf")
    if hint is Any:
        return True
    if not isinstance(value, origin or hint):
        return False
    if origin is tuple:
        return all(_is_of(each, inner[0]) for each in value)
    if isinstance(value, Mapping):
        return all(_is_of(k, inner[0]) and _is_of(v, inner[1]) for k, v in value.items())
    return True


def _repair(data: Mapping[str, Any]) -> Repair:
    found = Repair(**data)
    _one_of("status of a repair", found.status, Status)
    return _typed(found)


def _finding(data: Mapping[str, Any]) -> Finding:
    found = Finding(**data)
    _one_of("severity", found.severity, Severity)
    return _typed(found)


def _evidence(data: Mapping[str, Any]) -> Evidence:
    fields = dict(data)
    _one_of("outcome", fields["outcome"], Outcome)
    parts = fields.pop("allowed")
    bound = None if parts is None else ErrorBound({k: float(v) for k, v in parts.items()})
    return _typed(Evidence(**fields, allowed=bound))


def _row(row: Evidence) -> str:
    where = ", ".join(f"{name} = {_short(value)}" for name, value in row.point.items())
    parts = [f"{row.oracle} ({row.group})", row.outcome]
    if row.dtype:
        parts.append(row.dtype)
    if where:
        parts.append(f"at {where}")
    if row.value is not None:
        parts.append(f"value {_short(row.value)}")
    if row.claimed is not None:
        parts.append(f"claimed {_short(row.claimed)}")
    if row.error is not None:
        allowed = f", allowed {row.allowed}" if row.allowed is not None else ""
        parts.append(f"error {float(row.error):.1e}{allowed}")
    if row.note:
        parts.append(row.note)
    return "  ".join(parts)


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

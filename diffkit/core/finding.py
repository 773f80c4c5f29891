"""A trap at or near a judged point."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["note", "warning", "wrong"]

KINDS = (
    "nan-gradient",
    "inf-gradient",
    "nan-value",
    "kink",
    "wrong-limit",
    "cancellation",
    "overflow",
    "silent-zero",
    "domain-edge",
    "rule-mismatch",
    "nonlinear-cotangent",
    "dtype-loss",
    "missing-mode",
    "stop-gradient",
    "nondeterministic",
)


@dataclass(frozen=True)
class Finding:
    """One trap: what kind, how bad, at which point, where in the user's code, and the mend.

    Args:
        kind: One of `KINDS`.
        severity: "wrong" only at the judged points; adversarial points give "warning" at most.
        message: What happens, with numbers.
        remedy: A mend that was run before it is printed, or "" when none is known.
        where: File and line of the user's code, or "".
        point: Name -> value at which it happens.
        order: Order of the derivative concerned, >= 0.
        dtype: The dtype it was seen in.
    """

    kind: str
    severity: Severity
    message: str
    remedy: str = ""
    where: str = ""
    point: Mapping[str, Any] = field(default_factory=dict)
    order: int = 1
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown finding kind {self.kind!r}; known: {', '.join(KINDS)}")

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"; remedy: {self.remedy}" if self.remedy else ""
        return f"{self.kind:<13} {place}{self.message}{remedy}"

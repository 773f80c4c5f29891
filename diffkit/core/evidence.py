"""What one witness said at one point, and how much disagreement its error model allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

#: Witnesses that share a rule share a group; a verdict counts groups, not witnesses.
Group = Literal["closed form", "AD rules", "numerical", "rigorous", "high precision"]
Outcome = Literal["agrees", "disagrees", "unsure", "out of domain", "failed"]


@dataclass(frozen=True)
class ErrorBound:
    """An absolute bound on an error and the parts it is the sum of.

    Args:
        parts: Source ("rounding", "condition", "truncation", "enclosure") -> bound, each >= 0.
    """

    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The sum of the parts; inf when one is unknown."""
        return sum(self.parts.values())

    def __add__(self, other: "ErrorBound") -> "ErrorBound":
        names = {**self.parts, **other.parts}
        return ErrorBound(
            {name: self.parts.get(name, 0.0) + other.parts.get(name, 0.0) for name in names}
        )

    def __str__(self) -> str:
        if not self.parts:
            return "0"
        worst = max(self.parts, key=lambda name: self.parts[name])
        return f"{self.value:.1e} ({worst})" if self.value < inf else f"unbounded ({worst})"


@dataclass(frozen=True)
class Estimate:
    """One witness's answer at one point.

    Args:
        value: The derivative (nan where it is undefined, +-inf where it is infinite).
        bound: How far `value` may be from the truth; part of the answer, never a guess.
        left: Derivative from the left at a kink, else None.
        right: Derivative from the right at a kink, else None.
        note: One clause on anything a reader must know ("infinite", "removable singularity").
    """

    value: float
    bound: ErrorBound = ErrorBound()
    left: float | None = None
    right: float | None = None
    note: str = ""

    @property
    def is_kink(self) -> bool:
        """Whether the one-sided derivatives differ."""
        return self.left is not None and self.right is not None and self.left != self.right


@dataclass(frozen=True)
class Evidence:
    """One row of a verdict's evidence table.

    Args:
        oracle: Name of the witness ("reverse", "rigorous", ...).
        group: What it has in common with others.
        outcome: What it means for the claim.
        point: Name -> value; scalars as float, arrays as nested lists.
        value: What the witness says, printed with enough digits to read back.
        claimed: What the claim says there.
        error: |value - claimed|.
        allowed: The bound `error` was compared with.
        dtype: Precision of the side that was judged.
        device: Device and matmul precision where they matter, else "".
        order: Order of the derivative.
        note: One clause.
    """

    oracle: str
    group: Group
    outcome: Outcome
    point: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    claimed: Any = None
    error: float | None = None
    allowed: ErrorBound | None = None
    dtype: str = ""
    device: str = ""
    order: int = 1
    note: str = ""

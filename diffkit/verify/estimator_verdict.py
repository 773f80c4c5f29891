"""What is said about an estimator: one comparison per candidate, and a verdict that prints them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffkit.core.evidence import ErrorBound, Evidence
from diffkit.core.verdict import Status, Verdict, plain

#: Comparisons of more entries are kept out of the evidence table but for the worst entry.
MOST_ROWS = 16
#: Arrays of more entries than this are left out of the JSON form.
MOST_SAVED = 1000
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Comparison:
    """The mean of an estimator beside one candidate for it.

    The arrays are flat: one value per entry, in the order of `entries`.

    Args:
        name: Name of the candidate.
        status: What was decided about "the mean is this".
        entries: Name of every entry, such as "kernel[0, 2]".
        mean: Mean of the draws.
        exact: The candidate.
        standard_error: Standard error of the mean; 0 where it was computed exactly.
        allowed: Difference that decides nothing: sampling, truncation, rounding.
        cosine: Cosine of the angle between mean and candidate; nan if one is zero.
        slope: Mean of the draws along the candidate's direction; its sign says where a step along
            the estimator leads.
        slope_error: Standard error of `slope`.
        points_away: Whether `slope` is negative beyond chance.
        reason: Why it is undecided, or what a reader must know; "" for nothing.
    """

    name: str
    status: Status
    entries: tuple[str, ...]
    mean: np.ndarray
    exact: np.ndarray
    standard_error: np.ndarray
    allowed: tuple[ErrorBound, ...]
    cosine: float
    slope: float
    slope_error: float
    points_away: bool
    reason: str = ""

    @property
    def bias(self) -> np.ndarray:
        """Mean minus candidate, entry by entry."""
        return self.mean - self.exact

    @property
    def z(self) -> np.ndarray:
        """Bias in standard errors; +-inf or 0 where the standard error is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.bias == 0, 0.0, self.bias / self.standard_error)

    @property
    def worst(self) -> int:
        """Position of the entry that is furthest off, measured by what it is allowed."""
        limits = np.array([bound.value for bound in self.allowed])
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.abs(self.bias) / limits
        share = np.where(np.isfinite(self.bias), np.nan_to_num(share, nan=0.0), np.inf)
        tied = np.flatnonzero(share == share.max())
        return int(tied[np.argmax(np.abs(np.nan_to_num(self.bias[tied])))])

    def rows(self, oracle: str, group: Any, dtypes: tuple[str, ...], note: str) -> list[Evidence]:
        """Evidence: every entry of a small comparison, else its worst one."""
        size = len(self.entries)
        return [
            Evidence(
                oracle=oracle,
                group=group,
                outcome="agrees" if abs(self.bias[i]) <= self.allowed[i].value else "disagrees",
                point={"candidate": self.name, "entry": self.entries[i]},
                value=float(self.mean[i]),
                claimed=float(self.exact[i]),
                error=float(abs(self.bias[i])),
                allowed=self.allowed[i],
                dtype=dtypes[i],
                note=f"standard error {self.standard_error[i]:.2g}, z = {self.z[i]:.1f}; {note}"
                if self.standard_error[i] > 0
                else note,
            )
            for i in (range(size) if size <= MOST_ROWS else (self.worst,))
        ]

    def sentence(self) -> str:
        """Bias at the worst entry, and the direction, in one line."""
        i = self.worst
        error, z = self.standard_error[i], self.z[i]
        place = f" at {self.entries[i]}" if self.entries[i] and self.bias[i] else ""
        spread = f" ± {error:.2g} (z = {z:.1f})" if error > 0 else ""
        parts = [f"bias {self.bias[i]:.3g}{spread}{place}"]
        if len(self.entries) > 1 and np.isfinite(self.cosine):
            parts.append(f"cosine {self.cosine:.3f}")
        if self.points_away:
            parts.append("points the other way")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; the arrays only of comparisons of at most `MOST_SAVED` entries."""
        numbers = {
            "mean": self.mean,
            "exact": self.exact,
            "bias": self.bias,
            "standard_error": self.standard_error,
            "z": self.z,
        }
        small = len(self.entries) <= MOST_SAVED
        return plain(
            {
                "status": self.status,
                "worst_entry": self.entries[self.worst],
                "cosine": self.cosine,
                "slope": self.slope,
                "slope_error": self.slope_error,
                "points_away": self.points_away,
                "reason": self.reason,
                "entries": self.entries if small else None,
                **{name: value if small else None for name, value in numbers.items()},
            }
        )


@dataclass(frozen=True, repr=False, eq=False)
class EstimatorVerdict(Verdict):
    """A verdict on an estimator, with the comparison of its mean with every candidate.

    Args:
        candidates: Name -> comparison.
        samples: Number of draws used, or of cases enumerated.
        variance: Variance of one draw, entry by entry, in the order of the entries.
        efficiency: Total variance of the estimator given as `against=`, divided by the total
            variance of this one; None without it.
        summary: Lines printed under the comparisons.
    """

    candidates: Mapping[str, Comparison] = field(default_factory=dict)
    samples: int = 0
    variance: np.ndarray = field(default_factory=lambda: np.zeros(0))
    efficiency: float | None = None
    summary: tuple[str, ...] = ()

    @property
    def total_variance(self) -> float:
        """Trace of the covariance of one draw."""
        return float(np.sum(self.variance))

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, with the comparisons."""
        small = len(self.variance) <= MOST_SAVED
        return {
            **super().to_dict(),
            "candidates": {name: each.to_dict() for name, each in self.candidates.items()},
            "samples": self.samples,
            "variance": plain(self.variance) if small else None,
            "total_variance": plain(self.total_variance),
            "efficiency": plain(self.efficiency),
        }

    def __str__(self) -> str:
        indent = " " * 10
        found = list(self.candidates.values())
        lines = [f"{self.status.upper():<10}{self.statement}"]
        if self.contradiction:
            lines.append(indent + self.contradiction)
        if found and 1 < len(found[0].entries) <= _SHOWN:
            lines.append(f"{indent}mean {vector(found[0].mean)}")
        width = max((len(each.name) for each in found), default=0)
        for each in found:
            title = f"{each.status:<9} {each.name:<{width}}  " if len(found) > 1 else ""
            truth = f"exact {vector(each.exact)}, " if len(each.entries) <= _SHOWN else ""
            lines.append(f"{indent}{title}{truth}{each.sentence()}")
            if each.reason:
                lines.append(f"{indent}{each.reason}")
        lines += [indent + text for text in self.summary]
        return "\n".join([*lines, *map(str, self.findings)])


def vector(values: np.ndarray) -> str:
    """A few numbers in brackets, one number bare."""
    texts = [f"{value:.4g}" for value in values]
    return texts[0] if len(texts) == 1 else f"[{' '.join(texts)}]"


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    """Cosine of the angle between two vectors; nan if one is zero or not finite.

    >>> cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0]))
    -1.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # scaled first, so that the squares of small or large entries stay in range
        sizes = np.max(np.abs(left), initial=0.0), np.max(np.abs(right), initial=0.0)
        if not all(np.isfinite(size) and size > 0 for size in sizes):
            return float("nan")
        a, b = left / sizes[0], right / sizes[1]
        return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))

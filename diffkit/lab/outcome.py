"""What an experiment found: its parts, each judged, and the lecture claims they decide."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from diffkit.core.errors import UsageError

OutcomeStatus = Literal["supported", "refuted", "undecided"]
ClaimVerdict = Literal["confirmed", "refuted", "mixed", "undecided"]


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Args:
        results: The numbers, tables and curves that the paper and the figures need.
        status: Whether the measurement supports the prediction.
        statement: One sentence with the deciding number.
        dtype: Precision of the measurement.
        seeds: Seeds of its random streams.
    """

    results: Mapping[str, Any]
    status: OutcomeStatus
    statement: str
    dtype: str = ""
    seeds: Sequence[int] = ()

    def __post_init__(self) -> None:
        _require(self.status, OutcomeStatus, "an outcome")


@dataclass(frozen=True)
class Decided:
    """A claim of a lecture and what the measurement says of it.

    Args:
        id: Its row in the catalogue of claims, such as "C045".
        verdict: "confirmed", "refuted", "mixed" (true under a condition that is named), or
            "undecided".
        evidence: One sentence with the deciding statistic.
    """

    id: str
    verdict: ClaimVerdict
    evidence: str

    def __post_init__(self) -> None:
        _require(self.verdict, ClaimVerdict, f"claim {self.id}")


@dataclass(frozen=True)
class Part:
    """One question of an experiment that has several.

    Args:
        name: Its key in the results.
        status: Whether its measurement supports its prediction.
        statement: One sentence with the deciding number.
        results: Its numbers.
        claims: The lecture claims it decides.
    """

    name: str
    status: OutcomeStatus
    statement: str
    results: Mapping[str, Any] = field(repr=False)
    claims: Sequence[Decided] = ()

    def __post_init__(self) -> None:
        _require(self.status, OutcomeStatus, f"part {self.name}")


def judged(*, misses: bool, is_blind: bool) -> OutcomeStatus:
    """The status of a measurement with a negative control.

    Args:
        misses: The prediction fails its test somewhere.
        is_blind: The control, a wrong prediction, passes the same test: it shows nothing.
    """
    if misses:
        return "refuted"
    return "undecided" if is_blind else "supported"


def join(parts: Sequence[Part], *, dtype: str = "", seeds: Sequence[int] = ()) -> Outcome:
    """The finding of an experiment of several parts: refuted, then undecided, comes first.

    Raises:
        UsageError: no part, two of one name, or a claim that two parts decide.
    """
    names = [part.name for part in parts]
    claims = sorted((claim for part in parts for claim in part.claims), key=lambda c: c.id)
    if not parts or len(set(names)) < len(names):
        raise UsageError(f"parts {names}; give one or more, all different")
    if len({claim.id for claim in claims}) < len(claims):
        raise UsageError(f"two parts decide one claim of {[claim.id for claim in claims]}")
    found = {part.status for part in parts}
    status: OutcomeStatus = next(
        (each for each in ("refuted", "undecided") if each in found), "supported"
    )
    table = [{"name": p.name, "status": p.status, "statement": p.statement} for p in parts]
    results = {
        **{part.name: part.results for part in parts},
        "parts": table,
        "claims": [asdict(claim) for claim in claims],
    }
    statement = "; ".join(f"{part.name}: {part.statement}" for part in parts)
    return Outcome(results, status, statement, dtype, seeds)


def _require(value: str, kind: Any, what: str) -> None:
    if value not in get_args(kind):
        raise UsageError(f"{what} is one of {', '.join(get_args(kind))}, not {value!r}")

"""The claims of the lectures that recorded runs decide: counts and the table of the paper."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

from diffkit.catalog.claims import load
from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record
from diffkit.lab.outcome import ClaimVerdict

#: Claim -> what a run decided: "experiment", "is_full", "verdict" and "evidence".
Decisions = Mapping[str, Mapping[str, Any]]


def claims_numbers(runs: Mapping[str, Record], full: Mapping[str, Record]) -> dict[str, Any]:
    """Every decided claim with its place, verdict and statistic, in the order of the catalogue.

    A verdict is that of the run, or of the full run where the run leaves the claim open. Where both
    decide and differ, the row holds what the full run decided besides.

    Args:
        runs: Name of the experiment -> the record the paper's sections report.
        full: Name of the experiment -> the record of its full preset, where there is one.

    Raises:
        UsageError: a run decides a claim that does not exist, or two runs decide the same one.
    """
    known = load()
    decisions = _decisions(runs, is_full=False), _decisions(full, is_full=True)
    rows = []
    for identifier, claim in known.items():
        found = [each[identifier] for each in decisions if identifier in each]
        if not found:
            continue
        shown, last = found[0], found[-1]
        if shown["verdict"] == "undecided":
            shown = last
        rows.append(
            {
                "id": identifier,
                "where": "; ".join(claim.places).replace("-", "\N{EN DASH}"),
                "text": claim.text,
                **shown,
                "full": last if last["verdict"] != shown["verdict"] else None,
            }
        )
    counts = Counter(row["verdict"] for row in rows)
    return {
        "total": str(len(known)),
        "decided": str(len(rows) - counts["undecided"]),
        "counts": {verdict: str(counts[verdict]) for verdict in get_args(ClaimVerdict)},
        "full_only": [row["id"] for row in rows if row["is_full"]],
        "differing": [row["id"] for row in rows if row["full"]],
        "rows": rows,
    }


def _decisions(runs: Mapping[str, Record], *, is_full: bool) -> Decisions:
    """What each run decides; no claim twice, none that is unknown."""
    known, decided = load(), dict[str, Mapping[str, Any]]()
    for name, run in runs.items():
        for row in run.results.get("claims", ()):
            if row["id"] not in known:
                raise UsageError(
                    f"{name} decides claim {row['id']!r}, which is not in the catalogue"
                )
            experiment = name.replace("_", " ")
            if row["id"] in decided:
                other = decided[row["id"]]["experiment"]
                raise UsageError(f"{experiment} and {other} both decide {row['id']}")
            decided[row["id"]] = {
                "experiment": experiment,
                "is_full": is_full,
                "verdict": row["verdict"],
                "evidence": row["evidence"],
            }
    return decided

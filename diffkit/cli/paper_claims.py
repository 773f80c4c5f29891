"""The claims of the lectures that recorded runs decide: counts and the table of the paper."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

from diffkit.catalog.claims import load
from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record
from diffkit.lab.outcome import ClaimVerdict

#: Claim -> (experiment, what its run decided).
Decisions = Mapping[str, tuple[str, Mapping[str, Any]]]


def claims_numbers(runs: Mapping[str, Record], full: Mapping[str, Record]) -> dict[str, Any]:
    """Every decided claim with its place, verdict and statistic, in the order of the catalogue.

    A verdict is that of the run, or of the full run where the run decides nothing of the claim.
    Where both decide and differ, the row holds the full run's verdict and statistic besides.

    Args:
        runs: Name of the experiment -> the record the paper's sections report.
        full: Name of the experiment -> the record of its full preset, where there is one.

    Raises:
        UsageError: a run decides a claim that does not exist, or two runs decide the same one.
    """
    known, quick, longer = load(), _decisions(runs), _decisions(full)
    rows = []
    for identifier, claim in known.items():
        if identifier not in quick and identifier not in longer:
            continue
        experiment, found = quick.get(identifier) or longer[identifier]
        _, other = longer.get(identifier, (experiment, found))
        rows.append(
            {
                "id": identifier,
                "where": "; ".join(claim.places).replace("-", "\N{EN DASH}"),
                "text": claim.text,
                "experiment": experiment.replace("_", " "),
                "is_full": identifier not in quick,
                **_verdict(found),
                "full": _verdict(other) if other["verdict"] != found["verdict"] else None,
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


def _decisions(runs: Mapping[str, Record]) -> Decisions:
    """What each run decides; no claim twice, none that is unknown."""
    known, decided = load(), dict[str, tuple[str, Mapping[str, Any]]]()
    for name, run in runs.items():
        for row in run.results.get("claims", ()):
            if row["id"] not in known:
                raise UsageError(
                    f"{name} decides claim {row['id']!r}, which is not in the catalogue"
                )
            if row["id"] in decided:
                raise UsageError(f"{name} and {decided[row['id']][0]} both decide {row['id']}")
            decided[row["id"]] = name, row
    return decided


def _verdict(row: Mapping[str, Any]) -> dict[str, str]:
    return {"verdict": row["verdict"], "evidence": row["evidence"]}

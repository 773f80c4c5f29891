"""The claims of the lectures that recorded runs decide: counts and the table of the paper."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

from diffkit.catalog.claims import load
from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record
from diffkit.lab.outcome import ClaimVerdict


def claims_numbers(runs: Mapping[str, Record]) -> dict[str, Any]:
    """Every decided claim with its place, verdict and statistic, in the order of the catalogue.

    Raises:
        UsageError: a run decides a claim that does not exist, or two runs decide the same one.
    """
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
    counts = Counter(row["verdict"] for _, row in decided.values())
    return {
        "total": str(len(known)),
        "decided": str(len(decided) - counts["undecided"]),
        "counts": {verdict: str(counts[verdict]) for verdict in get_args(ClaimVerdict)},
        "rows": [
            {
                "id": identifier,
                "where": "; ".join(claim.places).replace("-", "\N{EN DASH}"),
                "text": claim.text,
                "experiment": decided[identifier][0].replace("_", " "),
                **{name: decided[identifier][1][name] for name in ("verdict", "evidence")},
            }
            for identifier, claim in known.items()
            if identifier in decided
        ],
    }

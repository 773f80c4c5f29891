"""Every number and formula the paper prints, formatted here and nowhere else.

main.typ only places text: what it shows comes from the file this module fills.
"""

import importlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from diffkit.cli.paper_claims import claims_numbers
from diffkit.cli.paper_record import PaperRecord
from diffkit.core.errors import DiffkitError
from diffkit.lab import wording
from diffkit.lab.experiment import Record

TRUTHS = ("correct", "definition", "wrong", "ambiguous")
STATUSES = ("proved", "supported", "refuted", "ambiguous", "undecided", "not a formula")
#: Libraries named in the paper, of those the record lists.
NAMED = ("jax", "flax", "sympy", "python-flint", "mpmath", "numpy", "matplotlib")
_NUMBER = re.compile(r"\d+\.\d{4,}(?:e[-+]?\d+)?|\d{8,}\.0")
_WITNESS = re.compile(r"(at|fails at) (.+?)(?:: (.*))?")


def numbers(record: PaperRecord) -> dict[str, Any]:
    """The content of data.json."""
    found: dict[str, Any] = {
        "ledger": ledger_numbers(record.ledger["rows"]),
        "atlas": atlas_numbers(record.atlas),
    }
    for name, run in record.runs.items():
        report = importlib.import_module(f"experiments.{name}.report")
        found[name] = {**report.numbers(run), "run": run_numbers(run)}
    found["run_count"] = wording.word(len(record.runs))
    found["claims"] = claims_numbers(record.runs, record.full)
    found["runs"], found["full_runs"] = (
        [{"name": name, **run_numbers(run)} for name, run in runs.items()]
        for runs in (record.runs, record.full)
    )
    found["provenance"] = provenance(record)
    return found


def ledger_numbers(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts, the wrong and the ambiguous rows in full, all rows in short."""
    counts = Counter((row["truth"], row["status"]) for row in rows)
    statuses = [status for status in STATUSES if any(counts[t, status] for t in TRUTHS)]
    table = [[truth, *(str(counts[truth, s] or "") for s in statuses)] for truth in TRUTHS]
    marked = [row for row in rows if row["edit"]]
    judged = [row for row in rows if row["status"] != "not a formula"]
    repaired = [row for row in marked if row["repair"]]
    astray = [row for row in rows if not row["as_it_should_be"]]
    wrong = [row for row in rows if row["truth"] == "wrong"]
    return {
        "total": str(len(rows)),
        "judged": str(len(judged)),
        "unjudged": str(len(rows) - len(judged)),
        "lectures": wording.word(len({row["source"] for row in rows})),
        "statuses": statuses,
        "table": [[*line, str(sum(int(n or 0) for n in line[1:]))] for line in table],
        "truths": {truth: str(sum(counts[truth, s] for s in STATUSES)) for truth in TRUTHS},
        "wrong_refuted": str(counts["wrong", "refuted"]),
        "wrong_judged": str(sum(row["status"] != "not a formula" for row in wrong)),
        "wrong_accepted": wording.count(
            sum(row["status"] in ("proved", "supported") for row in wrong)
        ),
        "right_refuted": wording.count(
            sum(row["status"] == "refuted" for row in rows if row["truth"] in TRUTHS[:2])
        ),
        "proved": str(sum(counts[truth, "proved"] for truth in TRUTHS)),
        "supported": wording.count(sum(counts[truth, "supported"] for truth in TRUTHS)),
        "undecided": wording.count(sum(counts[truth, "undecided"] for truth in TRUTHS)),
        "as_they_should_be": str(len(rows) - len(astray)),
        "astray": [f"{row['id']} ({row['status']})" for row in astray],
        "marked": str(len(marked)),
        "repaired": str(len(repaired)),
        "repaired_share": f"{100 * len(repaired) / max(1, len(marked)):.0f}",
        "wrong": [_wrong(row) for row in wrong],
        "ambiguous": [_ambiguous(row) for row in rows if row["truth"] == "ambiguous"],
        "all": [_short(row) for row in rows],
    }


#: Columns of the atlas table: its head -> the count of a module.
ATLAS_COLUMNS = {
    "derivatives": "derivatives",
    "accurate": "accurate",
    "ill-cond.": "ill-conditioned",
    "unstable": "unstable",
    "wrong": "wrong",
    "kink": "with a kink",
    "trap": "with a trap",
    "defect": "with a defect",
    "no mode": "missing a mode",
}


def atlas_numbers(atlas: Mapping[str, Any]) -> dict[str, Any]:
    """Counts per module and the suspected defects of the atlas."""
    summary = atlas["summary"]
    modules = summary["modules"]
    lines = [
        [name, *(str(counts.get(key, 0)) for key in ATLAS_COLUMNS.values())]
        for name, counts in modules.items()
    ]
    total = [
        str(sum(counts.get(key, 0) for counts in modules.values()))
        for key in ATLAS_COLUMNS.values()
    ]
    return {
        "derivatives": str(summary["derivatives"]),
        "functions": str(summary["functions"]),
        "heads": list(ATLAS_COLUMNS),
        "table": [*lines, ["all", *total]],
        "defects": _by_function(summary["defects"]),
        "defect_count": str(len(summary["defects"])),
        "versions": [f"{name} {number}" for name, number in atlas["versions"].items()],
    }


def _by_function(defects: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One line a function: its name, the arguments concerned, and what happens by the first."""
    found: dict[str, list[str]] = {}
    for row in defects:
        format_ = row["dtype"].partition(",")[0]
        line = found.setdefault(row["function"], ["", format_, _brief(row["message"])])
        line[0] = f"{line[0]}, {row['argument']}" if line[0] else row["argument"]
    return [[name, *line] for name, line in found.items()]


def _brief(message: str) -> str:
    """Four digits of every number are enough to see what is wrong."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.4g}", message)


def run_numbers(run: Record) -> dict[str, str]:
    """Address, preset and finding of a run."""
    return {
        "address": run.address[:12],
        "preset": run.preset,
        "status": run.status,
        "seconds": f"{run.seconds:.0f}",
        "budget": f"{run.budget:.0f}",
    }


def provenance(record: PaperRecord) -> dict[str, Any]:
    """Commit, versions and machine of the record."""
    runs = list(record.runs.values())
    source = runs[0].provenance if runs else record.ledger["provenance"]
    git = record.ledger["provenance"]["git"]
    commit = str(git["commit"])
    return {
        "commit": commit[:12] if git["dirty"] is not True else f"{commit[:12]} with changes",
        "python": source["python"],
        "platform": source["platform"],
        "versions": [
            f"{name} {source['versions'][name]}" for name in NAMED if name in source["versions"]
        ],
    }


def formula(text: str) -> str:
    """Formula text as Typst mathematics; "" if it does not parse."""
    from diffkit.symbolic.layout import show
    from diffkit.symbolic.parse import parse

    if not text:
        return ""
    try:
        return " = ".join(show(parse(side), "typst") for side in text.split(" = "))
    except DiffkitError:
        return ""


def counterexample(reason: str) -> dict[str, Any]:
    """The reason of a refutation: words before, the point as Typst mathematics, words after."""
    found = _WITNESS.fullmatch(reason)
    if found is None:
        return {"lead": reason, "point": [], "rest": ""}
    pairs = [pair.split(" = ") for pair in found[2].split(", ")]
    if not all(len(pair) == 2 and formula(pair[0]) and formula(pair[1]) for pair in pairs):
        return {"lead": reason, "point": [], "rest": ""}
    # A slash stays a slash: the fractions of a table row would be too small to read.
    point = [f"{formula(name)} = {value.replace('/', ' slash ')}" for name, value in pairs]
    return {"lead": found[1], "point": point, "rest": found[3] or ""}


def _wrong(row: Mapping[str, Any]) -> dict[str, Any]:
    """A wrong row with its verdict and its correction."""
    repair = row["repair"]
    return {
        **_place(row),
        "status": row["status"],
        "claim": formula(row["claim"]),
        "target": _target(row),
        "printed": row["printed"],
        "reason": counterexample(row["reason"]),
        "repair": formula(repair["text"]) if repair else "",
        "repair_short": formula(repair["text"].split(" = ")[-1]) if repair else "",
        "edit": f"{repair['edit']}; {repair['status']}" if repair else "",
        "correction": row["correction"],
    }


def _target(row: Mapping[str, Any]) -> str:
    """What the claim is about, as Typst mathematics."""
    target = formula(row["target"])
    if row["relation"] != "gradient" or not target:
        return target
    order = f"^{row['order']}" if row["order"] > 1 else ""
    below = f"partial {formula(row['wrt'])}{order}"
    return f"(partial{order})/({below}) [{target}]"


def _ambiguous(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**_place(row), "status": row["status"], "readings": row["reason"].split("; ")}


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**_place(row), "kind": row["kind"], "truth": row["truth"], "status": row["status"]}


def _place(row: Mapping[str, Any]) -> dict[str, str]:
    lines = row["lines"].replace("-", "\N{EN DASH}").replace(" ", ", ")
    return {"id": row["id"], "where": f"{row['source'][:3]}:{lines}", "label": row["label"]}

"""`diffkit sweep EXPERIMENT --over field=values ...`: one run of the ledger for each point."""

import argparse
from collections.abc import Sequence

from diffkit.cli import output
from diffkit.cli.experiments import LEDGER, show_fields
from diffkit.lab.axes import points
from diffkit.lab.executors import executor
from diffkit.lab.experiment import load
from diffkit.lab.runs import SCHEMA, Found, sweep

#: The first of these that occurs among the runs decides how a sweep ends.
EXIT_STATUS = {"failed": 2, "refuted": 1, "undecided": 3, "supported": 0}


def run(options: argparse.Namespace) -> int:
    """Run an experiment at every point of the axes and print what was found."""
    if options.wants_help:
        return show_fields(options)
    config = load(options.experiment).configured(options.preset, options.rest)
    chosen = points(config, options.over, in_step=options.zip)
    found = sweep(
        options.experiment,
        options.preset,
        options.rest,
        chosen,
        executor(options.executor, options.workers, options.scheduler),
        ledger_path=options.ledger or LEDGER,
    )
    data = {
        "schema": SCHEMA,
        "experiment": options.experiment,
        "preset": options.preset,
        "points": [each.to_dict() for each in found],
    }
    output.emit(options, data, {"text": lambda: table(found)})
    return exit_status([each.status for each in found])


def exit_status(statuses: Sequence[str]) -> int:
    """2 if a run failed, else 1 if one is refuted, else 3 if one is undecided, else 0."""
    return next(code for status, code in EXIT_STATUS.items() if status in statuses)


def table(found: Sequence[Found]) -> str:
    """A line for each point: its values, what was found, the seconds, the run, the statement."""
    fields = list(found[0].point)
    rows = [[*fields, "finding", "seconds", "run", "statement"]]
    for each in found:
        seconds = "" if each.record is None else f"{each.record.seconds:.1f}"
        statement = each.failure if each.record is None else each.record.statement
        values = [each.point[field] for field in fields]
        rows.append([*values, each.status.upper(), seconds, each.address[:12], statement])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines)

"""`diffkit list` and `diffkit run EXPERIMENT`."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from diffkit.cli import output

if TYPE_CHECKING:
    from diffkit.lab.experiment import Record

LEDGER = "runs/ledger.sqlite"
#: What "undecided" means, for whoever reads a line that looks like a success.
UNDECIDED = (
    "           (undecided: the wrong law, the control, passes the same test somewhere, or the "
    "spread is too\n           wide to tell; ask for more repetitions: networks, draws, seeds)"
)


def run(options: argparse.Namespace) -> int:
    """List the experiments, or run one to its end."""
    if options.command == "list":
        return _list(options)
    return show_fields(options) if options.wants_help else _run(options)


def show_fields(options: argparse.Namespace) -> int:
    """Print the fields of an experiment, with the values of the preset as defaults."""
    from diffkit.lab.experiment import load
    from diffkit.lab.field_help import field_help

    experiment = load(options.experiment)
    about = (
        f"{experiment.question}\n\nDefaults are those of the preset {options.preset} (at most "
        f"{experiment.preset(options.preset).budget:.0f} s). Options of the command: "
        f"diffkit {options.command} --help"
    )
    config = experiment.configured(options.preset, options.rest)
    print(field_help(config, f"diffkit {options.command} {experiment.name}", about))
    return 0


def _list(options: argparse.Namespace) -> int:
    from diffkit.lab.experiment import known_experiments, load

    found = {}
    for name in known_experiments():
        experiment = load(name)
        found[name] = {
            "question": experiment.question,
            "presets": {key: preset.budget for key, preset in experiment.presets.items()},
        }
    data = {"schema": "diffkit.experiments/1", "experiments": found}
    output.emit(options, data, {"text": lambda: _table(found)})
    return 0


def _table(found: dict) -> str:
    if not found:
        return "no experiments here; they are part of a checkout: say it in its folder"
    lines = []
    for name, row in found.items():
        presets = ", ".join(
            f"{key} (at most {seconds:.0f} s)" for key, seconds in row["presets"].items()
        )
        lines += [f"{name}", f"    {row['question']}", f"    presets: {presets}"]
    return "\n".join(lines)


def _run(options: argparse.Namespace) -> int:
    from diffkit.lab.compilation import keep_compiled_programs
    from diffkit.lab.experiment import execute

    keep_compiled_programs()
    record = execute(
        options.experiment,
        options.preset,
        options.rest,
        ledger_path=options.ledger or LEDGER,
    )
    drawn = _drawn(record, options.figures) if options.figures else []
    output.emit(options, record.to_dict(), {"text": lambda: _finding(record, drawn)})
    return {"supported": 0, "refuted": 1, "undecided": 3}[record.status]


def _drawn(record: "Record", folder: str) -> list[str]:
    from diffkit.lab.drawings import draw

    return [str(path) for path in draw(record, folder)]


def _finding(record: "Record", drawn: Sequence[str]) -> str:
    """A line for each part, the claims that they decide, the run, the figures."""
    parts = record.results.get("parts") or [
        {"status": record.status, "name": "", "statement": record.statement}
    ]
    lines = []
    for part in parts:
        named = f"{part['name']}: " if part["name"] else ""
        lines.append(f"{part['status'].upper():<11}{named}{part['statement']}")
    if any(part["status"] == "undecided" for part in parts):
        lines.append(UNDECIDED)
    claims = record.results.get("claims", ())
    if claims:
        lines.append("claims     " + ", ".join(f"{c['id']} {c['verdict']}" for c in claims))
    lines.append(
        f"run        {record.address[:12]}  {record.cells} cells, {record.seconds:.1f} s, "
        f"preset {record.preset}"
    )
    lines += [f"{'figures' if not place else '':<11}{path}" for place, path in enumerate(drawn)]
    return "\n".join(lines)

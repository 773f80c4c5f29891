"""`diffkit list` and `diffkit run EXPERIMENT`."""

import argparse

from diffkit.cli import output

LEDGER = "runs/ledger.sqlite"


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
        return "no experiments here; they are part of a checkout"
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
    data = record.to_dict()
    text = (
        f"{record.status.upper():<11}{record.statement}\n"
        f"run        {record.address[:12]}  {record.cells} cells, {record.seconds:.1f} s, "
        f"preset {record.preset}"
    )
    output.emit(options, data, {"text": lambda: text})
    return {"supported": 0, "refuted": 1, "undecided": 3}[record.status]

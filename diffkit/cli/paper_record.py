"""What the paper is built from: the judged ledger and one finished run of each experiment."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffkit.core.errors import DiffkitError, UsageError
from diffkit.core.verdict import plain, write_atomically
from diffkit.lab.experiment import Record

SCHEMA = "diffkit.judged-ledger/1"
ATLAS_SCHEMA = "diffkit.atlas/1"
#: Folder of the full runs in that of a record.
FULL = "full"
Say = Callable[[str], None]


@dataclass(frozen=True)
class PaperRecord:
    """The judged ledger and the runs.

    Args:
        ledger: {"schema", "rows", "provenance"}; a row is a `Judgement.to_dict()` with the
            question's relation, variable and order.
        runs: Name of the experiment -> its record.
        atlas: What `diffkit atlas --record` wrote; it takes longer than a paper may, so it is
            recorded once and never made again by a build.
        full: Name of the experiment -> the record of its full preset, which
            `diffkit paper --update-full` wrote, for the same reason.
    """

    ledger: Mapping[str, Any]
    runs: Mapping[str, Record]
    atlas: Mapping[str, Any]
    full: Mapping[str, Record]

    def save(self, folder: Path) -> None:
        """Write ledger.json, atlas.json and one file for each run, full ones in full/."""
        for name, data in (("ledger", self.ledger), ("atlas", self.atlas)):
            text = json.dumps(plain(data), indent=1, ensure_ascii=False, allow_nan=False)
            write_atomically(folder / f"{name}.json", text + "\n")
        for place, runs in ((folder, self.runs), (folder / FULL, self.full)):
            for name, run in runs.items():
                run.save(place / f"{name}.json")

    @classmethod
    def load(cls, folder: Path) -> "PaperRecord":
        """Read what `save` wrote.

        Raises:
            UsageError: the folder holds no judged ledger, or a damaged file.
        """
        ledger = _read(folder / "ledger.json", SCHEMA, "diffkit paper --update-record")
        atlas = load_atlas(folder)
        return cls(ledger, _runs(folder), atlas, _runs(folder / FULL))


#: Files of a record that are no run of an experiment.
_TABLES = ("ledger", "atlas")


def _runs(folder: Path) -> dict[str, Record]:
    """Name of the experiment -> its record, of every run in a folder."""
    paths = (each for each in sorted(folder.glob("*.json")) if each.stem not in _TABLES)
    return {each.stem: Record.load(each) for each in paths}


def load_atlas(folder: Path) -> dict[str, Any]:
    """The recorded counts of the atlas.

    Raises:
        UsageError: there are none, or a damaged file.
    """
    return _read(folder / "atlas.json", ATLAS_SCHEMA, f"diffkit atlas --record {folder}/atlas.json")


def _read(path: Path, schema: str, command: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no {path}; `{command}` makes it") from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}); make the record again") from error
    if not isinstance(data, dict) or data.get("schema") != schema:
        raise UsageError(f"{path} is not of schema {schema}; make the record again")
    return data


def make(run_ledger: Path, verdicts: Path, record: Path, say: Say) -> PaperRecord:
    """Judge the ledger and run the quick preset of every experiment.

    Args:
        run_ledger: The SQLite file of runs; finished cells are not computed again.
        verdicts: Folder of cached verdicts.
        record: Folder with the recorded atlas and full runs.
        say: Told of each stage.
    """
    atlas, full = load_atlas(record), _runs(record / FULL)
    ledger, runs = judged_ledger(verdicts, say), finished_runs(run_ledger, "quick", say)
    return PaperRecord(ledger, runs, atlas, full)


def judged_ledger(verdicts: Path, say: Say) -> dict[str, Any]:
    """Judge every row of the lecture ledger.

    Raises:
        DiffkitError: a row could not be put before the judge; the message names it.
    """
    from diffkit.catalog.judge import judge_row
    from diffkit.catalog.ledger import load
    from diffkit.lab.provenance import collect
    from diffkit.verify.cache import VerdictCache

    rows, cache, judged = load(), VerdictCache(verdicts), []
    for number, row in enumerate(rows, 1):
        try:
            judgement = judge_row(row, cache)
        except DiffkitError as error:
            raise type(error)(f"ledger row {row.id}: {error}") from error
        question = {"relation": row.relation, "wrt": row.wrt, "order": row.order}
        judged.append({**judgement.to_dict(), **question})
        if number % 50 == 0 or number == len(rows):
            say(f"ledger   {number} of {len(rows)} formulas judged")
    return {"schema": SCHEMA, "rows": judged, "provenance": collect()}


def update_full(run_ledger: Path, record: Path, say: Say) -> None:
    """Run the full preset of every experiment and write the records: half an hour on two cores.

    Args:
        run_ledger: The SQLite file of runs; finished cells are not computed again.
        record: Folder of the record; the runs go to full/ in it.
        say: Told of each run.
    """
    for name, run in finished_runs(run_ledger, "full", say).items():
        run.save(record / FULL / f"{name}.json")


def finished_runs(run_ledger: Path, preset: str, say: Say) -> dict[str, Record]:
    """Run a preset of every experiment to its end; what is done is only read."""
    from diffkit.lab.compilation import keep_compiled_programs
    from diffkit.lab.experiment import execute, known_experiments

    keep_compiled_programs()
    found = {}
    for name in known_experiments():
        found[name] = execute(name, preset, ledger_path=run_ledger)
        say(f"run      {name}: {found[name].status}, {found[name].address[:12]}")
    return found

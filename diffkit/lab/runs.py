"""One experiment run at many configurations; its ledger keeps them all, whoever does the work."""

import base64
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from diffkit.core.errors import DEFECTS, DiffkitError, UsageError
from diffkit.core.scheduler import guard_scheduler
from diffkit.lab.axes import Point, words
from diffkit.lab.compilation import keep_compiled_programs
from diffkit.lab.executors import Executor
from diffkit.lab.experiment import Record, execute, load, recorded
from diffkit.lab.ledger import Ledger
from diffkit.lab.overrides import named_fields
from diffkit.lab.owner import this_machine
from diffkit.lab.progress import Progress

SCHEMA = "diffkit.sweep/1"


@dataclass(frozen=True)
class Found:
    """What came of one point of a sweep.

    Args:
        point: Field -> text of its value.
        address: Address of its run.
        record: The finished run; None if it failed.
        failure: Why there is no record, or "".
    """

    point: Point
    address: str
    record: Record | None
    failure: str = ""

    @property
    def status(self) -> str:
        """What the record says, or "failed"."""
        return "failed" if self.record is None else self.record.status

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON data, with the configuration as the record has it."""
        record = self.record
        return {
            "over": self.point,
            "status": self.status,
            "statement": self.failure if record is None else record.statement,
            "run": self.address,
            "seconds": None if record is None else record.seconds,
            "cells": None if record is None else record.cells,
        }


def sweep(
    name: str,
    preset: str,
    overrides: Sequence[str],
    points: Sequence[Point],
    executor: Executor,
    *,
    ledger_path: str | Path,
    stream: TextIO | None = sys.stderr,
) -> list[Found]:
    """Run an experiment at every point; what is done is read from the ledger.

    Every configuration is checked before the first one runs.  A run that fails is told among the
    findings and keeps no other from running; called again, it is tried again.

    Args:
        name: Name of the experiment.
        preset: "quick", "full" or "gpu".
        overrides: Command-line words that hold at every point.
        points: See `axes.points`.
        executor: Who does it.
        ledger_path: The ledger file.
        stream: Where progress goes; None for silence.

    Raises:
        UnknownNameError: no such experiment, preset or field.
        UsageError: a configuration without an answer, a field that is set beside the points that
            set it too, or workers that run other code.
        WorkerDied: a run ended every worker it was given to.
    """
    experiment = load(name)
    _require_apart(overrides, points)
    configs = [experiment.configured(preset, [*overrides, *words(point)]) for point in points]
    progress = Progress(f"{name} ({preset})", stream)
    progress.expect(len(points))
    found: dict[str, Found] = {}
    with Ledger(ledger_path) as ledger:
        code = experiment.code
        runs = [ledger.open_run(name, config, code) for config in configs]
        jobs = {}
        for point, run in zip(points, runs, strict=True):
            record = recorded(run)
            if record is not None:
                found[run.id] = Found(point, run.id, record)
                progress.step(was_stored=True)
                continue
            asked = {
                "experiment": name,
                "preset": preset,
                "overrides": [*overrides, *words(point)],
                "ledger": str(Path(ledger_path).resolve()),
                "machine": this_machine(),
                "run": run.id,
            }
            jobs[json.dumps(asked)] = point
        for job, answer in executor.map_unordered(run_job, list(jobs)):
            each = _found(ledger, jobs[job], json.loads(job)["run"], json.loads(answer))
            found[each.address] = each
            progress.step()
    return [found[run.id] for run in runs]


def _require_apart(overrides: Sequence[str], points: Sequence[Point]) -> None:
    """Refuse a field that would be set, and at every point set again."""
    axes = {field for point in points for field in point}
    for name in named_fields(overrides):
        for axis in axes:
            if name == axis or name.startswith(f"{axis}."):
                raise UsageError(f"--{name} is set and {axis} is an axis of the sweep; drop one")


def run_job(text: str) -> str:
    """Run one experiment to its end, in whatever process this is.

    Args:
        text: JSON: experiment, preset, overrides, ledger, machine of the ledger, address expected.

    Returns:
        JSON: {"failure": ""} or why it failed; from another machine also the ledger's "content".
    """
    job = json.loads(text)
    guard_scheduler()
    keep_compiled_programs()
    if job["machine"] == this_machine() and Path(job["ledger"]).is_file():
        return json.dumps({"failure": _failure(job, job["ledger"])})
    # The write-ahead log of SQLite needs a disk of the same machine: the run is sent back.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        failure = _failure(job, path)
        content = base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""
    return json.dumps({"failure": failure, "content": content})


def _failure(job: Mapping[str, Any], ledger_path: str | Path) -> str:
    """Run the experiment; why it failed, or ""."""
    asked = job["experiment"], job["preset"], job["overrides"]
    try:
        execute(*asked, ledger_path=ledger_path, stream=None)
    except DiffkitError as error:
        return str(error)
    except (OSError, *DEFECTS) as error:  # it is told, and costs this run only
        return f"{type(error).__name__}: {error}"
    return ""


def _found(ledger: Ledger, point: Point, address: str, answer: Mapping[str, str]) -> Found:
    """What a job has left in the ledger."""
    if answer.get("content"):
        absorb(ledger, base64.b64decode(answer["content"]), address)
    record = recorded(ledger.run(address))
    if record is not None:
        return Found(point, address, record)
    if answer["failure"]:
        return Found(point, address, None, answer["failure"])
    raise UsageError(
        f"the workers did not make the run {address[:12]} but another one: their code differs "
        "from that of this process; install the same checkout there"
    )


def absorb(ledger: Ledger, content: bytes, address: str) -> None:
    """Copy the run of that address from the bytes of another ledger, cell by cell."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        path.write_bytes(content)
        with Ledger(path) as theirs:
            if address not in [info.id for info in theirs.runs()]:
                return
            source, mine = theirs.run(address), ledger.run(address)
            rows = theirs.read(
                "SELECT key, seconds FROM cells WHERE run = ? AND state = 'done' ORDER BY number",
                (address,),
            )
            for text, seconds in rows:
                key = json.loads(text)
                arrays = source.get(key)
                if arrays is not None:
                    mine.put(key, arrays, seconds=seconds)
            info = source.info
            mine.set_state(info.state, message=info.message, record=info.record)

"""A sweep of runs: what it leaves in the ledger, whoever does the work and whoever is killed."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from diffkit.cli.sweep import exit_status
from diffkit.lab.ledger import Ledger, Run
from diffkit.lab.runs import absorb

#: Cell i of scale s holds i * s; it says in a file that it was computed.
SOURCE = """
import time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from diffkit.core.errors import UsageError
from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome

@dataclass(frozen=True)
class Config:
    scale: float = 1.0
    cells: int = 4
    pause: float = 0.0

def check(config):
    if config.cells < 1:
        raise UsageError(f"cells = {config.cells}; give 1 or more")

def run(config, store, progress):
    def cell(i):
        time.sleep(config.pause)
        with Path("computed.txt").open("a") as log:
            log.write(f"{config.scale} {i}\\n")
        return {"x": np.arange(3) * i * config.scale, "name": np.array("cell")}

    if config.scale == 13:
        raise ZeroDivisionError("unlucky")
    found = store.map(cell, [{"i": i} for i in range(config.cells)], progress)
    total = float(sum(each["x"].sum() for each in found))
    status = "supported" if config.scale < 100 else "refuted"
    return Outcome({"total": total}, status, f"the total is {total:g}", "float64", (0,))

PRESETS = {"quick": Preset(Config(), 30.0)}
EXPERIMENT = Experiment("scaled", "What is the sum?", Config, PRESETS, run, check=check)
"""
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason='Dask is not installed; pip install "diffkit[cluster]"',
)
EXECUTORS = ["serial", "processes", pytest.param("dask", marks=needs_dask)]
SCALES = (1.0, 2.5, 4.0)


def folder(place: Path) -> Path:
    """A folder with an experiment of its own."""
    package = place / "experiments" / "scaled"
    package.mkdir(parents=True)
    for each in (package.parent, package):
        (each / "__init__.py").write_text("")
    (package / "run.py").write_text(SOURCE)
    return place


def start(place: Path, executor: str, *words: str) -> subprocess.Popen[str]:
    workers = [] if executor == "serial" else ["--workers", "2"]
    command = ["sweep", "scaled", "--executor", executor, *workers, "--ledger", "ledger.sqlite"]
    return subprocess.Popen(
        [sys.executable, "-m", "diffkit", *command, "--json", *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], status: int = 0) -> dict:
    """The findings of a sweep."""
    out, complaints = process.communicate(timeout=100)
    assert process.returncode == status, complaints
    return json.loads(out)


def content(path: Path) -> dict:
    """All that a ledger knows, but for the clock and for who did it."""
    with Ledger(path) as ledger:
        return {
            info.id: (
                info.config,
                info.code,
                info.state,
                {k: v for k, v in info.record.items() if k not in ("seconds", "provenance")},
                sorted(
                    (str(key), name, array.dtype.str, array.shape, array.tobytes())
                    for key in ledger.run(info.id).cells()
                    for name, array in ledger.run(info.id).get(key).items()
                ),
            )
            for info in ledger.runs()
        }


def computed(place: Path) -> list[str]:
    return (place / "computed.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory):
    """Findings and folder of one sweep by each executor."""
    found = {}

    def of(executor: str) -> tuple[dict, Path]:
        if executor not in found:
            place = folder(tmp_path_factory.mktemp(executor))
            scales = f"--over=scale={','.join(map(str, SCALES))}"
            found[executor] = ended(start(place, executor, scales)), place
        return found[executor]

    return of


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_sweep_makes_one_run_for_each_point_in_their_order(swept, executor):
    found, place = swept(executor)
    points = found["points"]
    assert [point["over"] for point in points] == [{"scale": str(s)} for s in SCALES]
    # the sum over i < 4 and j < 3 of i * j * s is 18 s
    assert [point["statement"] for point in points] == [f"the total is {18 * s:g}" for s in SCALES]
    assert sorted(computed(place)) == sorted(f"{s} {i}" for s in SCALES for i in range(4))


@pytest.mark.parametrize("executor", EXECUTORS[1:])
def test_every_executor_leaves_the_same_ledger(swept, executor):
    expected = content(swept("serial")[1] / "ledger.sqlite")
    assert len(expected) == 3
    assert content(swept(executor)[1] / "ledger.sqlite") == expected


def test_a_finished_run_is_read_and_only_the_new_one_is_computed(swept, tmp_path):
    place = shutil.copytree(swept("serial")[1], tmp_path / "again")
    ended(start(place, "serial", "--over", "scale=4,5,1"))
    assert computed(place)[12:] == [f"5.0 {i}" for i in range(4)]


@pytest.mark.parametrize(
    "executor", ["processes", pytest.param("dask", marks=[needs_dask, pytest.mark.slow])]
)
def test_a_worker_that_is_killed_costs_at_most_its_cell_in_flight(tmp_path, executor):
    place = folder(tmp_path)
    words = ("--pause", "0.02", "--cells", "10", "--over", "scale=1:4:4")
    process = start(place, executor, *words)
    before, victim = None, None
    deadline = time.monotonic() + 60
    while victim is None and time.monotonic() < deadline:
        time.sleep(0.02)
        before, victim = at_work(place / "ledger.sqlite")
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    found = ended(process)
    assert [point["status"] for point in found["points"]] == ["supported"] * 4
    lines = computed(place)
    assert set(lines) == {f"{float(s)} {i}" for s in range(1, 5) for i in range(10)}
    assert all(lines.count(line) == 1 for line in before)
    assert len(lines) <= 40 + 1  # the cell in flight may have been computed and not stored
    for config, _, state, record, arrays in content(place / "ledger.sqlite").values():
        # the sum over i < 10 and j < 3 of i * j * s is 135 s
        assert (state, record["results"]["total"]) == ("done", 135 * config["scale"])
        assert len(arrays) == 20


def at_work(path: Path) -> tuple[list[str], int | None]:
    """Stored cells and a process at work, once five cells are stored."""
    if not path.is_file():
        return [], None
    with Ledger(path) as ledger:
        done = ledger.read(
            "SELECT runs.config, cells.key FROM cells JOIN runs ON runs.id = cells.run"
            " WHERE cells.state = 'done'"
        )
        owners = ledger.read("SELECT owner FROM cells WHERE state = 'running'")
    if len(done) < 5 or not owners:
        return [], None
    lines = [f"{json.loads(config)['scale']} {json.loads(key)['i']}" for config, key in done]
    return lines, int(owners[0][0].split(":")[1])


def test_a_run_that_fails_is_told_and_keeps_no_other_from_running(tmp_path):
    found = ended(start(folder(tmp_path), "serial", "--over", "scale=200,13,2"), status=2)
    statuses = [(point["status"], point["statement"]) for point in found["points"]]
    assert statuses[1] == ("failed", "ZeroDivisionError: unlucky")
    assert [status for status, _ in statuses] == ["refuted", "failed", "supported"]


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["supported", "supported"], 0),
        (["supported", "undecided"], 3),
        (["undecided", "refuted", "supported"], 1),
        (["refuted", "failed", "undecided"], 2),
    ],
)
def test_the_worst_finding_decides_the_exit_status(statuses, status):
    assert exit_status(statuses) == status


def test_every_point_is_checked_before_the_first_one_runs(tmp_path):
    place = folder(tmp_path)
    process = start(place, "processes", "--over", "cells=3,0")
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert complaints == "diffkit: cells = 0; give 1 or more\n"
    assert not (place / "computed.txt").exists()
    assert not (place / "ledger.sqlite").exists()


def test_a_run_of_another_machine_is_copied_with_its_cells(tmp_path):
    key, arrays = {"i": 1}, {"x": np.arange(3.0)}
    with Ledger(tmp_path / "theirs.sqlite") as theirs:
        run = theirs.open_run("e", {"a": 1}, "c")
        run.put(key, arrays, seconds=2.0)
        run.set_state("done", record={"answer": 1})
        address = run.id
    with Ledger(tmp_path / "mine.sqlite") as mine:
        mine.open_run("e", {"a": 1}, "c")
        absorb(mine, (tmp_path / "theirs.sqlite").read_bytes(), address)
        copied = Run(mine, address)
        np.testing.assert_array_equal(copied.get(key)["x"], arrays["x"])
        assert (copied.info.state, copied.info.seconds) == ("done", 2.0)
        assert copied.info.record == {"answer": 1}


ELSEWHERE = """
import json
from diffkit.lab.runs import sweep

class Elsewhere:
    def map_unordered(self, task, jobs):
        for job in jobs:
            answer = task(json.dumps({**json.loads(job), "machine": "elsewhere"}))
            assert len(json.loads(answer)["content"]) > 1000
            yield job, answer

found = sweep(
    "scaled", "quick", [], [{"scale": "1.0"}, {"scale": "2.5"}, {"scale": "4.0"}], Elsewhere(),
    ledger_path="ledger.sqlite", stream=None,
)
assert [each.status for each in found] == ["supported"] * 3
"""


def test_workers_of_other_machines_send_their_runs_back(swept, tmp_path):
    place = folder(tmp_path)
    subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=place, check=True, timeout=60)
    assert content(place / "ledger.sqlite") == content(swept("serial")[1] / "ledger.sqlite")

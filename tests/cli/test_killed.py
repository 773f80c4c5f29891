"""Killed at random moments and started again: nothing finished is done twice, figures are the same.

The experiment is the one that `diffkit new` writes, in a folder of its own.
"""

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

from diffkit.core.scheduler import guard_scheduler
from diffkit.lab.ledger import Ledger
from diffkit.lab.new import new

ROOT = Path(__file__).parents[2]
KILLS = 20
NAME = "batch_noise"
BATCHES = ",".join(map(str, range(1, 31)))
RUN = ("run", NAME, "--batches", BATCHES, "--json=run.json")
#: Draws every figure of a record.
DRAW = f"""
from pathlib import Path
from diffkit.lab.experiment import Record
from experiments.{NAME}.figures import FIGURES
for name, draw in FIGURES.items():
    draw(Record.load("run.json"), Path(f"figures/{{name}}.svg"))
"""
PAPER = f"""
#let d = json("build/data.json")
#d.ledger.total formulas; #d.{NAME}.within_three batch sizes; run #d.{NAME}.run.address.
#image("build/figures/{NAME}-variance.svg")
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def folder(place: Path) -> Path:
    (place / "experiments").mkdir(parents=True)
    (place / "experiments" / "__init__.py").write_text("")
    new(NAME, place)
    (place / "paper").mkdir()
    (place / "paper" / "main.typ").write_text(PAPER)
    shutil.copy(ROOT / "paper" / "style.typ", place / "paper" / "style.typ")
    record = place / "paper" / "record"
    record.mkdir()
    shutil.copy(ROOT / "paper" / "record" / "atlas.json", record / "atlas.json")
    return place


def start(place: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    guard_scheduler(environment)
    with (place / "complaints.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *words], cwd=place, env=environment, stdout=log, stderr=log
        )


def finished(place: Path, *words: str) -> float:
    """Seconds a command takes that nobody kills."""
    begin = time.monotonic()
    status = start(place, *words).wait(timeout=900)
    assert status == 0, (place / "complaints.txt").read_text()[-2000:]
    return time.monotonic() - begin


def killed_again_and_again(
    place: Path, words: tuple[str, ...], seconds: float, rng: np.random.Generator
) -> int:
    """Kill a command at random moments until it ends by itself or was killed `KILLS` times."""
    before: dict = {}
    idle = finished(place, "-m", "diffkit", "list")  # what a start costs before any work is done
    for kills in range(KILLS):
        process = start(place, *words)
        try:
            process.wait(timeout=rng.uniform(0, 2 * (idle + seconds / KILLS)))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=60)
        else:
            assert process.returncode == 0, (place / "complaints.txt").read_text()[-2000:]
            return kills
        after, in_flight = work(place)
        assert in_flight <= 1
        assert {name: after.get(name) for name in before} == before  # nothing was done twice
        before = after
    finished(place, *words)
    after, _ = work(place)
    assert {name: after.get(name) for name in before} == before
    return KILLS


def work(place: Path) -> tuple[dict, int]:
    """What is finished and when it was: cells of the ledger, verdicts; and the cells in flight."""
    done = {
        str(path): path.stat().st_mtime_ns
        for path in (place / ".cache" / "verdicts").rglob("*.json")
    }
    path = place / "runs" / "ledger.sqlite"
    if not path.is_file():
        return done, 0
    with Ledger(path) as ledger:
        cells = ledger.read("SELECT run, key, updated FROM cells WHERE state = 'done'")
        running = ledger.read("SELECT count(*) FROM cells WHERE state = 'running'")
    return done | {f"{run} {key}": updated for run, key, updated in cells}, running[0][0]


def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_figures(tmp_path, rng):
    words = ("-m", "diffkit", *RUN)
    whole, killed = folder(tmp_path / "whole"), folder(tmp_path / "killed")
    seconds = finished(whole, *words)
    assert killed_again_and_again(killed, words, seconds, rng) >= 5
    records = [json.loads((place / "run.json").read_text()) for place in (whole, killed)]
    assert records[0]["results"] == records[1]["results"]
    assert records[0]["cells"] == 30
    for place in (whole, killed):
        finished(place, "-c", DRAW)
    assert figures(whole / "figures") == figures(killed / "figures")


def test_a_paper_that_is_killed_at_random_moments_ends_with_the_same_figures(tmp_path, rng):
    words = ("-m", "diffkit", "paper")
    whole, killed = folder(tmp_path / "whole"), folder(tmp_path / "killed")
    seconds = finished(whole, *words)
    assert killed_again_and_again(killed, words, seconds, rng) >= 5
    assert figures(whole / "paper/build/figures") == figures(killed / "paper/build/figures")
    assert (killed / "paper/build/paper.pdf").read_bytes().startswith(b"%PDF")
    again = finished(killed, *words)
    assert again < seconds / 2  # nothing changed: nothing is judged, run or drawn


def figures(place: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in place.glob("*.svg")}
    assert found
    return found

import io
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab import experiment as lab
from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment, Record, execute
from diffkit.lab.ledger import Ledger, LedgerError
from diffkit.lab.outcome import Outcome

SOURCE = """
import sys, time
from dataclasses import dataclass
from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome

@dataclass(frozen=True)
class Config:
    cells: int = 40
    pause: float = 0.02

def cell(i, pause):
    time.sleep(pause)
    print(i, flush=True)
    return {"square": i * i}

def run(config, store, progress):
    keys = [{"i": i} for i in range(config.cells)]
    results = store.map(lambda i: cell(i, config.pause), keys, progress)
    total = sum(int(result["square"]) for result in results)
    return Outcome({"total": total}, "supported", f"the total is {total}", "int64", (0,))

PRESETS = {"quick": Preset(Config(), 30.0)}
EXPERIMENT = Experiment("squares", "What is the sum?", Config, PRESETS, run)
"""
PROGRAM = "import sys; from diffkit.lab.experiment import execute; "
PROGRAM += "r = execute('squares', ledger_path='ledger.sqlite'); r.save('run.json')"


@dataclass(frozen=True)
class Config:
    width: int = 4
    scale: float = 1.0


def measure(config: Config, store, progress) -> Outcome:
    keys = [{"i": i} for i in range(config.width)]
    values = store.map(lambda i: {"x": np.array(i * config.scale)}, keys, progress)
    total = float(sum(value["x"] for value in values))
    return Outcome({"total": total, "curve": np.arange(2), "gap": np.nan}, "supported", f"{total}")


def make(run=measure, budget: float = 10.0) -> Experiment:
    presets = {"quick": Preset(Config(), budget)}
    return Experiment("sum", "Is it 6?", Config, presets, run, module="diffkit.lab.progress")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an experiments package of its own."""
    package = tmp_path / "experiments" / "squares"
    package.mkdir(parents=True)
    (tmp_path / "experiments" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "run.py").write_text(SOURCE)
    return tmp_path


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_is_recorded_with_its_question_config_and_origin(ledger: Path):
    record = execute(make(), overrides=["--scale", "2"], ledger_path=ledger, stream=None)
    assert record.results == {"total": 12.0, "curve": [0, 1], "gap": "nan"}
    assert record.config == {"width": 4, "scale": 2.0}
    assert (record.status, record.statement, record.cells) == ("supported", "12.0", 4)
    assert record.provenance["versions"]["numpy"] == np.__version__
    assert not record.is_over_budget


def test_a_record_survives_its_file(ledger: Path, tmp_path: Path):
    record = execute(make(), ledger_path=ledger, stream=None)
    record.save(tmp_path / "run.json")
    assert Record.load(tmp_path / "run.json") == record
    assert json.loads((tmp_path / "run.json").read_text())["schema"] == "diffkit.run/1"


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "schema"), ("[", "no JSON"), ('{"schema": "diffkit.run/1"}', "damaged")],
)
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        Record.load(tmp_path / "run.json")
    with pytest.raises(UsageError, match="no run record"):
        Record.load(tmp_path / "none.json")


def test_a_finished_run_is_not_run_again(ledger: Path):
    first = execute(make(), ledger_path=ledger, stream=None)

    def never(config, store, progress):
        raise AssertionError

    stream = io.StringIO()
    assert execute(make(never), ledger_path=ledger, stream=stream) == first
    assert "done in an earlier run" in stream.getvalue()


def test_a_failed_run_keeps_its_cells_and_its_message(ledger: Path):
    def fails(config, store, progress):
        measure(config, store, progress)
        raise ZeroDivisionError("judge")

    with pytest.raises(ZeroDivisionError):
        execute(make(fails), ledger_path=ledger, stream=None)
    with Ledger(ledger) as opened:
        (info,) = opened.runs(state="failed")
        assert info.message == "ZeroDivisionError: judge"
        assert len(opened.run(info.id).cells()) == 4
    assert execute(make(), ledger_path=ledger, stream=None).results["total"] == 6.0


def test_a_run_over_its_budget_says_so(ledger: Path):
    def slow(config, store, progress):
        time.sleep(0.02)
        return measure(config, store, progress)

    stream = io.StringIO()
    record = execute(make(slow, budget=0.01), ledger_path=ledger, stream=stream)
    assert record.is_over_budget
    assert "over its budget" in stream.getvalue()


def test_an_unknown_experiment_is_answered_with_the_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lab, "known_experiments", lambda: ["adding", "squares"])
    with pytest.raises(UnknownNameError, match="known: adding, squares"):
        lab.load("square")


def test_an_unknown_preset_is_answered_with_the_known(ledger: Path):
    with pytest.raises(UnknownNameError, match="no preset 'full'; it has quick"):
        execute(make(), "full", ledger_path=ledger, stream=None)


def test_an_experiment_refuses_what_cannot_run():
    with pytest.raises(UsageError, match="'huge' is none of quick, full, gpu"):
        Experiment("e", "?", Config, {"huge": Preset(Config(), 1.0)}, measure)
    with pytest.raises(UsageError, match="budget > 0"):
        Experiment("e", "?", Config, {"quick": Preset(Config(), 0.0)}, measure)
    with pytest.raises(UsageError, match="budget > 0"):
        Experiment("e", "?", Config, {"quick": Preset({}, 1.0)}, measure)
    with pytest.raises(UsageError, match="not 'fine'"):
        Outcome({}, "fine", "")


def test_every_experiment_of_the_repository_loads():
    for name in lab.known_experiments():
        assert lab.load(name).name == name


def test_a_killed_run_continues_and_loses_at_most_one_cell(folder: Path):
    process = start(folder)
    done = [int(process.stdout.readline()) for _ in range(10)]
    process.send_signal(signal.SIGKILL)
    done += [int(line) for line in process.communicate()[0].split()]
    resumed = start(folder)
    output, progress = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, progress
    again = [int(line) for line in output.split()]
    # The last cell printed its number before it was stored; no other is computed twice.
    assert set(again) & set(done[:-1]) == set()
    assert set(again) | set(done) == set(range(40))
    record = Record.load(folder / "run.json")
    assert record.results["total"] == sum(i * i for i in range(40))
    assert record.seconds >= 40 * 0.02
    assert "squares (quick): 40 of 40" in progress


def test_changed_code_is_another_run(folder: Path):
    addresses = []
    for constant in ("0.02", "0.0"):
        source = (folder / "experiments/squares/run.py").read_text().replace("0.02", constant)
        (folder / "experiments/squares/run.py").write_text(source)
        start(folder).communicate(timeout=60)
        addresses.append(Record.load(folder / "run.json").address)
    assert addresses[0] != addresses[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "maybe"}, "status is 'maybe'"),
        ({"seconds": "long"}, "seconds is 'long'"),
        ({"statement": None}, "statement is None"),
        ({"more": 1}, "more is no field of it"),
        ({"schema": 7}, "it is not of schema diffkit.run/1"),
    ],
)
def test_a_damaged_record_in_the_ledger_is_told_with_the_remedy(ledger, change, said):
    record = execute(make(), ledger_path=ledger, stream=None)
    with Ledger(ledger) as opened:
        opened.run(record.address).set_state("done", record={**record.to_dict(), **change})
    with pytest.raises(LedgerError, match=rf"is damaged \(the record of run .*{said}\); move"):
        execute(make(), ledger_path=ledger, stream=None)

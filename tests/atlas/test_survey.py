"""The sweep: names, resuming after a kill, processes that hang or die, two sweeps at once."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from diffkit.atlas import survey, workers
from diffkit.atlas.survey import chosen, sweep
from diffkit.core.errors import UsageError
from diffkit.lab.ledger import Ledger

DENSITY = "jax.scipy.stats.norm.logpdf"  # of x, loc and scale
QUICK = ("jax.numpy.abs", "jax.numpy.square", "jax.numpy.negative")


def cells(path, state="done"):
    """Name -> when its cell was stored, or came into another state."""
    with Ledger(path) as ledger:
        rows = ledger.read("SELECT key, updated FROM cells WHERE state = ?", (state,))
    return {json.loads(key)["name"]: moment for key, moment in rows}


def test_names_are_modules_packages_functions_and_aliases():
    assert chosen(("jax.numpy.abs",)) == ["jax.numpy.abs"]
    assert chosen(("jax.numpy.tanh",)) == ["jax.nn.tanh"]
    assert set(chosen(("jax.nn",))) < set(chosen(("jax",)))
    assert not set(chosen(("jax.numpy.linalg",))) & set(chosen(("jax.nn",)))
    assert {"jax.scipy.special.erf", "jax.scipy.linalg.expm"} <= set(chosen(("jax.scipy",)))
    assert len(chosen(())) > 600


@pytest.mark.parametrize("name", ["numpy", "jax.numpy.no_such", "", "jax.num", "../etc"])
def test_a_strange_name_is_a_usage_error_that_lists_the_modules(name):
    with pytest.raises(UsageError, match=r"jax\.nn"):
        chosen((name,))


def test_a_sweep_is_stored_and_a_second_one_computes_nothing(tmp_path):
    path = tmp_path / "atlas.sqlite"
    first = sweep(QUICK, jobs=2, ledger=path, stream=None)
    assert [entry.name for entry in first.entries] == list(QUICK)
    stored = cells(path)
    assert set(stored) == set(QUICK)
    second = sweep(QUICK, jobs=1, ledger=path, stream=None)
    assert cells(path) == stored
    assert [e.title for e in second.entries] == [e.title for e in first.entries]


def test_a_name_without_a_derivative_is_kept_with_the_reason(tmp_path):
    found = sweep(["jax.numpy.floor"], ledger=tmp_path / "atlas.sqlite", stream=None)
    assert found.entries == ()
    assert "zero" in found.unlisted["jax.numpy.floor"]


@pytest.mark.slow
def test_two_sweeps_that_share_a_ledger_compute_every_cell_once(tmp_path):
    path = tmp_path / "atlas.sqlite"
    with Ledger(path) as ledger, ledger.transaction() as execute:
        execute("CREATE TABLE stored (key TEXT)")
        for event in ("INSERT", "UPDATE"):
            execute(
                f"CREATE TRIGGER {event}_done AFTER {event} ON cells WHEN NEW.state = 'done'"
                " BEGIN INSERT INTO stored VALUES (NEW.key); END"
            )
    command = [sys.executable, "-m", "diffkit", "atlas", *QUICK, "jax.nn.relu", "--jobs", "1"]
    both = [
        subprocess.Popen(
            [*command, "--ledger", str(path), "--json"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    printed = [json.loads(process.communicate(timeout=240)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    with Ledger(path) as ledger:
        stored = [json.loads(key)["name"] for (key,) in ledger.read("SELECT key FROM stored")]
        owners = ledger.read("SELECT DISTINCT owner FROM cells")
    assert sorted(stored) == sorted((*QUICK, "jax.nn.relu"))
    assert len(owners) == 2  # neither has waited for the other
    assert printed[0]["derivatives"] == printed[1]["derivatives"]


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_where_it_was(tmp_path):
    path = tmp_path / "atlas.sqlite"
    command = [sys.executable, "-m", "diffkit", "atlas", "jax.numpy.linalg", "--jobs", "1"]
    process = subprocess.Popen(
        [*command, "--ledger", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists() and len(cells(path)) >= 2 and cells(path, "running"):
            break
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers notice
    process.wait()
    deadline = time.monotonic() + 30
    while _members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _members(process.pid)
    before, (running, *_) = cells(path), cells(path, "running")
    assert len(before) >= 2
    found = sweep([*before, running], ledger=path, stream=None)
    assert {entry.name for entry in found.entries} | set(found.unlisted) == {*before, running}
    after = cells(path)
    assert after.pop(running)  # the claim of the dead was taken over
    assert after == before  # nothing was computed again


def _members(group):
    """Processes of a group that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(status)
    return found


def stub(pipe, seconds, behave):
    """A process of `workers` that misbehaves on request instead of examining."""
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        behave(name)
        pipe.send((name.upper(), "", name == "last"))
        if name == "last":
            os._exit(0)


def misbehave(name):
    if name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hangs":
        time.sleep(60)
    if name == "eats":
        eaten = bytearray(2**29)
        eaten[::4096] = b"x" * (2**29 // 4096)
        time.sleep(60)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_process_that_hangs_or_dies_costs_its_own_row_only(monkeypatch, jobs):
    monkeypatch.setattr(workers, "_serve", partial(stub, behave=misbehave))
    monkeypatch.setattr(workers, "START", 0.0)
    monkeypatch.setattr(workers, "MEMORY", 2**28)
    names = ["a", "dies", "b", "eats", "hangs", "last", "c"]
    coming = workers.outcomes(iter(names), jobs, 1.0, lambda _: 8.0)
    found = {each.name: each for each in coming}
    assert set(found) == set(names)
    assert {name for name, each in found.items() if each.failure} == {"dies", "eats", "hangs"}
    assert "memory" in found["eats"].failure
    assert "signal 9" in found["dies"].failure
    assert "did not return within 8 s" in found["hangs"].failure
    assert found["c"].text == "C"
    assert {name for name, each in found.items() if each.is_lasting} == {"eats", "hangs"}


def test_an_error_outside_every_stage_is_told(monkeypatch):
    """A process asked about a name that does not exist raises before any stage begins."""
    coming = workers.outcomes(iter(["no.such", "jax.numpy.floor"]), 1, 1.0, lambda _: 60.0)
    first, second = coming
    assert first.failure == "KeyError: 'no.such'"
    assert "unlisted" in second.text


def outcomes_of(reasons):
    """`workers.outcomes` without processes: every name fails as told, or is without derivative."""

    def outcomes(waiting, jobs, seconds, limit):
        for name in waiting:
            reason, is_lasting = reasons.get(name, ("", False))
            text = "" if reason else json.dumps({"unlisted": "zero"})
            yield workers.Outcome(name, text, 3.0, reason, is_lasting)

    return outcomes


def test_a_killed_process_is_tried_again_by_the_next_sweep_and_a_hang_is_not(tmp_path, monkeypatch):
    path = tmp_path / "atlas.sqlite"
    reasons = {
        "jax.numpy.abs": ("the process was ended by signal 9", False),
        "jax.numpy.square": ("did not return within 8 s", True),
    }
    monkeypatch.setattr(survey, "outcomes", outcomes_of(reasons))
    first = sweep(QUICK, ledger=path, stream=None)
    assert {e.name: e.unfinished for e in first.entries} == {
        name: (reason,) for name, (reason, _) in reasons.items()
    }
    assert first.seconds == 6.0  # of the entries shown
    assert set(cells(path)) == {"jax.numpy.square", "jax.numpy.negative"}
    assert set(cells(path, "failed")) == {"jax.numpy.abs"}
    monkeypatch.setattr(survey, "outcomes", outcomes_of({}))
    second = sweep(QUICK, ledger=path, stream=None)
    assert [entry.name for entry in second.entries] == ["jax.numpy.square"]
    assert set(second.unlisted) == {"jax.numpy.abs", "jax.numpy.negative"}


def test_an_interrupted_sweep_gives_its_claims_back(tmp_path, monkeypatch):
    def interrupted(waiting, *_):
        yield from outcomes_of({})(iter([next(waiting)]), 1, 1.0, None)
        next(waiting)
        raise KeyboardInterrupt

    path = tmp_path / "atlas.sqlite"
    monkeypatch.setattr(survey, "outcomes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(QUICK, ledger=path, stream=None)
    assert set(cells(path)) == {"jax.numpy.abs"}
    assert not cells(path, "running")
    assert set(cells(path, "pending")) == {"jax.numpy.square"}


def test_a_function_of_more_arguments_has_more_time():
    one, three = (survey._limit(10.0, name) for name in ("jax.numpy.abs", DENSITY))
    assert one < three
    assert one > survey.PATIENCE * 10.0


def test_there_are_no_more_processes_than_memory_holds(monkeypatch):
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(workers.os, "sysconf", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 2**34}.get)
    assert workers.default_jobs() == 2  # 16 GiB for 6 each
    monkeypatch.setattr(workers, "MEMORY", 2**40)
    assert workers.default_jobs() == 1


def test_a_failure_is_an_entry_that_says_so():
    outcome = workers.Outcome("jax.numpy.abs", "", 8.1, "did not return within 8 s")
    (entry,) = json.loads(survey._failure(outcome))["entries"]
    assert entry["seconds"] == 8.1
    assert entry["unfinished"] == ["did not return within 8 s"]

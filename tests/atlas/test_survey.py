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

QUICK = ("jax.numpy.abs", "jax.numpy.square", "jax.numpy.negative")


def cells(path):
    """Name -> when its cell was stored."""
    with Ledger(path) as ledger:
        rows = ledger.read("SELECT key, updated FROM cells WHERE state = 'done'")
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
        if path.exists() and len(cells(path)) >= 2:
            break
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers notice
    process.wait()
    deadline = time.monotonic() + 30
    while _members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _members(process.pid)
    before = cells(path)
    assert len(before) >= 2
    found = sweep(list(before), ledger=path, stream=None)
    assert {entry.name for entry in found.entries} | set(found.unlisted) == set(before)
    assert cells(path) == before  # nothing was computed again


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
        pipe.send((name.upper(), name == "last"))
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


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_process_that_hangs_or_dies_costs_its_own_row_only(monkeypatch, jobs):
    monkeypatch.setattr(workers, "_serve", partial(stub, behave=misbehave))
    monkeypatch.setattr(workers, "START", 0.0)
    monkeypatch.setattr(workers, "MEMORY", 2**28)
    names = ["a", "dies", "b", "eats", "hangs", "last", "c"]
    found = {each.name: each for each in workers.outcomes(iter(names), jobs, 1.0, 8.0)}
    assert set(found) == set(names)
    assert {name for name, each in found.items() if each.failure} == {"dies", "eats", "hangs"}
    assert "memory" in found["eats"].failure
    assert "signal 9" in found["dies"].failure
    assert "did not return within 8 s" in found["hangs"].failure
    assert found["c"].text == "C"


def test_a_failure_is_an_entry_that_says_so():
    data = json.loads(survey._failure("jax.numpy.abs", "did not return within 8 s"))
    (entry,) = data["entries"]
    assert entry["unfinished"] == ["did not return within 8 s"]

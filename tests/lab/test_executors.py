import importlib.util
import os
import sys

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.executors import Processes, WorkerDied, executor


def reverse(job: str) -> str:
    return job[::-1]


def flags(job: str) -> str:
    return f"{os.getpid()} {os.environ['XLA_FLAGS']}"


def die(job: str) -> str:
    if job == "deadly":
        os._exit(3)
    return job


def test_each_job_has_its_answer():
    jobs = ["ab", "cd", "ef"]
    expected = {"ab": "ba", "cd": "dc", "ef": "fe"}
    for each in (executor("serial"), executor("processes", 2)):
        assert dict(each.map_unordered(reverse, jobs)) == expected
    assert list(Processes(2).map_unordered(reverse, [])) == []


def test_a_worker_is_another_process_that_runs_xla_without_its_deadlock(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    ((_, answer),) = Processes(1).map_unordered(flags, ["job"])
    number, _, set_there = answer.partition(" ")
    assert int(number) != os.getpid()
    assert "concurrency_optimized_scheduler=false" in set_there


def test_a_job_that_ends_every_worker_is_named_and_the_others_are_done():
    done = []
    with pytest.raises(WorkerDied, match="job deadly died on it"):
        done.extend(job for job, _ in Processes(1).map_unordered(die, ["a", "deadly", "b"]))
    answers = Processes(1).map_unordered(die, ["a", "deadly"])
    assert next(answers) == ("a", "a")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("threads",), "no executor 'threads'; there are serial, processes, dask"),
        (("processes", 0), "0 workers"),
        (("serial", 2), "serial has one"),
        (("processes", None, "tcp://a:1"), "--scheduler is for"),
        (("dask", 2, "tcp://a:1"), "a running cluster has its own"),
    ],
)
def test_an_executor_that_cannot_be_is_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        executor(*asked)


def test_without_dask_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r'pip install "diffkit\[cluster\]"'):
        next(executor("dask", 1).map_unordered(reverse, ["a"]))


@pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason='Dask is not installed; pip install "diffkit[cluster]"',
)
def test_an_address_without_a_scheduler_is_named():
    import dask
    import distributed  # noqa: F401 (its settings must be there before they are changed)

    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        answers = executor("dask", scheduler="tcp://127.0.0.1:9").map_unordered(reverse, ["a"])
        with pytest.raises(
            UsageError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"
        ):
            next(answers)
    with pytest.raises(UsageError, match="no Dask scheduler answers at 'nonsense://x'"):
        next(executor("dask", scheduler="nonsense://x").map_unordered(reverse, ["a"]))

"""Who does the jobs: this process, several processes of this machine, or a Dask cluster.

A job is text and so is its answer; the task is a function of a module, which a worker finds by its
name.  A worker that dies costs nothing but the time: its job is given out again, and what it had
put into the run ledger is still there.
"""

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any, Protocol

from diffkit.core.errors import DiffkitError, UsageError
from diffkit.core.scheduler import guard_scheduler
from diffkit.lab.orphans import end_with_parent

#: A function of a module: text of a job -> text of its answer.
Task = Callable[[str], str]
#: Workers that may die on one job before it is given up.
PATIENCE = 3
NAMES = ("serial", "processes", "dask")


class WorkerDied(DiffkitError):
    """Every worker that was given a job died on it; the message says which job."""


class Executor(Protocol):
    """Anything that does jobs."""

    def map_unordered(self, task: Task, jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each job with its answer, as they come.

        Raises:
            WorkerDied: a job ended every worker it was given to.
        """
        ...


def executor(name: str, workers: int | None = None, scheduler: str = "") -> Executor:
    """The executor of that name.

    Args:
        name: "serial", "processes" or "dask".
        workers: Processes, >= 1; one for each core if None.
        scheduler: Address of a running Dask scheduler; "" starts one on this machine.

    Raises:
        UsageError: no such executor, no worker, or a scheduler for one that has none.
    """
    if name not in NAMES:
        raise UsageError(f"no executor {name!r}; there are {', '.join(NAMES)}")
    if scheduler and name != "dask":
        raise UsageError(f"--scheduler is for --executor dask, not for {name}")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers do nothing; give 1 or more")
    if workers is not None and (scheduler or name == "serial"):
        owner = "a running cluster has its own" if scheduler else "serial has one"
        raise UsageError(f"{owner} workers; leave --workers out")
    count = workers or os.cpu_count() or 1
    return {
        "serial": Serial(),
        "processes": Processes(count),
        "dask": Dask(count, scheduler),
    }[name]


@dataclass(frozen=True)
class Serial:
    """One job after the other in this process."""

    def map_unordered(self, task: Task, jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each job with its answer, in order."""
        for job in jobs:
            yield job, task(job)


@dataclass
class _Worker:
    """A process and the job it is at work on."""

    process: Any
    pipe: Any
    job: str = ""


@dataclass(frozen=True)
class Processes:
    """A pool of processes on this machine.

    They are spawned, never forked: a forked process inherits the threads of XLA without their
    locks.  Each holds one job, so that the death of one touches no other's work.

    Args:
        workers: How many, >= 1.
    """

    workers: int

    def map_unordered(self, task: Task, jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each job with its answer, as they come."""
        waiting, deaths = deque(jobs), Counter[str]()
        workers: list[_Worker] = []
        try:
            while waiting and len(workers) < self.workers:
                workers.append(_give(_start(task), waiting.popleft()))
            while workers:
                ready = connection.wait([worker.pipe for worker in workers])
                for worker in [each for each in workers if each.pipe in ready]:
                    workers.remove(worker)
                    job, answer = worker.job, _answer(worker)
                    if answer is None:
                        _count(deaths, job)
                        waiting.appendleft(job)
                        worker = _start(task)
                    if waiting:
                        workers.append(_give(worker, waiting.popleft()))
                    else:
                        _end(worker)
                    if answer is not None:
                        yield job, answer
        finally:
            for worker in workers:
                _end(worker)


@dataclass(frozen=True)
class Dask:
    """The workers of a Dask cluster: one of this machine, or a running one.

    Args:
        workers: Processes of a cluster of this machine, >= 1.
        scheduler: Address of a running scheduler, such as "tcp://10.0.0.1:8786", else "".
    """

    workers: int
    scheduler: str = ""

    def map_unordered(self, task: Task, jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each job with its answer, as they come.

        Raises:
            UsageError: Dask is not installed, or no scheduler answers at the address.
        """
        distributed = _import_distributed()
        with self._cluster(distributed) as address, self._client(distributed, address) as client:
            # not pure: a job writes to the ledger, so that an equal one is not the same one
            jobs_of = {client.submit(task, job, pure=False): job for job in jobs}
            for future in distributed.as_completed(jobs_of):
                try:
                    yield jobs_of[future], future.result()
                except distributed.KilledWorker as error:
                    raise _given_up(jobs_of[future]) from error

    def _cluster(self, distributed: Any) -> Any:
        if self.scheduler:
            return nullcontext(self.scheduler)
        return distributed.LocalCluster(
            n_workers=self.workers, threads_per_worker=1, dashboard_address=None
        )

    def _client(self, distributed: Any, address: Any) -> Any:
        try:
            return distributed.Client(address)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {self.scheduler!r} ({error}); start one with "
                "`dask scheduler`, or leave --scheduler out for a cluster of this machine"
            ) from error


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            'the executor dask needs Dask; install it with pip install "diffkit[cluster]"'
        ) from error
    return distributed


def _start(task: Task) -> _Worker:
    context = get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, task), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, mine)


def _give(worker: _Worker, job: str) -> _Worker:
    """Hand a job to a process."""
    worker.job = job
    with suppress(OSError):  # it has just died: the next look says so
        worker.pipe.send(job)
    return worker


def _answer(worker: _Worker) -> str | None:
    """What a process has to say; None if it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        _end(worker)
        return None


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join(5.0)


def _count(deaths: Counter[str], job: str) -> None:
    deaths[job] += 1
    if deaths[job] == PATIENCE:
        raise _given_up(job)


def _given_up(job: str) -> WorkerDied:
    return WorkerDied(
        f"every worker that was given the job {job} died on it; look for a crash or a lack of "
        "memory: try --executor serial, or fewer --workers"
    )


def _serve(pipe: Any, task: Task) -> None:
    """The process: do what comes through the pipe until it is closed."""
    guard_scheduler()
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it, after an interrupt too
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):  # the parent is gone, or has no more jobs
            return
        answer = task(job)
        with suppress(OSError):
            pipe.send(answer)

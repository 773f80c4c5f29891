"""Processes that examine functions one by one, each replaced when it hangs or dies.

A function that never returns, or ends its process, costs its own row and no other.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from diffkit.lab.orphans import end_with_parent

#: Seconds a new process may need to import JAX before its first answer is due.
START = 120.0
_POLL = 0.5
#: Bytes a process may hold: with two of them a machine of 16 GiB goes on working.
MEMORY = 6 * 2**30
#: Bytes after which an idle process is replaced: JAX keeps every program it has compiled.
RECYCLED = 3 * 2**29


@dataclass(frozen=True)
class Outcome:
    """What came of one function.

    Args:
        name: The function.
        text: What `work` returned; "" when the process hung or died.
        seconds: Wall time.
        failure: Why there is no text, or "".
        is_lasting: Whether the failure is a property of the function, the same in a later sweep.
    """

    name: str
    text: str
    seconds: float
    failure: str = ""
    is_lasting: bool = False


@dataclass
class _Worker:
    """One process, what it is at work on and since when; a last answer ends it."""

    process: Any
    pipe: Any
    name: str = ""
    since: float = field(default_factory=time.monotonic)
    is_new: bool = True
    is_last: bool = False


def default_jobs() -> int:
    """One process for every core that there is memory for, 1 at least."""
    cores = os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return cores
    return max(1, min(cores, memory // MEMORY))


def outcomes(
    waiting: Iterator[str], jobs: int, seconds: float, limit: Callable[[str], float]
) -> Generator[Outcome]:
    """Examine every function, yield each outcome as it comes.

    Args:
        waiting: Public names; the next one is drawn when a process is idle.
        jobs: Processes, >= 1.
        seconds: Limit of one derivative, told to the process.
        limit: Name -> wall time after which the process at work on it is killed.
    """
    workers: list[_Worker] = []
    try:
        for name in islice(waiting, jobs):
            workers.append(_start(seconds))
            _give(workers[-1], name)
        while workers:
            for worker in list(workers):
                outcome = _outcome(worker, limit(worker.name))
                if outcome is None:
                    continue
                yield outcome
                name = next(waiting, None)
                is_over = outcome.failure or worker.is_last or name is None
                if is_over:
                    _end(worker)
                    workers.remove(worker)
                if name is not None:
                    if is_over:
                        workers.append(worker := _start(seconds))
                    _give(worker, name)
            connection.wait([worker.pipe for worker in workers], timeout=_POLL)
    finally:
        for worker in workers:
            _end(worker)


def _start(seconds: float) -> _Worker:
    # spawn: a forked process would inherit the threads of XLA without their locks
    context = get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, seconds), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, mine)


def _give(worker: _Worker, name: str) -> None:
    """Hand a function to a process."""
    worker.name, worker.since = name, time.monotonic()
    with suppress(OSError):  # it has just died: the next look says so
        worker.pipe.send(name)


def _outcome(worker: _Worker, limit: float) -> Outcome | None:
    """What a process has to say; None while it is at work."""
    took = time.monotonic() - worker.since
    try:
        if worker.pipe.poll():
            text, failure, worker.is_last = worker.pipe.recv()
            worker.is_new = False
            return Outcome(worker.name, text, took, failure)
    except (EOFError, OSError):
        worker.process.join(5.0)
        return Outcome(worker.name, "", took, _death(worker.process.exitcode))
    if _memory(worker.process.pid) > MEMORY:
        reason = f"took more than {MEMORY / 2**30:.0f} GiB of memory"
        return Outcome(worker.name, "", took, reason, is_lasting=True)
    if took > limit + (START if worker.is_new else 0.0):
        reason = f"did not return within {limit:.0f} s"
        return Outcome(worker.name, "", took, reason, is_lasting=True)
    return None


def _memory(pid: int) -> int:
    """Resident bytes of a process; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the process was ended by signal {-code}"
    return f"the process ended with status {code}"


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join(5.0)


def _serve(pipe: Any, seconds: float) -> None:
    """The process: examine what comes through the pipe until it is closed."""
    from diffkit.core.scheduler import guard_scheduler

    guard_scheduler()
    end_with_parent()
    from diffkit.atlas.attempt import DEFECTS, OVERDUE
    from diffkit.atlas.survey import look_up
    from diffkit.core.errors import DiffkitError

    while True:
        try:
            name = pipe.recv()
        except (EOFError, OSError):  # the parent is gone
            return
        before = threading.active_count()
        text, failure = "", ""
        try:
            text = look_up(name, seconds)
        except (DiffkitError, *DEFECTS) as error:  # it is told, and costs this row only
            failure = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:240]}"
        # a call that never returns still runs in a thread, an interrupted trace may leave JAX in
        # between, and compiled programs are never given back: a new process takes over
        is_last = (
            bool(failure)
            or threading.active_count() > before
            or OVERDUE in text
            or _memory(os.getpid()) > RECYCLED
        )
        with suppress(OSError):  # the parent is gone: nothing comes through the pipe any more
            pipe.send((text, failure, is_last))
        if is_last:
            os._exit(0)  # the thread does not end when it is asked to

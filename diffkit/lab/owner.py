"""Who holds a claim on a cell, and whether that process still lives.

A process is named by its machine, its number and its start time, since numbers are used again.
"""

import hashlib
import os
import platform
import re
import time
from functools import cache
from pathlib import Path

_OWNER = re.compile(r"([^:]+):([1-9][0-9]{0,9}):([0-9]+)")
LEASE = 3600.0  # seconds after which a claim of another machine counts as abandoned


def this_process() -> str:
    """Return a name no other process has: machine (hashed), process number, its start."""
    return _named(os.getpid())  # a forked process has another number, hence no shared cache entry


@cache
def _named(pid: int) -> str:
    return f"{this_machine()}:{pid}:{_started(pid)}"


def is_alive(owner: str, updated: float) -> bool:
    """Return whether the process that made a claim may still be working on it.

    Args:
        owner: What `this_process` returned there.
        updated: Time of the claim, seconds since the epoch; decides for another machine.
    """
    found = _OWNER.fullmatch(owner) if isinstance(owner, str) else None
    if found is None or not isinstance(updated, int | float):
        return False  # no process of diffkit: the claim is taken over
    machine, pid, started = found.groups()
    if machine != this_machine():
        return time.time() - updated < LEASE
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    # The number may belong to a younger process by the time anybody looks.
    return _started(int(pid)) == started


@cache
def this_machine() -> str:
    """A name no other machine has, which does not tell its own."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot, "0" where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "0"
    # The second field is the program's name in parentheses and may hold spaces.
    state, *fields = text.rpartition(")")[2].split()
    return "0" if state == "Z" else fields[18]

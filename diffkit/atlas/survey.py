"""The sweep: every derivative of the public functions, resumable, in parallel processes.

Each function is a cell of a run ledger, stored as soon as it is done; a killed sweep goes on where
it was, and two sweeps may share a ledger.  A run is addressed by the code of diffkit, the versions
of the libraries it examines and the device they run on, so an answer of other code is never taken
over.  A function whose process was killed from outside is left to the next sweep; one that takes
too long or too much memory is not, since that is its own doing.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np

from diffkit.atlas.entry import Entry, from_data, to_data
from diffkit.atlas.workers import Outcome, outcomes
from diffkit.core.errors import UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.lab.ledger import Arrays, Ledger, Run
from diffkit.lab.progress import Progress
from diffkit.lab.provenance import code_version, cpu_model

NAME = "atlas"
LEDGER = "runs/atlas.sqlite"
#: Libraries whose version the answers depend on.
LIBRARIES = ("jax", "jaxlib", "optax", "numpy", "scipy", "sympy", "python-flint", "mpmath")
#: A process is killed after the limit of one derivative times the arguments and this many more.
PATIENCE = 4.0
POLL = 1.0


@dataclass(frozen=True)
class Atlas:
    """All derivatives examined.

    Args:
        entries: One per function and argument, in the order of the names.
        unlisted: Public name -> why it has no derivative to examine.
        versions: Library -> version.
        cpu: Name of the processor.
        seconds: Work on the entries, of all processes together.
    """

    entries: tuple[Entry, ...]
    unlisted: Mapping[str, str]
    versions: Mapping[str, str]
    cpu: str
    seconds: float

    @property
    def defects(self) -> tuple[Entry, ...]:
        """The entries with a suspected defect of the library."""
        return tuple(entry for entry in self.entries if entry.defects)


def sweep(
    wanted: Iterable[str] = (),
    *,
    jobs: int = 1,
    seconds: float = 60.0,
    ledger: str | Path = LEDGER,
    stream: TextIO | None = None,
) -> Atlas:
    """Examine every derivative of some modules or functions.

    Args:
        wanted: Modules, packages above them, or single functions; none means all.
        jobs: Processes, >= 1.
        seconds: Limit of one derivative.
        ledger: The run ledger.
        stream: Where progress goes, sys.stderr for a command; None for silence.

    Raises:
        UsageError: a name is neither a listed module nor a public function of one.
    """
    names = chosen(tuple(wanted))
    versions = {name: metadata.version(name) for name in LIBRARIES}
    config = {
        "versions": versions,
        "seconds": seconds,
        "python": list(sys.version_info[:2]),
        "backend": jax.default_backend(),
    }
    progress = Progress(NAME, stream)
    progress.expect(len(names))
    with Ledger(ledger) as opened:
        # what this module reaches holds the processes and the examination as well
        run = opened.open_run(NAME, config, code_version("diffkit.atlas.survey"))
        found: dict[str, str] = {}
        held: set[str] = set()
        try:
            while len(found) < len(names):
                before = len(found)
                waiting = _claimed(run, names, found, held, progress)
                with closing(outcomes(waiting, jobs, seconds, partial(_limit, seconds))) as coming:
                    for outcome in coming:
                        found[outcome.name] = _kept(run, outcome)
                        held.discard(outcome.name)
                        progress.step()
                if before == len(found) < len(names):
                    time.sleep(POLL)  # another process is at work on what is left
        finally:
            for name in held:
                run.release({"name": name})
        return _atlas(names, found, versions)


def _limit(seconds: float, name: str) -> float:
    """Wall time after which the process of a function is killed, by how many derivatives it has."""
    from diffkit.atlas.public_functions import recipes

    arguments = max((len(each.letters) for each in recipes(name, _names()[name])), default=1)
    return seconds * (PATIENCE + arguments)


def _kept(run: Run, outcome: Outcome) -> str:
    """Store an outcome, or give its cell back where a later sweep may have another one."""
    key = {"name": outcome.name}
    text = outcome.text or _failure(outcome)
    if outcome.failure and not outcome.is_lasting:
        run.release(key, message=outcome.failure)
    else:
        stored = np.frombuffer(text.encode(), np.uint8)
        run.put(key, {"json": stored}, seconds=outcome.seconds)
    return text


def _claimed(
    run: Run, names: Sequence[str], found: dict[str, str], held: set[str], progress: Progress
) -> Iterator[str]:
    """Take what is neither stored nor at work elsewhere, and note it as held.

    What is stored goes into `found`.
    """
    for name in names:
        if name in found:
            continue
        arrays = run.get({"name": name})
        if arrays is not None:
            if "json" not in arrays:
                raise UsageError(f"the ledger holds nothing about {name}; begin a new one")
            found[name] = _text(arrays)
            progress.step(was_stored=True)
        elif run.claim({"name": name}):
            held.add(name)
            yield name


def _text(arrays: Arrays) -> str:
    return arrays["json"].tobytes().decode()


def _failure(outcome: Outcome) -> str:
    from diffkit.atlas.public_functions import module_of

    entry = Entry(
        outcome.name,
        "?",
        module_of(outcome.name),
        unfinished=(outcome.failure,),
        seconds=round(outcome.seconds, 2),
    )
    return json.dumps({"entries": [to_data(entry)]})


def look_up(name: str, seconds: float) -> str:
    """Everything about one public name as JSON: its entries, or why it has none."""
    from diffkit.atlas.examine import all_of
    from diffkit.atlas.public_functions import find

    found = find(name, _names()[name])
    if isinstance(found, str):
        return json.dumps({"unlisted": found})
    entries = all_of(found, seconds=seconds)
    return json.dumps({"entries": [to_data(entry) for entry in entries]})


def chosen(wanted: tuple[str, ...]) -> list[str]:
    """The public names of modules, packages or functions; all without any.

    Raises:
        UsageError: a name is none of these; says which there are.
    """
    from diffkit.atlas.public_functions import MODULES, canonical, module_of

    found: dict[str, None] = {}
    for each in map(canonical, wanted or MODULES):
        mine = [name for name in _names() if name == each or _is_in(module_of(name), each)]
        if not mine:
            hint = did_you_mean(each, [*MODULES, *_names()])
            raise UsageError(
                f"{each} is neither a module nor a public function of the atlas; {hint}the modules "
                f"are {', '.join(MODULES)}"
            )
        found.update(dict.fromkeys(mine))
    return list(found)


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@cache
def _names() -> Mapping[str, Callable[..., Any]]:
    from diffkit.atlas.public_functions import public_names

    return public_names()


def _atlas(names: Sequence[str], found: Mapping[str, str], versions: Mapping[str, str]) -> Atlas:
    entries: list[Entry] = []
    unlisted: dict[str, str] = {}
    for name in names:
        data = json.loads(found[name])
        if "unlisted" in data:
            unlisted[name] = data["unlisted"]
        else:
            entries += map(from_data, data["entries"])
    spent = sum(entry.seconds for entry in entries)
    return Atlas(tuple(entries), unlisted, versions, cpu_model(), spent)

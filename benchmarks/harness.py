"""What every benchmark shares: interleaved timing, cold timing, the machine, a file of results.

The law of the file: two contenders are compared only within one process and in one sequence of
rounds, so that a busy machine slows both, and the number reported is a ratio.  Importing this
module sets `XLA_FLAGS` and float64 for JAX, which reads them when its backend starts: import it
before anything is computed.
"""

import json
import math
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from diffkit.typeset.tables import aligned

#: JAX 0.10 on two cores hangs in some jitted, vmapped programs with this scheduler on.
XLA_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
RESULTS = Path(__file__).parent / "results"
#: One sample lasts at least this long; a faster contender is called several times in a row.
SAMPLE_SECONDS = 2e-3
PACKAGES = ("jax", "jaxlib", "sympy", "numpy", "mpmath", "python-flint", "diffkit")

#: Takes no argument and returns when its work is done (`jax.block_until_ready` inside).
Contender = Callable[[], Any]

if XLA_FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAG}".strip()
os.environ.setdefault("JAX_ENABLE_X64", "1")


@dataclass(frozen=True)
class Times:
    """Times of several contenders, taken in turn.

    Args:
        rounds: Contender -> seconds per call, one entry per round.
    """

    rounds: Mapping[str, tuple[float, ...]]

    def __getitem__(self, name: str) -> float:
        """Median seconds per call."""
        return median(self.rounds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Median over rounds of slow / fast: how many times faster `fast` is."""
        pairs = zip(self.rounds[slow], self.rounds[fast], strict=True)
        return median(a / b for a, b in pairs)

    def seconds(self) -> dict[str, float]:
        """Contender -> median seconds per call."""
        return {name: self[name] for name in self.rounds}


def interleaved(contenders: Mapping[str, Contender], rounds: int = 21) -> Times:
    """Time warm contenders in turn: every round runs each of them once, the order alternates.

    Args:
        contenders: Name -> zero-argument callable that blocks until its result is ready; it is
            called at least once before the clock starts.
        rounds: Number of rounds, >= 1; the median of an odd number is a measured value.
    """
    repeats = {name: _repeats(run) for name, run in contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for _ in range(rounds):
        for name in order:
            samples[name].append(_sample(contenders[name], repeats[name]))
        order.reverse()
    return Times({name: tuple(values) for name, values in samples.items()})


def cold(contenders: Mapping[str, Contender], rounds: int = 3) -> Times:
    """Time contenders that derive, trace and compile from scratch, in turn.

    SymPy's and JAX's caches are emptied before each call; imports and the start of the backend
    are not part of the time, so call each contender once on another input before.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            forget()
            samples[name].append(_sample(run, 1))
    return Times({name: tuple(values) for name, values in samples.items()})


def forget() -> None:
    """Empty the caches of SymPy, of JAX and of diffkit."""
    import jax
    from sympy.core.cache import clear_cache

    clear_cache()
    jax.clear_caches()
    modules = [module for name, module in sys.modules.items() if name.startswith("diffkit.")]
    for held in {id(each): each for module in modules for each in vars(module).values()}.values():
        if hasattr(held, "cache_clear"):
            held.cache_clear()


def machine() -> dict[str, Any]:
    """The processor, its cores, the load, and the versions of what was measured."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def write_results(
    name: str, rows: Sequence[Mapping[str, Any]], *, folder: Path = RESULTS, **notes: Any
) -> Path:
    """Write rows, notes and the machine to `folder/name.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": name, **notes, "machine": machine(), "rows": list(map(_rounded, rows))}
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as file:
        json.dump(content, file, indent=1, allow_nan=False)
        file.write("\n")
    path = folder / f"{name}.json"
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
    return path


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as a text table: names to the left, numbers in three digits to the right."""
    columns = list(columns or dict.fromkeys(key for row in rows for key in row))
    return aligned([columns, *([_cell(row.get(column)) for column in columns] for row in rows)])


def _repeats(run: Contender) -> int:
    """Calls that fill one sample; the first call compiles and is not counted."""
    run()
    once = _sample(run, 1)
    return max(1, math.ceil(SAMPLE_SECONDS / max(once, 1e-9)))


def _sample(run: Contender, repeats: int) -> float:
    start = perf_counter()
    for _ in range(repeats):
        run()
    return (perf_counter() - start) / repeats


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Four significant digits; what is not finite becomes null, for JSON has no NaN."""
    return {key: _four_digits(value) for key, value in row.items()}


def _four_digits(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""The run ledger: what one run costs when there are ten thousand, and two processes at once.

Question: what does a run cost that is opened, its cell claimed, stored and read again?  Well
under a millisecond, the ten thousandth like the first.

Correctness comes first: every array is read again and compared, every run of both processes is in
the file.  The file lies on the disk of the folder for temporary files, as a user's would.

Run `python benchmarks/ledger.py` (about ten seconds) or `--quick`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import harness
import numpy as np

from diffkit.lab.ledger import Ledger

RUNS = 10_000
VALUES = np.linspace(0.0, 1.0, 100)


def main() -> None:
    """Check, time, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--writer", nargs=3, help=argparse.SUPPRESS)  # file, first run, last run
    options = parser.parse_args()
    if options.writer:
        fill(Path(options.writer[0]), *map(int, options.writer[1:]))
        return
    runs = RUNS // 10 if options.quick else RUNS
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *alone(Path(folder) / "alone.sqlite", runs),
            together(Path(folder) / "together.sqlite", runs),
        ]
    print(harness.table(rows))
    if not options.no_write:
        harness.write_results("ledger", rows, runs=runs, values=VALUES.size)


def alone(path: Path, runs: int) -> list[dict[str, Any]]:
    """Milliseconds of each call by one process: medians of all runs and of the last tenth."""
    calls = ("open_run", "claim", "put", "get")
    times = np.zeros((runs, len(calls)))
    with Ledger(path) as ledger:
        for i in range(runs):
            moments = [perf_counter()]
            run = ledger.open_run("benchmark", {"i": i, "rate": 0.1}, "code")
            moments.append(perf_counter())
            assert run.claim({"part": "a"})
            moments.append(perf_counter())
            run.put({"part": "a"}, {"x": VALUES + i}, seconds=0.1)
            moments.append(perf_counter())
            arrays = run.get({"part": "a"})
            moments.append(perf_counter())
            assert arrays is not None
            assert np.array_equal(arrays["x"], VALUES + i)
            times[i] = np.diff(moments)
        assert len(ledger.runs("benchmark")) == runs
    last = times[-runs // 10 :]
    rows = [
        {
            "call": name,
            "ms": float(1e3 * times[:, k].mean()),
            "last": float(1e3 * last[:, k].mean()),
        }
        for k, name in enumerate(calls)
    ]
    total = {"ms": middle(times.sum(1)), "last": middle(last.sum(1))}
    return [*rows, {"call": "a run", **total}]


def middle(seconds: np.ndarray) -> float:
    """Median in milliseconds."""
    return float(1e3 * np.median(seconds))


def together(path: Path, runs: int) -> dict[str, Any]:
    """Milliseconds of a run when two processes write at once, each its half."""
    half, start = runs // 2, perf_counter()
    command = [sys.executable, __file__, "--writer", str(path)]
    writers = [subprocess.Popen([*command, str(first), str(first + half)]) for first in (0, half)]
    assert [writer.wait() for writer in writers] == [0, 0]
    took = perf_counter() - start
    with Ledger(path) as ledger:
        found = {info.config["i"]: info.id for info in ledger.runs()}
        assert sorted(found) == list(range(2 * half))
        for i, address in found.items():
            arrays = ledger.run(address).get({"part": "a"})
            assert arrays is not None
            assert np.array_equal(arrays["x"], VALUES + i)
    return {"call": "a run, two processes (start-up included)", "ms": 1e3 * took / (2 * half)}


def fill(path: Path, first: int, last: int) -> None:
    """The work of one of two processes."""
    with Ledger(path) as ledger:
        for i in range(first, last):
            run = ledger.open_run("benchmark", {"i": i, "rate": 0.1}, "code")
            run.claim({"part": "a"})
            run.put({"part": "a"}, {"x": VALUES + i}, seconds=0.1)


if __name__ == "__main__":
    main()

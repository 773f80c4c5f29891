import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.ledger import Ledger
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store

KEYS = [{"i": i} for i in range(5)]


def silent() -> Progress:
    return Progress("test", None)


@pytest.fixture
def store(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Store(ledger, ledger.open_run("e", {}, "c").id)


class Square:
    """Counts how often it is called."""

    def __init__(self, fails_at: int = -1):
        self.calls, self.fails_at = 0, fails_at

    def __call__(self, i: int) -> dict[str, np.ndarray]:
        if i == self.fails_at:
            raise ZeroDivisionError("cell 3")
        self.calls += 1
        return {"square": np.array(i**2)}


def test_results_come_in_the_order_of_the_keys(store: Store):
    results = store.map(Square(), KEYS[::-1], silent())
    assert [int(result["square"]) for result in results] == [16, 9, 4, 1, 0]


def test_a_stored_cell_is_not_computed_again(store: Store):
    store.map(Square(), KEYS[:3], silent())
    again = Square()
    store.map(again, KEYS, silent())
    assert again.calls == 2


def test_a_failing_cell_is_recorded_and_tried_again(store: Store):
    with pytest.raises(ZeroDivisionError):
        store.map(Square(fails_at=3), KEYS, silent())
    assert store.cells() == KEYS[:3]
    assert store.cells("failed") == [{"i": 3}]
    mended = Square()
    assert len(store.map(mended, KEYS, silent())) == 5
    assert mended.calls == 2


def test_an_interrupted_cell_is_not_a_failed_one(store: Store):
    def interrupted(i: int) -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.map(interrupted, KEYS, silent())
    assert store.cells("pending") == [{"i": 0}]


def test_a_grid_point_given_twice_is_refused(store: Store):
    with pytest.raises(UsageError, match="twice"):
        store.map(Square(), [{"i": 1}, {"i": 1}], silent())


def test_one_cell_is_computed_once(store: Store):
    calls = []
    for _ in range(2):
        arrays = store.compute({"part": "theory"}, lambda: calls.append(1) or {"x": np.ones(2)})
        np.testing.assert_array_equal(arrays["x"], 1.0)
    assert calls == [1]


def test_two_sweeps_at_once_share_the_cells(tmp_path: Path):
    program = """
import sys, time
from diffkit.lab.ledger import Ledger
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
def cell(i):
    time.sleep(0.01)
    print(i, flush=True)
    return {"x": i}
with Ledger(sys.argv[1]) as ledger:
    store = Store(ledger, ledger.open_run("e", {}, "c").id)
    results = store.map(cell, [{"i": i} for i in range(60)], Progress("p", None))
    assert [int(r["x"]) for r in results] == list(range(60))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "ledger.sqlite")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(int(line) for output in outputs for line in output) == list(range(60))


def test_progress_says_how_far_it_is_and_how_long_it_takes():
    stream = io.StringIO()
    progress = Progress("sweep", stream, interval=0.0)
    progress.expect(3)
    progress.step(was_stored=True)
    progress.step()
    progress.step()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("sweep: 1 of 3")
    assert "left" in lines[1]
    assert lines[2].startswith("sweep: 3 of 3 (1 read from the ledger), 0 s")

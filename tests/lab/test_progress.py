"""The line of a long run: what is done, what of it cost nothing, what is left."""

import io

from diffkit.lab import progress


def lines(clock, monkeypatch, *steps):
    times = iter(clock)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    stream = io.StringIO()
    bar = progress.Progress("sweep", stream, interval=0.0)
    bar.expect(4)
    for was_stored in steps:
        bar.step(was_stored=was_stored)
    return stream.getvalue().splitlines()


def test_cells_of_the_ledger_are_told_and_cost_nothing(monkeypatch):
    # two stored cells at once, then one computed in 10 s: the fourth takes 10 s as well
    said = lines([0.0, 0.0, 0.0, 10.0], monkeypatch, True, True, False)
    assert said == [
        "sweep: 1 of 4 (1 read from the ledger), 0 s",
        "sweep: 2 of 4 (2 read from the ledger), 0 s",
        "sweep: 3 of 4 (2 read from the ledger), about 10 s left",
    ]


def test_a_first_run_says_nothing_of_a_ledger(monkeypatch):
    said = lines([0.0, 1.0, 2.0, 3.0, 4.0], monkeypatch, False, False, False, False)
    assert said[0] == "sweep: 1 of 4, about 3 s left"
    assert said[-1] == "sweep: 4 of 4, 4 s"

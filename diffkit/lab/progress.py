"""Progress of a long run: one line on stderr with the time that is left."""

import sys
import time
from typing import TextIO


class Progress:
    """Counts finished cells and says now and then how far a run is.

    Cells that were already stored do not count for the estimate: they cost nothing.

    Args:
        label: What runs.
        stream: Where the lines go; None for silence.
        interval: Seconds between two lines, >= 0.
    """

    def __init__(self, label: str, stream: TextIO | None = sys.stderr, interval: float = 2.0):
        self.label, self.stream, self.interval = label, stream, interval
        self._start = self._last = time.monotonic()
        self._total = self._done = self._stored = 0

    def expect(self, cells: int) -> None:
        """Announce `cells` further cells."""
        self._total += cells

    def step(self, *, was_stored: bool = False) -> None:
        """Count one finished cell."""
        self._done += 1
        self._stored += was_stored
        now = time.monotonic()
        if now - self._last >= self.interval or self._done == self._total:
            self._last = now
            stored = f" ({self._stored} read from the ledger)" if self._stored else ""
            self.say(f"{self._done} of {self._total}{stored}{self._remaining(now)}")

    def say(self, text: str) -> None:
        """Print one line."""
        if self.stream is not None:
            print(f"{self.label}: {text}", file=self.stream, flush=True)

    def _remaining(self, now: float) -> str:
        computed = self._done - self._stored
        if computed == 0 or self._done >= self._total:
            return f", {now - self._start:.0f} s"
        left = (now - self._start) / computed * (self._total - self._done)
        return f", about {left:.0f} s left"

"""Compute every cell of a grid once, whoever else is at work on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.lab.config import canonical_json
from diffkit.lab.ledger import Arrays, Key, Run
from diffkit.lab.progress import Progress

POLL = 0.05  # seconds between two looks at a cell that another process computes

Cell = Callable[..., Mapping[str, Any]]


class Store(Run):
    """The run an experiment writes to; `map` is all that most experiments need."""

    def map(self, function: Cell, keys: Sequence[Key], progress: Progress) -> list[Arrays]:
        """Return `function(**key)` for each key, in order; each is stored as soon as it is done.

        Cells in the ledger are not computed again.  A cell another process works on is left to
        it and waited for at the end; if that process dies, the cell is taken over.

        Args:
            function: Called with a key's fields; returns name -> array.
            keys: Grid points, JSON data, all different.
            progress: Told of each finished cell.

        Raises:
            UsageError: a grid point occurs twice.
        """
        texts = [canonical_json(key) for key in keys]
        if len(set(texts)) < len(texts):
            raise UsageError("a grid point occurs twice in the sweep; list each one once")
        progress.expect(len(keys))
        results: dict[str, Arrays] = {}
        waiting = dict(zip(texts, keys, strict=True))
        while waiting:
            before = len(waiting)
            for text, key in list(waiting.items()):
                arrays = self._obtain(function, key, progress)
                if arrays is not None:
                    results[text] = arrays
                    del waiting[text]
            if len(waiting) == before:
                time.sleep(POLL)
        return [results[text] for text in texts]

    def compute(self, key: Key, function: Callable[[], Mapping[str, Any]]) -> Arrays:
        """Return the arrays of one cell, from the ledger or by calling `function`."""
        (arrays,) = self.map(lambda **_: function(), [key], Progress("", None))
        return arrays

    def _obtain(self, function: Cell, key: Key, progress: Progress) -> Arrays | None:
        """The arrays of a cell; None while another process computes it."""
        arrays = self.get(key)
        if arrays is None and self.claim(key):
            return self._computed(function, key, progress)
        if arrays is None:
            return None
        progress.step(was_stored=True)
        return arrays

    def _computed(self, function: Cell, key: Key, progress: Progress) -> Arrays | None:
        start = time.perf_counter()
        try:
            self.put(key, function(**key), seconds=time.perf_counter() - start)
        except BaseException as error:
            # An interrupt is not the cell's fault; anything else is recorded and passed on.
            is_fault = isinstance(error, Exception)
            self.release(key, message=f"{type(error).__name__}: {error}" if is_fault else "")
            raise
        progress.step()
        return self.get(key)

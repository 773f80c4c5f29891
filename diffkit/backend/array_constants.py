"""NumPy arrays a function closes over keep one meaning per precision.

JAX remembers, for every NumPy array it met while tracing, the array it was canonicalised to, and
forgets in which precision that was (0.10 to 0.12): a function of module-level arrays traced with
64 bits and then without keeps its float64 and int64 constants, or does not lower at all.  A judge
of several precisions in one process does just that.
"""

import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from jax._src import dtypes, literals

Reference = Callable[[], Any]


@cache
def separate() -> None:
    """Make JAX remember canonicalised NumPy arrays by their precision; once per process."""
    dtypes.register_canonicalize_value_handler(np.ndarray, Canonical())


class Canonical:
    """NumPy array -> the array JAX traces in the precision in force, one object while it lives.

    JAX tells constants apart by identity, so equal answers must be the same object.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, Any], tuple[Reference, Reference]] = {}

    def __call__(self, array: np.ndarray) -> Any:
        """The canonical array of `array`."""
        dtype = dtypes.canonicalize_dtype(array.dtype)
        key = id(array), dtype
        given, kept = self._known.get(key, (_nothing, _nothing))
        found = kept()
        if found is None or given() is not array:  # an id is used again
            found = literals.TypedNdArray(np.asarray(array, dtype))
            self._known[key] = weakref.ref(array), weakref.ref(found, self._forgetting(key))
        return found

    def _forgetting(self, key: tuple[int, Any]) -> Callable[[Reference], None]:
        """What drops an entry when the array it answers with is gone."""

        def forget(gone: Reference) -> None:
            if self._known.get(key, (_nothing, _nothing))[1] is gone:
                del self._known[key]

        return forget


def _nothing() -> None:
    return None

"""One trap: a function and a point where AD needs a word, or where none is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Trap:
    """A function of one array at a point where its derivative is delicate.

    Args:
        name: Unique.
        f: The function.
        point: Where it is asked about: a number, or the entries of a vector.
        derivative: The true derivative to double precision, found by one-sided quotients of 120
            digits; a pair [left, right] where they differ, words ("inf", "undefined") included.
        kinds: Kinds of findings of which one must be reported; () for a function without a trap.
        order: Order of the derivative that is wrong.
        is_control: Whether everything about it is right, second derivatives included.
    """

    name: str
    f: Callable[[Any], Any]
    point: float | tuple[float, ...]
    derivative: Any
    kinds: tuple[str, ...]
    order: int = 1
    is_control: bool = False

    @property
    def argument(self) -> Any:
        """The point as the verbs take it."""
        return self.point if isinstance(self.point, float) else np.asarray(self.point)

    def __str__(self) -> str:
        return self.name

"""What identity testing does not attempt, and why it gives up."""

from dataclasses import dataclass
from math import inf
from time import monotonic

#: Whole exponents beyond this are not tested.
LARGEST_EXPONENT = 10**6


class Inconclusive(Exception):
    """Identity testing cannot be carried out for this formula."""


@dataclass(frozen=True)
class Limit:
    """How long identity testing may take.

    Args:
        seconds: This long.
        deadline: Until this time of the monotonic clock.
    """

    seconds: float = inf
    deadline: float = inf

    def check(self) -> None:
        """Raise where time is up."""
        if monotonic() > self.deadline:
            raise Inconclusive(f"it was not finished within {self.seconds:g} s")


UNLIMITED = Limit()


def moderate(exponent: int) -> int:
    """An exponent that is far below every prime: a power of p - 1 would be 1."""
    if abs(exponent) > LARGEST_EXPONENT:
        raise Inconclusive(f"the exponent {exponent} is too large")
    return exponent

"""The protocol of a witness: one required method, everything else is deduced from it.

A witness answers for itself: it returns an `Estimate` with its own error bound or raises
`UnsupportedPrimitive`, `UnsupportedFunction`, `Undecidable` or `TimeLimitExceeded`.
Oracles never import each other, so that agreement between groups means something.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from diffkit.core.evidence import Estimate, Group

Point = Mapping[str, Any]


class Oracle(Protocol):
    """One independent way to obtain a derivative of a fixed problem."""

    name: str
    group: Group

    def estimate(self, point: Point, order: int = 1) -> Estimate:
        """Return the derivative of order `order` at `point` with an error bound."""
        ...

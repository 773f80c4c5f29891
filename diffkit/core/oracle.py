"""The protocol of a witness: one required method, everything else is deduced from it.

A witness answers for itself: it returns an `Estimate` with its own error bound or raises
`UnsupportedPrimitive`, `UnsupportedFunction`, `Undecidable` or `TimeLimitExceeded`.
Oracles never import each other, so that agreement between groups means something.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from diffkit.core.evidence import Estimate, Group


class Oracle(Protocol):
    """One independent way to obtain derivatives of a function along lines.

    Args:
        name: Name in the evidence table.
        group: What it has in common with other witnesses.
    """

    name: str
    group: Group

    def estimates(
        self, subject: Any, dtype: str, probes: Sequence[Any], order: int
    ) -> Sequence[Estimate]:
        """Return the derivative of order `order` asked for by each probe, with its error bound.

        Args:
            subject: The function and its example arguments (`diffkit.bridge.subject.Subject`).
            dtype: Precision in which the function is run, and to which points are rounded.
            probes: Scalar questions phi(t) = <u, f(x + t v)>, one derivative at t = 0 each.
            order: Order of the derivative, >= 1.
        """
        ...

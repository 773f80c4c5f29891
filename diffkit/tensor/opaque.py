"""What stands behind an `Opaque` node: a program that is run, not read.

The calculus asks three things of it: its values, what it sends back to its operands and what it
makes of their tangents.  The last two are nodes again, so second derivatives need nothing new.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from diffkit.tensor.nodes import Node, Opaque


class Payload(Protocol):
    """A program with several results.

    Its `str` is the same in every process and tells it from other programs: canonical orders
    and digests use it.  Equal payloads over equal operands are one node.
    """

    @property
    def name(self) -> str:
        """How formulas show it: "sort", or "D sort" for its derivative."""
        ...

    def run(self, *operands: Any) -> tuple[Any, ...]:
        """The values of all results, for JAX arrays."""
        ...

    def vjp(self, node: Opaque, cotangent: Node, carried: int) -> list[tuple[Node, Node]]:
        """Operand and its part of the cotangent, the carried axes first.

        Args:
            node: The result that is differentiated.
            cotangent: Its cotangent: the carried axes, then the node's own.
            carried: How many axes are carried.
        """
        ...

    def jvp(self, node: Opaque, tangents: Mapping[Node, Node], carried: tuple[int, ...]) -> Node:
        """The tangent of a node, the carried axes first.

        Args:
            node: The result that is differentiated.
            tangents: Operand -> its tangent, for the operands that have one.
            carried: Lengths of the carried axes.
        """
        ...

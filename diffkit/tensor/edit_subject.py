"""What an edit of a wrong array claim sees, and what it proposes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.nodes import Node, Var, topological


@dataclass(frozen=True)
class Candidate:
    """One edited claim.

    Args:
        edit: The edit in words.
        node: The new claim.
    """

    edit: str
    node: Node


@dataclass(frozen=True)
class Subject:
    """What an edit may look at.

    Args:
        claim: The wrong claim.
        target: What the claim is a derivative of: the formula for a gradient or Jacobian, the
            gradient for a Hessian; None for a claim about a value.
        wrt: The variable, None for a claim about a value.
        lengths: Length -> how reports call it ("n" or the number itself).
    """

    claim: Node
    target: Node | None
    wrt: Var | None
    lengths: Sequence[tuple[int, str]] = ()

    @property
    def inputs(self) -> list[Var]:
        """The inputs of the claim, by name."""
        found = {x.name: x for x in topological(self.claim) if isinstance(x, Var)}
        return [found[name] for name in sorted(found)]


Candidates = Iterator[Candidate]


def combined(parts: Sequence[tuple[sp.Expr, Node]]) -> Node:
    """A linear combination of nodes of one shape."""
    shape = parts[0][1].shape
    return build.add([(c, x, build.all_axes(x)) for c, x in parts], shape)

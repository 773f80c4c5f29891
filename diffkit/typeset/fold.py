"""Emission as a fold: every node is written once from its already written children.

No recursion, so that depth is no limit; a node used twice is written once.  The written
text can still be exponentially longer than the tree, so its size is checked first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.typeset.names import expand
from diffkit.typeset.tree import Level, Name, Node

MAX_NODES = 200_000


@dataclass(frozen=True, slots=True)
class Emitted:
    """A subtree written in one style.

    Args:
        text: The markup.
        level: How strongly it holds together.
        is_tall: Whether brackets around it must grow.
    """

    text: str
    level: Level = Level.ATOM
    is_tall: bool = False


#: A rule gets the node and its emitted children, in the order of `Node.children`.
Rule = Callable[[Any, Any], Emitted]
Rules = Mapping[type[Node], Rule]
Parts = tuple[Node | None, ...]


def children(node: Node) -> Parts:
    """The parts of a node; those of a composite name are what its spelling says."""
    if isinstance(node, Name):
        expanded = expand(node.text)
        return () if expanded is None else (expanded,)
    return node.children


def fold(root: Node, rules: Rules) -> Emitted:
    """Write `root` by `rules`, bottom up.

    Args:
        root: The tree.
        rules: One rule per node class.

    Raises:
        UsageError: written out it would have more than `MAX_NODES` parts.
    """
    order = _bottom_up(root)
    _check_size(order)
    done: dict[int, Emitted] = {}
    for node, parts in order:
        emitted = tuple(None if part is None else done[id(part)] for part in parts)
        done[id(node)] = rules[type(node)](node, emitted)
    return done[id(root)]


def _bottom_up(root: Node) -> list[tuple[Node, Parts]]:
    """Every distinct node once with its parts, which come first.  Holding them keeps ids valid."""
    order: list[tuple[Node, Parts]] = []
    seen: set[int] = set()
    stack: list[tuple[Node, Parts | None]] = [(root, None)]
    while stack:
        node, parts = stack.pop()
        if parts is not None:
            order.append((node, parts))
        elif id(node) not in seen:
            seen.add(id(node))
            parts = children(node)
            stack.append((node, parts))
            stack.extend((part, None) for part in parts if part is not None)
    return order


def _check_size(order: list[tuple[Node, Parts]]) -> None:
    sizes: dict[int, int] = {}
    for node, parts in order:
        sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts if part is not None)
    size = sizes[id(order[-1][0])]
    if size > MAX_NODES:
        raise UsageError(
            f"written out, this formula has {size} parts (limit {MAX_NODES}): it repeats large "
            "subexpressions; print those as definitions of their own (`sympy.cse` finds them)"
        )

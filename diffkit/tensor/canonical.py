"""One order for the operands of a product, and one orientation for a node's axes.

Labels are coloured by where they occur until the colours are stable (Weisfeiler and Leman); ties
are broken by trying each member of the first tied class and keeping the smallest result.  A tie
class that is too large is cut at random order: then equal products may be two nodes, never the
other way round.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import permutations
from typing import Any

from diffkit.tensor.nodes import Add, Affine, Einsum, Labels, LinOp, Map, Node, Var, raw_einsum

Factor = tuple[Node, Labels]

#: How many members of a tied class are tried, and how often.
MOST_TRIED, DEEPEST = 4, 3


def canonical_order(factors: Sequence[Factor], out: Labels) -> tuple[list[Factor], Labels]:
    """Operands in canonical order with labels renumbered by first appearance."""
    _, ordered, renamed = _best(list(factors), out, _start(factors, out), 0)
    return ordered, renamed


def _start(factors: Sequence[Factor], out: Labels) -> dict[int, int]:
    labels = {label for _, ls in factors for label in ls}
    return {label: 0 if label in out else 1 for label in labels}


def _best(
    factors: list[Factor], out: Labels, colours: dict[int, int], depth: int
) -> tuple[tuple, list[Factor], Labels]:
    colours = _refine(factors, colours)
    tied = _tied(colours)
    if not tied or depth >= DEEPEST:
        return _arrange(factors, out, colours)
    best = None
    for label in tied[:MOST_TRIED]:
        chosen = {k: 2 * c + (1 if k != label else 0) for k, c in colours.items()}
        found = _best(factors, out, chosen, depth + 1)
        if best is None or found[0] < best[0]:
            best = found
    assert best is not None
    return best


def _tied(colours: dict[int, int]) -> list[int]:
    classes: dict[int, list[int]] = {}
    for label, colour in colours.items():
        classes.setdefault(colour, []).append(label)
    shared = [members for members in classes.values() if len(members) > 1]
    return sorted(min(shared, key=lambda m: colours[m[0]])) if shared else []


def _refine(factors: list[Factor], colours: dict[int, int]) -> dict[int, int]:
    names = [_name(node) for node, _ in factors]
    places = [_places(node) for node, _ in factors]
    while True:
        seen: dict[int, list] = {label: [] for label in colours}
        for (_, labels), name, place in zip(factors, names, places, strict=True):
            around = tuple(colours[label] for label in labels)
            if len(set(place)) < len(place):
                around = tuple(sorted(around))
            for k, label in enumerate(labels):
                seen[label].append((name, place[k], around))
        signatures = {k: (colours[k], tuple(sorted(v))) for k, v in seen.items()}
        ranks = {s: i for i, s in enumerate(sorted(set(signatures.values())))}
        refined = {label: ranks[signature] for label, signature in signatures.items()}
        if len(set(refined.values())) == len(set(colours.values())):
            return refined
        colours = refined


def _name(node: Node) -> str:
    if isinstance(node, Affine):
        spelt = (node.offset, *sorted(node.coefficients))
        if node.relation == "=":  # an equation and its negative are one
            spelt = min(spelt, (-node.offset, *sorted(-c for c in node.coefficients)))
        return f"~{node.relation}{spelt}"
    return node.digest


def _places(node: Node) -> tuple[int, ...]:
    """Positions of the axes; axes that may be exchanged share one."""
    if isinstance(node, Affine):
        if node.relation == "=" and not node.offset:
            return tuple(map(abs, node.coefficients))
        return node.coefficients
    from diffkit.tensor.sums import is_symmetric

    return (0, 0) if is_symmetric(node) else tuple(range(len(node.shape)))


def _arrange(
    factors: list[Factor], out: Labels, colours: dict[int, int]
) -> tuple[tuple, list[Factor], Labels]:
    keyed = sorted(
        factors,
        key=lambda f: (isinstance(f[0], Affine), _name(f[0]), tuple(colours[l] for l in f[1])),
    )
    numbers: dict[int, int] = {}
    ordered: list[Factor] = []
    for node, labels in keyed:
        if isinstance(node, Affine):
            node, labels = _oriented(node, labels, lambda l: (numbers.get(l, 1 << 30), colours[l]))
        elif len(set(_places(node))) < len(labels):
            labels = tuple(sorted(labels, key=lambda l: (numbers.get(l, 1 << 30), colours[l])))
        for label in labels:
            numbers.setdefault(label, len(numbers))
        ordered.append((node, tuple(numbers[label] for label in labels)))
    renamed = tuple(numbers[label] for label in out)
    key = (tuple((_name(node), labels) for node, labels in ordered), renamed)
    return key, ordered, renamed


def _oriented(node: Node, labels: Labels, key: Callable[[int], Any]) -> Factor:
    """An index equation with its labels in order."""
    from diffkit.tensor.sums import permute

    order = tuple(sorted(range(len(labels)), key=lambda k: key(labels[k])))
    return permute(node, order), tuple(labels[k] for k in order)


def standard_axes(node: Node, labels: Labels) -> Factor:
    """The node with its axes in a standard order, and the labels in that order.

    A product, a sum or a kernel and its transpose become one operand this way.
    """
    order = _standard_order(node)
    if order == tuple(range(len(order))):
        return node, labels
    from diffkit.tensor.sums import permute

    return permute(node, order), tuple(labels[k] for k in order)


@lru_cache(maxsize=16384)
def _standard_order(node: Node) -> tuple[int, ...]:
    rank = len(node.shape)
    if rank < 2 or isinstance(node, Var | LinOp | Affine):
        return tuple(range(rank))
    if isinstance(node, Einsum):
        return tuple(sorted(range(rank), key=node.out.__getitem__))
    if isinstance(node, Map):
        first = [a for axes in node.axes for a in axes]
        return tuple(dict.fromkeys(first))
    if isinstance(node, Add) and rank <= 3:
        from diffkit.tensor.sums import permute

        return min(permutations(range(rank)), key=lambda p: permute(node, p).digest)
    return tuple(range(rank))


__all__ = ["canonical_order", "raw_einsum", "standard_axes"]

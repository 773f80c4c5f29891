r"""Which axes of a node are tied: it is zero wherever their indices differ.

A factor $\delta_{ij}$ ties i to j, a product passes ties on through shared labels, a sum keeps
what all its terms have in common.  What is tied need not be stored: `identified` gives the
entries on the diagonal as a smaller node, `dropped` an axis along which nothing changes.
The law: for tied axes a and b, $x_{ab} = \delta_{ab}\,\mathrm{identified}(x)_a$ exactly.
"""

from collections.abc import Iterable, Mapping, Sequence

from diffkit.tensor import build
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Einsum,
    Labels,
    Map,
    Node,
    Select,
    affine,
    map_node,
    select,
    topological,
)

Factor = tuple[Node, Labels]
#: For each axis the first axis it is tied to, itself when it is free.
Ties = tuple[int, ...]


class Classes:
    """Classes of labels that must agree, each with its smallest member as its name."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}

    def find(self, label: int) -> int:
        """The name of the label's class."""
        while (above := self.parent.get(label, label)) != label:
            label = above
        return label

    def join(self, one: int, other: int) -> bool:
        """Make two labels agree; False when they did already."""
        one, other = self.find(one), self.find(other)
        self.parent[max(one, other)] = min(one, other)
        return one != other


def ties(root: Node) -> Ties:
    """For each axis of the node the first axis it is tied to.

    >>> ties(build.identity(3)), ties(build.ones((3, 3)))
    ((0, 0), (0, 1))
    """
    return Reader().ties(root)


class Reader:
    """Ties of many nodes, each read once."""

    def __init__(self) -> None:
        self.known: dict[Node, Ties] = {}

    def ties(self, root: Node) -> Ties:
        """For each axis of the node the first axis it is tied to."""
        if root not in self.known:
            for node in topological(root):
                if node not in self.known:
                    self.known[node] = self._of(node)
        return self.known[root]

    def _of(self, node: Node) -> Ties:
        free = build.all_axes(node)
        match node:
            case Affine() if node.is_identity:
                return (0, 0)
            case Einsum():
                classes = self.classes(node.factors)
                return _first_of_class([classes.find(label) for label in node.out])
            case Add() if node.operands:
                return _common(
                    [
                        _laid(self.known[x], axes, len(free))
                        for x, axes in zip(node.operands, node.axes, strict=True)
                    ]
                )
            case Select():
                branches = list(zip(node.operands, node.axes, strict=True))[1:]
                laid = [
                    _laid(self.known[x], axes, len(free))
                    for x, axes in branches
                    if not build.is_zero(x)
                ]
                return _common(laid) if laid else free
        return free

    def classes(self, factors: Iterable[Factor]) -> Classes:
        """Labels that agree wherever the product of the factors is not zero."""
        found = Classes()
        for node, labels in factors:
            for label, first in zip(labels, self.ties(node), strict=True):
                found.join(label, labels[first])
        return found


def _first_of_class(names: Sequence[int]) -> Ties:
    return tuple(names.index(name) for name in names)


def _laid(inner: Ties, axes: Sequence[int], rank: int) -> list[int]:
    """Ties of an operand as names of the classes of the result's axes."""
    names = list(range(rank))
    for axis, first in zip(axes, inner, strict=True):
        names[axis] = names[axes[first]]
    return names


def _common(parts: Sequence[Sequence[int]]) -> Ties:
    """Axes that are tied in every part."""
    return _first_of_class_of_rows(list(zip(*parts, strict=True)))


def _first_of_class_of_rows(rows: Sequence[tuple[int, ...]]) -> Ties:
    return tuple(rows.index(row) for row in rows)


def identified(node: Node, labels: Sequence[int], reader: Reader | None = None) -> Node:
    """The entries of a node whose axes of one label have one index.

    Args:
        node: Any node; what is tied to an identified axis becomes smaller with it.
        labels: One per axis; the result has one axis per distinct label, in order of appearance.
        reader: Ties that are known already.

    >>> identified(build.identity(3), (0, 0)) is build.ones((3,))
    True
    """
    return _Identifier(reader or Reader()).run(node, tuple(labels))


class _Identifier:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.done: dict[tuple[Node, Labels], Node] = {}

    def run(self, node: Node, labels: Labels) -> Node:
        """The node with its axes of one label identified."""
        names = list(dict.fromkeys(labels))
        places = tuple(names.index(label) for label in labels)
        if len(names) == len(labels):
            return node
        if (node, places) not in self.done:
            self.done[node, places] = self._of(node, places)
        return self.done[node, places]

    def _of(self, node: Node, places: Labels) -> Node:
        count = max(places) + 1
        shape = tuple(node.shape[places.index(k)] for k in range(count))
        match node:
            case Affine():
                return _merged(node, places, shape)
            case Add():
                terms = [
                    (c, *self._operand(x, tuple(places[a] for a in axes)))
                    for c, x, axes in node.terms
                ]
                return build.add(terms, shape)
            case Einsum():
                return self._product(node, places)
            case Map():
                parts = [
                    self._operand(x, tuple(places[a] for a in axes))
                    for x, axes in zip(node.operands, node.axes, strict=True)
                ]
                return map_node(node.kernel, *(x for x, _ in parts), axes=[a for _, a in parts])
            case Select():
                parts = [
                    self._operand(x, tuple(places[a] for a in axes))
                    for x, axes in zip(node.operands, node.axes, strict=True)
                ]
                return select(*(x for x, _ in parts), axes=[a for _, a in parts])
        return build.einsum([(node, places)], tuple(range(count)))

    def _operand(self, node: Node, places: Labels) -> tuple[Node, Labels]:
        return self.run(node, places), tuple(dict.fromkeys(places))

    def _product(self, node: Einsum, places: Labels) -> Node:
        classes = self.reader.classes(node.factors)
        first: dict[int, int] = {}
        for label, place in zip(node.out, places, strict=True):
            if place in first:
                classes.join(first[place], label)
            first.setdefault(place, label)
        factors, sizes = self.compress(node.factors, classes)
        out = [first[k] for k in range(max(places) + 1)]
        # Two axes of the result that stay apart but are tied keep an identity between them.
        shown: dict[int, int] = {}
        final = []
        for label in out:
            name = classes.find(label)
            size = node.sizes[label]
            if name in shown:
                fresh = 1 + max([*node.sizes, *final])
                factors.append((build.identity(size), (name, fresh)))
                final.append(fresh)
            else:
                shown[name] = label
                final.append(name)
            sizes[final[-1]] = size
        return build.einsum(factors, final, 1, sizes)

    def compress(
        self, factors: Iterable[Factor], classes: Classes
    ) -> tuple[list[Factor], dict[int, int]]:
        """The factors under the names of their labels' classes, identities removed."""
        kept: list[Factor] = []
        sizes: dict[int, int] = {}
        for node, labels in factors:
            names = tuple(classes.find(label) for label in labels)
            sizes.update(zip(names, node.shape, strict=True))
            kept.append((self.run(node, names), tuple(dict.fromkeys(names))))
        return kept, sizes


def compressed(
    factors: Iterable[Factor], classes: Classes, reader: Reader
) -> tuple[list[Factor], dict[int, int]]:
    """Factors under the names of their labels' classes, and the lengths of these.

    Args:
        factors: Nodes and labels.
        classes: Labels that agree: at least those the factors tie.
        reader: Ties that are known already.
    """
    return _Identifier(reader).compress(factors, classes)


def _merged(node: Affine, places: Labels, shape: Sequence[int]) -> Node:
    """An index equation whose axes of one place have one index."""
    total = [0] * len(shape)
    for coefficient, place in zip(node.coefficients, places, strict=True):
        total[place] += coefficient
    if any(total):
        return affine(shape, total, node.offset, node.relation)
    holds = node.offset == 0 if node.relation == "=" else node.offset >= 0
    return build.ones(shape) if holds else build.zero(shape)


# axes along which nothing changes -----------------------------------------------------------------


def constant_axes(root: Node) -> frozenset[int]:
    """The axes of a node along which it is known not to change.

    >>> sorted(constant_axes(build.ones((2, 3))))
    [0, 1]
    """
    known: dict[Node, frozenset[int]] = {}
    for node in topological(root):
        known[node] = _constant(node, known)
    return known[root]


def _constant(node: Node, known: Mapping[Node, frozenset[int]]) -> frozenset[int]:
    match node:
        case Affine():
            return frozenset(k for k, c in enumerate(node.coefficients) if c == 0)
        case Add() | Map() | Select():
            places = zip(node.operands, node.axes, strict=True)
            changing = {a for x, axes in places for k, a in enumerate(axes) if k not in known[x]}
        case Einsum():
            labels = {
                label
                for x, ls in node.factors
                for k, label in enumerate(ls)
                if k not in known[x] or ls.count(label) > 1
            }
            changing = {k for k, label in enumerate(node.out) if label in labels}
        case _:
            return frozenset()
    return frozenset(range(len(node.shape))) - changing


def dropped(node: Node, axes: Iterable[int]) -> Node:
    """The node without axes along which it does not change.

    >>> dropped(build.ones((2, 3)), [0]) is build.ones((3,))
    True
    """
    gone = frozenset(axes)
    if not gone:
        return node
    kept = [k for k in range(len(node.shape)) if k not in gone]
    shape = tuple(node.shape[k] for k in kept)
    place = {axis: k for k, axis in enumerate(kept)}
    match node:
        case Affine():
            if not shape:
                return build.const(int(node.offset == 0 or node.relation == ">="))
            return affine(shape, [node.coefficients[k] for k in kept], node.offset, node.relation)
        case Einsum():
            labels = {node.out[k] for k in gone}
            factors = [_without(x, ls, labels) for x, ls in node.factors]
            return build.einsum(factors, [node.out[k] for k in kept])
        case Add():
            terms = [(c, *_without(x, a, gone, place)) for c, x, a in node.terms]
            return build.add(terms, shape) if shape else _number(terms)
        case Map() | Select():
            pairs = zip(node.operands, node.axes, strict=True)
            parts = [_without(x, a, gone, place) for x, a in pairs]
            operands, where = [x for x, _ in parts], [a for _, a in parts]
            if isinstance(node, Map):
                return map_node(node.kernel, *operands, axes=where)
            return select(*operands, axes=where)
    raise TypeError(f"{type(node).__name__} changes along all its axes")


def _number(terms: Sequence[build.Term]) -> Node:
    return build.add(terms, ())


def _without(
    node: Node, labels: Labels, gone: Iterable[int], place: Mapping[int, int] | None = None
) -> Factor:
    """An operand without the axes of the given labels, the other labels renumbered."""
    away = set(gone)
    inner = dropped(node, [k for k, label in enumerate(labels) if label in away])
    kept = tuple(label for label in labels if label not in away)
    return inner, kept if place is None else tuple(place[label] for label in kept)

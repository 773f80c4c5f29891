r"""Terms of a Hessian as tidy products: identities resolved, what is tied or constant made smaller.

A frame says which labels are a batch, which are the variable's axes on the left and which on the
right.  A term is a product over such labels; labels of the frame that must agree are aliases of
one name, so that $\delta_{ij} d_i$ is the factor d with j an alias of i.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.nodes import Add, Einsum, Labels, Node, Shape
from diffkit.tensor.selections import without_selections
from diffkit.tensor.ties import Classes, Reader, compressed, constant_axes, dropped

Factor = tuple[Node, Labels]

#: A term is opened into at most this many terms.
MOST_OPENED = 12


@dataclass(frozen=True)
class Frame:
    """The labels of the axes of a Hessian.

    Args:
        batch: Leading axes, along which the rest is repeated.
        left: The variable's axes on the left.
        right: The same axes on the right.
        sizes: Length of each of these labels.
    """

    batch: Labels
    left: Labels
    right: Labels
    sizes: Mapping[int, int]

    @property
    def out(self) -> Labels:
        """All labels of the result."""
        return (*self.batch, *self.left, *self.right)

    def shape(self, labels: Iterable[int]) -> Shape:
        """Lengths of labels."""
        return tuple(self.sizes[label] for label in labels)

    @property
    def entries(self) -> int:
        """Number of entries of the variable, without the batch."""
        return prod(self.shape(self.left))

    def within(self, axes: Sequence[int], *, is_batch: bool) -> "Frame":
        """The frame of the core when some axes of the variable are tied to their copies."""
        gone = tuple(self.left[k] for k in axes)
        rest = [k for k in range(len(self.left)) if k not in axes]
        return replace(
            self,
            batch=(*self.batch, *gone) if is_batch else self.batch,
            left=tuple(self.left[k] for k in rest),
            right=tuple(self.right[k] for k in rest),
        )


@dataclass(frozen=True)
class Term:
    """A product over the labels of a frame and summed ones.

    Args:
        coefficient: An exact factor.
        factors: Nodes and labels.
        alias: Label of the frame -> the name under which the factors carry it.
        sizes: Length of every name.
    """

    coefficient: sp.Expr
    factors: tuple[Factor, ...]
    alias: Mapping[int, int]
    sizes: Mapping[int, int]

    def name(self, label: int) -> int:
        """The name under which the factors carry a label."""
        return self.alias.get(label, label)

    def names(self, labels: Iterable[int]) -> Labels:
        """The names of several labels."""
        return tuple(map(self.name, labels))

    @property
    def carried(self) -> set[int]:
        """Names that a factor carries: along all others the term is constant."""
        return {label for _, labels in self.factors for label in labels}

    def node(self, out: Sequence[int], sizes: Mapping[int, int]) -> Node:
        """The term as a node with the given labels as axes; of two aliases only one may be out."""
        first: dict[int, int] = {}
        equations: list[Factor] = []
        for label in out:
            name = self.name(label)
            if name in first:
                equations.append((build.identity(sizes[label]), (first[name], label)))
            first.setdefault(name, label)
        fresh = 1 + max([*out, *self.carried, -1])
        for name in sorted(self.carried - first.keys()):
            first[name] = fresh
            fresh += 1
        factors = [(x, tuple(first[l] for l in labels)) for x, labels in self.factors]
        lengths = {label: sizes[label] for label in out}
        return build.einsum([*factors, *equations], tuple(out), self.coefficient, lengths)


def total(terms: Sequence[Term], out: Sequence[int], sizes: Mapping[int, int]) -> Node:
    """The sum of terms as a node with the given labels as axes."""
    axes = tuple(range(len(out)))
    shape = tuple(sizes[label] for label in out)
    return build.add([(sp.S.One, term.node(out, sizes), axes) for term in terms], shape)


# tidying ------------------------------------------------------------------------------------------


def tidy(term: Term, frame: Frame, reader: Reader) -> Iterator[Term]:
    """The term with identities resolved and tied axes identified; nothing where it is zero."""
    while True:
        classes = reader.classes(term.factors)
        for label in frame.out:
            classes.join(label, term.name(label))
        factors, sizes = compressed(term.factors, classes, reader)
        alias = {label: classes.find(label) for label in frame.out}
        found = _without_constants(
            Term(term.coefficient, tuple(factors), alias, {**term.sizes, **sizes}), frame
        )
        shown = set(found.names(frame.out))
        found = replace(found, factors=without_selections(found.factors, shown))
        if found.coefficient == 0:
            return
        if found.factors == term.factors and found.alias == term.alias:
            yield found
            return
        term = found


def _without_constants(term: Term, frame: Frame) -> Term:
    """Numbers go into the coefficient, sums over nothing count, constant axes are dropped."""
    coefficient = term.coefficient
    shown = set(term.names(frame.out))
    before = term.carried
    kept: list[Factor] = []
    for node, labels in term.factors:
        value, node = build.scaled(node)
        coefficient *= value
        if build.is_zero(node):
            return replace(term, coefficient=sp.S.Zero)
        gone = constant_axes(node)
        node = dropped(node, gone)
        single = build.number(node) if not node.shape else None
        if single is not None:
            coefficient *= single
        else:
            kept.append((node, tuple(l for k, l in enumerate(labels) if k not in gone)))
    for label in before - {l for _, ls in kept for l in ls} - shown:
        coefficient *= term.sizes[label]
    return replace(term, coefficient=coefficient, factors=tuple(kept))


# opening ------------------------------------------------------------------------------------------


def opened(terms: Iterable[Term], frame: Frame, reader: Reader, *, deep: bool) -> list[Term] | None:
    """Sums and products that join left and right written out.

    Args:
        terms: Tidy terms.
        frame: Their labels.
        reader: Ties that are known already.
        deep: Whether factors are opened that carry an axis of the variable on one side and a
            summed label, too.

    Returns:
        Terms without such factors, or None where there would be more than `MOST_OPENED`.
    """
    waiting, done = list(terms), []
    while waiting:
        term = waiting.pop()
        index = _to_open(term, frame, deep)
        if index is None:
            done.append(term)
        else:
            for part in _parts(term, index):
                waiting.extend(tidy(part, frame, reader))
        if len(waiting) + len(done) > MOST_OPENED:
            return None
    return done[::-1]


def _to_open(term: Term, frame: Frame, deep: bool) -> int | None:
    left, right = set(term.names(frame.left)), set(term.names(frame.right))
    batch = set(term.names(frame.batch))
    for index, (node, labels) in enumerate(term.factors):
        held = set(labels) - batch
        joins = held & left and held & right and len(held) > 1
        reaches = deep and len(held) > 1 and held & (left | right)
        if isinstance(node, Add | Einsum) and (joins or reaches):
            return index
    return None


def _parts(term: Term, index: int) -> Iterator[Term]:
    """The terms or the product behind one factor, put in its place."""
    node, labels = term.factors[index]
    before, after = term.factors[:index], term.factors[index + 1 :]
    if isinstance(node, Add):
        for c, x, axes in node.terms:
            own = {labels[k] for k in range(len(labels)) if k not in axes}
            # Labels the other terms carry: a sum over them still counts, as a factor of ones.
            bare = tuple((build.ones((term.sizes[l],)), (l,)) for l in sorted(own))
            part = ((x, tuple(labels[k] for k in axes)), *bare)
            yield replace(term, coefficient=term.coefficient * c, factors=(*before, *part, *after))
    elif isinstance(node, Einsum):
        names = dict(zip(node.out, labels, strict=True))
        fresh = 1 + max([*term.sizes, *term.alias, *chain(*(ls for _, ls in term.factors))])
        sizes = dict(term.sizes)
        for label in sorted(node.sizes):
            if label not in names:
                names[label] = fresh
                sizes[fresh] = node.sizes[label]
                fresh += 1
        inside = tuple((x, tuple(names[l] for l in ls)) for x, ls in node.factors)
        yield replace(term, factors=(*before, *inside, *after), sizes=sizes)


# low rank -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A term as left diag(weights) right', each a term over batch, its side and the cut label.

    Args:
        left: Over the left axes.
        weights: Over neither side; it holds the coefficient.
        right: Over the right axes.
        label: The summed label between them, None for one outer product.
        rank: Its length, 1 for one outer product.
    """

    left: Term
    weights: Term
    right: Term
    label: int | None
    rank: int


def split(term: Term, frame: Frame, largest: int) -> Cut | None:
    """The term as a product of low rank, None where left and right are joined otherwise."""
    left, right = set(term.names(frame.left)), set(term.names(frame.right))
    batch = set(term.names(frame.batch))
    if left & right:
        return None
    summed = term.carried - left - right - batch
    small = sorted((l for l in summed if 1 < term.sizes[l] <= largest), key=lambda l: term.sizes[l])
    for label in (None, *small):
        joined = Classes()
        apart = batch if label is None else batch | {label}
        for side in (left, right):
            ordered = sorted(side)
            for other in ordered[1:]:
                joined.join(ordered[0], other)
        for _, labels in term.factors:
            inner = [l for l in labels if l not in apart]
            for other in inner[1:]:
                joined.join(inner[0], other)
        ends = joined.find(min(left)), joined.find(min(right))
        if ends[0] != ends[1]:
            groups: list[list[Factor]] = [[], [], []]
            for node, labels in term.factors:
                roots = {joined.find(l) for l in labels if l not in apart}
                groups[0 if ends[0] in roots else 2 if ends[1] in roots else 1].append(
                    (node, labels)
                )
            sides = [
                Term(c, tuple(group), term.alias, term.sizes)
                for c, group in zip((sp.S.One, term.coefficient, sp.S.One), groups, strict=True)
            ]
            rank = 1 if label is None else term.sizes[label]
            return Cut(sides[0], sides[1], sides[2], label, rank)
    return None

r"""The structure of a Hessian: what of it must be stored, read off its products.

A Hessian has the axes of its variable twice, left and right.  An identity between an axis and its
copy factors out: between all of them the Hessian is `Diagonal`, between some it is
`KroneckerIdentity` ($\delta_{ik} M_{jl}$) or, where the rest changes along them, `Block`
($\delta_{nm} M_{n,jl}$).  Terms that fall apart into a left and a right factor are of low rank.
The law: `structure` claims nothing that its products do not show, so the claim holds for every
value of the inputs.  What the shapes are made of stays in nodes; numbers: `bridge.structured`.
"""

from dataclasses import dataclass
from math import prod

from diffkit.tensor import build
from diffkit.tensor.frontier import hessian_pieces
from diffkit.tensor.nodes import Labels, Node, Shape, Var, topological
from diffkit.tensor.paths import cost_of
from diffkit.tensor.pieces import Cut, Frame, Term, opened, split, tidy, total
from diffkit.tensor.ties import Reader

#: A Hessian is kept in factors when they hold at most this share of its entries.
SMALL_SHARE = 0.5


@dataclass(frozen=True)
class Structure:
    """A Hessian over the axes of `shape`; its nodes have the axes of `batch` first.

    Args:
        shape: Lengths of the variable's axes that the structure is over.
        batch: Lengths of leading axes along which it is repeated.
    """

    shape: Shape
    batch: Shape

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What has to be computed."""
        return ()

    def depends_on(self, variable: Var) -> bool:
        """Whether an entry changes with the variable."""
        return any(node is variable for node in topological(*self.nodes))


@dataclass(frozen=True)
class Diagonal(Structure):
    """Zero off the diagonal; `diagonal` has the axes of the variable."""

    diagonal: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The diagonal."""
        return (self.diagonal,)

    def __str__(self) -> str:
        return "Diagonal"


@dataclass(frozen=True)
class LowRank:
    """left diag(weights) right'; its nodes have the axes batch, variable, rank (weights: none)."""

    left: Node
    weights: Node
    right: Node

    @property
    def rank(self) -> int:
        """Number of columns."""
        return self.left.shape[-1]


@dataclass(frozen=True)
class DiagonalPlusLowRank(Structure):
    """A diagonal and a few outer products."""

    diagonal: Node
    parts: tuple[LowRank, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The diagonal, then left, weights and right of every part."""
        return (self.diagonal, *(x for p in self.parts for x in (p.left, p.weights, p.right)))

    @property
    def rank(self) -> int:
        """Number of outer products."""
        return sum(part.rank for part in self.parts)

    def __str__(self) -> str:
        return f"DiagonalPlusLowRank(rank {self.rank})"


@dataclass(frozen=True)
class KroneckerIdentity(Structure):
    """The identity over `axes` times one core over the other axes."""

    axes: tuple[int, ...]
    core: Structure

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the core."""
        return self.core.nodes

    def __str__(self) -> str:
        return f"KroneckerIdentity({self.core})"


@dataclass(frozen=True)
class Block(Structure):
    """One core over the other axes for every index of `axes`; zero between different indices."""

    axes: tuple[int, ...]
    core: Structure

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the core."""
        return self.core.nodes

    def __str__(self) -> str:
        return f"Block({self.core})"


@dataclass(frozen=True)
class Dense(Structure):
    """Every entry; `node` has the axes batch, left, right."""

    node: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The Hessian itself."""
        return (self.node,)

    def __str__(self) -> str:
        return "Dense"


@dataclass(frozen=True)
class Const(Dense):
    """Every entry, none of which changes with the variable."""

    def __str__(self) -> str:
        return "Const"


@dataclass(frozen=True)
class Product:
    """One term of a factored Hessian: the factors, and the labels of their axes after the batch."""

    factors: tuple[Node, ...]
    labels: tuple[Labels, ...]
    left: Labels
    right: Labels


@dataclass(frozen=True)
class Factored(Structure):
    """A sum of products whose factors are smaller than the Hessian; it is applied by them."""

    products: tuple[Product, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The factors, product by product."""
        return tuple(node for product in self.products for node in product.factors)

    def __str__(self) -> str:
        return "Factored"


def structure(root: Node, variable: Var) -> Structure:
    """The structure of the Hessian of a number.

    Args:
        root: A number.
        variable: What to differentiate by, twice.

    >>> from diffkit.tensor.nodes import var
    >>> x, y = var("x", (3,)), var("y", (3,))
    >>> cube = build.einsum([(x, (0,)), (x, (0,)), (x, (0,)), (y, (0,))], ())
    >>> print(structure(cube, x))
    Diagonal
    """
    rank = len(variable.shape)
    left, right = tuple(range(rank)), tuple(range(rank, 2 * rank))
    sizes = dict(enumerate((*variable.shape, *variable.shape)))
    frame = Frame((), left, right, sizes)
    found: list[Structure] = []
    for pieces in hessian_pieces(root, variable):
        reader = Reader()
        terms = [Term(p.coefficient, p.factors, {}, p.sizes) for p in pieces]
        tidied = [each for term in terms for each in tidy(term, frame, reader)]
        found.append(_Finder(reader, variable).run(tidied, frame))
    return min(found, key=_preference)


def _preference(found: Structure) -> tuple[int, float]:
    """What must be stored counts most, then what it takes to compute it."""
    plain, depth = found, 0
    while isinstance(plain, Block | KroneckerIdentity):
        plain, depth = plain.core, depth + 1
    order = (Diagonal, DiagonalPlusLowRank, Factored, Dense)
    rank = next(k for k, kind in enumerate(order) if isinstance(plain, kind))
    return (rank - len(order) * depth, cost_of(found.nodes))


class _Finder:
    """Classifies sums of tidy terms."""

    def __init__(self, reader: Reader, variable: Var) -> None:
        self.reader = reader
        self.variable = variable

    def run(self, terms: list[Term], frame: Frame) -> Structure:
        """The structure of the sum of the terms over a frame."""
        tied = tuple(
            k
            for k, (one, other) in enumerate(zip(frame.left, frame.right, strict=True))
            if all(term.name(one) == term.name(other) for term in terms)
        )
        if tied or not terms or not frame.left:
            return self.along(terms, frame, tied)
        return (
            self.low_rank(terms, frame) or self.factored(terms, frame) or self.dense(terms, frame)
        )

    def along(self, terms: list[Term], frame: Frame, tied: tuple[int, ...]) -> Structure:
        """Identities factored out of every term, first those along which nothing changes."""
        shape, batch = frame.shape(frame.left), frame.shape(frame.batch)
        if not terms or len(tied) == len(frame.left):
            out = (*frame.batch, *frame.left)
            return Diagonal(shape, batch, total(terms, out, frame.sizes))
        carried = {l for term in terms for l in term.carried}
        still = tuple(k for k in tied if frame.left[k] not in carried)
        moving = tuple(k for k in tied if k not in still)
        axes = still or moving
        core = self.run(terms, frame.within(axes, is_batch=not still))
        kind = KroneckerIdentity if still else Block
        return kind(shape, batch, axes, core)

    def low_rank(self, terms: list[Term], frame: Frame) -> Structure | None:
        """A diagonal and a few outer products, None where the terms are no such sum."""
        largest = frame.entries // 2
        for deep in (False, True):
            parts = opened(terms, frame, self.reader, deep=deep)
            if parts is None:
                return None
            flat, rest = [], []
            for term in parts:
                is_flat = term.names(frame.left) == term.names(frame.right)
                (flat if is_flat else rest).append(term)
            cuts = [split(term, frame, largest) for term in rest]
            found = [cut for cut in cuts if cut is not None]
            if flat and len(found) == len(cuts) and sum(cut.rank for cut in found) <= largest:
                out = (*frame.batch, *frame.left)
                return DiagonalPlusLowRank(
                    frame.shape(frame.left),
                    frame.shape(frame.batch),
                    total(flat, out, frame.sizes),
                    tuple(_low_rank(cut, frame) for cut in found),
                )
        return None

    def factored(self, terms: list[Term], frame: Frame) -> Structure | None:
        """The factors, where they are much smaller than their product."""
        for some in (terms, opened(terms, frame, self.reader, deep=False)):
            if some is None or not all(_is_factored(term, frame) for term in some):
                continue
            products = tuple(_product(term, frame) for term in some)
            distinct = {node for each in products for node in each.factors}
            stored = sum(prod(node.shape) for node in distinct)
            if stored <= SMALL_SHARE * prod(frame.shape(frame.out)):
                return Factored(frame.shape(frame.left), frame.shape(frame.batch), products)
        return None

    def dense(self, terms: list[Term], frame: Frame) -> Structure:
        """All entries, computed from the form of the terms that takes the fewest operations."""
        forms = [terms, *(opened(terms, frame, self.reader, deep=deep) for deep in (False, True))]
        nodes = [total(form, frame.out, frame.sizes) for form in forms if form is not None]
        node = min(dict.fromkeys(nodes), key=lambda each: cost_of([each]))
        found = Dense(frame.shape(frame.left), frame.shape(frame.batch), node)
        if found.depends_on(self.variable):
            return found
        return Const(found.shape, found.batch, node)


def _low_rank(cut: Cut, frame: Frame) -> LowRank:
    """A cut as nodes with the axes batch, variable, rank."""
    label = cut.label if cut.label is not None else 1 + max([*cut.left.sizes, *frame.sizes])
    sizes = {**frame.sizes, label: cut.rank}
    return LowRank(
        cut.left.node((*frame.batch, *frame.left, label), sizes),
        cut.weights.node((*frame.batch, label), sizes),
        cut.right.node((*frame.batch, *frame.right, label), sizes),
    )


def _is_factored(term: Term, frame: Frame) -> bool:
    """Whether a term is a product of several arrays that carry every axis of the variable."""
    left, right = term.names(frame.left), term.names(frame.right)
    is_plain = len(set(left)) == len(left) and len(set(right)) == len(right)
    return is_plain and len(term.factors) > 1 and {*left, *right} <= term.carried


def _product(term: Term, frame: Frame) -> Product:
    """A term as arrays and labels; the coefficient goes into the smallest factor."""
    batch = term.names(frame.batch)
    smallest = min(range(len(term.factors)), key=lambda k: prod(term.factors[k][0].shape))
    factors, where = [], []
    for k, (node, labels) in enumerate(term.factors):
        own = tuple(l for l in labels if l not in batch)
        if batch:
            sizes = dict(zip(batch, frame.shape(frame.batch), strict=True))
            node = build.einsum([(node, labels)], (*batch, *own), 1, sizes)
        factors.append(build.scale(term.coefficient, node) if k == smallest else node)
        where.append(own)
    return Product(tuple(factors), tuple(where), term.names(frame.left), term.names(frame.right))

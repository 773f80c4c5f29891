r"""Structured Hessians as numbers: applied, solved and measured by what they are made of.

Every class is a JAX pytree, so it passes through `jit`, `vmap` and `scan`.  A vector has the
shape of the variable; `dense` has that shape twice.  `logdet` is $\log|\det H|$, and `solve` of a
singular Hessian is not finite (the softmax Hessian diag(p) - p p' is singular: 1 is its kernel).
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.bridge.contract import contract
from diffkit.tensor import structure as symbolic

Array = Any
Shape = tuple[int, ...]

#: Marks a field that is part of the pytree's structure, not of its arrays.
STATIC = {"static": True}


@dataclass(frozen=True)
class Structured:
    """A Hessian with `shape` the shape of its variable."""

    shape: Shape = field(metadata=STATIC)

    @property
    def size(self) -> int:
        """Number of entries of the variable."""
        return math.prod(self.shape)

    @abstractmethod
    def matvec(self, v: Array) -> Array:
        """H v."""

    @abstractmethod
    def dense(self) -> Array:
        """Every entry, the shape of the variable twice."""

    def solve(self, g: Array) -> Array:
        """H^-1 g; here by elimination on the dense matrix."""
        solution = jnp.linalg.solve(self._matrix(), jnp.reshape(g, (self.size,)))
        return jnp.reshape(solution, self.shape)

    def solve_each(self, many: Array) -> Array:
        """H^-1 g for every g along the first axis."""
        return jax.vmap(self.solve)(many)

    def logdet(self) -> Array:
        """log|det H|; here by elimination on the dense matrix."""
        return jnp.linalg.slogdet(self._matrix())[1]

    def _matrix(self) -> Array:
        return jnp.reshape(self.dense(), (self.size, self.size))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Diagonal(Structured):
    """Zero off the diagonal."""

    diagonal: Array

    def matvec(self, v: Array) -> Array:
        """d v, entry by entry."""
        return self.diagonal * v

    def solve(self, g: Array) -> Array:
        """g / d, entry by entry."""
        return g / self.diagonal

    def logdet(self) -> Array:
        """The sum of log|d|."""
        return jnp.sum(jnp.log(jnp.abs(self.diagonal)))

    def dense(self) -> Array:
        """d on the diagonal."""
        flat = jnp.reshape(self.diagonal, (self.size,))
        matrix = jnp.where(_is_diagonal(self.size), flat[:, None], jnp.zeros((), flat.dtype))
        return jnp.reshape(matrix, (*self.shape, *self.shape))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DiagonalPlusLowRank(Structured):
    r"""$\mathrm{diag}(d) + L\,\mathrm{diag}(c)\,R^\top$, solved by Woodbury's identity.

    Args:
        diagonal: d, of the variable's shape.
        left: L, of the variable's shape and then the rank.
        weights: c, one per outer product.
        right: R, as L.
    """

    diagonal: Array
    left: Array
    weights: Array
    right: Array

    @property
    def rank(self) -> int:
        """Number of outer products."""
        return self.weights.shape[-1]

    def matvec(self, v: Array) -> Array:
        """D v + L diag(c) R' v."""
        d, left, right = self._flat()
        flat = jnp.reshape(v, (self.size,))
        return jnp.reshape(d * flat + left @ (self.weights * (flat @ right)), self.shape)

    def solve(self, g: Array) -> Array:
        r"""$D^{-1}g - D^{-1}L\,(I + C R^\top D^{-1} L)^{-1} C R^\top D^{-1} g$, C = diag(c)."""
        d, left, right = self._flat()
        scaled, straight = left / d[:, None], jnp.reshape(g, (self.size,)) / d
        inner = jnp.linalg.solve(
            self._capacitance(scaled, right), self.weights * (straight @ right)
        )
        return jnp.reshape(straight - scaled @ inner, self.shape)

    def logdet(self) -> Array:
        r"""$\sum\log|d| + \log|\det(I + C R^\top D^{-1} L)|$."""
        d, left, right = self._flat()
        small = self._capacitance(left / d[:, None], right)
        return jnp.sum(jnp.log(jnp.abs(d))) + jnp.linalg.slogdet(small)[1]

    def dense(self) -> Array:
        """The diagonal and the outer products added up."""
        d, left, right = self._flat()
        outer = contract([left * self.weights, right], [(0, 2), (1, 2)], (0, 1))
        matrix = jnp.where(_is_diagonal(self.size), d[:, None] + outer, outer)
        return jnp.reshape(matrix, (*self.shape, *self.shape))

    def _capacitance(self, scaled: Array, right: Array) -> Array:
        inner = right.T @ scaled
        return jnp.eye(self.rank, dtype=inner.dtype) + self.weights[:, None] * inner

    def _flat(self) -> tuple[Array, Array, Array]:
        wide = (self.size, self.rank)
        return (
            jnp.reshape(self.diagonal, (self.size,)),
            jnp.reshape(self.left, wide),
            jnp.reshape(self.right, wide),
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class KroneckerIdentity(Structured):
    r"""$\delta_{ik}\,M_{jl}$: the identity over `axes`, one core over the other axes."""

    axes: tuple[int, ...] = field(metadata=STATIC)
    core: Any

    def matvec(self, v: Array) -> Array:
        """The core applied to every slice."""
        return self._joined(jax.vmap(self.core.matvec)(_sliced(v, self.axes, self.shape)))

    def solve(self, g: Array) -> Array:
        """The core solved for every slice; it is factored once."""
        return self._joined(self.core.solve_each(_sliced(g, self.axes, self.shape)))

    def logdet(self) -> Array:
        """The core's, as often as there are slices."""
        return self.core.logdet() * math.prod(self.shape[k] for k in self.axes)

    def dense(self) -> Array:
        """The core's entries where the indices of the identity agree."""
        return _laid_out(self.core.dense(), self.axes, self.shape, is_batched=False)

    def _joined(self, slices: Array) -> Array:
        return _joined(slices, self.axes, self.shape)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Block(Structured):
    r"""$\delta_{nm}\,M_{n,jl}$: a core per index of `axes`; its arrays have these axes first."""

    axes: tuple[int, ...] = field(metadata=STATIC)
    core: Any

    def matvec(self, v: Array) -> Array:
        """Every block applied to its slice."""
        return self._each(lambda core, one: core.matvec(one), v)

    def solve(self, g: Array) -> Array:
        """Every block solved for its slice."""
        return self._each(lambda core, one: core.solve(one), g)

    def logdet(self) -> Array:
        """The sum over the blocks."""
        return jnp.sum(jax.vmap(lambda core: core.logdet())(self._cores()))

    def dense(self) -> Array:
        """The blocks' entries where the indices of `axes` agree."""
        blocks = jax.vmap(lambda core: core.dense())(self._cores())
        lengths = tuple(self.shape[k] for k in self.axes)
        blocks = jnp.reshape(blocks, (*lengths, *blocks.shape[1:]))
        return _laid_out(blocks, self.axes, self.shape, is_batched=True)

    def _cores(self) -> Any:
        """The core with its batch axes as one."""
        count = len(self.axes)
        return jax.tree.map(lambda x: jnp.reshape(x, (-1, *x.shape[count:])), self.core)

    def _each(self, apply: Any, v: Array) -> Array:
        slices = jax.vmap(apply)(self._cores(), _sliced(v, self.axes, self.shape))
        return _joined(slices, self.axes, self.shape)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Dense(Structured):
    """Every entry."""

    entries: Array

    def matvec(self, v: Array) -> Array:
        """The matrix times the vector."""
        return jnp.tensordot(self.entries, v, axes=len(self.shape))

    def solve_each(self, many: Array) -> Array:
        """All right-hand sides as the columns of one matrix, which is factored once."""
        columns = jnp.reshape(many, (-1, self.size)).T
        return jnp.reshape(jnp.linalg.solve(self._matrix(), columns).T, many.shape)

    def dense(self) -> Array:
        """The entries."""
        return self.entries


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Const(Dense):
    """Every entry, none of which changes with the variable."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factored(Structured):
    """A sum of products of smaller arrays: `matvec` never forms the matrix, `solve` does.

    Args:
        labels: For each product the labels of its arrays' axes, and of the two sides.
        products: For each product its arrays.
    """

    labels: tuple[tuple[tuple[Shape, ...], Shape, Shape], ...] = field(metadata=STATIC)
    products: tuple[tuple[Array, ...], ...]

    def matvec(self, v: Array) -> Array:
        """The products contracted with the vector, smallest first."""
        terms = (
            contract([*arrays, v], [*inner, right], left)
            for arrays, (inner, left, right) in zip(self.products, self.labels, strict=True)
        )
        return sum(terms, start=jnp.zeros((), v.dtype))

    def dense(self) -> Array:
        """The products multiplied out."""
        terms = (
            _spread(contract(arrays, inner, tuple(dict.fromkeys((*left, *right)))), left, right)
            for arrays, (inner, left, right) in zip(self.products, self.labels, strict=True)
        )
        return sum(terms)


def _spread(core: Array, left: Shape, right: Shape) -> Array:
    """Entries over distinct labels laid out where a label stands on both sides."""
    axes = [k for k, label in enumerate(left) if label in right]
    if not axes:
        return core
    places = [len(left) + right.index(left[k]) for k in axes]
    pairs = [(k, place, core.shape[k]) for k, place in zip(axes, places, strict=True)]
    return _where_equal(jnp.expand_dims(core, places), pairs)


def _where_equal(core: Array, pairs: Sequence[tuple[int, int, int]]) -> Array:
    """Entries where the indices of every pair of axes agree, 0 elsewhere.

    Args:
        core: Of length 1 along one axis of each pair at least.
        pairs: Two axes and the length both get.
    """
    mask: Any = True
    for one, other, size in pairs:
        lengths = [1] * core.ndim
        lengths[one] = lengths[other] = size
        mask = mask & jnp.reshape(_is_diagonal(size), lengths)
    return jnp.where(mask, core, jnp.zeros((), core.dtype))


def _is_diagonal(n: int) -> Array:
    return jnp.arange(n)[:, None] == jnp.arange(n)


def _sliced(v: Array, axes: Sequence[int], shape: Shape) -> Array:
    """The slices of a vector: one axis for all of `axes`, then the other axes."""
    rest = tuple(n for k, n in enumerate(shape) if k not in axes)
    return jnp.reshape(jnp.moveaxis(v, axes, range(len(axes))), (-1, *rest))


def _joined(slices: Array, axes: Sequence[int], shape: Shape) -> Array:
    """What `_sliced` takes apart."""
    lengths = tuple(shape[k] for k in axes)
    return jnp.moveaxis(jnp.reshape(slices, (*lengths, *slices.shape[1:])), range(len(axes)), axes)


def _laid_out(core: Array, axes: Sequence[int], shape: Shape, *, is_batched: bool) -> Array:
    """Entries over the other axes, laid where the left and right indices of `axes` agree."""
    rank = len(shape)
    held = {k for k in range(rank) if k not in axes} | {
        rank + k for k in range(rank) if k not in axes
    }
    if is_batched:
        # The batch axes come first in the core and stand at their left places in the result.
        core = jnp.moveaxis(core, range(len(axes)), axes)
        held |= set(axes)
    core = jnp.expand_dims(core, [k for k in range(2 * rank) if k not in held])
    return _where_equal(core, [(k, rank + k, shape[k]) for k in axes])


# from nodes to numbers ----------------------------------------------------------------------------


def realise(found: symbolic.Structure, arrays: Sequence[Array]) -> Structured:
    """The structure with arrays in place of its nodes, in the order of `nodes`."""
    return _realise(found, iter(arrays))


@singledispatch
def _realise(found: symbolic.Structure, arrays: Iterator[Array]) -> Structured:
    raise TypeError(f"{type(found).__name__} has no numeric form")


@_realise.register
def _(found: symbolic.Diagonal, arrays: Iterator[Array]) -> Structured:
    return Diagonal(found.shape, next(arrays))


@_realise.register
def _(found: symbolic.DiagonalPlusLowRank, arrays: Iterator[Array]) -> Structured:
    diagonal = next(arrays)
    parts = [tuple(next(arrays) for _ in range(3)) for _ in found.parts]
    left, weights, right = (jnp.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
    return DiagonalPlusLowRank(found.shape, diagonal, left, weights, right)


@_realise.register
def _(found: symbolic.KroneckerIdentity, arrays: Iterator[Array]) -> Structured:
    return KroneckerIdentity(found.shape, found.axes, _realise(found.core, arrays))


@_realise.register
def _(found: symbolic.Block, arrays: Iterator[Array]) -> Structured:
    return Block(found.shape, found.axes, _realise(found.core, arrays))


@_realise.register
def _(found: symbolic.Dense, arrays: Iterator[Array]) -> Structured:
    return Dense(found.shape, next(arrays))


@_realise.register
def _(found: symbolic.Const, arrays: Iterator[Array]) -> Structured:
    return Const(found.shape, next(arrays))


@_realise.register
def _(found: symbolic.Factored, arrays: Iterator[Array]) -> Structured:
    products = tuple(tuple(next(arrays) for _ in each.factors) for each in found.products)
    labels = tuple((each.labels, each.left, each.right) for each in found.products)
    return Factored(found.shape, labels, products)

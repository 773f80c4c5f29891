"""Lower array formulas: every node one JAX operation, every shared node once.

A kernel goes through the same stable forms and the same printer to closures as a scalar formula.
Products are taken in pairs, in the order of `tensor.paths`, so that parts of them are shared.
Selections that are slices, paddings or diagonals are carried out as such; only other index
equations become 0/1 arrays, computed from their indices.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp

from diffkit.bridge.contract import add_transposed, contract, gram, lay
from diffkit.bridge.fused import fuse
from diffkit.bridge.program import Program, compile_program
from diffkit.core.errors import UnsupportedFunction, UsageError
from diffkit.symbolic.stable import stable
from diffkit.tensor.gram import joins_columns, product_behind, scaled_of_gram
from diffkit.tensor.masks import masked
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Axes,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Opaque,
    Reduce,
    Select,
    Var,
    is_truth,
    topological,
)
from diffkit.tensor.orientation import oriented
from diffkit.tensor.paths import planned

Array = Any
Instruction = Callable[[Sequence[Array], Any], Array]


def compile_nodes(
    roots: Sequence[Node],
    inputs: Sequence[Var],
    sizes: Mapping[str, int] | None = None,
    *,
    is_symmetric: bool = False,
) -> Callable[..., tuple[Array, ...]]:
    """A function of the inputs that computes all roots, shared parts once.

    Args:
        roots: Nodes over the inputs.
        inputs: Order of the arguments.
        sizes: Value of size symbols in coefficients.
        is_symmetric: Whether the roots are known to be symmetric matrices, as Hessians are; of a
            large product only half of the blocks is then multiplied.

    Raises:
        UnsupportedFunction: a node or a function of a kernel has no counterpart.
    """
    roots = oriented(planned(masked(roots)))
    order = list(topological(*roots))
    places = {node: k for k, node in enumerate(order)}
    position = {node.name: k for k, node in enumerate(inputs)}
    symmetric = set(map(product_behind, roots)) if is_symmetric else set()
    steps: list[tuple[Instruction | int, tuple[int, ...]]] = []
    for node in order:
        if isinstance(node, Var):
            if node.name not in position:
                raise UsageError(f"{node.name} is none of the arguments")
            steps.append((position[node.name], ()))
        else:
            operands = tuple(places[x] for x in node.operands)
            gram = _gram(node, 0) if node in symmetric and joins_columns(node) else None
            steps.append((gram or _instruction(node, sizes or {}), operands))
    wanted = tuple(places[root] for root in roots)

    def program(*arguments: Array) -> tuple[Array, ...]:
        dtype = jnp.result_type(float) if not arguments else _dtype(arguments)
        values: list[Array] = []
        for step, operands in steps:
            if isinstance(step, int):
                values.append(arguments[step])
            else:
                values.append(step([values[k] for k in operands], dtype))
        return tuple(values[k] for k in wanted)

    return program


def _dtype(arguments: Sequence[Array]) -> Any:
    floats = [a.dtype for a in arguments if jnp.issubdtype(a.dtype, jnp.inexact)]
    return jnp.result_type(*floats) if floats else jnp.result_type(float)


def _instruction(node: Node, sizes: Mapping[str, int]) -> Instruction:
    match node:
        case Const():
            return _constant(node)
        case Affine():
            return lambda operands, dtype: _indicator(node).astype(dtype)
        case Map():
            return _map(node)
        case Select():
            return _choice(node)
        case Add():
            return _sum(node, sizes)
        case Einsum():
            return _product(node)
        case Reduce():
            reduction = _REDUCTIONS[node.kind]
            axes = node.axes
            return lambda operands, dtype: reduction(operands[0], axis=axes)
        case LinOp():
            if node.kind not in _MATRICES:
                raise UnsupportedFunction(f"cannot lower the matrix function {node.kind}")
            function, params = _MATRICES[node.kind], node.params
            return lambda operands, dtype: function(*operands, *params)
        case Opaque():
            payload, index = node.payload, node.index
            return lambda operands, dtype: payload.run(*operands)[index]
    raise UnsupportedFunction(f"cannot lower a {type(node).__name__}")


def _constant(node: Const) -> Instruction:
    if all(map(is_truth, node.values)):
        truth = np.array([bool(v) for v in node.values]).reshape(node.shape)
        return lambda operands, dtype: jnp.asarray(truth)
    held = np.array([_float(v) for v in node.values]).reshape(node.shape)
    return lambda operands, dtype: jnp.asarray(held, dtype)


def _float(value: sp.Basic) -> float:
    return float(value)


def _indicator(node: Affine) -> Array:
    """Where an index equation holds; computed where it is used, so XLA stores no array for it."""
    total: Any = node.offset
    for axis, coefficient in enumerate(node.coefficients):
        if coefficient:
            shape = [1] * len(node.shape)
            shape[axis] = node.shape[axis]
            total = total + coefficient * jnp.reshape(jnp.arange(node.shape[axis]), shape)
    holds = jnp.asarray(total == 0 if node.relation == "=" else total >= 0)
    return jnp.broadcast_to(holds, node.shape)


@lru_cache(maxsize=1024)
def kernel_program(kernel: sp.Lambda) -> Program:
    """A scalar kernel in its stable form as a program over arrays."""
    return compile_program((fuse(stable(kernel.expr).expr),), list(kernel.signature))


def _map(node: Map) -> Instruction:
    program, axes, rank, shape = kernel_program(node.kernel), node.axes, len(node.shape), node.shape
    is_predicate = is_truth(node.kernel.expr)

    def run(operands: Sequence[Array], dtype: Any) -> Array:
        laid = [lay(_real(x, dtype), a, rank) for x, a in zip(operands, axes, strict=True)]
        (result,) = program(*laid)
        result = jnp.broadcast_to(result, shape)
        return result if is_predicate else result.astype(dtype)

    return run


def _real(x: Array, dtype: Any) -> Array:
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(dtype)


def _choice(node: Select) -> Instruction:
    axes, rank, shape = node.axes, len(node.shape), node.shape

    def run(operands: Sequence[Array], dtype: Any) -> Array:
        which, on_true, on_false = (lay(x, a, rank) for x, a in zip(operands, axes, strict=True))
        return jnp.broadcast_to(jnp.where(which, on_true, on_false), shape)

    return run


#: A transposed array of this many entries is written to memory before it is added.
LEAST_TRANSPOSED = 2**16


def _sum(node: Add, sizes: Mapping[str, int]) -> Instruction:
    axes, rank, shape = node.axes, len(node.shape), node.shape
    coefficients = [_coefficient(c, sizes) for c in node.coefficients]
    turned = [_is_turned(x, a) for x, a in zip(node.operands, axes, strict=True)]
    order = sorted(range(len(turned)), key=turned.__getitem__)  # transposed arrays come last

    def run(operands: Sequence[Array], dtype: Any) -> Array:
        total: Any = None
        for k in order:
            c, term = coefficients[k], lay(_real(operands[k], dtype), axes[k], rank)
            if total is None:
                total = term if c == 1 else c * term
            elif turned[k] and total.shape == term.shape:
                total = add_transposed(total, term if c == 1 else c * term)
            elif c == 1:
                total = total + term
            elif c == -1:
                total = total - term
            else:
                total = total + c * term
        if total is None:
            return jnp.zeros(shape, dtype)
        return jnp.broadcast_to(total, shape).astype(dtype)

    return run


def _is_turned(node: Node, axes: Axes) -> bool:
    """Whether a term reads a large array with its axes in another order than those of the sum."""
    size = prod(node.shape)
    if size < LEAST_TRANSPOSED or list(axes) == sorted(axes):
        return False
    waiting = [node]
    while waiting:
        x = waiting.pop()
        if isinstance(x, Einsum) and len(x.sizes) > len(x.out):
            return True
        if not isinstance(x, Einsum | Add | Map | Select | Affine):
            return True
        # An index equation is computed where it is used, and small operands stay in the cache.
        waiting += [y for y in x.operands if prod(y.shape) == size]
    return False


def _coefficient(c: sp.Expr, sizes: Mapping[str, int]) -> int | float:
    named = {s: sizes[s.name] for s in c.free_symbols if s.name in sizes}
    value = c.subs(named) if named else c
    if value.free_symbols:
        listed = ", ".join(sorted(s.name for s in value.free_symbols))
        raise UsageError(f"the sizes {listed} have no value; give them in constants=")
    return int(value) if value.is_Integer and abs(int(value)) < 2**31 else float(value)


# products -----------------------------------------------------------------------------------------


def _product(node: Einsum) -> Instruction:
    """An einsum after its selections were carried out as slices and paddings."""
    factors = list(node.factors)
    diagonal = _diagonal_of(node)
    if diagonal is not None:
        return diagonal
    place = scaled_of_gram(node)
    if place is not None:
        return _gram(node, place)
    operands = [list(labels) for _, labels in factors]
    moves, used = _moves(node)
    kept = [k for k in range(len(factors)) if k not in used]
    labels = {k: list(operands[k]) for k in kept}
    for move in moves:
        labels[move.operand] = move.labels_after
    masks = {k: x for k in kept if isinstance(x := factors[k][0], Affine)}
    out = list(node.out)

    def run(values: Sequence[Array], dtype: Any) -> Array:
        held = {k: values[k] for k in kept}
        for k, mask in masks.items():
            held[k] = _indicator(mask).astype(dtype)
        for move in moves:
            held[move.operand] = move.run(held[move.operand])
        return contract([_real(held[k], dtype) for k in kept], [labels[k] for k in kept], out)

    return run


def _gram(node: Node, place: int) -> Instruction:
    """A symmetric product of two matrices by half of its blocks."""
    assert isinstance(node, Einsum)
    (_, own), (_, other) = node.factors[place], node.factors[1 - place]
    (summed,) = set(own) & set(other)

    def run(values: Sequence[Array], dtype: Any) -> Array:
        arrays = (_real(values[place], dtype), _real(values[1 - place], dtype))
        laid = [x if ls[0] == summed else x.T for x, ls in zip(arrays, (own, other), strict=True)]
        return gram(*laid)

    return run


def _diagonal_of(node: Einsum) -> Instruction | None:
    """diag(v): a product with one identity between two labels of the result."""
    eyes = [(k, ls) for k, (x, ls) in enumerate(node.factors) if _is_identity(x)]
    others = [(k, ls) for k, (x, ls) in enumerate(node.factors) if not isinstance(x, Affine)]
    if len(eyes) != 1 or len(eyes) + len(others) != len(node.factors) or not others:
        return None
    _, (left, right) = eyes[0]
    if left not in node.out or right not in node.out:
        return None
    carried = {label for _, ls in others for label in ls}
    keep, extra = (left, right) if left in carried else (right, left)
    if extra in carried or keep not in carried:
        return None
    inner_out = [label for label in node.out if label != extra]
    where, place = inner_out.index(keep), list(node.out).index(extra)
    keep_place = list(node.out).index(keep)
    labels = [ls for _, ls in others]

    def run(values: Sequence[Array], dtype: Any) -> Array:
        inner = contract([_real(values[k], dtype) for k, _ in others], labels, inner_out)
        n = inner.shape[where]
        wide = jnp.expand_dims(inner, place)
        shape = [1] * wide.ndim
        shape[place] = shape[keep_place] = n
        return jnp.where(jnp.eye(n, dtype=bool).reshape(shape), wide, jnp.zeros((), wide.dtype))

    return run


def _is_identity(node: Node) -> bool:
    return isinstance(node, Affine) and node.is_identity


class _Move:
    """A slice or padding of one axis of an operand in place of a contraction with a selection."""

    def __init__(
        self, operand: int, axis: int, labels_after: list[int], config: tuple[int, ...]
    ) -> None:
        self.operand = operand
        self.axis = axis
        self.labels_after = labels_after
        self.start, self.stride, self.length = config

    def run(self, x: Array) -> Array:
        """Entries start, start + stride, ... of the axis, 0 outside it."""
        n = x.shape[self.axis]
        last = self.start + self.stride * (self.length - 1)
        low, high = max(0, -min(self.start, last)), max(0, max(self.start, last) - (n - 1))
        if low or high:
            widths = [(0, 0)] * x.ndim
            widths[self.axis] = (low, high)
            x = jnp.pad(x, widths)
        first, final = self.start + low, last + low
        if self.stride < 0:
            picked = jax.lax.slice_in_dim(x, final, first + 1, -self.stride, self.axis)
            return jnp.flip(picked, self.axis)
        return jax.lax.slice_in_dim(x, first, final + 1, self.stride, self.axis)


def _moves(node: Einsum) -> tuple[list[_Move], set[int]]:
    """Selections [a = start + stride b] whose summed label a is an axis of one other factor."""
    factors = node.factors
    counts: dict[int, int] = {}
    for _, labels in factors:
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    moves: list[_Move] = []
    used: set[int] = set()
    current = {k: list(labels) for k, (_, labels) in enumerate(factors)}
    for k, (x, labels) in enumerate(factors):
        if not isinstance(x, Affine) or x.relation != "=" or len(labels) != 2:
            continue
        for own in (0, 1):
            inside, outside = labels[own], labels[1 - own]
            c, d = x.coefficients[own], x.coefficients[1 - own]
            if abs(c) != 1 or inside in node.out or counts[inside] != 2:
                continue
            holders = [j for j in current if j != k and inside in current[j]]
            if len(holders) != 1 or isinstance(factors[holders[0]][0], Affine):
                continue
            (j,) = holders
            axis = current[j].index(inside)
            if outside in current[j]:
                continue
            after = [outside if label == inside else label for label in current[j]]
            # c*a + d*b + offset = 0 with c = +-1: a = -c*(d*b + offset)
            config = (-c * x.offset, -c * d, x.shape[1 - own])
            moves.append(_Move(j, axis, after, config))
            current[j] = after
            used.add(k)
            break
    return moves, used


# reductions and matrices --------------------------------------------------------------------------


def _logsumexp(x: Array, axis: Axes) -> Array:
    return jax.scipy.special.logsumexp(x, axis=axis)


_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "max": jnp.max,
    "min": jnp.min,
    "prod": jnp.prod,
    "logsumexp": _logsumexp,
}


def _inverse_gaps(values: Array) -> Array:
    gap = values[..., None, :] - values[..., :, None]
    off = ~jnp.eye(values.shape[-1], dtype=bool)
    return jnp.where(off, 1.0 / jnp.where(off, gap, 1.0), 0.0)


def _symmetric(x: Array) -> Array:
    return (x + jnp.swapaxes(x, -1, -2)) / 2


def _svd(part: int) -> Callable[[Array], Array]:
    return lambda x: jnp.linalg.svd(x, full_matrices=False)[part]


_MATRICES: dict[str, Callable[..., Array]] = {
    "inv": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "logabsdet": lambda x: jnp.linalg.slogdet(x)[1],
    "detsign": lambda x: jnp.linalg.slogdet(x)[0],
    "power": jnp.linalg.matrix_power,
    "pinv": jnp.linalg.pinv,
    "cholesky": lambda x: jnp.linalg.cholesky(_symmetric(x)),
    "expm": jax.scipy.linalg.expm,
    "eigenvalues": lambda x: jnp.linalg.eigh(x)[0],
    "eigenvectors": lambda x: jnp.linalg.eigh(x)[1],
    "inverse_gaps": _inverse_gaps,
    "singular_values": lambda x: jnp.linalg.svd(x, compute_uv=False),
    "left_singular": _svd(0),
    "right_singular": _svd(2),
    "qr_orthogonal": lambda x: jnp.linalg.qr(x)[0],
    "qr_triangular": lambda x: jnp.linalg.qr(x)[1],
    "lu_lower": lambda x: jnp.tril(jax.lax.linalg.lu(x)[0], -1)
    + jnp.eye(x.shape[-1], dtype=x.dtype),
    "lu_upper": lambda x: jnp.triu(jax.lax.linalg.lu(x)[0]),
    "lu_permutation": lambda x: jax.nn.one_hot(jax.lax.linalg.lu(x)[2], x.shape[-1], dtype=x.dtype),
}

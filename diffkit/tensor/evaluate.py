"""Evaluate a node with NumPy: slow and plain, the reference everything else is held against.

It shares no code with `bridge.lower`, and reads vocabulary functions by their definitions.
"""

import math
from collections.abc import Callable, Mapping
from functools import reduce as fold
from itertools import combinations
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy.core.relational import Relational

from diffkit.core.errors import UnknownNameError, UnsupportedFunction
from diffkit.symbolic.scalar_function import ScalarFunction
from diffkit.symbolic.walk import nodes
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Opaque,
    Reduce,
    Select,
    Var,
    topological,
)

Array = Any
#: Labels that `np.einsum` can tell apart.
MOST_LABELS = 52


def evaluate(
    root: Node,
    values: Mapping[str, Array],
    sizes: Mapping[str, int] | None = None,
    known: dict[Node, Array] | None = None,
) -> Any:
    """The value of a node.

    Args:
        root: Any node; an `Opaque` one is run by its payload.
        values: Name of an input -> its array.
        sizes: Value of size symbols in coefficients.
        known: Values of nodes at the same inputs; those that are computed are added.

    Raises:
        UnknownNameError: an input has no value.
        UnsupportedFunction: a node or function without a rule.
    """
    done: dict[Node, Array] = {} if known is None else known
    with np.errstate(all="ignore"):
        for node in topological(root):
            if node not in done:
                done[node] = _value(node, done, values, sizes or {})
    return done[root]


def _value(
    node: Node, done: Mapping[Node, Array], values: Mapping[str, Array], sizes: Mapping[str, int]
) -> Array:
    operands = [done[x] for x in node.operands]
    match node:
        case Var():
            if node.name not in values:
                raise UnknownNameError(f"{node.name} has no value; given: {', '.join(values)}")
            return np.asarray(values[node.name], dtype=float)
        case Const():
            entries = [_entry(v) for v in node.values]
            return np.asarray(entries).reshape(node.shape)
        case Affine():
            return indicator_array(node).astype(float)
        case Map():
            laid = [_lay(x, a, node) for x, a in zip(operands, node.axes, strict=True)]
            scope = dict(zip(node.kernel.signature, laid, strict=True))
            return np.broadcast_to(scalar_value(node.kernel.expr, scope), node.shape)
        case Select():
            which, on_true, on_false = (
                _lay(x, a, node) for x, a in zip(operands, node.axes, strict=True)
            )
            return np.where(which, on_true, on_false)
        case Add():
            total = np.zeros(node.shape)
            for c, x, a in zip(node.coefficients, operands, node.axes, strict=True):
                total = total + _coefficient(c, sizes) * _lay(x, a, node)
            return total
        case Einsum():
            return _contracted(list(zip(operands, node.labels, strict=True)), node.out)
        case Reduce():
            return _REDUCTIONS[node.kind](operands[0], node.axes)
        case LinOp():
            if node.kind in _MATRICES:
                return _MATRICES[node.kind](operands[0], *node.params)
        case Opaque():
            return np.asarray(node.payload.run(*operands)[node.index])
    raise UnsupportedFunction(f"{type(node).__name__} {node.key} has no value here")


def _contracted(factors: list[tuple[Array, tuple[int, ...]]], out: tuple[int, ...]) -> Array:
    """A product over labels; one of more labels than NumPy has letters is done in steps."""
    sizes = {l: n for x, ls in factors for l, n in zip(ls, np.shape(x), strict=True)}
    while len({l for _, labels in factors for l in labels}) > MOST_LABELS:
        pairs = combinations(range(len(factors)), 2)
        options = ((_between(factors, i, j, out), i, j) for i, j in pairs)
        kept, i, j = min(options, key=lambda o: math.prod(sizes[l] for l in o[0]))
        rest = [f for k, f in enumerate(factors) if k not in (i, j)]
        factors = [(_einsum([factors[i], factors[j]], kept), kept), *rest]
    return _einsum(factors, out)


def _between(
    factors: list[tuple[Array, tuple[int, ...]]], i: int, j: int, out: tuple[int, ...]
) -> tuple[int, ...]:
    """Labels of the product of two factors that somebody else, or the result, still needs."""
    needed = {*out, *(l for k, (_, ls) in enumerate(factors) if k not in (i, j) for l in ls)}
    return tuple(dict.fromkeys(l for l in (*factors[i][1], *factors[j][1]) if l in needed))


def _einsum(factors: list[tuple[Array, tuple[int, ...]]], out: tuple[int, ...]) -> Array:
    names = {l: k for k, l in enumerate(dict.fromkeys(l for _, ls in factors for l in ls))}
    pairs = [p for x, labels in factors for p in (x, [names[l] for l in labels])]
    return np.einsum(*pairs, [names[l] for l in out], optimize="greedy")


def indicator_array(node: Affine) -> Array:
    """The truth values of an index equation."""
    grid = np.indices(node.shape)
    total = sum((c * axis for c, axis in zip(node.coefficients, grid, strict=True)), node.offset)
    total = np.broadcast_to(total, node.shape)
    return total == 0 if node.relation == "=" else total >= 0


def _entry(value: sp.Basic) -> bool | float:
    if value in (sp.true, sp.false):
        return bool(value)
    return float(value)


def _coefficient(c: sp.Expr, sizes: Mapping[str, int]) -> float:
    named = {s: sizes[s.name] for s in c.free_symbols if s.name in sizes}
    return float(c.subs(named)) if named else float(c)


def _lay(x: Array, axes: tuple[int, ...], node: Node) -> Array:
    """An operand with its axes at their places in the result, length 1 elsewhere."""
    order = sorted(range(len(axes)), key=axes.__getitem__)
    shape = [1] * len(node.shape)
    for k, axis in enumerate(axes):
        shape[axis] = x.shape[k]
    return np.transpose(x, order).reshape(shape)


# scalar kernels -----------------------------------------------------------------------------------


def scalar_value(expr: sp.Basic, scope: Mapping[sp.Symbol, Array]) -> Array:
    """A scalar expression at arrays of its symbols."""
    done: dict[sp.Basic, Array] = dict(scope)
    for node in nodes(expr):
        if node not in done:
            done[node] = _scalar(node, done)
    return done[expr]


def _scalar(node: sp.Basic, done: dict[sp.Basic, Array]) -> Array:
    if isinstance(node, sp.logic.boolalg.BooleanAtom):
        return bool(node)
    if isinstance(node, sp.Number | sp.NumberSymbol):
        return float(node)
    if isinstance(node, ScalarFunction):
        held = {arg: sp.Dummy(real=True) for arg in node.args}
        expr = node.row.definition(*held.values())
        return scalar_value(expr, {held[arg]: done[arg] for arg in node.args})
    if isinstance(node, sp.functions.elementary.piecewise.ExprCondPair):
        return None
    if isinstance(node, sp.Piecewise):
        pairs = [(done[pair.cond], done[pair.expr]) for pair in node.args]
        return fold(lambda rest, p: np.where(p[0], p[1], rest), reversed(pairs), np.nan)
    args = [done[arg] for arg in node.args]
    for kind, rule in _SCALARS.items():
        if isinstance(node, kind):
            return rule(*args)
    raise UnsupportedFunction(f"{type(node).__name__} has no value here")


def _mp(name: str) -> Callable[..., Array]:
    return np.vectorize(
        lambda *args: float(mpmath.re(getattr(mpmath, name)(*args))), otypes=[float]
    )


def _power(base: Array, exponent: Array) -> Array:
    return np.power(np.asarray(base, dtype=float), exponent)


_SCALARS: dict[Any, Callable[..., Array]] = {
    sp.Add: lambda *a: fold(np.add, a),
    sp.Mul: lambda *a: fold(np.multiply, a),
    sp.Pow: _power,
    sp.exp: np.exp,
    sp.log: np.log,
    sp.sin: np.sin,
    sp.cos: np.cos,
    sp.tan: np.tan,
    sp.asin: np.arcsin,
    sp.acos: np.arccos,
    sp.atan: np.arctan,
    sp.atan2: np.arctan2,
    sp.sinh: np.sinh,
    sp.cosh: np.cosh,
    sp.tanh: np.tanh,
    sp.asinh: np.arcsinh,
    sp.acosh: np.arccosh,
    sp.atanh: np.arctanh,
    sp.erf: np.vectorize(math.erf, otypes=[float]),
    sp.erfc: np.vectorize(math.erfc, otypes=[float]),
    sp.erfinv: _mp("erfinv"),
    sp.gamma: _mp("gamma"),
    sp.loggamma: _mp("loggamma"),
    sp.digamma: _mp("digamma"),
    sp.besseli: _mp("besseli"),
    sp.betainc_regularized: np.vectorize(
        lambda *a: float(mpmath.betainc(*a, regularized=True)), otypes=[float]
    ),
    sp.beta: _mp("beta"),
    sp.Ei: _mp("ei"),
    sp.expint: _mp("expint"),
    sp.zeta: _mp("zeta"),
    sp.polygamma: lambda n, x: _mp("psi")(n, x),
    sp.Abs: np.abs,
    sp.sign: np.sign,
    sp.floor: np.floor,
    sp.ceiling: np.ceil,
    sp.Max: lambda *a: fold(np.maximum, a),
    sp.Min: lambda *a: fold(np.minimum, a),
    sp.And: lambda *a: fold(np.logical_and, a),
    sp.Or: lambda *a: fold(np.logical_or, a),
    sp.Not: np.logical_not,
    sp.Xor: lambda *a: fold(np.logical_xor, a),
    sp.ITE: np.where,
    sp.Eq: np.equal,
    sp.Ne: np.not_equal,
    sp.Lt: np.less,
    sp.Le: np.less_equal,
    sp.Gt: np.greater,
    sp.Ge: np.greater_equal,
    Relational: np.equal,
}


# reductions and matrices --------------------------------------------------------------------------


def _logsumexp(x: Array, axes: tuple[int, ...]) -> Array:
    top = np.max(x, axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.log(np.sum(np.exp(x - top), axis=axes)) + np.squeeze(top, axis=axes)


_REDUCTIONS: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "max": lambda x, axes: np.max(x, axis=axes),
    "min": lambda x, axes: np.min(x, axis=axes),
    "prod": lambda x, axes: np.prod(x, axis=axes),
    "logsumexp": _logsumexp,
}


def _expm(x: Array) -> Array:
    """Scaling and squaring of the Taylor series."""
    squarings = max(0, int(np.ceil(np.log2(max(np.abs(x).sum(axis=-1).max(), 1e-9)))) + 6)
    small = x / 2.0**squarings
    term = total = np.broadcast_to(np.eye(x.shape[-1]), x.shape)
    for k in range(1, 16):
        term = term @ small / k
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def _inverse_gaps(values: Array) -> Array:
    gap = values[..., None, :] - values[..., :, None]
    return np.where(gap == 0, 0.0, 1.0 / np.where(gap == 0, 1.0, gap))


def _symmetric(x: Array) -> Array:
    return (x + np.swapaxes(x, -1, -2)) / 2


def _eliminated(x: Array) -> Array:
    """L, U and P of P X = L U, the largest entry of a column being its pivot."""
    if x.ndim > 2:
        return np.stack([_eliminated(each) for each in x], axis=1)
    n = x.shape[0]
    lower, upper, swap = np.zeros((n, n)), np.array(x, float), np.eye(n)
    for k in range(n):
        pivot = k + int(np.argmax(np.abs(upper[k:, k])))
        for each in (lower, upper, swap):
            each[[k, pivot]] = each[[pivot, k]]
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= np.outer(lower[k + 1 :, k], upper[k])
    return np.stack([lower + np.eye(n), np.triu(upper), swap])


_MATRICES: dict[str, Callable[..., Array]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "logabsdet": lambda x: np.linalg.slogdet(x)[1],
    "detsign": lambda x: np.linalg.slogdet(x)[0],
    "power": np.linalg.matrix_power,
    "pinv": np.linalg.pinv,
    "cholesky": lambda x: np.linalg.cholesky(_symmetric(x)),
    "expm": _expm,
    "eigenvalues": lambda x: np.linalg.eigh(_symmetric(x))[0],
    "eigenvectors": lambda x: np.linalg.eigh(_symmetric(x))[1],
    "inverse_gaps": _inverse_gaps,
    "singular_values": lambda x: np.linalg.svd(x, compute_uv=False),
    "left_singular": lambda x: np.linalg.svd(x, full_matrices=False)[0],
    "right_singular": lambda x: np.linalg.svd(x, full_matrices=False)[2],
    "qr_orthogonal": lambda x: np.linalg.qr(x)[0],
    "qr_triangular": lambda x: np.linalg.qr(x)[1],
    "lu_lower": lambda x: _eliminated(x)[0],
    "lu_upper": lambda x: _eliminated(x)[1],
    "lu_permutation": lambda x: _eliminated(x)[2],
}

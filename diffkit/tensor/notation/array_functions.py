"""The functions of arrays that a formula may call, as operations on views: one table.

Names are NumPy's; scalar functions are not here but in `symbolic.names`.  A row says how many
arrays come first, which options follow and in which order, and whether leading axes are a batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor import views
from diffkit.tensor.notation.array_reductions import (
    Axis,
    axes_of,
    deviation,
    log_softmax,
    logsumexp,
    mean,
    norm,
    reduction,
    require_matrix,
    singular_values,
    softmax,
    total,
    variance,
)
from diffkit.tensor.views import View

#: Options and what each takes: the readers convert text accordingly.
OPTIONS: Mapping[str, str] = {
    "axis": "axis",
    "axes": "axis",
    "keepdims": "flag",
    "shape": "shape",
    "n": "whole",
    "k": "whole",
    "offset": "whole",
    "axis1": "whole",
    "axis2": "whole",
    "ord": "order",
    "ddof": "whole",
    "where": "value",
}


@dataclass(frozen=True)
class ArrayFunction:
    """A function of arrays.

    Args:
        run: Views, then options by keyword, to a view.
        least: Fewest arrays.
        most: Most arrays.
        options: Names of the options in their positional order.
        needed: How many of the options must be given.
        is_batch: Whether leading axes are a batch, so that arrays with an index may be passed.
        reduces_all: Whether it runs over every axis when no axis is given.
    """

    run: Callable[..., View]
    least: int = 1
    most: int = 1
    options: tuple[str, ...] = ()
    needed: int = 0
    is_batch: bool = False
    reduces_all: bool = False


def eigenvalues(x: View) -> View:
    """The eigenvalues of a symmetric matrix, ascending."""
    _square(x, "an eigenvalue")
    return views.part_of_matrix("eigenvalues", x, x.shape[-1:])


def _square(x: View, what: str) -> None:
    if x.rank < 2 or x.shape[-1] != x.shape[-2]:
        raise UsageError(f"{what} needs a square matrix, not shape {x.shape}")


def _of_square(kind: str, name: str) -> Callable[[View], View]:
    def run(x: View) -> View:
        _square(x, name)
        return views.function_of_matrix(kind, x)

    return run


expm = _of_square("expm", "expm")
cholesky = _of_square("cholesky", "cholesky")


def pinv(x: View) -> View:
    """The Moore-Penrose inverse."""
    require_matrix(x, "pinv")
    return views.function_of_matrix("pinv", x)


def solve(a: View, b: View) -> View:
    """a^-1 b."""
    _square(a, "solve")
    return views.solve(a, b)


def trace(x: View) -> View:
    """The sum of the diagonal."""
    if x.rank != 2:
        raise UsageError(f"trace needs a matrix, not shape {x.shape}")
    return views.trace(x)


def diag(x: View, *, k: int = 0) -> View:
    """A vector as a diagonal matrix, or the diagonal of a matrix."""
    if x.rank not in (1, 2):
        raise UsageError(f"diag needs a vector or a matrix, not shape {x.shape}")
    if x.rank == 1 and k:
        raise UsageError("diag of a vector is read without an offset")
    return views.diag(x) if x.rank == 1 else views.diagonal(x, k)


def diagonal(x: View, *, offset: int = 0) -> View:
    """The diagonal of a matrix."""
    if x.rank != 2:
        raise UsageError(f"diagonal needs a matrix, not shape {x.shape}")
    return views.diagonal(x, offset)


def transpose(x: View, *, axes: Axis = None) -> View:
    """Axes reversed, or in the order given."""
    order = tuple(reversed(range(x.rank))) if axes is None else axes
    if not isinstance(order, tuple) or sorted(k % x.rank for k in order) != list(range(x.rank)):
        raise UsageError(f"axes of a transpose name each of the {x.rank} axes once")
    return views.transpose(x, [k % x.rank for k in order])


def swapaxes(x: View, *, axis1: int, axis2: int) -> View:
    """Two axes exchanged."""
    axes_of(x, (axis1, axis2))
    order = list(range(x.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return views.transpose(x, order)


def dot(x: View, y: View) -> View:
    """NumPy's dot for numbers, vectors and matrices."""
    if not x.rank or not y.rank:
        return views.multiply(x, y)
    if x.rank > 2 or y.rank > 2:
        raise UsageError("dot is read for vectors and matrices; write einsum for more axes")
    return views.matmul(x, y)


def vdot(x: View, y: View) -> View:
    """The sum of products of entries of two arrays of one shape."""
    if x.shape != y.shape:
        raise UsageError(f"vdot needs two arrays of one shape, not {x.shape}, {y.shape}")
    axes = tuple(range(x.rank))
    return views.contract([(x, axes), (y, axes)], ())


def inner(x: View, y: View) -> View:
    """The sum over the last axes, as NumPy has it: of two matrices A @ B.T."""
    if not x.rank or not y.rank:
        return views.multiply(x, y)
    rest, last = range(x.rank + y.rank - 2), x.rank + y.rank
    left, right = (*rest[: x.rank - 1], last), (*rest[x.rank - 1 :], last)
    return views.contract([(x, left), (y, right)], rest)


def outer(x: View, y: View) -> View:
    """x y', of the entries in order."""
    return views.outer(flatten(x), flatten(y))


def kron(x: View, y: View) -> View:
    """The Kronecker product of two vectors or two matrices."""
    if x.rank == y.rank == 1:
        return flatten(views.outer(x, y))
    if x.rank != 2 or y.rank != 2:
        raise UsageError("kron needs two matrices or two vectors")
    return views.kron(x, y)


def flatten(x: View) -> View:
    """All entries in row-major order."""
    return views.reshape(x, (prod(x.shape),))


def reshape(x: View, *, shape: tuple[int, ...] | int) -> View:
    """The entries in row-major order; one length may be -1."""
    wanted = [shape] if isinstance(shape, int) else list(shape)
    count = prod(x.shape)
    if wanted.count(-1) == 1:
        rest = prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = count // rest if rest else 0
    if prod(wanted) != count or any(n < 0 for n in wanted):
        raise UsageError(
            f"{count} entries of shape {x.shape} do not fit into shape {tuple(wanted)}"
        )
    return views.reshape(x, wanted)


def broadcast_to(x: View, *, shape: tuple[int, ...] | int) -> View:
    """The array stretched to a shape."""
    wanted = (shape,) if isinstance(shape, int) else shape
    padded = (1,) * (len(wanted) - x.rank) + x.shape
    if len(padded) != len(wanted) or any(
        a not in (1, b) for a, b in zip(padded, wanted, strict=True)
    ):
        raise UsageError(f"shape {x.shape} does not broadcast to {wanted}")
    return views.broadcast_to(x, wanted)


def expand_dims(x: View, *, axis: Axis) -> View:
    """A new axis of length 1."""
    if not isinstance(axis, int) or not -x.rank - 1 <= axis <= x.rank:
        raise UsageError("expand_dims takes one axis")
    return views.expand(x, axis % (x.rank + 1))


def squeeze(x: View, *, axis: Axis = None) -> View:
    """Without axes of length 1."""
    gone = [k for k in range(x.rank) if x.shape[k] == 1] if axis is None else axes_of(x, axis)
    if any(x.shape[k] != 1 for k in gone):
        raise UsageError(f"squeeze removes axes of length 1; the shape is {x.shape}")
    return views.squeeze(x, gone)


def triangle(*, upper: bool) -> Callable[..., View]:
    """Tril or triu."""

    def run(x: View, *, k: int = 0) -> View:
        require_matrix(x, "triu" if upper else "tril")
        return views.triangle(x, k, upper=upper)

    return run


def cumsum(x: View, *, axis: Axis = None) -> View:
    """Sums of the entries up to each one."""
    if axis is None:
        x, axis = flatten(x), 0
    (place,) = axes_of(x, axis)
    return views.cumulative_sum(x, place)


def matrix_power(x: View, *, n: int) -> View:
    """The product of a square matrix with itself."""
    _square(x, "matrix_power")
    if abs(n) > 30:
        raise UsageError("a matrix power is at most 30")
    return views.raise_matrix(x, n)


def symmetric(x: View) -> View:
    """(X + X')/2."""
    _square(x, "sym")
    return views.scale(sp.Rational(1, 2), views.add(x, views.matrix_transpose(x)))


def skew(x: View) -> View:
    """(X - X')/2."""
    _square(x, "skew")
    return views.scale(sp.Rational(1, 2), views.add(x, views.matrix_transpose(x), -1))


def adjugate(x: View) -> View:
    """det(X) X^-1, for a regular X."""
    _square(x, "adj")
    det = views.determinant(x)
    stretched = views.expand(views.expand(det, det.rank), det.rank + 1)
    return views.multiply(stretched, views.matrix_inverse(x))


def _determinant(kind: str) -> Callable[[View], View]:
    return lambda x: views.determinant(x, kind)


def _reducer(run: Callable[..., View], *more: str) -> ArrayFunction:
    return ArrayFunction(run, options=("axis", "keepdims", *more), is_batch=True, reduces_all=True)


_TWO = (2, 2)

#: Every function of arrays by its NumPy name.
ARRAY_FUNCTIONS: Mapping[str, ArrayFunction] = {
    "sum": _reducer(total),
    "mean": _reducer(mean),
    "prod": _reducer(reduction("prod")),
    "max": _reducer(reduction("max")),
    "min": _reducer(reduction("min")),
    "logsumexp": _reducer(logsumexp),
    "var": _reducer(variance, "ddof"),
    "std": _reducer(deviation, "ddof"),
    "softmax": ArrayFunction(softmax, options=("axis",), is_batch=True),
    "log_softmax": ArrayFunction(log_softmax, options=("axis",), is_batch=True),
    "norm": ArrayFunction(
        norm, options=("ord", "axis", "keepdims"), is_batch=True, reduces_all=True
    ),
    "cumsum": ArrayFunction(cumsum, options=("axis",)),
    "inv": ArrayFunction(views.matrix_inverse, is_batch=True),
    "pinv": ArrayFunction(pinv),
    "det": ArrayFunction(_determinant("det"), is_batch=True),
    "logdet": ArrayFunction(_determinant("logabsdet"), is_batch=True),
    "detsign": ArrayFunction(_determinant("detsign"), is_batch=True),
    "cholesky": ArrayFunction(cholesky),
    "expm": ArrayFunction(expm),
    "matrix_power": ArrayFunction(matrix_power, options=("n",), needed=1, is_batch=True),
    "eigvalsh": ArrayFunction(eigenvalues),
    "svdvals": ArrayFunction(singular_values),
    "solve": ArrayFunction(solve, *_TWO),
    "trace": ArrayFunction(trace),
    "diag": ArrayFunction(diag, options=("k",)),
    "diagonal": ArrayFunction(diagonal, options=("offset",)),
    "transpose": ArrayFunction(transpose, options=("axes",)),
    "matrix_transpose": ArrayFunction(views.matrix_transpose, is_batch=True),
    "swapaxes": ArrayFunction(swapaxes, options=("axis1", "axis2"), needed=2),
    "dot": ArrayFunction(dot, *_TWO),
    "matmul": ArrayFunction(views.matmul, *_TWO),
    "vdot": ArrayFunction(vdot, *_TWO),
    "inner": ArrayFunction(inner, *_TWO),
    "outer": ArrayFunction(outer, *_TWO),
    "kron": ArrayFunction(kron, *_TWO),
    "ravel": ArrayFunction(flatten),
    "reshape": ArrayFunction(reshape, options=("shape",), needed=1),
    "broadcast_to": ArrayFunction(broadcast_to, options=("shape",), needed=1),
    "expand_dims": ArrayFunction(expand_dims, options=("axis",), needed=1),
    "squeeze": ArrayFunction(squeeze, options=("axis",)),
    "tril": ArrayFunction(triangle(upper=False), options=("k",)),
    "triu": ArrayFunction(triangle(upper=True), options=("k",)),
    "ones_like": ArrayFunction(lambda x: views.number(1, x.shape)),
    "zeros_like": ArrayFunction(lambda x: views.number(0, x.shape)),
    "sym": ArrayFunction(symmetric),
    "skew": ArrayFunction(skew),
    "adj": ArrayFunction(adjugate),
}

#: Other spellings of the same functions.
SPELLINGS: Mapping[str, str] = {
    "tr": "trace",
    "Tr": "trace",
    "amax": "max",
    "amin": "min",
    "vec": "ravel",
    "flatten": "ravel",
    "pseudo_inverse": "pinv",
    "chol": "cholesky",
    "multi_dot": "dot",
    "svd_vals": "svdvals",
    "logabsdet": "logdet",
    "mT": "matrix_transpose",
    "permute_dims": "transpose",
}


def function_named(name: str) -> ArrayFunction | None:
    """The function of that name, None if there is none."""
    return ARRAY_FUNCTIONS.get(SPELLINGS.get(name, name))

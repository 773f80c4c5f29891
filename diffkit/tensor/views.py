"""Arrays as programs see them: what readers of JAX programs and of matrix text speak to.

Both readers use this module, so both mean the same.  The arrays themselves, sums and reductions
are `tensor.array_view`; here are functions of matrices and selections.
"""

from collections.abc import Sequence

from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.array_view import (
    View,
    add,
    array,
    as_number,
    broadcast_in_dim,
    broadcast_to,
    choose,
    common_shape,
    compact,
    contract,
    dense,
    divide,
    elementwise,
    expand,
    mapped,
    mean,
    multiply,
    number,
    power,
    reduce,
    reshape,
    scale,
    squeeze,
    total,
    transpose,
    truth,
    view,
)
from diffkit.tensor.nodes import Node, affine
from diffkit.tensor.partials import inverse, matrix_power

__all__ = [
    "View",
    "add",
    "array",
    "as_number",
    "broadcast_in_dim",
    "broadcast_to",
    "choose",
    "common_shape",
    "compact",
    "concatenate",
    "contract",
    "cumulative_sum",
    "dense",
    "determinant",
    "diag",
    "diagonal",
    "divide",
    "elementwise",
    "expand",
    "eye",
    "function_of_matrix",
    "index",
    "kron",
    "mapped",
    "matmul",
    "matrix_inverse",
    "matrix_transpose",
    "mean",
    "multiply",
    "number",
    "outer",
    "pad",
    "part_of_matrix",
    "power",
    "raise_matrix",
    "reduce",
    "reshape",
    "scale",
    "select_linear",
    "solve",
    "squeeze",
    "total",
    "trace",
    "transpose",
    "triangle",
    "truth",
    "view",
]

# matrices -----------------------------------------------------------------------------------------


def matmul(x: View, y: View) -> View:
    """NumPy's `@`: vectors are rows or columns as needed, earlier axes are a batch.

    Raises:
        UsageError: an operand is a number, or lengths do not match.
    """
    if not x.rank or not y.rank:
        raise UsageError("@ needs arrays on both sides; write * for a product with a number")
    if x.shape[-1] != y.shape[-2 if y.rank > 1 else -1]:
        raise UsageError(f"shapes {x.shape} and {y.shape} do not match for @")
    batch = max(x.rank, y.rank, 2) - 2
    i, j, k = batch, batch + 1, batch + 2
    left = ([i] if x.rank > 1 else []) + [j]
    right = [j] + ([k] if y.rank > 1 else [])
    x_labels = [*range(batch - max(x.rank - 2, 0), batch), *left]
    y_labels = [*range(batch - max(y.rank - 2, 0), batch), *right]
    out = [
        *(range(batch) if batch else []),
        *([i] if x.rank > 1 else []),
        *([k] if y.rank > 1 else []),
    ]
    return contract([(x, x_labels), (y, y_labels)], out)


def matrix_transpose(x: View) -> View:
    """The last two axes exchanged; a vector stays as it is."""
    if x.rank < 2:
        return x
    return transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def _square(x: View, what: str) -> Node:
    if x.rank < 2 or x.shape[-1] != x.shape[-2]:
        raise UsageError(f"{what} needs a square matrix, not shape {x.shape}")
    return dense(x)


def matrix_inverse(x: View) -> View:
    """The inverse."""
    return view(inverse(_square(x, "inv")))


def solve(a: View, b: View) -> View:
    """a^-1 b."""
    return matmul(matrix_inverse(a), b)


def determinant(x: View, kind: str = "det") -> View:
    """The "det", "logabsdet" or "detsign" of the last two axes."""
    node = _square(x, kind)
    return view(build.linop(kind, node, node.shape[:-2]))


def trace(x: View) -> View:
    """The sum of the diagonal of the last two axes."""
    batch = range(x.rank - 2)
    if x.shape[-1] == x.shape[-2]:
        return contract([(x, (*batch, x.rank, x.rank))], [*batch])
    return total(diagonal(x), [-1])


def diagonal(x: View, offset: int = 0) -> View:
    """Entries (i, i + offset) of the last two axes."""
    rows, columns = x.shape[-2:]
    start = max(-offset, 0)
    count = max(min(rows - start, columns - max(offset, 0)), 0)
    batch = tuple(range(x.rank - 2))
    i, j, k = x.rank, x.rank + 1, x.rank + 2
    row = affine((rows, count), (1, -1), -start)
    column = affine((columns, count), (1, -1), -(start + offset))
    return contract([(x, (*batch, i, j)), (view(row), (i, k)), (view(column), (j, k))], (*batch, k))


def diag(x: View) -> View:
    """A vector as a diagonal matrix, or the diagonal of a matrix."""
    if x.rank != 1:
        return diagonal(x)
    eye = view(build.identity(x.shape[0]))
    return contract([(x, (0,)), (eye, (0, 1))], (0, 1))


def outer(x: View, y: View) -> View:
    """x y'."""
    left, right = tuple(range(x.rank)), tuple(range(x.rank, x.rank + y.rank))
    return contract([(x, left), (y, right)], (*left, *right))


def kron(x: View, y: View) -> View:
    """The Kronecker product of two matrices, row-major."""
    four = contract([(x, (0, 2)), (y, (1, 3))], (0, 1, 2, 3))
    return reshape(four, (x.shape[0] * y.shape[0], x.shape[1] * y.shape[1]))


def triangle(x: View, offset: int = 0, *, upper: bool = False) -> View:
    """tril or triu of the last two axes."""
    rows, columns = x.shape[-2:]
    # The lower triangle has j <= i + offset, the upper one j >= i + offset.
    mask = (
        affine((rows, columns), (-1, 1), -offset, ">=")
        if upper
        else affine((rows, columns), (1, -1), offset, ">=")
    )
    return multiply(x, view(mask))


def eye(rows: int, columns: int | None = None, offset: int = 0) -> View:
    """The identity matrix, or a shifted one."""
    return view(affine((rows, rows if columns is None else columns), (1, -1), offset))


def raise_matrix(x: View, exponent: int) -> View:
    """x @ x @ ... for a whole exponent."""
    return view(matrix_power(_square(x, "matrix_power"), exponent))


def function_of_matrix(kind: str, x: View) -> View:
    """The "cholesky", "expm", "pinv" or another function whose result is a matrix."""
    node = dense(x)
    shape = node.shape if kind != "pinv" else (*node.shape[:-2], node.shape[-1], node.shape[-2])
    return view(build.linop(kind, node, shape))


def part_of_matrix(kind: str, x: View, tail: Sequence[int]) -> View:
    """Eigenvalues, singular vectors and the like: the batch axes, then `tail`."""
    node = dense(x)
    return view(build.linop(kind, node, (*node.shape[:-2], *tail)))


# selections ---------------------------------------------------------------------------------------


def select_linear(x: View, axis: int, length: int, stride: int, start: int) -> View:
    """Entry i of the result is entry start + stride*i of the axis, 0 outside it.

    Slices (start >= 0), paddings (start < 0) and reversals (stride < 0) are such selections.
    """
    if x.axes[axis] is None and start >= 0 and start + stride * (length - 1) < x.shape[axis]:
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        return View(x.node, x.axes, shape)
    if start == 0 and stride == 1 and length == x.shape[axis]:
        return x
    pick = view(affine((x.shape[axis], length), (1, -stride), -start))
    labels = list(range(x.rank))
    out = [*labels[:axis], x.rank, *labels[axis + 1 :]]
    return contract([(x, labels), (pick, (axis, x.rank))], out)


def pad(x: View, axis: int, low: int, high: int, interior: int = 0) -> View:
    """Zeros before, after and between the entries of an axis; negative widths cut."""
    n = x.shape[axis]
    step = interior + 1
    length = max(low + high + (step * (n - 1) + 1 if n else 0), 0)
    if low == high == interior == 0:
        return x
    # entry i of the operand becomes entry low + step*i
    place = view(affine((n, length), (step, -1), low))
    labels = list(range(x.rank))
    out = [*labels[:axis], x.rank, *labels[axis + 1 :]]
    return contract([(x, labels), (place, (axis, x.rank))], out)


def concatenate(parts: Sequence[View], axis: int) -> View:
    """Arrays one after the other: the sum of their paddings."""
    length = sum(x.shape[axis] for x in parts)
    result: View | None = None
    first = 0
    for x in parts:
        after = length - first - x.shape[axis]
        padded = pad(x, axis, first, after)
        result = padded if result is None else add(result, padded)
        first += x.shape[axis]
    if result is None:
        raise UsageError("nothing to concatenate")
    return result


def index(x: View, axis: int, place: int) -> View:
    """One entry of an axis, which vanishes."""
    if x.axes[axis] is None:
        axes = (*x.axes[:axis], *x.axes[axis + 1 :])
        return View(x.node, axes, (*x.shape[:axis], *x.shape[axis + 1 :]))
    unit = view(affine((x.shape[axis],), (1,), -place))
    labels = list(range(x.rank))
    return contract([(x, labels), (unit, (axis,))], [*labels[:axis], *labels[axis + 1 :]])


def cumulative_sum(x: View, axis: int, *, reverse: bool = False) -> View:
    """Sums of the entries up to (or from) each one."""
    n = x.shape[axis]
    weights = (-1, 1) if not reverse else (1, -1)
    mask = view(affine((n, n), weights, 0, ">="))  # (operand, result)
    labels = list(range(x.rank))
    out = [*labels[:axis], x.rank, *labels[axis + 1 :]]
    return contract([(x, labels), (mask, (axis, x.rank))], out)

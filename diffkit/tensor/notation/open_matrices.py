"""Matrices while a formula is read: products, transposes, inverses of arrays with open lengths."""

from dataclasses import replace

from diffkit.core.errors import UsageError
from diffkit.tensor import views
from diffkit.tensor.notation.lengths import broadcast, tie
from diffkit.tensor.notation.open_array import (
    OpenArray,
    apply,
    array,
    labelled,
    multiply,
    numeric,
    own_letters,
    union_of,
)

#: Largest exponent of a power of a matrix.
MAX_MATRIX_EXPONENT = 30


def transpose(x: OpenArray) -> OpenArray:
    """The last two own axes exchanged; a vector turns from column to row and back."""
    if x.rank < 2:
        return replace(x, is_row=x.rank == 1 and not x.is_row)
    shape = (*x.shape[:-2], x.shape[-1], x.shape[-2])
    flipped = array(shape, lambda: views.matrix_transpose(x.make()), x.indices)
    return replace(flipped, blocks=x.blocks and x.blocks[::-1])


def matmul(x: OpenArray, y: OpenArray) -> OpenArray:
    """NumPy's `@`."""
    x, y = numeric(x), numeric(y)
    if not x.rank or not y.rank:
        raise UsageError("@ needs arrays on both sides; write * for a product with a number")
    tie(x.own[-1], y.own[-2 if y.rank > 1 else -1])
    batch = broadcast(x.own[:-2], y.own[:-2])
    rows = x.own[-2:-1] if x.rank > 1 else ()
    columns = y.own[-1:] if y.rank > 1 else ()
    return array((*batch, *rows, *columns), lambda: views.matmul(x.make(), y.make()))


def product(x: OpenArray, y: OpenArray) -> OpenArray:
    """Two factors beside each other, as in LaTeX: vectors are columns, x' is a row.

    Raises:
        UsageError: two columns or two rows, or lengths that do not match.
    """
    x, y = numeric(x), numeric(y)
    if not x.rank or not y.rank:
        return replace(multiply(x, y), blocks=x.blocks or y.blocks)
    if max(x.rank, y.rank) > 2:
        raise UsageError("arrays of more than two axes are multiplied by their entries: A_{ijk}")
    left, right = _matrix_letters(x, "abc"), _matrix_letters(y, "bde", is_right=True)
    is_outer = x.rank == 1 and y.rank == 1 and not x.is_row and y.is_row
    if is_outer:
        left, right = ("#a",), ("#d",)
    elif left[-1] != "#b" or right[0] != "#b":
        raise UsageError(_mismatch(x, y))
    letters = [letter for letter in (*left, *right) if letter != "#b"]
    is_row = letters == ["#d"]
    result = labelled([(x, left), (y, right)], letters, union_of((x, y)), is_row=is_row)
    if x.blocks and y.blocks:
        return replace(result, blocks=(x.blocks[0], y.blocks[1]))
    return result


def _matrix_letters(x: OpenArray, names: str, *, is_right: bool = False) -> tuple[str, ...]:
    """Letters of a factor; "#b" is the axis that is summed."""
    if x.rank == 2:
        return ("#b", "#d") if is_right else ("#a", "#b")
    return ("#b",) if x.is_row != is_right else ("#" + names[0 if not is_right else 1],)


def _mismatch(x: OpenArray, y: OpenArray) -> str:
    if x.rank == y.rank == 1:
        kind = "rows" if x.is_row else "columns"
        return (
            f"two {kind} stand beside each other; write x^\\top y for a number, "
            "xy^\\top for a matrix, x\\odot y for the product of entries"
        )
    if x.rank == 1:
        return "a column stands before a matrix; transpose it or exchange the factors"
    return "a matrix stands before a row; transpose it or exchange the factors"


def inner(x: OpenArray, y: OpenArray) -> OpenArray:
    """The sum of the products of entries."""
    x, y = numeric(x), numeric(y)
    if x.rank != y.rank:
        raise UsageError("an inner product needs two arrays of one shape")
    own = own_letters(x)
    return labelled([(x, own), (y, own)], (), union_of((x, y)))


def inverse(x: OpenArray) -> OpenArray:
    """The inverse of a square matrix."""
    _require_square(x, "an inverse")
    result = apply(views.matrix_inverse, x, own=x.own)
    return replace(result, blocks=x.blocks)


def matrix_power(x: OpenArray, exponent: int) -> OpenArray:
    """The product of a square matrix with itself."""
    _require_square(x, "a matrix power")
    if abs(exponent) > MAX_MATRIX_EXPONENT:
        raise UsageError(f"a matrix power is at most {MAX_MATRIX_EXPONENT}")
    result = apply(lambda m: views.raise_matrix(m, exponent), x, own=x.own)
    return replace(result, blocks=x.blocks)


def trace(x: OpenArray) -> OpenArray:
    """The sum of the diagonal of a square matrix."""
    _require_square(x, "a trace")
    return apply(views.trace, x, own=())


def determinant(x: OpenArray, kind: str = "det") -> OpenArray:
    """The determinant of a square matrix, its sign, or the logarithm of its modulus."""
    _require_square(x, "a determinant")
    return apply(lambda m: views.determinant(m, kind), x, own=())


def is_square(x: OpenArray) -> bool:
    """Whether it is a matrix whose two lengths are one."""
    if x.rank != 2:
        return False
    rows, columns = x.own
    return rows.root() is columns.root() or (rows.value is not None and rows.value == columns.value)


def _require_square(x: OpenArray, what: str) -> None:
    if x.rank != 2:
        raise UsageError(f"{what} needs a square matrix, not {_kind(x)}")
    rows, columns = x.own
    if rows.value is not None and columns.value is not None and rows.value != columns.value:
        raise UsageError(f"{what} needs a square matrix, not {_kind(x)}")
    tie(rows, columns)


def _kind(x: OpenArray) -> str:
    shape = ", ".join("?" if n.value is None else str(n.value) for n in x.own)
    return "a number" if not x.rank else f"shape ({shape}{',' if x.rank == 1 else ''})"

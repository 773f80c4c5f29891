r"""What the signs of LaTeX formulas do to arrays: powers, quotients, norms, bars, blocks.

Where papers differ the rule is written here, and the reader notes which reading was taken.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.names import CALLEES
from diffkit.tensor import views
from diffkit.tensor.notation import array_functions as af
from diffkit.tensor.notation import array_reductions as ar
from diffkit.tensor.notation import open_array as oa
from diffkit.tensor.notation import open_matrices as om
from diffkit.tensor.notation.array_functions import function_named
from diffkit.tensor.notation.lengths import Length, shape_of, tie
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.notation.syntax import Token
from diffkit.tensor.views import View

#: The reader of LaTeX (`matrix_latex._LatexReader`).
Reader = Any

#: Scalar functions that papers also write for functions of matrices.
_OF_MATRICES = frozenset("sin cos tan log sinh cosh log10".split())
_X = sp.Symbol("_x", real=True)


# quotients and powers -----------------------------------------------------------------------------


def quotient(reader: Reader, x: OpenArray, y: OpenArray) -> OpenArray:
    """x over y: by a number, or entry by entry where y is a vector."""
    if y.rank == 2:
        raise UsageError("a matrix has no quotient; write X^{-1}, or \\oslash for entries")
    if y.rank and x.rank not in (0, y.rank):
        raise UsageError("a matrix over a vector is not read; write \\mathrm{diag}(x)^{-1}")
    if y.rank:
        reader.note("a quotient of vectors is taken entry by entry")
    return oa.divide(x, y)


def entry_quotient(x: OpenArray, y: OpenArray) -> OpenArray:
    r"""x \oslash y."""
    _require_one_shape(x, y, "\\oslash")
    return oa.divide(x, y)


def hadamard(x: OpenArray, y: OpenArray) -> OpenArray:
    r"""x \odot y."""
    _require_one_shape(x, y, "\\odot")
    return oa.multiply(x, y)


def _require_one_shape(x: OpenArray, y: OpenArray, sign: str) -> None:
    if x.rank and y.rank and x.rank != y.rank:
        raise UsageError(
            f"{sign} joins arrays of one shape; write \\mathrm{{diag}}(x)A to scale rows, "
            "A\\,\\mathrm{diag}(x) to scale columns"
        )
    if x.rank == y.rank == 1 and x.is_row != y.is_row:
        raise UsageError(f"{sign} joins a row and a column; transpose one of them")
    for left, right in zip(x.own, y.own, strict=False):
        if 1 not in (left.value, right.value):
            tie(left, right)


def dot(x: OpenArray, y: OpenArray) -> OpenArray:
    r"""x \cdot y: the inner product of two columns, else the product."""
    if x.rank == y.rank == 1 and x.is_row == y.is_row:
        return om.inner(x, y)
    return om.product(x, y)


def scaled(x: OpenArray, y: OpenArray) -> OpenArray:
    r"""x \times y and x * y, of which one is a number."""
    if x.rank and y.rank:
        raise UsageError(
            "between arrays this sign has several meanings; write AB, x\\odot y or x^\\top y"
        )
    return om.product(x, y)


def kron(reader: Reader, x: OpenArray, y: OpenArray) -> OpenArray:
    r"""x \otimes y; the size of an I in it may follow from the size of the whole."""
    if x.rank != 2 or y.rank != 2:
        raise UsageError("\\otimes joins two matrices; write ab^\\top for vectors")
    if x.indices or y.indices:
        raise UsageError("\\otimes of an array with an index is not read; name its entries")
    own = [Length(name="a Kronecker product") for _ in range(2)]
    for left, right, whole in zip(x.own, y.own, own, strict=True):
        reader.factorisations.append((left, right, whole))
    settle_factorisations(reader.factorisations)
    return oa.apply(views.kron, x, y, own=own)


def power(reader: Reader, base: OpenArray, exponent: OpenArray) -> OpenArray:
    """A power: of a number, of a square matrix as a product, of a vector entry by entry."""
    if exponent.rank:
        raise UsageError("an exponent is a number; write e^{x} or x^{\\odot 2}")
    if base.rank < 2:
        if base.rank:
            reader.note("a power of a vector is taken entry by entry")
        return oa.power(base, exponent)
    if not om.is_square(base):
        raise UsageError("only a square matrix has powers; write X^{\\odot 2} for its entries")
    literal = oa.literal_of(exponent.make()) if not exponent.indices else None
    if literal is None or not literal.is_Integer:
        shown = next(iter(sorted(literal.free_symbols, key=str)), None) if literal else None
        remedy = f'give constants={{"{shown}": 3}}' if shown else "write X^{\\odot 1/2} for entries"
        raise UsageError(f"the power of a matrix is a whole number; {remedy}")
    return om.matrix_power(base, int(literal))


def inverse(reader: Reader, x: OpenArray) -> OpenArray:
    """x^{-1}."""
    if x.rank == 2:
        return om.inverse(x)
    if x.rank:
        reader.note("the inverse of a vector is taken entry by entry")
    return oa.power(x, oa.number(-1))


def pseudo_inverse(x: OpenArray) -> OpenArray:
    """X^+."""
    if x.rank != 2:
        raise UsageError("only a matrix has a pseudo-inverse; write X^+ for a matrix X")
    return oa.apply(af.pinv, x, own=x.own[::-1])


def exponential(x: OpenArray) -> OpenArray:
    """e^x: of a square matrix its exponential, else of the entries."""
    if om.is_square(x):
        return replace(oa.apply(af.expm, x, own=x.own), blocks=x.blocks)
    return oa.scalar_function(sp.exp, "exp", x)


def root(x: OpenArray, order: OpenArray | None) -> OpenArray:
    """A root of a number or of the entries of a vector."""
    if om.is_square(x):
        raise UsageError("the root of a matrix is not read; write X^{\\odot 1/2} for its entries")
    exponent = oa.divide(oa.number(1), order) if order else oa.number(sp.Rational(1, 2))
    return oa.power(x, exponent)


# sums ---------------------------------------------------------------------------------------------


def total(reader: Reader, terms: Sequence[tuple[int, OpenArray]]) -> OpenArray:
    """A sum: arrays of one shape and numbers; a vector is added to every row of a matrix."""
    ranks = {x.rank for _, x in terms if x.rank}
    if len(ranks) > 1 and ranks != {1, 2}:
        raise UsageError("arrays of different numbers of axes are added; name their entries")
    if ranks == {1, 2}:
        reader.note("a vector added to a matrix is added to each of its rows")
    if len({x.is_row for _, x in terms if x.rank == 1}) > 1:
        raise UsageError("a row and a column are added; transpose one of them")
    if 2 in ranks and any(not x.rank and not _is_literal(x) for _, x in terms):
        reader.note("a number added to a matrix is added to every entry")
    return oa.total(terms)


def _is_literal(x: OpenArray) -> bool:
    try:
        return not x.indices and oa.literal_of(x.make()) is not None
    except UsageError:
        return False


# norms and bars -----------------------------------------------------------------------------------


def norm(reader: Reader, x: OpenArray, index: Sequence[Token]) -> OpenArray:
    """The norm that an index names."""
    x = oa.numeric(x)
    kind = "".join(token.text for token in index if token.text not in ("{", "}"))
    if not x.rank:
        return oa.scalar_function(sp.Abs, "Abs", x)
    axes = tuple(range(-x.rank, 0))
    if kind in ("", "F", "Fro", "fro") or (kind == "2" and x.rank == 1):
        if not kind and x.rank == 2:
            reader.note("a matrix norm without index is the Frobenius norm")
        return oa.apply(lambda v: ar.euclidean(v, axis=axes), x, own=())
    if kind == "1":
        if x.rank == 2:
            reader.note("the matrix norm with index 1 is the sum of moduli of entries")
        size = oa.scalar_function(sp.Abs, "Abs", x)
        return oa.apply(lambda v: ar.total(v, axis=axes), size, own=())
    if x.rank == 2 and kind in ("2", "op", "sigma"):
        return oa.apply(ar.spectral, x, own=())
    if x.rank == 2 and kind in ("ast", "times", "nuc", "tr"):
        return oa.apply(ar.nuclear, x, own=())
    if x.rank == 1 and kind == "infty":
        size = oa.scalar_function(sp.Abs, "Abs", x)
        return oa.apply(lambda v: views.reduce("max", v, [-1]), size, own=())
    if x.rank == 1 and len(index) == 1 and index[0].kind == "number" and index[0].value > 0:
        order = sp.Rational(index[0].value.numerator, index[0].value.denominator)
        return oa.apply(lambda v: ar.norm(v, ord=order, axis=-1), x, own=())
    known = "1, 2, p, \\infty" if x.rank == 1 else "F, 1, 2, *"
    raise UsageError(f"there is no norm with this index; known here: {known}")


def bars(reader: Reader, x: OpenArray) -> OpenArray:
    """|x|: moduli of entries; of a square matrix its determinant."""
    if om.is_square(x) and reader.choose("bars", ("determinant", "entries")) == "determinant":
        return om.determinant(x)
    return oa.scalar_function(sp.Abs, "Abs", x)


# functions ----------------------------------------------------------------------------------------


def scalar_call(reader: Reader, name: str, args: Sequence[OpenArray], primes: int) -> OpenArray:
    r"""A scalar function of entries, or its derivative: \sigma'(z)."""
    callee = CALLEES[name]
    if not callee.least <= len(args) <= callee.most:
        least = callee.least
        raise UsageError(f"{name} takes {least} argument{'s' * (least > 1)}, not {len(args)}")
    if len(args) > 1:
        for x in args[1:]:
            _require_one_shape(args[0], x, name)
    if name in _OF_MATRICES and om.is_square(args[0]):
        reader.note(f"{name} of a matrix is taken entry by entry")
    if primes and len(args) > 1:
        raise UsageError(f"the derivative of {name} by which argument? give it by its value")
    kernel = callee.make
    if primes:
        slope = derivative(callee.make(_X), _X, primes, notes=[])
        kernel = lambda value: slope.xreplace({_X: value})
    return oa.scalar_function(kernel, getattr(callee.make, "__name__", name), *args)


def array_call(name: str, args: Sequence[OpenArray]) -> OpenArray:
    """A function of arrays."""
    function = function_named(name)
    if function is not None and function.needed:
        raise UsageError(f"{name} needs {function.options[0]}, which LaTeX has no place for")
    if function is None or not function.least <= len(args) <= function.most:
        count = 0 if function is None else function.most
        raise UsageError(f"{name} takes {count} array{'s' * (count > 1)}, not {len(args)}")
    if any(x.indices for x in args) and not function.is_batch:
        raise UsageError(f"{name} of an array with an index is not read; name its entries")
    run = function.run
    if function.reduces_all:
        axes = tuple(range(-args[0].rank, 0))
        if not axes:
            return args[0]
        return oa.apply(lambda v: run(v, axis=axes), *args, own=())
    return oa.apply(run, *args)


def diag(x: OpenArray) -> OpenArray:
    """A vector as a diagonal matrix, the diagonal of a matrix."""
    if x.rank == 1:
        own = (x.own[0], x.own[0])
        letters = oa.labelled(
            [(x, ("#a",)), (oa.identity(x.own[0]), ("#a", "#b"))], ("#a", "#b"), x.indices
        )
        return replace(letters, shape=(*letters.shape[: len(x.indices)], *own))
    return array_call("diag", [x])


def vec(reader: Reader, x: OpenArray) -> OpenArray:
    """All entries, row by row."""
    reader.note("vec and mat go row by row")
    return array_call("ravel", [x])


def mat(reader: Reader, x: OpenArray, position: int) -> OpenArray:
    """A vector as a matrix, row by row, of the shape that the formula asks for."""
    if x.rank != 1 or x.indices:
        raise UsageError("mat needs a vector")
    reader.note("vec and mat go row by row")
    rows, columns = (reader.open_length("mat", position) for _ in range(2))
    reader.factorisations.append((rows, columns, x.own[0]))
    return oa.array((rows, columns), lambda: views.reshape(x.make(), shape_of((rows, columns))))


def settle_factorisations(factorisations: Sequence[tuple[Length, Length, Length]]) -> None:
    """Lengths whose product is a length: the one of three that the others settle."""
    for _ in factorisations:
        for left, right, whole in factorisations:
            if left.value is not None and right.value is not None:
                tie(whole, Length(left.value * right.value))
            for known, other in ((left, right), (right, left)):
                if known.value and whole.value is not None and other.value is None:
                    if whole.value % known.value:
                        raise UsageError(f"{whole.value} entries do not fill rows of {known.value}")
                    tie(other, Length(whole.value // known.value))


def mean(reader: Reader, x: OpenArray) -> OpenArray:
    r"""\bar x: the mean of a vector's entries."""
    if x.rank != 1:
        raise UsageError("\\bar is the mean of a vector; give the value itself")
    reader.note("a bar is the mean of entries")
    return oa.apply(lambda v: ar.mean(v, axis=-1), x, own=())


def mean_row(reader: Reader, x: OpenArray) -> OpenArray:
    r"""\bar x of the rows x_i of a matrix."""
    if x.rank != 2:
        raise UsageError("\\bar x of the rows x_i needs a matrix X")
    reader.note("a bar over the letter of rows is their mean")
    return oa.apply(lambda v: ar.mean(v, axis=-2), x, own=x.own[1:])


# matrices written out -----------------------------------------------------------------------------


def written(rows: Sequence[Sequence[OpenArray | None]]) -> OpenArray:
    """A matrix of numbers or of blocks; None is a block of zeros.

    Raises:
        UsageError: rows differ in length, or numbers and blocks are mixed.
    """
    if len({len(row) for row in rows}) != 1:
        raise UsageError("the rows of a matrix have as many entries")
    cells = [cell for row in rows for cell in row if cell is not None]
    if any(cell.indices for cell in cells):
        raise UsageError("entries of a matrix carry no index; name its entries instead")
    if all(not cell.rank for cell in cells):
        return _of_numbers([[cell or oa.number(0) for cell in row] for row in rows])
    if any(cell.rank != 2 for cell in cells):
        raise UsageError("a matrix holds numbers or matrices, not both")
    return _of_blocks(rows)


def _of_numbers(rows: Sequence[Sequence[OpenArray]]) -> OpenArray:
    height, width = len(rows), len(rows[0])
    flat = [cell for row in rows for cell in row]

    def make() -> View:
        entries = [views.expand(cell.make(), 0) for cell in flat]
        joined = views.concatenate(entries, 0)
        if 1 in (height, width):
            return joined
        return views.reshape(joined, (height, width))

    if 1 in (height, width):
        return oa.array((Length(height * width),), make, is_row=height == 1)
    return oa.array((Length(height), Length(width)), make)


def _of_blocks(rows: Sequence[Sequence[OpenArray | None]]) -> OpenArray:
    heights = tuple(Length(name="a block") for _ in rows)
    widths = tuple(Length(name="a block") for _ in rows[0])
    for height, row in zip(heights, rows, strict=True):
        for width, cell in zip(widths, row, strict=True):
            if cell is not None:
                tie(height, cell.own[0])
                tie(width, cell.own[1])

    def make() -> View:
        lines = []
        for height, row in zip(heights, rows, strict=True):
            pairs = zip(widths, row, strict=True)
            parts = [
                cell.make() if cell else views.number(0, shape_of((height, width)))
                for width, cell in pairs
            ]
            lines.append(views.concatenate(parts, 1))
        return views.concatenate(lines, 0)

    shape = tuple(
        Length(sum(shape_of(lengths))) if all(x.value is not None for x in lengths) else Length()
        for lengths in (heights, widths)
    )
    if any(length.value is None for length in shape):
        raise UsageError("the size of a block does not follow from its row and column")
    return replace(oa.array(shape, make), blocks=(heights, widths))

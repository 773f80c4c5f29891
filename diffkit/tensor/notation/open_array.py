"""Arrays while a formula is read: shapes with open lengths, named index axes, values made last.

`OpenArray` is what both readers compute with.  Its shape is known to the reader at once, as far as
it can be; its `View` is made when every length is (so that `I`, a vector of ones and a size symbol
may stand before what fixes their size).  Axes that carry an index letter come first, the array's
own axes after them, so every operation is one on the array at each index.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.symbolic import guards
from diffkit.tensor import build, views
from diffkit.tensor.nodes import is_truth, var
from diffkit.tensor.notation.lengths import Length, broadcast, is_known, lengths_of, shape_of, tie
from diffkit.tensor.views import View

#: Largest exponent of a power of an array.
MAX_EXPONENT = 1000


@dataclass(frozen=True)
class OpenArray:
    """An array of a formula.

    Args:
        shape: Lengths of the index axes, then of the array's own.
        make: Makes the view; called when every length is known.
        indices: The letter of each index axis.
        is_row: Whether a vector is a row (LaTeX tells x' from x).
        is_truth: Whether it holds truth values.
        blocks: Row heights and column widths of a block matrix.
    """

    shape: tuple[Length, ...]
    make: Callable[[], View]
    indices: tuple[str, ...] = ()
    is_row: bool = False
    is_truth: bool = False
    blocks: tuple[tuple[Length, ...], tuple[Length, ...]] | None = None

    @property
    def own(self) -> tuple[Length, ...]:
        """Lengths of the array's own axes."""
        return self.shape[len(self.indices) :]

    @property
    def rank(self) -> int:
        """Number of the array's own axes."""
        return len(self.own)

    def length(self, index: str) -> Length:
        """Length of the axis with an index letter."""
        return self.shape[self.indices.index(index)]


def array(
    shape: Sequence[Length],
    make: Callable[[], View],
    indices: Sequence[str] = (),
    *,
    is_row: bool = False,
    is_truth: bool = False,
) -> OpenArray:
    """An array whose view is made once."""
    return OpenArray(tuple(shape), cache(lambda: checked(make())), tuple(indices), is_row, is_truth)


def given(x: View) -> OpenArray:
    """A view as it is."""
    return OpenArray(lengths_of(x.shape), lambda: x)


def number(value: sp.Expr | int) -> OpenArray:
    """An exact number."""
    return given(views.number(sp.sympify(value, strict=True)))


def checked(x: View) -> View:
    """A view whose plain numbers exist and are of bearable size.

    Raises:
        UsageError: a division by zero, or a number of too many digits.
    """
    literal = literal_of(x)
    value = build.scaled(x.node)[0] if literal is None else literal
    if value.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise UsageError("this divides by zero or has no value")
    if value.has(sp.I):
        raise UsageError("this is not a real number; formulas are real")
    _guard(lambda: guards.check_result(value))
    return x if literal is None else views.number(literal, x.shape)


def literal_of(x: View) -> sp.Expr | None:
    """The number an array holds everywhere, if it is plain."""
    if build.is_zero(x.node):
        return sp.S.Zero
    coefficient, rest = build.scaled(x.node)
    value = build.number(rest)
    return None if value is None or is_truth(value) else coefficient * value


def _guard(check: Callable[[], None]) -> None:
    try:
        check()
    except guards.TooLargeError as error:
        raise UsageError(str(error)) from error


# entry by entry -----------------------------------------------------------------------------------


def entrywise(
    operation: Callable[..., View], *operands: OpenArray, is_truth: bool = False
) -> OpenArray:
    """An operation on entries; own axes broadcast as NumPy's do, index axes by their letters."""
    indices = union_of(operands)
    own = broadcast(*(x.own for x in operands))
    lengths = [_index_length(letter, operands) for letter in indices]

    def make() -> View:
        return operation(*(_aligned(x, indices, len(own)) for x in operands))

    is_row = len(own) == 1 and any(x.is_row for x in operands if x.rank == 1)
    return array((*lengths, *own), make, indices, is_row=is_row, is_truth=is_truth)


def union_of(operands: Sequence[OpenArray]) -> tuple[str, ...]:
    """The index letters of several arrays, in order."""
    return tuple(dict.fromkeys(letter for x in operands for letter in x.indices))


def _index_length(letter: str, operands: Sequence[OpenArray]) -> Length:
    first, *rest = (x.length(letter) for x in operands if letter in x.indices)
    for other in rest:
        tie(first, other)
    return first


def _aligned(x: OpenArray, indices: tuple[str, ...], rank: int) -> View:
    """The view with all index axes in order, length 1 where it has none, and `rank` own axes."""
    result = x.make()
    if not indices:
        return result
    count = len(x.indices)
    order = sorted(range(count), key=lambda k: indices.index(x.indices[k]))
    result = views.transpose(result, (*order, *range(count, result.rank)))
    for place, letter in enumerate(indices):
        if letter not in x.indices:
            result = views.expand(result, place)
    for _ in range(rank - x.rank):
        result = views.expand(result, len(indices))
    return result


def numeric(x: OpenArray) -> OpenArray:
    """Truth values as 0 and 1."""
    return entrywise(views.as_number, x) if x.is_truth else x


def total(terms: Sequence[tuple[int, OpenArray]]) -> OpenArray:
    """A sum of terms with signs."""

    def make(*parts: View) -> View:
        signs = [sign for sign, _ in terms]
        result = parts[0] if signs[0] > 0 else views.scale(-1, parts[0])
        for sign, part in zip(signs[1:], parts[1:], strict=True):
            result = views.add(result, part, sign)
        return result

    return entrywise(make, *(numeric(x) for _, x in terms))


def multiply(x: OpenArray, y: OpenArray) -> OpenArray:
    """The entrywise product."""
    return entrywise(views.multiply, numeric(x), numeric(y))


def divide(x: OpenArray, y: OpenArray) -> OpenArray:
    """The entrywise quotient."""

    def make(left: View, right: View) -> View:
        if literal_of(right) == 0 or build.is_zero(right.node):
            raise UsageError("this divides by zero")
        return views.divide(left, right)

    return entrywise(make, numeric(x), numeric(y))


def scalar_function(kernel: Callable[..., sp.Basic], name: str, *operands: OpenArray) -> OpenArray:
    """A scalar function of entries; numbers are checked before SymPy computes with them."""

    def make(*parts: View) -> View:
        literals = [literal_of(part) for part in parts]
        plain = [value for value in literals if value is not None]
        _guard(lambda: guards.check_call(name, plain))
        return views.elementwise(kernel, *parts)

    return entrywise(make, *map(numeric, operands))


def compare(relation: Callable[..., sp.Basic], x: OpenArray, y: OpenArray) -> OpenArray:
    """A comparison of entries."""
    make = lambda left, right: views.elementwise(relation, left, right)
    return entrywise(make, numeric(x), numeric(y), is_truth=True)


def power(x: OpenArray, exponent: OpenArray) -> OpenArray:
    """A power of entries."""

    def make(base: View, raised: View) -> View:
        literal = literal_of(raised)
        if literal is None:
            return views.elementwise(lambda a, b: a**b, base, raised)
        value = literal_of(base)
        if value is not None:
            if value == 0 and literal.is_negative:
                raise UsageError("this divides by zero")
            _guard(lambda: guards.check_power(value, literal))
        elif literal.is_number and abs(literal) > MAX_EXPONENT:
            raise UsageError(f"an exponent is at most {MAX_EXPONENT}; write a name for it")
        if literal.is_Rational:
            return views.broadcast_to(views.power(base, literal), views.common_shape(base, raised))
        return views.elementwise(lambda a, b: a**b, base, raised)

    return entrywise(make, numeric(x), numeric(exponent))


def choose(condition: OpenArray, on_true: OpenArray, on_false: OpenArray) -> OpenArray:
    """One of two entries."""
    if not condition.is_truth:
        raise UsageError("a condition such as x > 0 is needed here")
    return entrywise(views.choose, condition, numeric(on_true), numeric(on_false))


def both(x: OpenArray, y: OpenArray) -> OpenArray:
    """Whether both conditions hold."""
    make = lambda a, b: views.truth(views.multiply(views.as_number(a), views.as_number(b)))
    return entrywise(make, x, y, is_truth=True)


def negation(x: OpenArray) -> OpenArray:
    """Whether a condition does not hold."""
    make = lambda a: views.truth(views.add(views.number(1), views.as_number(a), -1))
    return entrywise(make, x, is_truth=True)


# along index axes ---------------------------------------------------------------------------------


def labelled(
    operands: Sequence[tuple[OpenArray, Sequence[str]]],
    out: Sequence[str],
    out_indices: Sequence[str],
    *,
    is_row: bool = False,
) -> OpenArray:
    """A product with a letter on every axis, summed over letters that `out` lacks.

    Args:
        operands: Arrays and the letters of their own axes; index axes carry their own letters.
        out: Letters of the result's own axes.
        out_indices: Letters of the result's index axes.
        is_row: Whether a vector that results is a row.
    """
    lengths: dict[str, Length] = {}
    factors: list[tuple[OpenArray, tuple[str, ...]]] = []
    for x, letters in operands:
        every = (*x.indices, *letters)
        factors.append((x, every))
        for letter, length in zip(every, x.shape, strict=True):
            tie(lengths.setdefault(letter, length), length)
    numbers = {letter: k for k, letter in enumerate(lengths)}
    final = (*out_indices, *out)

    def make() -> View:
        parts = [(x.make(), [numbers[letter] for letter in every]) for x, every in factors]
        return views.contract(parts, [numbers[letter] for letter in final])

    shape = [lengths[letter] for letter in final]
    return array(shape, make, out_indices, is_row=is_row)


def own_letters(x: OpenArray) -> tuple[str, ...]:
    """A letter for each own axis, unlike any index letter."""
    return tuple(f"#{k}" for k in range(x.rank))


def sum_over(x: OpenArray, letters: Sequence[str]) -> OpenArray:
    """The sum over index letters the array carries."""
    x = numeric(x)
    own = own_letters(x)
    left = [letter for letter in x.indices if letter not in letters]
    return labelled([(x, own)], own, left, is_row=x.is_row)


def reduce_over(kind: str, x: OpenArray, letters: Sequence[str]) -> OpenArray:
    """A maximum, minimum or product over index letters."""
    x = numeric(x)
    places = [x.indices.index(letter) for letter in letters]
    left = [k for k in range(len(x.indices)) if k not in places]
    shape = [*(x.shape[k] for k in left), *x.own]
    make = lambda: views.reduce(kind, x.make(), places)
    return array(shape, make, [x.indices[k] for k in left], is_row=x.is_row)


def subscript(x: OpenArray, letters: Sequence[str | int | None]) -> OpenArray:
    """Index letters, entries (counted from 0) or nothing (a whole axis) for own axes in order."""
    x = numeric(x)
    entry = [(k, place) for k, place in enumerate(letters) if isinstance(place, int)]
    for axis, place in reversed(entry):
        x = at(x, axis, place)
    rest = [letter for letter in letters if not isinstance(letter, int)]
    own = [
        letter if letter is not None else f"#{k}"
        for k, letter in enumerate([*rest, *[None] * (x.rank - len(rest))])
    ]
    named = [letter for letter in own if not letter.startswith("#")]
    indices = tuple(dict.fromkeys((*x.indices, *named)))
    return labelled([(x, own)], [l for l in own if l.startswith("#")], indices)


def at(x: OpenArray, axis: int, place: int) -> OpenArray:
    """One entry of an own axis, counted from 0 (from the end when negative)."""
    length = x.own[axis].value
    if length is None:
        raise UsageError("this array has no known size here; write eye(4) or I_4")
    if not -length <= place < length:
        raise UsageError(f"there is no entry {place} on an axis of length {length}")
    first = len(x.indices)
    make = lambda: views.index(x.make(), first + axis, place % length)
    shape = (*x.shape[: first + axis], *x.shape[first + axis + 1 :])
    return array(shape, make, x.indices)


def identity(length: Length, letters: tuple[str, str] | None = None) -> OpenArray:
    """The identity matrix, or the Kronecker delta of two index letters."""
    make = lambda: views.eye(shape_of([length])[0])
    return array((length, length), make, letters or ())


def constant(value: int, shape: Sequence[Length]) -> OpenArray:
    """The same number everywhere."""
    return array(shape, lambda: views.number(value, shape_of(shape)))


def size(length: Length, symbol: sp.Expr | None = None) -> OpenArray:
    """A length as a number; its symbol while it is open."""

    def make() -> View:
        value = length.value
        if value is None and symbol is None:
            raise UsageError(f"the size of {length.name} does not follow from the formula")
        return views.number(sp.Integer(value) if value is not None else symbol)

    return array((), make)


# functions ----------------------------------------------------------------------------------------


def apply(
    operation: Callable[..., View], *operands: OpenArray, own: Sequence[Length] | None = None
) -> OpenArray:
    """A function of arrays whose index axes are a batch.

    Args:
        operation: Views to view; it must treat leading axes as a batch where there are indices.
        *operands: At most one of them carries indices.
        own: Shape of the result; None: found by trying the operation on arrays of these shapes.
    """
    operands = tuple(numeric(x) for x in operands)
    indices = union_of(operands)
    if own is None:
        own = lengths_of(_tried(operation, operands)[len(indices) :])
    lengths = [_index_length(letter, operands) for letter in indices]
    return array((*lengths, *own), lambda: operation(*(x.make() for x in operands)), indices)


def _tried(operation: Callable[..., View], operands: Sequence[OpenArray]) -> tuple[int, ...]:
    for x in operands:
        if not is_known(x.shape):
            raise UsageError("this array has no known size here; write eye(4) or I_4")
    trials = [views.view(var(f"_{k}", shape_of(x.shape))) for k, x in enumerate(operands)]
    return operation(*trials).shape

"""Arrays of numbers of an algebra, and the constructors of the rows of `interpret_rules`.

`function` (elementwise, by the function's shared name), `operation` (what the numbers carry),
`structural` (entries are moved, never computed with), `comparison`, `reduction` and `running`
make most rows.  A rule is (equation, *operands) -> array or list of arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from diffkit.backend.compat import is_key
from diffkit.bridge.primitives import over_devices
from diffkit.core.errors import Undecidable
from diffkit.numeric.algebra import Algebra

Rule = Callable[..., Any]


class NoRow(Exception):
    """The primitive has a row, this use of it (a dtype, a mode) has none."""


@dataclass(frozen=True)
class Equation:
    """One equation of a jaxpr together with the algebra it is run over."""

    eqn: Any
    algebra: Algebra

    def __getitem__(self, name: str) -> Any:
        return self.eqn.params[name]

    @property
    def aval(self) -> Any:
        """Shape and dtype of the (first) output."""
        return self.eqn.outvars[0].aval


def is_real(dtype: Any) -> bool:
    """Whether a dtype (bfloat16 included) holds real numbers."""
    return np.dtype(dtype).kind == "f" or np.dtype(dtype).name.startswith(("bfloat", "float"))


def boxed(value: Any) -> np.ndarray:
    """Return `value` as an array; a number of an algebra becomes a 0-d object array."""
    if isinstance(value, np.ndarray) or is_key(value):
        return value
    if isinstance(value, bool | int | np.generic):
        return np.asarray(value)
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def numbers(value: Any, dtype: Any, algebra: Algebra) -> np.ndarray:
    """Return `value` as an array over `algebra` (floats) or as a NumPy array (the rest)."""
    if is_key(value):
        return value
    if not is_real(dtype):
        if np.dtype(dtype).kind not in "biuV":
            raise NoRow(f"dtype {np.dtype(dtype).name}")
        return np.asarray(value)
    array = boxed(value) if not hasattr(value, "shape") else np.asarray(value)
    if array.dtype != object:
        array = array.astype(np.float64)
    return elementwise(lambda entry: _number(entry, algebra), array)


def _number(entry: Any, algebra: Algebra) -> Any:
    plain = isinstance(entry, bool | int | float | Fraction | np.generic)
    if not plain:
        return entry
    return algebra.constant(entry.item() if isinstance(entry, np.generic) else entry)


def elementwise(operation: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """Apply `operation` to every entry of arrays of one shape; object array out."""
    if all(array.shape == () for array in arrays):  # most programs are about numbers
        single = np.empty((), dtype=object)
        single[()] = operation(*(array[()] for array in arrays))
        return single
    vectorised = np.frompyfunc(operation, len(arrays), 1)
    return boxed(vectorised(*arrays))


def truths(array: np.ndarray) -> np.ndarray:
    """An object array of truth values as a NumPy array where every one is plain."""
    if all(isinstance(entry, bool | np.bool_) for entry in array.flat):
        return array.astype(np.bool_)
    return array


def decided(array: Any) -> bool:
    """The truth value of a 0-d condition.

    Raises:
        Undecidable: it is not decided.
    """
    value = np.asarray(array)[()]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise value if isinstance(value, Undecidable) else Undecidable("a condition is ambiguous")


def index_of(array: Any) -> int:
    """The integer in a 0-d array (a decided truth value counts as 0 or 1)."""
    value = np.asarray(array)[()]
    return int(value) if isinstance(value, int | np.integer) else int(decided(array))


def stack(values: Sequence[np.ndarray], aval: Any) -> np.ndarray:
    """Stack equal-shaped arrays along a new first axis."""
    if not values:
        return np.empty(aval.shape, dtype=object if is_real(aval.dtype) else aval.dtype)
    return np.stack(list(values))


def function(name: str, integers: Callable[..., Any] | None = None) -> Rule:
    """A row for the algebra function `name`; `integers` is its meaning on integer arrays."""

    def rule(equation: Equation, *operands: Any) -> Any:
        if not is_real(equation.aval.dtype):
            if integers is None:
                raise NoRow(f"dtype {equation.aval.dtype}")
            return np.asarray(integers(*operands)).astype(equation.aval.dtype)
        return elementwise(equation.algebra.function(name), *operands)

    return rule


def operation(real: Callable[..., Any], integers: Callable[..., Any]) -> Rule:
    """A row for an operation the numbers themselves carry."""

    def rule(equation: Equation, *operands: Any) -> Any:
        if is_real(equation.aval.dtype):
            return elementwise(real, *operands)
        return np.asarray(integers(*operands)).astype(equation.aval.dtype)

    return rule


def structural(move: Callable[..., Any]) -> Rule:
    """A row that moves entries: move(equation, *arrays) -> array."""
    return lambda equation, *operands: boxed(move(equation, *operands))


def comparison(relation: str, integers: Callable[..., Any]) -> Rule:
    """A row for a comparison; what cannot be decided is kept and raises only when it is used."""

    def rule(equation: Equation, a: Any, b: Any) -> Any:
        if a.dtype != object and b.dtype != object:
            return np.asarray(integers(a, b))

        def compare(x: Any, y: Any) -> Any:
            try:
                return equation.algebra.truth(relation, x, y)
            except Undecidable as error:
                return error

        return truths(elementwise(compare, a, b))

    return rule


def logical(combine: Callable[..., Any], integers: Callable[..., Any]) -> Rule:
    """A row for and, or, not, xor: on truth values, or bitwise on integers."""

    def rule(equation: Equation, *operands: Any) -> Any:
        if all(operand.dtype != object for operand in operands):
            return np.asarray(integers(*operands))

        def guarded(*values: Any) -> Any:
            undecided = [value for value in values if isinstance(value, Undecidable)]
            return undecided[0] if undecided else combine(*values)

        return truths(elementwise(guarded, *operands))

    return rule


def fold(array: Any, axes: Sequence[int], combine: Callable[[Any, Any], Any], empty: Any) -> Any:
    """Combine the entries along `axes` pairwise, in a balanced tree."""
    kept = [axis for axis in range(array.ndim) if axis not in axes]
    moved = np.transpose(array, [*axes, *kept])
    shape = tuple(array.shape[axis] for axis in kept)
    rows = list(moved.reshape(-1, *shape)) if moved.size else []
    if not rows:
        return np.broadcast_to(boxed(empty), shape).copy()
    rows = [boxed(row) for row in rows]
    while len(rows) > 1:
        pairs = [elementwise(combine, a, b) for a, b in zip(rows[::2], rows[1::2], strict=False)]
        rows = pairs + rows[2 * len(pairs) :]
    return rows[0]


def reduction(
    combine: Callable[[Algebra], Callable[[Any, Any], Any]],
    empty: Callable[[Algebra], Any],
    integers: Callable[..., Any],
) -> Rule:
    """A row that folds along the parameter `axes`."""

    def rule(equation: Equation, array: Any) -> Any:
        axes = tuple(int(axis) for axis in equation["axes"])
        if array.dtype != object:
            return np.asarray(integers(array, axis=axes)).astype(equation.aval.dtype)
        algebra = equation.algebra
        return fold(array, axes, combine(algebra), empty(algebra))

    return rule


def collective(rule: Rule) -> Rule:
    """A row of a sum (maximum, minimum) over a `vmap` axis: once mapped, a reduction of arrays."""

    def each(equation: Equation, *operands: Any) -> list[Any]:
        reason = over_devices(equation.eqn)
        if reason:
            raise NoRow(reason)
        return [rule(equation, operand) for operand in operands]

    return each


def running(combine: Callable[[Algebra], Callable[[Any, Any], Any]], integers: Any) -> Rule:
    """A row that accumulates along the parameter `axis`."""

    def rule(equation: Equation, array: Any) -> Any:
        axis = equation["axis"]
        ordered = np.flip(array, axis) if equation["reverse"] else array
        if array.dtype == object:
            pair = combine(equation.algebra)
            rows = list(np.moveaxis(ordered, axis, 0))
            done = [boxed(row) for row in rows[:1]]
            for row in rows[1:]:
                done.append(elementwise(pair, done[-1], boxed(row)))
            result = np.moveaxis(np.stack(done), 0, axis) if done else ordered
        else:
            result = integers(ordered, axis=axis).astype(equation.aval.dtype)
        return np.flip(result, axis) if equation["reverse"] else result

    return rule

"""One row per JAX primitive: what it computes on arrays of numbers of an algebra.

Three constructors make most rows: `function` (elementwise, by the function's shared name),
`structural` (entries are moved, never computed with) and `reduction` (a fold along axes).
A rule is (equation, *operands) -> array or list of arrays.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

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


# Arrays of numbers


def is_real(dtype: Any) -> bool:
    """Whether a dtype (bfloat16 included) holds real numbers."""
    return np.dtype(dtype).kind == "f" or np.dtype(dtype).name.startswith(("bfloat", "float"))


def boxed(value: Any) -> np.ndarray:
    """Return `value` as an array; a number of an algebra becomes a 0-d object array."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, bool | int | np.generic):
        return np.asarray(value)
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def numbers(value: Any, dtype: Any, algebra: Algebra) -> np.ndarray:
    """Return `value` as an array over `algebra` (floats) or as a NumPy array (the rest)."""
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


# Constructors of rows


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


# Rows with a rule of their own


def _integer_pow(equation: Equation, x: Any) -> Any:
    power = int(equation["y"])
    if x.dtype != object:
        return x**power
    return elementwise(lambda entry: equation.algebra.power(entry, Fraction(power)), x)


def _pow(equation: Equation, x: Any, y: Any) -> Any:
    if y.dtype == object:
        return elementwise(equation.algebra.function("pow"), x, y)
    if x.dtype != object:
        return x**y
    return elementwise(lambda base, n: equation.algebra.power(base, Fraction(int(n))), x, y)


def _polygamma(equation: Equation, n: Any, x: Any) -> Any:
    return elementwise(equation.algebra.function("polygamma"), n, x)


def _round(equation: Equation, x: Any) -> Any:
    if int(equation["rounding_method"]) == 1:
        return elementwise(equation.algebra.function("round"), x)
    algebra = equation.algebra

    def away_from_zero(value: Any) -> Any:
        size = algebra.function("floor")(algebra.function("abs")(value) + algebra.constant(0.5))
        return size * algebra.function("sign")(value)

    return elementwise(away_from_zero, x)


def _is_finite(equation: Equation, x: Any) -> Any:
    def finite(value: Any) -> Any:
        try:
            return equation.algebra.is_finite(value)
        except Undecidable as error:
            return error

    return truths(elementwise(finite, x)) if x.dtype == object else np.isfinite(x)


def _select_n(equation: Equation, which: Any, *cases: Any) -> Any:
    algebra, shape = equation.algebra, cases[0].shape
    which = np.broadcast_to(which, shape)
    if which.dtype != object and all(case.dtype != object for case in cases):
        return np.choose(which.astype(np.int64), cases).astype(equation.aval.dtype)

    def choose(index: Any, *values: Any) -> Any:
        if isinstance(index, Undecidable):
            if all(value is values[0] for value in values):
                return values[0]
            if hasattr(algebra, "undecided") and equation_is_real:
                return algebra.undecided()
            raise index
        if isinstance(index, int | bool | np.integer | np.bool_):
            return values[int(index)]
        return algebra.select(index, values[1], values[0])

    equation_is_real = is_real(equation.aval.dtype)
    chosen = elementwise(choose, which, *cases)
    return chosen if equation_is_real else truths(chosen)


def _clamp(equation: Equation, low: Any, x: Any, high: Any) -> Any:
    if x.dtype != object:
        return np.clip(x, low, high).astype(equation.aval.dtype)
    largest, least = equation.algebra.function("max"), equation.algebra.function("min")
    low, high = np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)
    return elementwise(lambda a, v, b: least(largest(v, a), b), low, x, high)


def _convert(equation: Equation, x: Any) -> Any:
    algebra, dtype = equation.algebra, equation["new_dtype"]
    if is_real(dtype):
        if x.dtype != object:
            return elementwise(lambda v: algebra.constant(int(v)), x)
        rounding = getattr(algebra, "convert", None)
        if rounding is not None:
            return elementwise(lambda v: _from_truth(rounding(v, dtype), algebra), x)
        return elementwise(lambda v: _from_truth(v, algebra), x)
    if np.dtype(dtype).kind not in "biu":
        raise NoRow(f"dtype {np.dtype(dtype).name}")
    if x.dtype != object:
        return x.astype(dtype)
    if np.dtype(dtype).kind == "b":
        zero = algebra.constant(0)
        return truths(elementwise(lambda v: algebra.truth("ne", v, zero), x))
    if any(isinstance(v, bool | Undecidable) for v in x.flat):
        return elementwise(lambda v: int(decided(v)), x).astype(dtype)
    return elementwise(algebra.integer, x).astype(dtype)


def _from_truth(value: Any, algebra: Algebra) -> Any:
    if isinstance(value, bool | np.bool_):
        return algebra.constant(int(value))
    if isinstance(value, Undecidable):
        raise value
    return value


def _broadcast(equation: Equation, x: Any) -> Any:
    shape, places = equation["shape"], equation["broadcast_dimensions"]
    inner = [1] * len(shape)
    for axis, place in enumerate(places):
        inner[place] = x.shape[axis]
    return np.broadcast_to(x.reshape(inner), shape)


def _reshape(equation: Equation, x: Any) -> Any:
    if equation.eqn.params.get("dimensions") is not None:
        raise NoRow("reshape with dimensions")
    return x.reshape(equation["new_sizes"])


def _slice(equation: Equation, x: Any) -> Any:
    strides = equation["strides"] or (1,) * x.ndim
    bounds = zip(equation["start_indices"], equation["limit_indices"], strides, strict=True)
    return x[tuple(slice(*bound) for bound in bounds)]


def _pad(equation: Equation, x: Any, value: Any) -> Any:
    config = [tuple(int(entry) for entry in row) for row in equation["padding_config"]]
    result = np.full(equation.aval.shape, value[()], dtype=x.dtype)
    source, target = [], []
    for size, (low, _, interior), length in zip(x.shape, config, result.shape, strict=True):
        step = interior + 1
        places = [(k, low + k * step) for k in range(size) if 0 <= low + k * step < length]
        source.append([k for k, _ in places])
        target.append([place for _, place in places])
    if x.ndim == 0:
        return x
    result[np.ix_(*target)] = x[np.ix_(*source)]
    return result


def _split(equation: Equation, x: Any) -> list[Any]:
    ends = np.cumsum([int(size) for size in equation["sizes"]])[:-1]
    return np.split(x, ends, equation["axis"])


def _unstack(equation: Equation, x: Any) -> list[Any]:
    return [boxed(row) for row in np.moveaxis(x, equation["axis"], 0)]


def _iota(equation: Equation) -> Any:
    shape, axis = equation["shape"], equation["dimension"]
    line = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return numbers(np.broadcast_to(line, shape), equation["dtype"], equation.algebra)


def _dot_general(equation: Equation, a: Any, b: Any) -> Any:
    (a_sum, b_sum), (a_batch, b_batch) = equation["dimension_numbers"]
    a_free = [k for k in range(a.ndim) if k not in (*a_sum, *a_batch)]
    b_free = [k for k in range(b.ndim) if k not in (*b_sum, *b_batch)]
    left = np.transpose(a, [*a_batch, *a_free, *a_sum])
    right = np.transpose(b, [*b_batch, *b_free, *b_sum])
    batch = tuple(a.shape[k] for k in a_batch)
    rows = tuple(a.shape[k] for k in a_free)
    columns = tuple(b.shape[k] for k in b_free)
    length = tuple(a.shape[k] for k in a_sum)
    left = left.reshape(*batch, *rows, *(1,) * len(columns), *length)
    right = right.reshape(*batch, *(1,) * len(rows), *columns, *length)
    if left.dtype != object and right.dtype != object:
        axes = tuple(range(left.ndim - len(length), left.ndim))
        return np.sum(left * right, axis=axes).astype(equation.aval.dtype)
    products = elementwise(lambda x, y: x * y, left, right)
    axes = range(products.ndim - len(length), products.ndim)
    return fold(products, list(axes), lambda x, y: x + y, equation.algebra.constant(0))


def _arg(relation: str) -> Rule:
    """argmax or argmin: the first of the best."""

    def rule(equation: Equation, x: Any) -> Any:
        (axis,) = equation["axes"]
        if x.dtype != object:
            best = np.argmax if relation == "gt" else np.argmin
            return np.asarray(best(x, axis=axis)).astype(equation["index_dtype"])
        truth = equation.algebra.truth

        def first(line: Any) -> int:
            best = 0
            for k in range(1, len(line)):
                if truth(relation, line[k], line[best]):
                    best = k
            return best

        found = np.apply_along_axis(first, axis, x)
        return np.asarray(found).astype(equation["index_dtype"])

    return rule


def _sort(equation: Equation, *operands: Any) -> list[Any]:
    axis, keys = equation["dimension"], equation["num_keys"]
    truth = equation.algebra.truth

    def compare(a: tuple[Any, ...], b: tuple[Any, ...]) -> int:
        for x, y in zip(a[:keys], b[:keys], strict=True):
            real = not isinstance(x, int | bool | np.generic)
            if truth("lt", x, y) if real else x < y:
                return -1
            if truth("gt", x, y) if real else x > y:
                return 1
        return 0

    moved = [np.moveaxis(operand, axis, -1) for operand in operands]
    results = [np.empty_like(array) for array in moved]
    for place in np.ndindex(moved[0].shape[:-1]):
        lines = sorted(
            zip(*(array[place] for array in moved), strict=True), key=functools.cmp_to_key(compare)
        )
        for result, line in zip(results, zip(*lines, strict=True), strict=True):
            for k, entry in enumerate(line):
                result[(*place, k)] = entry
    return [np.moveaxis(result, -1, axis) for result in results]


def _moved_by_jax(equation: Equation, *operands: Any) -> Any:
    """Entries moved by indices (gather, dynamic_slice): JAX itself moves the entry numbers.

    The numbers start at 1, so that a fill value, 0 or negative, is told apart.
    """
    if all(operand.dtype != object for operand in operands):
        moved = equation.eqn.primitive.bind(*operands, **equation.eqn.params)
        return np.asarray(moved)
    pool: list[Any] = []
    tagged = []
    for operand in operands:
        if operand.dtype == object:
            tags = np.arange(len(pool) + 1, len(pool) + operand.size + 1, dtype=np.int32)
            tagged.append(tags.reshape(operand.shape))
            pool.extend(operand.flat)
        else:
            tagged.append(operand)
    params = dict(equation.eqn.params)
    if params.get("fill_value") is not None:
        raise NoRow("an explicit fill value")
    places = np.asarray(equation.eqn.primitive.bind(*tagged, **params))
    outside = equation.algebra.constant(float("nan"))
    return elementwise(lambda tag: pool[tag - 1] if 0 < tag <= len(pool) else outside, places)


def _scatter_add(equation: Equation, target: Any, indices: Any, updates: Any) -> Any:
    """Each update in turn is scattered by JAX as an integer 1, which tells its place."""
    if target.dtype != object:
        raise NoRow(f"dtype {target.dtype}")
    params = {**equation.eqn.params}
    _, update_consts = params.pop("update_jaxpr"), params.pop("update_consts")
    del update_consts
    from jax import lax

    result = target.copy()
    for place in np.ndindex(updates.shape):
        unit = np.zeros(updates.shape, dtype=np.int32)
        unit[place] = 1
        hit = np.asarray(
            lax.scatter_add(
                np.zeros(target.shape, dtype=np.int32),
                indices,
                unit,
                params["dimension_numbers"],
                indices_are_sorted=params["indices_are_sorted"],
                unique_indices=params["unique_indices"],
                mode=params["mode"],
            )
        )
        for spot in np.argwhere(hit):
            result[tuple(spot)] = result[tuple(spot)] + updates[place]
    return result


def _identity(equation: Equation, *operands: Any) -> Any:
    return list(operands)


def _sum_of_logs(algebra: Algebra) -> Callable[[Any, Any], Any]:
    return algebra.function("logaddexp")


def _either(name: str) -> Callable[[Algebra], Callable[[Any, Any], Any]]:
    return lambda algebra: algebra.function(name)


def _times(algebra: Algebra) -> Callable[[Any, Any], Any]:
    return lambda a, b: a * b


def _plus(algebra: Algebra) -> Callable[[Any, Any], Any]:
    return lambda a, b: a + b


def _constant(value: float) -> Callable[[Algebra], Any]:
    return lambda algebra: algebra.constant(value)


def _reduce_truth(combine: Callable[[Any, Any], Any], integers: Callable[..., Any]) -> Rule:
    def rule(equation: Equation, array: Any) -> Any:
        if array.dtype != object:
            return np.asarray(integers(array, axis=tuple(equation["axes"])))
        undecided = [entry for entry in array.flat if isinstance(entry, Undecidable)]
        if undecided:
            raise undecided[0]
        return truths(fold(array, equation["axes"], combine, True))

    return rule


def _truncated_division(a: Any, b: Any) -> Any:
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


#: Primitive -> function name, where the two differ.
_FUNCTIONS = {
    "logistic": "sigmoid",
    "erf_inv": "erfinv",
    **{
        name: name
        for name in "exp exp2 expm1 log log1p log2 sqrt rsqrt cbrt sin cos tan asin acos atan sinh cosh "
        "tanh asinh acosh atanh erf erfc lgamma digamma bessel_i0e bessel_i1e atan2".split()
    },
}

RULES: dict[str, Rule] = {
    **{primitive: function(name) for primitive, name in _FUNCTIONS.items()},
    "abs": function("abs", np.abs),
    "sign": function("sign", np.sign),
    "square": function("square", np.square),
    "floor": function("floor"),
    "ceil": function("ceil"),
    "max": function("max", np.maximum),
    "min": function("min", np.minimum),
    "rem": function("rem", np.fmod),
    "add": operation(lambda a, b: a + b, np.add),
    "add_any": operation(lambda a, b: a + b, np.add),
    "sub": operation(lambda a, b: a - b, np.subtract),
    "mul": operation(lambda a, b: a * b, np.multiply),
    "div": operation(lambda a, b: a / b, _truncated_division),
    "neg": operation(lambda a: -a, np.negative),
    "integer_pow": _integer_pow,
    "pow": _pow,
    "polygamma": _polygamma,
    "round": _round,
    "is_finite": _is_finite,
    "eq": comparison("eq", np.equal),
    "ne": comparison("ne", np.not_equal),
    "lt": comparison("lt", np.less),
    "le": comparison("le", np.less_equal),
    "gt": comparison("gt", np.greater),
    "ge": comparison("ge", np.greater_equal),
    "and": logical(lambda a, b: a & b, np.bitwise_and),
    "or": logical(lambda a, b: a | b, np.bitwise_or),
    "xor": logical(lambda a, b: a ^ b, np.bitwise_xor),
    "not": logical(lambda a: not a if isinstance(a, bool) else ~a, np.invert),
    "select_n": _select_n,
    "clamp": _clamp,
    "convert_element_type": _convert,
    **dict.fromkeys(
        "copy copy_p stop_gradient optimization_barrier reduce_precision pvary".split(), _identity
    ),
    "broadcast_in_dim": structural(_broadcast),
    "reshape": structural(_reshape),
    "squeeze": structural(lambda equation, x: np.squeeze(x, tuple(equation["dimensions"]))),
    "expand_dims": structural(lambda equation, x: np.expand_dims(x, equation["dimensions"])),
    "transpose": structural(lambda equation, x: np.transpose(x, equation["permutation"])),
    "slice": structural(_slice),
    "rev": structural(lambda equation, x: np.flip(x, equation["dimensions"])),
    "concatenate": structural(lambda equation, *xs: np.concatenate(xs, equation["dimension"])),
    "stack": structural(lambda equation, *xs: np.stack(xs, equation["axis"])),
    "unstack": _unstack,
    "split": _split,
    "tile": structural(lambda equation, x: np.tile(x, equation["reps"])),
    "pad": structural(_pad),
    "iota": _iota,
    "dot_general": _dot_general,
    "gather": _moved_by_jax,
    "dynamic_slice": _moved_by_jax,
    "dynamic_update_slice": _moved_by_jax,
    "scatter-add": _scatter_add,
    "scatter_add": _scatter_add,
    "sort": _sort,
    "argmax": _arg("gt"),
    "argmin": _arg("lt"),
    "reduce_sum": reduction(_plus, _constant(0), np.sum),
    "reduce_prod": reduction(_times, _constant(1), np.prod),
    "reduce_max": reduction(_either("max"), _constant(float("-inf")), np.max),
    "reduce_min": reduction(_either("min"), _constant(float("inf")), np.min),
    "reduce_and": _reduce_truth(lambda a, b: a & b, np.all),
    "reduce_or": _reduce_truth(lambda a, b: a | b, np.any),
    "cumsum": running(_plus, np.cumsum),
    "cumprod": running(_times, np.cumprod),
    "cummax": running(_either("max"), np.maximum.accumulate),
    "cummin": running(_either("min"), np.minimum.accumulate),
    "cumlogsumexp": running(_sum_of_logs, None),
}

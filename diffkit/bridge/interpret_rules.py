"""One row per JAX primitive: what it computes on arrays of numbers of an algebra."""

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from diffkit.bridge.interpret_arrays import (
    Equation,
    NoRow,
    Rule,
    boxed,
    collective,
    comparison,
    decided,
    elementwise,
    fold,
    function,
    is_real,
    logical,
    numbers,
    operation,
    reduction,
    running,
    structural,
    truths,
)
from diffkit.core.errors import Undecidable
from diffkit.numeric.algebra import Algebra
from diffkit.numeric.rounding import Ambiguous


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
            if unknown is not None and equation_is_real:
                return unknown()
            raise index
        if isinstance(index, int | bool | np.integer | np.bool_):
            return values[int(index)]
        return algebra.select(index, values[1], values[0])

    unknown = getattr(algebra, "undecided", None)
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
    if isinstance(value, Ambiguous):
        return algebra.select(value, algebra.constant(1), algebra.constant(0))
    return value


def _broadcast(equation: Equation, x: Any) -> Any:
    shape, places = equation["shape"], equation["broadcast_dimensions"]
    inner = [1] * len(shape)
    for axis, place in enumerate(places):
        inner[place] = x.shape[axis]
    return np.broadcast_to(x.reshape(inner), shape)


def _reshape(equation: Equation, x: Any) -> Any:
    order = equation.eqn.params.get("dimensions")  # the axes are permuted first
    return (x if order is None else np.transpose(x, order)).reshape(equation["new_sizes"])


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
    """Either argmax or argmin: the first of the best."""

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
    fill = params.get("fill_value")
    if fill is not None:
        params["fill_value"] = 0
    places = np.asarray(equation.eqn.primitive.bind(*tagged, **params))
    outside = equation.algebra.constant(float("nan") if fill is None else float(fill))
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
        for name in "exp exp2 expm1 log log1p log2 sqrt rsqrt cbrt sin cos tan asin acos atan "
        "sinh cosh tanh asinh acosh atanh erf erfc lgamma digamma bessel_i0e bessel_i1e "
        "atan2".split()
    },
}

RULES: dict[str, Rule] = {
    **{primitive: function(name) for primitive, name in _FUNCTIONS.items()},
    "abs": function("abs", np.abs),
    "sign": function("sign", np.sign),
    "square": function("square", np.square),
    "one_minus_square": operation(lambda a: -(a * a) + 1, lambda a: 1 - np.square(a)),
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
    "psum": collective(reduction(_plus, _constant(0), np.sum)),
    "pmax": collective(reduction(_either("max"), _constant(float("-inf")), np.max)),
    "pmin": collective(reduction(_either("min"), _constant(float("inf")), np.min)),
    "reduce_and": _reduce_truth(lambda a, b: a & b, np.all),
    "reduce_or": _reduce_truth(lambda a, b: a | b, np.any),
    "cumsum": running(_plus, np.cumsum),
    "cumprod": running(_times, np.cumprod),
    "cummax": running(_either("max"), np.maximum.accumulate),
    "cummin": running(_either("min"), np.minimum.accumulate),
    "cumlogsumexp": running(_sum_of_logs, None),
}

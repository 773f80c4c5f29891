r"""The table of primitives over truncated Taylor series: one line per primitive.

`linear` acts on every coefficient, `bilinear` is a Cauchy product, `function` a recurrence of
`backend.series`.  A rule is (equation, order, *operands) -> series or tuple of series.

The law of the file: at a point where a choice (`max`, `where`, `abs`) changes sides, derivatives
are given only where both sides have the same; elsewhere they are NaN, never one side's answer.
Two series are compared by their first different coefficient: of even order, it decides both sides.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffkit.backend import series as s
from diffkit.backend.series import Series

Rule = Callable[..., Any]

#: Coefficients of the two sides of a choice count as equal within this relative distance.
SAME = 1e-6


class NoRow(Exception):
    """The primitive has a row, this use of it has none; the text says why."""


@dataclass(frozen=True)
class Sides:
    """A truth value or whole number that depends on the variable.

    Args:
        here: Its value at the point.
        right: Its value for small t > 0.
        left: Its value for small t < 0.
    """

    here: Any
    right: Any
    left: Any

    def map(self, operation: Callable[..., Any], *others: Any) -> "Sides":
        """Apply an operation to the three values."""
        columns = zip(*map(_three, (self, *others)), strict=True)
        return Sides(*(operation(*column) for column in columns))

    @property
    def jumps(self) -> Any:
        """Whether it differs between the sides or at the point itself."""
        return (self.right != self.left) | (self.here != self.right)


def _three(value: Any) -> tuple[Any, Any, Any]:
    if isinstance(value, Sides):
        return value.here, value.right, value.left
    return value, value, value


def is_real(dtype: Any) -> bool:
    """Whether a dtype holds real numbers."""
    return jnp.issubdtype(dtype, jnp.floating)


def bind(eqn: Any, *values: Any) -> Any:
    """The primitive itself on arrays; a list when it has several results."""
    return eqn.primitive.bind(*values, **eqn.params)


def plain(value: Any) -> Any:
    """The array of an operand that must not depend on the variable."""
    if isinstance(value, Sides):
        raise NoRow("a choice that depends on the variable")
    if s.is_series(value):
        if not s.is_constant(value):
            raise NoRow("an operand that must be constant depends on the variable")
        return value[0]
    return value


def padded(u: Series, length: int) -> Series:
    """The series with zeros up to `length` coefficients."""
    return s.Delayed(lambda k: u[k] if k < len(u) else lax.full_like(u[0], 0), length)


# --- constructors ----------------------------------------------------------------------------


def linear(*places: int) -> Rule:
    """A primitive that is linear in the operands at `places` together; the others are constant."""

    def rule(eqn: Any, n: int, *operands: Any) -> Any:
        moving = [k for k in (places or range(len(operands))) if s.is_series(operands[k])]
        length = max(len(operands[k]) for k in moving)
        rows = {k: padded(operands[k], length) for k in moving}
        jumps = any(isinstance(each, Sides) for each in operands)
        fixed = [
            None if k in rows else each if isinstance(each, Sides) else plain(each)
            for k, each in enumerate(operands)
        ]

        def term(side: str, order: int) -> Any:
            pairs = enumerate(fixed)
            return bind(eqn, *(rows[k][order] if k in rows else _on(side, v) for k, v in pairs))

        if jumps:
            return parting(term, length, n)
        results = s.Delayed(lambda order: term("here", order), length)
        if eqn.primitive.multiple_results:
            return tuple(tuple(column) for column in zip(*results, strict=True))
        return results

    return rule


def _on(side: str, value: Any) -> Any:
    return getattr(value, side) if isinstance(value, Sides) else value


def bilinear(eqn: Any, n: int, a: Series, b: Series) -> Series:
    """A product of any kind: the Cauchy product over the primitive."""

    def term(k: int) -> Any:
        places = range(max(0, k - len(b) + 1), min(k, len(a) - 1) + 1)
        return s.total(bind(eqn, a[j], b[k - j]) for j in places)

    return s.Delayed(term, min(n + 1, len(a) + len(b) - 1))


def function(name: str) -> Rule:
    """An elementwise function of one variable; the primitive computes its value."""
    rule = s.FUNCTIONS[name]
    return lambda eqn, n, u: rule(u, n, bind(eqn, u[0]))


def two_operands(combine: Callable[[Series, Series, int], Series]) -> Rule:
    """An elementwise operation on two series, a scalar operand broadcast."""

    def rule(eqn: Any, n: int, a: Series, b: Series) -> Series:
        shape = eqn.outvars[0].aval.shape
        left = _fit(a, shape)
        # x * x stays one object, which `multiply` squares
        return combine(left, left if b is a else _fit(b, shape), n)

    return rule


def _fit(u: Series, shape: tuple[int, ...]) -> Series:
    if jnp.shape(u[0]) == shape:
        return u
    return s.Delayed(lambda k: jnp.broadcast_to(u[k], shape), len(u))


def step(eqn: Any, n: int, u: Series) -> Series:
    """A function that is constant between its jumps (floor, sign, round)."""
    value = bind(eqn, u[0])
    epsilon = jnp.finfo(value.dtype).eps * jnp.maximum(1, jnp.abs(u[0]))
    right, left = bind(eqn, u[0] + epsilon), bind(eqn, u[0] - epsilon)
    moves = reduce(operator.or_, (each != 0 for each in u[1:]))  # NaN moves, too
    jumps = moves & ((right != left) | (right != value)) | jnp.isnan(s.total(u))
    return (value, *(_undefined(jumps, value) for _ in range(n)))


def _undefined(where: Any, like: Any) -> Any:
    return jnp.where(where, jnp.nan, jnp.zeros_like(like))


# --- choices ---------------------------------------------------------------------------------


def compared(eqn: Any, n: int, a: Any, b: Any) -> Any:
    """A comparison, decided at the point and on both of its sides."""
    if not (s.is_series(a) and s.is_series(b)):
        return Sides.map(a if isinstance(a, Sides) else Sides(a, a, a), _binder(eqn), b)
    shape = eqn.outvars[0].aval.shape
    a, b = _fit(a, shape), _fit(b, shape)
    right, left = germ_signs(s.subtract(a, b))
    zero = jnp.zeros_like(right)
    return Sides(bind(eqn, a[0], b[0]), bind(eqn, right, zero), bind(eqn, left, zero))


def _binder(eqn: Any) -> Callable[..., Any]:
    return lambda *values: bind(eqn, *values)


def germ_signs(u: Series) -> tuple[Any, Any]:
    """The sign of u(t) for small t > 0 and small t < 0: that of the first coefficient not 0."""
    right = left = jnp.sign(u[-1])
    left = -left if (len(u) - 1) % 2 else left
    for k in range(len(u) - 2, -1, -1):
        sign = jnp.sign(u[k])
        right = jnp.where(u[k] != 0, sign, right)
        left = jnp.where(u[k] != 0, -sign if k % 2 else sign, left)
    return right, left


def chosen(which: Sides, cases: Sequence[Series], n: int, choose: Callable[..., Any]) -> Series:
    """A choice among series."""
    length = max(map(len, cases))
    rows = list(zip(*(padded(case, length) for case in cases), strict=True))
    return parting(lambda side, k: choose(getattr(which, side), *rows[k]), length, n)


def parting(term: Callable[[str, int], Any], length: int, n: int) -> Series:
    """A series known on each side: NaN from the first order at which the two differ.

    Args:
        term: ("here", "right" or "left", k) -> coefficient k.
        length: Number of coefficients that may not be 0.
        n: Order.
    """
    here, right = term("here", 0), term("right", 0)
    parted = ~(_same(right, term("left", 0)) & _same(right, here))
    result = [here]
    for k in range(1, length):
        right = term("right", k)
        parted = parted | ~_same(right, term("left", k))
        result.append(jnp.where(parted, jnp.nan, right))
    return (*result, *(_undefined(parted, here) for _ in range(n + 1 - length)))


def _same(a: Any, b: Any) -> Any:
    return (a == b) | (jnp.abs(a - b) <= SAME * (jnp.abs(a) + jnp.abs(b)))


def select(eqn: Any, n: int, which: Any, *cases: Any) -> Any:
    """`select_n`: linear in the cases when the choice is constant."""
    if not all(map(s.is_series, cases)):
        first = which if isinstance(which, Sides) else Sides(which, which, which)
        return first.map(_binder(eqn), *cases)
    if not isinstance(which, Sides):
        return linear(*range(1, len(cases) + 1))(eqn, n, which, *cases)
    return chosen(which, cases, n, _binder(eqn))


def larger(a: Series, b: Series, n: int) -> Series:
    """The larger of two series."""
    right, left = germ_signs(s.subtract(a, b))
    which = Sides(a[0] >= b[0], right >= 0, left >= 0)
    rest = chosen(which, (a, b), n, jnp.where)[1:]
    # NaN of either operand is kept, as lax.max does
    return (lax.max(a[0], b[0]), *rest)


def smaller(a: Series, b: Series, n: int) -> Series:
    """The smaller of two series."""
    return s.scale(-1, larger(s.scale(-1, a), s.scale(-1, b), n))


def absolute(eqn: Any, n: int, u: Series) -> Series:
    """|u| = max(u, -u)."""
    return larger(u, s.scale(-1, u), n)


def clamp(eqn: Any, n: int, low: Series, u: Series, high: Series) -> Series:
    """min(max(u, low), high)."""
    shape = eqn.outvars[0].aval.shape
    low, u, high = (_fit(each, shape) for each in (low, u, high))
    return smaller(larger(u, low, n), high, n)


def extreme(eqn: Any, n: int, u: Series) -> Series:
    """The maximum or minimum along axes: NaN where several entries share it and then part."""
    axes = tuple(eqn.params["axes"])
    value = bind(eqn, u[0])
    taken = u[0] == jnp.expand_dims(value, axes)
    result = [value]
    parted = jnp.zeros(value.shape, bool)
    for each in u[1:]:
        high = jnp.max(jnp.where(taken, each, -jnp.inf), axes)
        low = jnp.min(jnp.where(taken, each, jnp.inf), axes)
        parted = parted | ~_same(high, low)
        result.append(jnp.where(parted, jnp.nan, high))
    return (*result, *(_undefined(parted, value) for _ in range(n + 1 - len(u))))


def converted(eqn: Any, n: int, value: Any) -> Any:
    """A change of dtype; a number made from a choice jumps where the choice does."""
    if jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.complexfloating):
        raise NoRow("a complex number that depends on the variable")
    if s.is_series(value):
        if is_real(eqn.outvars[0].aval.dtype):
            return linear()(eqn, n, value)
        raise NoRow("a whole number that depends on the variable")
    if not is_real(eqn.outvars[0].aval.dtype):
        return value.map(_binder(eqn))
    number = bind(eqn, value.here)
    return (number, *(_undefined(value.jumps, number) for _ in range(n)))


# --- products of entries, powers -------------------------------------------------------------


def product_of_entries(eqn: Any, n: int, u: Series) -> Series:
    """`reduce_prod`: halves are multiplied until one entry is left."""
    axes = tuple(eqn.params["axes"])
    kept = [k for k in range(jnp.ndim(u[0])) if k not in axes]
    shape = tuple(u[0].shape[k] for k in kept)
    rows = tuple(jnp.transpose(each, (*axes, *kept)).reshape(-1, *shape) for each in u)
    while (count := rows[0].shape[0]) > 1:
        half = count // 2
        low, high = tuple(each[:half] for each in rows), tuple(each[-half:] for each in rows)
        middle = padded(tuple(each[half : count - half] for each in rows), n + 1)
        joined = zip(padded(s.multiply(low, high, n), n + 1), middle, strict=True)
        rows = tuple(map(jnp.concatenate, joined))
    return tuple(each[0] for each in rows) if rows[0].shape[0] else (bind(eqn, u[0]),)


def running_product(eqn: Any, n: int, u: Series) -> Series:
    """`cumprod`, by an associative scan of products of series."""

    def combine(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(padded(s.multiply(a, b, n), n + 1))

    axis, reverse = eqn.params["axis"], eqn.params["reverse"]
    return lax.associative_scan(combine, tuple(padded(u, n + 1)), reverse=reverse, axis=axis)


def powered(eqn: Any, n: int, u: Series, exponent: Any) -> Series:
    """u**y for u > 0: by the recurrence of a constant power, or as exp(y log u)."""
    if not s.is_series(exponent):
        exponent = (jnp.asarray(plain(exponent), u[0].dtype),)
    value = jnp.power(u[0], exponent[0])
    u, exponent = _fit(u, value.shape), _fit(exponent, value.shape)
    if s.is_constant(exponent):
        return s.power(u, n, value, exponent[0])
    logarithm = s.log(u, n, jnp.log(u[0])) if len(u) > 1 else (jnp.log(u[0]),)
    return s.exp(s.multiply(exponent, logarithm, n), n, value)


def remainder(eqn: Any, n: int, a: Series, b: Series) -> Series:
    """A - q b with the whole quotient q of the point, NaN at its jumps."""
    shape = eqn.outvars[0].aval.shape
    a, b = _fit(a, shape), _fit(b, shape)
    value = bind(eqn, a[0], b[0])
    quotient = jnp.round((a[0] - value) / b[0])
    length = max(len(a), len(b))
    jumps = value == 0
    rest = s.subtract(padded(a, length), s.scale(quotient, padded(b, length)))[1:]
    return (value, *(jnp.where(jumps, jnp.nan, each) for each in rest))


def polygamma(eqn: Any, n: int, order: Any, u: Series) -> Series:
    """Polygamma of a constant whole order known when tracing."""
    try:
        number = np.unique(np.asarray(plain(order)))
    except jax.errors.TracerArrayConversionError as error:
        raise NoRow("an order that is no literal") from error
    if len(number) != 1 or number[0] != int(number[0]):
        raise NoRow("an order that is no single whole number")
    return s.polygamma(int(number[0]), u, n, bind(eqn, plain(order), u[0]))


# --- linear algebra --------------------------------------------------------------------------


def triangular_solve(eqn: Any, n: int, a: Series, b: Series) -> Series:
    r"""$X_k = A_0^{-1}(B_k - \sum_{j\ge1} A_j X_{k-j})$, or the same from the right."""
    p = eqn.params
    side = jnp.tril if p["lower"] else jnp.triu
    diagonal = (-1 if p["lower"] else 1) if p["unit_diagonal"] else 0
    swap = (lambda m: jnp.swapaxes(m, -1, -2)) if p["transpose_a"] else (lambda m: m)
    factors = [None, *(swap(side(each, diagonal)) for each in a[1:])]
    length = len(b) if s.is_constant(a) else n + 1
    b = padded(b, length)
    x: list[Any] = []
    for k in range(length):
        pairs = [(factors[j], x[k - j]) for j in range(1, min(k, len(a) - 1) + 1)]
        known = [f @ y if p["left_side"] else y @ f for f, y in pairs]
        x.append(bind(eqn, a[0], b[k] - s.total(known) if known else b[k]))
    return tuple(x)


def cholesky(eqn: Any, n: int, a: Series) -> Series:
    r"""$L_k = L_0\,\Phi(L_0^{-1}(A_k - \sum_{0<j<k} L_j L_{k-j}^T) L_0^{-T})$.

    Phi is the lower triangle with half the diagonal.
    """
    first = bind(eqn, a[0])
    a = padded(tuple(_mirrored(each) for each in a), n + 1)
    found = [jnp.tril(first)]
    for k in range(1, n + 1):
        known = [found[j] @ jnp.swapaxes(found[k - j], -1, -2) for j in range(1, k)]
        inner = _between(found[0], a[k] - s.total(known) if known else a[k])
        half = jnp.tril(inner, -1) + jnp.tril(jnp.triu(inner)) / 2
        found.append(found[0] @ half)
    return tuple(found)


def _mirrored(a: Any) -> Any:
    """The symmetric matrix of the lower triangle, which is what the primitive reads."""
    return jnp.tril(a) + jnp.swapaxes(jnp.tril(a, -1), -1, -2)


def _between(low: Any, a: Any) -> Any:
    """L^-1 A L^-T."""
    half = lax.linalg.triangular_solve(low, a, left_side=True, lower=True)
    return lax.linalg.triangular_solve(low, half, left_side=False, lower=True, transpose_a=True)


def lu(eqn: Any, n: int, a: Series) -> tuple[Any, ...]:
    r"""$P A = L U$ with the pivots of the point.

    With $F = L_0^{-1}(P A_k - \sum_{0<j<k} L_j U_{k-j})\,U_0^{-1}$:
    $L_k = L_0\,\mathrm{tril}(F, -1)$ and $U_k = \mathrm{triu}(F)\,U_0$.
    """
    packed, pivots, permutation = bind(eqn, a[0])
    rows, columns = packed.shape[-2:]
    if rows != columns:
        raise NoRow("a matrix that is not square")
    a = padded(tuple(jnp.take_along_axis(each, permutation[..., None], -2) for each in a), n + 1)
    lower = [jnp.tril(packed, -1) + jnp.eye(rows, dtype=packed.dtype)]
    upper = [jnp.triu(packed)]
    for k in range(1, n + 1):
        known = [lower[j] @ upper[k - j] for j in range(1, k)]
        inner = a[k] - s.total(known) if known else a[k]
        inner = lax.linalg.triangular_solve(
            lower[0], inner, left_side=True, lower=True, unit_diagonal=True
        )
        inner = lax.linalg.triangular_solve(upper[0], inner, left_side=False, lower=False)
        lower.append(lower[0] @ jnp.tril(inner, -1))
        upper.append(jnp.triu(inner) @ upper[0])
    factors = (packed, *(jnp.tril(l, -1) + u for l, u in zip(lower[1:], upper[1:], strict=True)))
    return factors, pivots, permutation


_COMPARISONS = "eq ne lt le gt ge eq_to lt_to le_to".split()
#: Rules that take truth values and whole numbers that depend on the variable.
CHOICES = frozenset((*_COMPARISONS, "select_n", "convert_element_type"))
_LINEAR = (
    "neg reduce_sum broadcast_in_dim reshape transpose squeeze expand_dims slice rev copy copy_p "
    "reduce_precision cumsum concatenate pad stack unstack split tile copy_to_host pvary "
    "optimization_barrier"
).split()

#: Primitives whose recurrence is in `backend.series` under their own name.
_FUNCTIONS = (
    "exp exp2 expm1 log log1p log2 sqrt rsqrt cbrt square sin cos tan asin acos atan sinh cosh "
    "tanh asinh acosh atanh erf erfc erf_inv lgamma digamma"
).split()

RULES: dict[str, Rule] = {
    **{name: function(name) for name in _FUNCTIONS},
    "logistic": function("sigmoid"),
    **{name: linear() for name in _LINEAR},
    **dict.fromkeys(("gather", "dynamic_slice"), linear(0)),
    **dict.fromkeys(("dynamic_update_slice",), linear(0, 1)),
    **dict.fromkeys(("scatter", "scatter-add", "scatter_add"), linear(0, 2)),
    **dict.fromkeys(("dot_general", "conv_general_dilated"), bilinear),
    "add": two_operands(lambda a, b, n: s.add(a, b)),
    "add_any": two_operands(lambda a, b, n: s.add(a, b)),
    "sub": two_operands(lambda a, b, n: s.subtract(a, b)),
    "mul": two_operands(s.multiply),
    "div": two_operands(s.divide),
    "max": two_operands(larger),
    "min": two_operands(smaller),
    "atan2": lambda eqn, n, y, x: two_operands(
        lambda a, b, n: s.atan2(a, b, n, bind(eqn, y[0], x[0]))
    )(eqn, n, y, x),
    "integer_pow": lambda eqn, n, u: s.integer_power(u, eqn.params["y"], n),
    "one_minus_square": lambda eqn, n, u: s.shift(1, s.scale(-1, s.multiply(u, u, n))),
    "pow": powered,
    "rem": remainder,
    "polygamma": polygamma,
    "abs": absolute,
    "clamp": clamp,
    **dict.fromkeys("sign floor ceil round".split(), step),
    **dict.fromkeys(_COMPARISONS, compared),
    "select_n": select,
    "convert_element_type": converted,
    "stop_gradient": lambda eqn, n, u: (u[0],),
    "is_finite": lambda eqn, n, u: bind(eqn, u[0]),
    "reduce_max": extreme,
    "reduce_min": extreme,
    "reduce_prod": product_of_entries,
    "cumprod": running_product,
    "triangular_solve": triangular_solve,
    "cholesky": cholesky,
    "lu": lu,
}
"""Primitive -> rule, for operands of which at least one depends on the variable."""

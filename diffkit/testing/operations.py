"""What random programs are made of: one row per operation, once for JAX and once for duals.

The two columns of a row share no code.  A row also says on which ranges it is smooth and tame;
`fits` is asked with balls that contain every value an operand takes, so that a program never
leaves the domain of its operations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from diffkit.testing.duals import FUNCTIONS, Dual, boxed, of_entries

#: Ranges may not exceed this: an overflow in float32 is another subject.
LARGEST = 1000.0


@dataclass(frozen=True)
class Operation:
    """One operation on arrays.

    Args:
        name: What listings call it.
        arity: Number of operands.
        run: The operation in JAX.
        exact: The same on object arrays of duals.
        fits: (ranges of the operands) -> whether it may be used; a range is an array of duals.
    """

    name: str
    arity: int
    run: Callable[..., Any]
    exact: Callable[..., np.ndarray]
    fits: Callable[..., bool] = field(default=lambda *_: True)

    @property
    def is_elementwise(self) -> bool:
        """Whether every entry of the result depends on one entry of each operand."""
        return self.name in ELEMENTWISE


def between(low: float, high: float) -> Callable[[np.ndarray], bool]:
    """Whether all values of a range lie strictly between two numbers."""

    def inside(array: np.ndarray) -> bool:
        return all(entry.value > low and entry.value < high for entry in array.flat)

    return inside


def is_tame(array: np.ndarray) -> bool:
    """Whether all values are known to be finite and of moderate size."""
    return all(entry.value.is_finite() and abs(entry.value) < LARGEST for entry in array.flat)


_POSITIVE = between(1 / 16, LARGEST)


def _elementwise(name: str, run: Callable[..., Any], *fits: Callable[..., bool]) -> Operation:
    function = FUNCTIONS[name]
    arity = max(len(fits), 1)

    def exact(*arrays: np.ndarray) -> np.ndarray:
        return of_entries(function, *arrays)

    def all_fit(*ranges: np.ndarray) -> bool:
        return all(fit(each) for fit, each in zip(fits, ranges, strict=True))

    return Operation(name, arity, run, exact, all_fit)


def _any(_: np.ndarray) -> bool:
    return True


ELEMENTWISE: Mapping[str, Operation] = {
    row.name: row
    for row in (
        _elementwise("exp", jnp.exp, between(-8, 4)),
        _elementwise("expm1", jnp.expm1, between(-8, 4)),
        _elementwise("log", jnp.log, _POSITIVE),
        _elementwise("log1p", jnp.log1p, between(-0.9, LARGEST)),
        _elementwise("sin", jnp.sin, between(-30, 30)),
        _elementwise("cos", jnp.cos, between(-30, 30)),
        _elementwise("tanh", jnp.tanh, between(-6, 6)),
        _elementwise("sinh", jnp.sinh, between(-4, 4)),
        _elementwise("atan", jnp.arctan, _any),
        _elementwise("erf", jax.scipy.special.erf, between(-3, 3)),
        _elementwise("sigmoid", jax.nn.sigmoid, between(-12, 12)),
        _elementwise("softplus", jax.nn.softplus, between(-12, 12)),
        _elementwise("sqrt", jnp.sqrt, _POSITIVE),
        _elementwise("rsqrt", jax.lax.rsqrt, _POSITIVE),
        _elementwise("square", jnp.square, between(-30, 30)),
        _elementwise("cube", lambda x: x**3, between(-9, 9)),
        _elementwise("reciprocal", lambda x: 1 / x, _POSITIVE),
        _elementwise("power 3/2", lambda x: x**1.5, between(1 / 16, 60)),
        _elementwise("power -5/4", lambda x: x**-1.25, _POSITIVE),
        _elementwise("neg", jnp.negative, _any),
        _elementwise("add", jnp.add, _any, _any),
        _elementwise("sub", jnp.subtract, _any, _any),
        _elementwise("mul", jnp.multiply, _any, _any),
        _elementwise("div", jnp.divide, _any, _POSITIVE),
        _elementwise("pow", jnp.power, between(1 / 16, 8), between(-3, 3)),
        _elementwise("logaddexp", jnp.logaddexp, between(-12, 12), between(-12, 12)),
    )
}


# --- arrays --------------------------------------------------------------------------------------


def _total(array: np.ndarray, axis: int | None, keepdims: bool = False) -> np.ndarray:
    return boxed(np.sum(array, axis=axis, keepdims=keepdims))


def _exponentials(array: np.ndarray) -> np.ndarray:
    return of_entries(FUNCTIONS["exp"], array)


def _softmax(array: np.ndarray, axis: int) -> np.ndarray:
    raised = _exponentials(array)
    return boxed(raised / _total(raised, axis, keepdims=True))


def _log_softmax(array: np.ndarray, axis: int) -> np.ndarray:
    total = _total(_exponentials(array), axis, keepdims=True)
    return boxed(array - of_entries(FUNCTIONS["log"], total))


def _norm(array: np.ndarray, axis: int | None) -> np.ndarray:
    return of_entries(FUNCTIONS["sqrt"], _total(boxed(array * array), axis))


def _mean(array: np.ndarray, axis: int | None) -> np.ndarray:
    count = array.size if axis is None else array.shape[axis]
    return boxed(_total(array, axis) * Dual(arb(1) / count, arb(0)))


def _has_length(array: np.ndarray) -> bool:
    """Whether a norm of the range is certainly away from zero, along any axis."""
    return all(entry.value > 1 / 16 or entry.value < -1 / 16 for entry in array.flat)


_SOFT = between(-12, 12)
Maker = Callable[..., Operation]


def reduction(name: str, axis: int | None) -> Operation:
    """A sum, mean, norm, logsumexp or product along one axis (None: all)."""
    run, exact, fits = {
        "sum": (jnp.sum, _total, _any),
        "mean": (jnp.mean, _mean, _any),
        "norm": (
            lambda x, axis: jnp.linalg.norm(x if axis is not None else jnp.ravel(x), axis=axis),
            _norm,
            _has_length,
        ),
        "logsumexp": (
            jax.nn.logsumexp,
            lambda x, axis: of_entries(FUNCTIONS["log"], _total(_exponentials(x), axis)),
            _SOFT,
        ),
        "prod": (jnp.prod, lambda x, axis: boxed(np.prod(x, axis=axis)), between(-4, 4)),
    }[name]
    label = name if axis is None else f"{name}, axis {axis}"
    return Operation(label, 1, lambda x: run(x, axis=axis), lambda x: exact(x, axis), fits)


def along(name: str, axis: int) -> Operation:
    """A softmax, log_softmax, cumulative sum or reversal along one axis."""
    run, exact, fits = {
        "softmax": (jax.nn.softmax, _softmax, _SOFT),
        "log_softmax": (jax.nn.log_softmax, _log_softmax, _SOFT),
        "cumsum": (jnp.cumsum, lambda x, axis: np.cumsum(x, axis=axis), _any),
        "reverse": (jnp.flip, lambda x, axis: np.flip(x, axis), _any),
    }[name]
    label = f"{name}, axis {axis}"
    return Operation(label, 1, lambda x: run(x, axis=axis), lambda x: exact(x, axis), fits)


MATMUL = Operation("matmul", 2, jnp.matmul, lambda a, b: boxed(np.matmul(a, b)))
DOT = Operation("dot", 2, jnp.dot, lambda a, b: boxed(np.sum(a * b)))
OUTER = Operation(
    "outer", 2, lambda a, b: a[:, None] * b[None, :], lambda a, b: a[:, None] * b[None, :]
)
TRANSPOSE = Operation("transpose", 1, jnp.transpose, np.transpose)
FLATTEN = Operation("flatten", 1, jnp.ravel, np.ravel)


def entry(index: int) -> Operation:
    """x[index]."""
    return Operation(f"[{index}]", 1, lambda x: x[index], lambda x: boxed(x[index]))


def gather(indices: Sequence[int]) -> Operation:
    """x[indices] along the first axis; an entry may be taken twice or not at all."""
    places = np.array(indices, np.int32)
    return Operation(f"[{list(indices)}]", 1, lambda x: x[places], lambda x: x[places])


def concatenation(axis: int) -> Operation:
    """Two arrays joined along an axis."""
    return Operation(
        f"concatenate, axis {axis}",
        2,
        lambda a, b: jnp.concatenate([a, b], axis=axis),
        lambda a, b: np.concatenate([a, b], axis=axis),
    )


def constant(value: Fraction) -> Operation:
    """A number written into the program; float32 holds it exactly."""
    number = float(value)
    return Operation(f"{number:g}", 0, lambda: number, lambda: boxed(Dual(arb(number), arb(0))))

r"""Dual numbers of balls: the derivative of a program as its construction says it is.

A dual is v + s e with e^2 = 0; v and s are balls of python-flint.  Functions carry their slope by
the rule of a calculus textbook, written here by hand,

$$f(v + s\,\epsilon) = f(v) + f'(v)\,s\,\epsilon.$$

The law of the file: no AD of JAX, no SymPy and no rule of diffkit's witnesses is used, so that
the judge can be held against it.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

BITS = 160


class Dual:
    """A value and the rate at which it moves along one line.

    Args:
        value: Ball of the value.
        slope: Ball of its derivative along the line.

    >>> x = Dual(arb(3), arb(1))
    >>> int(float((x * x).slope.mid())), int((1 / x).value > 0)
    (6, 1)
    """

    __slots__ = ("slope", "value")

    def __init__(self, value: arb, slope: arb):
        self.value, self.slope = value, slope

    def __add__(self, other: Any) -> "Dual":
        other = dual(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: Any) -> "Dual":
        other = dual(other)
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other: Any) -> "Dual":
        other = dual(other)
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __truediv__(self, other: Any) -> "Dual":
        other = dual(other)
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - quotient * other.slope) / other.value)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> "Dual":
        return dual(other) - self

    def __rtruediv__(self, other: Any) -> "Dual":
        return dual(other) / self

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.slope)


def dual(value: Any) -> Dual:
    """`value` itself if it is a dual, else the constant with its exact binary value."""
    return value if isinstance(value, Dual) else Dual(exact(value), arb(0))


def exact(value: Any) -> arb:
    """A number as a ball; a float counts with its binary value."""
    if isinstance(value, arb):
        return value
    fraction = Fraction(value.item() if hasattr(value, "item") else value)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def duals(values: Any, slopes: Any = None) -> np.ndarray:
    """Arrays of numbers as an object array of duals; without `slopes` they do not move."""
    values = np.asarray(values)
    found = np.empty(values.shape, dtype=object)
    for place in np.ndindex(*values.shape):
        slope = arb(0) if slopes is None else exact(np.asarray(slopes)[place])
        found[place] = Dual(exact(values[place]), slope)
    return found


def parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of an array of duals, as object arrays of balls."""
    values, slopes = np.empty(array.shape, dtype=object), np.empty(array.shape, dtype=object)
    for place in np.ndindex(*array.shape):
        values[place], slopes[place] = array[place].value, array[place].slope
    return values, slopes


def joined(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """The array of duals with these values and slopes."""
    found = np.empty(values.shape, dtype=object)
    for place in np.ndindex(*values.shape):
        found[place] = Dual(values[place], slopes[place])
    return found


def of_entries(function: Callable[..., Dual], *arrays: np.ndarray) -> np.ndarray:
    """A function of duals on every entry of arrays that broadcast."""
    found = np.frompyfunc(function, len(arrays), 1)(*arrays)
    return boxed(found)


def boxed(value: Any) -> np.ndarray:
    """A lone dual as a 0-d array; arrays as they are."""
    if isinstance(value, np.ndarray):
        return value
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def unary(value: Callable[[arb], arb], slope: Callable[[arb, arb], arb]) -> Callable[[Dual], Dual]:
    """A function of one number from its value and its slope (argument, value) -> f'."""

    def function(x: Dual) -> Dual:
        y = value(x.value)
        return Dual(y, slope(x.value, y) * x.slope)

    return function


def _sigmoid(x: arb) -> arb:
    return 1 / (1 + (-x).exp())


def _power(exponent: Fraction) -> Callable[[Dual], Dual]:
    power = arb(fmpq(exponent.numerator, exponent.denominator))

    def raised(x: arb, n: arb) -> arb:
        return (n * x.log()).exp()

    return unary(lambda x: raised(x, power), lambda x, _: power * raised(x, power - 1))


def _pow(x: Dual, y: Dual) -> Dual:
    value = (y.value * x.value.log()).exp()
    by_base = y.value * value / x.value
    return Dual(value, by_base * x.slope + value * x.value.log() * y.slope)


def _logaddexp(x: Dual, y: Dual) -> Dual:
    total = x.value.exp() + y.value.exp()
    share = x.value.exp() / total
    return Dual(total.log(), share * x.slope + (1 - share) * y.slope)


#: Name -> the function on duals.
FUNCTIONS: dict[str, Callable[..., Dual]] = {
    "exp": unary(lambda x: x.exp(), lambda _, y: y),
    "expm1": unary(lambda x: x.expm1(), lambda x, _: x.exp()),
    "log": unary(lambda x: x.log(), lambda x, _: 1 / x),
    "log1p": unary(lambda x: x.log1p(), lambda x, _: 1 / (1 + x)),
    "sin": unary(lambda x: x.sin(), lambda x, _: x.cos()),
    "cos": unary(lambda x: x.cos(), lambda x, _: -x.sin()),
    "tanh": unary(lambda x: x.tanh(), lambda x, _: x.sech() ** 2),
    "sinh": unary(lambda x: x.sinh(), lambda x, _: x.cosh()),
    "atan": unary(lambda x: x.atan(), lambda x, _: 1 / (1 + x * x)),
    "erf": unary(lambda x: x.erf(), lambda x, _: 2 / arb.pi().sqrt() * (-x * x).exp()),
    "sigmoid": unary(_sigmoid, lambda x, _: _sigmoid(x) * _sigmoid(-x)),
    "softplus": unary(lambda x: x.exp().log1p(), lambda x, _: _sigmoid(x)),
    "sqrt": unary(lambda x: x.sqrt(), lambda _, y: 1 / (2 * y)),
    "rsqrt": unary(lambda x: 1 / x.sqrt(), lambda x, y: -y / (2 * x)),
    "square": unary(lambda x: x * x, lambda x, _: 2 * x),
    "cube": unary(lambda x: x * x * x, lambda x, _: 3 * x * x),
    "reciprocal": unary(lambda x: 1 / x, lambda _, y: -y * y),
    "power 3/2": _power(Fraction(3, 2)),
    "power -5/4": _power(Fraction(-5, 4)),
    "neg": lambda x: -x,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": _pow,
    "logaddexp": _logaddexp,
}


@contextmanager
def precision(bits: int = BITS) -> Generator[None]:
    """Compute with balls of so many bits inside the block; the setting is back afterwards."""
    previous = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = previous

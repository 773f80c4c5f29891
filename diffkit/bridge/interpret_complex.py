r"""Complex numbers over an algebra: pairs of its numbers, and the rows of primitives on them.

$$(a + ib)(c + id) = (ac - bd) + i(ad + bc), \qquad \log z = \log|z| + i\,\mathrm{atan2}(b, a)$$

Entries that are only moved or added have the rows of real numbers: pairs carry `+ - * /`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from diffkit.bridge.interpret_arrays import Equation, NoRow, Rule, elementwise, truths
from diffkit.core.errors import Undecidable
from diffkit.numeric.algebra import Algebra

Number = Any


@dataclass(frozen=True)
class Pair:
    """a + ib.

    Args:
        re: a, a number of an algebra.
        im: b.
    """

    re: Number
    im: Number

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(self.re + other.re, self.im + other.im)

    def __sub__(self, other: "Pair") -> "Pair":
        return Pair(self.re - other.re, self.im - other.im)

    def __neg__(self) -> "Pair":
        return Pair(-self.re, -self.im)

    def __mul__(self, other: "Pair") -> "Pair":
        return Pair(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )

    def __truediv__(self, other: "Pair") -> "Pair":
        size = other.re * other.re + other.im * other.im
        above = self * other.conjugate()
        return Pair(above.re / size, above.im / size)

    def conjugate(self) -> "Pair":
        """a - ib."""
        return Pair(self.re, -self.im)


def is_complex(dtype: Any) -> bool:
    """Whether a dtype holds complex numbers."""
    return getattr(dtype, "kind", "") == "c"


def part_of(dtype: Any) -> np.dtype:
    """The type of the parts of a complex type."""
    return np.dtype(np.float32 if dtype == np.complex64 else np.float64)


def pairs(value: Any, algebra: Algebra) -> np.ndarray:
    """An array of complex numbers as pairs; pairs stay what they are."""
    array = np.asarray(value)
    if array.dtype == object:
        return array

    def pair(entry: Any) -> Pair:
        number = complex(entry)
        return Pair(algebra.constant(number.real), algebra.constant(number.imag))

    return elementwise(pair, array)


def _map(run: Callable[[Algebra], Callable[..., Any]]) -> Rule:
    """A row that is a function of the entries."""
    return lambda equation, *operands: elementwise(run(equation.algebra), *operands)


def _size(algebra: Algebra) -> Callable[[Pair], Number]:
    root = algebra.function("sqrt")
    return lambda z: root(z.re * z.re + z.im * z.im)


def _exp(algebra: Algebra) -> Callable[[Pair], Pair]:
    exp, cos, sin = map(algebra.function, ("exp", "cos", "sin"))
    return lambda z: Pair(exp(z.re) * cos(z.im), exp(z.re) * sin(z.im))


def _log(algebra: Algebra) -> Callable[[Pair], Pair]:
    log, atan2, size = algebra.function("log"), algebra.function("atan2"), _size(algebra)
    return lambda z: Pair(log(size(z)), atan2(z.im, z.re))


def _sqrt(algebra: Algebra) -> Callable[[Pair], Pair]:
    log, exp, half = _log(algebra), _exp(algebra), algebra.constant(0.5)

    def root(z: Pair) -> Pair:
        found = log(z)
        return exp(Pair(half * found.re, half * found.im))

    return root


def _circular(name: str) -> Callable[[Algebra], Callable[[Pair], Pair]]:
    """sin, cos, sinh and cosh by those of the parts."""

    def of(algebra: Algebra) -> Callable[[Pair], Pair]:
        sin, cos, sinh, cosh = map(algebra.function, ("sin", "cos", "sinh", "cosh"))
        table: dict[str, Callable[[Pair], Pair]] = {
            "sin": lambda z: Pair(sin(z.re) * cosh(z.im), cos(z.re) * sinh(z.im)),
            "cos": lambda z: Pair(cos(z.re) * cosh(z.im), -(sin(z.re) * sinh(z.im))),
            "sinh": lambda z: Pair(sinh(z.re) * cos(z.im), cosh(z.re) * sin(z.im)),
            "cosh": lambda z: Pair(cosh(z.re) * cos(z.im), sinh(z.re) * sin(z.im)),
        }
        return table[name]

    return of


def _tanh(algebra: Algebra) -> Callable[[Pair], Pair]:
    sinh, cosh = _circular("sinh")(algebra), _circular("cosh")(algebra)
    return lambda z: sinh(z) / cosh(z)


def _sign(algebra: Algebra) -> Callable[[Pair], Pair]:
    size = _size(algebra)

    def sign(z: Pair) -> Pair:
        length = size(z)
        return Pair(z.re / length, z.im / length)

    return sign


def _one_minus_square(algebra: Algebra) -> Callable[[Pair], Pair]:
    one = Pair(algebra.constant(1), algebra.constant(0))
    return lambda z: one - z * z


def _integer_pow(equation: Equation, z: Any) -> Any:
    power = int(equation["y"])
    one = Pair(equation.algebra.constant(1), equation.algebra.constant(0))

    def raised(base: Pair) -> Pair:
        found = base
        for _ in range(abs(power) - 1):
            found = found * base
        return one if power == 0 else (found if power > 0 else one / found)

    return elementwise(raised, z)


def _convert(equation: Equation, x: Any) -> Any:
    if not is_complex(np.dtype(equation["new_dtype"])):
        raise NoRow(f"dtype {equation['new_dtype']}")
    if x.size and isinstance(x.flat[0], Pair):
        return x
    zero = equation.algebra.constant(0)
    if x.dtype != object:
        x = elementwise(lambda n: equation.algebra.constant(Fraction(int(n))), x)
    return elementwise(lambda entry: Pair(entry, zero), x)


def _select(equation: Equation, which: Any, *cases: Any) -> Any:
    algebra = equation.algebra

    def choose(index: Any, *values: Pair) -> Pair:
        if isinstance(index, Undecidable):
            raise index
        if isinstance(index, int | bool | np.integer | np.bool_):
            return values[int(index)]
        first, second = values
        return Pair(
            algebra.select(index, second.re, first.re), algebra.select(index, second.im, first.im)
        )

    return elementwise(choose, np.broadcast_to(which, cases[0].shape), *cases)


def _equal(holds: bool) -> Rule:
    def rule(equation: Equation, x: Any, y: Any) -> Any:
        truth = equation.algebra.truth

        def same(a: Pair, b: Pair) -> Any:
            both = truth("eq", a.re, b.re) and truth("eq", a.im, b.im)
            return bool(both) is holds

        return truths(elementwise(same, x, y))

    return rule


COMPLEX_RULES: dict[str, Rule] = {
    "complex": _map(lambda _: Pair),
    "real": _map(lambda _: lambda z: z.re),
    "imag": _map(lambda _: lambda z: z.im),
    "conj": _map(lambda algebra: lambda z: _conjugate(z, algebra)),
    "abs": _map(_size),
    "sign": _map(_sign),
    **dict.fromkeys(("add", "add_any"), _map(lambda _: lambda a, b: a + b)),
    "sub": _map(lambda _: lambda a, b: a - b),
    "mul": _map(lambda _: lambda a, b: a * b),
    "div": _map(lambda _: lambda a, b: a / b),
    "neg": _map(lambda _: lambda a: -a),
    "square": _map(lambda _: lambda a: a * a),
    "one_minus_square": _map(_one_minus_square),
    "exp": _map(_exp),
    "log": _map(_log),
    "sqrt": _map(_sqrt),
    "tanh": _map(_tanh),
    **{name: _map(_circular(name)) for name in ("sin", "cos", "sinh", "cosh")},
    "integer_pow": _integer_pow,
    "convert_element_type": _convert,
    "select_n": _select,
    "eq": _equal(True),
    "ne": _equal(False),
}
#: Rows of real numbers that only move, choose or add entries.
SHARED = frozenset(
    "copy copy_p stop_gradient optimization_barrier pvary broadcast_in_dim reshape squeeze "
    "expand_dims transpose slice rev concatenate stack unstack split tile gather dynamic_slice "
    "dynamic_update_slice reduce_sum dot_general".split()
)


def _conjugate(z: Any, algebra: Algebra) -> Pair:
    return z.conjugate() if isinstance(z, Pair) else Pair(z, algebra.constant(0))

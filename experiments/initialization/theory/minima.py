"""Where gradient descent can end: levels of exclusive or, basins of a double well.  No JAX here."""

from collections.abc import Iterator, Sequence
from functools import cache

import sympy as sp
from sympy.utilities.iterables import multiset_partitions

from diffkit.theory.law import Law, Line

#: Targets of the four corners.
EITHER = (-1, 1, 1, -1)
x = sp.Symbol("x", real=True)
#: A global minimum on the left, a local one on the right, a maximum between them.
POTENTIAL = x**4 / 4 - x**2 / 2 + x / 5
#: Starts are uniform on [-REACH, REACH].
REACH = 2


def merged_loss(groups: Sequence[Sequence[int]]) -> sp.Rational:
    """Least mean squared error of a network that cannot tell the corners of a group apart."""
    total = sp.Integer(0)
    for group in groups:
        mean = sp.Rational(sum(EITHER[corner] for corner in group), len(group))
        total += sum((EITHER[corner] - mean) ** 2 for corner in group)
    return total / len(EITHER)


@cache
def levels() -> tuple[float, ...]:
    """The losses at which saturated hidden units can leave a network, by enumeration.

    >>> levels()
    (0.0, 0.5, 0.6666666666666666, 1.0)
    """
    return tuple(sorted({float(merged_loss(groups)) for groups in _partitions()}))


def _partitions() -> Iterator[list[list[int]]]:
    yield from multiset_partitions(list(range(len(EITHER))))


def one_unit_level() -> float:
    """The least loss of one hidden unit: it can cut off one corner of the four.

    >>> one_unit_level()
    0.6666666666666666
    """
    return min(float(merged_loss([[k], [j for j in range(4) if j != k]])) for k in range(4))


@cache
def stationary_points() -> tuple[float, float, float]:
    """Global minimum, maximum and local minimum of the double well."""
    roots = sp.Poly(sp.diff(POTENTIAL, x), x).nroots(n=20)
    low, middle, high = sorted(float(root) for root in roots)
    return low, middle, high


def trapped_share() -> float:
    """Share of starts in the basin of the worse minimum, for steps that never jump."""
    return (REACH - stationary_points()[1]) / (2 * REACH)


def jumping_rate() -> float:
    """Step size below which no step from the interval jumps over a stationary point.

    x - a f'(x) is monotone where a f'' < 1, and f'' is largest at the ends.
    """
    return 1 / float(sp.diff(POTENTIAL, x, 2).subs(x, REACH))


def laws() -> tuple[Law, ...]:
    """The slope whose zeros bound the basins."""
    slope = x**3 - x + sp.Rational(1, 5)
    line = Line("slope", sp.Derivative(POTENTIAL, x), slope)
    assumes = "f = x^4/4 - x^2/2 + x/5"
    return (Law("slope of the double well", sp.Symbol("f'"), slope, "", (line,), assumes),)

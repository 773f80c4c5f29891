"""Points at which an untaken branch of a Piecewise may be computed without harm."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise, product
from random import Random

import sympy as sp

from diffkit.symbolic.scalar_function import ScalarFunction
from diffkit.symbolic.walk import nodes
from diffkit.tensor.substitute import substitute, symbols_of

#: Functions that are finite with finite derivatives for every finite argument of either sign.
_TAME = frozenset(
    (
        "sin cos tanh atan erf erfc sigmoid softplus log_sigmoid silu gelu gelu_tanh mish log_cosh "
        "relu relu6 leaky_relu prelu softsign hard_tanh hard_sigmoid hard_swish sparse_plus "
        "sparse_sigmoid step normal_pdf normal_cdf log_normal_cdf logaddexp sinc cosm1 Abs sign "
        "Max Min floor ceiling asinh sigmoid_prime sech_squared gelu_prime normal_hazard huber "
        "clip hinge"
    ).split()
)
_VALUES = tuple(
    map(sp.Rational, ("1/2", "-1/2", "1", "-1", "2", "-2", "0", "3", "-3", "10", "-10"))
)
#: Points tried before giving up.
_TRIES = 400


def is_fragile(expr: sp.Basic) -> bool:
    """Whether `expr` can be infinite, undefined or without slope at a finite argument."""
    return any(_is_fragile(node) for node in nodes(expr))


def _is_fragile(node: sp.Basic) -> bool:
    if isinstance(node, sp.Pow):
        return not (node.exp.is_Integer and node.exp.is_nonnegative)
    if isinstance(node, ScalarFunction | sp.Function):
        return type(node).__name__ not in _TAME and not isinstance(node, sp.Piecewise)
    return False


@lru_cache(maxsize=1024)
def _cached(expr: sp.Basic, where: sp.Basic) -> tuple[tuple[sp.Symbol, sp.Rational], ...] | None:
    symbols = sorted(symbols_of(expr), key=str)
    others = sorted(symbols_of(where) - symbols_of(expr), key=str)
    every = [*symbols, *others]
    for tried, point in enumerate(_points(every, where)):
        if tried >= _TRIES:
            return None
        if _holds(where, point) and _is_smooth_at(expr, point):
            return tuple((each, point[each]) for each in symbols)
    return None


def _holds(where: sp.Basic, point: dict[sp.Symbol, sp.Rational]) -> bool:
    try:
        return substitute(where, point) == sp.true
    except TypeError:  # a side of the comparison is undefined there
        return False


def safe_point(expr: sp.Basic, where: sp.Basic) -> dict[sp.Symbol, sp.Rational] | None:
    """A point of the region `where` at which `expr` and its slopes are finite, or None.

    Args:
        expr: The branch.
        where: Its own condition and that no branch before it is taken.
    """
    found = _cached(expr, where)
    return None if found is None else dict(found)


def _points(symbols: list[sp.Symbol], where: sp.Basic) -> Iterator[dict[sp.Symbol, sp.Rational]]:
    """Small numbers, and the numbers in the condition with their neighbours, nearest first."""
    bounds = sorted(n for n in where.atoms(sp.Rational) if n.is_finite)
    near = [(low + high) / 2 for low, high in pairwise(bounds)]
    near += [bound + shift for bound in bounds for shift in (0, sp.S.Half, -sp.S.Half)]
    candidates = tuple(dict.fromkeys((*_VALUES, *near)))
    if len(candidates) ** len(symbols) <= _TRIES:
        every = product(candidates, repeat=len(symbols))
    else:
        # In order, the first symbols would keep their first values; drawn, all of them move.
        random = Random(0)
        every = ([random.choice(candidates) for _ in symbols] for _ in range(_TRIES))
    for values in every:
        yield dict(zip(symbols, values, strict=True))


def _is_smooth_at(expr: sp.Basic, point: dict[sp.Symbol, sp.Rational]) -> bool:
    """Whether every node that is differentiated is finite at and next to the point."""
    for node in nodes(expr):
        if not _is_fragile(node):
            continue
        if not all(_is_finite(node, point, shift) for shift in (0, -1, 1)):
            return False
    return True


def _is_finite(node: sp.Basic, point: dict[sp.Symbol, sp.Rational], shift: int) -> bool:
    # A slope is infinite only at the edge of a domain, and there one neighbour is outside.
    # Floats: SymPy would factor the huge numbers in an exact rational power.
    tiny = sp.Rational(shift, 10**6)
    near = {each: sp.Float(at + tiny, 30) for each, at in point.items()}
    try:
        value = substitute(node, near).evalf(15)
    except (ValueError, ArithmeticError):  # mpmath at a pole
        return False
    return bool(value.is_real and value.is_finite and abs(value) < 1e30)

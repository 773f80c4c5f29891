"""Library functions of arrays that are read by name, when the call is that function.

Their jaxprs go through LU decompositions, tables of Pade coefficients, bit patterns or binary
searches that are no formula; the name is trusted only where the inner jaxpr equals a fresh trace
of the library's own function.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge.idioms import stands_for
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.tensor import build, views
from diffkit.tensor.exponential import exponential_pushforward
from diffkit.tensor.views import View

Meaning = Callable[..., list[View]]


@dataclass(frozen=True)
class Idiom:
    """A library function and what it means.

    Args:
        function: The function, its options bound.
        meaning: Views of its operands -> views of its results.
        note: What the formula leaves out, "" when nothing.
    """

    function: Callable[..., Any]
    meaning: Meaning
    note: str = ""


def _one(function: Callable[..., View]) -> Meaning:
    return lambda *operands: [function(*operands)]


def _slogdet(x: View) -> list[View]:
    return [views.determinant(x, "detsign"), views.determinant(x, "logabsdet")]


def _frechet(x: View, direction: View) -> list[View]:
    whole = views.function_of_matrix("expm", x)
    along = exponential_pushforward(whole.node, views.dense(direction), 0)  # ty: ignore[invalid-argument-type]
    return [whole, views.view(along)]


def _copysign(x: View, y: View) -> View:
    return views.elementwise(lambda a, b: sp.Abs(a) * sp.Piecewise((1, b >= 0), (-1, True)), x, y)


def _signbit(x: View) -> View:
    return views.elementwise(lambda a: sp.Lt(a, 0), x)


def _gamma_sign(x: sp.Expr) -> sp.Expr:
    """1 for x > 0, and (-1)^floor(x) below."""
    return sp.Piecewise((1, x > 0), (1 - 2 * sp.floor(x) + 4 * sp.floor(x / 2), True))


def _primal(function: Any) -> Callable[..., Any]:
    """A library function without its rule of differentiation."""
    return getattr(function, "fun", function)


def _expint(order: View, x: View) -> View:
    n = build.number(order.node)
    if n is None or not n.is_Integer:
        raise UnsupportedPrimitive("cannot lift `expn` of an order that is an argument; fix it")
    return views.elementwise(lambda a: sp.expint(n, a), x)


def _rank(relation: Callable[..., sp.Basic]) -> Meaning:
    """How many entries of a sorted vector stand before each value."""

    def meaning(grid: View, values: View) -> list[View]:
        wide = views.expand(values, values.rank, grid.shape[0])
        before = views.as_number(views.elementwise(relation, grid, wide))
        return [views.total(before, [values.rank])]

    return meaning


_SORTED = "the first argument of searchsorted is read as sorted"
_SEARCHES = tuple(
    Idiom(partial(jnp.searchsorted, side=side, method=method), _rank(relation), _SORTED)
    for side, relation in (("left", sp.Lt), ("right", sp.Le))
    for method in ("scan", "scan_unrolled")
)
_NO_ZERO_SIGN = "the sign of a zero is read as positive"
_PINV = Idiom(jnp.linalg.pinv, _one(lambda x: views.function_of_matrix("pinv", x)))

#: Name of the inner function -> the library functions it may be.
TABLE: dict[str, tuple[Idiom, ...]] = {
    "det": (Idiom(jnp.linalg.det, _one(views.determinant)),),
    "slogdet": (Idiom(jnp.linalg.slogdet, _slogdet),),
    "inv": (Idiom(jnp.linalg.inv, _one(views.matrix_inverse)),),
    "pinv": (_PINV,),
    "_pinv": (_PINV,),
    "expm": (Idiom(jax.scipy.linalg.expm, _one(lambda x: views.function_of_matrix("expm", x))),),
    "expm_frechet": (Idiom(jax.scipy.linalg.expm_frechet, _frechet),),
    "copysign": (Idiom(jnp.copysign, _one(_copysign), _NO_ZERO_SIGN),),
    "signbit": (Idiom(jnp.signbit, _one(_signbit), _NO_ZERO_SIGN),),
    "ldexp": (Idiom(jnp.ldexp, _one(lambda x, n: views.elementwise(lambda a, b: a * 2**b, x, n))),),
    "expn": (Idiom(_primal(jax.scipy.special.expn), _one(_expint)),),
    "expi": (Idiom(jax.scipy.special.expi, _one(lambda x: views.elementwise(sp.Ei, x))),),
    "gammasgn": (
        Idiom(
            jax.scipy.special.gammasgn,
            _one(lambda x: views.elementwise(_gamma_sign, x)),
            "the sign of gamma is constant between its poles",
        ),
    ),
    "searchsorted": _SEARCHES,
}


def recognise(eqn: Any) -> Idiom | None:
    """The row for a call, or None when it is none of the table's functions."""
    rows = TABLE.get(compat.called_name(eqn), ())
    return next((row for row in rows if stands_for(eqn, row.function)), None)

"""Library functions of matrices that are read by name, when the call is that function.

Their jaxprs go through LU decompositions and tables of Pade coefficients that are no formula; the
name is trusted only where the inner jaxpr equals a fresh trace of the library's own function.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.backend import compat
from diffkit.bridge.idioms import stands_for
from diffkit.tensor import views
from diffkit.tensor.views import View

Rule = Callable[..., list[View]]


def _slogdet(x: View) -> list[View]:
    return [views.determinant(x, "detsign"), views.determinant(x, "logabsdet")]


def _one(function: Callable[[View], View]) -> Rule:
    return lambda x: [function(x)]


#: Name of the inner function -> library function, its meaning.
TABLE: dict[str, tuple[Callable[..., Any], Rule]] = {
    "det": (jnp.linalg.det, _one(views.determinant)),
    "slogdet": (jnp.linalg.slogdet, _slogdet),
    "inv": (jnp.linalg.inv, _one(views.matrix_inverse)),
    "pinv": (jnp.linalg.pinv, _one(lambda x: views.function_of_matrix("pinv", x))),
    "expm": (jax.scipy.linalg.expm, _one(lambda x: views.function_of_matrix("expm", x))),
}


def recognise(eqn: Any) -> Rule | None:
    """The rule for a call, or None when it is none of the table's functions."""
    row = TABLE.get(compat.called_name(eqn))
    if row is None:
        return None
    function, rule = row
    return rule if stands_for(eqn, function) else None

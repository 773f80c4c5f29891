"""Rules for shapes, dtypes and polynomials: what keeps the entries of an array apart."""

from typing import Any

import jax
import numpy as np
import sympy as sp

from diffkit.bridge.walk import RULES, Walk
from diffkit.tensor import build, views
from diffkit.tensor.nodes import const, is_predicate
from diffkit.tensor.views import View

_A = sp.Symbol("_0", real=True)
_TRUNCATED = sp.sign(_A) * sp.floor(sp.Abs(_A))


def _broadcast(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    shape = tuple(eqn.params["shape"])
    dimensions = tuple(int(d) for d in eqn.params["broadcast_dimensions"])
    return [views.broadcast_in_dim(walk.view(operands[0]), shape, dimensions)]


def _reshape(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    return [views.reshape(walk.view(operands[0]), tuple(eqn.outvars[0].aval.shape))]


def _squeeze(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    return [views.squeeze(walk.view(operands[0]), tuple(map(int, eqn.params["dimensions"])))]


def _transpose(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    return [views.transpose(walk.view(operands[0]), tuple(map(int, eqn.params["permutation"])))]


def _convert(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """A change of dtype: exact, but from booleans, to booleans and to whole numbers."""
    to, source = eqn.params["new_dtype"], eqn.invars[0].aval.dtype
    operand = walk.view(operands[0])
    if is_predicate(operand.node):
        return [operand if to == np.bool_ else views.as_number(operand)]
    if to == np.bool_:
        return [views.elementwise(lambda x: sp.Ne(x, 0), operand)]
    if _is_floating(source) and np.issubdtype(to, np.integer):
        value = build.number(operand.node)
        if value is not None and value.is_Integer:
            return [operand]
        return [views.elementwise(lambda x: _TRUNCATED.xreplace({_A: x}), operand)]
    if _is_floating(source) and _is_floating(to) and _bits(to) < _bits(source):
        walk.note(f"rounding to {np.dtype(to).name} is left out", eqn)
    return [operand]


def _finite(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    walk.note("is_finite is read as true", eqn)
    shape = tuple(eqn.outvars[0].aval.shape)
    return [View(const(sp.true), (None,) * len(shape), shape)]


def _polynomial(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """sum_k c_k x**k, the coefficients in ascending order."""
    read = [walk.view(operand) for operand in operands]
    return [views.elementwise(lambda x, *cs: sum(c * x**k for k, c in enumerate(cs)), *read)]


def _is_floating(dtype: Any) -> bool:
    return jax.numpy.issubdtype(dtype, jax.numpy.floating)


def _bits(dtype: Any) -> int:
    return jax.numpy.finfo(dtype).bits


RULES |= {
    "broadcast_in_dim": _broadcast,
    "convert_element_type": _convert,
    "is_finite": _finite,
    "polynomial": _polynomial,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
}

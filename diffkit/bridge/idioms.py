"""Named library functions inside a jaxpr: recognised only when they are what the name says.

A `jit` or `custom_jvp_call` called `softplus` stands for the vocabulary's softplus if its inner
jaxpr equals, up to variable names, a fresh trace of `jax.nn.softplus` at the same types.  Anything
else called softplus is read as the program it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any

import jax
import sympy as sp

from diffkit.backend import compat
from diffkit.backend.kernels import FUSED, KERNELS
from diffkit.bridge.fused import MEANINGS
from diffkit.symbolic.vocabulary import FUNCTIONS, ROWS, Row

#: JAX's own inner name where it differs from the last part of the dotted name.
INNER_NAMES = {"hard_swish": "hard_silu", "sigmoid": "logistic"}
#: SymPy's classes by kernel name, where the vocabulary has none.
_SYMPY: dict[str, Callable[..., sp.Basic]] = {
    "log": sp.log,
    "exp": sp.exp,
    "sqrt": sp.sqrt,
    "abs": sp.Abs,
    "sign": sp.sign,
    "floor": sp.floor,
    "ceil": sp.ceiling,
    "max": sp.Max,
    "min": sp.Min,
    "lgamma": sp.loggamma,
    "expi": sp.Ei,
    "beta": sp.beta,
    "betainc": lambda a, b, x: sp.betainc_regularized(a, b, sp.S.Zero, x),
    "zeta": sp.zeta,
    **{
        name: getattr(sp, name)
        for name in (
            "sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
            "erf erfc erfinv digamma gamma polygamma"
        ).split()
    },
}


def recognise(eqn: Any) -> Callable[..., sp.Basic] | None:
    """The scalar function an equation stands for, as SymPy, or None.

    Args:
        eqn: An equation with an inner jaxpr and a name.
    """
    name = compat.called_name(eqn)
    if not name or len(eqn.outvars) != 1:
        return None
    types = tuple(_type_of(atom) for atom in eqn.invars)
    for candidate in _candidates(name):
        if len(types) in candidate.arities and stands_for(eqn, candidate.function):
            return candidate.meaning
    return None


def stands_for(eqn: Any, function: Callable[..., Any]) -> bool:
    """Whether a call is `function`: its jaxpr equals a fresh trace of it at the same types."""
    types = tuple(_type_of(atom) for atom in eqn.invars)
    traced = _trace(function, types, compat.x64_enabled())
    return traced is not None and _is_same_call(eqn, traced)


def _type_of(atom: Any) -> tuple[tuple[int, ...], str, bool]:
    aval = atom.aval
    return tuple(aval.shape), str(aval.dtype), bool(getattr(aval, "weak_type", False))


@dataclass(frozen=True)
class _Candidate:
    """A library function that may appear under a name, and what it means."""

    function: Callable[..., Any]
    meaning: Callable[..., sp.Basic]
    arities: range


@cache
def _candidates(name: str) -> tuple[_Candidate, ...]:
    found = []
    if name in KERNELS:
        found.append(_Candidate(KERNELS[name], FUNCTIONS.get(name) or _SYMPY[name], range(1, 4)))
    if name in FUSED:
        found.append(_Candidate(FUSED[name], MEANINGS[name], range(1, 4)))
    for row in ROWS:
        function = _library(row) if name in _inner_names(row) else None
        if function is not None:
            arities = range(row.min_arity, row.arity + 1)
            found.append(_Candidate(function, FUNCTIONS[row.name], arities))
    return tuple(found)


def _inner_names(row: Row) -> set[str]:
    last = row.jax.rpartition(".")[2]
    return {last, INNER_NAMES.get(last, last)} if row.jax.startswith("jax.") else set()


def _library(row: Row) -> Callable[..., Any] | None:
    module, _, name = row.jax.rpartition(".")
    function = getattr(import_module(module), name, None)
    return partial(function, **dict(row.jax_kwargs)) if function and row.jax_kwargs else function


@cache
def _trace(function: Callable[..., Any], types: tuple[Any, ...], wide: bool) -> Any | None:
    """A fresh trace of `function` at these types; None when it does not take such operands.

    `wide` only tells traces made with and without x64 apart.
    """
    try:
        return compat.trace(function, *(_example(*each) for each in types))
    except (TypeError, ValueError):
        return None


def _example(shape: tuple[int, ...], dtype: str, weak: bool) -> Any:
    # Python scalars have weak types, and a default such as alpha=1.0 is one.
    if weak and not shape:
        return {"f": 0.5, "i": 1, "b": True}.get(dtype[0], 0.5)
    return jax.ShapeDtypeStruct(shape, dtype)


def _is_same_call(eqn: Any, traced: Any) -> bool:
    """Whether the trace is exactly one call whose inner jaxpr equals the equation's."""
    jaxpr, _ = compat.open_jaxpr(traced)
    inner = compat.called_jaxpr(eqn)
    if compat.same_jaxpr(inner, traced):
        return True
    if len(jaxpr.eqns) != 1:
        return False
    (fresh,) = jaxpr.eqns
    return (
        fresh.primitive.name == eqn.primitive.name
        and len(fresh.invars) == len(eqn.invars)
        and compat.called_jaxpr(fresh) is not None
        and compat.same_jaxpr(inner, compat.called_jaxpr(fresh))
    )

"""Library functions that leave no call behind: found in a jaxpr as runs of equations.

`jax.nn.softmax` and `jnp.mean` are inlined when they are traced.  A run of equations stands for
such a function when it equals a fresh trace of it at the same types, up to the names of its
variables, and when nothing inside the run is used after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.backend import compat


@dataclass(frozen=True)
class Pattern:
    """A library function of one array, its options bound.

    Args:
        name: How a graph calls it.
        function: The function.
    """

    name: str
    function: Callable[..., Any]


def _along(name: str, function: Callable[..., Any]) -> tuple[Pattern, ...]:
    """A reduction over everything, the last and the first axis."""
    return (Pattern(name, function), *(Pattern(name, partial(function, axis=a)) for a in (-1, 0)))


PATTERNS: tuple[Pattern, ...] = (
    Pattern("softmax", jax.nn.softmax),
    Pattern("log_softmax", jax.nn.log_softmax),
    *_along("logsumexp", jax.nn.logsumexp),
    Pattern("gelu_tanh", jax.nn.gelu),
    Pattern("gelu", partial(jax.nn.gelu, approximate=False)),
    Pattern("silu", jax.nn.silu),
    *_along("std", jnp.std),
    *_along("var", jnp.var),
    Pattern("norm", jnp.linalg.norm),
    *_along("mean", jnp.mean),
)


@dataclass(frozen=True)
class Run:
    """Equations that are one library function.

    Args:
        name: Name of the function.
        function: The function itself.
        length: How many equations it takes.
        operand: The variable it is applied to.
        result: The variable it computes.
    """

    name: str
    function: Callable[..., Any]
    length: int
    operand: Any
    result: Any


def run_at(jaxpr: Any, start: int) -> Run | None:
    """The longest run of equations from `start` that is one function of `PATTERNS`, or None."""
    eqns = jaxpr.eqns
    operands = [atom for atom in eqns[start].invars if not compat.is_literal(atom)]
    if len(operands) != 1 or not jnp.issubdtype(operands[0].aval.dtype, jnp.floating):
        return None
    (operand,) = operands
    found = [
        run for pattern in PATTERNS if (run := _matches(pattern, jaxpr, start, operand)) is not None
    ]
    return max(found, key=lambda run: run.length, default=None)


def _matches(pattern: Pattern, jaxpr: Any, start: int, operand: Any) -> Run | None:
    aval = operand.aval
    traced = _trace(pattern, tuple(aval.shape), str(aval.dtype), compat.x64_enabled())
    if traced is None:
        return None
    fresh, constants = compat.open_jaxpr(traced)
    window = jaxpr.eqns[start : start + len(fresh.eqns)]
    if constants or not _begins_alike(window, fresh.eqns) or len(fresh.eqns) < 2:
        return None
    result = window[-1].outvars[0]
    ours = SimpleNamespace(eqns=window, constvars=(), invars=(operand,), outvars=(result,))
    if not compat.same_jaxpr(ours, fresh) or _is_used_later(window[:-1], jaxpr, start):
        return None
    return Run(pattern.name, pattern.function, len(window), operand, result)


def _begins_alike(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    names = [eqn.primitive.name for eqn in ours]
    return names == [eqn.primitive.name for eqn in theirs]


def _is_used_later(inside: Sequence[Any], jaxpr: Any, start: int) -> bool:
    """Whether a variable of the run, its result apart, is read outside of it."""
    hidden = {id(variable) for eqn in inside for variable in eqn.outvars}
    after = jaxpr.eqns[start + len(inside) + 1 :]
    read = [atom for eqn in after for atom in eqn.invars]
    return any(id(atom) in hidden for atom in (*read, *jaxpr.outvars))


@cache
def _trace(pattern: Pattern, shape: tuple[int, ...], dtype: str, wide: bool) -> Any | None:
    """A fresh trace; None where the function takes no such array.  `wide` keeps x64 apart."""
    try:
        return compat.trace(pattern.function, jax.ShapeDtypeStruct(shape, dtype))
    except (TypeError, ValueError, LookupError):  # a number has no axis -1
        return None

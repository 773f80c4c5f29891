"""Walk a jaxpr at one point in floating point and see where it is delicate.

A place is delicate when a comparison ties, or a function is at the edge of its domain: that is
where AD's convention, a NaN or a wrong branch comes from.  The walk names the user's line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat

TIES = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "max", "min"})
#: Primitive -> operand value at which its derivative is infinite or not defined.
EDGES = {"sqrt": 0.0, "log": 0.0, "rsqrt": 0.0, "cbrt": 0.0, "abs": 0.0, "sign": 0.0, "log1p": -1.0}

LOOPS = frozenset({"while", "scan"})
CUSTOM_RULES = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})


@dataclass(frozen=True)
class Place:
    """One delicate equation.

    Args:
        primitive: Its primitive.
        source: File, line and text of the user's code.
        reason: "tie", "edge", or "overflow" and "underflow" where a result is too large or too
            small for its type.
    """

    primitive: str
    source: compat.Source
    reason: str

    @property
    def is_out_of_range(self) -> bool:
        """Whether a result left the range of its type."""
        return self.reason in ("overflow", "underflow")

    @property
    def line(self) -> str:
        """The place as "losses.py:12", or "" when JAX did not record it."""
        if not self.source.file:
            return ""
        name = self.source.file.rsplit("/", 1)[-1]
        return (
            f"{name}:{self.source.line}" if not name.startswith("<") else f"line {self.source.line}"
        )


def delicate(jaxpr: Any, leaves: Sequence[Any]) -> list[Place]:
    """The delicate equations met when `jaxpr` is run on `leaves`, in program order."""
    found: list[Place] = []
    opened, constants = compat.open_jaxpr(jaxpr)
    _walk(opened, constants, list(leaves), found, compat.Source())
    return list(dict.fromkeys(found))


def _walk(
    opened: Any,
    constants: Sequence[Any],
    inputs: list[Any],
    found: list[Place],
    caller: compat.Source,
) -> list[Any]:
    env: dict[Any, Any] = dict(zip(opened.constvars, constants, strict=True))
    env.update(zip(opened.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if compat.is_literal(atom) else env[atom]

    for eqn in opened.eqns:
        values = [read(atom) for atom in eqn.invars]
        # inside a library function JAX records no line: the caller's is the user's
        source = compat.source(eqn)
        source = source if source.file else caller
        found.extend(Place(eqn.primitive.name, source, reason) for reason in _reasons(eqn, values))
        inner = compat.called_jaxpr(eqn)
        if inner is not None and eqn.primitive.name not in ("scan", "while", "cond"):
            results = _walk(*compat.open_jaxpr(inner), values, found, source)
        else:
            results = eqn.primitive.bind(*map(jnp.asarray, values), **eqn.params)
            results = results if eqn.primitive.multiple_results else [results]
            if _overflows(values, results):
                found.append(Place(eqn.primitive.name, source, "overflow"))
            elif _underflows(eqn.primitive.name, values, results):
                found.append(Place(eqn.primitive.name, source, "underflow"))
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in opened.outvars]


def _overflows(values: Sequence[Any], results: Sequence[Any]) -> bool:
    """Whether a result is infinite although every operand is finite."""
    return not any(map(_is_infinite, values)) and any(map(_is_infinite, results))


#: Functions that are 0 for operands other than 0 by rounding alone.
_NEVER_ZERO = frozenset("mul div integer_pow pow square exp exp2 rsqrt".split())


def _underflows(name: str, values: Sequence[Any], results: Sequence[Any]) -> bool:
    """Whether a product or power of numbers other than 0 is 0."""
    if name not in _NEVER_ZERO or not jnp.issubdtype(jnp.result_type(results[0]), jnp.floating):
        return False
    arrays = np.broadcast_arrays(results[0], *values)
    found, operands = arrays[0], arrays[1:]
    is_plain = np.logical_and.reduce([np.isfinite(each) & (each != 0) for each in operands])
    return bool(np.any(is_plain & (found == 0)))


def _is_infinite(value: Any) -> bool:
    array = np.asarray(value)
    is_real = jnp.issubdtype(array.dtype, jnp.floating)
    return bool(is_real and np.any(np.isinf(array.astype(np.float64))))


def _reasons(eqn: Any, values: Sequence[Any]) -> Iterator[str]:
    name = eqn.primitive.name
    if name in TIES and len(values) == 2 and _meet(values[0], values[1]):
        yield "tie"
    elif (
        (name in EDGES and _meet(values[0], EDGES[name]))
        or (name == "div" and _meet(values[1], 0))
        or (name in ("pow", "integer_pow") and _meet(values[0], 0))
    ):
        yield "edge"


def _meet(a: Any, b: Any) -> bool:
    return bool(np.any(np.asarray(a) == np.asarray(b)))


def coarsest(jaxpr: Any, dtype: str) -> float:
    """The largest spacing at 1 of the floating-point types in a program that runs in `dtype`.

    In float64 a program still rounds to float32 what it computes of float32 constants alone.
    """
    return max(float(jnp.finfo(kind).eps) for kind in (dtype, *_types(jaxpr)))


def _types(jaxpr: Any) -> Iterator[Any]:
    for eqn in compat.open_jaxpr(jaxpr)[0].eqns:
        for var in eqn.outvars:
            kind = getattr(var.aval, "dtype", None)
            if kind is not None and jnp.issubdtype(kind, jnp.floating):
                yield kind
        for inner in compat.inner_jaxprs(eqn):
            yield from _types(inner)


def has_iterated_rule(jaxpr: Any, *, inside: bool = False) -> bool:
    """Whether a custom derivative rule is given to a loop (`custom_root`, a fixed point)."""
    opened, _ = compat.open_jaxpr(jaxpr)
    for eqn in opened.eqns:
        if inside and eqn.primitive.name in LOOPS:
            return True
        inner = compat.called_jaxpr(eqn)
        within = inside or eqn.primitive.name in CUSTOM_RULES
        if inner is not None and has_iterated_rule(inner, inside=within):
            return True
    return False

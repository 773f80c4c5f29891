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


@dataclass(frozen=True)
class Place:
    """One delicate equation.

    Args:
        primitive: Its primitive.
        source: File and line of the user's code, "file.py:12".
        code: The text of that line.
        reason: "tie" or "edge".
    """

    primitive: str
    source: str
    code: str
    reason: str


def delicate(jaxpr: Any, leaves: Sequence[Any]) -> list[Place]:
    """The delicate equations met when `jaxpr` is run on `leaves`, in program order."""
    found: list[Place] = []
    opened, constants = compat.open_jaxpr(jaxpr)
    _walk(opened, constants, list(leaves), found)
    return list(dict.fromkeys(found))


def _walk(opened: Any, constants: Sequence[Any], inputs: list[Any], found: list[Place]) -> list:
    env: dict[Any, Any] = dict(zip(opened.constvars, constants, strict=True))
    env.update(zip(opened.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if compat.is_literal(atom) else env[atom]

    for eqn in opened.eqns:
        values = [read(atom) for atom in eqn.invars]
        found.extend(_judge(eqn, values))
        inner = compat.called_jaxpr(eqn)
        if inner is not None and eqn.primitive.name not in ("scan", "while", "cond"):
            results = _walk(*compat.open_jaxpr(inner), values, found)
        else:
            results = eqn.primitive.bind(*map(jnp.asarray, values), **eqn.params)
            results = results if eqn.primitive.multiple_results else [results]
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in opened.outvars]


def _judge(eqn: Any, values: Sequence[Any]) -> Iterator[Place]:
    name = eqn.primitive.name
    if name in TIES and len(values) == 2 and _meet(values[0], values[1]):
        yield _place(eqn, "tie")
    elif name in EDGES and bool(np.any(np.asarray(values[0]) == EDGES[name])):
        yield _place(eqn, "edge")
    elif name == "div" and bool(np.any(np.asarray(values[1]) == 0)):
        yield _place(eqn, "edge")
    elif name in ("pow", "integer_pow") and bool(np.any(np.asarray(values[0]) == 0)):
        yield _place(eqn, "edge")


def _meet(a: Any, b: Any) -> bool:
    return bool(np.any(np.asarray(a) == np.asarray(b)))


def _place(eqn: Any, reason: str) -> Place:
    source = compat.source(eqn)
    return Place(eqn.primitive.name, str(source), source.text if hasattr(source, "text") else "", reason)

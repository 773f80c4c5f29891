"""Keeping what cannot be read: an equation, or a chain of them, as one opaque program.

Complex numbers have no node, so the chain reaches from the last real arrays before an equation to
its real results: `abs(fft(x))` is one program.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge.drawn import Drawn
from diffkit.bridge.opaque_program import OpaqueProgram, Type, program_of
from diffkit.bridge.primitives import unsupported
from diffkit.bridge.static import Static
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.tensor import views
from diffkit.tensor.nodes import Node, is_predicate, opaque
from diffkit.tensor.views import View

if TYPE_CHECKING:
    from diffkit.bridge.walk import Walk

#: The program's operands, and what equations of the chain have given -> an operand of one.
Getter = Callable[[Sequence[Any], dict[int, Any]], Any]

#: Primitive -> its name in formulas.
NAMES = {"while": "loop", "cond": "branch"}


def kept(walk: "Walk", eqn: Any, operands: Sequence[Any], unread: list[Any]) -> list[Any]:
    """The results of an equation as nodes of one program, or as they were where that fails.

    Args:
        walk: The walk.
        eqn: The equation that was refused.
        operands: Its operands.
        unread: Its results as they were refused.
    """
    chain = _Chain()
    try:
        arguments = chain.arguments(walk, eqn, operands)
    except UnsupportedPrimitive:
        return unread
    wanted = [k for k, v in enumerate(eqn.outvars) if _is_real(v.aval)]
    # floats first: counters and indices that come along do not number them
    wanted.sort(key=lambda k: not jnp.issubdtype(eqn.outvars[k].aval.dtype, jnp.floating))
    if not wanted:
        return unread

    def function(*values: Any) -> Sequence[Any]:
        done: dict[int, Any] = {}
        found = compat.run_equation(eqn, [each(values, done) for each in arguments])
        return [found[k] for k in wanted]

    first = chain.equations[0] if chain.equations else eqn
    name = NAMES.get(first.primitive.name, first.primitive.name)
    program = program_of(name, function, chain.types)
    if " at 0x" in program.code or "..." in program.code:
        program = program_of(name, function, chain.types, (eqn, *chain.equations))
    results = list(unread)
    for place, k in enumerate(wanted):
        results[k] = _result(walk, eqn, program, place, chain.nodes)
    return results


def _result(
    walk: "Walk", eqn: Any, program: OpaqueProgram, place: int, nodes: Sequence[Node]
) -> View:
    shape = program.results[place].shape
    node = opaque(program, place, nodes, shape)
    text = f"{program.name} is not read: JAX runs and differentiates it"
    walk.pending[node] = f"{text} ({walk.place(eqn)})"
    found = views.view(node)
    if program.results[place].dtype == np.bool_:
        return views.elementwise(lambda x: sp.Ne(x, 0), found)
    return found


def _is_real(aval: Any) -> bool:
    return getattr(aval.dtype, "kind", "V") in "biuf" or jnp.issubdtype(aval.dtype, jnp.floating)


class _Chain:
    """The operands of a program, and the unread equations in front of the last one."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.types: list[Type] = []
        self.equations: list[Any] = []

    def arguments(self, walk: "Walk", eqn: Any, operands: Sequence[Any]) -> list[Getter]:
        """How each operand of an equation is found.

        Raises:
            UnsupportedPrimitive: one rests on something that is neither read nor kept.
        """
        pairs = zip(operands, eqn.invars, strict=True)
        return [self._argument(walk, eqn, value, atom.aval) for value, atom in pairs]

    def _argument(self, walk: "Walk", eqn: Any, value: Any, aval: Any) -> Getter:
        """Among the program's operands, fixed, or by an equation of the chain."""
        from diffkit.bridge.walk import Unread

        if isinstance(value, Static):
            fixed, wide = value.value, aval.dtype
            return lambda values, done: jnp.asarray(fixed, jax.dtypes.canonicalize_dtype(wide))
        if isinstance(value, Drawn):
            raise unsupported(
                eqn.primitive.name,
                str(compat.source(eqn)),
                reason="it draws random numbers itself; draw them outside and pass them in",
            )
        if not isinstance(value, Unread):
            return self._operand(value, aval)
        if not walk.opaque or not _is_complex(value.eqn.outvars[value.index].aval):
            raise value.error
        inner, index = value.eqn, value.index
        arguments = self.arguments(walk, inner, value.operands)
        self.equations.append(inner)

        def computed(values: Sequence[Any], done: dict[int, Any]) -> Any:
            if id(inner) not in done:
                found = compat.run_equation(inner, [each(values, done) for each in arguments])
                done[id(inner)] = found
            return done[id(inner)][index]

        return computed

    def _operand(self, value: View, aval: Any) -> Getter:
        node = views.dense(views.as_number(value) if is_predicate(value.node) else value)
        own = (node, Type(aval.shape, aval.dtype))
        known = list(zip(self.nodes, self.types, strict=True))
        if own not in known:
            self.nodes.append(node)
            self.types.append(own[1])
            known.append(own)
        place = known.index(own)
        return lambda values, done: values[place]


def _is_complex(aval: Any) -> bool:
    return bool(jax.numpy.issubdtype(aval.dtype, jnp.complexfloating))

"""Programs that are run and differentiated by JAX, not read: the payload of `Opaque` nodes.

A program knows the shapes and dtypes it was traced for.  Its derivatives are programs again:
`jax.vjp` or `jax.jvp` of it with the carried axes vmapped, so derivatives of any order exist where
JAX has them.  Operands of whole numbers and truth values are constants of the derivative.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.core.errors import UnsupportedFunction
from diffkit.tensor import build
from diffkit.tensor.nodes import Node, Opaque, opaque

Array = Any
Type = jax.ShapeDtypeStruct

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, eq=False)
class OpaqueProgram:
    """One program of arrays.

    Args:
        name: How formulas show it.
        code: Its text; programs of one code, and of the same `identity`, are the same.
        function: Operands of the types `operands` -> all results.
        operands: Shape and dtype of every operand.
        results: Shape and dtype of every result.
        identity: What the code leaves out, such as the objects behind printed addresses.
    """

    name: str
    code: str
    function: Callable[..., Sequence[Array]]
    operands: tuple[Type, ...]
    results: tuple[Type, ...]
    identity: tuple[Any, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A name of the code that is the same in every process."""
        text = _ADDRESS.sub("", self.code)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}#{self.digest}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpaqueProgram):
            return NotImplemented
        mine, theirs = (self.name, self.code), (other.name, other.code)
        return mine == theirs and self.identity == other.identity

    def __hash__(self) -> int:
        return hash((self.name, self.code))

    def run(self, *operands: Array) -> tuple[Array, ...]:
        """The values of all results, in the dtype of the floating operands."""
        own = [_cast(x, each) for x, each in zip(operands, self.operands, strict=True)]
        floats = [x.dtype for x in operands if jnp.issubdtype(x.dtype, jnp.inexact)]
        dtype = jnp.result_type(*floats) if floats else jnp.result_type(float)
        return tuple(
            x if x.dtype == jnp.bool_ else jnp.asarray(x, dtype) for x in self.function(*own)
        )

    @property
    def moving(self) -> tuple[int, ...]:
        """Positions of the operands it can be differentiated by."""
        return tuple(k for k, each in enumerate(self.operands) if _is_float(each.dtype))

    def vjp(self, node: Opaque, cotangent: Node, carried: int) -> list[tuple[Node, Node]]:
        """Operand and its part of the cotangent; see `tensor.opaque.Payload`."""
        if not _is_float(self.results[node.index].dtype) or build.is_zero(cotangent):
            return []
        lengths = cotangent.shape[:carried]
        program = _pullback(self, node.index, lengths)
        operands = (cotangent, *node.operands)
        return [
            (node.operands[k], opaque(program, place, operands, program.results[place].shape))
            for place, k in enumerate(self.moving)
        ]

    def jvp(self, node: Opaque, tangents: Mapping[Node, Node], carried: tuple[int, ...]) -> Node:
        """The tangent of a node; see `tensor.opaque.Payload`."""
        given = [k for k in self.moving if node.operands[k] in tangents]
        given = [k for k in given if not build.is_zero(tangents[node.operands[k]])]
        if not given or not _is_float(self.results[node.index].dtype):
            return build.zero((*carried, *node.shape))
        program = _pushforward(self, node.index, tuple(given), carried)
        operands = (*(tangents[node.operands[k]] for k in given), *node.operands)
        return opaque(program, 0, operands, program.results[0].shape)


def program_of(
    name: str,
    function: Callable[..., Sequence[Array]],
    operands: Sequence[Type],
    identity: tuple[Any, ...] = (),
) -> OpaqueProgram:
    """The program of a JAX function of arrays.

    Args:
        name: How formulas show it.
        function: Positional arrays -> a sequence of arrays.
        operands: Shape and dtype of every operand.
        identity: Objects that tell the program from another of the same text.
    """
    traced = compat.trace(lambda *values: tuple(function(*values)), *operands)
    jaxpr, constants = compat.open_jaxpr(traced)
    held = hashlib.blake2b(digest_size=8)
    for each in map(np.asarray, constants):
        held.update(f"{each.dtype}{each.shape}".encode() + each.tobytes())
    return OpaqueProgram(
        name,
        f"{jaxpr}{held.hexdigest()}",
        lambda *values: tuple(function(*values)),
        tuple(operands),
        tuple(Type(atom.aval.shape, atom.aval.dtype) for atom in jaxpr.outvars),
        identity,
    )


def _cast(x: Array, to: Type) -> Array:
    """An operand in the dtype the program was traced for; whole numbers arrive as floats."""
    x = jnp.broadcast_to(jnp.asarray(x), to.shape)
    if x.dtype == to.dtype:
        return x
    if jnp.issubdtype(to.dtype, jnp.integer) and jnp.issubdtype(x.dtype, jnp.inexact):
        x = jnp.round(x)
    return x.astype(to.dtype)


def _is_float(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def _of_floats(base: OpaqueProgram, index: int, values: Sequence[Array]) -> Any:
    """One result as a function of the floating operands alone."""

    def partial(*floats: Array) -> Array:
        filled = list(values)
        for k, x in zip(base.moving, floats, strict=True):
            filled[k] = x
        return base.function(*filled)[index]

    return partial


def _pullback(base: OpaqueProgram, index: int, carried: tuple[int, ...]) -> OpaqueProgram:
    """Cotangent of one result and the operands -> cotangents of the floating operands."""
    result = base.results[index]
    is_reversible = _has_reverse_mode(base, index)

    def function(cotangent: Array, *values: Array) -> tuple[Array, ...]:
        of_floats = _of_floats(base, index, values)
        floats = [values[k] for k in base.moving]
        back = jax.vjp(of_floats, *floats)[1] if is_reversible else _by_columns(of_floats, floats)
        return tuple(_mapped(back, len(carried))(cotangent))

    seed = Type((*carried, *result.shape), result.dtype)
    return _derived(base, function, (seed, *base.operands), ("vjp", index, carried))


def _pushforward(
    base: OpaqueProgram, index: int, given: tuple[int, ...], carried: tuple[int, ...]
) -> OpaqueProgram:
    """Tangents of some operands and all operands -> tangent of one result."""

    def function(*both: Array) -> tuple[Array, ...]:
        tangents, values = both[: len(given)], both[len(given) :]

        def along(*moved: Array) -> Array:
            by_place = dict(zip(given, moved, strict=True))
            floats = [values[k] for k in base.moving]
            slopes = [by_place.get(k, jnp.zeros_like(values[k])) for k in base.moving]
            return jax.jvp(_of_floats(base, index, values), floats, slopes)[1]

        return (_mapped(along, len(carried))(*tangents),)

    seeds = [Type((*carried, *base.operands[k].shape), base.operands[k].dtype) for k in given]
    kind = ("jvp", index, given, carried)
    return _derived(base, function, (*seeds, *base.operands), kind)


def _derived(
    base: OpaqueProgram,
    function: Callable[..., Sequence[Array]],
    operands: tuple[Type, ...],
    kind: tuple[Any, ...],
) -> OpaqueProgram:
    """A derivative, identified by what it is the derivative of.

    Raises:
        UnsupportedFunction: JAX has no rule for it.
    """
    try:
        results = jax.eval_shape(lambda *values: tuple(function(*values)), *operands)
    except USER_ERRORS as error:
        said = str(error).strip().partition("\n")[0]
        raise UnsupportedFunction(
            f"{base.name} has no derivative that JAX knows ({type(error).__name__}: {said}); "
            "write that step with functions that have one"
        ) from error
    types = tuple(Type(each.shape, each.dtype) for each in results)
    name = f"D² {base.name[2:]}" if base.name.startswith("D ") else f"D {base.name}"
    return OpaqueProgram(name, f"{kind} of {base.code}", function, operands, types, base.identity)


def _mapped(function: Callable[..., Any], times: int) -> Callable[..., Any]:
    for _ in range(times):
        function = jax.vmap(function)
    return function


def _has_reverse_mode(base: OpaqueProgram, index: int) -> bool:
    """Whether `jax.vjp` takes the program; loops whose count depends on values it does not."""

    def pulled(cotangent: Array, *values: Array) -> Any:
        floats = [values[k] for k in base.moving]
        return jax.vjp(_of_floats(base, index, values), *floats)[1](cotangent)

    try:
        jax.eval_shape(pulled, base.results[index], *base.operands)
    except USER_ERRORS:
        return False
    return True


def _by_columns(function: Callable[..., Array], floats: Sequence[Array]) -> Callable[..., Any]:
    """The pullback from forward mode, one direction per entry of the operands."""
    columns = jax.jacfwd(function, tuple(range(len(floats))))(*floats)

    def back(cotangent: Array) -> tuple[Array, ...]:
        return tuple(_weighted(cotangent, each) for each in columns)

    return back


def _weighted(cotangent: Array, column: Array) -> Array:
    """The cotangent times a Jacobian; results nobody asks for may have an infinite derivative."""
    rank = cotangent.ndim
    is_asked = jnp.reshape(cotangent != 0, cotangent.shape + (1,) * (column.ndim - rank))
    return jnp.tensordot(cotangent, jnp.where(is_asked, column, 0), axes=rank)

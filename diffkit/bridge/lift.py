"""Lift: read an elementwise JAX function as a formula, by walking its jaxpr.

Every equation becomes a node or raises `UnsupportedPrimitive` with the line of user code.  Inner
functions are inlined (custom rules of differentiation are not used: the primal decides), unless
they are the library's own (`bridge.idioms`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge import constants, idioms
from diffkit.bridge.arguments import bind, function_name
from diffkit.bridge.formula import Formula
from diffkit.bridge.primitives import (
    CALLS,
    COMPARISONS,
    ELEMENTWISE,
    IDENTITIES,
    LOGIC,
    kernel_of,
    unsupported,
)
from diffkit.core.domain import Domain
from diffkit.core.errors import UnsupportedPrimitive, UsageError
from diffkit.tensor.nodes import (
    Const,
    Map,
    Node,
    Select,
    Var,
    const,
    is_predicate,
    map_node,
    select,
    var,
)
from diffkit.tensor.substitute import substitute

#: A constant array above this size is no part of a formula; pass it as an argument.
LARGEST_CONSTANT = 10_000

_X, _Y = sp.symbols("a b", real=True)
_NOT_ZERO = sp.Lambda(_X, sp.Ne(_X, 0))
_TRUNCATED = sp.Lambda(_X, sp.sign(_X) * sp.floor(sp.Abs(_X)))


def lift(
    f: Callable[..., Any],
    *args: Any,
    assume: Mapping[str, str | Domain] | None = None,
    **kwargs: Any,
) -> Formula:
    """Read an elementwise JAX function as a formula.

    Args:
        f: Any traceable function of one result; its parameter names become the symbols.
        *args: Example values, or `jax.ShapeDtypeStruct`: only shape and dtype are used.
        assume: Symbol name -> domain ("positive", "(0, 1)", ...).
        **kwargs: Arrays and floats by name; anything else (`axis=1`, "tanh") is static.

    Returns:
        A `Formula`; its `notes` record every constant that was read as an exact number.

    Raises:
        UnsupportedPrimitive: an equation has no row; the message names it and the line.
        UsageError: wrong arguments, several results, or Python control flow on a value.

    >>> print(lift(lambda x: x * jax.nn.sigmoid(x), 1.0).sympy())
    x*sigmoid(x)
    """
    leaves, call, static_note = bind(f, args, kwargs)
    try:
        traced = compat.trace(call, *(value for _, value in leaves))
    except jax.errors.ConcretizationTypeError as error:
        raise UsageError(
            f"{function_name(f)} decides in Python on the value of an argument, so it has no "
            f"single formula; use jnp.where or lax.cond. JAX says: {str(error).splitlines()[0]}"
        ) from error
    jaxpr, closed_over = compat.open_jaxpr(traced)
    if len(jaxpr.outvars) != 1:
        raise UsageError(
            f"{function_name(f)} returns {len(jaxpr.outvars)} arrays; lift a function of one "
            "result, for example lambda x: f(x)[0]"
        )
    inputs = tuple(
        var(name, atom.aval.shape, str(atom.aval.dtype))
        for (name, _), atom in zip(leaves, jaxpr.invars, strict=True)
    )
    walk = _Walk(function_name(f))
    (node,) = walk.run(jaxpr, closed_over, [walk.read_input(each) for each in inputs])
    notes = (*static_note, *walk.notes)
    domains = _domains(assume, [each.name for each in inputs])
    shape = tuple(jaxpr.outvars[0].aval.shape)
    return Formula(node, inputs, shape=shape, name=function_name(f), notes=notes, domains=domains)


def _domains(
    assume: Mapping[str, str | Domain] | None, names: list[str]
) -> tuple[tuple[str, Domain], ...]:
    for name in assume or {}:
        if name not in names:
            raise UsageError(f"assume names {name!r}; the arguments are {', '.join(names)}")
    return tuple((name, Domain.parse(text)) for name, text in (assume or {}).items())


class _Walk:
    """Walks a jaxpr; one object per lift, so that notes and places are collected once."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.notes: dict[str, None] = {}
        self.calls: list[Any] = []

    def read_input(self, node: Var) -> Node:
        """An argument as a node; a mask of booleans is its number, not zero."""
        return map_node(_NOT_ZERO, node) if node.dtype == "bool" else node

    def run(self, jaxpr: Any, closed_over: Any, inputs: list[Node]) -> list[Node]:
        """Evaluate a jaxpr on nodes."""
        env: dict[Any, Node] = dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, value in zip(jaxpr.constvars, closed_over, strict=True):
            env[variable] = self.constant(value, variable.aval)
        for index, eqn in enumerate(jaxpr.eqns):
            operands = [self.read(env, atom) for atom in eqn.invars]
            results = self.equation(eqn, operands, index)
            env.update(zip(eqn.outvars, results, strict=True))
        return [self.read(env, atom) for atom in jaxpr.outvars]

    def read(self, env: Mapping[Any, Node], atom: Any) -> Node:
        """The node of an operand."""
        return self.constant(atom.val, atom.aval) if compat.is_literal(atom) else env[atom]

    def constant(self, value: Any, aval: Any) -> Node:
        """A constant of the program as exact numbers."""
        array = np.asarray(value)
        if array.size > LARGEST_CONSTANT:
            raise UsageError(
                f"{self.function} holds a constant array of {array.size} entries; "
                f"pass it as an argument (at most {LARGEST_CONSTANT} are read as numbers)"
            )
        if array.dtype == np.bool_ and 0 < array.sum() < array.size:
            return map_node(_NOT_ZERO, const([int(entry) for entry in array.ravel()], array.shape))
        entries = array.ravel().tolist() if array.dtype != object else list(array.ravel())
        return const([self._exact(entry, str(aval.dtype)) for entry in entries], array.shape)

    def _exact(self, entry: Any, dtype: str) -> sp.Basic:
        if isinstance(entry, bool):
            return sp.true if entry else sp.false
        if isinstance(entry, int):
            return sp.Integer(entry)
        if isinstance(entry, complex):
            raise UsageError(f"{self.function} uses complex numbers; formulas are real")
        reading = constants.read(float(entry), dtype)
        if reading.note:
            self.notes.setdefault(f"{dtype} constant {reading.note}")
        return reading.value

    def equation(self, eqn: Any, operands: list[Node], index: int) -> list[Node]:
        """The results of one equation."""
        name = eqn.primitive.name
        if name in ELEMENTWISE:
            return [self.elementwise(eqn, operands, index)]
        if name in COMPARISONS:
            return [self.compare(eqn, operands, index)]
        if name in LOGIC:
            return [self.logic(eqn, operands, index)]
        if name in IDENTITIES:
            self.note(IDENTITIES[name], eqn)
            return operands
        if name in CALLS:
            return self.call(eqn, operands)
        if name in _SPECIAL:
            return [_SPECIAL[name](self, eqn, operands, index)]
        raise self.refusal(eqn, index)

    def note(self, text: str, eqn: Any) -> None:
        """Record what the formula leaves out, with the line."""
        if text:
            self.notes.setdefault(f"{text} ({self.place(eqn)})")

    def place(self, eqn: Any) -> compat.Source:
        """The line of an equation, or of the innermost call around it that has one."""
        found = (compat.source(each) for each in (eqn, *reversed(self.calls)))
        return next((each for each in found if each.file), compat.Source())

    def refusal(self, eqn: Any, index: int, reason: str = "") -> UnsupportedPrimitive:
        """The error for an equation that cannot be read; raise it."""
        place = self.place(eqn)
        return unsupported(
            eqn.primitive.name,
            f"eqn {index} of `{place.function or self.function}`, {place}",
            reason=reason,
        )

    def elementwise(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """A scalar kernel applied entry by entry."""
        row = ELEMENTWISE[eqn.primitive.name]
        kind = np.dtype(eqn.outvars[0].aval.dtype).kind if _is_numpy(eqn.outvars[0].aval) else "f"
        if kind == "c":
            raise self.refusal(eqn, index, "complex numbers have no row; formulas are real")
        if kind in "iub" and row.floats_only:
            raise self.refusal(eqn, index, "on whole numbers it rounds; convert to float first")
        if any(map(is_predicate, operands)):
            raise self.refusal(eqn, index, "arithmetic on booleans has no row")
        self.note(row.note, eqn)
        return map_node(kernel_of(row, eqn.params, len(operands)), *operands)

    def compare(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """A comparison; of booleans only equality."""
        name = eqn.primitive.name
        if not any(map(is_predicate, operands)):
            return map_node(sp.Lambda((_X, _Y), COMPARISONS[name](_X, _Y)), *operands)
        if name not in ("eq", "ne"):
            raise self.refusal(eqn, index, "an order of booleans has no row")
        differ = _connect(sp.Xor, operands)
        return differ if name == "ne" else _connect(sp.Not, [differ])

    def logic(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """A connective of predicates."""
        if not all(map(is_predicate, operands)):
            raise self.refusal(eqn, index, "bitwise logic of whole numbers has no row")
        return _connect(LOGIC[eqn.primitive.name], operands)

    def call(self, eqn: Any, operands: list[Node]) -> list[Node]:
        """A named function: the vocabulary's when it is the library's own, else inlined."""
        meaning = None if any(map(is_predicate, operands)) else idioms.recognise(eqn)
        if meaning is not None:
            return [self._idiom(meaning, operands)]
        jaxpr, closed_over = compat.open_jaxpr(compat.called_jaxpr(eqn))
        self.calls.append(eqn)
        results = self.run(jaxpr, closed_over, operands)
        self.calls.pop()
        return results

    def _idiom(self, meaning: Callable[..., sp.Basic], operands: list[Node]) -> Node:
        places = sp.symbols(f"a:{len(operands)}", real=True)
        return map_node(sp.Lambda(places, meaning(*places)), *operands)

    def broadcast(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """Broadcasting as NumPy does it changes no entry."""
        operand = operands[0]
        rank = len(eqn.params["shape"])
        kept = tuple(eqn.params["broadcast_dimensions"])
        if _size(operand) == 1 or kept == tuple(range(rank - len(kept), rank)):
            return operand
        raise self.refusal(eqn, index, "axes are moved, and lift reads elementwise functions")

    def reshape(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """Adding or dropping leading axes of length 1 changes no entry."""
        operand, shape = operands[0], tuple(eqn.outvars[0].aval.shape)
        before = tuple(eqn.invars[0].aval.shape)
        if _size(operand) == 1 or _strip(before) == _strip(shape):
            return operand
        raise self.refusal(eqn, index, "axes are moved, and lift reads elementwise functions")

    def convert(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """A change of dtype: exact, but from booleans, to booleans and to whole numbers."""
        operand = operands[0]
        to, source = eqn.params["new_dtype"], eqn.invars[0].aval.dtype
        if is_predicate(operand):
            return operand if to == np.bool_ else select(operand, const(1), const(0))
        if to == np.bool_:
            return map_node(_NOT_ZERO, operand)
        if _is_floating(source) and np.issubdtype(to, np.integer):
            if isinstance(operand, Const) and all(v.is_Integer for v in operand.values):
                return operand
            return map_node(_TRUNCATED, operand)
        if _is_floating(source) and _is_floating(to) and _bits(to) < _bits(source):
            self.note(f"rounding to {np.dtype(to).name} is left out", eqn)
        return operand

    def finite(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """Every real number is finite."""
        self.note("is_finite is read as true", eqn)
        return const(sp.true)

    def select_n(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """Read `where`, which a jaxpr writes with its cases in the other order."""
        which, *cases = operands
        if not is_predicate(which) or len(cases) != 2:
            raise self.refusal(eqn, index, "only two cases chosen by a boolean have a row")
        on_false, on_true = cases
        if is_predicate(on_true):
            return _connect(sp.ITE, [which, on_true, on_false])
        return select(which, on_true, on_false)

    def cond(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """`lax.cond` with two branches: both are read."""
        which, *rest = operands
        branches = eqn.params["branches"]
        if len(branches) != 2 or len(eqn.outvars) != 1:
            raise self.refusal(eqn, index, "only two branches with one result have a row")
        is_second = _predicate_of(which)
        values = [self.run(*compat.open_jaxpr(branch), rest)[0] for branch in branches]
        if is_predicate(values[1]):
            return _connect(sp.ITE, [is_second, values[1], values[0]])
        return select(is_second, values[1], values[0])

    def polynomial(self, eqn: Any, operands: list[Node], index: int) -> Node:
        """sum_k c_k x**k, the coefficients in ascending order."""
        places = sp.symbols(f"a:{len(operands)}", real=True)
        x, *coefficients = places
        total = sum(c * x**k for k, c in enumerate(coefficients))
        return map_node(sp.Lambda(places, total), *operands)


_SPECIAL: dict[str, Callable[[_Walk, Any, list[Node], int], Node]] = {
    "broadcast_in_dim": _Walk.broadcast,
    "cond": _Walk.cond,
    "convert_element_type": _Walk.convert,
    "is_finite": _Walk.finite,
    "polynomial": _Walk.polynomial,
    "reshape": _Walk.reshape,
    "select_n": _Walk.select_n,
    "squeeze": _Walk.reshape,
    "transpose": _Walk.reshape,
}


def _connect(connective: Callable[..., sp.Basic], operands: list[Node]) -> Node:
    """A connective of predicates, joined kernel to kernel."""
    predicates, places = [], []
    arguments: list[Node] = []
    for operand in operands:
        kernel, below = _predicate_kernel(operand, len(arguments))
        predicates.append(kernel)
        arguments.extend(below)
        places.extend(sp.symbols(f"p{len(places)}:{len(places) + len(below)}", real=True))
    return map_node(sp.Lambda(tuple(places), connective(*predicates)), *arguments)


def _predicate_kernel(node: Node, offset: int) -> tuple[sp.Basic, tuple[Node, ...]]:
    """The Boolean expression of a predicate in symbols p<offset>, ..., and what they stand for."""
    if not isinstance(node, Map):
        # A constant: arrays of both truth values are kernels over numbers.
        return node.key[0][0], ()
    names = sp.symbols(f"p{offset}:{offset + len(node.operands)}", real=True)
    kernel = node.kernel
    return substitute(kernel.expr, dict(zip(kernel.signature, names, strict=True))), node.operands


def _predicate_of(index: Node) -> Node:
    """The predicate behind the index of a cond, which JAX made from a boolean."""
    if isinstance(index, Select) and index.on_true is const(1) and index.on_false is const(0):
        return index.predicate
    return index if is_predicate(index) else map_node(_NOT_ZERO, index)


def _size(node: Node) -> int:
    size = 1
    for length in node.shape:
        size *= length
    return size


def _strip(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without leading axes of length 1."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def _is_numpy(aval: Any) -> bool:
    return getattr(aval.dtype, "kind", "V") in "biufc"


def _is_floating(dtype: Any) -> bool:
    return jax.numpy.issubdtype(dtype, jax.numpy.floating)


def _bits(dtype: Any) -> int:
    return jax.numpy.finfo(dtype).bits

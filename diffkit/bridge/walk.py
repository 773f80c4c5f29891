"""The walk over a jaxpr that reads it as arrays: one object per lift.

A value is a `View` of a formula, a `Static` array the program computes from nothing, or an
`Unread` result: the error it would raise, raised only when something needs it (JAX computes an LU
decomposition beside every solve, which the formula does not use).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge import constants, idioms, static
from diffkit.bridge.primitives import (
    CALLS,
    COMPARISONS,
    ELEMENTWISE,
    IDENTITIES,
    LOGIC,
    Row,
    kernel_of,
    unsupported,
)
from diffkit.bridge.static import LARGEST_CONSTANT, Static
from diffkit.core.errors import UnsupportedPrimitive, UsageError
from diffkit.tensor import build, views
from diffkit.tensor.nodes import (
    Map,
    Node,
    Reduce,
    Var,
    const,
    is_predicate,
    map_node,
    topological,
)
from diffkit.tensor.substitute import substitute
from diffkit.tensor.views import View

_A = sp.Symbol("_0", real=True)
_NOT_ZERO = sp.Lambda(_A, sp.Ne(_A, 0))
_TRUNCATED = sp.sign(_A) * sp.floor(sp.Abs(_A))

Rule = Callable[["Walk", Any, list[Any], int], list[Any]]


@dataclass(frozen=True, eq=False)
class Unread:
    """A result nobody has needed yet, and the error for whoever does."""

    error: UnsupportedPrimitive
    eqn: Any
    operands: tuple[Any, ...]


class Walk:
    """Reads jaxprs; notes and places are collected once per lift.

    Args:
        function: Name of the user's function, for messages.
    """

    def __init__(self, function: str) -> None:
        self.function = function
        self.notes: dict[str, None] = {}
        self.calls: list[Any] = []
        self.shifts: dict[Node, str] = {}

    # values ---------------------------------------------------------------------------------------

    def read_input(self, node: Var) -> View:
        """An argument; a mask of booleans is its number, not zero."""
        if node.dtype == "bool":
            node = map_node(_NOT_ZERO, node)  # ty: ignore[invalid-assignment]
        return views.view(node)

    def run(self, jaxpr: Any, closed_over: Any, inputs: Sequence[Any]) -> list[Any]:
        """Read a jaxpr whose inputs are known values."""
        env: dict[Any, Any] = dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, value in zip(jaxpr.constvars, closed_over, strict=True):
            env[variable] = self.constant(value, variable.aval)
        for index, eqn in enumerate(jaxpr.eqns):
            operands = [self.read(env, atom) for atom in eqn.invars]
            env.update(zip(eqn.outvars, self.results(eqn, operands, index), strict=True))
        return [self.read(env, atom) for atom in jaxpr.outvars]

    def results(self, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        """The results of one equation; what cannot be read is kept as its error."""
        try:
            return self.equation(eqn, operands, index)
        except UnsupportedPrimitive as error:
            return [Unread(error, eqn, tuple(operands)) for _ in eqn.outvars]

    def read(self, env: Mapping[Any, Any], atom: Any) -> Any:
        """The value of an operand."""
        return self.constant(atom.val, atom.aval) if compat.is_literal(atom) else env[atom]

    def view(self, value: Any) -> View:
        """A value as a view.

        Raises:
            UnsupportedPrimitive: it was not read.
            UsageError: it is a constant too large for a formula.
        """
        if isinstance(value, Unread):
            raise value.error
        if isinstance(value, Static):
            if value.value.dtype == np.bool_:
                mask = static.as_mask(value)
                found = mask if mask is None else _as_truth(mask)
            else:
                found = static.as_numbers(value)
            if found is None:
                raise self.too_large(value.value.size)
            return found
        return value

    def too_large(self, size: int) -> UsageError:
        """The error for a constant that is no part of a formula; raise it."""
        return UsageError(
            f"{self.function} holds a constant array of {size} entries; "
            f"pass it as an argument (at most {LARGEST_CONSTANT} are read as numbers)"
        )

    def constant(self, value: Any, aval: Any) -> Any:
        """A constant of the program: exact numbers, or a static array of whole numbers."""
        array = np.asarray(value)
        if array.dtype.kind in "iub":
            return Static(array)
        if array.size > LARGEST_CONSTANT:
            core, kept = static.varying(array)
            if core.size > LARGEST_CONSTANT:
                raise self.too_large(array.size)
            inner = self.constant(core, aval)
            return static._laid(inner, kept, array.shape)
        entries = array.ravel().tolist() if array.dtype != object else list(array.ravel())
        if array.dtype == object:
            return Static(array.astype(np.int64))
        exact = [self._exact(entry, str(aval.dtype)) for entry in entries]
        if not exact:
            return View(build.zero(array.shape), tuple(range(array.ndim)), array.shape)
        return views.array(exact, array.shape)

    def _exact(self, entry: Any, dtype: str) -> sp.Basic:
        if isinstance(entry, complex):
            raise UsageError(f"{self.function} uses complex numbers; formulas are real")
        reading = constants.read(float(entry), dtype)
        if reading.note:
            self.notes.setdefault(f"{dtype} constant {reading.note}")
        return reading.value

    # equations ------------------------------------------------------------------------------------

    def equation(self, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        """The results of one equation."""
        name = eqn.primitive.name
        computed = _computed(eqn, operands)
        if computed is not None:
            return computed
        if name in RULES:
            return RULES[name](self, eqn, operands, index)
        if name in IDENTITIES:
            if not self.is_shift(name, operands, eqn):
                self.note(IDENTITIES[name], eqn)
            return operands
        if name in CALLS:
            return self.call(eqn, operands)
        read = [self.view(operand) for operand in operands]
        if name in ELEMENTWISE:
            return [self.elementwise(eqn, read, index)]
        if name in COMPARISONS:
            return [self.compare(eqn, read, index)]
        if name in LOGIC:
            return [self.logic(eqn, read, index)]
        raise self.refusal(eqn, index)

    def is_shift(self, name: str, operands: list[Any], eqn: Any) -> bool:
        """Whether a stop_gradient only protects the maximum that a softmax subtracts.

        Such a shift cancels; `finish` adds the note back where it did not.
        """
        if name != "stop_gradient" or not isinstance(operands[0], View):
            return False
        node = operands[0].node
        if isinstance(node, Reduce) and node.kind == "max":
            self.shifts[node] = f"{IDENTITIES[name]} ({self.place(eqn)})"
            return True
        return False

    def finish(self, result: View) -> View:
        """Add the notes that only the whole formula decides."""
        if self.shifts:
            left = set(topological(result.node))
            for node, text in self.shifts.items():
                if node in left:
                    self.notes.setdefault(text)
        return result

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

    def elementwise(self, eqn: Any, operands: list[View], index: int) -> View:
        """A scalar kernel applied entry by entry."""
        row = ELEMENTWISE[eqn.primitive.name]
        aval = eqn.outvars[0].aval
        kind = np.dtype(aval.dtype).kind if _is_numpy(aval) else "f"
        if kind == "c":
            raise self.refusal(eqn, index, "complex numbers have no row; formulas are real")
        if kind in "iub" and row.floats_only:
            raise self.refusal(eqn, index, "on whole numbers it rounds; convert to float first")
        if any(is_predicate(operand.node) for operand in operands):
            raise self.refusal(eqn, index, "arithmetic on booleans has no row")
        self.note(row.note, eqn)
        return _apply(row, eqn.params, operands)

    def compare(self, eqn: Any, operands: list[View], index: int) -> View:
        """A comparison; of booleans only equality."""
        name = eqn.primitive.name
        if not any(is_predicate(operand.node) for operand in operands):
            return views.elementwise(COMPARISONS[name], *operands)
        if name not in ("eq", "ne"):
            raise self.refusal(eqn, index, "an order of booleans has no row")
        differ = connect(sp.Xor, operands)
        return differ if name == "ne" else connect(sp.Not, [differ])

    def logic(self, eqn: Any, operands: list[View], index: int) -> View:
        """A connective of predicates."""
        if not all(is_predicate(operand.node) for operand in operands):
            raise self.refusal(eqn, index, "bitwise logic of whole numbers has no row")
        return connect(LOGIC[eqn.primitive.name], operands)

    def call(self, eqn: Any, operands: list[Any]) -> list[Any]:
        """A named function: one of ours when it is the library's own, else inlined."""
        if all(map(_is_numeric, operands)):
            meaning = idioms.recognise(eqn)
            if meaning is not None:
                return [views.elementwise(meaning, *map(self.view, operands))]
            rule = array_idiom(eqn)
            if rule is not None:
                return rule(*map(self.view, operands))
        jaxpr, closed_over = compat.open_jaxpr(compat.called_jaxpr(eqn))
        self.calls.append(eqn)
        results = self.run(jaxpr, closed_over, operands)
        self.calls.pop()
        return results


RULES: dict[str, Rule] = {}


def _is_numeric(value: Any) -> bool:
    """Whether a value is an array of numbers, not of truth values, and was read."""
    if isinstance(value, Static):
        return value.value.dtype != np.bool_
    return isinstance(value, View) and not is_predicate(value.node)


def array_idiom(eqn: Any) -> Callable[..., list[View]] | None:
    """The rule of a library function of matrices, when the call is that function."""
    from diffkit.bridge.array_idioms import recognise

    return recognise(eqn)


def _apply(row: Row, params: Mapping[str, Any], operands: list[View]) -> View:
    match row.name, operands:
        case ("add" | "add_any", [x, y]):
            return views.add(x, y)
        case ("sub", [x, y]):
            return views.add(x, y, -1)
        case ("mul", [x, y]):
            return views.multiply(x, y)
        case ("div", [x, y]):
            return views.divide(x, y)
    kernel = kernel_of(row, dict(params), len(operands))
    return views.elementwise(kernel, *operands)


def _computed(eqn: Any, operands: list[Any]) -> list[Any] | None:
    """The results of an equation on static arrays of whole numbers or truth values."""
    if not all(isinstance(x, Static) for x in operands):
        return None
    if not all(_is_numpy(v.aval) and v.aval.dtype.kind in "iub" for v in eqn.outvars):
        is_iota = eqn.primitive.name in ("iota", "convert_element_type", "broadcast_in_dim")
        if not is_iota or not all(_is_plain(v.aval) for v in eqn.outvars):
            return None
    if eqn.primitive.name in ("while", "scan", "cond", "platform_index"):
        return None
    with jax.ensure_compile_time_eval():
        values = [jax.numpy.asarray(x.value) for x in operands]
        values = [v.astype(a.aval.dtype) for v, a in zip(values, eqn.invars, strict=True)]
        found = eqn.primitive.bind(*values, **eqn.params)
    found = list(found) if eqn.primitive.multiple_results else [found]
    return [Static(np.asarray(each)) for each in found]


def _is_plain(aval: Any) -> bool:
    return _is_numpy(aval) and aval.dtype.kind in "iubf"


def _as_truth(mask: View) -> View:
    """A 0/1 array as a predicate; constant ones are true or false."""
    value = build.number(mask.node)
    if value is not None:
        return View(const(sp.true if value else sp.false), (None,) * mask.rank, mask.shape)
    return views.truth(mask)


def connect(connective: Callable[..., sp.Basic], operands: Sequence[View]) -> View:
    """A connective of predicates, joined kernel to kernel."""
    shape = views.common_shape(*operands)
    arguments: dict[sp.Symbol, View] = {}
    exprs = []
    for operand in operands:
        laid = views.broadcast_to(operand, shape)
        if not isinstance(laid.node, Map):
            exprs.append(laid.node.key[0][0])
            continue
        own = laid.labels()
        names = {}
        kernel = laid.node.kernel
        for place, below, axes in zip(
            kernel.signature, laid.node.operands, laid.node.axes, strict=True
        ):
            name = sp.Symbol(f"p{len(arguments)}", real=True)
            placed: list[int | None] = [None] * len(shape)
            for k, axis in enumerate(axes):
                placed[own[axis]] = k
            arguments[name] = View(below, tuple(placed), shape)
            names[place] = name
        exprs.append(substitute(kernel.expr, names))
    joined = connective(*exprs)
    if joined in (sp.true, sp.false):
        return View(const(joined), (None,) * len(shape), shape)
    return views.mapped(joined, arguments, shape)


# rules that depend on shapes, dtypes or branches -------------------------------------------------


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


def _select(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """Read `where`, which a jaxpr writes with its cases in the other order."""
    which, *cases = operands
    shape = tuple(eqn.outvars[0].aval.shape)
    if isinstance(which, Static) and which.value.size and len(set(which.value.ravel())) == 1:
        chosen = cases[int(which.value.ravel()[0])]
        return [views.broadcast_to(walk.view(chosen), shape)]
    predicate = walk.view(which)
    if not is_predicate(predicate.node) or len(cases) != 2:
        raise walk.refusal(eqn, index, "only two cases chosen by a boolean have a row")
    on_false, on_true = (walk.view(case) for case in cases)
    value = build.number(predicate.node)
    if value is None and is_predicate(on_true.node):
        return [connect(sp.ITE, [predicate, on_true, on_false])]
    return [views.broadcast_to(views.choose(predicate, on_true, on_false), shape)]


def _cond(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """`lax.cond`: the one branch that is taken, or both."""
    which, *rest = operands
    branches = eqn.params["branches"]
    if isinstance(which, Static):
        place = int(np.clip(which.value, 0, len(branches) - 1))
        return walk.run(*compat.open_jaxpr(branches[place]), rest)
    if len(branches) != 2:
        raise walk.refusal(eqn, index, "only two branches have a row")
    is_second = _predicate_of(walk.view(which))
    on_false, on_true = (walk.run(*compat.open_jaxpr(branch), rest) for branch in branches)
    results = []
    for no, yes in zip(on_false, on_true, strict=True):
        first, second = walk.view(no), walk.view(yes)
        if is_predicate(second.node):
            results.append(connect(sp.ITE, [is_second, second, first]))
        else:
            results.append(views.choose(is_second, second, first))
    return results


def _platform(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """The branch for every platform that is not named."""
    platforms = eqn.params["platforms"]
    default = next((k for k, names in enumerate(platforms) if names is None), len(platforms) - 1)
    return [Static(np.asarray(default))]


def _polynomial(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """sum_k c_k x**k, the coefficients in ascending order."""
    read = [walk.view(operand) for operand in operands]
    return [views.elementwise(lambda x, *cs: sum(c * x**k for k, c in enumerate(cs)), *read)]


RULES |= {
    "broadcast_in_dim": _broadcast,
    "cond": _cond,
    "convert_element_type": _convert,
    "is_finite": _finite,
    "platform_index": _platform,
    "polynomial": _polynomial,
    "reshape": _reshape,
    "select_n": _select,
    "squeeze": _squeeze,
    "transpose": _transpose,
}


def _predicate_of(index: View) -> View:
    """The predicate behind the index of a cond, which JAX made from a boolean."""
    from diffkit.tensor.nodes import Select

    node = index.node
    if isinstance(node, Select) and node.on_true is const(1) and node.on_false is const(0):
        return View(node.predicate, index.axes, index.shape)
    if is_predicate(node):
        return index
    return views.elementwise(lambda x: sp.Ne(x, 0), index)


def _is_numpy(aval: Any) -> bool:
    return getattr(aval.dtype, "kind", "V") in "biufc"


def _is_floating(dtype: Any) -> bool:
    return jax.numpy.issubdtype(dtype, jax.numpy.floating)


def _bits(dtype: Any) -> int:
    return jax.numpy.finfo(dtype).bits

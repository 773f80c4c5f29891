"""The walk over a jaxpr that reads it as arrays: one object per lift.

A value is a `View` of a formula, a `Static` array the program computes from nothing, or an
`Unread` result: the error it would raise, raised only when something needs it (JAX computes an LU
decomposition beside every solve, which the formula does not use).  Where it is asked for, and for
loops always, what cannot be read is kept as an `Opaque` node (`bridge.keep`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge import constants, drawn, idioms, static
from diffkit.bridge.drawn import Drawn
from diffkit.bridge.primitives import (
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
#: Entries of an array a person writes have no larger denominator.
LARGEST_DENOMINATOR = 10_000
_NOT_ZERO = sp.Lambda(_A, sp.Ne(_A, 0))

Rule = Callable[["Walk", Any, list[Any], int], list[Any]]


@dataclass(frozen=True, eq=False)
class Unread:
    """A result nobody has needed yet, and the error for whoever does."""

    error: UnsupportedPrimitive
    eqn: Any
    operands: tuple[Any, ...]
    index: int


@dataclass(frozen=True, eq=False)
class Tests:
    """Predicates stacked along an axis, which `jnp.select` makes to ask for the first that holds.

    Args:
        parts: The predicates.
        axis: Where the new axis lies.
    """

    parts: tuple[View, ...]
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes of the stack."""
        shape = self.parts[0].shape
        return (*shape[: self.axis], len(self.parts), *shape[self.axis :])

    def view(self) -> View:
        """The stack as one array of truth values."""
        numbers = [views.expand(views.as_number(part), self.axis) for part in self.parts]
        return views.elementwise(lambda x: sp.Ne(x, 0), views.concatenate(numbers, self.axis))


@dataclass(frozen=True, eq=False)
class First:
    """The position of the first predicate that holds, 0 if none does.

    Args:
        tests: The predicates.
    """

    tests: tuple[View, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the positions."""
        return self.tests[0].shape

    def choose(self, cases: Sequence[View]) -> View:
        """The case at the position."""
        result = cases[0]
        for test, case in reversed(list(zip(self.tests, cases, strict=False))):
            result = choose(test, case, result)
        return result

    def view(self) -> View:
        """The positions as whole numbers."""
        return self.choose([views.number(k, self.shape) for k in range(len(self.tests))])


class Walk:
    """Reads jaxprs; notes and places are collected once per lift.

    Args:
        function: Name of the user's function, for messages.
        opaque: Whether everything that cannot be read is kept as a node JAX differentiates.
        values: Example values of inputs by name, where values were given and not only shapes.
    """

    def __init__(
        self, function: str, *, opaque: bool = False, values: Mapping[str, Any] | None = None
    ) -> None:
        self.function = function
        self.opaque = opaque
        self.values = dict(values or {})
        self.notes: dict[str, None] = {}
        self.calls: list[Any] = []
        self.pending: dict[Node, str] = {}

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
            unread = [Unread(error, eqn, tuple(operands), k) for k in range(len(eqn.outvars))]
        if self.opaque or eqn.primitive.name in KEPT:
            from diffkit.bridge.keep import kept

            return kept(self, eqn, operands, unread)
        return unread

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
        if isinstance(value, Tests | First):
            return value.view()
        if isinstance(value, Drawn):
            if compat.is_key(value.value):
                raise UnsupportedPrimitive(
                    f"{self.function} makes a random key of one of its arguments; hold that "
                    "argument fixed, or pass the numbers it draws as an argument"
                )
            return self.view(self.constant_of(value))
        if isinstance(value, Static):
            if value.value.dtype.kind == "c":
                raise UnsupportedPrimitive(
                    f"{self.function} uses complex numbers, and formulas are real; keep that part "
                    "as a call with opaque=True"
                )
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
        if compat.is_key(value):
            return Drawn(value)
        array = np.asarray(value)
        if array.dtype.kind in "iubc":
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
        exact = self._entries(entries, str(aval.dtype))
        if not exact:
            return View(build.zero(array.shape), tuple(range(array.ndim)), array.shape)
        return views.array(exact, array.shape)

    def _entries(self, entries: list[Any], dtype: str) -> list[sp.Basic]:
        """The entries of a constant as exact numbers.

        A number, or an array of simple ones, was written by a person (0.1 is 1/10); measured data
        keep their binary values.
        """
        exact = [self._exact(entry, dtype) for entry in entries]
        is_data = len(entries) > 1 and any(
            v.is_Rational and v.q > LARGEST_DENOMINATOR for v in exact if v.is_number
        )
        if not is_data:
            return exact
        self.notes.setdefault("constant arrays of data are read as their binary values")
        return [sp.Rational(*float(entry).as_integer_ratio()) for entry in entries]

    def constant_of(self, value: Drawn) -> Any:
        """Drawn numbers as a constant of the formula."""
        return self.constant(value.value, value.value)

    def _exact(self, entry: Any, dtype: str) -> sp.Basic:
        reading = constants.read(float(entry), dtype)
        if reading.note:
            self.notes.setdefault(f"{dtype} constant {reading.note}")
        return reading.value

    # equations ------------------------------------------------------------------------------------

    def equation(self, eqn: Any, operands: list[Any], index: int) -> list[Any]:
        """The results of one equation."""
        name = eqn.primitive.name
        found = drawn.results_of(eqn, operands)
        if found is not None:
            self.notes.setdefault("random numbers of a fixed key are constants")
            return found
        if name not in compat.CALLS and name not in LAZY:
            operands = [self.constant_of(x) if isinstance(x, Drawn) else x for x in operands]
        computed = _computed(eqn, operands)
        if computed is not None:
            return computed
        if name in RULES:
            if name not in LAZY:
                require(operands)
            if name not in TRUTHFUL:
                return _through_numbers(RULES[name], self, eqn, operands, index)
            return RULES[name](self, eqn, operands, index)
        if name in IDENTITIES:
            if not self.is_shift(name, operands, eqn):
                self.note(IDENTITIES[name], eqn)
            return operands
        if name in compat.CALLS:
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
            self.pending[node] = f"{IDENTITIES[name]} ({self.place(eqn)})"
            return True
        return False

    def finish(self, result: View) -> View:
        """Add the notes that only the whole formula decides."""
        if self.pending:
            left = set(topological(result.node))
            for node, text in self.pending.items():
                if node in left:
                    self.notes.setdefault(text)
        return result

    def note(self, text: str, eqn: Any) -> None:
        """Record what the formula leaves out, with the line."""
        if text:
            self.notes.setdefault(f"{text} ({self.place(eqn)})")

    def note_on(self, parts: Sequence[View], text: str, eqn: Any) -> None:
        """Record what some results leave out, for the case that the formula holds one of them."""
        for part in parts:
            self.pending[part.node] = f"{text} ({self.place(eqn)})"

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
        if any(is_predicate(operand.node) for operand in operands):
            raise self.refusal(eqn, index, "arithmetic on booleans has no row")
        self.note(row.note, eqn)
        if kind in "iub" and row.whole is not None:
            kernel = kernel_of(row, dict(eqn.params), len(operands), is_whole=True)
            return views.elementwise(kernel, *operands)
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
                self.note(rule.note, eqn)
                return rule.meaning(*map(self.view, operands))
        limit = fixed_point_call(self, eqn, operands)
        if limit is not None:
            return limit
        jaxpr, closed_over = compat.open_jaxpr(compat.called_jaxpr(eqn))
        self.calls.append(eqn)
        results = self.run(jaxpr, closed_over, operands)
        self.calls.pop()
        return results


def fixed_point_call(walk: Walk, eqn: Any, operands: list[Any]) -> list[Any] | None:
    """The results of `backend.fixed_point`, None for any other call."""
    from diffkit.bridge.fixed_points import read_call

    return read_call(walk, eqn, operands)


RULES: dict[str, Rule] = {}

#: Loops and choices, which are kept as one step where they are not written out.
KEPT = frozenset(("scan", "while", "cond"))
#: Rules that do not need all their operands.
LAZY = frozenset(("cond", "custom_linear_solve", "scan", "while"))

#: Rules that take truth values as they are; for all others they are 0 and 1 on the way.
TRUTHFUL = frozenset(
    (
        "argmax broadcast_in_dim concatenate cond convert_element_type is_finite reduce_and "
        "reduce_or scan select_n stack transpose while"
    ).split()
)


def _through_numbers(
    rule: Rule, walk: Walk, eqn: Any, operands: list[Any], index: int
) -> list[Any]:
    """The results of a rule for numbers, truth values being 0 and 1."""
    read = [_as_number(operand) for operand in operands]
    results = rule(walk, eqn, read, index)
    pairs = zip(results, eqn.outvars, strict=True)
    return [_as_declared(result, variable.aval) for result, variable in pairs]


def _as_number(value: Any) -> Any:
    if isinstance(value, Tests | First):
        value = value.view()
    if isinstance(value, View) and is_predicate(value.node):
        return views.as_number(value)
    return value


def _as_declared(value: Any, aval: Any) -> Any:
    is_truth = getattr(aval.dtype, "kind", "V") == "b"
    if is_truth and isinstance(value, View) and not is_predicate(value.node):
        return views.elementwise(lambda x: sp.Ne(x, 0), value)
    return value


def require(operands: Sequence[Any]) -> None:
    """Raise the error of the first operand that was not read."""
    for operand in operands:
        if isinstance(operand, Unread):
            raise operand.error


def _is_numeric(value: Any) -> bool:
    """Whether a value is an array of numbers, not of truth values, and was read."""
    if isinstance(value, Static):
        return value.value.dtype != np.bool_
    return isinstance(value, View) and not is_predicate(value.node)


def array_idiom(eqn: Any) -> Any:
    """The row of a library function of arrays, when the call is that function."""
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


def _is_numpy(aval: Any) -> bool:
    return getattr(aval.dtype, "kind", "V") in "biufc"


def _is_plain(aval: Any) -> bool:
    return _is_numpy(aval) and aval.dtype.kind in "iubf"


def _as_truth(mask: View) -> View:
    """A 0/1 array as a predicate; constant ones are true or false."""
    value = build.number(mask.node)
    if value is not None:
        return View(const(sp.true if value else sp.false), (None,) * mask.rank, mask.shape)
    return views.truth(mask)


def choose(test: View, on_true: View, on_false: View) -> View:
    """A choice of numbers or of truth values."""
    if is_predicate(on_true.node) and build.number(test.node) is None:
        return connect(sp.ITE, [test, on_true, on_false])
    return views.choose(test, on_true, on_false)


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

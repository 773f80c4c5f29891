"""A jaxpr as a straight list of operations that people read: calls inlined, constants folded.

What has a rule of its own (`custom_jvp`, `custom_vjp`), a loop, and library functions known by
name stay one operation each: the graph shows the sweep JAX runs, rule by rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge import array_idioms, graph_idioms, idioms
from diffkit.bridge.primitives import COMPARISONS, ELEMENTWISE, LOGIC, kernel_of
from diffkit.core.errors import UsageError

#: Calls whose rule is the user's or the library's own; `jax.vjp` of the equation uses it.
RULES: frozenset[str] = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})
#: Objects that say what they compute (JAX 0.12) are run as they are.
_WHOLE = RULES | {"call_hi_primitive"}
#: Equations that hand their operand on.
_ALIASES = frozenset("copy copy_p name sharding_constraint".split())
#: Unrolled programs above this many equations are not flattened at all.
MOST_EQUATIONS = 20_000
#: Library functions whose call is kept although their rule is that of the equations inside.
_NAMED: dict[str, tuple[Callable[..., Any], ...]] = {
    name: tuple(p.function for p in graph_idioms.PATTERNS if p.name == name)
    for name in {pattern.name for pattern in graph_idioms.PATTERNS}
}


@dataclass(frozen=True, eq=False)
class Constant:
    """A value known without the arguments."""

    value: Any

    @property
    def number(self) -> float | None:
        """The one number all entries are, or None."""
        if not jnp.issubdtype(jnp.result_type(self.value), np.number):
            return None
        entries = np.ravel(np.asarray(self.value, dtype=np.float64))
        is_one = entries.size > 0 and np.array_equal(
            entries, np.broadcast_to(entries[0], entries.shape), equal_nan=True
        )
        return float(entries[0]) if is_one else None


#: A variable by its number, or a constant.
Operand = int | Constant


@dataclass(frozen=True)
class Operation:
    """How one variable of the program comes about.

    Args:
        name: What a reader calls it: "log", "softmax", "scan".
        run: Values of the operands -> value.
        operands: What it is computed from.
        eqn: The equation, None for a run of several.
        kernel: SymPy arguments -> value, where it acts entry by entry; else None.
        place: The line of the user's code.
        has_rule: Whether a rule other than that of its equations differentiates it.
        part: Which result it is of an equation that has several.
    """

    name: str
    run: Callable[..., Any]
    operands: tuple[Operand, ...]
    eqn: Any = None
    kernel: Callable[..., Any] | None = None
    place: compat.Source = field(default_factory=compat.Source)
    has_rule: bool = False
    part: int | None = None

    @property
    def variables(self) -> tuple[int, ...]:
        """The variables among the operands, each once."""
        return tuple(dict.fromkeys(each for each in self.operands if isinstance(each, int)))

    def at(self, values: Sequence[Any]) -> Any:
        """The value, given those of `variables`."""
        known = dict(zip(self.variables, values, strict=True))
        return self.run(
            *(known[each] if isinstance(each, int) else each.value for each in self.operands)
        )


@dataclass(frozen=True)
class Program:
    """A list of operations; variable k is input k, then the results in order.

    Args:
        inputs: How many inputs.
        operations: What is computed, operands before results.
        output: The variable that is returned.
    """

    inputs: int
    operations: tuple[Operation, ...]
    output: int


def flatten(traced: Any) -> Program:
    """The operations of a traced function of one result, without those nobody needs.

    Raises:
        UsageError: the result does not depend on the arguments, or the program is too long.
    """
    jaxpr, constants = compat.open_jaxpr(traced)
    walk = _Walk(len(jaxpr.invars))
    (output,) = walk.through(jaxpr, constants, list(range(len(jaxpr.invars))))
    if not isinstance(output, int):
        raise UsageError("the result does not depend on the arguments; there is no graph to draw")
    return _pruned(Program(len(jaxpr.invars), tuple(walk.operations), output))


class _Walk:
    """Collects operations while it goes through the equations."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.operations: list[Operation] = []

    def through(self, jaxpr: Any, constants: Sequence[Any], arguments: list) -> list[Operand]:
        """The operands that the results of a jaxpr are."""
        env: dict[Any, Operand] = dict(zip(jaxpr.constvars, map(Constant, constants), strict=True))
        env.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Operand:
            return Constant(np.asarray(atom.val)) if compat.is_literal(atom) else env[atom]

        position = 0
        while position < len(jaxpr.eqns):
            run = graph_idioms.run_at(jaxpr, position)
            if run is not None and isinstance(read(run.operand), int):
                env[run.result] = self.add(self.idiom(run, jaxpr.eqns[position], read))
                position += run.length
                continue
            eqn = jaxpr.eqns[position]
            results = self.equation(eqn, [read(atom) for atom in eqn.invars])
            env.update(zip(eqn.outvars, results, strict=True))
            position += 1
        return [read(atom) for atom in jaxpr.outvars]

    def add(self, operation: Operation) -> int:
        """Append an operation; the number of its variable."""
        if len(self.operations) >= MOST_EQUATIONS:
            raise UsageError(
                f"the program has more than {MOST_EQUATIONS} operations; draw a part of it"
            )
        self.operations.append(operation)
        return self.inputs + len(self.operations) - 1

    def idiom(self, run: graph_idioms.Run, first: Any, read: Callable[..., Operand]) -> Operation:
        """A library function that was inlined."""
        return Operation(run.name, run.function, (read(run.operand),), place=compat.source(first))

    def equation(self, eqn: Any, operands: list[Operand]) -> list[Operand]:
        """The results of one equation."""
        constants = [each.value for each in operands if isinstance(each, Constant)]
        if len(constants) == len(operands):
            with np.errstate(all="ignore"):  # nan in a branch nobody takes
                values = compat.run_equation(eqn, constants)
            return [Constant(value) for value in values]
        name = eqn.primitive.name
        if name in _ALIASES or _is_same_type(eqn):
            return list(operands)
        if name == "select_n" and isinstance(operands[0], Constant):
            chosen = np.unique(np.asarray(operands[0].value))
            if chosen.size == 1:
                return [operands[1 + int(chosen[0])]]
        inner = compat.called_jaxpr(eqn) if name in compat.CALLS else None
        kernel = _kernel(eqn)
        if inner is not None and name not in _WHOLE and kernel is None and not _is_named(eqn):
            return self.through(*compat.open_jaxpr(inner), operands)
        viewed = self.view_of_slice(eqn, operands)
        if viewed is not None:
            return [self.add(viewed)]
        label = compat.called_name(eqn) if inner is not None else name
        base = Operation(
            (label or name).lstrip("_"),
            lambda *values: compat.run_equation(eqn, values)[0],
            tuple(operands),
            eqn,
            kernel,
            compat.source(eqn),
            has_rule=name in RULES and kernel is None,
        )
        if len(eqn.outvars) == 1:
            return [self.add(base)]
        return [self.add(_part(base, number)) for number in range(len(eqn.outvars))]

    def view_of_slice(self, eqn: Any, operands: list[Operand]) -> Operation | None:
        """`x[0]` is a slice that is squeezed: one operation, not two."""
        if eqn.primitive.name not in ("squeeze", "reshape") or not isinstance(operands[0], int):
            return None
        number = operands[0] - self.inputs
        before = self.operations[number] if number >= 0 else None
        if before is None or before.name != "slice" or len(operands) != 1:
            return None

        def run(*values: Any) -> Any:
            return compat.run_equation(eqn, [before.run(*values)])[0]

        return replace(before, name="entry" if not eqn.outvars[0].aval.shape else "slice", run=run)


def _part(base: Operation, number: int) -> Operation:
    """One result of an equation that has several."""
    eqn = base.eqn
    return replace(
        base,
        part=number,
        run=lambda *values: compat.run_equation(eqn, values)[number],
    )


def _is_same_type(eqn: Any) -> bool:
    """A conversion to the type the operand has already."""
    if eqn.primitive.name != "convert_element_type":
        return False
    return eqn.invars[0].aval.dtype == eqn.outvars[0].aval.dtype


def _is_named(eqn: Any) -> bool:
    """Whether a call is a library function that reads better as one operation."""
    known = _NAMED.get(compat.called_name(eqn).lstrip("_"), ())
    if len(eqn.outvars) == 1 and any(idioms.stands_for(eqn, each) for each in known):
        return True
    return array_idioms.recognise(eqn) is not None


def _kernel(eqn: Any) -> Callable[..., Any] | None:
    """The scalar function an equation applies entry by entry, in SymPy, or None."""
    name, count = eqn.primitive.name, len(eqn.invars)
    if len(eqn.outvars) != 1:
        return None
    if name in ELEMENTWISE:
        row = ELEMENTWISE[name]
        whole = jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.integer)
        return kernel_of(row, eqn.params, count, is_whole=whole)
    if name in COMPARISONS or name in LOGIC:
        return COMPARISONS.get(name) or LOGIC[name]
    return idioms.recognise(eqn) if name in compat.CALLS else None


def _pruned(program: Program) -> Program:
    """Without the operations that do not reach the output."""
    first = program.inputs
    needed = {program.output}
    for number in reversed(range(len(program.operations))):
        if first + number in needed:
            needed.update(program.operations[number].variables)
    places = {number: number for number in range(first)}
    kept = []
    for number, operation in enumerate(program.operations, start=first):
        if number in needed:
            places[number] = first + len(kept)
            moved = tuple(
                places[each] if isinstance(each, int) else each for each in operation.operands
            )
            kept.append(replace(operation, operands=moved))
    return Program(first, tuple(kept), places[program.output])

r"""The computational graph of a function at a point: forward values, reverse adjoints, partials.

$$\bar v_j = \sum_{k:\, j \to k} \Big(\frac{\partial v_k}{\partial v_j}\Big)^{\!\top} \bar v_k$$

Values come from the program, adjoints from `jax.vjp` of one equation after the other; what the
sweep gives for the arguments is held against `jax.vjp` of the whole function.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.batch import within
from diffkit.bridge.graph_formulas import Namer, of_operation, of_partial
from diffkit.bridge.graph_program import Constant, Operation, Program, flatten
from diffkit.bridge.subject import Subject
from diffkit.core.errors import UsageError
from diffkit.typeset import Node as Layout

#: A graph of more nodes is not drawn.
MOST_NODES = 400
#: Jacobians of edges up to this many entries are computed.
MOST_ENTRIES = 4096
#: The program of values, adjoints and partials must be compiled and run in this time.
SECONDS = 60.0

Kind = Literal["input", "constant", "operation"]


@dataclass(frozen=True, eq=False)
class Edge:
    """One operand of an operation.

    Args:
        source: Position of the operand among the nodes.
        target: Position of the result.
        partial: The Jacobian, axes out + in; None where there is none or it is too large.
        diagonal: The derivative entry by entry, for operations that act so; else None.
        contribution: What the target's adjoint adds to that of the source, or None.
        formula: The partial derivative as a formula, or None.
    """

    source: int
    target: int
    partial: np.ndarray | None = None
    diagonal: np.ndarray | None = None
    contribution: np.ndarray | None = None
    formula: Layout | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One variable of the program.

    Args:
        name: The user's name of an input, else "v_3" (a subscript) or "c_1".
        kind: "input", "constant" or "operation".
        operation: Name of the operation, "" for inputs and constants.
        formula: What it computes, or None.
        value: Its value.
        adjoint: Derivative of the result by it; None where there is none.
        place: The line of the user's code, or "".
        has_rule: Whether a custom rule differentiates it.
    """

    name: str
    kind: Kind
    operation: str
    formula: Layout | None
    value: np.ndarray
    adjoint: np.ndarray | None
    place: str = ""
    has_rule: bool = False


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which they can be computed, and the edges between them.

    Args:
        nodes: Inputs and constants first.
        edges: Grouped by target, in the order of the nodes.
        output: Position of the result.
        disagreement: Largest relative gap between the sweep and `jax.vjp` of the function.
        refusal: Why there is no reverse sweep, or "".
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    output: int
    disagreement: float | None = None
    refusal: str = ""

    def into(self, target: int) -> tuple[Edge, ...]:
        """The edges that end in a node."""
        return tuple(edge for edge in self.edges if edge.target == target)


def computational_graph(what: Subject, leaves: Sequence[np.ndarray] | None = None) -> Graph:
    """Trace, evaluate and differentiate a function at a point, in float64.

    The sweep starts with 1 in every entry of the result.

    Args:
        what: The function.
        leaves: The point; the example values when None.

    Raises:
        UsageError: the program is too large to be drawn, or does not depend on its arguments.
        TimeLimitExceeded: it does not compile in time.

    >>> import jax.numpy as jnp
    >>> from diffkit.bridge.subject import subject
    >>> graph = computational_graph(subject(lambda a, b: jnp.log(a * b), (2.0, 3.0), {}, "a"))
    >>> [(node.name, round(float(node.value), 4)) for node in graph.nodes]
    [('a', 2.0), ('b', 3.0), ('v_1', 6.0), ('v_2', 1.7918)]
    >>> [round(float(node.adjoint), 4) for node in graph.nodes]
    [0.5, 0.3333, 0.1667, 1.0]
    """
    _ = what.output_shape  # refuses a function of several or of no real results
    values = what.at("float64", what.values if leaves is None else leaves)
    with compat.x64():
        program = flatten(compat.trace(what.call, *values))
        if len(program.operations) > MOST_NODES:
            raise UsageError(
                f"the program has {len(program.operations)} operations, a drawing at most "
                f"{MOST_NODES}; name a smaller function, such as one block of it"
            )
        sweep = _Sweep(what, program)
        found = within(SECONDS, lambda: sweep.run(values))
    return _assemble(what, program, found)


@dataclass(frozen=True)
class _Found:
    """What one run of the compiled sweep returns; arrays of NumPy, None where there is none."""

    values: list[np.ndarray]
    adjoints: list[Any]
    edges: dict[tuple[int, int], dict[str, Any]]
    reference: list[Any] | None
    refusal: str = ""


class _Sweep:
    """Builds the one program that computes values, adjoints and partials."""

    def __init__(self, what: Subject, program: Program) -> None:
        self.what, self.program = what, program
        self._known: tuple[tuple[int, int], ...] = ()  # the edges, in the order they come back

    def run(self, leaves: Sequence[np.ndarray]) -> _Found:
        """Evaluate; where an equation has no reverse rule, the forward half alone."""
        try:
            found = jax.jit(self.both)(*leaves)
        except USER_ERRORS as error:
            reason = str(error).strip().partition("\n")[0]
            values = jax.jit(self.forward)(*leaves)
            empty: list[Any] = [None] * len(values)
            return _Found([np.asarray(each) for each in values], empty, {}, None, reason)
        values, adjoints, edges, reference = jax.tree.map(np.asarray, found)
        return _Found(values, adjoints, dict(zip(self._known, edges, strict=True)), reference)

    def forward(self, *leaves: Any) -> list[Any]:
        """All values."""
        values = list(leaves)
        for operation in self.program.operations:
            values.append(operation.at([values[each] for each in operation.variables]))
        return values

    def both(self, *leaves: Any) -> tuple[Any, ...]:
        """All values, adjoints and edges, and the gradient of the whole function."""
        values, pulls = list(leaves), []
        for operation in self.program.operations:
            value, pull = _with_pullback(operation, values)
            values.append(value)
            pulls.append(pull)
        adjoints: list[Any] = [_zeros(value) for value in values]
        adjoints[self.program.output] = jnp.ones_like(values[self.program.output])
        edges: dict[tuple[int, int], dict[str, Any]] = {}
        first = self.program.inputs
        for number in reversed(range(len(pulls))):
            target, (sources, pull) = first + number, pulls[number]
            if pull is None or adjoints[target] is None:
                continue
            for source, part in zip(sources, pull(adjoints[target]), strict=True):
                adjoints[source] = adjoints[source] + part
                edges[source, target] = {"contribution": part}
            self._partials(number, values, pull, sources, edges)
        self._known = tuple(sorted(edges, key=lambda pair: (pair[1], pair[0])))
        return values, adjoints, [edges[pair] for pair in self._known], self._reference(leaves)

    def _partials(
        self, number: int, values: list, pull: Any, sources: tuple[int, ...], edges: dict
    ) -> None:
        """Jacobians of one operation, or their diagonals where it acts entry by entry."""
        target = self.program.inputs + number
        out = values[target]
        for place, source in enumerate(sources):
            entry = edges[source, target]
            is_alike = jnp.shape(values[source]) == jnp.shape(out)
            if self.program.operations[number].kernel is not None and is_alike:
                entry["diagonal"] = pull(jnp.ones_like(out))[place]
            elif jnp.size(out) * jnp.size(values[source]) <= MOST_ENTRIES:
                basis = jnp.eye(jnp.size(out), dtype=out.dtype).reshape(-1, *jnp.shape(out))
                rows = jax.vmap(lambda row, place=place: pull(row)[place])(basis)
                entry["partial"] = rows.reshape(*jnp.shape(out), *jnp.shape(values[source]))

    def _reference(self, leaves: Sequence[Any]) -> list[Any]:
        """The gradient by every floating-point leaf, from `jax.vjp` of the whole function."""
        moving = [number for number, leaf in enumerate(leaves) if _is_floating(leaf)]

        def whole(*moved: Any) -> Any:
            known = dict(zip(moving, moved, strict=True))
            arguments = [known.get(number, leaf) for number, leaf in enumerate(leaves)]
            return jax.tree.leaves(self.what.call(*arguments))[0]

        value, pull = jax.vjp(whole, *(leaves[number] for number in moving))
        return list(pull(jnp.ones_like(value)))


def _with_pullback(operation: Operation, values: list) -> tuple[Any, tuple[tuple[int, ...], Any]]:
    """The value of an operation, and its pullback to the floating-point operands."""
    sources = tuple(each for each in operation.variables if _is_floating(values[each]))

    def moved(*some: Any) -> Any:
        known = dict(zip(sources, some, strict=True))
        return operation.at([known.get(each, values[each]) for each in operation.variables])

    at = [values[each] for each in sources]
    if not sources or not _is_floating(jax.eval_shape(moved, *at)):
        return moved(*at), ((), None)
    value, pull = jax.vjp(moved, *at)
    return value, (sources, pull)


def _is_floating(value: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(value), jnp.floating))


def _zeros(value: Any) -> Any:
    return jnp.zeros_like(value) if _is_floating(value) else None


def _assemble(what: Subject, program: Program, found: _Found) -> Graph:
    """Nodes and edges with their names and formulas."""
    builder = _Builder(what, program, found)
    for number in range(len(program.operations)):
        builder.operation(number)
    return Graph(
        tuple(builder.nodes),
        tuple(builder.edges),
        builder.positions[program.output],
        _disagreement(what, found),
        found.refusal,
    )


class _Builder:
    """Turns variables of the program into nodes; starts with inputs and constants."""

    def __init__(self, what: Subject, program: Program, found: _Found) -> None:
        self.program, self.found = program, found
        self.namer = Namer(what.names)
        self.edges: list[Edge] = []
        self.positions: dict[int | Constant, int] = {k: k for k in range(program.inputs)}
        self.nodes = [
            Node(name, "input", "", None, value, adjoint)
            for name, value, adjoint in zip(what.names, found.values, found.adjoints, strict=False)
        ]
        for number, constant in enumerate(_constants(program), start=1):
            self.positions[constant] = len(self.nodes)
            name, value = self.namer.constant(number), np.asarray(constant.value)
            self.nodes.append(Node(name, "constant", "", None, value, None))

    def operation(self, number: int) -> None:
        """Add the node of an operation and the edges into it."""
        operation = self.program.operations[number]
        variable = self.program.inputs + number
        name, operands = self.namer.variable(number + 1), self._operands(operation)
        target = self.positions[variable] = len(self.nodes)
        for each in operation.variables:
            source = self.positions[each]
            slope = of_partial(
                operation, operands, self.nodes[source].name, name, self.found, each, variable
            )
            entry = self.found.edges.get((each, variable), {})
            self.edges.append(Edge(source, target, formula=slope, **entry))
        self.edges += [
            Edge(self.positions[each], target)
            for each in dict.fromkeys(operation.operands)
            if isinstance(each, Constant) and each in self.positions
        ]
        self.nodes.append(
            Node(
                name,
                "operation",
                operation.name,
                of_operation(operation, operands),
                self.found.values[variable],
                self.found.adjoints[variable],
                str(operation.place) if operation.place.file else "",
                operation.has_rule,
            )
        )

    def _operands(self, operation: Operation) -> list[str | Constant]:
        """The operands by name; constants without a node as they are."""
        return [
            each
            if isinstance(each, Constant) and each not in self.positions
            else self.nodes[self.positions[each]].name
            for each in operation.operands
        ]


def _constants(program: Program) -> list[Constant]:
    """The constants worth a node: those that are not one number in every entry."""
    operands = (each for operation in program.operations for each in operation.operands)
    constants = dict.fromkeys(each for each in operands if isinstance(each, Constant))
    return [each for each in constants if each.number is None and _is_array(each.value)]


def _is_array(value: Any) -> bool:
    kind = jnp.result_type(value)
    return bool(jnp.issubdtype(kind, np.number) or jnp.issubdtype(kind, np.bool_))


def _disagreement(what: Subject, found: _Found) -> float | None:
    """The largest relative gap between the two gradients; NaN and infinity must match."""
    if found.reference is None:
        return None
    swept = [each for each in found.adjoints[: len(what.names)] if each is not None]
    gaps = [0.0]
    for ours, whole in zip(swept, found.reference, strict=True):
        same = (ours == whole) | (np.isnan(ours) & np.isnan(whole))
        scale = np.max(np.abs(whole), initial=0.0, where=np.isfinite(whole)) or 1.0
        with np.errstate(invalid="ignore"):
            gap = np.where(same, 0.0, np.abs(ours - whole) / scale)
        gaps.append(float(np.max(np.nan_to_num(gap, nan=np.inf), initial=0.0)))
    return max(gaps)

"""A jaxpr as blocks of equations whose calls are written out, so that paths can name them.

`jit` and its kin dissolve into the block that calls them; loops, branches and rematerialised
regions keep blocks of their own.  A custom derivative rule stays one equation, because the rule
is what a gradient runs.  An equation knows the line of the user's code, its caller's where it
stands inside a library function.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import jax
import numpy as np

from diffkit.backend import compat

Path = tuple[int, ...]

#: Calls that are written out: they have no derivative rule of their own.
INLINED = frozenset({"jit", "pjit", "closed_call", "core_call"})
#: Calls that keep a block: what they recompute must stay recomputed.
REMATERIALISED = frozenset({"checkpoint", "remat", "remat2"})
#: Equations that move entries or types and compute nothing.
MOVES = frozenset("broadcast_in_dim reshape squeeze expand_dims convert_element_type copy".split())
#: Primitives with a floating-point result through which no derivative passes.
CONSTANT = frozenset("stop_gradient floor ceil round sign is_finite nextafter".split())


@dataclass(eq=False)
class Block:
    """Equations in program order; values are numbered within the block.

    Args:
        inputs: Numbers of the arguments.
        nodes: The equations.
        outputs: Numbers of the results.
        constants: Number -> array, literals included.
        types: Number -> abstract value.
        active: Values through which derivatives flow; filled by `activate`.
    """

    inputs: tuple[int, ...] = ()
    nodes: tuple["Node", ...] = ()
    outputs: tuple[int, ...] = ()
    constants: dict[int, Any] = field(default_factory=dict)
    types: dict[int, Any] = field(default_factory=dict)
    active: frozenset[int] = frozenset()

    def producers(self) -> Mapping[int, tuple[int, int]]:
        """Value -> (equation, which of its results)."""
        return {v: (n, k) for n, node in enumerate(self.nodes) for k, v in enumerate(node.outputs)}

    def consumers(self) -> Mapping[int, list[tuple[int, int]]]:
        """Value -> (equation, which of its operands), in program order."""
        found: dict[int, list[tuple[int, int]]] = {}
        for n, node in enumerate(self.nodes):
            for j, v in enumerate(node.inputs):
                found.setdefault(v, []).append((n, j))
        return found


@dataclass(frozen=True, eq=False)
class Node:
    """One equation of a block.

    Args:
        eqn: JAX's equation.
        inputs: Numbers of its operands.
        outputs: Numbers of its results.
        source: The line of the user's code.
        blocks: The bodies of a loop, the branches of a choice, a rematerialised region.
        within: Names of the library functions it was written out of, outermost first.
    """

    eqn: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: compat.Source
    blocks: tuple[Block, ...] = ()
    within: tuple[str, ...] = ()

    @property
    def primitive(self) -> str:
        """Name of its primitive."""
        return self.eqn.primitive.name

    @property
    def name(self) -> str:
        """Name of the function it stands for, else of its primitive."""
        called = compat.called_name(self.eqn) if compat.called_jaxpr(self.eqn) is not None else ""
        return called.removeprefix("_") or self.primitive

    @property
    def is_loop(self) -> bool:
        """Whether its block runs once per step."""
        return self.primitive == "scan"


def read(jaxpr: Any) -> Block:
    """The block of a jaxpr.

    >>> import jax.numpy as jnp
    >>> block = read(compat.trace(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), 1.0))
    >>> [node.primitive for node in block.nodes]
    ['gt', 'sqrt', 'select_n']
    """
    return _Reader().block(jaxpr, compat.Source(), ())


def run(block: Block, values: Sequence[Any]) -> list[Any]:
    """The results of a block on arrays."""
    env = {**block.constants, **dict(zip(block.inputs, values, strict=True))}
    for node in block.nodes:
        results = compat.run_equation(node.eqn, [env[v] for v in node.inputs])
        env.update(zip(node.outputs, results, strict=True))
    return [env[v] for v in block.outputs]


def coarsest(root: Block) -> float:
    """The unit of rounding of the narrowest type a program computes in.

    >>> import jax.numpy as jnp
    >>> coarsest(read(compat.trace(lambda x: jnp.sin(x.astype("bfloat16")), jnp.ones(2))))
    0.0078125
    """
    every = (
        float(jax.numpy.finfo(block.types[v].dtype).eps)
        for _, block, node in all_nodes(root)
        for v in (*node.outputs, *node.inputs)
        if is_float(block.types[v])
    )
    return max(every, default=0.0)


def is_float(aval: Any) -> bool:
    """Whether an abstract value can carry a derivative."""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and bool(jax.dtypes.issubdtype(dtype, np.inexact))


def node_at(root: Block, path: Path) -> Node:
    """The equation a path of odd length names: equation, block, equation, ..."""
    return block_at(root, path[:-1]).nodes[path[-1]]


def block_at(root: Block, path: Path) -> Block:
    """The block a path of even length names."""
    for n, b in zip(path[::2], path[1::2], strict=True):
        root = root.nodes[n].blocks[b]
    return root


def loops(root: Block, path: Path) -> tuple[int, ...]:
    """Numbers of steps of the loops around an equation or a block, outermost first."""
    found = []
    for depth in range(0, len(path) - 1, 2):
        node = node_at(root, path[: depth + 1])
        if node.is_loop:
            found.append(int(node.eqn.params["length"]))
    return tuple(found)


def all_nodes(root: Block, path: Path = ()) -> Iterator[tuple[Path, Block, Node]]:
    """Every equation with its path and its block."""
    for n, node in enumerate(root.nodes):
        yield (*path, n), root, node
        for b, inner in enumerate(node.blocks):
            yield from all_nodes(inner, (*path, n, b))


def of_one_line(root: Block, path: Path) -> list[Path]:
    """The equations that the same piece of code made: a line runs once per layer of a model."""
    node = node_at(root, path)
    if not node.source.file:
        return [path]
    place = (node.source.file, node.source.line, node.primitive, node.within)
    return [
        each
        for each, _, other in all_nodes(root)
        if (other.source.file, other.source.line, other.primitive, other.within) == place
    ]


def activate(block: Block, inputs: Sequence[bool]) -> list[bool]:
    """Mark the values that depend on active inputs through derivatives; which results do.

    Args:
        block: Is marked, and so are its inner blocks.
        inputs: Whether each argument is differentiated.
    """
    active = {v for v, is_active in zip(block.inputs, inputs, strict=True) if is_active}
    for node in block.nodes:
        operands = [v in active for v in node.inputs]
        results = _activate_node(node, operands)
        active |= {
            v
            for v, is_active in zip(node.outputs, results, strict=True)
            if is_active and is_float(block.types[v])
        }
    block.active = block.active | active
    return [v in active for v in block.outputs]


def _activate_node(node: Node, operands: list[bool]) -> list[bool]:
    if not node.blocks or node.primitive == "while":
        return [any(operands) and node.primitive not in CONSTANT] * len(node.outputs)
    if node.primitive == "cond":
        found = [activate(branch, operands[1:]) for branch in node.blocks]
        return [any(each) for each in zip(*found, strict=True)]
    if node.is_loop:
        return _activate_loop(node, operands)
    return activate(node.blocks[0], operands)


def _activate_loop(node: Node, operands: list[bool]) -> list[bool]:
    """A carry is active once a step makes it so."""
    split = compat.scan_split(node.eqn.params)
    first, last = split.constants, split.constants + split.carry
    while True:
        results = activate(node.blocks[0], operands)
        carry = [a or b for a, b in zip(operands[first:last], results[: split.carry], strict=True)]
        if carry == operands[first:last]:
            return [*carry, *results[split.carry :]]
        operands = [*operands[:first], *carry, *operands[last:]]


class _Reader:
    """Numbers values while it writes calls out; one per jaxpr with all that is inside."""

    def __init__(self) -> None:
        self.fresh = count()

    def block(self, jaxpr: Any, caller: compat.Source, within: tuple[str, ...]) -> Block:
        opened, constants = compat.open_jaxpr(jaxpr)
        block = Block()
        names: dict[Any, int] = {}
        nodes: list[Node] = []
        for variable, value in zip(opened.constvars, constants, strict=True):
            block.constants[self._name(block, names, variable)] = value
        block.inputs = tuple(self._name(block, names, each) for each in opened.invars)
        self._write(opened, block, names, nodes, caller, within)
        block.nodes = tuple(nodes)
        block.outputs = tuple(self._atom(block, names, each) for each in opened.outvars)
        return block

    def _write(
        self,
        opened: Any,
        block: Block,
        names: dict[Any, int],
        nodes: list[Node],
        caller: compat.Source,
        within: tuple[str, ...],
    ) -> None:
        for eqn in opened.eqns:
            place = compat.source(eqn)
            place = place if place.file else caller
            inputs = tuple(self._atom(block, names, each) for each in eqn.invars)
            if eqn.primitive.name in INLINED:
                self._inline(eqn, inputs, block, names, nodes, place, within)
                continue
            outputs = tuple(self._name(block, names, each) for each in eqn.outvars)
            bodies = tuple(self.block(each, place, within) for each in _bodies(eqn))
            nodes.append(Node(eqn, inputs, outputs, place, bodies, within))

    def _inline(
        self,
        eqn: Any,
        inputs: tuple[int, ...],
        block: Block,
        names: dict[Any, int],
        nodes: list[Node],
        place: compat.Source,
        within: tuple[str, ...],
    ) -> None:
        opened, constants = compat.open_jaxpr(compat.called_jaxpr(eqn))
        inner: dict[Any, int] = dict(zip(opened.invars, inputs, strict=True))
        for variable, value in zip(opened.constvars, constants, strict=True):
            block.constants[self._name(block, inner, variable)] = value
        self._write(opened, block, inner, nodes, place, (*within, compat.called_name(eqn)))
        for variable, atom in zip(eqn.outvars, opened.outvars, strict=True):
            names[variable] = self._atom(block, inner, atom)

    def _name(self, block: Block, names: dict[Any, int], variable: Any) -> int:
        number = next(self.fresh)
        names[variable] = number
        block.types[number] = variable.aval
        return number

    def _atom(self, block: Block, names: dict[Any, int], atom: Any) -> int:
        if not compat.is_literal(atom):
            return names[atom]
        number = next(self.fresh)
        block.types[number] = atom.aval
        block.constants[number] = np.asarray(atom.val, atom.aval.dtype)
        return number


def _bodies(eqn: Any) -> tuple[Any, ...]:
    """The jaxprs of an equation that keep a block."""
    name = eqn.primitive.name
    if name in REMATERIALISED:
        return (compat.called_jaxpr(eqn),)
    if name == "scan":
        return (eqn.params["jaxpr"],)
    if name == "while":
        return (eqn.params["cond_jaxpr"], eqn.params["body_jaxpr"])
    return tuple(eqn.params["branches"]) if name == "cond" else ()

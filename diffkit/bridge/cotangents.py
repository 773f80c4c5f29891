"""Run a gradient once more and answer questions about the values and cotangents on its way.

The program is the user's own, equation by equation, as one compiled function.  A question costs
two numbers (how many entries are NaN, how many infinite), never a copy: cotangents are counted by
identities whose backward pass hands the counts to a dummy argument, the *tap*, so that the counts
come out as its gradient.  Inside a loop a tap has one row per step.  One equation can be caught
with its arrays, and equations can be replaced.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.blocks import Block, Node, Path, block_at, is_float, loops

Array = Any
#: Compiles without optimising the machine code.
_QUICK = {"xla_backend_optimization_level": 0}
What = Literal["value", "cotangent", "share"]
#: Takes an equation, its operands and the values of its block by number; returns its results.
Edit = Callable[[Node, list[Array], Mapping[int, Array]], list[Array]]


@dataclass(frozen=True, order=True)
class Question:
    """Whether something is finite.

    Args:
        path: An equation (odd length) or a block (even length).
        what: "value": result k of the equation, argument k of the block.  "cotangent": the sum
            of the cotangents of that value.  "share": what the equation contributes to the
            cotangent of its operand k; the cotangent that enters the block at its result k.
        place: k.
    """

    path: Path
    what: What
    place: int


@dataclass(frozen=True)
class Caught:
    """One equation at one step with its arrays.

    Args:
        operands: Its operands.
        results: Its results.
        cotangents: Cotangents of its results; None where no derivative flows.
    """

    operands: tuple[Array, ...]
    results: tuple[Array, ...]
    cotangents: tuple[Array | None, ...]


@dataclass(frozen=True)
class Found:
    """What one run says.

    Args:
        value: The loss.
        gradient: Per differentiated leaf (NaN entries, infinite entries).
        counts: Question -> the same, with a row per step of every loop around it.
        caught: The equations asked for.
        leaves: The gradient itself.
    """

    value: np.ndarray
    gradient: np.ndarray
    counts: Mapping[Question, np.ndarray]
    caught: Mapping[Path, Caught] = field(default_factory=dict)
    leaves: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Replay:
    """A program with its arguments and the leaves that are differentiated.

    Args:
        root: Its equations.
        leaves: Its arguments.
        wrt: Positions of the differentiated leaves.
    """

    root: Block
    leaves: tuple[Array, ...]
    wrt: tuple[int, ...]

    def run(
        self,
        questions: Sequence[Question] = (),
        *,
        catch: Sequence[Path] = (),
        step: tuple[int, ...] = (),
        edits: Mapping[Path, Edit] | None = None,
    ) -> Found:
        """Answer questions about the gradient.

        Args:
            questions: What is counted.
            catch: Equations of one block to catch with their arrays.
            step: At which step of each loop around it, outermost first.
            edits: Equations to replace.
        """
        run = _Run(self.root, frozenset(questions), frozenset(catch), step, dict(edits or {}))
        taps = {
            q: jnp.zeros((*loops(self.root, q.path), 2), "float32")
            for q in sorted(run.questions)
            if q.what != "value"
        }

        def loss(varied: list[Array], taps: Any, slots: Any, fixed: list[Array]) -> Any:
            every = list(fixed)
            for place, leaf in zip(self.wrt, varied, strict=True):
                every[place] = leaf
            (value, *_), reports, caught = run.block(self.root, (), every, (taps, slots), ())
            return jnp.reshape(value, ()), (reports, caught)

        def program(leaves: list[Array], taps: Any, slots: Any) -> Any:
            varied = [leaves[place] for place in self.wrt]
            graded = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)
            (value, (reports, caught)), found = graded(varied, taps, slots, leaves)
            counts = jnp.stack([_count(each, "int32") for each in found[0]])
            return value, counts, {**reports, **found[1]}, caught, found[2], found[0]

        # the program as the user runs it decides what is finite
        compiled = _quickly(program) if questions or catch else jax.jit(program)
        slots = self._slots(catch)
        value, counts, reports, caught, cotangents, kept = compiled(list(self.leaves), taps, slots)
        return Found(
            np.asarray(value),
            np.asarray(counts),
            {q: np.asarray(each) for q, each in reports.items()},
            {path: self._caught(each, cotangents, path) for path, each in caught.items()},
            tuple(kept),
        )

    def look(
        self,
        questions: Sequence[Question] = (),
        *,
        catch: Sequence[Path] = (),
        step: tuple[int, ...] = (),
        edits: Mapping[Path, Edit] | None = None,
    ) -> Found:
        """Answer questions about values alone, without a gradient and in a third of the time.

        Args:
            questions: What is counted; about values.
            catch: Equations of one block to catch with their operands and results.
            step: At which step of each loop around it, outermost first.
            edits: Equations to replace.
        """
        run = _Run(self.root, frozenset(questions), frozenset(catch), step, dict(edits or {}))

        def program(leaves: list[Array]) -> Any:
            return run.block(self.root, (), leaves, ({}, {}), ())

        (value, *_), reports, caught = _quickly(program)(list(self.leaves))
        return Found(
            np.asarray(value),
            np.zeros((0, 2), np.int32),
            {q: np.asarray(each) for q, each in reports.items()},
            {path: self._caught(each, {}, path) for path, each in caught.items()},
        )

    def _slots(self, catch: Sequence[Path]) -> dict[tuple[Path, int], Array]:
        """Taps that receive whole cotangents of the caught equations."""
        return {
            (path, k): _zeros(block.types[v])
            for path in catch
            for block in (block_at(self.root, path[:-1]),)
            for k, v in enumerate(block.nodes[path[-1]].outputs)
            if v in block.active
        }

    def _caught(
        self, caught: Any, cotangents: Mapping[tuple[Path, int], Array], path: Path
    ) -> Caught:
        operands, results = caught
        return Caught(
            tuple(operands),
            tuple(results),
            tuple(cotangents.get((path, k)) for k in range(len(results))),
        )


@dataclass(frozen=True)
class _Run:
    """One way through the blocks, traced by JAX."""

    root: Block
    questions: frozenset[Question]
    catch: frozenset[Path]
    step: tuple[int, ...]
    edits: Mapping[Path, Edit]

    def block(
        self, block: Block, path: Path, values: Sequence[Array], taps: Any, clock: tuple[Any, ...]
    ) -> tuple[list[Array], dict[Question, Array], Any]:
        """Results of a block, counts of values in it, and the caught arrays."""
        reports: dict[Question, Array] = {}
        caught: dict[Path, Any] = {}
        self._report(path, values, reports)
        env = dict(block.constants)
        env.update(zip(block.inputs, self._watch(path, "cotangent", values, taps[0]), strict=True))
        for n, node in enumerate(block.nodes):
            here = (*path, n)
            operands = [env[v] for v in node.inputs]
            shares = self._watch(here, "share", operands, taps[0])
            results, inner, below = self._node(node, here, shares, env, taps, clock)
            reports.update(inner)
            self._report(here, results, reports)
            caught.update(below)
            if here in self.catch:
                caught[here] = (operands, results)
                results = self._take(here, results, taps[1], clock)
            results = self._watch(here, "cotangent", results, taps[0])
            env.update(zip(node.outputs, results, strict=True))
        outputs = self._watch(path, "share", [env[v] for v in block.outputs], taps[0])
        return outputs, reports, caught

    def _node(
        self,
        node: Node,
        here: Path,
        operands: list[Array],
        env: Mapping[int, Array],
        taps: Any,
        clock: tuple[Any, ...],
    ) -> tuple[list[Array], dict[Question, Array], Any]:
        if here in self.edits:
            return list(self.edits[here](node, operands, env)), {}, {}
        if not node.blocks or node.primitive == "while":
            return compat.run_equation(node.eqn, operands), {}, {}
        if not self._goes_into(here):
            return compat.run_equation(node.eqn, operands), {}, {}
        mine = (_below(taps[0], here), taps[1])
        if node.is_loop:
            return self._scan(node, here, operands, mine, clock)
        if node.primitive == "cond":
            return self._cond(node, here, operands, mine, clock)

        def region(operands: list[Array], taps: Any, clock: tuple[Any, ...]) -> Any:
            return self.block(node.blocks[0], (*here, 0), operands, taps, clock)

        params = node.eqn.params
        again = jax.checkpoint(region, policy=params["policy"], prevent_cse=params["prevent_cse"])
        return again(operands, mine, clock)

    def _goes_into(self, here: Path) -> bool:
        """Whether anything inside an equation is asked for, caught or replaced."""
        paths = [*(q.path for q in self.questions), *self.edits, *self.catch]
        return any(path[: len(here)] == here and len(path) > len(here) for path in paths)

    def _scan(
        self, node: Node, here: Path, operands: list[Array], taps: Any, clock: tuple[Any, ...]
    ) -> Any:
        """The loop with its taps as scanned arrays; a caught equation travels in the carry."""
        params = node.eqn.params
        split = compat.scan_split(params)
        first, last = split.constants, split.constants + split.carry
        fixed, carry, rows = operands[:first], operands[first:last], operands[last:]
        now = len(clock)

        def step(state: Any, entries: Any) -> Any:
            carried, kept = state
            row, counts, k = entries
            results, reports, caught = self.block(
                node.blocks[0],
                (*here, 0),
                [*fixed, *carried, *row],
                (counts, taps[1]),
                (*clock, k),
            )
            kept = jax.tree.map(lambda a, b: jnp.where(k == self.step[now], b, a), kept, caught)
            return (results[: split.carry], kept), (results[split.carry :], reports)

        scanned = (rows, taps[0], jnp.arange(params["length"]))
        kept: Any = {}
        if any(path[: len(here)] == here for path in self.catch):
            one = jax.tree.map(lambda each: each[0], scanned)
            shapes = jax.eval_shape(
                lambda: self._inside(node, here, fixed, carry, one, taps, clock)
            )
            kept = jax.tree.map(_zeros, shapes)
        (carry, kept), (rows, reports) = lax.scan(
            step,
            (carry, kept),
            scanned,
            length=params["length"],
            reverse=params["reverse"],
            unroll=params["unroll"],
        )
        return [*carry, *rows], reports, kept

    def _inside(
        self,
        node: Node,
        here: Path,
        fixed: list[Array],
        carry: list[Array],
        entries: Any,
        taps: Any,
        clock: tuple[Any, ...],
    ) -> Any:
        """What one step catches."""
        row, counts, k = entries
        values = [*fixed, *carry, *row]
        return self.block(node.blocks[0], (*here, 0), values, (counts, taps[1]), (*clock, k))[2]

    def _cond(
        self, node: Node, here: Path, operands: list[Array], taps: Any, clock: tuple[Any, ...]
    ) -> Any:
        """The choice; what is asked about branches that are not taken counts nothing."""
        index, *rest = operands

        def branch(b: int) -> Callable[..., Any]:
            block = node.blocks[b]
            return lambda values, taps, clock: self.block(block, (*here, b), values, taps, clock)

        shapes = [jax.eval_shape(branch(b), rest, taps, clock)[1:] for b in range(len(node.blocks))]
        every = {q: each for reports, _ in shapes for q, each in reports.items()}
        kept = {path: each for _, caught in shapes for path, each in caught.items()}

        def padded(b: int) -> Callable[..., Any]:
            def run(values: Any, taps: Any, clock: Any) -> Any:
                results, reports, caught = branch(b)(values, taps, clock)
                reports = {q: reports.get(q, _zeros(each)) for q, each in every.items()}
                return results, reports, caught or jax.tree.map(_zeros, kept)

            return run

        branches = [padded(b) for b in range(len(node.blocks))]
        return lax.switch(index, branches, rest, taps, clock)

    def _watch(self, path: Path, what: What, values: Sequence[Array], taps: Any) -> list[Array]:
        return [
            _tapped(value, taps[question])
            if (question := Question(path, what, k)) in self.questions
            else value
            for k, value in enumerate(values)
        ]

    def _report(self, path: Path, values: Sequence[Array], reports: dict[Question, Array]) -> None:
        for k, value in enumerate(values):
            if (question := Question(path, "value", k)) in self.questions:
                reports[question] = _count(lax.stop_gradient(value), "float32")

    def _take(
        self, here: Path, results: list[Array], slots: Any, clock: tuple[Any, ...]
    ) -> list[Array]:
        hit = jnp.asarray(True)
        for k, now in zip(self.step, clock, strict=True):
            hit = hit & (now == k)
        return [
            _taken(result, slots[here, k], hit) if (here, k) in slots else result
            for k, result in enumerate(results)
        ]


def _quickly(program: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled in half the time: a diagnosis runs once, and may be slow."""
    options = _QUICK if jax.default_backend() == "cpu" else None
    return jax.jit(program, compiler_options=options)


def is_counted(block: Block, value: int) -> bool:
    """Whether NaN and infinity make sense for a value."""
    return is_float(block.types[value])


def _below(taps: Mapping[Question, Array], here: Path) -> dict[Question, Array]:
    return {q: t for q, t in taps.items() if q.path[: len(here)] == here and q.path != here}


def _zeros(each: Any) -> Array:
    return jnp.zeros(each.shape, each.dtype)


def _count(value: Array, dtype: str) -> Array:
    """(NaN entries, infinite entries)."""
    return jnp.stack([jnp.sum(jnp.isnan(value)), jnp.sum(jnp.isinf(value))]).astype(dtype)


@jax.custom_vjp
def _tapped(value: Array, tap: Array) -> Array:
    """The value; the gradient of the tap is the count of its cotangent."""
    return value


_tapped.defvjp(lambda value, tap: (value, None), lambda _, ct: (ct, _count(ct, "float32")))


@jax.custom_vjp
def _taken(value: Array, slot: Array, hit: Array) -> Array:
    """The value; the gradient of the slot is its cotangent at the step that is asked for."""
    return value


_taken.defvjp(
    lambda value, slot, hit: (value, hit),
    lambda hit, ct: (ct, jnp.where(hit, ct, jnp.zeros_like(ct)), None),
)


@jax.custom_vjp
def without_bad_share(value: Array) -> Array:
    """The value; entries of its cotangent that are not finite count as 0."""
    return value


without_bad_share.defvjp(
    lambda value: (value, None),
    lambda _, ct: (jnp.where(jnp.isfinite(ct), ct, jnp.zeros_like(ct)),),
)

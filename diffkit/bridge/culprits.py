"""Find the equation at which a gradient, or a value, first stops being finite.

A *cut* before equation c is crossed by the values made before it and used from it on.  Cotangents
that cross a cut were made by the equations after it, so where one cut carries a bad cotangent and
the next one carries none, the equation between them is the culprit.  A handful of cuts is asked
about in one compiled run, then the gap is narrowed: a model of a thousand equations takes three
runs, and no run counts more than a few dozen values.  Values are traced to their origin alike.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.blocks import MOVES, Block, Node, Path, all_nodes, block_at, node_at
from diffkit.bridge.cotangents import Edit, Found, Question, Replay, is_counted

#: Cuts asked about in one run.
CUTS = 12
#: A program with at most this many questions is asked all of them at once.
AT_ONCE = 48
#: Distances at which an origin is looked for.
_DOUBLED = tuple(6 * 2**k for k in range(12))
#: Equations through which a written infinity is followed: masks, and maxima of masked rows.
_HANDED_ON = MOVES | frozenset("select_n max reduce_max stop_gradient add".split())
#: A written infinity is looked for among so many values.
_FEW = 32
#: Which counts are bad: NaN alone, or infinities as well.
Test = Literal["nan", "any"]
Steps = tuple[int, ...]


@dataclass(frozen=True)
class Culprit:
    """Where cotangents stop being finite.

    Args:
        path: The equation.
        steps: The step of each loop around it.
        operand: Which operand gets the bad cotangent.
        is_sum: Whether every contribution is finite and their sum is not.
    """

    path: Path
    steps: Steps
    operand: int
    is_sum: bool = False


@dataclass(frozen=True)
class Origin:
    """Where a value stops being finite.

    Args:
        kind: An equation, an argument of the program or a constant in it.
        path: The equation, or the block of the constant.
        steps: The step of each loop around it.
        place: Position of the argument, number of the constant, else which result.
    """

    kind: Literal["equation", "argument", "constant"]
    path: Path
    steps: Steps
    place: int


@dataclass
class Search:
    """Questions to one program, each asked once.

    Args:
        replay: The program.
        edits: Equations that are replaced.
    """

    replay: Replay
    edits: Mapping[Path, Edit] = field(default_factory=dict)
    known: dict[Question, np.ndarray] = field(default_factory=dict)
    found: Found | None = None

    def ask(self, questions: Iterable[Question]) -> None:
        """Have the answers to these questions known."""
        new = {q for q in questions if q not in self.known}
        if not new and self.found is not None:
            return
        if self.found is None:
            every = set(self._all())
            new = every if len(every) <= AT_ONCE else new
        if self.found is not None and all(q.what == "value" for q in new):
            answers = self.replay.look(sorted(new), edits=self.edits)
        else:
            answers = self.replay.run(sorted(new), edits=self.edits)
            self.found = self.found or answers
        # a branch that holds a question and was not reported is one that cannot be reached
        self.known.update({q: answers.counts.get(q, np.zeros(2)) for q in new})

    def outcome(self) -> Found:
        """Loss and gradient of the program."""
        self.ask([])
        assert self.found is not None
        return self.found

    def is_bad(self, question: Question, steps: Steps, test: Test = "any") -> bool:
        """Whether what the question is about is not finite at a step."""
        count = self.known[question]
        count = count[steps] if count.ndim > 1 else count
        return bool(count[0] > 0 or (test == "any" and count[1] > 0))

    def _all(self) -> Iterator[Question]:
        for path, block, node in all_nodes(self.replay.root):
            for k, v in enumerate(node.outputs):
                if is_counted(block, v):
                    yield Question(path, "value", k)
            yield from about(block, path)
            yield from _given(block, path[:-1], [path[-1]])

    def still_makes(self, culprit: Culprit) -> bool:
        """Whether an equation still makes a bad cotangent."""
        questions = list(about(block_at(self.replay.root, culprit.path[:-1]), culprit.path))
        self.ask(questions)
        shares = [q for q in questions if q.what == "share"]
        return any(self.is_bad(q, culprit.steps) for q in shares)

    # --- backward ------------------------------------------------------------------------------

    def culprit(self) -> Culprit | None:
        """The first equation, in the order of the backward pass, that makes the gradient bad."""
        bad = [bool(np.any(counts)) for counts in self.outcome().gradient]
        root = self.replay.root
        leaves = [root.inputs[p] for p, is_bad in zip(self.replay.wrt, bad, strict=True) if is_bad]
        return self._backward((), (), leaves) if leaves else None

    def _backward(self, path: Path, steps: Steps, bad_inputs: Sequence[int]) -> Culprit | None:
        block = block_at(self.replay.root, path)
        edges = _Edges(block, path, bad_inputs)

        def is_bad(cut: int) -> bool:
            crossing = edges.crossing(cut)
            return any(q is None or self.is_bad(q, steps) for q in crossing)

        low, high = 0, len(block.nodes)
        while high - low > 1:
            cuts = _between(low, high)
            questions = [q for cut in cuts for q in edges.crossing(cut) if q is not None]
            # the last cuts and what is asked about the equation between them, in one run
            if len(cuts) == high - low - 1:
                questions += [q for n in range(low, high) for q in about(block, (*path, n))]
            self.ask(questions)
            clean = next((cut for cut in cuts if not is_bad(cut)), None)
            low = max([low, *(cut for cut in cuts if clean is None or cut < clean)])
            high = high if clean is None else clean
        return self._at(block, (*path, low), steps)

    def _at(self, block: Block, here: Path, steps: Steps) -> Culprit | None:
        """The culprit in one equation: itself, or one of the equations inside it."""
        node = block.nodes[here[-1]]
        questions = list(about(block, here))
        self.ask(questions)
        bad = [q.place for q in questions if q.what == "share" and self.is_bad(q, steps)]
        if not bad:
            return None
        if any(q.what == "cotangent" and self.is_bad(q, steps) for q in questions):
            return Culprit(here, steps, bad[0], is_sum=True)
        if node.blocks and node.primitive != "while":
            inside = self._inside(node, here, steps)
            if inside is not None:
                return inside
        return Culprit(here, steps, bad[0])

    def _inside(self, node: Node, here: Path, steps: Steps) -> Culprit | None:
        for b, block in enumerate(node.blocks):
            path = (*here, b)
            entering = [
                Question(path, "share", j) for j, v in enumerate(block.outputs) if v in block.active
            ]
            leaving = {
                v: Question(path, "cotangent", i)
                for i, v in enumerate(block.inputs)
                if v in block.active
            }
            self.ask([*entering, *leaving.values()])
            for mine in _backward_steps(node, steps):
                bad = [v for v, q in leaving.items() if self.is_bad(q, mine)]
                if bad and not any(self.is_bad(q, mine) for q in entering):
                    return self._backward(path, mine, bad)
        return None

    # --- forward -------------------------------------------------------------------------------

    def origin(self, path: Path, steps: Steps, value: int, test: Test) -> Origin | None:
        """Where a value of a block, bad at a step, was first bad; None where it is not bad."""
        block = block_at(self.replay.root, path)
        if value in block.constants:
            return Origin("constant", path, steps, value) if _is_bad(block, value, test) else None
        if value in block.inputs:
            return self._outside(path, steps, block.inputs.index(value), test)
        flow = _Flow(block, path, value)

        def is_bad(cut: int) -> bool:
            return any(self.is_bad(q, steps, test) for q in flow.crossing(cut))

        low, high = 0, flow.top
        cuts = _near(low, high)  # origins are near, as a rule
        while high - low > 1:
            questions = [q for cut in (*cuts, high) for q in flow.crossing(cut)]
            if len(cuts) == high - low - 1:
                questions += _given(block, path, range(low, high))
            self.ask(questions)
            if not is_bad(high):
                return None
            clean = next((cut for cut in reversed(cuts) if not is_bad(cut)), None)
            high = min([high, *(cut for cut in cuts if clean is None or cut > clean)])
            low = low if clean is None else clean
            cuts = _between(low, high)
        return self._made(block, (*path, low), steps, test)

    def _made(self, block: Block, here: Path, steps: Steps, test: Test) -> Origin | None:
        """The origin in one equation: what it was given, something inside it, or itself."""
        node = block.nodes[here[-1]]
        questions = [
            Question(here, "value", k) for k, v in enumerate(node.outputs) if is_counted(block, v)
        ]
        self.ask([*questions, *_given(block, here[:-1], [here[-1]])])
        place = next((q.place for q in questions if self.is_bad(q, steps, test)), None)
        if place is None:
            return None
        for v in node.inputs:
            given = None
            if v in block.inputs and is_counted(block, v):
                given = self._outside(here[:-1], steps, block.inputs.index(v), test)
            elif v in block.constants and block.types[v].shape and _is_bad(block, v, test):
                given = Origin("constant", here[:-1], steps, v)
            if given is not None:
                return given
        inside = self._within(node, here, steps, place, test)
        return inside or Origin("equation", here, steps, place)

    def _within(
        self, node: Node, here: Path, steps: Steps, place: int, test: Test
    ) -> Origin | None:
        if node.primitive == "while":
            return None
        for b, block in enumerate(node.blocks):
            path, value = (*here, b), block.outputs[place]
            at = block.producers().get(value)
            if at is None:
                continue
            question = Question((*path, at[0]), "value", at[1])
            self.ask([question])
            for mine in reversed(_backward_steps(node, steps)):
                if self.is_bad(question, mine, test):
                    return self.origin(path, mine, value, test)
        return None

    def _outside(self, path: Path, steps: Steps, place: int, test: Test) -> Origin | None:
        """The origin of an argument of a block, None where it is not bad."""
        question = Question(path, "value", place)
        self.ask([question])
        if not self.is_bad(question, steps, test):
            return None
        if not path:
            return Origin("argument", path, steps, place)
        node, outer = node_at(self.replay.root, path[:-1]), path[:-2]
        if not node.is_loop:
            operand = place + (node.primitive == "cond")
            return self.origin(outer, steps, node.inputs[operand], test)
        split = compat.scan_split(node.eqn.params)
        carried = place - split.constants
        if not 0 <= carried < split.carry:
            return self.origin(outer, steps[:-1], node.inputs[place], test)
        earlier = _backward_steps(node, steps[:-1])
        earlier = earlier[earlier.index(steps) :]
        clean = next(
            (k for k, at in enumerate(earlier) if not self.is_bad(question, at, test)), None
        )
        if clean is None:
            return self.origin(outer, steps[:-1], node.inputs[place], test)
        made = block_at(self.replay.root, path).outputs[carried]
        return self.origin(path, earlier[clean], made, test)


def about(block: Block, path: Path) -> Iterator[Question]:
    """What decides whether an equation of a block is the culprit."""
    node = block.nodes[path[-1]]
    for j, v in enumerate(node.inputs):
        if v in block.active:
            yield Question(path, "share", j)
    for k, v in enumerate(node.outputs):
        if v in block.active:
            yield Question(path, "cotangent", k)


def _given(block: Block, path: Path, nodes: Iterable[int]) -> Iterator[Question]:
    """What decides whether one of these equations was given a bad argument."""
    for n in nodes:
        for v in block.nodes[n].inputs:
            if v in block.inputs and is_counted(block, v):
                yield Question(path, "value", block.inputs.index(v))


class _Edges:
    """Uses of values through which bad cotangents can reach the bad inputs of a block."""

    def __init__(self, block: Block, path: Path, bad_inputs: Sequence[int]) -> None:
        self.block, self.path = block, path
        hot = set(bad_inputs)
        for node in block.nodes:
            if any(v in hot for v in node.inputs):
                hot |= {v for v in node.outputs if v in block.active}
        consumers = block.consumers()
        producers = block.producers()
        self.edges: list[tuple[int, int, Question | None]] = []
        for v in hot:
            made = producers[v][0] if v in producers else -1
            used = consumers.get(v, [])
            final = [Question(path, "share", j) for j, out in enumerate(block.outputs) if out == v]
            # the only use of a bad argument is known to be bad
            is_known = made < 0 and len(used) + len(final) == 1
            self.edges += [
                (made, n, None if is_known else Question((*path, n), "share", j)) for n, j in used
            ]
            self.edges += [(made, len(block.nodes), q) for q in final]

    def crossing(self, cut: int) -> list[Question | None]:
        """Uses from a cut on of values made before it; None for one that is known to be bad."""
        return [q for made, used, q in self.edges if made < cut <= used]


class _Flow:
    """The values a value of a block is made from."""

    def __init__(self, block: Block, path: Path, value: int) -> None:
        self.path = path
        producers = block.producers()
        self.top = producers[value][0] + 1
        last: dict[int, int] = {value: len(block.nodes)}
        for n in range(self.top - 1, -1, -1):
            if any(v in last for v in block.nodes[n].outputs):
                for v in block.nodes[n].inputs:
                    last.setdefault(v, n)
        self.spans = [
            (*producers[v], used)
            for v, used in last.items()
            if v in producers and is_counted(block, v)
        ]

    def crossing(self, cut: int) -> list[Question]:
        """Values made before a cut and used from it on."""
        return [
            Question((*self.path, made), "value", k)
            for made, k, used in self.spans
            if made < cut <= used
        ]


def is_written(block: Block, value: int) -> bool:
    """Whether an infinity comes, within a few equations, from one the program writes down.

    Masks write -inf where nothing shall be read; that is no fault.
    """
    producers = block.producers()
    open_, seen = [value], set()
    while open_ and len(seen) < _FEW:
        v = open_.pop(0)
        seen.add(v)
        if v in block.constants and not block.types[v].shape and _is_bad(block, v, "any"):
            return True
        node = block.nodes[producers[v][0]] if v in producers else None
        if node is not None and node.primitive in _HANDED_ON:
            open_ += [u for u in node.inputs if u not in seen]
    return False


def _between(low: int, high: int) -> list[int]:
    """At most `CUTS` cuts strictly between two, evenly spread."""
    count = min(CUTS, high - low - 1)
    return sorted({low + round((k + 1) * (high - low) / (count + 1)) for k in range(count)})


def _near(low: int, high: int) -> list[int]:
    """Cuts below the upper one at growing distances, all of them where they are few."""
    if high - low - 1 <= CUTS:
        return list(range(low + 1, high))
    return sorted({high - step for step in (1, 2, 3, *_DOUBLED) if high - step > low})


def _backward_steps(node: Node, steps: Steps) -> list[Steps]:
    """The steps of a loop in the order of the backward pass; one where there is no loop."""
    if not node.is_loop:
        return [steps]
    every = range(int(node.eqn.params["length"]))
    return [(*steps, k) for k in (every if node.eqn.params["reverse"] else reversed(every))]


def _is_bad(block: Block, value: int, test: Test) -> bool:
    """Whether a constant is."""
    if not is_counted(block, value):
        return False
    array = np.asarray(block.constants[value]).astype(np.complex128)
    return bool(np.any(np.isnan(array)) or (test == "any" and np.any(np.isinf(array))))

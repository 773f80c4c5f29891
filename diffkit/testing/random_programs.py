"""Random smooth programs from whole numbers: the same seed makes the same program everywhere.

A draft knows the range of every number in it (a ball over all points the program is asked at),
so an operation is used only where it is smooth and of moderate size.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
from flint import arb

from diffkit.testing import operations as ops
from diffkit.testing.duals import Dual, boxed, precision
from diffkit.testing.operations import ELEMENTWISE, Operation
from diffkit.testing.programs import RADIUS, Array, Input, Program, Step

SIZES = (2, 3)
DEPTHS = (2, 8)
_UNARY = tuple(row for row in ELEMENTWISE.values() if row.arity == 1)
_BINARY = tuple(row for row in ELEMENTWISE.values() if row.arity == 2)
_ATTEMPTS = 200


def program(seed: int) -> Program:
    """The program of a seed; every tenth one is about arrays.

    >>> print(program(2))  # doctest: +ELLIPSIS
    program 2 of x...
    >>> str(program(9)) == str(program(9)), program(9).is_scalar
    (True, False)
    """
    return array_program(seed) if seed % 10 == 9 else scalar_program(seed)


def scalar_program(seed: int) -> Program:
    """A program of one to three numbers, 2 to 8 operations deep."""
    generator = random.Random(f"scalar {seed}")

    def attempt() -> Program | None:
        names = "xyz"[: generator.choice((1, 1, 2, 3))]
        draft = _Draft(generator, [Input(name, _centres((), generator)) for name in names])
        return draft.ending_at(seed, draft.grow(generator.randint(*DEPTHS)))

    return _first(attempt, seed)


def array_program(seed: int) -> Program:
    """A program of a vector or a matrix; its result is a number or a small array."""
    generator = random.Random(f"array {seed}")

    def attempt() -> Program | None:
        shape = tuple(generator.choice(SIZES) for _ in range(generator.choice((1, 2, 2))))
        draft = _Draft(generator, [Input("X", _centres(shape, generator))])
        result = 0
        for _ in range(generator.randint(2, 6)):
            result = draft.array_step(result)
        if generator.random() < 0.6:
            result = draft.to_number(result)
        return draft.ending_at(seed, result)

    return _first(attempt, seed)


def _first(attempt: Callable[[], Program | None], seed: int) -> Program:
    """The first attempt whose variable is 2 to 8 operations away from its result."""
    for _ in range(_ATTEMPTS):
        made = attempt()
        if made is not None and DEPTHS[0] <= made.depth <= DEPTHS[1]:
            return made
    raise AssertionError(f"no program of seed {seed} depends on its variable")


class _Draft:
    """A program being made: its numbers (inputs and steps mixed) and the range of each."""

    def __init__(self, generator: random.Random, inputs: Sequence[Input]):
        self.generator = generator
        self.numbers: list[Input | Step] = []
        self.ranges: list[Array] = []
        for each in inputs:
            self.add_input(each)
        self.count = len(inputs)

    def add_input(self, new: Input) -> int:
        """Add an argument; its index."""
        self.numbers.append(new)
        self.ranges.append(_range(new.centre))
        return len(self.numbers) - 1

    # Scalars

    def grow(self, depth: int) -> int:
        """Add a scalar expression of this depth; its index."""
        choose = self.generator
        if depth == 0:
            return self._leaf()
        if len(self.numbers) > self.count and choose.random() < 0.08:
            return self._shared()
        deep = self.grow(depth - 1)
        if choose.random() < 0.5:
            return self.apply_fitting(_UNARY, [deep])
        other = self._other(choose.randint(0, min(2, depth - 1)))
        operands = [deep, other] if choose.random() < 0.5 else [other, deep]
        return self.apply_fitting(_BINARY, operands)

    def _shared(self) -> int:
        """A sub-expression there is already."""
        steps = [
            index
            for index, each in enumerate(self.numbers)
            if isinstance(each, Step) and each.operands
        ]
        return self.generator.choice(steps or [0])

    def _leaf(self) -> int:
        return 0 if self.generator.random() < 0.7 else self.generator.randrange(self.count)

    def _other(self, depth: int) -> int:
        """The second operand: an expression, or a number.

        Numbers meet expressions only: what is computed of numbers alone JAX rounds while it
        traces, and then the program is another function.
        """
        if self.generator.random() < 0.2:
            made = self.attempt(ops.constant(Fraction(self.generator.randint(1, 24), 8)), [])
            return 0 if made is None else made
        return self.grow(depth)

    # Arrays

    def array_step(self, current: int) -> int:
        """Add one operation to an array; its index."""
        options = list(self._array_options(current))
        for row, operands in self.generator.sample(options, len(options)):
            made = self.attempt(row, operands)
            if made is not None and self.ranges[made].size <= 9:
                return made
        return self.apply_fitting(_UNARY, [current])

    def to_number(self, current: int) -> int:
        """Reduce an array to a number; its index."""
        if not self.ranges[current].ndim:
            return current
        names = self.generator.sample(("sum", "mean", "norm", "logsumexp"), 4)
        made = (self.attempt(ops.reduction(name, None), [current]) for name in names)
        return next(index for index in made if index is not None)

    def _array_options(self, current: int) -> Iterator[tuple[Operation, list[int]]]:
        shape = self.ranges[current].shape
        rank = len(shape)
        yield from ((row, [current]) for row in self.generator.sample(_UNARY, 3))
        other = self._operand(self.generator.choice([shape, shape[1:], (*shape[:-1], 1), ()]))
        for row in self.generator.sample(_BINARY, 3):
            yield row, [current, other]
            yield row, [other, current]
        if not rank:
            return
        axis = self.generator.randrange(rank)
        for name in ("softmax", "log_softmax", "cumsum", "reverse"):
            yield ops.along(name, axis), [current]
        for name in ("sum", "mean", "norm", "logsumexp", "prod"):
            yield ops.reduction(name, axis), [current]
        places = [self.generator.randrange(shape[0]) for _ in range(self.generator.choice(SIZES))]
        yield ops.gather(places), [current]
        yield ops.concatenation(axis), [current, self._operand(shape)]
        yield ops.MATMUL, [current, self._operand((shape[-1], self.generator.choice(SIZES)))]
        if rank == 1:
            yield ops.OUTER, [current, self._operand((self.generator.choice(SIZES),))]
            yield ops.DOT, [current, self._operand(shape)]
        else:
            yield ops.entry(self.generator.randrange(shape[0])), [current]
            yield ops.TRANSPOSE, [current]
            yield ops.FLATTEN, [current]
            yield ops.MATMUL, [self._operand((self.generator.choice(SIZES), shape[0])), current]

    def _operand(self, shape: tuple[int, ...]) -> int:
        """An array of this shape: one there is, or a new input."""
        known = [k for k, each in enumerate(self.ranges) if each.shape == shape]
        if known and self.generator.random() < 0.6:
            return self.generator.choice(known)
        name = "ABCDEFGHIJKLMNOPQRSTUVW"[sum(isinstance(n, Input) for n in self.numbers) - 1]
        return self.add_input(Input(name, _centres(shape, self.generator)))

    # Steps

    def apply_fitting(self, rows: Sequence[Operation], operands: Sequence[int]) -> int:
        """One of the operations that may be used here; the arc tangent always may."""
        for row in self.generator.sample(rows, len(rows)):
            made = self.attempt(row, operands)
            if made is not None:
                return made
        made = self.attempt(ELEMENTWISE["atan"], operands[:1])
        assert made is not None
        return made

    def attempt(self, row: Operation, operands: Sequence[int]) -> int | None:
        """The index of the step, None where a range does not fit or the result is not tame."""
        ranges = [self.ranges[k] for k in operands]
        with precision(64):
            if not row.fits(*ranges):
                return None
            result = boxed(row.exact(*ranges))
            if not ops.is_tame(result):
                return None
        self.numbers.append(Step(row, tuple(operands)))
        self.ranges.append(result)
        return len(self.numbers) - 1

    def ending_at(self, seed: int, result: int) -> Program | None:
        """The program of the numbers `result` needs; None when the variable is not among them."""
        needed, waiting = set(), [result]
        while waiting:
            index = waiting.pop()
            if index not in needed:
                needed.add(index)
                number = self.numbers[index]
                waiting += number.operands if isinstance(number, Step) else ()
        if 0 not in needed or isinstance(self.numbers[result], Input):
            return None
        kept = sorted(needed, key=lambda k: (isinstance(self.numbers[k], Step), k))
        place = {index: position for position, index in enumerate(kept)}
        numbers = [self.numbers[k] for k in kept]
        inputs = tuple(each for each in numbers if isinstance(each, Input))
        steps = tuple(
            Step(each.operation, tuple(place[k] for k in each.operands))
            for each in numbers
            if isinstance(each, Step)
        )
        return Program(seed, inputs, steps)


def _centres(shape: tuple[int, ...], generator: random.Random) -> Array:
    """Multiples of 1/8 between -3 and 3."""
    count = int(np.prod(shape))
    return np.array([generator.randint(-24, 24) / 8 for _ in range(count)]).reshape(shape)


def _range(centre: Array) -> Array:
    """Balls that hold every value an input may take."""
    found = np.empty(centre.shape, dtype=object)
    for place in np.ndindex(*centre.shape):
        found[place] = Dual(arb(float(centre[place]), float(RADIUS)), arb(0))
    return found

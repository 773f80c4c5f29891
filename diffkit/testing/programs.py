"""Straight-line programs whose derivative is known by construction.

A program is a list of inputs and steps; a step uses earlier numbers, so sub-expressions may be
shared.  It runs in JAX, and over duals of balls, which gives its directional derivative without
any AD.  `diffkit.testing.random_programs` makes them from seeds.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from flint import arb

from diffkit.testing.duals import boxed, duals, parts, precision
from diffkit.testing.operations import Operation

#: How far an entry of an input lies from its centre at most.
RADIUS = Fraction(1, 2)

Array = np.ndarray
#: (operation of a step, its operands as duals) -> its result as duals.
Rule = Callable[[Operation, Sequence[Array]], Array]


@dataclass(frozen=True)
class Input:
    """An argument of a program: its name and the centre of its values (float32 holds them)."""

    name: str
    centre: Array


@dataclass(frozen=True)
class Step:
    """One operation applied to earlier numbers, counted from the inputs on."""

    operation: Operation
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A random program; the first input is the variable.

    Args:
        seed: The number it was made from.
        inputs: Its arguments.
        steps: Its operations; the last one is the result.
    """

    seed: int
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]

    def __call__(self, *leaves: Any) -> Any:
        """Run the program in JAX."""
        return self.run(leaves)

    def run(self, leaves: Sequence[Any], planted: Mapping[int, Callable[..., Any]] = {}) -> Any:
        """Run it in JAX, with other functions in the place of the steps in `planted`."""
        numbers = [jnp.asarray(leaf) for leaf in leaves]
        for index, step in enumerate(self.steps):
            operands = [numbers[k] for k in step.operands]
            numbers.append(planted.get(index, step.operation.run)(*operands))
        return jnp.asarray(numbers[-1])

    def exact(
        self,
        leaves: Sequence[Array],
        tangent: Array,
        rules: Mapping[int, Rule] = {},
    ) -> list[Array]:
        """Every number of the program as duals along `tangent` of the variable.

        Args:
            leaves: Values of the inputs.
            tangent: Direction in which the variable moves.
            rules: Steps whose result is made in another way.
        """
        with precision():
            numbers = [duals(leaf, tangent if k == 0 else None) for k, leaf in enumerate(leaves)]
            for index, step in enumerate(self.steps):
                operands = [numbers[k] for k in step.operands]
                rule = rules.get(index, _honest)
                numbers.append(boxed(rule(step.operation, operands)))
            return numbers

    def derivative(self, leaves: Sequence[Array], tangent: Array, cotangent: Array) -> arb:
        """The ball of <cotangent, D f(leaves) tangent>."""
        return weighted(self.exact(leaves, tangent)[-1], cotangent)

    def points(self, count: int, seed: int = 0) -> list[tuple[Array, ...]]:
        """Values of all inputs inside their ranges; multiples of 2^-12, so float32 holds them."""
        generator = random.Random(f"{self.seed} {seed}")
        return [tuple(_near(each.centre, generator) for each in self.inputs) for _ in range(count)]

    @cached_property
    def dependent(self) -> frozenset[int]:
        """Indices of the numbers that depend on the variable."""
        found = {0}
        for index, step in enumerate(self.steps, start=len(self.inputs)):
            if found.intersection(step.operands):
                found.add(index)
        return frozenset(found)

    @property
    def is_scalar(self) -> bool:
        """Whether the variable is a single number."""
        return self.inputs[0].centre.ndim == 0

    @cached_property
    def depth(self) -> int:
        """Operations on the longest way from the variable to the result."""
        depths = {0: 0}
        for index, step in enumerate(self.steps, start=len(self.inputs)):
            below = [depths[k] for k in step.operands if k in depths]
            if below:
                depths[index] = 1 + max(below)
        return depths.get(len(self.inputs) + len(self.steps) - 1, 0)

    def __str__(self) -> str:
        """The program as numbered lines."""
        names = [each.name for each in self.inputs]
        lines = []
        for step in self.steps:
            names.append(f"n{len(lines)}")
            operands = ", ".join(names[k] for k in step.operands)
            lines.append(f"{names[-1]} = {step.operation.name}({operands})")
        shapes = ", ".join(f"{each.name}{list(each.centre.shape) or ''}" for each in self.inputs)
        return "\n".join([f"program {self.seed} of {shapes}", *lines])


def weighted(array: Array, cotangent: Array) -> arb:
    """Sum of the slopes of an array of duals, weighted."""
    with precision():
        _, slopes = parts(array)
        return sum(
            (
                slope * arb(float(weight))
                for slope, weight in zip(slopes.flat, np.ravel(cotangent), strict=True)
            ),
            arb(0),
        )


def _honest(operation: Operation, operands: Sequence[Array]) -> Array:
    return operation.exact(*operands)


def _near(centre: Array, generator: random.Random) -> Array:
    bound = int(RADIUS * 4096)
    moved = np.array(centre, dtype=np.float64)
    for place in np.ndindex(*moved.shape):
        moved[place] += generator.randint(-bound, bound) / 4096
    return moved

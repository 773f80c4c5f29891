"""What reading an array formula returns, and the values of the size symbols it leaves open."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor.notation.lengths import Length, broadcast, is_known, tie
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.views import View


@dataclass(frozen=True)
class Reading:
    """An array formula that was read.

    Args:
        view: Its array; open size symbols are SymPy symbols in the coefficients.
        sizes: The size symbols that are open, positive whole numbers.
        fixed: Size symbols that the formula fixes itself, such as the end of a sum.
        indices: The index letters of the result's leading axes.
        notes: Sentences on how ambiguous notation was read.
        again: Reads the text once more with values of size symbols.
        choices: Signs with several meanings and these meanings, the default first.
    """

    view: View
    sizes: frozenset[sp.Symbol]
    fixed: Mapping[str, int]
    indices: tuple[str, ...]
    notes: tuple[str, ...]
    again: Callable[[Mapping[str, int]], "Reading"]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def size_symbol(name: str) -> sp.Symbol:
    """The symbol of a length."""
    return sp.Symbol(name, positive=True, integer=True)


def bind(reading: Reading, values: Mapping[str, int]) -> View:
    """The array with values for its size symbols.

    Raises:
        UsageError: a size symbol has no value, or the formula fixes another one.
    """
    for name, value in values.items():
        if reading.fixed.get(name, value) != value:
            raise UsageError(
                f"{name} is {reading.fixed[name]} by the formula itself; {value} was given"
            )
    missing = sorted({s.name for s in reading.sizes} - values.keys())
    if missing:
        raise UsageError(f"{', '.join(missing)} has no value; give one, such as {missing[0]}=7")
    return reading.again(values).view if reading.sizes else reading.view


def candidates(names: Mapping[str, View]) -> list[tuple[int, str]]:
    """Every length a size symbol may stand for, with the axes that have it.

    >>> from diffkit.tensor.nodes import var
    >>> from diffkit.tensor.views import view
    >>> candidates({"X": view(var("X", (7, 3))), "y": view(var("y", (7,)))})
    [(7, 'axis 0 of X, y'), (3, 'axis 1 of X')]
    """
    found: dict[int, dict[int, list[str]]] = {}
    for name, x in names.items():
        for axis, length in enumerate(x.shape):
            found.setdefault(length, {}).setdefault(axis, []).append(name)
    return [
        (
            length,
            ", ".join(f"axis {axis} of {', '.join(who)}" for axis, who in sorted(axes.items())),
        )
        for length, axes in found.items()
    ]


@dataclass
class Sizes:
    """The size symbols of one formula while it is read.

    Args:
        values: Values given for them.
    """

    values: Mapping[str, int]

    def __post_init__(self) -> None:
        self.lengths = {name: Length(value, name) for name, value in self.values.items()}
        self.used: set[str] = set()

    def length(self, name: str) -> Length:
        """The length a size symbol stands for."""
        return self.lengths.setdefault(name, Length(name=name))

    def open_symbols(self) -> frozenset[sp.Symbol]:
        """Symbols that stand in the formula and have no value."""
        return frozenset(size_symbol(n) for n in self.used if self.lengths[n].value is None)

    def fixed(self) -> dict[str, int]:
        """Values the formula gives to size symbols by itself."""
        pairs = {n: length.value for n, length in self.lengths.items() if n not in self.values}
        return {name: value for name, value in pairs.items() if value is not None}


def settle(result: OpenArray, shape: Sequence[int] | None) -> OpenArray:
    """The result, its open lengths taken from the shape that is asked for.

    Where both are known and differ nothing is done: a result of a wrong shape is a wrong result.
    """
    if shape is None or is_known(result.shape):
        return result
    wanted = tuple(map(Length, shape))
    if len(shape) == len(result.shape):
        for own, length in zip(result.shape, wanted, strict=True):
            if own.value is None:
                tie(own, length)
    elif len(shape) > len(result.shape):
        broadcast(result.shape, wanted)
    return result

"""Lengths of axes that a formula may leave open: the size of `I`, of a vector of ones, of `n`.

A reader ties lengths that must agree; what is open when the formula is read takes its value from
the rest of the formula or from the shape that is asked for.
"""

from collections.abc import Sequence

from diffkit.core.errors import UsageError


class Length:
    """The length of an axis, known or not yet.

    Args:
        value: The length; None while it is open.
        name: What an error calls an open length.
        position: Where in the text it comes from.
    """

    __slots__ = ("_parent", "_value", "name", "position")

    def __init__(self, value: int | None = None, name: str = "", position: int = 0) -> None:
        self._parent: Length | None = None
        self._value = value
        self.name = name
        self.position = position

    def root(self) -> "Length":
        """The length that stands for all lengths tied to this one."""
        length = self
        while length._parent is not None:
            length = length._parent
        return length

    @property
    def value(self) -> int | None:
        """The length, None while it is open."""
        return self.root()._value

    def __repr__(self) -> str:
        return f"Length({self.value})"


def tie(left: Length, right: Length) -> None:
    """Make two lengths one.

    Raises:
        UsageError: both are known and differ.

    >>> a, b = Length(), Length(3)
    >>> tie(a, b)
    >>> a.value
    3
    """
    first, second = left.root(), right.root()
    if first is second:
        return
    if first._value is not None and second._value is not None:
        if first._value != second._value:
            raise UsageError(f"axes of length {first._value} and {second._value} do not match")
        return
    if first._value is None:
        first._parent = second
    else:
        second._parent = first


def lengths_of(shape: Sequence[int]) -> tuple[Length, ...]:
    """Known lengths."""
    return tuple(map(Length, shape))


def shape_of(lengths: Sequence[Length]) -> tuple[int, ...]:
    """The shape, once every length is known.

    Raises:
        UsageError: a length is still open.
    """
    values = []
    for length in lengths:
        if length.value is None:
            name = length.name or "an array here"
            raise UsageError(f"the size of {name} does not follow from the formula")
        values.append(length.value)
    return tuple(values)


def is_known(lengths: Sequence[Length]) -> bool:
    """Whether every length is known."""
    return all(length.value is not None for length in lengths)


def broadcast(*shapes: Sequence[Length]) -> tuple[Length, ...]:
    """The shape to which shapes broadcast, NumPy's rule; open lengths are tied.

    Raises:
        UsageError: two known lengths of one axis differ and neither is 1.
    """
    rank = max(map(len, shapes), default=0)
    result: list[Length | None] = [None] * rank
    for shape in shapes:
        for place, length in enumerate(shape, start=rank - len(shape)):
            found = result[place]
            result[place] = length if found is None else _joined(found, length)
    return tuple(length for length in result if length is not None)


def _joined(left: Length, right: Length) -> Length:
    if left.value == 1:
        return right
    if right.value != 1:
        tie(left, right)
    return left

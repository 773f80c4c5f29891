"""What is to blame for a loss or a gradient that is not finite, and a mend that was run."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

#: Version of the JSON; a field is added within a version, never renamed or removed.
SCHEMA = 1
#: Lines of one kind that are printed; the rest is counted.
MOST_LINES = 4
#: A line of code that is longer is not repeated.
WIDEST_LINE = 100


@dataclass(frozen=True)
class BadLeaf:
    """An array of the gradient that is not finite.

    Args:
        name: Path of the array in the arguments.
        shape: Its shape.
        nan: Entries that are NaN.
        inf: Entries that are infinite.
    """

    name: str
    shape: tuple[int, ...]
    nan: int
    inf: int

    def __str__(self) -> str:
        size = 1
        for length in self.shape:
            size *= length
        parts = [
            f"{count} {word}" for count, word in ((self.nan, "nan"), (self.inf, "inf")) if count
        ]
        return f"{self.name} has {' and '.join(parts)} of {size}"


@dataclass(frozen=True)
class Cause:
    """One equation.

    Args:
        what: "backward": its operand's cotangent is the first that is not finite.  "forward": its
            result is.  "sum": finite cotangents of its result add up to one that is not.
            "argument" and "constant": a value that was not finite to begin with.
        primitive: The primitive, or the name of the function it stands for; the name of an
            argument.
        where: File and line of the user's code, or "".
        text: That line.
        steps: The step of each loop around it, outermost first.
        entry: Index of the first bad entry.
        message: What happens there, in numbers.
        branch: The choice that does not take this value, or "".
    """

    what: Literal["backward", "forward", "sum", "argument", "constant"]
    primitive: str
    where: str = ""
    text: str = ""
    steps: tuple[int, ...] = ()
    entry: tuple[int, ...] = ()
    message: str = ""
    branch: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        step = f" at step {', '.join(map(str, self.steps))}" if self.steps else ""
        line = f"\n{'':10}{self.text}" if 0 < len(self.text) <= WIDEST_LINE else ""
        return f"{place}{self.primitive}{step}: {self.message}{line}"


@dataclass(frozen=True)
class Mend:
    """A change of the program that was run.

    Args:
        code: The changed expression.
        where: The line it belongs to.
        is_finite: Whether value and gradient are finite with it.
        is_recommended: Whether they are, and nothing speaks against it.
        message: What running it showed.
    """

    code: str
    where: str = ""
    is_finite: bool = False
    is_recommended: bool = False
    message: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.code}" + (f"    {self.message}" if self.message else "")


@dataclass(frozen=True, repr=False)
class Blame:
    """The answer of `diffkit.blame`.

    Args:
        name: The loss.
        wrt: What the gradient is taken by.
        value: The loss at the arguments.
        leaves: The arrays of the gradient that are not finite.
        causes: Where cotangents stop being finite, in the order of the backward pass.
        origins: Where values stop being finite that the first cause, or the loss, depends on.
        mend: The mend that is recommended, or None.
        rejected: Mends that were run and are not recommended, with the reason.
        notes: What a reader must know.
    """

    name: str
    wrt: str
    value: float
    leaves: tuple[BadLeaf, ...] = ()
    causes: tuple[Cause, ...] = ()
    origins: tuple[Cause, ...] = ()
    mend: Mend | None = None
    rejected: tuple[Mend, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the loss and its gradient are finite."""
        return isfinite(self.value) and not self.leaves

    @property
    def cause(self) -> Cause | None:
        """The first cause in the order of the backward pass, else the origin of the bad loss."""
        return next(iter((*self.causes, *self.origins)), None)

    def __bool__(self) -> bool:
        """The same as `ok`."""
        return self.ok

    def __str__(self) -> str:
        return "\n".join(f"{head:<10}{text}".rstrip() for head, text in self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _lines(self) -> list[tuple[str, str]]:
        if self.ok:
            return [
                ("FINITE", f"{self.name} = {self.value:.7g} and its gradient by {self.wrt}"),
                *(("note", note) for note in self.notes),
            ]
        kind = "NAN" if any(leaf.nan for leaf in self.leaves) or self.value != self.value else "INF"
        lines = [
            (kind, f"{self.name} = {self.value:.7g}; gradient by {self.wrt}: {self._counts()}")
        ]
        lines += _listed("backward", self.causes[:1])
        lines += [("branch", cause.branch) for cause in self.causes[:1] if cause.branch]
        lines += _listed("forward", self.origins)
        if self.mend is not None:
            lines.append(("mend", str(self.mend)))
        lines += _listed("not", self.rejected)
        lines += _listed("also", self.causes[1:])
        return lines + [("note", note) for note in self.notes]

    def _counts(self) -> str:
        if not self.leaves:
            return "finite"
        told = [str(leaf) for leaf in self.leaves[:MOST_LINES]]
        more = len(self.leaves) - len(told)
        return ", ".join([*told, *([f"{more} more arrays"] if more > 0 else [])])

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data; numbers that are not finite are text."""
        return {"schema": SCHEMA, "ok": self.ok, **_plain(asdict(self))}

    def to_json(self) -> str:
        """The answer as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def _listed(head: str, items: tuple[Any, ...]) -> list[tuple[str, str]]:
    lines = [(head, str(each)) for each in items[:MOST_LINES]]
    more = len(items) - len(lines)
    return [*lines, *([(head, f"... {more} more")] if more > 0 else [])]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value

"""What the atlas knows of one derivative, by one argument of one public function, as plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

#: Version of the layout below.
SCHEMA = 1


@dataclass(frozen=True)
class Trap:
    """A point at which AD's answer is not the derivative, or there is none.

    Args:
        kind: A kind of `core.finding.KINDS`; "nan-gradient" also where AD gives nan at an infinite
            point towards which its gradient has a limit.
        severity: "wrong" when refuted by two witness groups, "warning" or "note".
        message: What happens, with numbers.
        point: Argument name -> value.
        order: Order of the derivative.
        dtype: The float formats it was seen in.
        remedy: A mend that was run, or "".
        is_defect: Refuted by half the digits or more of the usual size, although the derivative
            exists, is finite and can be represented.
        groups: Witness groups that contradict AD.
        reproducer: A program of JAX alone that shows it, "" where none is needed.
        more: How many further points of this kind are not listed.
    """

    kind: str
    severity: str
    message: str
    point: Mapping[str, Any]
    order: int = 1
    dtype: str = "float64"
    remedy: str = ""
    is_defect: bool = False
    groups: tuple[str, ...] = ()
    reproducer: str = ""
    more: int = 0


@dataclass(frozen=True)
class Entry:
    """One derivative of the atlas.

    Args:
        name: Dotted name of the function.
        argument: Name of the argument it is differentiated by.
        module: The module it is listed under.
        form: "elementwise" (asked as a function of numbers) or "array".
        call: The call that was asked about, as code; arguments are named.
        modes: AD mode -> "" or why it cannot differentiate the function.
        accuracy: Rows of `verify.accuracy.Accuracy`, per dtype and mode, each with the "entry" of
            the argument it is about, "" for a function of numbers.
        traps: Traps and conventions, the worst first.
        truth: What the derivative was held against: "balls" or "differences".
        unfinished: Stages that ran out of time or raised, each with the reason.
        seconds: Wall time.
        skipped: What was not asked, "accuracy float16" say -> why.
    """

    name: str
    argument: str
    module: str
    form: str = ""
    call: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)
    accuracy: tuple[Mapping[str, Any], ...] = ()
    traps: tuple[Trap, ...] = ()
    truth: str = "balls"
    unfinished: tuple[str, ...] = ()
    seconds: float = 0.0
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Function and argument, as the tables call the row."""
        return f"{self.name} by {self.argument}"

    @property
    def defects(self) -> tuple[Trap, ...]:
        """Suspected defects of the library: refuted where a finite derivative exists."""
        return tuple(trap for trap in self.traps if trap.is_defect)

    @property
    def verdict(self) -> str:
        """The worst class of the accuracy of AD in float64 and float32, "" when not measured."""
        order = ("accurate", "ill-conditioned", "unstable", "wrong")
        found = [
            row["verdict"]
            for row in self.accuracy
            if row["mode"] != "primal" and row["dtype"] in ("float64", "float32") and row["points"]
        ]
        return max(found, key=order.index, default="")


def place_of(row: Mapping[str, Any]) -> str:
    """Where the error of an accuracy row is: the argument, or the entry of it with its value.

    >>> place_of({"at": 0.5, "entry": ""}), place_of({"at": 0.5, "entry": "entry [1]"})
    ('0.5', 'entry [1] = 0.5')
    >>> place_of({"at": float("nan"), "entry": "direction 2"})
    'direction 2'
    """
    entry, at = row.get("entry", ""), row["at"]
    if not entry:
        return f"{at:.6g}"
    return f"{entry} = {at:.6g}" if isfinite(at) else entry


def to_data(entry: Entry) -> dict[str, Any]:
    """One entry as data for JSON; numbers that are not finite are spelt as text.

    >>> entry = Entry("jax.numpy.abs", "x", "jax.numpy", traps=(Trap("kink", "note", "", {}),))
    >>> from_data(to_data(entry)) == entry
    True
    """
    return _spelt(asdict(entry))


def from_data(spelt: Mapping[str, Any]) -> Entry:
    """The entry of data that `to_data` made."""
    data: dict[str, Any] = _read(spelt)
    data["traps"] = tuple(map(_trap, data["traps"]))
    for name in ("accuracy", "unfinished"):
        data[name] = tuple(data[name])
    return Entry(**data)


def _trap(data: dict[str, Any]) -> Trap:
    data["groups"] = tuple(data["groups"])
    return Trap(**data)


_NUMBERS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"number": str(value)}
    if isinstance(value, Mapping):
        return {str(key): _spelt(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_spelt(each) for each in value]
    return value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"number"}:
            return _NUMBERS[value["number"]]
        return {key: _read(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_read(each) for each in value]
    return value

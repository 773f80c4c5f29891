"""The configurations of a sweep: fields and the values each takes, combined or in step."""

import math
import re
from collections.abc import Sequence
from itertools import product
from typing import Any, get_origin

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.config import canonical_json, union_parts
from diffkit.lab.overrides import field_type, in_words, with_overrides

#: Field -> the text of its value, as the command line would set it.
Point = dict[str, str]
_RANGE = re.compile(r"(?P<start>[^:]+):(?P<stop>[^:]+):(?P<count>\d+)(?P<log>:log)?")
#: Points of a sweep; each is a run of the ledger.
MOST = 10_000
#: Digits of the values of a range: enough for every use, few enough that 0.01 is 0.01.
_DIGITS = 12


def points(config: Any, axes: Sequence[str], *, in_step: bool = False) -> list[Point]:
    """The points of a sweep.

    An axis is `field=v1,v2,...`, or `field=start:stop:count` with equal steps, or
    `field=start:stop:count:log` with equal ratios; whole numbers are rounded.  Values of a tuple
    field are separated by semicolons: `depths=5,10;20,40`.

    Args:
        config: What the other fields are.
        axes: The axes; the last one varies fastest.
        in_step: Take the first values together, then the second, and so on (all axes are of one
            length), instead of every combination.

    Raises:
        UnknownNameError: no such field.
        UsageError: no axis, a value not of the field's type, two points that are one, or too many.

    >>> from diffkit.lab.config import Preset
    >>> points(Preset({}, 1.0), ["budget=1,2"])
    [{'budget': '1'}, {'budget': '2'}]
    """
    if not axes:
        raise UsageError("a sweep needs an axis; write --over field=value1,value2")
    values = dict(_axis(text, config) for text in axes)
    if len(values) < len(axes):
        raise UsageError(f"a field occurs twice among {', '.join(axes)}; join its values")
    lengths = {len(each) for each in values.values()}
    if in_step and len(lengths) > 1:
        counts = ", ".join(f"{name} {len(each)}" for name, each in values.items())
        raise UsageError(f"--zip takes axes of one length, not {counts}")
    count = min(lengths) if in_step else math.prod(map(len, values.values()))
    if count > MOST:
        raise UsageError(f"{count} points are too many for a sweep; give {MOST} or fewer")
    rows = zip(*values.values(), strict=True) if in_step else product(*values.values())
    found = [dict(zip(values, row, strict=True)) for row in rows]
    seen = set()
    for point in found:
        text = canonical_json(with_overrides(config, words(point)))
        if text in seen:
            raise UsageError(f"{' '.join(words(point))} occurs twice in the sweep; list it once")
        seen.add(text)
    return found


def words(point: Point) -> list[str]:
    """A point as command-line words.

    >>> words({"width": "3"})
    ['--width=3']
    """
    return [f"--{name}={text}" for name, text in point.items()]


def _axis(text: str, config: Any) -> tuple[str, list[str]]:
    """A field and the texts of its values."""
    name, equals, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not listed.strip():
        raise UsageError(f"--over {text!r} names no values; write --over field=value1,value2")
    hint = field_type(config, name)
    found = _RANGE.fullmatch(listed.strip())
    if found is not None and _number(hint) is not None:
        return name, _spread(text, _number(hint), **found.groupdict())
    if ":" in listed and _number(hint) is not None:
        raise UsageError(
            f"--over {text!r} is no range; write {name}=start:stop:count with a count of 2 or "
            "more, and :log behind it for equal ratios"
        )
    separator = ";" if get_origin(hint) is tuple else ","
    values = [each.strip() for each in listed.split(separator) if each.strip()]
    if not values:
        raise UsageError(f"--over {text!r} names no values of type {in_words(hint)}")
    return name, values


def _number(hint: Any) -> type | None:
    """int or float for a field of numbers, else None."""
    return next((kind for kind in (int, float) if kind in (hint, *union_parts(hint))), None)


def _spread(
    text: str, kind: type | None, start: str, stop: str, count: str, log: str | None
) -> list[str]:
    """The texts of the values of a range."""
    try:
        low, high = float(start), float(stop)
    except ValueError:
        raise UsageError(f"--over {text!r}: {start} and {stop} must be numbers") from None
    if len(count.lstrip("0")) > len(str(MOST)) or int(count) > MOST:
        raise UsageError(f"--over {text!r} has too many values; give {MOST} or fewer")
    number = int(count)
    if not (math.isfinite(low) and math.isfinite(high)) or number < 2:
        raise UsageError(f"--over {text!r}: a range has finite ends and 2 or more values")
    if log and not (low > 0 and high > 0):
        raise UsageError(f"--over {text!r}: a logarithmic range has ends > 0")
    values = (np.geomspace if log else np.linspace)(low, high, number)
    if kind is int:
        return [str(round(value)) for value in values]
    return [repr(float(f"{value:.{_DIGITS}g}")) for value in values]

"""Numbers, arrays and user text as they stand on the page; everything inserted is escaped."""

from collections.abc import Sequence
from html import escape
from math import isinf, isnan
from typing import Any

import numpy as np

from diffkit.typeset import Matrix, Node, Operator, Text, render
from diffkit.typeset import number as number_layout

#: Arrays up to this many entries are written out in a step, up to the second number in a box.
MOST_WRITTEN = 36
MOST_IN_BOX = 3
#: User text is cut after this many characters.
MOST_CHARACTERS = 400
DIGITS = 5
_MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: Any, digits: int = DIGITS) -> str:
    """A number in few characters, with a true minus and powers of ten.

    >>> number(-0.25), number(1.5e-12), number(3.0)
    ('−0.25', '1.5·10⁻¹²', '3')
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    value = float(value) + 0.0  # -0.0 is 0 to a reader
    if isnan(value):
        return "nan"
    sign = _MINUS if value < 0 else ""
    if isinf(value):
        return f"{sign}∞"
    mantissa, _, exponent = f"{abs(value):.{digits}g}".partition("e")
    if not exponent:
        return sign + mantissa
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    return f"{sign}{power}" if mantissa == "1" else f"{sign}{mantissa}·{power}"


def shape(value: np.ndarray) -> str:
    """The shape of an array, "2×3"."""
    return "×".join(str(size) for size in np.shape(value)) or "number"


def brief(value: Any) -> str:
    """A value for a box: a number, a few entries, or shape and size."""
    array = np.asarray(value)
    if array.ndim == 0:
        return number(array.item())
    if 0 < array.size <= MOST_IN_BOX:
        return f"[{' '.join(number(each, 3) for each in array.ravel().tolist())}]"
    return f"{shape(array)}, {size_of(array)}"


def size_of(array: np.ndarray) -> str:
    """The Euclidean norm of an array of numbers, the share of true of an array of truths."""
    if array.dtype == bool:
        return f"{int(array.sum())} of {array.size} true"
    with np.errstate(all="ignore"):
        return f"norm {number(np.linalg.norm(array.astype(np.float64).ravel()), 3)}"


def value_layout(value: Any) -> Node:
    """A number, a vector, a small matrix, or for larger arrays shape and norm in words."""
    array = np.asarray(value)
    if array.ndim == 0:
        return _entry(array.item())
    if not 0 < array.size <= MOST_WRITTEN or array.ndim > 2:
        return Text(f"array {shape(array)}, {size_of(array)}")
    rows = array.reshape(-1, array.shape[-1]) if array.ndim == 2 else array[None, :]
    return Matrix(tuple(tuple(_entry(each) for each in row) for row in rows.tolist()))


def _entry(value: Any) -> Node:
    if isinstance(value, bool):
        return Operator("true" if value else "false")
    value = float(value)
    return Text("nan") if isnan(value) else number_layout(value, DIGITS)


def math(node: Node, *, inline: bool = False) -> str:
    """A layout as MathML, on a line of its own or in the text."""
    written = render(node, "mathml")
    return written.replace(' display="block"', "", 1) if inline else written


def text(value: Any, most: int = MOST_CHARACTERS) -> str:
    """User text, cut and escaped."""
    return escape(cut(str(value), most))


def cut(words: str, most: int) -> str:
    """At most `most` characters, an ellipsis where something is left out."""
    return words if len(words) <= most else f"{words[: most - 1]}…"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in a frame that scrolls by itself; cells are HTML already, empty columns go."""
    full = [k for k in range(len(heads)) if any(row[k] for row in rows)]
    heads, rows = [heads[k] for k in full], [[row[k] for k in full] for row in rows]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )

"""Tables of text: aligned for a terminal, or as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells in columns: the first to the left, the others, numbers, to the right.

    >>> print(aligned([["name", "n"], ["a", "12"]]))
    name   n
    a     12
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    return "\n".join(row.rstrip() for row in rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    r"""The lines of a Markdown table and an empty one after it; bars in cells are escaped.

    >>> markdown(("a",), [("x|y",)])
    ['| a |', '| --- |', '| x\\|y |', '']
    """
    lines = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(map(_cell, line)) + " |" for line in lines), ""]


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")

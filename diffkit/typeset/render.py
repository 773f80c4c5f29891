"""One way in: a tree and the name of a style."""

from collections.abc import Callable, Mapping
from typing import Literal

from diffkit.core.errors import UsageError
from diffkit.typeset import latex, mathml, text, typst
from diffkit.typeset.tree import Node

Style = Literal["text", "latex", "typst", "mathml"]

EMITTERS: Mapping[str, Callable[[Node], str]] = {
    "text": text.emit,
    "latex": latex.emit,
    "typst": typst.emit,
    "mathml": mathml.emit,
}


def render(node: Node, style: Style = "text") -> str:
    r"""Write `node` in one of the styles.

    Args:
        node: The layout.
        style: "text" (one line of Unicode), "latex" (without dollar signs), "typst" (math mode,
            without dollar signs) or "mathml" (a complete `math` element).

    Raises:
        UsageError: another style, or a tree too large to be written out.

    >>> from diffkit.typeset.tree import Fraction, Name, Number
    >>> render(Fraction(Number("1"), Name("n")), "latex")
    '\\frac{1}{n}'
    """
    if style not in EMITTERS:
        raise UsageError(f"unknown style {style!r}; known: {', '.join(EMITTERS)}")
    return EMITTERS[style](node)

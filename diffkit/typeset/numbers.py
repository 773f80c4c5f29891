"""Numbers as a reader wants them; every style shows the same digits."""

from fractions import Fraction
from math import isinf, isnan

from diffkit.core.errors import UsageError
from diffkit.typeset.tree import Fraction as Quotient
from diffkit.typeset.tree import Glyph, Negative, Node, Number, Text


def number(value: "int | float | Fraction", digits: int = 6, *, inline: bool = False) -> Node:
    """Return the layout of a number, its sign in front.

    Args:
        value: A number; a fraction is shown as a quotient, nan as "undefined".
        digits: Significant digits of a float, >= 1.
        inline: Whether a quotient keeps the slash.

    Raises:
        UsageError: fewer than one digit was asked for.

    >>> number(2.50), number(-3), number(-0.0)
    (Number(text='2.5'), Negative(body=Number(text='3')), Number(text='0'))
    """
    if digits < 1:
        raise UsageError(f"a number needs at least one digit, not {digits}")
    if isinstance(value, float) and isnan(value):
        return Text("undefined")
    if value < 0:
        return Negative(number(-value, digits, inline=inline))
    if isinstance(value, float):
        return Glyph("infinity") if isinf(value) else Number(f"{abs(value):.{digits}g}")
    if isinstance(value, Fraction) and value.denominator != 1:
        parts = Number(str(value.numerator)), Number(str(value.denominator))
        return Quotient(*parts, inline=inline)
    return Number(str(int(value)))


def scientific(text: str) -> tuple[str, str]:
    """Split "1.50e-07" into mantissa and exponent, ("1.50", "-7"); the exponent may be "".

    >>> scientific("2e+10"), scientific("12.5")
    (('2', '10'), ('12.5', ''))
    """
    mantissa, _, exponent = text.partition("e")
    return mantissa, str(int(exponent)) if exponent else ""

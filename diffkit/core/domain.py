"""Where a claim is said to hold: an interval of the reals, the integers, or a set of matrices.

Bounds are exact rationals or infinite, so that a point at a bound is decided exactly.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from diffkit.core.errors import UsageError

Bound = Fraction | float  # float only for -inf and inf

MATRIX_SETS = (
    "symmetric",
    "spd",
    "simplex",
    "orthogonal",
    "triangular",
    "one_hot",
)
_NAMED = {
    "real": (-inf, inf, True, True),
    "positive": (Fraction(0), inf, True, True),
    "nonnegative": (Fraction(0), inf, False, True),
    "negative": (-inf, Fraction(0), True, True),
    "nonpositive": (-inf, Fraction(0), True, False),
    "probability": (Fraction(0), Fraction(1), True, True),
}
_INTERVAL = re.compile(r"^\s*([(\[])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([)\]])\s*$")
_NUMBER = re.compile(r"^[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?$|^[+-]?\d{1,30}/\d{1,30}$")


@dataclass(frozen=True)
class Domain:
    """An interval of real (or integer) numbers, or a named set of arrays.

    Args:
        low: Lower bound, a `Fraction` or -inf.
        high: Upper bound, a `Fraction` or inf.
        open_low: Whether `low` itself is excluded.
        open_high: Whether `high` itself is excluded.
        integer: Whether only integers belong to it.
        matrix_set: One of `MATRIX_SETS`, for arrays; "" for a set of numbers.
    """

    low: Bound = -inf
    high: Bound = inf
    open_low: bool = True
    open_high: bool = True
    integer: bool = False
    matrix_set: str = ""

    @classmethod
    def parse(cls, text: "str | Domain") -> "Domain":
        """Read "real", "positive", "integer", "(0, 1)", "[-1/2, oo)" or the name of a matrix set.

        Raises:
            UsageError: the text is none of these; the message lists the forms.

        >>> Domain.parse("(0, 1]").contains(1)
        True
        """
        if isinstance(text, Domain):
            return text
        if not isinstance(text, str):
            raise UsageError(
                f'a domain is text such as "positive", "(0, 1)" or "symmetric", not {text!r}'
            )
        name = text.strip().lower()
        if name in _NAMED:
            return cls(*_NAMED[name])
        if name in MATRIX_SETS:
            return cls(matrix_set=name)
        if name in ("integer", "natural", "positive integer"):
            low: Bound = {"integer": -inf, "natural": Fraction(0)}.get(name, Fraction(1))
            return cls(low=low, open_low=low == -inf, integer=True)
        match = _INTERVAL.match(text)
        if match is None:
            known = ", ".join((*_NAMED, "integer", *MATRIX_SETS))
            raise UsageError(
                f'{text[:60]!r} is no domain; write an interval such as "(0, 1]" or one of: {known}'
            )
        left, low_text, high_text, right = match.groups()
        low, high = _bound(low_text), _bound(high_text)
        if not low < high and not (low == high and (left, right) == ("[", "]")):
            raise UsageError(
                f"the interval {text.strip()} is empty; its first bound must be smaller"
            )
        return cls(low, high, left == "(", right == ")")

    def contains(self, value: Fraction | int | float) -> bool:
        """Whether `value` lies in the interval (exactly, for a float its binary value)."""
        if self.integer and value != int(value):
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    @property
    def is_real_line(self) -> bool:
        """Whether nothing is excluded."""
        return self == Domain()

    def __str__(self) -> str:
        if self.matrix_set:
            return self.matrix_set
        for name, bounds in _NAMED.items():
            if not self.integer and bounds == (self.low, self.high, self.open_low, self.open_high):
                return name
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        interval = f"{left}{_show(self.low)}, {_show(self.high)}{right}"
        return f"integers in {interval}" if self.integer else interval


Domains = Mapping[str, Domain]


def _bound(text: str) -> Bound:
    if text.lstrip("+-") in ("oo", "inf"):
        return -inf if text.startswith("-") else inf
    if not _NUMBER.match(text):
        raise UsageError(
            f"{text[:40]!r} is no bound; write a number, a fraction such as 1/2, or oo"
        )
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise UsageError(f"the bound {text} divides by zero") from None


def _show(bound: Bound) -> str:
    if bound in (inf, -inf):
        return "oo" if bound > 0 else "-oo"
    return str(bound)

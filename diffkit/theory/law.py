"""A formula of theory with the equations it follows from, each of which can be checked.

A line keeps its left side unevaluated (an integral, a limit, a derivative), so that the printed
derivation and the check are about the same thing: `Line.holds` lets SymPy evaluate it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import isfinite
from typing import Any

import sympy as sp

from diffkit.core.errors import DomainError, UsageError
from diffkit.symbolic.parse import parse

#: Digits a law is evaluated to; SymPy works with as many more as cancellation takes.
DIGITS = 20
_COMPARISON = re.compile(r"\s*(<=|>=|<|>)\s*")
_RELATIONS = {"<": sp.Lt, "<=": sp.Le, ">": sp.Gt, ">=": sp.Ge}


@dataclass(frozen=True)
class Line:
    """One equation of a derivation.

    Args:
        reason: Why one looks at it, a clause.
        left: The left side, not evaluated.
        right: What it is.
        shown: What is printed for a left side too long to read.
    """

    reason: str
    left: sp.Expr
    right: sp.Expr
    shown: sp.Expr | None = None

    def holds(self) -> bool:
        """Whether SymPy evaluates the left side to the right one.

        A line is small; this is no place for expressions of a network.
        """
        return sp.simplify(sp.gammasimp(self.left.doit() - self.right)) == 0

    def latex(self) -> str:
        """The equation as LaTeX."""
        return f"{sp.latex(self._printed)} = {sp.latex(self.right)}"

    def __str__(self) -> str:
        return f"{self.reason}: {self._printed} = {self.right}"

    @property
    def _printed(self) -> sp.Expr:
        return self.left if self.shown is None else self.shown


@dataclass(frozen=True)
class Law:
    """A closed form of theory.

    Args:
        name: What it is the value of, a clause.
        symbol: How it is called in a formula.
        formula: The closed form.
        where: Conditions on its symbols: comparisons such as "0 <= b < 1, a h < 2 (1 + b)", which
            `at` checks, or words ("n large"); "" where there is none.
        lines: The equations it follows from, in order.
        assumes: What it is about: distributions, independence.
        source: Where it was published.
    """

    name: str
    symbol: sp.Symbol
    formula: sp.Expr
    where: str = ""
    lines: tuple[Line, ...] = ()
    assumes: str = ""
    source: str = ""

    def at(self, **values: float) -> float:
        """The value at numbers.

        Raises:
            UsageError: a symbol has no value, a name is no symbol of the formula, or a value is no
                number.
            DomainError: a number is outside of what the law is about: negative or broken where its
                symbol is not, against a condition of `where`, at a pole.
        """
        symbols = {each.name: each for each in self.formula.free_symbols}
        if set(values) != set(symbols):
            raise UsageError(
                f"{self.name} is a formula in {', '.join(sorted(symbols))}, not in "
                f"{', '.join(sorted(values)) or 'nothing'}"
            )
        exact = {
            symbols[name]: self._number(symbols[name], value) for name, value in values.items()
        }
        shown = ", ".join(f"{name} = {value}" for name, value in values.items())
        for condition in conditions(self.where):
            asked = condition.subs({sp.Symbol(s.name): number for s, number in exact.items()})
            if asked == sp.false:
                raise DomainError(f"{self.name} holds for {self.where}, not at {shown}")
        value, again = (self.formula.evalf(digits, subs=exact) for digits in (DIGITS, 2 * DIGITS))
        if not (value.is_Float or value.is_Rational) or not isfinite(value):
            raise DomainError(f"{self.name} has no finite value at {shown}")
        if abs(value - again) > 1e-12 * abs(again):  # of 0 and of 0/0 it finds no digits
            again = self.formula.subs(exact)  # exactly
            if not again.is_finite:
                raise DomainError(f"{self.name} is 0/0 at {shown}")
        return float(again)

    def _number(self, symbol: sp.Symbol, value: Any) -> sp.Rational:
        """A value as the exact number it is, if its symbol may have it."""
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise UsageError(f"{symbol} = {value!r}; give a number")
        if not isfinite(float(value)):
            raise DomainError(f"{symbol} = {value}; give a finite number")
        if symbol.is_nonnegative and value < 0:
            raise DomainError(f"{self.name}: {symbol} = {value} is negative")
        if symbol.is_integer and not float(value).is_integer():
            raise DomainError(f"{self.name}: {symbol} = {value} is no whole number")
        return sp.Rational(float(value))

    def latex(self) -> str:
        """The formula as one LaTeX equation."""
        condition = rf" \quad ({self.where})" if self.where else ""
        return f"{sp.latex(self.symbol)} = {sp.latex(self.formula)}{condition}"

    def text(self) -> str:
        """The derivation for a terminal: assumptions, lines with their reasons, the formula."""
        head = [self.name + (f" ({self.where})" if self.where else "")]
        head += [f"  of {self.assumes}"] if self.assumes else []
        lines = [f"  {line}" for line in self.lines]
        return "\n".join([*head, *lines, f"  {self.symbol} = {self.formula}"])

    def to_dict(self) -> Mapping[str, Any]:
        """What a record keeps: the formula and its derivation as LaTeX."""
        return {
            "name": self.name,
            "latex": self.latex(),
            "lines": [{"reason": line.reason, "latex": line.latex()} for line in self.lines],
            "assumes": self.assumes,
            "source": self.source,
        }


@cache
def conditions(where: str) -> tuple[sp.Basic, ...]:
    """The comparisons of a condition, in symbols of no assumptions; words are left out.

    >>> conditions("0 <= b < 1, n large")
    (0 <= b, b < 1)
    """
    found = []
    for part in where.split(", "):
        first, *rest = _COMPARISON.split(part)
        terms = [_term(piece) for piece in (first, *rest[1::2])] if rest else []
        found += [
            _RELATIONS[sign](*sides) for sign, sides in zip(rest[::2], pairwise(terms), strict=True)
        ]
    return tuple(found)


def _term(text: str) -> sp.Expr:
    """A side of a comparison; a space between factors is a product."""
    spelt = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text.replace("^", "**"))
    expression = parse(spelt)
    return expression.subs({s: sp.Symbol(s.name) for s in expression.free_symbols})

"""A formula of theory with the equations it follows from, each of which can be checked.

A line keeps its left side unevaluated (an integral, a limit, a derivative), so that the printed
derivation and the check are about the same thing: `Line.holds` lets SymPy evaluate it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from diffkit.core.errors import UsageError


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
        where: Condition on its symbols, as text, "" where there is none.
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
        """The value at numbers, rational arithmetic where they are whole.

        Raises:
            UsageError: a symbol has no value, or a name is no symbol of the formula.
        """
        symbols = {each.name: each for each in self.formula.free_symbols}
        if set(values) != set(symbols):
            raise UsageError(
                f"{self.name} is a formula in {', '.join(sorted(symbols))}, not in "
                f"{', '.join(sorted(values)) or 'nothing'}"
            )
        exact = {symbols[name]: _exact(value) for name, value in values.items()}
        return float(self.formula.subs(exact))

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


def _exact(value: float) -> sp.Expr:
    return sp.Rational(value) if float(value).is_integer() else sp.Float(value, 20)

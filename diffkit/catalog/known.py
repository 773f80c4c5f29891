"""A derivative that textbooks agree on, as a row of data that the judge has to prove.

A row states both sides as text, so that it shares no code with the rules it tests.  Where people
mix conventions (the value at a kink, 1/2 sum against 1/N, eps inside or outside the root) each
one is a row of its own whose `variant` names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from diffkit.core.verdict import Verdict
from diffkit.verify.check import check
from diffkit.verify.question import Question, read

#: An argument of a counterpart: formula text, or texts of the entries of a vector.
Argument = str | tuple[str, ...]


@dataclass(frozen=True)
class Counterpart:
    r"""The same function in JAX or Optax: $f = c \cdot \mathrm{reduce}(g(a_1, a_2, \ldots))$.

    Args:
        name: Dotted name of $g$.
        arguments: What is passed by position, as formula text in the row's symbols.
        kwargs: Keyword arguments; a text is a formula in the row's symbols.
        reduction: "sum" or "mean" over what $g$ returns; "" where it returns a number.
        factor: $c$, -1 for a log-likelihood.
    """

    name: str
    arguments: tuple[Argument, ...]
    kwargs: Mapping[str, str | float | bool | None] = field(default_factory=dict)
    reduction: str = ""
    factor: float = 1.0


@dataclass(frozen=True)
class KnownClaim:
    r"""A formula $f$ and what is known to be $\partial f/\partial x$.

    Args:
        name: Unique among all rows.
        formula: $f$ as formula text.
        derivative: $\partial f/\partial x$ as formula text, written down independently of the
            rules of differentiation.
        wrt: The variable $x$.
        domain: Name -> text of a `Domain`; the reals where a name is missing.
        jax: The counterpart in JAX or Optax, None where there is none.
        source: Where the formula is found.
        variant: The convention chosen where people mix several, "" if there is one only.
        conventions: Name -> value at a kink, for example {"relu0": 1}.
        supported_because: Why the row is only supported, "" for a row that is proved.
    """

    name: str
    formula: str
    derivative: str
    wrt: str = "x"
    domain: Mapping[str, str] = field(default_factory=dict)
    jax: Counterpart | None = None
    source: str = ""
    variant: str = ""
    conventions: Mapping[str, float] = field(default_factory=dict)
    supported_because: str = ""

    def __str__(self) -> str:
        return self.name

    def question(self) -> Question:
        """The row as the judge reads it."""
        return read(
            self.formula,
            self.derivative,
            wrt=self.wrt,
            domain=dict(self.domain),
            conventions=dict(self.conventions),
        )

    def judge(self) -> Verdict:
        """What the engine says of the row.

        >>> KnownClaim("square", "x**2", "2*x").judge().status
        'proved'
        """
        return check(
            self.formula,
            self.derivative,
            wrt=self.wrt,
            domain=dict(self.domain),
            conventions=dict(self.conventions),
        )

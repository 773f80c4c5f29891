"""Claims and repairs as formulas, where their text can be read as one; else as the text it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from diffkit.bridge.derive import Derivation
from diffkit.bridge.formula import Formula
from diffkit.core.claim import Claim
from diffkit.core.errors import DiffkitError
from diffkit.symbolic.layout import layout
from diffkit.symbolic.parse import parse
from diffkit.typeset import Apply, Derivative, Name, Node, Operator, Relation
from diffkit.verify.report.writing import math

#: Longer text is shown as it was written.
MOST_CHARACTERS = 400
#: A function of more arguments is shown without them.
MOST_ARGUMENTS = 6
#: A headline formula is at most this much markup.
MOST_MARKUP = 6000


@dataclass(frozen=True)
class Head:
    """What a claim is about.

    Args:
        body: The formula, or the call of the function with its arguments.
        is_partial: Whether there are several variables.
    """

    body: Node
    is_partial: bool

    def left(self, claim: Claim) -> Node | None:
        """The left side of a claim: a derivative, or the value."""
        if claim.kind in ("value", "function") or not claim.wrt:
            return self.body
        if claim.kind not in ("gradient", "jacobian"):
            return None
        variables = ((Name(claim.wrt), claim.order),)
        return Derivative(self.body, variables, partial=self.is_partial)


def head_of_function(name: str, arguments: Sequence[str]) -> Head:
    """A function by its name; one without a usable name is called f."""
    shown = name if name.isidentifier() else "f"
    function = Name(shown) if len(shown) == 1 else Operator(shown)
    if len(arguments) > MOST_ARGUMENTS:
        return Head(function, True)
    return Head(Apply(function, tuple(map(Name, arguments))), len(arguments) > 1)


def head_of_text(text: str, variables: int) -> Head | None:
    """A formula given as text, or None."""
    body = formula(text)
    return None if body is None else Head(body, variables > 1)


def statement(claim: Claim, head: Head | None) -> str:
    """The claim as MathML, "" when a side is no formula of numbers."""
    right = formula(claim.claimed) if claim.verb == "check" else None
    return _equation(claim, head, right)


def derived(claim: Claim, head: Head | None, derivation: Derivation) -> str:
    """The derivative of the target as MathML, "" when it is too long for a headline."""
    form = derivation.formula
    if not isinstance(form, Formula) or not form.is_scalar:
        return ""
    shown = _equation(claim, head, layout(form.sympy()))
    return shown if len(shown) <= MOST_MARKUP else ""


def repaired(claim: Claim, head: Head | None, repair: str) -> str:
    """The repaired claim as MathML, "" when it is no formula of numbers."""
    # a repair of a relation or of an array claim is text with signs the grammar does not know
    return _equation(claim, head, formula(repair.rpartition(" = ")[2]))


def _equation(claim: Claim, head: Head | None, right: Node | None) -> str:
    left = head.left(claim) if head is not None else None
    return "" if left is None or right is None else math(Relation((left, right), ("=",)))


def formula(text: str) -> Node | None:
    """The layout of formula text, or None."""
    if not text.strip() or len(text) > MOST_CHARACTERS:
        return None
    try:
        return layout(parse(text))
    except (DiffkitError, RecursionError):
        return None

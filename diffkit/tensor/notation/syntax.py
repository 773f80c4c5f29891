"""What the readers of array formulas share: tokens, trees, limits and a cursor over tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NoReturn, TypeVar

import sympy as sp

from diffkit.core.errors import ParseError, UnknownNameError
from diffkit.core.suggestions import did_you_mean
from diffkit.symbolic.tokens import MAX_LENGTH, visible

#: Brackets, signs and powers inside each other, and parts of one formula.
MAX_DEPTH, MAX_PARTS = 50, 2000
#: Letters that stand for the length of an axis where no input has their name.
SIZE_NAMES = frozenset("nmdNK")

#: What reading returns.
Read = TypeVar("Read")

#: Relations of both notations.
RELATIONS: Mapping[str, Callable[..., sp.Basic]] = {
    "<": sp.Lt,
    "<=": sp.Le,
    ">": sp.Gt,
    ">=": sp.Ge,
    "==": sp.Eq,
    "!=": sp.Ne,
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text with a meaning.

    Args:
        kind: What it is.
        text: Its spelling, normalised.
        position: Offset in the text.
        value: The exact value of a number.
        end: Offset after it.
    """

    kind: str
    text: str
    position: int
    value: Fraction = Fraction(0)
    end: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """A node of the tree of a formula.

    Args:
        kind: What it is; the readers' grammars list their kinds.
        position: Offset in the text, for errors.
        name: A name, the function called, or the kind of a bracket.
        args: The operands; None where an optional one is missing.
        operators: The operators between operands, or marks on one.
        value: The exact value of a number.
        keywords: Arguments by name.
        extra: What else the grammar read, such as the tokens of a subscript.
    """

    kind: str
    position: int
    name: str = ""
    args: tuple[Any, ...] = ()
    operators: tuple[str, ...] = ()
    value: Fraction = Fraction(0)
    keywords: tuple[tuple[str, Any], ...] = ()
    extra: tuple[Any, ...] = ()


@dataclass
class Cursor:
    """A place among the tokens of a text.

    Args:
        text: The text.
        tokens: Its tokens; the last has kind "end".
    """

    text: str
    tokens: Sequence[Token]
    index: int = field(default=0)
    depth: int = field(default=0)
    parts: int = field(default=0)

    @property
    def current(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.index]

    @property
    def following(self) -> Token:
        """The token after the next."""
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Step over a token."""
        token = self.tokens[self.index]
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def error(self, reason: str, token: Token) -> ParseError:
        """The error that refuses the text at a token."""
        return ParseError(reason, visible(self.text), token.position)

    def fail(self, reason: str, token: Token) -> NoReturn:
        """Refuse the text at a token."""
        raise self.error(reason, token)

    def at(self, *symbols: str) -> bool:
        """Whether one of these symbols comes next."""
        return self.current.kind == "symbol" and self.current.text in symbols

    def takes(self, *symbols: str) -> bool:
        """Step over one of these symbols if it comes next."""
        if self.at(*symbols):
            self.advance()
            return True
        return False

    def enter(self) -> None:
        """Go one level deeper."""
        self.depth += 1
        self.parts += 1
        if self.depth > MAX_DEPTH:
            self.fail(
                f"more than {MAX_DEPTH} levels are nested; name a part and use its name",
                self.current,
            )
        if self.parts > MAX_PARTS:
            self.fail(f"a formula has at most {MAX_PARTS} parts; name some of them", self.current)

    def leave(self) -> None:
        """Come back up."""
        self.depth -= 1

    def expect(self, closing: str, opening: Token) -> None:
        """Step over a closing bracket."""
        if self.takes(closing):
            return
        if self.current.kind == "end":
            opened, closed = (("\\" * text.isalpha()) + text for text in (opening.text, closing))
            self.fail(f"this {opened} is never closed; write {closed} at its end", opening)
        self.fail(
            f"{self.current.text!r} cannot stand here; close {opening.text} with {closing} or "
            "write an operator",
            self.current,
        )


def not_too_deep(text: str, compute: Callable[[], Read]) -> Read:
    """What `compute` returns; a formula too deep for Python's stack is refused.

    Raises:
        ParseError: products of hundreds of factors inside each other.
    """
    try:
        return compute()
    except RecursionError:
        reason = "too many factors or levels are nested; name a part and use its name"
        raise ParseError(reason, visible(text), 0) from None


def check_length(text: object) -> str:
    """The text, if it is one of bearable length.

    Raises:
        ParseError: it is no text, or too much.
    """
    if not isinstance(text, str):
        raise ParseError(f"a formula is text, not {type(text).__name__}", repr(text)[:60], 0)
    if len(text) > MAX_LENGTH:
        raise ParseError(
            f"the text has {len(text)} characters; a formula has at most {MAX_LENGTH}: split it",
            visible(text[: MAX_LENGTH + 1]),
            MAX_LENGTH,
        )
    return text


def unknown_name(
    name: str, known: Sequence[str], text: str, position: int, remedy: str = ""
) -> UnknownNameError:
    """The error for a name that stands for nothing."""
    hint = did_you_mean(name, known)
    listed = ", ".join(sorted(known)) or "none"
    reason = f"no array is called {name!r}; {hint}known names: {listed}"
    if remedy:
        reason += f"; {remedy}"
    return UnknownNameError(str(ParseError(reason, visible(text), position)))

r"""A cursor over LaTeX tokens: the arguments of commands and scripts, and what cannot follow."""

from dataclasses import dataclass, replace
from typing import NoReturn

from diffkit.tensor.notation.syntax import Cursor, Token


@dataclass
class LatexCursor(Cursor):
    """A place among the tokens of a LaTeX formula."""

    def split_number(self) -> None:
        """Let the next token be one digit of a longer number."""
        token = self.current
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            first = replace(token, text=token.text[0], value=type(token.value)(int(token.text[0])))
            rest = replace(
                token,
                text=token.text[1:],
                position=token.position + 1,
                value=type(token.value)(int(token.text[1:])),
            )
            self.tokens = [*self.tokens[: self.index], first, rest, *self.tokens[self.index + 1 :]]

    def raw_argument(self) -> tuple[Token, ...]:
        """The tokens of a group in braces, or one token."""
        opening = self.current
        if not self.takes("{"):
            self.split_number()
            if self.current.kind == "end":
                self.fail("a script is missing here", self.current)
            return (self.advance(),)
        found: list[Token] = []
        depth = 0
        while depth or not self.at("}"):
            token = self.advance()
            if token.kind == "end":
                self.fail("this { is never closed; write } at its end", opening)
            depth += (token.text == "{") - (token.text == "}")
            found.append(token)
        self.advance()
        return tuple(found)

    def refuse(self) -> NoReturn:
        """Say why the next token cannot follow a value."""
        token = self.current
        if token.text in (")", "]", "}", "\\}", "rvert", "rVert", "rangle"):
            self.fail(f"this {token.text} closes nothing; delete it or open it", token)
        if token.text == ",":
            self.fail("a comma separates definitions or arguments; delete it", token)
        if token.text in ("&", "\\\\"):
            self.fail("rows and columns only stand in a matrix; one formula at a time", token)
        if token.text == "!":
            self.fail("a factorial is not read", token)
        self.fail(f"{token.text!r} cannot stand here; delete it", token)

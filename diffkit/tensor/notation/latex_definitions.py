r"""Definitions beside a LaTeX formula: "..., where R = XW - Y" and "..., Ax = b".

A definition names an array, or its entries (p_i = ...), or solves a linear system for the last
factor of its left side.  It is read when its name is first met, so their order does not matter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffkit.core.errors import ParseError
from diffkit.symbolic.tokens import visible
from diffkit.tensor.notation.latex_grammar import parse
from diffkit.tensor.notation.latex_indices import index_letters
from diffkit.tensor.notation.latex_names import accented, candidates, first_known, spelled
from diffkit.tensor.notation.syntax import Token, Tree

#: Kinds of trees that may be one name.
_NAMED = frozenset("symbol accent subscript marks label".split())


@dataclass(frozen=True)
class Definition:
    """An equation that says what a name stands for.

    Args:
        left: Its left side.
        right: Tokens of its right side.
        letters: Index letters of the left side, when it defines entries.
        factors: Factors before the unknown, when it is a linear system.
    """

    left: Tree
    right: Sequence[Token]
    letters: tuple[str, ...] = ()
    factors: tuple[Tree, ...] = ()


def spellings(tree: Tree) -> tuple[str, ...]:
    r"""The names of Python that a tree may be, () if it is no name.

    \hat y is y_hat, W_1 is W_1 or W1, z^\ast is z_star, x^{(1)} is x_1.
    """
    if tree.kind == "symbol":
        return (tree.name,)
    if tree.kind not in _NAMED:
        return ()
    bases = spellings(tree.args[0])
    if tree.kind == "accent":
        return tuple(name for base in bases for name in accented(tree.name, base))
    if tree.kind in ("subscript", "label"):
        suffix = "".join(spelled(t) for t in tree.extra if t.text not in (",", "{", "}"))
        if not suffix.replace("_", "").isalnum():
            return ()
        return tuple(name for base in bases for name in (f"{base}_{suffix}", f"{base}{suffix}"))
    if tree.operators == ("star",):
        return tuple(f"{base}{end}" for base in bases for end in ("_star", "_ast", "star"))
    if tree.operators == ("prime",):
        return tuple(f"{base}{end}" for base in bases for end in ("_prime", "prime"))
    return ()


def lookup(tree: Tree, known: Mapping[str, Any]) -> str | None:
    """The known name that a tree spells, if any."""
    return first_known((name for base in spellings(tree) for name in candidates(base)), known)


def read_definitions(
    text: str, pieces: Sequence[Sequence[Sequence[Token]]], names: Mapping[str, Any]
) -> dict[str, Definition]:
    """The definitions by the first spelling of their names.

    Raises:
        ParseError: a piece is no definition, or defines a name twice or an input.
    """
    found: dict[str, Definition] = {}
    for piece in _without_ranges(pieces):
        definition = _definition(text, piece, names)
        name = spellings(definition.left)[0]
        if lookup(definition.left, names) or name in found:
            what = "an input" if name not in found else "defined twice"
            _refuse(f"{name} is {what}; define a new name", text, definition.left.position)
        found[name] = definition
    return found


def _without_ranges(
    pieces: Sequence[Sequence[Sequence[Token]]],
) -> list[Sequence[Sequence[Token]]]:
    """Pieces without "i = 1, ..., n", which says nothing that the axes do not."""
    gone: set[int] = set()
    for k, piece in enumerate(pieces):
        if len(piece) == 1 and piece[0][0].text in ("dots", "ldots", "cdots"):
            gone |= {k - 1, k, k + 1}
    return [piece for k, piece in enumerate(pieces) if k not in gone]


def _refuse(reason: str, text: str, position: int) -> None:
    raise ParseError(reason, visible(text), position)


def _definition(
    text: str, piece: Sequence[Sequence[Token]], names: Mapping[str, Any]
) -> Definition:
    if len(piece) != 2:
        reason = "a definition is one equation: \\text{where } R = XW - Y"
        _refuse(reason, text, piece[0][0].position)
    left, right = parse(text, piece[0], names), piece[1]
    if left.kind == "juxtapose":
        *factors, unknown = left.args
        if spellings(unknown) and not lookup(unknown, names):
            return Definition(unknown, right, factors=tuple(factors))
    if not spellings(left):
        _refuse("a definition has a name on its left: R = XW - Y", text, left.position)
    letters = index_letters(left.extra) if left.kind in ("subscript", "label") else ()
    if letters and _indexes(right, letters):
        return Definition(left.args[0], right, letters=letters)
    return Definition(left, right)


def _indexes(tokens: Sequence[Token], letters: Sequence[str]) -> bool:
    """Whether each letter stands in a subscript."""
    inside: set[str] = set()
    depth = 0
    for place, token in enumerate(tokens):
        opened = place and tokens[place - 1].text in ("_", "^")
        if token.text == "{" and token.kind == "symbol":
            depth = 1 if opened else depth and depth + 1
        elif token.text == "}":
            depth = max(depth - 1, 0)
        elif depth or opened:
            inside.add(token.text)
    return set(letters) <= inside


def within(letters: Any, declared: tuple[str, ...], compute: Callable[[], Any]) -> Any:
    """What `compute` returns while only the letters of a definition are declared."""
    before = letters.declared, letters.free, letters.bound
    letters.declared, letters.free, letters.bound = declared, {}, {}
    try:
        return compute()
    finally:
        letters.declared, letters.free, letters.bound = before

r"""Scripts of LaTeX formulas: which raised signs are operations, and in which order scripts act."""

from collections.abc import Sequence
from dataclasses import replace

from diffkit.core.errors import ParseError
from diffkit.tensor.notation.syntax import Token, Tree

#: Raised signs that are operations on arrays or parts of a name.
_MARKS = {
    "top": "T",
    "T": "T",
    "+": "pinv",
    "dagger": "pinv",
    "dag": "pinv",
    "ast": "star",
    "times": "star",
    "'": "prime",
}
#: What two signs together mean.
_NEGATED = {"T": ("inv", "T"), "top": ("inv", "T"), "1": ("inv",)}


def marks_of(tokens: Sequence[Token]) -> tuple[str, ...]:
    r"""The operations that a superscript names, () if it is something else.

    >>> from diffkit.tensor.notation.latex_tokens import tokenise
    >>> marks_of(tokenise(r"-\top")[:-1]), marks_of(tokenise("-2")[:-1])
    (('inv', 'T'), ())
    """
    found: list[str] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.text == "-" and place + 1 < len(tokens):
            negated = _NEGATED.get(tokens[place + 1].text)
            if negated is None:
                return ()
            found += negated
            place += 2
            continue
        if token.text not in _MARKS or token.kind not in ("symbol", "command", "letter", "word"):
            return ()
        found.append(_MARKS[token.text])
        place += 1
    return tuple(found)


def label_of(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The token of a label such as (i) or [2], () if it is something else."""
    if len(tokens) != 3:
        return ()
    opening, inner, closing = tokens
    if (opening.text, closing.text) not in (("(", ")"), ("[", "]")):
        return ()
    if inner.kind not in ("letter", "number", "command", "word"):
        return ()
    return (inner,)


class Scripts:
    """The scripts of one operand while they are read.

    A subscript acts before what is raised, except that inverses and transpositions written first
    act first: X^{-1}_{ij} is an entry of the inverse.
    """

    def __init__(self, base: Tree) -> None:
        self.base = base
        self.before: list[Tree] = []
        self.subscript: Tree | None = None
        self.after: list[Tree] = []

    @property
    def has_subscript(self) -> bool:
        """Whether there is a subscript already."""
        return self.subscript is not None

    @property
    def is_raised(self) -> bool:
        """Whether a power is there already, on which TeX puts no second superscript."""
        return bool(self.after) and self.after[-1].kind in ("power", "entry_power")

    def lower_by(self, position: int, tokens: Sequence[Token]) -> None:
        """Add a subscript."""
        self.subscript = Tree("subscript", position, extra=tuple(tokens))
        operations = [tree for tree in self.after if tree.kind == "marks"]
        self.before += operations
        self.after = [tree for tree in self.after if tree.kind != "marks"]

    def raise_by(self, tree: Tree) -> None:
        """Add a superscript."""
        self.after.append(tree)

    def tree(self) -> Tree:
        """The operand with its scripts."""
        result = self.base
        names = [tree for tree in self.after if tree.kind == "label" or _is_name(tree)]
        scripts = [*self.before, *([self.subscript] if self.subscript else [])]
        scripts = [*names, *scripts] if not self.before else [*scripts, *names]
        for script in (*scripts, *(tree for tree in self.after if tree not in names)):
            result = replace(script, args=(result, *script.args))
        return result


def _is_name(tree: Tree) -> bool:
    """Whether a superscript may be part of a name: z^*, x'."""
    return tree.kind == "marks" and tree.operators[0] in ("star", "prime")


def entries_of(tokens: Sequence[Token], text: str) -> list[str | int | None]:
    r"""The index letters, entries (counted from 1) and whole axes that a subscript names.

    "ij" and "i,j" are two letters, "12" two entries, ":" and "\cdot" a whole axis.

    Raises:
        ParseError: the subscript is no list of indices.
    """
    found: list[str | int | None] = []
    texts = [token.text for token in tokens]
    is_slice = ":" in texts and any(t.kind == "number" for t in tokens) and "," not in texts
    for token in tokens:
        if is_slice and token.text == ":":
            raise ParseError("slices are read in text, as x[0:2]", text, token.position)
        if token.text == "," or token.text in ("(", ")", "{", "}"):
            continue
        if token.kind == "letter" or (token.kind == "command" and token.text.isalpha()):
            found.append(token.text)
        elif token.kind == "number" and token.text.isdigit():
            has_comma = any(other.text == "," for other in tokens)
            digits = [token.text] if has_comma or len(tokens) > 1 else list(token.text)
            found += map(int, digits)
        elif token.text in (":", "cdot", "bullet"):
            found.append(None)
        else:
            raise ParseError(
                "an index is a letter or a number, such as x_i, X_{ij} or X_{1,2}; shifted "
                "indices are not read",
                text,
                token.position,
            )
    return found

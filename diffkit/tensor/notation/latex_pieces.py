"""A LaTeX text cut into its formula and the definitions beside it."""

from collections.abc import Sequence

from diffkit.core.errors import ParseError
from diffkit.symbolic.tokens import visible
from diffkit.tensor.notation.syntax import Token

_DEPTHS = {"{": 1, "(": 1, "[": 1, "\\{": 1, "langle": 1, "lvert": 1, "lVert": 1}
_DEPTHS |= {"}": -1, ")": -1, "]": -1, "\\}": -1, "rangle": -1, "rvert": -1, "rVert": -1}


def split_pieces(text: str, tokens: Sequence[Token]) -> list[list[list[Token]]]:
    """The formula and its definitions, each as the sides of its equation.

    Commas, semicolons and the words where and with separate them outside brackets; a point at
    the end is left out.

    Raises:
        ParseError: a bracket is not closed, or nothing stands between two separators.
    """
    depth = 0
    pieces: list[list[list[Token]]] = [[[]]]
    *body, end = tokens
    while body and body[-1].text in (".", ",", ";") and body[-1].kind == "symbol":
        body.pop()
    for token in body:
        depth += _DEPTHS.get(token.text, 0) if token.kind == "symbol" else 0
        depth += {"begin": 1, "finish": -1}.get(token.kind, 0)
        is_word = token.kind == "word" and token.text in ("where", "with", "and", "for")
        if depth <= 0 and (is_word or (token.kind == "symbol" and token.text in (",", ";"))):
            if pieces[-1] != [[]]:
                pieces.append([[]])
        elif depth <= 0 and token.kind == "symbol" and token.text == "=":
            pieces[-1].append([])
        else:
            pieces[-1][-1].append(token)
    if pieces[-1] == [[]] and len(pieces) > 1:
        pieces.pop()
    for piece in pieces:
        for side in piece:
            stop = side[-1].end if side else end.position
            if len(piece) > 1 and not side:
                raise ParseError("one side of this equation is empty", visible(text), stop)
            side.append(Token("end", "", stop, end=stop))
    return pieces

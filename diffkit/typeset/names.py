r"""What the spelling of a name says: `w_1`, `theta1`, `W^{(l)}_{ij}`, `y_hat`, `sigma_w`.

Only names of this form are taken apart.  Everything else (`learning_rate`, `<script>`, `a b`)
is one opaque word, which every emitter quotes and escapes as a whole.
"""

import re
import unicodedata
from functools import lru_cache

from diffkit.typeset.marks import ACCENTS, GREEK, MARKS
from diffkit.typeset.tree import (
    Accent,
    Fence,
    Glyph,
    Mark,
    Name,
    Node,
    Number,
    Prime,
    Row,
    Subscript,
    Superscript,
    Text,
)

_SCRIPT = r"[_^](?:\{[^{}]*\}|\([^()]*\)|[^\W_]+|\*)"
_COMPOSITE = re.compile(
    rf"_*(?P<base>[^\W\d_]+)(?P<digits>\d*)(?P<scripts>(?:{_SCRIPT})*)(?P<primes>'*)"
)
_SCRIPTS = re.compile(_SCRIPT)
_TOKENS = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|\s+|.")
_WORDS = frozenset(
    (
        *("in", "out", "max", "min", "lr", "opt", "old", "new", "avg"),
        *("std", "var", "val", "reg", "eff", "tot"),
    )
)
_MARKS_IN_SCRIPTS = {**{sign: sign for sign in MARKS}, "−": "-"}


def clean(text: str) -> str:
    """`text` without control and format characters, which no document should carry."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char)[0] == "C" else char
        for char in text
    )


def is_word(text: str) -> bool:
    """Whether `text` is letters, digits and underscores, not beginning with a digit."""
    return text.isidentifier()


def is_wordy(node: Node) -> bool:
    """Whether `node` is written with a word of several letters, which needs room on both sides."""
    while isinstance(node, Subscript | Superscript):
        node = node.base
    if not isinstance(node, Name):
        return False
    match = _COMPOSITE.fullmatch(node.text)
    return match is None or (len(match["base"]) > 1 and match["base"] not in GREEK)


@lru_cache(maxsize=4096)
def expand(name: str) -> Node | None:
    """The layout a composite name spells, or None when the name is one letter or one word.

    >>> expand("w_1")
    Subscript(base=Name(text='w'), index=Number(text='1'))
    >>> expand("loss") is None
    True
    """
    match = _COMPOSITE.fullmatch(name)
    if match is None or match["base"] == name:
        return None
    scripts = _SCRIPTS.findall(match["scripts"])
    if _is_snake_case(match["base"], scripts):
        return None
    accents = [text[1:] for text in scripts if text[0] == "_" and text[1:] in ACCENTS]
    lower = [text for text in scripts if text[0] == "_" and text[1:] not in ACCENTS]
    upper = [text[1:] for text in scripts if text[0] == "^"]
    return _assemble(
        match["base"],
        accents,
        ([match["digits"]] if match["digits"] else []) + [text[1:] for text in lower],
        upper,
        len(match["primes"]),
    )


def _assemble(
    base: str, accents: list[str], lower: list[str], upper: list[str], primes: int
) -> Node:
    node: Node = Name(base)
    for kind in accents:
        node = Accent(node, kind)
    if lower:
        node = Subscript(node, _listed(lower))
    if upper:
        node = Superscript(node, _listed(upper))
    return Prime(node, primes) if primes else node


def _is_snake_case(base: str, scripts: list[str]) -> bool:
    """`learning_rate` is one word with an underscore; `loss_t` and `sigma_max` have an index."""
    if base in GREEK or len(base) < 3:
        return False
    return any(
        len(script) > 2 and script[1:].isalpha() and script[1:] not in ACCENTS for script in scripts
    )


def _listed(scripts: list[str]) -> Node:
    items: list[Node] = []
    for script in scripts:
        if items:
            items.append(Mark(","))
        items.append(_script(script))
    return items[0] if len(items) == 1 else Row(tuple(items))


def _script(text: str) -> Node:
    inner = text[1:-1] if text[0] in "{(" else text
    if text[0] == "(" or (inner[:1] == "(" and inner[-1:] == ")" and inner.count("(") == 1):
        return Fence(_content(inner.strip("()")))
    return _content(inner)


def _content(text: str) -> Node:
    items = [item for token in _TOKENS.findall(text) for item in _token(token)]
    return items[0] if len(items) == 1 else Row(tuple(items))


def _token(token: str) -> list[Node]:
    if token.isspace():
        return []
    if token == "*":
        return [Glyph("star")]
    if token in _MARKS_IN_SCRIPTS:
        return [Mark(_MARKS_IN_SCRIPTS[token])]
    if token[0].isascii() and token[0].isdigit():
        return [Number(token)]
    if not token.isalpha():
        return [Text(token)]
    if token in GREEK or len(token) == 1:
        return [Name(token)]
    is_index = token not in _WORDS and (len(token) == 2 or set(token) <= set("ijklmn"))
    return [Name(letter) for letter in token] if is_index else [Text(token)]

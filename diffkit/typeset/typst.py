"""Typst mathematics, without dollar signs.

A word of several letters is a variable or a call in Typst, so names are quoted strings; what
a user typed reaches the document only inside such a string.
"""

from typing import Any

from diffkit.typeset.fold import Emitted, Rules, fold
from diffkit.typeset.marks import ACCENTS, DELIMITERS, GLYPHS, GREEK, INFIX, MARKS
from diffkit.typeset.names import clean, is_wordy
from diffkit.typeset.numbers import scientific
from diffkit.typeset.tree import (
    Accent,
    Apply,
    Big,
    Cases,
    Commas,
    Derivative,
    Fence,
    Fraction,
    Glyph,
    Integral,
    Level,
    Logic,
    Mark,
    Matrix,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Operator,
    Plus,
    Prefix,
    Prime,
    Relation,
    Root,
    Row,
    Subscript,
    Superscript,
    Text,
    Times,
    Transpose,
    applied_level,
    begins_with_number,
)

_FUNCTIONS = frozenset(
    (
        *("sin", "cos", "tan", "sec", "csc", "cot", "arcsin", "arccos", "arctan"),
        *("sinh", "cosh", "tanh", "coth", "exp", "log", "ln", "max", "min", "sup", "inf", "lim"),
        *("arg", "deg", "det", "dim", "gcd", "ker", "Pr", "tr"),
    )
)
_BIG = {"sum": "sum", "prod": "product"}
_PAIRS = {"()": "({})", "[]": "[{}]", "{}": "{{{}}}", "||": "abs({})", "‖‖": "norm({})"}


def emit(node: Node) -> str:
    """Return `node` as Typst for math mode.

    >>> from diffkit.typeset.tree import Fraction, Name
    >>> emit(Fraction(Name("loss"), Name("sigma_w")))
    'frac("loss", sigma_w)'
    """
    return fold(node, _RULES).text


def _wrap(part: Emitted, level: Level) -> str:
    return part.text if part.level >= level else f"({part.text})"


def _quoted(text: str) -> str:
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _name(node: Name, parts: Any) -> Emitted:
    if parts:
        return parts[0]
    text = node.text
    if text in GREEK:
        return Emitted(GREEK[text].typst)
    is_letter = len(text) == 1 and text.isascii() and text.isalpha()
    return Emitted(text if is_letter else _quoted(text))


def _operator(node: Operator, parts: Any) -> Emitted:
    return Emitted(node.text if node.text in _FUNCTIONS else f"op({_quoted(node.text)})")


def _number(node: Number, parts: Any) -> Emitted:
    mantissa, exponent = scientific(node.text)
    if not exponent:
        return Emitted(mantissa)
    if mantissa == "1":
        return Emitted(f"10^({exponent})", Level.POWER)
    return Emitted(f"{mantissa} dot.op 10^({exponent})", Level.PRODUCT)


def _row(node: Row, parts: Any) -> Emitted:
    level = Level.ATOM if len(parts) == 1 else Level.LIST
    return Emitted(" ".join(part.text for part in parts), level)


def _plus(node: Plus, parts: Any) -> Emitted:
    pieces = []
    for index, (term, part) in enumerate(zip(node.terms, parts, strict=True)):
        if isinstance(term, Negative):
            pieces.append(" - " if index else "-")
        elif index:
            pieces.append(" + ")
        pieces.append(_wrap(part, Level.BIG))
    return Emitted("".join(pieces), Level.SUM)


def _times(node: Times, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.PRODUCT)]
    is_open = parts[-1].level == Level.BIG
    for index in range(1, len(parts)):
        is_tail = is_open and index == len(parts) - 1
        part = parts[index]
        pieces.append(_separator(node, index, part.level < Level.FRACTION and not is_tail))
        pieces.append(part.text if is_tail else _wrap(part, Level.FRACTION))
    return Emitted("".join(pieces), Level.BIG if is_open else Level.PRODUCT)


def _separator(node: Times, index: int, is_bracketed: bool) -> str:
    left, right = node.factors[index - 1], node.factors[index]
    if node.sign not in ("", "matrix"):
        return f" {INFIX[node.sign].typst} "
    if begins_with_number(right):
        return " dot.op "
    # A thin space tells the factor x in `x (1 - x)` from a function x.
    is_name_before_bracket = is_bracketed and isinstance(left, Name) and not node.sign
    return " thin " if is_name_before_bracket or is_wordy(left) or is_wordy(right) else " "


def _fraction(node: Fraction, parts: Any) -> Emitted:
    above, below = parts
    if node.inline:
        text = f"{_wrap(above, Level.POWER)} slash {_wrap(below, Level.POWER)}"
        return Emitted(text, Level.PRODUCT)
    return Emitted(f"frac({above.text}, {below.text})", Level.FRACTION)


def _script(part: Emitted) -> str:
    is_bare = len(part.text) == 1 and part.text.isalnum()
    return part.text if is_bare else f"({part.text})"


def _superscript(node: Superscript, parts: Any) -> Emitted:
    base, exponent = parts
    return Emitted(f"{_wrap(base, Level.ATOM)}^{_script(exponent)}", Level.POWER)


def _subscript(node: Subscript, parts: Any) -> Emitted:
    base, index = parts
    text = _wrap(base, Level.ATOM)
    if "_" in text:  # a second subscript would attach to the first one
        text = f'class("normal", {text})'
    return Emitted(f"{text}_{_script(index)}")


def _prime(node: Prime, parts: Any) -> Emitted:
    mark = "'" * node.order if node.order <= 3 else f"^(({node.order}))"
    return Emitted(_wrap(parts[0], Level.ATOM) + mark, Level.POWER)


def _root(node: Root, parts: Any) -> Emitted:
    radicand, index = parts
    if index is None:
        return Emitted(f"sqrt({radicand.text})")
    return Emitted(f"root({index.text}, {radicand.text})")


def _fence(node: Fence, parts: Any) -> Emitted:
    pattern = _PAIRS.get(node.left + node.right)
    if pattern is not None:
        return Emitted(pattern.format(parts[0].text))
    left, right = DELIMITERS[node.left].typst, DELIMITERS[node.right].typst
    return Emitted(f"lr({left} {parts[0].text} {right})")


def _commas(node: Commas, parts: Any) -> Emitted:
    return Emitted(" comma ".join(part.text for part in parts), Level.LIST)


def _apply(node: Apply, parts: Any) -> Emitted:
    inside = ", ".join(_wrap(part, Level.LOGIC) for part in parts[1:])
    closing = ")" if node.bracket == "(" else "]"
    text = f"{_wrap(parts[0], Level.POWER)} {node.bracket}{inside}{closing}"
    return Emitted(text, applied_level(node))


def _limits(lower: Emitted | None, upper: Emitted | None) -> str:
    below = "" if lower is None else f"_{_script(lower)}"
    return below if upper is None else f"{below}^{_script(upper)}"


def _big(node: Big, parts: Any) -> Emitted:
    body, lower, upper = parts
    sign = _BIG.get(node.operator)
    if sign is None:
        is_known = node.operator in _FUNCTIONS
        sign = node.operator if is_known else f"op({_quoted(node.operator)}, limits: #true)"
    space = " " if node.operator in _BIG else " thin "
    text = f"{sign}{_limits(lower, upper)}{space}{_wrap(body, Level.BIG)}"
    return Emitted(text, Level.BIG)


def _integral(node: Integral, parts: Any) -> Emitted:
    body, variable, lower, upper = parts
    inside = _wrap(body, Level.BIG)
    return Emitted(f"integral{_limits(lower, upper)} {inside} thin dif {variable.text}", Level.BIG)


def _derivative(node: Derivative, parts: Any) -> Emitted:
    body, *names = parts
    sign = "partial" if node.partial else "dif"
    orders = [order for _, order in node.variables]
    below = " ".join(
        f"{sign} {_wrap(name, Level.ATOM)}{_order(order)}"
        for name, order in zip(names, orders, strict=True)
    )
    inside = body.text if isinstance(node.body, Apply | Name) else f"({body.text})"
    return Emitted(f"frac({sign}{_order(sum(orders))}, {below}) {inside}", Level.BIG)


def _order(order: int) -> str:
    return f"^{order}" if order > 1 else ""


def _cases(node: Cases, parts: Any) -> Emitted:
    lines = []
    for (_, condition), value, text in zip(node.rows, parts[::2], parts[1::2], strict=True):
        link = "" if isinstance(condition, Text) else '"if" '
        lines.append(f"{value.text} & {link}{text.text}")
    return Emitted(f"cases({', '.join(lines)})", Level.RELATION)


def _matrix(node: Matrix, parts: Any) -> Emitted:
    width = len(node.rows[0]) if node.rows else 0
    texts = [part.text for part in parts]
    rows = [", ".join(texts[i : i + width]) for i in range(0, len(texts), width or 1)]
    return Emitted(f'mat(delim: "[", {"; ".join(rows)})')


def _relation(node: Relation, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.SUM)]
    for sign, part in zip(node.signs, parts[1:], strict=True):
        pieces.append(f" {INFIX[sign].typst} {_wrap(part, Level.SUM)}")
    return Emitted("".join(pieces), Level.RELATION)


def _logic(node: Logic, parts: Any) -> Emitted:
    sign = f" {INFIX[node.sign].typst} "
    return Emitted(sign.join(_wrap(part, Level.RELATION) for part in parts), Level.LOGIC)


_RULES: Rules = {
    Text: lambda node, parts: Emitted(_quoted(node.text)),
    Name: _name,
    Operator: _operator,
    Glyph: lambda node, parts: Emitted(GLYPHS[node.name].typst),
    Number: _number,
    Mark: lambda node, parts: Emitted(MARKS[node.sign].typst),
    Row: _row,
    Plus: _plus,
    Negative: lambda node, parts: Emitted(f"-{_wrap(parts[0], Level.BIG)}", Level.NEGATION),
    Times: _times,
    Fraction: _fraction,
    Superscript: _superscript,
    Subscript: _subscript,
    Transpose: lambda node, parts: Emitted(f"{_wrap(parts[0], Level.ATOM)}^(top)", Level.POWER),
    Prime: _prime,
    Root: _root,
    Fence: _fence,
    Commas: _commas,
    Apply: _apply,
    Prefix: lambda node, parts: Emitted(
        f"{parts[0].text} {_wrap(parts[1], Level.ATOM)}", Level.POWER
    ),
    Big: _big,
    Integral: _integral,
    Derivative: _derivative,
    Accent: lambda node, parts: Emitted(f"{ACCENTS[node.kind][3]}({parts[0].text})"),
    Cases: _cases,
    Matrix: _matrix,
    Relation: _relation,
    Logic: _logic,
    Not: lambda node, parts: Emitted(f"not {_wrap(parts[0], Level.ATOM)}", Level.LOGIC),
}

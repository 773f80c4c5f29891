"""Readable Unicode on one line: `2/n Xᵀ(Xw − y)`.

Reading rules: factors side by side bind more weakly than `/`, so `a/b c` is (a/b) c and a
product below a fraction bar is bracketed; a name before a bracket with a space is a factor
(`x (a + b)`), without one a function (`f(a + b)`); large operators reach to the end of
their product.
"""

import re
from typing import Any

from diffkit.typeset.fold import Emitted, Rules, fold
from diffkit.typeset.marks import (
    ACCENTS,
    GLYPHS,
    GREEK,
    MARKS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    is_small,
)
from diffkit.typeset.names import clean, is_word
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

MINUS = "−"
_BIG = {"sum": "Σ", "prod": "Π"}
_ROOTS = {"3": "∛", "4": "∜"}
_SMALL_EXPONENT = re.compile(r"−?\d{1,3}|n|\(\w\)|−⊤|\+")
_LOWERED = frozenset(map(chr, SUBSCRIPTS.values()))
_CLOSE = (Name, Transpose, Superscript, Subscript)


def emit(node: Node) -> str:
    """Return `node` as one line of Unicode text.

    >>> from diffkit.typeset.tree import Fraction, Name, Number, Times
    >>> emit(Fraction(Number("1"), Times((Number("2"), Name("sigma_w")))))
    '1/(2 σ_w)'
    """
    return fold(node, _RULES).text


def _wrap(part: Emitted, level: Level) -> str:
    return part.text if part.level >= level else f"({part.text})"


def _word(text: str) -> str:
    return clean(text) if is_word(text) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _name(node: Name, parts: Any) -> Emitted:
    if parts:
        return parts[0]
    return Emitted(GREEK[node.text].char if node.text in GREEK else _word(node.text))


def _number(node: Number, parts: Any) -> Emitted:
    mantissa, exponent = scientific(node.text)
    if not exponent:
        return Emitted(mantissa)
    power = exponent.translate(SUPERSCRIPTS)
    if mantissa == "1":
        return Emitted(f"10{power}", Level.POWER)
    return Emitted(f"{mantissa}·10{power}", Level.PRODUCT)


def _row(node: Row, parts: Any) -> Emitted:
    return Emitted("".join(part.text for part in parts), _loosest(parts))


def _loosest(parts: Any) -> Level:
    return Level.ATOM if len(parts) == 1 else Level.LIST


def _plus(node: Plus, parts: Any) -> Emitted:
    pieces = []
    for index, (term, part) in enumerate(zip(node.terms, parts, strict=True)):
        if isinstance(term, Negative):
            pieces.append(f" {MINUS} " if index else MINUS)
        elif index:
            pieces.append(" + ")
        pieces.append(_wrap(part, Level.BIG))
    return Emitted("".join(pieces), Level.SUM)


def _negative(node: Negative, parts: Any) -> Emitted:
    return Emitted(MINUS + _wrap(parts[0], Level.BIG), Level.NEGATION)


def _times(node: Times, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.PRODUCT)]
    is_open = parts[-1].level == Level.BIG
    for index in range(1, len(parts)):
        is_tail = is_open and index == len(parts) - 1
        text = parts[index].text if is_tail else _wrap(parts[index], Level.POWER)
        pieces += [_separator(node, index, text), text]
    return Emitted("".join(pieces), Level.BIG if is_open else Level.PRODUCT)


def _separator(node: Times, index: int, text: str) -> str:
    left, right = node.factors[index - 1], node.factors[index]
    if node.sign == "matrix":
        is_close = isinstance(left, _CLOSE) and (isinstance(left, Transpose) or _is_capital(left))
        return "" if is_close and (text[0] == "(" or _is_letter(right)) else " "
    if node.sign:
        return "·" if node.sign == "·" else f" {node.sign} "
    return "·" if begins_with_number(right) else " "


def _is_capital(node: Node) -> bool:
    while isinstance(node, Transpose | Superscript | Subscript):
        node = node.body if isinstance(node, Transpose) else node.base
    return isinstance(node, Name) and _is_one_letter(node) and node.text[0].isupper()


def _is_one_letter(node: Name) -> bool:
    return len(node.text) == 1 or node.text in GREEK


def _is_letter(node: Node) -> bool:
    while isinstance(node, Transpose | Superscript | Subscript):
        node = node.body if isinstance(node, Transpose) else node.base
    return isinstance(node, Name) and _is_one_letter(node)


def _fraction(node: Fraction, parts: Any) -> Emitted:
    numerator, denominator = parts
    first = node.numerator.factors[0] if isinstance(node.numerator, Times) else node.numerator
    above = _wrap(numerator, Level.ATOM if isinstance(first, Fraction) else Level.PRODUCT)
    return Emitted(f"{above}/{_wrap(denominator, Level.POWER)}", Level.FRACTION)


def _superscript(node: Superscript, parts: Any) -> Emitted:
    base, exponent = _wrap(parts[0], Level.ATOM), parts[1].text
    if _SMALL_EXPONENT.fullmatch(exponent) and is_small(exponent, SUPERSCRIPTS):
        return Emitted(base + exponent.translate(SUPERSCRIPTS), Level.POWER)
    is_bare = isinstance(node.exponent, Name | Number | Glyph | Fence)
    return Emitted(
        f"{base}^{_wrap(parts[1], Level.ATOM) if is_bare else f'({exponent})'}", Level.POWER
    )


def _subscript(node: Subscript, parts: Any) -> Emitted:
    base, index = _wrap(parts[0], Level.ATOM), parts[1].text
    if "_" in base or base[-1:] in _LOWERED:  # x₁ with index n is not x with index 1n
        base = f"({base})"
    if is_small(index, SUBSCRIPTS) and (len(index) < 3 or not index.isalpha()):
        return Emitted(base + index.translate(SUBSCRIPTS))
    return Emitted(f"{base}_{index if index.isalnum() else f'{{{index}}}'}")


def _transpose(node: Transpose, parts: Any) -> Emitted:
    text = parts[0].text if isinstance(node.body, Apply) else _wrap(parts[0], Level.ATOM)
    return Emitted(f"{text}ᵀ", Level.POWER)


def _prime(node: Prime, parts: Any) -> Emitted:
    mark = "′″‴"[node.order - 1] if node.order <= 3 else f"({node.order})".translate(SUPERSCRIPTS)
    return Emitted(_wrap(parts[0], Level.ATOM) + mark)


def _root(node: Root, parts: Any) -> Emitted:
    radicand, index = parts
    is_simple = radicand.level == Level.ATOM and len(radicand.text) <= 3
    inside = radicand.text if is_simple else f"({radicand.text})"
    if index is None:
        return Emitted(f"√{inside}", Level.POWER)
    if index.text in _ROOTS:
        return Emitted(f"{_ROOTS[index.text]}{inside}", Level.POWER)
    return Emitted(f"{_wrap(radicand, Level.ATOM)}^(1/{_wrap(index, Level.POWER)})", Level.POWER)


def _fence(node: Fence, parts: Any) -> Emitted:
    inside = parts[0].text
    if node.left == node.right and node.left in inside:
        word = "abs" if node.left == "|" else "norm"
        return Emitted(f"{word}({inside})")
    return Emitted(node.left + inside + node.right)


def _commas(node: Commas, parts: Any) -> Emitted:
    return Emitted(", ".join(part.text for part in parts), Level.LIST)


def _apply(node: Apply, parts: Any) -> Emitted:
    inside = ", ".join(_wrap(part, Level.LOGIC) for part in parts[1:])
    closing = ")" if node.bracket == "(" else "]"
    text = f"{_wrap(parts[0], Level.POWER)}{node.bracket}{inside}{closing}"
    return Emitted(text, applied_level(node))


def _prefix(node: Prefix, parts: Any) -> Emitted:
    body = _wrap(parts[1], Level.ATOM)
    is_close = body[0] == "(" or node.operator == Glyph("d")
    return Emitted(f"{parts[0].text}{'' if is_close else ' '}{body}", Level.POWER)


def _limits(lower: Emitted | None, upper: Emitted | None) -> str:
    pieces = [
        f"{sign}{_compact(part.text)}"
        for sign, part in (("_", lower), ("^", upper))
        if part is not None
    ]
    return "".join(pieces)


def _compact(limit: str) -> str:
    return limit if len(limit) == 1 else f"{{{limit.replace(' = ', '=')}}}"


def _big(node: Big, parts: Any) -> Emitted:
    body, lower, upper = parts
    sign = _BIG.get(node.operator, node.operator)
    return Emitted(f"{sign}{_limits(lower, upper)} {_wrap(body, Level.BIG)}", Level.BIG)


def _integral(node: Integral, parts: Any) -> Emitted:
    body, variable, lower, upper = parts
    inside = _wrap(body, Level.BIG)
    return Emitted(f"∫{_limits(lower, upper)} {inside} d{variable.text}", Level.BIG)


def _derivative(node: Derivative, parts: Any) -> Emitted:
    body, *names = parts
    sign = "∂" if node.partial else "d"
    orders = [order for _, order in node.variables]
    below = "".join(
        sign + name.text + _order(order) for name, order in zip(names, orders, strict=True)
    )
    inside = body.text if isinstance(node.body, Apply | Name) else f"({body.text})"
    return Emitted(f"{sign}{_order(sum(orders))}/{below} {inside}", Level.BIG)


def _order(order: int) -> str:
    return str(order).translate(SUPERSCRIPTS) if order > 1 else ""


def _accent(node: Accent, parts: Any) -> Emitted:
    if len(parts[0].text) == 1:
        return Emitted(parts[0].text + ACCENTS[node.kind][0])
    return Emitted(f"{node.kind}({parts[0].text})")


def _cases(node: Cases, parts: Any) -> Emitted:
    pieces = []
    for (_, condition), value, text in zip(node.rows, parts[::2], parts[1::2], strict=True):
        link = "" if isinstance(condition, Text) else "if "
        pieces.append(f"{value.text} {link}{text.text}")
    return Emitted(f"{{{'; '.join(pieces)}}}")


def _matrix(node: Matrix, parts: Any) -> Emitted:
    width = len(node.rows[0]) if node.rows else 0
    texts = [part.text for part in parts]
    rows = [", ".join(texts[i : i + width]) for i in range(0, len(texts), width or 1)]
    return Emitted(f"[{'; '.join(rows)}]")


def _relation(node: Relation, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.SUM)]
    for sign, part in zip(node.signs, parts[1:], strict=True):
        pieces.append(f" {sign} {_wrap(part, Level.SUM)}")
    return Emitted("".join(pieces), Level.RELATION)


def _logic(node: Logic, parts: Any) -> Emitted:
    words = {"∧": " and ", "∨": " or "}
    return Emitted(
        words[node.sign].join(_wrap(part, Level.RELATION) for part in parts), Level.LOGIC
    )


_RULES: Rules = {
    Text: lambda node, parts: Emitted(clean(node.text)),
    Name: _name,
    Operator: lambda node, parts: Emitted(_word(node.text)),
    Glyph: lambda node, parts: Emitted(GLYPHS[node.name].char),
    Number: _number,
    Mark: lambda node, parts: Emitted(MARKS[node.sign].char),
    Row: _row,
    Plus: _plus,
    Negative: _negative,
    Times: _times,
    Fraction: _fraction,
    Superscript: _superscript,
    Subscript: _subscript,
    Transpose: _transpose,
    Prime: _prime,
    Root: _root,
    Fence: _fence,
    Commas: _commas,
    Apply: _apply,
    Prefix: _prefix,
    Big: _big,
    Integral: _integral,
    Derivative: _derivative,
    Accent: _accent,
    Cases: _cases,
    Matrix: _matrix,
    Relation: _relation,
    Logic: _logic,
    Not: lambda node, parts: Emitted(f"not {_wrap(parts[0], Level.ATOM)}", Level.LOGIC),
}

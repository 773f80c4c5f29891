"""Presentation MathML (the Core subset), which browsers draw without any script."""

from html import escape
from typing import Any

from diffkit.typeset.fold import Emitted, Rules, fold
from diffkit.typeset.marks import ACCENTS, GLYPHS, GREEK, MARKS
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

_BIG = {"sum": "∑", "prod": "∏"}
_TIMES = "<mo>&#x2062;</mo>"
_APPLY = "<mo>&#x2061;</mo>"
_THIN = '<mspace width="0.167em"/>'
_MINUS = "<mo>−</mo>"
_LEFT = ' style="text-align: left"'


def emit(node: Node) -> str:
    """Return `node` as one complete `math` element.

    >>> from diffkit.typeset.tree import Name
    >>> print(emit(Name("loss")))
    <math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mi>loss</mi></math>
    """
    body = fold(node, _RULES).text
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">{body}</math>'


def _tag(name: str, *inside: str) -> str:
    return f"<{name}>{''.join(inside)}</{name}>"


def _sign(char: str) -> str:
    return _tag("mo", escape(char))


def _fenced(inside: str, left: str = "(", right: str = ")") -> str:
    opening = f'<mo form="prefix" fence="true" stretchy="true">{escape(left)}</mo>'
    closing = f'<mo form="postfix" fence="true" stretchy="true">{escape(right)}</mo>'
    return _tag("mrow", opening, inside, closing)


def _wrap(part: Emitted, level: Level) -> str:
    return part.text if part.level >= level else _fenced(part.text)


def _word(text: str) -> str:
    return escape(clean(text))


def _name(node: Name, parts: Any) -> Emitted:
    if parts:
        return parts[0]
    return Emitted(_tag("mi", GREEK[node.text].char if node.text in GREEK else _word(node.text)))


def _operator(node: Operator, parts: Any) -> Emitted:
    upright = ' mathvariant="normal"' if len(node.text) == 1 else ""
    return Emitted(f"<mi{upright}>{_word(node.text)}</mi>")


def _number(node: Number, parts: Any) -> Emitted:
    mantissa, exponent = scientific(node.text)
    if not exponent:
        return Emitted(_tag("mn", mantissa))
    power = _signed(exponent)
    ten = _tag("msup", _tag("mn", "10"), power)
    if mantissa == "1":
        return Emitted(ten, Level.POWER)
    return Emitted(_tag("mrow", _tag("mn", mantissa), _sign("⋅"), ten), Level.PRODUCT)


def _signed(integer: str) -> str:
    if integer[0] != "-":
        return _tag("mn", integer)
    return _tag("mrow", _MINUS, _tag("mn", integer[1:]))


def _row(node: Row, parts: Any) -> Emitted:
    level = Level.ATOM if len(parts) == 1 else Level.LIST
    return Emitted(_tag("mrow", *(part.text for part in parts)), level)


def _plus(node: Plus, parts: Any) -> Emitted:
    pieces = []
    for index, (term, part) in enumerate(zip(node.terms, parts, strict=True)):
        if isinstance(term, Negative):
            pieces.append(_MINUS)
        elif index:
            pieces.append(_sign("+"))
        pieces.append(_wrap(part, Level.BIG))
    return Emitted(_tag("mrow", *pieces), Level.SUM)


def _times(node: Times, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.PRODUCT)]
    is_open = parts[-1].level == Level.BIG
    for index in range(1, len(parts)):
        is_tail = is_open and index == len(parts) - 1
        part = parts[index]
        pieces.append(_separator(node, index, part.level < Level.FRACTION and not is_tail))
        pieces.append(part.text if is_tail else _wrap(part, Level.FRACTION))
    return Emitted(_tag("mrow", *pieces), Level.BIG if is_open else Level.PRODUCT)


def _separator(node: Times, index: int, is_bracketed: bool) -> str:
    left, right = node.factors[index - 1], node.factors[index]
    if node.sign not in ("", "matrix"):
        return _sign("⋅" if node.sign == "·" else node.sign)
    if begins_with_number(right):
        return _sign("⋅")
    # A thin space tells the factor x in `x (1 - x)` from a function x.
    is_name_before_bracket = is_bracketed and isinstance(left, Name) and not node.sign
    needs_room = is_name_before_bracket or is_wordy(left) or is_wordy(right)
    return _TIMES + _THIN if needs_room else _TIMES


def _fraction(node: Fraction, parts: Any) -> Emitted:
    above, below = parts
    if node.inline:
        inside = _wrap(above, Level.POWER), _sign("/"), _wrap(below, Level.POWER)
        return Emitted(_tag("mrow", *inside), Level.PRODUCT)
    return Emitted(_tag("mfrac", above.text, below.text), Level.FRACTION)


def _superscript(node: Superscript, parts: Any) -> Emitted:
    base, exponent = parts
    return Emitted(_tag("msup", _wrap(base, Level.ATOM), exponent.text), Level.POWER)


def _subscript(node: Subscript, parts: Any) -> Emitted:
    base, index = parts
    return Emitted(_tag("msub", _wrap(base, Level.ATOM), index.text))


def _transpose(node: Transpose, parts: Any) -> Emitted:
    text = parts[0].text if isinstance(node.body, Apply) else _wrap(parts[0], Level.ATOM)
    return Emitted(_tag("msup", text, _tag("mi", "⊤")), Level.POWER)


def _prime(node: Prime, parts: Any) -> Emitted:
    is_short = node.order <= 3
    mark = _sign("′″‴"[node.order - 1]) if is_short else _fenced(_tag("mn", str(node.order)))
    return Emitted(_tag("msup", _wrap(parts[0], Level.ATOM), mark), Level.POWER)


def _root(node: Root, parts: Any) -> Emitted:
    radicand, index = parts
    if index is None:
        return Emitted(_tag("msqrt", radicand.text))
    return Emitted(_tag("mroot", radicand.text, index.text))


def _fence(node: Fence, parts: Any) -> Emitted:
    return Emitted(_fenced(parts[0].text, node.left, node.right))


def _commas(node: Commas, parts: Any) -> Emitted:
    return Emitted(_tag("mrow", _sign(",").join(part.text for part in parts)), Level.LIST)


def _apply(node: Apply, parts: Any) -> Emitted:
    inside = _sign(",").join(_wrap(part, Level.LOGIC) for part in parts[1:])
    brackets = ("(", ")") if node.bracket == "(" else ("[", "]")
    function = _wrap(parts[0], Level.POWER)
    return Emitted(_tag("mrow", function, _APPLY, _fenced(inside, *brackets)), applied_level(node))


def _prefix(node: Prefix, parts: Any) -> Emitted:
    return Emitted(_tag("mrow", parts[0].text, _THIN, _wrap(parts[1], Level.ATOM)), Level.POWER)


def _with_limits(sign: str, lower: Emitted | None, upper: Emitted | None, kind: str) -> str:
    if lower is not None and upper is not None:
        both = {"under": "munderover", "sub": "msubsup"}[kind]
        return _tag(both, sign, lower.text, upper.text)
    if lower is not None:
        return _tag({"under": "munder", "sub": "msub"}[kind], sign, lower.text)
    if upper is not None:
        return _tag({"under": "mover", "sub": "msup"}[kind], sign, upper.text)
    return sign


def _big(node: Big, parts: Any) -> Emitted:
    body, lower, upper = parts
    if node.operator in _BIG:
        sign = f'<mo largeop="true" movablelimits="false">{_BIG[node.operator]}</mo>'
    else:
        sign = f'<mo movablelimits="false">{_word(node.operator)}</mo>'
    head = _with_limits(sign, lower, upper, "under")
    space = "" if node.operator in _BIG else _THIN
    return Emitted(_tag("mrow", head, space, _wrap(body, Level.BIG)), Level.BIG)


def _integral(node: Integral, parts: Any) -> Emitted:
    body, variable, lower, upper = parts
    head = _with_limits('<mo largeop="true">∫</mo>', lower, upper, "sub")
    differential = '<mi mathvariant="normal">d</mi>' + variable.text
    return Emitted(_tag("mrow", head, _wrap(body, Level.BIG), _THIN, differential), Level.BIG)


def _derivative(node: Derivative, parts: Any) -> Emitted:
    body, *names = parts
    sign = "<mi>∂</mi>" if node.partial else '<mi mathvariant="normal">d</mi>'
    orders = [order for _, order in node.variables]
    below = [
        sign + _raised(_wrap(name, Level.ATOM), order)
        for name, order in zip(names, orders, strict=True)
    ]
    quotient = _tag("mfrac", _raised(sign, sum(orders)), _tag("mrow", *below))
    inside = body.text if isinstance(node.body, Apply | Name) else _fenced(body.text)
    return Emitted(_tag("mrow", quotient, _THIN, inside), Level.BIG)


def _raised(base: str, order: int) -> str:
    return _tag("msup", base, _tag("mn", str(order))) if order > 1 else base


def _accent(node: Accent, parts: Any) -> Emitted:
    mark = f'<mo stretchy="{str(node.kind == "overline").lower()}">{ACCENTS[node.kind][1]}</mo>'
    return Emitted(f'<mover accent="true">{parts[0].text}{mark}</mover>')


def _cases(node: Cases, parts: Any) -> Emitted:
    lines = []
    for (_, condition), value, text in zip(node.rows, parts[::2], parts[1::2], strict=True):
        link = "" if isinstance(condition, Text) else "<mtext>if&#xa0;</mtext>"
        cells = f"<mtd{_LEFT}>{value.text}</mtd><mtd{_LEFT}>{link}{text.text}</mtd>"
        lines.append(_tag("mtr", cells))
    brace = '<mo form="prefix" fence="true" stretchy="true">{</mo>'
    return Emitted(_tag("mrow", brace, _tag("mtable", *lines)), Level.RELATION)


def _matrix(node: Matrix, parts: Any) -> Emitted:
    width = len(node.rows[0]) if node.rows else 0
    cells = [_tag("mtd", part.text) for part in parts]
    rows = [_tag("mtr", *cells[i : i + width]) for i in range(0, len(cells), width or 1)]
    return Emitted(_fenced(_tag("mtable", *rows), "[", "]"))


def _relation(node: Relation, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.SUM)]
    for sign, part in zip(node.signs, parts[1:], strict=True):
        pieces += [_sign(sign), _wrap(part, Level.SUM)]
    return Emitted(_tag("mrow", *pieces), Level.RELATION)


def _logic(node: Logic, parts: Any) -> Emitted:
    inside = _sign(node.sign).join(_wrap(part, Level.RELATION) for part in parts)
    return Emitted(_tag("mrow", inside), Level.LOGIC)


def _glyph(node: Glyph, parts: Any) -> Emitted:
    return Emitted(_tag("mo" if node.name == "nabla" else "mi", GLYPHS[node.name].char))


_RULES: Rules = {
    Text: lambda node, parts: Emitted(_tag("mtext", _word(node.text))),
    Name: _name,
    Operator: _operator,
    Glyph: _glyph,
    Number: _number,
    Mark: lambda node, parts: Emitted(_sign(MARKS[node.sign].char)),
    Row: _row,
    Plus: _plus,
    Negative: lambda node, parts: Emitted(
        _tag("mrow", _MINUS, _wrap(parts[0], Level.BIG)), Level.NEGATION
    ),
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
    Not: lambda node, parts: Emitted(
        _tag("mrow", _sign("¬"), _wrap(parts[0], Level.ATOM)), Level.LOGIC
    ),
}

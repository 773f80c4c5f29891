"""LaTeX mathematics (amsmath and amssymb), readable by KaTeX and MathJax too; no dollar signs."""

from typing import Any

from diffkit.typeset.fold import Emitted, Rules, fold
from diffkit.typeset.marks import ACCENTS, DELIMITERS, GLYPHS, GREEK, INFIX, MARKS
from diffkit.typeset.names import clean, is_word, is_wordy
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
        *("arg", "deg", "det", "dim", "gcd", "ker", "Pr"),
    )
)
_BIG = {"sum": r"\sum", "prod": r"\prod"}
_BARS = {"|": r"\lvert", "‖": r"\lVert"}
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


def emit(node: Node) -> str:
    r"""Return `node` as LaTeX for math mode.

    >>> from diffkit.typeset.tree import Fraction, Name, Number, Superscript
    >>> print(emit(Superscript(Fraction(Name("x_1"), Name("sigma")), Number("2"))))
    \left(\frac{x_{1}}{\sigma}\right)^{2}
    """
    return fold(node, _RULES).text


def _bracket(part: Emitted, left: str = "(", right: str = ")") -> str:
    if part.is_tall:
        return rf"\left{left}{part.text}\right{right}"
    space = " " if left[-1].isalpha() else ""
    before = " " if right[0] == "\\" and part.text[-1:].isalpha() else ""
    return f"{left}{space}{part.text}{before}{right}"


def _wrap(part: Emitted, level: Level) -> str:
    return part.text if part.level >= level else _bracket(part)


def _is_tall(parts: Any) -> bool:
    return any(part is not None and part.is_tall for part in parts)


def _quoted(text: str) -> str:
    return rf"\text{{{clean(text).translate(_ESCAPES)}}}"


def _name(node: Name, parts: Any) -> Emitted:
    if parts:
        return parts[0]
    text = node.text
    if text in GREEK:
        return Emitted(GREEK[text].latex)
    if len(text) == 1 and text.isascii() and text.isalpha():
        return Emitted(text)
    if text.isascii() and is_word(text):
        return Emitted(rf"\mathrm{{{text.translate(_ESCAPES)}}}")
    return Emitted(_quoted(text))


def _operator(node: Operator, parts: Any) -> Emitted:
    text = node.text
    if text in _FUNCTIONS:
        return Emitted(rf"\{text}")
    if text.isascii() and is_word(text):
        return Emitted(rf"\operatorname{{{text.translate(_ESCAPES)}}}")
    return Emitted(_quoted(text))


def _number(node: Number, parts: Any) -> Emitted:
    mantissa, exponent = scientific(node.text)
    if not exponent:
        return Emitted(mantissa)
    if mantissa == "1":
        return Emitted(f"10^{{{exponent}}}", Level.POWER)
    return Emitted(rf"{mantissa} \cdot 10^{{{exponent}}}", Level.PRODUCT)


def _row(node: Row, parts: Any) -> Emitted:
    level = Level.ATOM if len(parts) == 1 else Level.LIST
    return Emitted(" ".join(part.text for part in parts), level, _is_tall(parts))


def _plus(node: Plus, parts: Any) -> Emitted:
    pieces = []
    for index, (term, part) in enumerate(zip(node.terms, parts, strict=True)):
        if isinstance(term, Negative):
            pieces.append(" - " if index else "-")
        elif index:
            pieces.append(" + ")
        pieces.append(_wrap(part, Level.BIG))
    return Emitted("".join(pieces), Level.SUM, _is_tall(parts))


def _negative(node: Negative, parts: Any) -> Emitted:
    return Emitted(f"-{_wrap(parts[0], Level.BIG)}", Level.NEGATION, _is_tall(parts))


def _times(node: Times, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.PRODUCT)]
    is_open = parts[-1].level == Level.BIG
    for index in range(1, len(parts)):
        is_tail = is_open and index == len(parts) - 1
        part = parts[index]
        pieces.append(_separator(node, index, part.level < Level.FRACTION and not is_tail))
        pieces.append(part.text if is_tail else _wrap(part, Level.FRACTION))
    return Emitted("".join(pieces), Level.BIG if is_open else Level.PRODUCT, _is_tall(parts))


def _separator(node: Times, index: int, is_bracketed: bool) -> str:
    left, right = node.factors[index - 1], node.factors[index]
    if node.sign not in ("", "matrix"):
        return f" {INFIX[node.sign].latex} "
    if begins_with_number(right):
        return r" \cdot "
    # A thin space tells the factor x in `x (1 - x)` from a function x.
    is_name_before_bracket = is_bracketed and isinstance(left, Name) and not node.sign
    return r" \, " if is_name_before_bracket or is_wordy(left) or is_wordy(right) else " "


def _fraction(node: Fraction, parts: Any) -> Emitted:
    above, below = parts
    if node.inline:
        text = f"{_wrap(above, Level.POWER)} / {_wrap(below, Level.POWER)}"
        return Emitted(text, Level.PRODUCT, _is_tall(parts))
    return Emitted(rf"\frac{{{above.text}}}{{{below.text}}}", Level.FRACTION, True)


def _superscript(node: Superscript, parts: Any) -> Emitted:
    base, exponent = parts
    text = f"{_wrap(base, Level.ATOM)}^{{{exponent.text}}}"
    return Emitted(text, Level.POWER, _is_tall((base,)))


def _subscript(node: Subscript, parts: Any) -> Emitted:
    base, index = parts
    text = _wrap(base, Level.ATOM)
    if "_{" in text:  # two subscripts in a row are an error in TeX
        text = f"{{{text}}}"
    return Emitted(f"{text}_{{{index.text}}}", is_tall=_is_tall((base,)))


def _transpose(node: Transpose, parts: Any) -> Emitted:
    text = parts[0].text if isinstance(node.body, Apply) else _wrap(parts[0], Level.ATOM)
    return Emitted(rf"{text}^{{\top}}", Level.POWER, _is_tall(parts))


def _prime(node: Prime, parts: Any) -> Emitted:
    mark = "'" * node.order if node.order <= 3 else f"^{{({node.order})}}"
    return Emitted(_wrap(parts[0], Level.ATOM) + mark, Level.POWER, _is_tall(parts))


def _root(node: Root, parts: Any) -> Emitted:
    radicand, index = parts
    option = "" if index is None else f"[{index.text}]"
    return Emitted(rf"\sqrt{option}{{{radicand.text}}}", is_tall=_is_tall((radicand,)))


def _fence(node: Fence, parts: Any) -> Emitted:
    left = _BARS.get(node.left, DELIMITERS[node.left].latex)
    right = DELIMITERS[node.right].latex if node.right not in _BARS else _closing(node.right)
    return Emitted(_bracket(parts[0], left, right), is_tall=_is_tall(parts))


def _closing(bar: str) -> str:
    return _BARS[bar].replace("l", "r", 1)


def _commas(node: Commas, parts: Any) -> Emitted:
    return Emitted(", ".join(part.text for part in parts), Level.LIST, _is_tall(parts))


def _apply(node: Apply, parts: Any) -> Emitted:
    inside = Emitted(
        ", ".join(_wrap(part, Level.LOGIC) for part in parts[1:]), is_tall=_is_tall(parts[1:])
    )
    brackets = ("(", ")") if node.bracket == "(" else ("[", "]")
    text = _wrap(parts[0], Level.POWER) + _bracket(inside, *brackets)
    return Emitted(text, applied_level(node), _is_tall(parts))


def _prefix(node: Prefix, parts: Any) -> Emitted:
    text = f"{parts[0].text} {_wrap(parts[1], Level.ATOM)}"
    return Emitted(text, Level.POWER, _is_tall(parts))


def _limits(lower: Emitted | None, upper: Emitted | None) -> str:
    below = "" if lower is None else f"_{{{lower.text}}}"
    return below if upper is None else f"{below}^{{{upper.text}}}"


def _big(node: Big, parts: Any) -> Emitted:
    body, lower, upper = parts
    sign = _BIG.get(node.operator)
    if sign is None:
        is_known = node.operator in _FUNCTIONS
        word = node.operator.translate(_ESCAPES)
        sign = rf"\{word}" if is_known else rf"\operatorname*{{{word}}}"
    space = " " if node.operator in _BIG else r" \, "
    text = f"{sign}{_limits(lower, upper)}{space}{_wrap(body, Level.BIG)}"
    return Emitted(text, Level.BIG, True)


def _integral(node: Integral, parts: Any) -> Emitted:
    body, variable, lower, upper = parts
    inside = _wrap(body, Level.BIG)
    text = rf"\int{_limits(lower, upper)} {inside} \, \mathrm{{d}} {variable.text}"
    return Emitted(text, Level.BIG, True)


def _derivative(node: Derivative, parts: Any) -> Emitted:
    body, *names = parts
    sign = r"\partial" if node.partial else r"\mathrm{d}"
    orders = [order for _, order in node.variables]
    below = " ".join(
        f"{sign} {_wrap(name, Level.ATOM)}{_order(order)}"
        for name, order in zip(names, orders, strict=True)
    )
    inside = body.text if isinstance(node.body, Apply | Name) else _bracket(body)
    text = rf"\frac{{{sign}{_order(sum(orders))}}}{{{below}}} {inside}"
    return Emitted(text, Level.BIG, True)


def _order(order: int) -> str:
    return f"^{{{order}}}" if order > 1 else ""


def _accent(node: Accent, parts: Any) -> Emitted:
    command = ACCENTS[node.kind][2]
    return Emitted(rf"\{command}{{{parts[0].text}}}", is_tall=_is_tall(parts))


def _cases(node: Cases, parts: Any) -> Emitted:
    lines = []
    for (_, condition), value, text in zip(node.rows, parts[::2], parts[1::2], strict=True):
        link = "" if isinstance(condition, Text) else r"\text{if } "
        lines.append(f"{value.text} & {link}{text.text}")
    body = r" \\ ".join(lines)
    return Emitted(rf"\begin{{cases}} {body} \end{{cases}}", Level.RELATION, True)


def _matrix(node: Matrix, parts: Any) -> Emitted:
    width = len(node.rows[0]) if node.rows else 0
    texts = [part.text for part in parts]
    rows = [" & ".join(texts[i : i + width]) for i in range(0, len(texts), width or 1)]
    body = r" \\ ".join(rows)
    return Emitted(rf"\begin{{bmatrix}} {body} \end{{bmatrix}}", is_tall=True)


def _relation(node: Relation, parts: Any) -> Emitted:
    pieces = [_wrap(parts[0], Level.SUM)]
    for sign, part in zip(node.signs, parts[1:], strict=True):
        pieces.append(f" {INFIX[sign].latex} {_wrap(part, Level.SUM)}")
    return Emitted("".join(pieces), Level.RELATION, _is_tall(parts))


def _logic(node: Logic, parts: Any) -> Emitted:
    sign = f" {INFIX[node.sign].latex} "
    text = sign.join(_wrap(part, Level.RELATION) for part in parts)
    return Emitted(text, Level.LOGIC, _is_tall(parts))


def _not(node: Not, parts: Any) -> Emitted:
    return Emitted(rf"\lnot {_wrap(parts[0], Level.ATOM)}", Level.LOGIC, _is_tall(parts))


_RULES: Rules = {
    Text: lambda node, parts: Emitted(_quoted(node.text)),
    Name: _name,
    Operator: _operator,
    Glyph: lambda node, parts: Emitted(GLYPHS[node.name].latex),
    Number: _number,
    Mark: lambda node, parts: Emitted(MARKS[node.sign].latex),
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
    Not: _not,
}

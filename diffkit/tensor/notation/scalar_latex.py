r"""LaTeX formulas of numbers, as lectures print them, to SymPy: by way of formula text.

The tree of a formula is written out as text and read by `symbolic.parse`, so one set of limits and
one vocabulary serve both notations.  Every letter is a real symbol; subscripts join names.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import NoReturn

import sympy as sp

from diffkit.core.errors import ParseError
from diffkit.symbolic.names import CALLEES
from diffkit.symbolic.parse import parse as parse_text
from diffkit.symbolic.tokens import visible
from diffkit.tensor.notation.latex_definitions import spellings
from diffkit.tensor.notation.latex_grammar import parse
from diffkit.tensor.notation.latex_pieces import split_pieces
from diffkit.tensor.notation.latex_tokens import tokenise
from diffkit.tensor.notation.syntax import Tree

_RELATIONS = {"=": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "!=": "!="}


def read_scalar_latex(text: str, *, known: Iterable[str] | None = None) -> sp.Basic:
    r"""Read a formula of numbers; of an equation its right side.

    Args:
        text: LaTeX such as \frac{1}{1 + e^{-x}}.
        known: The only names that may stand for symbols; None: any name may.

    Raises:
        ParseError: the text is no formula of numbers.
        UnknownNameError: a symbol that is not known.

    >>> read_scalar_latex(r"g(z) = \frac{1}{1 + e^{-z}}")
    1/(1 + exp(-z))
    """
    pieces = split_pieces(text, tokenise(text))
    if len(pieces) > 1:
        raise ParseError("one formula at a time", visible(text), pieces[1][0][0].position)
    sides = pieces[0]
    if len(sides) > 2:
        position = sides[2][0].position
        raise ParseError("one equation has one =; give one right side", visible(text), position)
    names = frozenset(known or ())
    writer = _Writer(text, names)
    return parse_text(writer.text_of(parse(text, sides[-1], names)), known=known)


def is_latex(text: str) -> bool:
    """Whether a formula is written in LaTeX: it has a command, or a brace after ^ or _."""
    return "\\" in text or "^{" in text or "_{" in text


def latex_or_text(text: str) -> str | sp.Basic:
    """A formula of numbers: read where it is LaTeX, else the text as it is."""
    return read_scalar_latex(text) if is_latex(text) else text


class _Writer:
    """Writes the tree of a formula of numbers as text."""

    def __init__(self, text: str, known: frozenset[str]) -> None:
        self.source = text
        self.known = known

    def error(self, reason: str, tree: Tree) -> ParseError:
        return ParseError(reason, visible(self.source), tree.position)

    def fail(self, reason: str, tree: Tree) -> NoReturn:
        raise self.error(reason, tree)

    def text_of(self, tree: Tree) -> str:
        rule = _RULES.get(tree.kind)
        if rule is not None:
            return rule(self, tree)
        if spellings(tree):
            return spellings(tree)[0]
        raise self.error("this is read only in formulas of arrays; write it with numbers", tree)

    def parts(self, tree: Tree) -> list[str]:
        return [f"({self.text_of(arg)})" for arg in tree.args]

    def number(self, tree: Tree) -> str:
        value: Fraction = tree.value
        return str(value.numerator) if value.denominator == 1 else f"({value})"

    def joined(self, tree: Tree) -> str:
        signs = {"+": "+", "-": "-", "cdot": "*", "times": "*", "/": "/", "": "*"}
        result, *rest = self.parts(tree)
        for operator, part in zip(tree.operators, rest, strict=True):
            if operator not in signs:
                self.fail("this operator joins arrays; write \\cdot for numbers", tree)
            result += signs[operator] + part
        return result

    def product(self, tree: Tree) -> str:
        for left, right in pairwise(tree.args):
            is_call = right.kind == "group" and bool(spellings(right.args[0]))
            if is_call and spellings(left) and spellings(left)[0] not in self.known:
                name = spellings(left)[0]
                self.fail(f"no function is called {name}; write {name}\\cdot x for a product", left)
        return "(" + "*".join(self.parts(tree)) + ")"

    def negate(self, tree: Tree) -> str:
        return f"-{self.parts(tree)[0]}"

    def power(self, tree: Tree) -> str:
        base, exponent = self.parts(tree)
        return f"({base}**{exponent})"

    def fraction(self, tree: Tree) -> str:
        above, below = self.parts(tree)
        return f"({above}/{below})"

    def exponential(self, tree: Tree) -> str:
        return f"exp({self.text_of(tree.args[0])})"

    def root(self, tree: Tree) -> str:
        inner, order = tree.args
        power = "1/2" if order is None else f"1/({self.text_of(order)})"
        return f"(({self.text_of(inner)})**({power}))"

    def call(self, tree: Tree) -> str:
        args = ", ".join(self.text_of(arg) for arg in tree.args)
        if tree.operators or tree.name not in CALLEES:
            self.fail(f"{tree.name} is no function of numbers here; give its value", tree)
        if tree.extra and tree.name != "log":
            self.fail(f"an index of {tree.name} is not read", tree)
        base = "".join(token.text for token in tree.extra)
        return f"{tree.name}({args}{', ' + base if base else ''})"

    def modulus(self, tree: Tree) -> str:
        if tree.extra:
            self.fail("a norm with an index is read only in formulas of arrays", tree)
        return f"Abs({self.text_of(tree.args[0])})"

    def marks(self, tree: Tree) -> str:
        if tree.operators == ("inv",):
            return f"(({self.text_of(tree.args[0])})**(-1))"
        if spellings(tree):
            return spellings(tree)[0]
        if tree.operators == ("T",) and "T" in self.known:
            return f"(({self.text_of(tree.args[0])})**T)"
        raise self.error("a transpose is read only in formulas of arrays", tree)

    def compare(self, tree: Tree) -> str:
        first, *rest = self.parts(tree)
        pairs = zip(tree.operators, rest, strict=True)
        return first + "".join(f" {_RELATIONS[operator]} {part}" for operator, part in pairs)

    def indicator(self, tree: Tree) -> str:
        return f"where({self.text_of(tree.args[0])}, 1, 0)"

    def cases(self, tree: Tree) -> str:
        pairs = []
        for row in tree.args:
            if len(row) != 2:
                self.fail("a case is a value and a condition", tree)
            condition = "True" if row[1].kind == "otherwise" else self.text_of(row[1])
            pairs.append(f"({self.text_of(row[0])}, {condition})")
        return f"Piecewise({', '.join(pairs)})"

    def series(self, tree: Tree) -> str:
        lower, upper = tree.extra
        texts = [token.text for token in lower]
        if tree.name not in ("sum", "prod") or len(texts) < 3 or texts[1] != "=" or not upper:
            self.fail("a sum of numbers has its range: \\sum_{i=1}^{n}", tree)
        index = texts[0]
        if _is_subscript(tree.args[0], index):
            self.fail("entries x_i are read only in formulas of arrays; write the terms", tree)
        ends = [self.plain("".join(texts[2:])), self.plain("".join(t.text for t in upper))]
        name = "Sum" if tree.name == "sum" else "Product"
        return f"{name}({self.text_of(tree.args[0])}, ({index}, {ends[0]}, {ends[1]}))"

    def plain(self, text: str) -> str:
        return "oo" if text == "infty" else text


def _is_subscript(tree: object, index: str) -> bool:
    """Whether a letter stands in a subscript below a tree."""
    if not isinstance(tree, Tree):
        return isinstance(tree, tuple) and any(_is_subscript(part, index) for part in tree)
    if tree.kind in ("subscript", "label") and any(t.text == index for t in tree.extra):
        return True
    return any(_is_subscript(arg, index) for arg in tree.args)


_RULES: Mapping[str, Callable[[_Writer, Tree], str]] = {
    "number": _Writer.number,
    "sum": _Writer.joined,
    "chain": _Writer.joined,
    "juxtapose": _Writer.product,
    "denominator": _Writer.product,
    "negate": _Writer.negate,
    "power": _Writer.power,
    "entry_power": _Writer.power,
    "fraction": _Writer.fraction,
    "exponential": _Writer.exponential,
    "root": _Writer.root,
    "call": _Writer.call,
    "abs": _Writer.modulus,
    "norm": _Writer.modulus,
    "group": lambda writer, tree: writer.text_of(tree.args[0]),
    "marks": _Writer.marks,
    "compare": _Writer.compare,
    "iverson": _Writer.indicator,
    "cases": _Writer.cases,
    "big": _Writer.series,
}

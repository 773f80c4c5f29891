"""From SymPy expressions to the layout tree, in the order and form of a textbook.

One rule per class in `RULES`; a class without a rule raises, it is never printed by guess.
Every distinct subexpression is laid out once (twice where it also occurs in an exponent,
where fractions keep the slash), and nothing recurses along the depth of the expression.
"""

from fractions import Fraction as Quotient
from typing import TypeGuard

import sympy as sp
from sympy.core.symbol import Str
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from diffkit.symbolic.arrangement import BLOCKS, ordered_factors, ordered_terms, split_roots
from diffkit.symbolic.layout_blocks import BLOCK_RULES
from diffkit.symbolic.layout_functions import FUNCTION_RULES
from diffkit.symbolic.layout_pass import Rule, Writer
from diffkit.symbolic.source import source
from diffkit.typeset import (
    Apply,
    Fraction,
    Glyph,
    Name,
    Negative,
    Node,
    Number,
    Operator,
    Plus,
    Root,
    Style,
    Superscript,
    Text,
    Times,
    number,
    render,
)

__all__ = ["layout", "show", "source"]

#: Digits of a float; its exact value is what `source` prints.
DIGITS = 8


def layout(expr: sp.Basic | sp.MatrixBase) -> Node:
    """Return the layout of an expression, a relation, a statement or an explicit matrix.

    Args:
        expr: Made of SymPy's elementary classes and the vocabulary.

    Raises:
        UnsupportedFunction: a class without a rule; the message names it.

    >>> from diffkit.symbolic.symbols import symbol
    >>> x = symbol("x")
    >>> render(layout(sp.exp(-x**2 / 2) / sp.sqrt(2 * sp.pi)))
    'e^(−x²/2)/√(2 π)'
    """
    root = expr.as_immutable() if isinstance(expr, sp.MatrixBase) else expr
    write = Writer(root, RULES)
    write.prepare(root)
    return write(root)


def show(expr: sp.Basic | sp.MatrixBase, style: Style = "text") -> str:
    r"""Write an expression as "text", "latex", "typst" or "mathml".

    Raises:
        UnsupportedFunction: a class without a rule; the message names it.
        UsageError: another style, or an expression too large to be written out.

    >>> from diffkit.symbolic.symbols import symbol
    >>> x = symbol("x")
    >>> show(1 - x**2), show(x / (x + 1), "latex")
    ('1 − x²', '\\frac{x}{x + 1}')
    """
    return render(layout(expr), style)


def _rational(expr: sp.Rational, write: Writer, inline: bool) -> Node:
    return number(Quotient(int(expr.p), int(expr.q)), inline=inline)


def _float(expr: sp.Float, write: Writer, inline: bool) -> Node:
    return number(float(expr), DIGITS)


def _euler(expr: sp.Basic, write: Writer, inline: bool) -> Node:
    return Apply(Operator("exp"), (Number("1"),)) if "e" in write.taken else Glyph("e")


def _glyph(name: str) -> Rule:
    return lambda expr, write, inline: Glyph(name)


def _text(words: str) -> Rule:
    return lambda expr, write, inline: Text(words)


def _add(expr: sp.Add, write: Writer, inline: bool) -> Node:
    return Plus(tuple(write(term, inline=inline) for term in ordered_terms(expr, write.measures)))


def _mul(expr: sp.Mul, write: Writer, inline: bool) -> Node:
    head, *rest = expr.args
    has_one_number = head.is_Number and not any(arg.is_Number for arg in rest)
    coefficient, factors = (head, rest) if has_one_number else (sp.S.One, list(expr.args))
    if coefficient.is_extended_negative:
        return Negative(_quotient(-coefficient, factors, write, inline))
    return _quotient(coefficient, factors, write, inline)


def _quotient(coefficient: sp.Number, factors: list[sp.Expr], write: Writer, inline: bool) -> Node:
    """A positive coefficient times factors, those with negative powers below the bar."""
    root = sp.S.One
    if coefficient.is_Rational:
        coefficient, root, factors = split_roots(coefficient, factors)
    ordered = ordered_factors(factors, write.measures)
    above = [write(factor, inline=inline) for factor in ordered if not _is_reciprocal(factor)]
    below = [
        _power(factor.base, -factor.exp, write, inline)
        for factor in ordered
        if _is_reciprocal(factor)
    ]
    over, under = root.as_numer_denom()
    if over == 1 != under:
        below = [Root(write(under, inline=inline)), *below]
    elif root != 1:
        above = [Root(write(root, inline=inline)), *above]
    if coefficient.is_Rational:
        above = ([Number(str(coefficient.p))] if coefficient.p != 1 else []) + above
        below = ([Number(str(coefficient.q))] if coefficient.q != 1 else []) + below
    elif float(coefficient) != 1:
        above = [write(coefficient), *above]
    if not below:
        return _product(above)
    blocks = [factor for factor in ordered if isinstance(factor, BLOCKS)]
    split = len(above) - len(blocks)
    quotient = Fraction(_product(above[:split]), _product(below), inline)
    return _product([quotient, *above[split:]])


def _is_reciprocal(factor: sp.Expr) -> bool:
    return isinstance(factor, sp.Pow) and bool(
        factor.exp.is_Number and factor.exp.is_extended_negative
    )


def _product(factors: list[Node]) -> Node:
    if not factors:
        return Number("1")
    return factors[0] if len(factors) == 1 else Times(tuple(factors))


def _pow(expr: sp.Pow, write: Writer, inline: bool) -> Node:
    if _is_reciprocal(expr):
        return Fraction(Number("1"), _power(expr.base, -expr.exp, write, inline), inline)
    return _power(expr.base, expr.exp, write, inline)


def _is_unary_word(node: Node) -> TypeGuard[Apply]:
    return (
        isinstance(node, Apply) and isinstance(node.function, Operator) and len(node.arguments) == 1
    )


def _power(base: sp.Expr, exponent: sp.Expr, write: Writer, inline: bool) -> Node:
    body = write(base, inline=inline)
    if exponent == 1:
        return body
    if exponent == sp.S.Half:
        return Root(body)
    if exponent.is_Integer and _is_unary_word(body):  # sin^2(x), as everybody writes it
        return Apply(Superscript(body.function, number(int(exponent))), body.arguments)
    return Superscript(body, write(exponent, inline=True))


RULES: dict[type, Rule] = {
    **FUNCTION_RULES,
    **BLOCK_RULES,
    sp.Rational: _rational,
    sp.Float: _float,
    type(sp.S.Exp1): _euler,
    type(sp.pi): _glyph("pi"),
    type(sp.S.EulerGamma): _glyph("euler_gamma"),
    type(sp.S.ImaginaryUnit): _glyph("i"),
    type(sp.oo): _glyph("infinity"),
    type(-sp.oo): lambda expr, write, inline: Negative(Glyph("infinity")),
    type(sp.zoo): _text("complex infinity"),
    type(sp.nan): _text("undefined"),
    BooleanTrue: _text("true"),
    BooleanFalse: _text("false"),
    sp.Symbol: lambda expr, write, inline: Name(expr.name),
    Str: lambda expr, write, inline: Name(expr.name),
    sp.Add: _add,
    sp.Mul: _mul,
    sp.Pow: _pow,
    sp.UnevaluatedExpr: lambda expr, write, inline: write(expr.args[0], inline=inline),
}

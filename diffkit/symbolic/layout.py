"""From SymPy expressions to the layout tree, in the order and form of a textbook.

One rule per class in `RULES`; a class without a rule raises, it is never printed by guess.
Every distinct subexpression is laid out once (twice where it also occurs in an exponent,
where fractions keep the slash), and nothing recurses along the depth of the expression.
"""

from collections.abc import Callable
from fractions import Fraction as Quotient
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.symbol import Str
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from diffkit.core.errors import UnsupportedFunction
from diffkit.symbolic.arrangement import (
    BLOCKS,
    Measures,
    is_negative_term,
    measure,
    ordered_factors,
    ordered_terms,
)
from diffkit.symbolic.scalar_function import ScalarFunction
from diffkit.symbolic.source import source
from diffkit.symbolic.walk import nodes
from diffkit.typeset import (
    Apply,
    Big,
    Cases,
    Commas,
    Derivative,
    Fence,
    Fraction,
    Glyph,
    Integral,
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
    Prime,
    Root,
    Row,
    Style,
    Subscript,
    Superscript,
    Text,
    Times,
    absolute,
    number,
    relation,
    render,
)

__all__ = ["layout", "show", "source"]

#: Digits of a float; its exact value is what `source` prints.
DIGITS = 8
#: An exponent with more nodes is set as exp(...), which can be read.
MAX_EXPONENT = 40


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
    write = _Writer(root)
    for node in nodes(sp.Tuple(*write.exponents)):
        if _rule(node) is not None:
            write(node, inline=True)
    for node in nodes(root):
        if _rule(node) is not None:
            write(node)
    return write(root)


def show(expr: sp.Basic | sp.MatrixBase, style: Style = "text") -> str:
    """Write an expression as "text", "latex", "typst" or "mathml".

    Raises:
        UnsupportedFunction: a class without a rule; the message names it.
        UsageError: another style, or an expression too large to be written out.

    >>> from diffkit.symbolic.symbols import symbol
    >>> x = symbol("x")
    >>> show(1 - x**2), show(x / (x + 1), "latex")
    ('1 − x²', '\\\\frac{x}{x + 1}')
    """
    return render(layout(expr), style)


class _Writer:
    """One pass: the layouts made so far, and what is known of the whole expression."""

    def __init__(self, root: sp.Basic) -> None:
        self.measures: Measures = measure(root)
        self.taken = {node.name for node in self.measures if isinstance(node, sp.Symbol)}
        self.exponents = [exponent for node in self.measures for exponent in _exponent(node)]
        self._done: dict[tuple[sp.Basic, bool], Node] = {}

    def __call__(self, expr: sp.Basic, *, inline: bool = False) -> Node:
        key = (expr, inline)
        if key not in self._done:
            rule = _rule(expr)
            if rule is None:
                raise UnsupportedFunction(
                    f"cannot print {type(expr).__name__}: no layout row; add one to RULES in "
                    "diffkit/symbolic/layout.py or rewrite the expression without it"
                )
            self._done[key] = rule(expr, self, inline)
        return self._done[key]


Rule = Callable[[Any, _Writer, bool], Node]


def _rule(expr: sp.Basic) -> Rule | None:
    return next((RULES[cls] for cls in type(expr).__mro__ if cls in RULES), None)


def _exponent(node: sp.Basic) -> tuple[sp.Basic, ...]:
    if isinstance(node, sp.exp):
        return node.args
    return (node.exp,) if isinstance(node, sp.Pow) else ()


def _rational(expr: sp.Rational, write: _Writer, inline: bool) -> Node:
    return number(Quotient(int(expr.p), int(expr.q)), inline=inline)


def _float(expr: sp.Float, write: _Writer, inline: bool) -> Node:
    return number(float(expr), DIGITS)


def _euler(expr: sp.Basic, write: _Writer, inline: bool) -> Node:
    return Apply(Operator("exp"), (Number("1"),)) if "e" in write.taken else Glyph("e")


def _glyph(name: str) -> Rule:
    return lambda expr, write, inline: Glyph(name)


def _text(words: str) -> Rule:
    return lambda expr, write, inline: Text(words)


def _add(expr: sp.Add, write: _Writer, inline: bool) -> Node:
    return Plus(tuple(write(term, inline=inline) for term in ordered_terms(expr, write.measures)))


def _mul(expr: sp.Mul, write: _Writer, inline: bool) -> Node:
    head, *rest = expr.args
    has_one_number = head.is_Number and not any(arg.is_Number for arg in rest)
    coefficient, factors = (head, rest) if has_one_number else (sp.S.One, list(expr.args))
    if coefficient.is_extended_negative:
        return Negative(_quotient(-coefficient, factors, write, inline))
    return _quotient(coefficient, factors, write, inline)


def _quotient(coefficient: sp.Number, factors: list[sp.Expr], write: _Writer, inline: bool) -> Node:
    """A positive coefficient times factors, those with negative powers below the bar."""
    ordered = ordered_factors(factors, write.measures)
    above = [write(factor, inline=inline) for factor in ordered if not _is_reciprocal(factor)]
    below = [
        _power(factor.base, -factor.exp, write, inline)
        for factor in ordered
        if _is_reciprocal(factor)
    ]
    if coefficient.is_Rational:
        above = ([Number(str(coefficient.p))] if coefficient.p != 1 else []) + above
        below = ([Number(str(coefficient.q))] if coefficient.q != 1 else []) + below
    elif coefficient != 1:
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


def _pow(expr: sp.Pow, write: _Writer, inline: bool) -> Node:
    if _is_reciprocal(expr):
        return Fraction(Number("1"), _power(expr.base, -expr.exp, write, inline), inline)
    return _power(expr.base, expr.exp, write, inline)


def _power(base: sp.Expr, exponent: sp.Expr, write: _Writer, inline: bool) -> Node:
    body = write(base, inline=inline)
    if exponent == 1:
        return body
    if exponent == sp.S.Half:
        return Root(body)
    return Superscript(body, write(exponent, inline=True))


def _exp(expr: sp.exp, write: _Writer, inline: bool) -> Node:
    exponent = expr.args[0]
    facts = write.measures[exponent]
    is_heavy = facts.has_block or facts.exponentials > 1 or facts.size > MAX_EXPONENT
    if is_heavy or "e" in write.taken:
        return Apply(Operator("exp"), (write(exponent, inline=inline),))
    return Superscript(Glyph("e"), write(exponent, inline=True))


def _call(function: Node, args: Any, write: _Writer, inline: bool) -> Node:
    return Apply(function, tuple(write(arg, inline=inline) for arg in args))


def _word(word: str) -> Rule:
    return lambda expr, write, inline: _call(Operator(word), expr.args, write, inline)


def _letter(name: str, word: str) -> Rule:
    """A function written with a Greek letter, unless a symbol of the formula has that name."""

    def rule(expr: Any, write: _Writer, inline: bool) -> Node:
        function = Operator(word) if name in write.taken else Name(name)
        return _call(function, expr.args, write, inline)

    return rule


#: Functions of the vocabulary that have a sign of their own; all others go by their names.
_SIGNS: dict[str, Rule] = {
    "sigmoid": _letter("sigma", "sigmoid"),
    "normal_cdf": _letter("Phi", "normal_cdf"),
    "normal_pdf": _letter("phi", "normal_pdf"),
    "log2": lambda e, write, inline: _call(_log("2"), e.args, write, inline),
    "log10": lambda e, write, inline: _call(_log("10"), e.args, write, inline),
    "exp2": lambda e, write, inline: Superscript(Number("2"), write(e.args[0], inline=True)),
    "cbrt": lambda e, write, inline: Root(write(e.args[0], inline=inline), Number("3")),
    "square": lambda e, write, inline: Superscript(write(e.args[0], inline=inline), Number("2")),
}


def _log(base: str) -> Node:
    return Subscript(Operator("log"), Number(base))


def _vocabulary(expr: ScalarFunction, write: _Writer, inline: bool) -> Node:
    name = expr.row.name
    if name in _SIGNS:
        return _SIGNS[name](expr, write, inline)
    return _call(Operator(name), expr._shown_args(), write, inline)


def _undefined(expr: AppliedUndef, write: _Writer, inline: bool) -> Node:
    return _call(Name(expr.func.__name__), expr.args, write, inline)


def _extremum(word: str) -> Rule:
    def rule(expr: Any, write: _Writer, inline: bool) -> Node:
        args = sorted(expr.args, key=lambda arg: not arg.is_Number)
        return _call(Operator(word), args, write, inline)

    return rule


def _fenced(left: str, right: str) -> Rule:
    return lambda expr, write, inline: Fence(write(expr.args[0], inline=inline), left, right)


def _loggamma(expr: Any, write: _Writer, inline: bool) -> Node:
    return Apply(Operator("log"), (_call(Name("Gamma"), expr.args, write, inline),))


def _polygamma(expr: sp.polygamma, write: _Writer, inline: bool) -> Node:
    order, argument = expr.args
    psi = Name("psi")
    function = psi if order == 0 else Superscript(psi, Fence(write(order, inline=True)))
    return _call(function, [argument], write, inline)


def _heaviside(expr: sp.Heaviside, write: _Writer, inline: bool) -> Node:
    shown = expr.args if expr.args[1:] != (sp.S.Half,) else expr.args[:1]
    return _call(Operator("Heaviside"), shown, write, inline)


def _big(operator: str) -> Rule:
    def rule(expr: Any, write: _Writer, inline: bool) -> Node:
        node = write(expr.function)
        for index, *bounds in expr.limits:
            lower: Node = write(index)
            if not bounds:
                node = Big(operator, node, lower)
                continue
            lower = relation(lower, "=", write(bounds[0], inline=True))
            node = Big(operator, node, lower, write(bounds[1], inline=True))
        return node

    return rule


def _integral(expr: sp.Integral, write: _Writer, inline: bool) -> Node:
    node = write(expr.function)
    for variable, *bounds in expr.limits:
        ends = [write(bound, inline=True) for bound in bounds]
        lower, upper = (None, None) if not ends else (ends[0] if len(ends) > 1 else None, ends[-1])
        node = Integral(node, write(variable), lower, upper)
    return node


def _derivative(expr: sp.Derivative, write: _Writer, inline: bool) -> Node:
    variables = tuple((write(variable), int(count)) for variable, count in expr.variable_count)
    is_partial = len(expr.expr.free_symbols) > 1
    return Derivative(write(expr.expr), variables, is_partial)


def _substituted(expr: sp.Subs, write: _Writer, inline: bool) -> Node:
    """f'(g(x)) where that is what it says, else [body] with the values as an index."""
    body, variables, values = expr.expr, expr.variables, expr.point
    if isinstance(body, sp.Derivative) and isinstance(body.expr, AppliedUndef):
        (variable, count), *more = body.variable_count
        if body.expr.args == (variable,) == tuple(variables) and not more:
            return _call(Prime(Name(body.expr.func.__name__), int(count)), values, write, inline)
    pairs = [
        relation(write(variable), "=", write(value, inline=True))
        for variable, value in zip(variables, values, strict=True)
    ]
    return Subscript(
        Fence(write(body), "[", "]"), pairs[0] if len(pairs) == 1 else Commas(tuple(pairs))
    )


def _relational(sign: str) -> Rule:
    return lambda expr, write, inline: relation(
        write(expr.lhs, inline=inline), sign, write(expr.rhs, inline=inline)
    )


def _logic(sign: Any) -> Rule:
    return lambda expr, write, inline: Logic(
        tuple(write(arg, inline=inline) for arg in expr.args), sign
    )


def _piecewise(expr: sp.Piecewise, write: _Writer, inline: bool) -> Node:
    rows = []
    for value, condition in expr.args:
        shown = Text("otherwise") if condition is sp.true else write(condition)
        rows.append((write(value), shown))
    return Cases(tuple(rows))


def _matrix(expr: sp.MatrixBase, write: _Writer, inline: bool) -> Node:
    return Matrix(tuple(tuple(write(entry) for entry in row) for row in expr.tolist()))


def _tuple(expr: sp.Tuple, write: _Writer, inline: bool) -> Node:
    return Fence(Commas(tuple(write(item, inline=inline) for item in expr.args)))


def _indexed(expr: sp.Indexed, write: _Writer, inline: bool) -> Node:
    items: list[Node] = []
    for index in expr.indices:
        items += ([Mark(",")] if items else []) + [write(index, inline=True)]
    return Subscript(Name(expr.base.name), items[0] if len(items) == 1 else Row(tuple(items)))


def _lambda(expr: sp.Lambda, write: _Writer, inline: bool) -> Node:
    names = [write(variable) for variable in expr.variables]
    left = names[0] if len(names) == 1 else Fence(Commas(tuple(names)))
    return relation(left, "↦", write(expr.expr))


RULES: dict[type, Rule] = {
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
    sp.exp: _exp,
    ScalarFunction: _vocabulary,
    AppliedUndef: _undefined,
    sp.Abs: _fenced("|", "|"),
    sp.floor: _fenced("⌊", "⌋"),
    sp.ceiling: _fenced("⌈", "⌉"),
    sp.Max: _extremum("max"),
    sp.Min: _extremum("min"),
    sp.Heaviside: _heaviside,
    sp.gamma: _letter("Gamma", "gamma"),
    sp.loggamma: _loggamma,
    sp.polygamma: _polygamma,
    sp.DiracDelta: _letter("delta", "DiracDelta"),
    sp.Sum: _big("sum"),
    sp.Product: _big("prod"),
    sp.Integral: _integral,
    sp.Derivative: _derivative,
    sp.Subs: _substituted,
    sp.Piecewise: _piecewise,
    sp.Eq: _relational("="),
    sp.Ne: _relational("≠"),
    sp.StrictLessThan: _relational("<"),
    sp.LessThan: _relational("≤"),
    sp.StrictGreaterThan: _relational(">"),
    sp.GreaterThan: _relational("≥"),
    sp.And: _logic("∧"),
    sp.Or: _logic("∨"),
    sp.Not: lambda expr, write, inline: Not(write(expr.args[0], inline=inline)),
    sp.MatrixBase: _matrix,
    sp.Tuple: _tuple,
    sp.Indexed: _indexed,
    sp.Lambda: _lambda,
}
RULES |= {
    cls: _word(word)
    for cls, word in (
        (sp.log, "log"),
        (sp.sin, "sin"),
        (sp.cos, "cos"),
        (sp.tan, "tan"),
        (sp.cot, "cot"),
        (sp.sec, "sec"),
        (sp.csc, "csc"),
        (sp.asin, "arcsin"),
        (sp.acos, "arccos"),
        (sp.atan, "arctan"),
        (sp.atan2, "atan2"),
        (sp.sinh, "sinh"),
        (sp.cosh, "cosh"),
        (sp.tanh, "tanh"),
        (sp.coth, "coth"),
        (sp.sech, "sech"),
        (sp.csch, "csch"),
        (sp.asinh, "arsinh"),
        (sp.acosh, "arcosh"),
        (sp.atanh, "artanh"),
        (sp.erf, "erf"),
        (sp.erfc, "erfc"),
        (sp.erfinv, "erfinv"),
        (sp.sign, "sign"),
        (sp.sinc, "sinc"),
        (sp.LambertW, "LambertW"),
        (sp.besselj, "besselj"),
        (sp.besseli, "besseli"),
        (sp.factorial, "factorial"),
        (sp.binomial, "binomial"),
    )
}

"""From SymPy expressions to formula text that the parser reads back as the same expression.

The law of the file: what it prints has exactly one reading, and that reading is the
expression.  What formula text cannot spell is refused, never approximated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import sympy as sp
from mpmath.libmp import repr_dps, to_str
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from diffkit.core.errors import UnsupportedFunction, UsageError
from diffkit.symbolic.arrangement import Measures, measure, ordered_factors, ordered_terms
from diffkit.symbolic.scalar_function import ScalarFunction
from diffkit.symbolic.walk import nodes

MAX_NODES = 200_000


class Level(IntEnum):
    """How strongly a piece of text holds together, weakest first."""

    OR = 0
    AND = 1
    COMPARE = 2
    SUM = 3
    PRODUCT = 4
    POWER = 5
    ATOM = 6


@dataclass(frozen=True, slots=True)
class Written:
    """The text of a subexpression."""

    text: str
    level: Level = Level.ATOM

    def within(self, level: Level) -> str:
        """The text, in parentheses unless it holds together at least as strongly as `level`."""
        return self.text if self.level >= level else f"({self.text})"


def source(expr: sp.Basic) -> str:
    """Write an expression, relation or statement as formula text.

    Args:
        expr: Real expression of SymPy's elementary classes and the vocabulary.

    Raises:
        UnsupportedFunction: a class formula text has no spelling for; the message names it.
        UsageError: a symbol whose name is no identifier, or text of more than `MAX_NODES` parts.

    >>> from diffkit.symbolic.symbols import symbol
    >>> x, y = symbol("x"), symbol("y")
    >>> source(-x / (2 * y)), source(sp.exp(-(x**2)) * sp.sqrt(y))
    ('-x/(2*y)', 'sqrt(y)*exp(-x**2)')
    """
    if isinstance(expr, sp.MatrixBase):
        raise UnsupportedFunction("formula text has no matrices; write each entry as a formula")
    measures = measure(expr)
    if measures[expr].size > MAX_NODES:
        raise UsageError(
            f"written out, this formula has more than {MAX_NODES} parts: it repeats large "
            "subexpressions; print those as definitions of their own (`sympy.cse` finds them)"
        )
    done: Done = {}
    for node in nodes(expr):
        rule = next((RULES[cls] for cls in type(node).__mro__ if cls in RULES), None)
        if rule is None:
            raise UnsupportedFunction(
                f"formula text has no spelling for {type(node).__name__}; "
                "rewrite the expression without it"
            )
        done[node] = rule(node, done, measures)
    return done[expr].text


Done = dict[sp.Basic, Written]
Rule = Callable[[Any, Done, Measures], Written]


def _symbol(expr: sp.Symbol, done: Done, measures: Measures) -> Written:
    if not expr.name.isidentifier():
        raise UsageError(
            f"the symbol {expr.name!r} has no spelling in formula text; "
            "rename it with letters, digits and underscores"
        )
    return Written(expr.name)


def _rational(expr: sp.Rational, done: Done, measures: Measures) -> Written:
    if expr.is_negative:
        return Written(str(expr), Level.SUM)
    return Written(str(expr), Level.ATOM if expr.is_Integer else Level.PRODUCT)


def _float(expr: sp.Float, done: Done, measures: Measures) -> Written:
    if expr.is_negative:
        return Written(f"-{_decimal(-expr)}", Level.SUM)
    return Written(_decimal(expr))


def _decimal(expr: sp.Float) -> str:
    """The shortest decimal that rounds to a double; all digits of any other precision."""
    is_double = expr._prec == 53
    text = repr(float(expr)) if is_double else to_str(expr._mpf_, repr_dps(expr._prec))
    return text.removesuffix(".0")


def _add(expr: sp.Add, done: Done, measures: Measures) -> Written:
    pieces: list[str] = []
    for term in ordered_terms(expr, measures):
        written = done[term]
        if written.text.startswith("-") and written.level == Level.SUM and not term.is_Add:
            pieces.append(f" - {written.text[1:]}" if pieces else written.text)
        else:
            text = written.within(Level.PRODUCT)
            pieces.append(f" + {text}" if pieces else text)
    return Written("".join(pieces), Level.SUM)


def _mul(expr: sp.Mul, done: Done, measures: Measures) -> Written:
    head, *rest = expr.args
    if not (head.is_Number and head.is_finite) or any(arg.is_Number for arg in rest):
        return _quotient(sp.S.One, list(expr.args), done, measures)
    if head.is_negative:
        written = _quotient(-head, rest, done, measures)
        return Written(f"-{written.text}", Level.SUM)
    return _quotient(head, rest, done, measures)


def _quotient(
    coefficient: sp.Number, factors: list[sp.Expr], done: Done, measures: Measures
) -> Written:
    above, below = [], []
    for factor in ordered_factors(factors, measures):
        if isinstance(factor, sp.Pow) and factor.exp.is_Rational and factor.exp.is_negative:
            below.append(_power(factor.base, -factor.exp, done).within(Level.POWER))
        else:
            above.append(done[factor].within(Level.POWER))
    if not coefficient.is_Rational:
        above = [_decimal(coefficient), *above] if float(coefficient) != 1 else above
    else:
        above = [str(coefficient.p), *above] if coefficient.p != 1 else above
        below = [str(coefficient.q), *below] if coefficient.q != 1 else below
    numerator = "*".join(above) or "1"
    if not below:
        return Written(numerator, Level.PRODUCT if len(above) > 1 else Level.POWER)
    denominator = below[0] if len(below) == 1 else f"({'*'.join(below)})"
    return Written(f"{numerator}/{denominator}", Level.PRODUCT)


def _pow(expr: sp.Pow, done: Done, measures: Measures) -> Written:
    if expr.exp.is_Rational and expr.exp.is_negative:
        below = _power(expr.base, -expr.exp, done).within(Level.POWER)
        return Written(f"1/{below}", Level.PRODUCT)
    return _power(expr.base, expr.exp, done)


def _power(base: sp.Expr, exponent: sp.Expr, done: Done) -> Written:
    if exponent == 1:
        return done[base]
    if exponent == sp.S.Half:
        return Written(f"sqrt({done[base].text})")
    raised = str(exponent) if exponent.is_Rational else done[exponent].text
    is_bare = raised.isalnum()
    below = done[base].within(Level.ATOM)
    return Written(f"{below}**{raised if is_bare else f'({raised})'}", Level.POWER)


def _call(name: str, args: Any, done: Done) -> Written:
    return Written(f"{name}({', '.join(done[arg].text for arg in args)})")


def _function(expr: sp.Function, done: Done, measures: Measures) -> Written:
    return _call(expr.func.__name__, expr.args, done)


def _vocabulary(expr: ScalarFunction, done: Done, measures: Measures) -> Written:
    return _call(expr.row.name, expr._shown_args(), done)


def _polygamma(expr: sp.polygamma, done: Done, measures: Measures) -> Written:
    order, argument = expr.args
    return _call("digamma", [argument], done) if order == 0 else _function(expr, done, measures)


def _heaviside(expr: sp.Heaviside, done: Done, measures: Measures) -> Written:
    value = expr.args[1] if len(expr.args) > 1 else sp.S.Half
    return _call("step", [expr.args[0], value], {**done, value: Written(str(value))})


def _with_limits(expr: Any, done: Done, measures: Measures) -> Written:
    return _call(type(expr).__name__, expr.args, done)


def _derivative(expr: sp.Derivative, done: Done, measures: Measures) -> Written:
    variables = [
        done[variable].text if count == 1 else f"({done[variable].text}, {count})"
        for variable, count in expr.variable_count
    ]
    return Written(f"Derivative({', '.join([done[expr.expr].text, *variables])})")


def _tuple(expr: sp.Tuple, done: Done, measures: Measures) -> Written:
    return Written(f"({', '.join(done[arg].text for arg in expr.args)})")


def _relational(sign: str) -> Rule:
    def rule(expr: Any, done: Done, measures: Measures) -> Written:
        left, right = done[expr.lhs].within(Level.SUM), done[expr.rhs].within(Level.SUM)
        return Written(f"{left} {sign} {right}", Level.COMPARE)

    return rule


def _joined(word: str, level: Level) -> Rule:
    def rule(expr: Any, done: Done, measures: Measures) -> Written:
        tighter = Level(level + 1)
        return Written(f" {word} ".join(done[arg].within(tighter) for arg in expr.args), level)

    return rule


def _not(expr: sp.Not, done: Done, measures: Measures) -> Written:
    return Written(f"not {done[expr.args[0]].within(Level.ATOM)}", Level.AND)


def _constant(name: str, level: Level = Level.ATOM) -> Rule:
    return lambda expr, done, measures: Written(name, level)


_FUNCTIONS = (
    *(sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.sec, sp.csc, sp.cot),
    *(sp.asin, sp.acos, sp.atan, sp.acot, sp.atan2),
    *(sp.sinh, sp.cosh, sp.tanh, sp.sech, sp.csch, sp.coth, sp.asinh, sp.acosh, sp.atanh),
    *(sp.erf, sp.erfc, sp.erfi, sp.erfinv, sp.gamma, sp.loggamma, sp.beta),
    *(sp.zeta, sp.factorial, sp.binomial, sp.sign, sp.floor, sp.ceiling, sp.Abs),
    *(sp.Max, sp.Min, sp.LambertW),
)

RULES: Mapping[type, Rule] = {
    sp.Symbol: _symbol,
    sp.Rational: _rational,
    sp.Float: _float,
    type(sp.pi): _constant("pi"),
    type(sp.S.Exp1): _constant("E"),
    type(sp.S.EulerGamma): _constant("EulerGamma"),
    type(sp.oo): _constant("oo"),
    type(-sp.oo): _constant("-oo", Level.SUM),
    BooleanTrue: _constant("True"),
    BooleanFalse: _constant("False"),
    sp.Add: _add,
    sp.Mul: _mul,
    sp.Pow: _pow,
    sp.UnevaluatedExpr: lambda expr, done, measures: done[expr.args[0]],
    **dict.fromkeys(_FUNCTIONS, _function),
    sp.polygamma: _polygamma,
    ScalarFunction: _vocabulary,
    sp.Heaviside: _heaviside,
    sp.Sum: _with_limits,
    sp.Product: _with_limits,
    sp.Integral: _with_limits,
    sp.Derivative: _derivative,
    sp.Piecewise: _with_limits,
    sp.Tuple: _tuple,
    sp.Eq: _relational("=="),
    sp.Ne: _relational("!="),
    sp.StrictLessThan: _relational("<"),
    sp.LessThan: _relational("<="),
    sp.StrictGreaterThan: _relational(">"),
    sp.GreaterThan: _relational(">="),
    sp.And: _joined("and", Level.AND),
    sp.Or: _joined("or", Level.OR),
    sp.Not: _not,
}

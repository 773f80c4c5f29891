"""How functions are written: by a word, by a letter where that is the custom, by brackets.

A Greek letter that is also a symbol of the formula gives way to the word.
"""

from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from diffkit.symbolic.layout_pass import Rule, Writer
from diffkit.symbolic.scalar_function import ScalarFunction
from diffkit.typeset import (
    Apply,
    Fence,
    Glyph,
    Name,
    Node,
    Number,
    Operator,
    Root,
    Subscript,
    Superscript,
)

#: An exponent with more nodes is set as exp(...), which can be read.
MAX_EXPONENT = 40


def _exp(expr: sp.exp, write: Writer, inline: bool) -> Node:
    exponent = expr.args[0]
    facts = write.measures[exponent]
    is_heavy = facts.has_block or facts.exponentials > 1 or facts.size > MAX_EXPONENT
    if is_heavy or "e" in write.taken:
        return Apply(Operator("exp"), (write(exponent, inline=inline),))
    return Superscript(Glyph("e"), write(exponent, inline=True))


def call(function: Node, args: Any, write: Writer, inline: bool) -> Node:
    """Return the layout of `function` applied to the expressions `args`."""
    return Apply(function, tuple(write(arg, inline=inline) for arg in args))


def _word(word: str) -> Rule:
    return lambda expr, write, inline: call(Operator(word), expr.args, write, inline)


def _letter(name: str, word: str) -> Rule:
    """A function written with a Greek letter, unless a symbol of the formula has that name."""

    def rule(expr: Any, write: Writer, inline: bool) -> Node:
        function = Operator(word) if name in write.taken else Name(name)
        return call(function, expr.args, write, inline)

    return rule


#: Functions of the vocabulary that have a sign of their own; all others go by their names.
_SIGNS: dict[str, Rule] = {
    "sigmoid": _letter("sigma", "sigmoid"),
    "normal_cdf": _letter("Phi", "normal_cdf"),
    "normal_pdf": _letter("phi", "normal_pdf"),
    "log2": lambda e, write, inline: call(_log("2"), e.args, write, inline),
    "log10": lambda e, write, inline: call(_log("10"), e.args, write, inline),
    "exp2": lambda e, write, inline: Superscript(Number("2"), write(e.args[0], inline=True)),
    "cbrt": lambda e, write, inline: Root(write(e.args[0], inline=inline), Number("3")),
    "square": lambda e, write, inline: Superscript(write(e.args[0], inline=inline), Number("2")),
}


def _log(base: str) -> Node:
    return Subscript(Operator("log"), Number(base))


def _vocabulary(expr: ScalarFunction, write: Writer, inline: bool) -> Node:
    name = expr.row.name
    if name in _SIGNS:
        return _SIGNS[name](expr, write, inline)
    return call(Operator(name), expr._shown_args(), write, inline)


def _undefined(expr: AppliedUndef, write: Writer, inline: bool) -> Node:
    return call(Name(expr.func.__name__), expr.args, write, inline)


def _extremum(word: str) -> Rule:
    def rule(expr: Any, write: Writer, inline: bool) -> Node:
        args = sorted(expr.args, key=lambda arg: not arg.is_Number)
        return call(Operator(word), args, write, inline)

    return rule


def _fenced(left: str, right: str) -> Rule:
    return lambda expr, write, inline: Fence(write(expr.args[0], inline=inline), left, right)


def _loggamma(expr: Any, write: Writer, inline: bool) -> Node:
    return Apply(Operator("log"), (call(Name("Gamma"), expr.args, write, inline),))


def _polygamma(expr: sp.polygamma, write: Writer, inline: bool) -> Node:
    order, argument = expr.args
    psi = Name("psi")
    function = psi if order == 0 else Superscript(psi, Fence(write(order, inline=True)))
    return call(function, [argument], write, inline)


def _heaviside(expr: sp.Heaviside, write: Writer, inline: bool) -> Node:
    shown = expr.args if expr.args[1:] != (sp.S.Half,) else expr.args[:1]
    return call(Operator("Heaviside"), shown, write, inline)


_WORDS = {
    sp.log: "log",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.tan: "tan",
    sp.cot: "cot",
    sp.sec: "sec",
    sp.csc: "csc",
    sp.asin: "arcsin",
    sp.acos: "arccos",
    sp.atan: "arctan",
    sp.acot: "arccot",
    sp.atan2: "atan2",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.coth: "coth",
    sp.sech: "sech",
    sp.csch: "csch",
    sp.asinh: "arsinh",
    sp.acosh: "arcosh",
    sp.atanh: "artanh",
    sp.erf: "erf",
    sp.erfc: "erfc",
    sp.erfi: "erfi",
    sp.erfinv: "erfinv",
    sp.sign: "sign",
    sp.sinc: "sinc",
    sp.LambertW: "LambertW",
    sp.besselj: "besselj",
    sp.besseli: "besseli",
    sp.zeta: "zeta",
    sp.beta: "beta",
    sp.factorial: "factorial",
    sp.binomial: "binomial",
}

FUNCTION_RULES: dict[type, Rule] = {
    **{cls: _word(word) for cls, word in _WORDS.items()},
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
}

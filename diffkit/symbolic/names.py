"""The names a formula may call: SymPy's functions and the vocabulary, with their spellings.

One table from text to SymPy class.  Symbols are not here: any other name is one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import sympy as sp

from diffkit.symbolic.vocabulary import FUNCTIONS, ROWS


@dataclass(frozen=True)
class Callee:
    """A function of the grammar.

    Args:
        make: Arguments -> expression.
        least: Fewest arguments.
        most: Most arguments, inf if any number.
    """

    make: Callable[..., sp.Basic]
    least: int = 1
    most: float = 1


def _logarithm(x: sp.Expr, base: sp.Expr | None = None) -> sp.Expr:
    return sp.log(x) if base is None else sp.log(x) / sp.log(base)


_SYMPY_ONE = (
    "exp log sin cos tan sec csc cot asin acos atan acot sinh cosh tanh sech csch coth asinh acosh "
    "atanh sqrt erf erfc erfi erfinv gamma loggamma digamma zeta factorial sign floor"
)
_SPELLINGS = {
    "ln": "log",
    "abs": "Abs",
    "fabs": "Abs",
    "absolute": "Abs",
    "ceil": "ceiling",
    "sgn": "sign",
    "lgamma": "loggamma",
    "gammaln": "loggamma",
    "Gamma": "gamma",
    "psi": "digamma",
    "max": "Max",
    "maximum": "Max",
    "min": "Min",
    "minimum": "Min",
    "power": "pow",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "lambertw": "LambertW",
}

_SYMPY: dict[str, Callee] = {
    **{name: Callee(getattr(sp, name)) for name in _SYMPY_ONE.split()},
    "log": Callee(_logarithm, 1, 2),
    "Abs": Callee(sp.Abs),
    "ceiling": Callee(sp.ceiling),
    "Max": Callee(sp.Max, 1, 12),
    "Min": Callee(sp.Min, 1, 12),
    "atan2": Callee(sp.atan2, 2, 2),
    "beta": Callee(sp.beta, 2, 2),
    "polygamma": Callee(sp.polygamma, 2, 2),
    "binomial": Callee(sp.binomial, 2, 2),
    "LambertW": Callee(sp.LambertW, 1, 1),
    "pow": Callee(sp.Pow, 2, 2),
}

#: Forms whose arguments are not all plain expressions; `parse` builds them.
SPECIAL_FORMS: Mapping[str, tuple[int, float]] = {
    "Rational": (1, 2),
    "Piecewise": (1, inf),
    "where": (3, 3),
    "Derivative": (2, inf),
    "diff": (2, inf),
    "Sum": (2, inf),
    "Product": (2, inf),
    "Integral": (2, inf),
}

CONSTANTS: Mapping[str, sp.Expr] = {
    "pi": sp.pi,
    "E": sp.E,
    "EulerGamma": sp.EulerGamma,
}

#: Names of infinity, which only ends a range.
INFINITE = frozenset({"oo", "inf"})

#: Functions whose names are also common symbols: without parentheses they are symbols.
ALSO_SYMBOLS = frozenset({"beta", "gamma", "zeta", "sigma", "psi", "Phi", "Gamma", "step", "hinge"})

_VOCABULARY = {
    name: Callee(FUNCTIONS[name], row.min_arity, row.arity)
    for row in ROWS
    for name in (row.name, *row.aliases)
}

#: Every plain function by every spelling.
CALLEES: Mapping[str, Callee] = {
    **_SYMPY,
    **{spelling: _SYMPY[name] for spelling, name in _SPELLINGS.items()},
    **_VOCABULARY,
}


def function_names() -> list[str]:
    """One name of every function that can be called, sorted."""
    return sorted({*_SYMPY, *SPECIAL_FORMS, *(row.name for row in ROWS)}, key=str.lower)

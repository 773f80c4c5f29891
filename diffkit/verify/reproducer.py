"""Three lines of SymPy that show a refutation to somebody who does not have diffkit."""

from collections.abc import Mapping
from fractions import Fraction

from diffkit.symbolic.layout import source
from diffkit.symbolic.vocabulary import definition
from diffkit.verify.question import Expr, Question

#: Functions diffkit names otherwise than SymPy does.
_SYMPY_NAMES = {"lgamma": "loggamma", "abs": "Abs", "max": "Max", "min": "Min"}


def lines(question: Question, point: Mapping[str, Fraction]) -> str:
    """Return a reproducer: import, the target as a function, the two numbers side by side.

    For a derivative the true side is a symmetric difference quotient in 60 digits, so the
    reader need not trust anybody's differentiation rules.
    """
    target, claimed = _text(question.target), _text(question.claimed)
    names = sorted(point)
    fixed = ", ".join(f"{name}={_number(point[name])}" for name in names)
    head = f"from sympy import *; h = Rational(1, 10**12); {_symbols(names)}"
    if question.order == 0:
        inserted = f"Subs(e, {_pairs(names, point)}).doit()" if names else "e"
        return (
            f"{head}\n"
            f"left, right = {target}, {claimed}\n"
            f"print(*[N({inserted}, 12) for e in (S(left), S(right))])"
        )
    stencil = {
        1: "(f(x0 + h) - f(x0 - h)) / (2*h)",
        2: "(f(x0 + h) - 2*f(x0) + f(x0 - h)) / h**2",
    }.get(question.order)
    if stencil is None:
        stencil = (
            f"sum((-1)**k * binomial({question.order}, k) * "
            f"f(x0 + (Rational({question.order}, 2) - k)*h) for k in range({question.order} + 1))"
            f" / h**{question.order}"
        )
    name = str(question.wrt)
    others = {key: value for key, value in point.items() if key != name}
    return (
        f"{head}\n"
        f"f = lambda u: S({target}).subs({_substitution(others)}).subs({name}, u); "
        f"x0 = {_number(point[name])}\n"
        f"print(N({stencil}, 12, maxn=400), N(S({claimed}).subs({_substitution(others)})"
        f".subs({name}, x0), 12))  # {fixed}"
    )


def _symbols(names: list[str]) -> str:
    if not names:
        return "pass"
    return "; ".join(f'{name} = Symbol("{name}", real=True)' for name in names)


def _text(expr: Expr) -> str:
    text = source(definition(expr))
    for ours, theirs in _SYMPY_NAMES.items():
        text = text.replace(f"{ours}(", f"{theirs}(")
    return text


def _number(value: Fraction) -> str:
    return (
        str(value)
        if value.denominator == 1
        else f"Rational({value.numerator}, {value.denominator})"
    )


def _substitution(point: Mapping[str, Fraction]) -> str:
    return (
        "{" + ", ".join(f"{name}: {_number(value)}" for name, value in sorted(point.items())) + "}"
    )


def _pairs(names: list[str], point: Mapping[str, Fraction]) -> str:
    variables = ", ".join(names)
    values = ", ".join(_number(point[name]) for name in names)
    return f"({variables},), ({values},)"

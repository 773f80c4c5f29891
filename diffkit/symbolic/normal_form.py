r"""Normal forms: every formula as a quotient of polynomials over independent generators.

Exponentials of sums split ($e^{x+2y} = e^x (e^y)^2$), logarithms of products split into
$\log|f|$ of irreducible factors, sin and cos into those of base angles with $s^2 + c^2 = 1$,
fractional powers into roots of irreducible factors; functions of the vocabulary by definition.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import NoClosedForm
from diffkit.symbolic import reduction_rules  # noqa: F401  (fills Reduction.rules)
from diffkit.symbolic.reduction import Reduction, Setting, Undefined
from diffkit.symbolic.signs import range_of
from diffkit.symbolic.sums import closed_forms
from diffkit.symbolic.tower import OutOfGenerators, Refine, TooLarge, Tower
from diffkit.symbolic.vocabulary import definition

Domains = Mapping[str, Domain]
Answer = TypeVar("Answer")

#: Restarts allowed: each makes an exponent finer or the ring bigger.
RESTARTS = 60


def normal_form(expr: sp.Expr, domains: Domains | None = None) -> sp.Expr:
    """Return the normal form of `expr`: equal to it wherever both are finite real numbers.

    Args:
        expr: A real expression of SymPy and vocabulary functions.
        domains: Name -> domain of a symbol; what is left out is any real number.

    Returns:
        A quotient of polynomials in the generators; at single points where a modulus, a sign or
        a denominator is zero it may be undefined though `expr` is not.  Expressions with one
        normal form are equal wherever both are real; the converse holds for generators that are
        independent.

    Raises:
        UnsupportedFunction: a function or constant without a rule.
        NoClosedForm: the expanded form would be too big, or the expression is nowhere real.

    >>> x = sp.Symbol("x", real=True)
    >>> normal_form(sp.log(1 + sp.exp(x)) - sp.log(1 + sp.exp(-x)))
    x
    """
    domains = domains or {}
    plain = closed_forms(definition(expr), domains)
    setting = Setting(domains, splits=False)
    try:
        form = reduce_in(setting, lambda r: r.normal(plain))
    except TooLarge:
        raise NoClosedForm("the normal form is too big to write out; compare numerically") from None
    except Undefined:
        raise NoClosedForm(f"{expr} is nowhere a finite real number") from None
    return form.replace(sp.Abs, lru_cache(lambda u: _without_modulus(u, domains)))


def _without_modulus(u: sp.Expr, domains: Domains) -> sp.Expr:
    sign = range_of(u, domains).sign
    return sp.Abs(u) if sign is None else sign * u


def reduce_in(setting: Setting, task: Callable[[Reduction], Answer]) -> Answer:
    """Run `task` in a fresh tower, again with finer generators or a bigger ring where it asks.

    Raises:
        TooLarge: it never comes to an end within the limits.
        NeedSign: `setting.splits` and the sign of some factor matters.
        Undefined: an expression is nowhere real.
        UnsupportedFunction: a function without a rule.
    """
    capacity = 24
    for _ in range(RESTARTS):
        try:
            return task(Reduction(setting, Tower(capacity)))
        except Refine:
            continue
        except RecursionError:
            raise TooLarge from None
        except OutOfGenerators:
            capacity *= 2
            if capacity > 200:
                raise TooLarge from None
    raise TooLarge

"""Limits on arithmetic with plain numbers, checked before SymPy computes.

SymPy evaluates 9**9**9, factorial(10**8) and digamma(10**8) as soon as they are written.  A formula
about derivatives needs none of that: numbers of more than `MAX_DIGITS` digits are refused.
"""

from math import log10

import sympy as sp

from diffkit.core.errors import DomainError, Undecidable, UnknownNameError, UnsupportedFunction
from diffkit.symbolic.evaluation import enclosure
from diffkit.symbolic.tokens import MAX_DIGITS

#: Largest whole argument at which SymPy may expand a factorial, a gamma function or a zeta value.
MAX_EXPANDED = 300
#: Factors of a binomial coefficient of an irrational number, which SymPy writes out.
MAX_FACTORS = 20
_EXPANDED = frozenset(
    {"factorial", "binomial", "gamma", "loggamma", "digamma", "polygamma", "zeta", "beta"}
)
#: Functions whose value has as many digits as their argument is large.
_LIMITS = {
    **dict.fromkeys(("exp", "sinh", "cosh", "sech", "csch", "erfi"), 1e5),
    **dict.fromkeys(("floor", "ceiling"), 1e15),
}
_INTEGER_PARTS = frozenset({"floor", "ceiling"})
#: Comparisons of two arguments that the Max and Min of one formula may cost.
MAX_COMPARISONS = 600


class TooLargeError(Exception):
    """A number of too many digits would be computed; carries the sentence for the user."""


def check_power(base: sp.Expr, exponent: sp.Expr) -> None:
    """Refuse a power that SymPy would multiply out to more than `MAX_DIGITS` digits."""
    if not exponent.is_number:
        return
    size = _magnitude(exponent)
    for factor in sp.Mul.make_args(base):
        if not factor.is_number or factor in (sp.S.One, sp.S.NegativeOne, sp.S.Zero):
            continue
        if factor is sp.E:
            check_call("exp", [exponent])
        elif size * _power_digits(factor) > MAX_DIGITS:
            raise TooLargeError(
                f"this power has more than {MAX_DIGITS} digits; write a name for it"
            )


def _power_digits(number: sp.Expr) -> float:
    """Digits that each unit of the exponent adds to a power of `number`."""
    if number.is_Rational:
        return _digits(number)
    return abs(log10(_magnitude(number) or 1)) + 1


def check_product(factors: list[sp.Expr]) -> None:
    """Refuse a product of numbers with too many digits."""
    if sum(_digits(factor) for factor in factors if factor.is_Rational) > 2 * MAX_DIGITS:
        raise TooLargeError(f"this product has more than {MAX_DIGITS} digits; write a name for it")


def check_sum(terms: list[sp.Expr]) -> None:
    """Refuse a sum of fractions with too many digits in its common denominator."""
    if sum(len(str(term.q)) for term in terms if term.is_Rational and term.q > 1) > 2 * MAX_DIGITS:
        raise TooLargeError(f"this sum has more than {MAX_DIGITS} digits; write a name for it")


def check_call(name: str, args: list[sp.Expr]) -> None:
    """Refuse a function of a number that SymPy would expand, or that is astronomically large.

    Args:
        name: Name of the SymPy class.
        args: Its arguments.
    """
    limit = MAX_EXPANDED if name in _EXPANDED else _LIMITS.get(name)
    if limit is None:
        return
    if name == "binomial" and args[0].is_number and not args[0].is_Rational:
        limit = MAX_FACTORS
    for arg in args:
        is_safe = not arg.is_number or (arg.is_Rational and name in _INTEGER_PARTS)
        if not is_safe and _magnitude(arg) > limit:
            raise TooLargeError(
                f"{name} of a number beyond {limit:.0f} is not computed; write a name for it"
            )


def check_result(result: sp.Basic) -> None:
    """Refuse a number that has too many digits."""
    numbers = result.as_coeff_Mul()[0] if isinstance(result, sp.Expr) else None
    if isinstance(numbers, sp.Rational) and _digits(numbers) > MAX_DIGITS + 1:
        raise TooLargeError(f"this number has more than {MAX_DIGITS} digits; write a name for it")


def _digits(number: sp.Rational) -> int:
    """Decimal digits of numerator and denominator, whichever has more."""
    bits = max(abs(int(number.p)).bit_length(), int(number.q).bit_length())
    return max(1, int(bits * log10(2)))


def _magnitude(number: sp.Expr) -> float:
    """Absolute value of a number as a float, inf if it has none or it is beyond floats."""
    try:
        if number.is_Rational:
            return abs(int(number.p) / int(number.q))
        return abs(float(enclosure(number, {}, 64)[0]))
    except (OverflowError, DomainError):
        return float("inf")
    except (Undecidable, UnknownNameError, UnsupportedFunction):
        return 0.0

"""Addition, multiplication, division and powers of germs, faults included.

Coefficients are exact rationals as long as they are small, else balls.  A fault (an infinity, a
NaN, "undecided") is a value with IEEE's rules, so that the branch of a `where` that is not taken
may be thrown away.  Every function takes the algebra first and makes germs through it.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import inf, prod
from typing import Any

from flint import arb, arb_series, fmpq

from diffkit.core.errors import Undecidable
from diffkit.numeric.algebra import Exact

Coefficient = fmpq | arb
Exponent = int | Fraction
Key = tuple[Exponent, int]

_LARGEST_RATIONAL = 4096  # bits; beyond, a ball is cheaper and exact at the last precisions
_FLIPPED = {"+inf": "-inf", "-inf": "+inf"}


def exact(value: Exact) -> fmpq:
    """The exact rational equal to a number; a float counts with its binary value."""
    # a NumPy float32 is no Python number, but its value is a double
    number = value if isinstance(value, int | float | Fraction) else float(value)
    numerator, denominator = Fraction(number).as_integer_ratio()
    return fmpq(numerator, denominator)


def ball(value: Coefficient) -> arb:
    """A coefficient as a ball."""
    return value if isinstance(value, arb) else arb(value)


def tidy(value: Coefficient) -> Coefficient | None:
    """`value` as an exact rational where it is one of moderate size; None when not finite."""
    if isinstance(value, fmpq):
        size = max(int(value.p).bit_length(), int(value.q).bit_length())
        return value if size <= _LARGEST_RATIONAL else arb(value)
    if not value.is_finite():
        return None
    if value.is_exact():
        mantissa, exponent = value.man_exp()
        if abs(exponent) < _LARGEST_RATIONAL // 2:
            return fmpq(mantissa) * fmpq(2) ** int(exponent)
    return value


def is_zero(value: Coefficient) -> bool:
    """Whether a coefficient is the number zero, proved."""
    # a ball that contains 0 is not 0: `!=` of balls means "certainly different"
    return bool(value.is_zero()) if isinstance(value, arb) else value == 0


def sign_of(value: Coefficient) -> int | None:
    """Sign of a coefficient, None when its ball contains zero."""
    if value > 0:
        return 1
    if value < 0:
        return -1
    return 0 if value == 0 else None


def add(algebra: Any, a: Any, b: Any) -> Any:
    """The sum of two germs."""
    if a.fault or b.fault:
        return _faulty_sum(algebra, a, b)
    if a.is_exact_zero or b.is_exact_zero:
        return b if a.is_exact_zero else a
    if algebra.opposites.get(a.key) is b:
        return algebra.constant(0)
    terms = dict(a.terms)
    order = min(a.order, b.order)
    for key, value in b.terms.items():
        terms[key] = terms[key] + value if key in terms else value
    if order != inf:
        terms = {key: value for key, value in terms.items() if key[0] < order}
    return algebra.make(terms, order)


def _faulty_sum(algebra: Any, a: Any, b: Any) -> Any:
    faults = {a.fault, b.fault} - {""}
    if "undecided" in faults:
        return algebra.make({}, fault="undecided")
    if "nan" in faults or len(faults) > 1 or (a.fault == b.fault == "inf"):
        return algebra.make({}, fault="nan")
    return algebra.make({}, order=min(a.order, b.order), fault=faults.pop())


def neg(algebra: Any, a: Any) -> Any:
    """The negative of a germ; twice is the germ itself."""
    known = algebra.opposites.get(a.key)
    if known is not None:
        return known
    terms = {key: -value for key, value in a.terms.items()}
    negative = algebra.make(terms, a.order, _FLIPPED.get(a.fault, a.fault))
    algebra.opposites[a.key] = negative
    algebra.opposites[negative.key] = a
    return negative


def sub(algebra: Any, a: Any, b: Any) -> Any:
    """The difference; a germ minus itself is the number zero."""
    if a is b and not a.fault:
        return algebra.constant(0)
    return add(algebra, a, neg(algebra, b))


def mul(algebra: Any, a: Any, b: Any) -> Any:
    """The product; the number zero times any finite germ is zero."""
    if a.fault or b.fault:
        return _faulty_product(algebra, a, b)
    if a.is_exact_zero or b.is_exact_zero:
        return algebra.constant(0)
    if _is_one(a) or _is_one(b):
        return b if _is_one(a) else a
    order = min(a.order + b.valuation, b.order + a.valuation)
    terms: dict[Key, Coefficient] = {}
    for (e, m), left in a.terms.items():
        for (f, n), right in b.terms.items():
            if e + f < order:
                key = (e + f, m + n)
                value = left * right
                terms[key] = terms[key] + value if key in terms else value
    product = algebra.make(terms, order)
    if a is b:
        algebra.roots[product.key] = a
    return product


def _faulty_product(algebra: Any, a: Any, b: Any) -> Any:
    faults = {a.fault, b.fault}
    if "undecided" in faults:
        return algebra.make({}, fault="undecided")
    if "nan" in faults or a.is_exact_zero or b.is_exact_zero:
        return algebra.make({}, fault="nan")
    try:
        known = [algebra.sign(germ) for germ in (a, b) if germ.fault != "inf"]
    except Undecidable:
        return algebra.make({}, fault="undecided")
    sign = prod(known)
    order = min(a.order if a.fault else inf, b.order if b.fault else inf)
    if "inf" in faults:
        return algebra.make({}, order, "inf")
    return algebra.make({}, order, "+inf" if sign > 0 else "-inf")


def _is_one(g: Any) -> bool:
    return g.order == inf and len(g.terms) == 1 and g.terms.get((0, 0)) == fmpq(1)


def _leading(algebra: Any, g: Any) -> tuple[Exponent, Coefficient] | None:
    """Exponent and coefficient of a leading term without logarithm; None when not decided."""
    if not g.terms:
        return None
    exponent = g.valuation
    powers = [m for e, m in g.terms if e == exponent]
    if powers != [0]:
        return None
    coefficient = g.terms[exponent, 0]
    return None if sign_of(coefficient) is None else (exponent, coefficient)


def _relative_rest(algebra: Any, g: Any, exponent: Exponent, coefficient: Coefficient) -> Any:
    """The h in g = coefficient * t^exponent * (1 + h)."""
    terms = {
        (e - exponent, m): value / coefficient for (e, m), value in g.terms.items() if e != exponent
    }
    return algebra.make(terms, g.order - exponent)


def inverse(algebra: Any, g: Any) -> Any:
    """One over a germ; a valuation v becomes -v."""
    if g.fault in ("+inf", "-inf", "inf"):
        # an infinite constant has the inverse 0; an infinite germ a flat, non-zero one
        exact = g.order == inf
        return algebra.constant(0) if exact else algebra.make({}, order=algebra.window)
    if g.fault:
        return g
    if g.is_exact_zero:
        return algebra.make({}, fault="inf")
    return power(algebra, g, Fraction(-1))


def div(algebra: Any, a: Any, b: Any) -> Any:
    """The quotient; zeros and poles of equal order cancel."""
    if a is b and not a.fault and not a.is_exact_zero and _leading(algebra, a) is not None:
        return algebra.constant(1)
    return mul(algebra, a, inverse(algebra, b))


def power(algebra: Any, g: Any, exponent: Fraction) -> Any:
    """g**exponent on the real branch, Puiseux when the valuation is broken."""
    if exponent == 0:
        return algebra.constant(1)
    if exponent == 1:
        return g
    if g.fault or g.is_exact_zero:
        return _faulty_power(algebra, g, exponent)
    if exponent > 0 and exponent.denominator == 1 and exponent <= 64:
        return _whole_power(algebra, g, int(exponent))
    root = _known_root(algebra, g) if exponent.denominator == 2 else None
    if root is not None:
        return power(algebra, root, 2 * exponent)
    leading = _leading(algebra, g)
    if leading is None:
        return algebra.make({}, fault="undecided")
    start, coefficient = leading
    whole = exponent.denominator == 1
    if not whole and coefficient < 0:
        return algebra.make({}, fault="nan")
    scale = algebra.make({(_plain(start * exponent), 0): _constant_power(coefficient, exponent)})
    rest = _relative_rest(algebra, g, start, coefficient)
    return mul(algebra, scale, algebra.compose(_binomial_jet(exponent), rest))


def _known_root(algebra: Any, g: Any) -> Any:
    """|a| when `g` was made as a*a and the sign of a is decided, else None."""
    root = algebra.roots.get(g.key)
    if root is None:
        return None
    try:
        return algebra.apply("neg", root) if algebra.sign(root) < 0 else root
    except Undecidable:
        return None


def _plain(exponent: Exponent) -> Exponent:
    return int(exponent) if exponent.denominator == 1 else exponent


def _faulty_power(algebra: Any, g: Any, exponent: Fraction) -> Any:
    if g.fault in ("nan", "undecided"):
        return g
    if g.is_exact_zero:
        return algebra.constant(0) if exponent > 0 else algebra.make({}, fault="inf")
    if exponent < 0:
        small = inverse(algebra, g)
        return small if exponent == -1 else power(algebra, small, -exponent)
    if exponent.denominator != 1 and g.fault == "-inf":
        return algebra.make({}, fault="nan")
    odd = exponent.numerator % 2 == 1 and exponent.denominator == 1
    fault = g.fault if odd or g.fault == "inf" else "+inf"
    return algebra.make({}, g.order, fault)


def _whole_power(algebra: Any, g: Any, n: int) -> Any:
    result, square = None, g
    while n:
        if n & 1:
            result = square if result is None else mul(algebra, result, square)
        n >>= 1
        if n:
            square = mul(algebra, square, square)
    return result


def _constant_power(base: Coefficient, exponent: Fraction) -> Coefficient:
    if exponent.denominator == 1:
        # a power of a rational stays exact while it is small
        if isinstance(base, fmpq) and abs(exponent) <= 64:
            return base ** int(exponent)
        return ball(base) ** int(exponent)
    if exponent.denominator == 2:
        root = _rational_root(base)
        return (ball(base).sqrt() if root is None else root) ** exponent.numerator
    if exponent.denominator <= 64:
        return ball(base).root(exponent.denominator) ** exponent.numerator
    return (ball(base).log() * fmpq(exponent.numerator, exponent.denominator)).exp()


def _rational_root(base: Coefficient) -> fmpq | None:
    if not isinstance(base, fmpq):
        return None
    top, bottom = base.p.isqrt(), base.q.isqrt()
    return fmpq(top, bottom) if top * top == base.p and bottom * bottom == base.q else None


def _binomial_jet(exponent: Fraction) -> Callable[[arb, int], arb_series]:
    """(1 + h)^exponent at h = 0."""
    power = fmpq(exponent.numerator, exponent.denominator)

    def jet(_: arb, count: int) -> arb_series:
        coefficients, value = [], fmpq(1)
        for k in range(count):
            coefficients.append(arb(value))
            value = value * (power - k) / (k + 1)
        return arb_series(coefficients, prec=count)

    return jet


def from_series(algebra: Any, outer: arb_series, rest: Mapping[Key, Coefficient], last: int) -> Any:
    """outer(h) for a perturbation h with whole exponents >= 1, known below `last`."""
    coefficients = [arb(0)] * last
    for (exponent, _), value in rest.items():
        if exponent < last:
            coefficients[int(exponent)] = ball(value)
    total = outer(arb_series(coefficients, prec=last))
    values = total.coeffs()
    known = min(last, total.prec)
    return algebra.make({(k, 0): c for k, c in enumerate(values) if k < known}, known)


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "neg": neg,
    "inverse": inverse,
}

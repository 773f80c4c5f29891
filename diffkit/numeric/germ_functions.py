"""The scalar functions of germs: Taylor jets from python-flint, and compositions of them.

Written by hand from the definitions of the functions, independent of every SymPy kernel and of
every derivative rule: the rigorous witness may object to those only because it shares nothing.
A rule is (algebra, *germs) -> germ; `analytic` makes one from a jet (x0, n) -> Taylor series.
"""

from collections.abc import Callable
from fractions import Fraction
from math import factorial, inf
from typing import Any

from flint import arb, arb_series, fmpq

from diffkit.core.errors import Undecidable
from diffkit.numeric.definitions import DEFINITIONS

Jet = Callable[[arb, int], arb_series]
Rule = Callable[..., Any]


def method(name: str) -> Jet:
    """The jet of a function python-flint knows as a method of `arb_series`."""
    return lambda x, n: getattr(arb_series([x, 1], prec=max(n, 2)), name)()


def analytic(
    jet: Jet, below: float | None = None, above: float | None = None, domain: str = "real"
) -> Rule:
    """Return the rule of a function analytic inside `domain`.

    Args:
        jet: Taylor series of the function.
        below: Its limit at -inf (reached faster than any power), or None.
        above: Its limit at +inf, likewise.
        domain: "real", "positive", "above -1" or "inside 1": nan outside.
    """

    def rule(A: Any, x: Any) -> Any:
        side = infinite_side(A, x)
        if side:
            limit = above if side > 0 else below
            if limit is None:
                return A.make({}, fault="undecided")
            return _approach(A, x, limit)
        if x.fault:
            return x
        inside = _inside(domain, x)
        if inside is None or not inside:
            return A.make({}, fault="undecided" if inside is None else "nan")
        return A.compose(jet, x)

    return rule


def infinite_side(A: Any, x: Any) -> int:
    """+1 or -1 when `x` tends to that infinity, else 0."""
    if x.fault in ("+inf", "-inf"):
        return 1 if x.fault == "+inf" else -1
    if x.fault or not any(e < 0 or (e == 0 and m) for e, m in x.terms):
        return 0
    try:
        return A.sign(x)
    except Undecidable:
        return 0


def _approach(A: Any, x: Any, limit: float) -> Any:
    if limit in (inf, -inf):
        return A.make({}, 0 if not x.fault else x.order, "+inf" if limit > 0 else "-inf")
    if x.fault:
        return A.make({(0, 0): fmpq(int(limit))}, inf if x.order == inf else A.window)
    if x.valuation < 0:
        return A.make({(0, 0): fmpq(int(limit))}, A.window)
    return A.make({}, fault="undecided")


def _inside(domain: str, x: Any) -> bool | None:
    value = x.terms.get((0, 0), fmpq(0))
    if domain == "real":
        return True
    low, high = {"positive": (0, None), "above -1": (-1, None), "inside 1": (-1, 1)}[domain]
    if value > low and (high is None or value < high):
        return True
    if value < low or (high is not None and value > high):
        return False
    return None


def from_constant(constant: str, rest: Callable[[arb_series], arb_series]) -> Jet:
    """A jet whose constant term comes from an accurate `arb` method."""

    def jet(x: arb, n: int) -> arb_series:
        series = rest(arb_series([x, 1], prec=max(n, 2)))
        coefficients = series.coeffs()
        coefficients[:1] = [getattr(x, constant)()]
        return arb_series(coefficients, prec=series.prec)

    return jet


def integral_of(constant: str, slope: Callable[[arb_series], arb_series]) -> Jet:
    """The jet of a function known by its value and the formula of its derivative."""

    def jet(x: arb, n: int) -> arb_series:
        inner = slope(arb_series([x, 1], prec=max(n, 2)))
        tail = inner.integral().coeffs()
        return arb_series([getattr(x, constant)(), *tail[1:]], prec=inner.prec)

    return jet


def _hyperbolic(even: bool) -> Jet:
    def jet(x: arb, n: int) -> arb_series:
        values = (x.cosh(), x.sinh()) if even else (x.sinh(), x.cosh())
        coefficients, scale = [], fmpq(1)
        for k in range(max(n, 2)):
            coefficients.append(values[k % 2] * scale)
            scale /= k + 1
        return arb_series(coefficients, prec=len(coefficients))

    return jet


def _tanh_jet(x: arb, n: int) -> arb_series:
    # y' = 1 - y^2 term by term; 1 - y0^2 as sech^2 keeps its digits in the tails
    coefficients = [x.tanh(), x.sech() ** 2]
    for k in range(1, max(n, 2)):
        total = sum((coefficients[i] * coefficients[k - i] for i in range(k + 1)), arb(0))
        coefficients.append(-total / (k + 1))
    return arb_series(coefficients, prec=len(coefficients))


def _erfinv_jet(x: arb, n: int) -> arb_series:
    # y = erfinv x solves y' = sqrt(pi)/2 exp(y^2); fixed-point sweeps gain one term each
    half_root_pi = arb.const_sqrt_pi() / 2
    series = arb_series([x.erfinv()], prec=1)
    for k in range(1, max(n, 2)):
        longer = arb_series(series.coeffs(), prec=k)
        slope = (longer * longer).exp() * half_root_pi
        tail = slope.integral().coeffs()
        series = arb_series([x.erfinv(), *tail[1:]], prec=k + 1)
    return series


def _lgamma_jet(x: arb, n: int) -> arb_series:
    return arb_series([x, 1], prec=max(n, 2)).lgamma()


def _digamma_jet(x: arb, n: int) -> arb_series:
    # psi^(k)(x)/k! = (-1)^(k+1) zeta(k+1, x) for k >= 1
    coefficients = [x.digamma()]
    coefficients += [arb(k + 1).zeta(x) * (-1) ** (k + 1) for k in range(1, max(n, 2))]
    return arb_series(coefficients, prec=len(coefficients))


def _bessel_jet(order: int) -> Jet:
    """I_0 or I_1: I0' = I1 and (x I1)' = x I0 give both Taylor series from the two values."""

    def jet(x: arb, n: int) -> arb_series:
        zero, one = [x.bessel_i(0)], [x.bessel_i(1)]
        for k in range(max(n, 2)):
            zero.append(one[k] / (k + 1))
            # coefficient of t^k:  x (k+1) b_(k+1) + (k+1) b_k = x a_k + a_(k-1)
            right = x * zero[k] + (zero[k - 1] if k else arb(0)) - one[k] * (k + 1)
            # at x = 0 the recurrence one place further:  (k+2) b_(k+1) = a_k
            one.append(zero[k] / (k + 2) if x == 0 else right / (x * (k + 1)))
        pair = (zero, one)[order]
        return arb_series(pair, prec=len(pair))

    return jet


def _scaled_bessel(order: int) -> Rule:
    """exp(-|x|) I_v(x): a kink at 0 for v = 0."""

    def rule(A: Any, x: Any) -> Any:
        if x.fault or infinite_side(A, x):
            return A.make({}, fault=x.fault if x.fault == "nan" else "undecided")
        return A.compose(_bessel_jet(order), x) * A.function("exp")(-A.function("abs")(x))

    return rule


def _exp(A: Any, x: Any) -> Any:
    if x.fault in ("+inf", "-inf"):
        return _approach(A, x, 0 if x.fault == "-inf" else inf)
    if x.fault:
        return x
    if any(e < 0 for e, _ in x.terms):
        side = infinite_side(A, x)
        return _approach(A, x, 0 if side < 0 else inf) if side else A.make({}, fault="undecided")
    logs = {m: value for (e, m), value in x.terms.items() if e == 0 and m}
    if not logs:
        return A.compose(method("exp"), x)
    power = logs.get(1)
    if set(logs) != {1} or not isinstance(power, fmpq):
        return A.make({}, fault="undecided")
    exponent = Fraction(int(power.p), int(power.q))
    rest = A.make({key: value for key, value in x.terms.items() if key != (0, 1)}, x.order)
    key = int(exponent) if exponent.denominator == 1 else exponent
    return A.make({(key, 0): fmpq(1)}) * A.compose(method("exp"), rest)


def _log(A: Any, x: Any) -> Any:
    if x.fault in ("+inf", "-inf"):
        return x if x.fault == "+inf" else A.make({}, fault="nan")
    if x.fault:
        return x
    if x.is_exact_zero:
        return A.make({}, fault="-inf")
    start = x.valuation
    if not x.terms or [m for e, m in x.terms if e == start] != [0]:
        return A.make({}, fault="undecided")
    lead = x.terms[start, 0]
    if not lead > 0:
        return A.make({}, fault="nan" if lead < 0 else "undecided")
    if start == 0:
        return A.compose(method("log"), x)
    scale = A.make({(0, 0): lead if isinstance(lead, fmpq) else 1 / lead}, inf)
    shift = A.make({(-start, 0): fmpq(1)})
    unit = x * shift / scale if isinstance(lead, fmpq) else x * shift * scale
    constant = arb(lead).log()
    grown = A.make({(0, 1): fmpq(start.numerator, start.denominator), (0, 0): constant})
    return grown + A.function("log1p")(unit - A.constant(1))


def _log1p(A: Any, x: Any) -> Any:
    if x.fault or infinite_side(A, x):
        return A.function("log")(x + 1)
    value = x.terms.get((0, 0), fmpq(0))
    if not value > -1:
        return A.function("log")(x + 1)
    return A.compose(integral_of("log1p", lambda s: 1 / (1 + s)), x)


def _expm1(A: Any, x: Any) -> Any:
    if x.fault or any(e <= 0 and (e, m) != (0, 0) for e, m in x.terms):
        return A.function("exp")(x) - 1
    return A.compose(from_constant("expm1", lambda s: s.exp()), x)


def _root(degree: int) -> Rule:
    def rule(A: Any, x: Any) -> Any:
        if degree % 2 == 0 or x.fault == "nan" or x.is_exact_zero:
            return A.power(x, Fraction(1, degree))
        try:
            negative = A.sign(x) < 0
        except Undecidable:
            return A.make({}, fault="undecided")
        return -A.power(-x, Fraction(1, degree)) if negative else A.power(x, Fraction(1, degree))

    return rule


def _signed(positive: Callable[[Any, Any], Any], negative: Callable[[Any, Any], Any]) -> Rule:
    """A rule chosen by the sign of the germ; zero counts as zero."""

    def rule(A: Any, x: Any) -> Any:
        if x.fault in ("nan", "undecided"):
            return x
        if x.fault == "inf":
            return A.make({}, fault="undecided")
        try:
            sign = A.sign(x)
        except Undecidable:
            return A.make({}, fault="undecided")
        if sign == 0:
            return A.constant(0)
        return positive(A, x) if sign > 0 else negative(A, x)

    return rule


def _largest(relation: str) -> Rule:
    def rule(A: Any, *values: Any) -> Any:
        best = values[0]
        for value in values[1:]:
            if "nan" in (best.fault, value.fault):
                return A.make({}, fault="nan")
            try:
                best = best if A.truth(relation, best, value) else value
            except Undecidable:
                return A.make({}, fault="undecided")
        return best

    return rule


def _floor(A: Any, x: Any) -> Any:
    if x.fault or infinite_side(A, x):
        return x
    value = x.terms.get((0, 0), fmpq(0))
    if isinstance(value, fmpq):
        whole = int(value.floor())
        try:
            below = value == whole and A.sign(x - whole) < 0
        except Undecidable:
            return A.make({}, fault="undecided")
        return A.constant(whole - 1 if below else whole)
    whole = value.floor().unique_fmpz()
    if whole is None or value.contains_integer():
        return A.make({}, fault="undecided")
    return A.constant(int(whole))


def _round(A: Any, x: Any) -> Any:
    """To the nearest integer, ties to even."""
    if x.fault or infinite_side(A, x):
        return x
    half = A.constant(Fraction(1, 2))
    low = _floor(A, x)
    if low.fault:
        return low
    try:
        side = A.sign(x - low - half)
    except Undecidable:
        return A.make({}, fault="undecided")
    even = low.rational() % 2 == 0
    return low + 1 if side > 0 or (side == 0 and not even) else low


def _lgamma(A: Any, x: Any) -> Any:
    """The real log |Gamma(x)|."""
    if x.fault == "+inf":
        return x
    if x.fault or infinite_side(A, x):
        return A.make({}, fault=x.fault if x.fault in ("nan", "undecided") else "undecided")
    value = x.terms.get((0, 0), fmpq(0))
    if value > 0:
        return A.compose(_lgamma_jet, x)
    if isinstance(value, fmpq) and value.q == 1 and value > -64:
        if x.rational() is not None:
            return A.make({}, fault="+inf")
        return A.function("lgamma")(x + 1) - A.function("log")(A.function("abs")(x))
    return A.function("log")(A.function("abs")(A.function("gamma")(x)))


def _gamma(A: Any, x: Any) -> Any:
    if x.fault:
        return x if x.fault != "-inf" else A.make({}, fault="nan")
    value = x.terms.get((0, 0), fmpq(0))
    if isinstance(value, fmpq) and value.q == 1 and -64 < value <= 0:
        if x.rational() is not None:
            return A.make({}, fault="inf")
        return A.function("gamma")(x + 1) / x
    return A.compose(method("gamma"), x)


def _digamma(A: Any, x: Any) -> Any:
    if x.fault:
        return x if x.fault != "-inf" else A.make({}, fault="nan")
    value = x.terms.get((0, 0), fmpq(0))
    if not value > 0:
        if isinstance(value, fmpq) and value.q == 1:
            if x.rational() is not None:
                return A.make({}, fault="nan")
            if value < -64:
                return A.make({}, fault="undecided")
            return A.function("digamma")(x + 1) - A.constant(1) / x
        # reflection: psi(1 - x) - psi(x) = pi / tan(pi x)
        pi = A.named("pi")
        return A.function("digamma")(1 - x) - pi / A.function("tan")(pi * x)
    return A.compose(_digamma_jet, x)


def _polygamma(A: Any, n: Any, x: Any) -> Any:
    """psi^(n)(x) = (-1)^(n+1) n! zeta(n+1, x) for whole n >= 1; x <= 0 by recurrence."""
    order = n.rational()
    if order is None or order.denominator != 1 or order < 0:
        return A.make({}, fault="undecided")
    if order == 0:
        return A.function("digamma")(x)
    value = x.terms.get((0, 0), fmpq(0))
    whole = int(order)
    if x.fault or not value > -64:
        return A.make({}, fault="undecided")
    if not value > 0:
        pole = A.constant((-1) ** whole * factorial(whole)) / A.power(x, Fraction(whole + 1))
        return A.function("polygamma")(n, x + 1) - pole

    def jet(start: arb, count: int) -> arb_series:
        # the k-th Taylor coefficient is psi^(n+k)(x)/k!
        rising = arb(whole).fac()
        coefficients = []
        for k in range(max(count, 2)):
            sign = (-1) ** (whole + k + 1)
            coefficients.append(arb(whole + k + 1).zeta(start) * rising * sign)
            rising = rising * (whole + k + 1) / (k + 1)
        return arb_series(coefficients, prec=len(coefficients))

    return A.compose(jet, x)


def _asin(A: Any, x: Any) -> Any:
    if x.fault or infinite_side(A, x):
        return A.make({}, fault=x.fault if x.fault == "undecided" else "nan")
    value = x.terms.get((0, 0), fmpq(0))
    if value == 1 or value == -1:
        # asin x = pi/2 - 2 asin sqrt((1 - x)/2) has its branch point in the square root
        mirror = x if value == 1 else -x
        root = A.function("sqrt")((A.constant(1) - mirror) / 2)
        folded = A.named("pi") / 2 - 2 * A.function("asin")(root)
        return folded if value == 1 else -folded
    return analytic(method("asin"), domain="inside 1")(A, x)


def _acos(A: Any, x: Any) -> Any:
    if not x.fault and x.terms.get((0, 0), fmpq(0)) == 1:
        return 2 * A.function("asin")(A.function("sqrt")((A.constant(1) - x) / 2))
    return A.named("pi") / 2 - A.function("asin")(x)


def _atan(A: Any, x: Any) -> Any:
    side = infinite_side(A, x)
    if side and x.fault:
        return A.named("pi") / (2 * side)
    if side:
        return A.named("pi") / (2 * side) - A.function("atan")(A.constant(1) / x)
    return x if x.fault else A.compose(method("atan"), x)


def _atan2(A: Any, y: Any, x: Any) -> Any:
    if y.fault or x.fault:
        return A.make({}, fault="nan" if "nan" in (y.fault, x.fault) else "undecided")
    try:
        up, right = A.sign(y), A.sign(x)
    except Undecidable:
        return A.make({}, fault="undecided")
    if up == 0 and right == 0:
        return A.constant(0)
    if right == 0:
        return A.named("pi") / (2 * up)
    flat = A.function("atan")(y / x)
    if right > 0:
        return flat
    return flat + A.named("pi") if up >= 0 else flat - A.named("pi")


def _pow(A: Any, x: Any, y: Any) -> Any:
    exponent = y.rational()
    if exponent is not None:
        return A.power(x, exponent)
    if x.rational() == 1:
        return A.constant(1)
    if x.is_exact_zero and not y.fault:
        try:
            return A.constant(0) if A.sign(y) > 0 else A.make({}, fault="inf")
        except Undecidable:
            return A.make({}, fault="undecided")
    return A.function("exp")(y * A.function("log")(x))


def _named(value: Callable[[], arb]) -> Rule:
    return lambda A: A.make({(0, 0): value()})


def composed(definition: Callable[..., Any]) -> Rule:
    """The rule of a function defined by other functions of the same algebra."""

    def rule(A: Any, *arguments: Any) -> Any:
        if any(argument.fault == "nan" for argument in arguments):
            return A.make({}, fault="nan")
        try:
            return A.lifted(definition(Functions(A), *arguments))
        except Undecidable:
            # a value, not an error: the branch of a `where` that is not taken may be discarded
            return A.make({}, fault="undecided")

    return rule


class Functions:
    """`f.exp(x)` for `algebra.function("exp")(x)`, so that definitions read like formulas."""

    def __init__(self, algebra: Any):
        self.algebra = algebra

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self.algebra.function(name)


RULES: dict[str, Rule] = {
    **{name: composed(definition) for name, definition in DEFINITIONS.items()},
    "pi": _named(arb.pi),
    "E": _named(arb.const_e),
    "EulerGamma": _named(arb.const_euler),
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "sqrt": _root(2),
    "cbrt": _root(3),
    "rsqrt": lambda A, x: A.power(x, Fraction(-1, 2)),
    "square": lambda A, x: A.power(x, Fraction(2)),
    "pow": _pow,
    "sin": analytic(method("sin")),
    "cos": analytic(method("cos")),
    "sinh": analytic(_hyperbolic(even=False), below=-inf, above=inf),
    "cosh": analytic(_hyperbolic(even=True), below=inf, above=inf),
    "tanh": analytic(_tanh_jet, below=-1, above=1),
    "asin": _asin,
    "acos": _acos,
    "atan": _atan,
    "atan2": _atan2,
    "erf": analytic(method("erf"), below=-1, above=1),
    "erfc": analytic(method("erfc"), below=2, above=0),
    "erfi": analytic(method("erfi"), below=-inf, above=inf),
    "erfinv": analytic(_erfinv_jet, domain="inside 1"),
    "bessel_i0e": _scaled_bessel(0),
    "bessel_i1e": _scaled_bessel(1),
    "lambertw": analytic(method("lambertw")),
    "lgamma": _lgamma,
    "gamma": _gamma,
    "digamma": _digamma,
    "polygamma": _polygamma,
    "abs": _signed(lambda A, x: x, lambda A, x: -x),
    "sign": _signed(lambda A, x: A.constant(1), lambda A, x: A.constant(-1)),
    "relu": _signed(lambda A, x: x, lambda A, x: A.constant(0)),
    "max": _largest("ge"),
    "min": _largest("le"),
    "floor": _floor,
    "round": _round,
}

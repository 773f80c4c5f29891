r"""Lower bounds without one of the variables: the value at the only minimum in that variable.

$\partial f/\partial x = c\,h$ with $c \ge 0$ and h increasing in x: where $h(a) = 0$, f falls up to
a and rises from there, so $f(x) \ge f(a)$.  This is how $u - 1 - \log u$, $e^u - 1 - u$, the
divergence of two distributions and $x\,\sigma(x) + W(1/e)$ are seen to be $\ge 0$; a may depend on
the other variables.  Without a change of sign the minimum is at an end of the domain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, inf

import sympy as sp
from sympy.core.function import Application

from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError
from diffkit.symbolic.enclosure import enclose
from diffkit.symbolic.inequality_rules import Budget, Signs
from diffkit.symbolic.normal_form import reduce_in
from diffkit.symbolic.points import domain_of
from diffkit.symbolic.reduction import NeedSign, Reduction, Setting, Undefined
from diffkit.symbolic.signs import Range, domain_range, range_of, to_rational
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.tower import TooLarge
from diffkit.symbolic.vocabulary import nodes

Domains = Mapping[str, Domain]

#: The factors of a slope: the sign of what has one, what changes sign (None: nothing), and
#: whether the slope is nowhere zero.
Slope = tuple[int, sp.Expr | None, bool]
#: Continuous wherever they are real; real on an interval, or with poles the normal form notes.
_CONTINUOUS = frozenset(
    "exp log sin cos tan cot sec csc sinh cosh tanh coth sech csch asin acos atan asinh acosh "
    "atanh erf erfc erfinv LambertW Abs Max Min".split()
)
_ON_POSITIVE = frozenset(("gamma", "loggamma", "digamma"))
_FAILURES = (DiffkitError, TooLarge, Undefined, NeedSign)


def minima(expr: sp.Expr, domains: Domains, budget: Budget) -> Iterator[tuple[sp.Expr, bool]]:
    """Yield (m, reached): m with fewer variables, expr >= m on the domain, > m unless reached.

    Args:
        expr: Smooth and free of jumps, or nothing is yielded.
        domains: Name -> domain of a symbol.
        budget: Work left for the signs of slopes.
    """
    symbols: list[sp.Symbol] = sorted(expr.free_symbols, key=str)
    for x in symbols:
        domain = domain_of(x, domains)
        if domain.integer or not domain.low < domain.high:
            continue
        inside = {**domains, x.name: replace(domain, open_low=True, open_high=True)}
        slope = _slope(expr, x, inside, budget)
        if slope is None:
            continue
        at = _end(slope[0], domain) if slope[1] is None else _root(slope, x, inside, budget)
        if at is None or not _is_smooth(expr, {**domains, x.name: _closed(domain, at)}):
            continue
        least = expr.subs(x, at)
        if not least.has(sp.nan, sp.zoo, sp.oo, -sp.oo, x):
            yield least, slope[1] is not None or not slope[2] or domain.contains(_fraction(at))


def _fraction(number: sp.Rational) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def _end(sign: int, domain: Domain) -> sp.Expr | None:
    end = domain.low if sign == 1 else domain.high
    return None if abs(end) == inf else to_rational(end)


def _closed(domain: Domain, at: sp.Expr) -> Domain:
    """The domain with the end `at`, which the function must reach without a break."""
    return replace(
        domain,
        open_low=domain.open_low and not (at.is_number and at == _number(domain.low)),
        open_high=domain.open_high and not (at.is_number and at == _number(domain.high)),
    )


def _number(bound: Fraction | float) -> sp.Expr | None:
    return None if abs(bound) == inf else to_rational(bound)


def is_regular(expr: sp.Expr, domains: Domains) -> bool:
    """Whether functions with poles or jumps of their own keep away from them on the domain."""
    for node in nodes(expr):
        name = node.func.__name__
        if name in _ON_POSITIVE and range_of(node.args[0], domains).strict_sign != 1:
            return False
        if isinstance(node, Application) and name not in _ON_POSITIVE and name not in _CONTINUOUS:
            return False
    return True


def _is_smooth(expr: sp.Expr, domains: Domains) -> bool:
    """Whether the formula is one branch of finite real values on the whole domain."""
    if not is_regular(expr, domains):
        return False
    for node in nodes(expr):
        is_logarithm = isinstance(node, sp.log) or (node.is_Pow and not node.exp.is_Rational)
        if is_logarithm and range_of(node.args[0], domains).strict_sign != 1:
            return False

    def task(r: Reduction) -> bool:
        r(expr)
        return not (r.poles or r.conditions or r.kinks)

    try:
        return reduce_in(Setting(domains), task)
    except _FAILURES:
        return False


def _slope(expr: sp.Expr, x: sp.Symbol, domains: Domains, budget: Budget) -> Slope | None:
    derivative = sp.diff(expr, x)

    def task(r: Reduction) -> Slope | None:
        element = r(derivative)
        if r.poles or r.conditions or r.kinks or element.is_zero:
            return None
        signs = Signs(r, budget)
        coefficient, factors = r.tower.factorize(element)
        sign, turning = (1 if coefficient > 0 else -1), []
        for factor, exponent in factors.items():
            if exponent % 2:
                found = signs.of_factor(factor, strict=False)
                turning += [] if found else [(factor, exponent)]
                sign *= found or 1
        if not turning:
            return sign, None, signs.of_element(element, strict=True) is not None
        if len(turning) > 1 or turning[0][1] < 0:
            return None
        return sign, without_moduli(r.tower.poly_expr(turning[0][0]), domains), False

    try:
        return reduce_in(Setting(domains), task)
    except _FAILURES:
        return None


def without_moduli(expr: sp.Expr, domains: Domains) -> sp.Expr:
    """`expr` with |u| written out where the sign of u is known."""

    def branch(u: sp.Expr) -> sp.Expr:
        sign = range_of(u, domains).sign
        return sp.Abs(u) if sign is None else sign * u

    return expr.replace(sp.Abs, branch)


def _root(slope: Slope, x: sp.Symbol, domains: Domains, budget: Budget) -> sp.Expr | None:
    """Where the factor that turns does so from minus to plus, if that is inside the domain."""
    sign, turning, _ = slope
    rise = None if turning is None else _slope(turning, x, domains, budget)
    if turning is None or rise is None or rise[1] is not None or rise[0] != sign:
        return None
    own = domain_range(domain_of(x, domains))
    for at in _zeros(turning, x, domains):
        found = range_of(at, domains) if at.free_symbols else _enclosed(at)
        if found is not None and found.intersect(own) == found and _is_smooth(at, domains):
            return at
    return None


def _enclosed(number: sp.Expr) -> Range | None:
    try:
        low, high = enclose(number, {}, 40)
    except DiffkitError:
        return None
    return Range(low, high, False, False)


def _zeros(h: sp.Expr, x: sp.Symbol, domains: Domains) -> Iterator[sp.Expr]:
    """The zero of A g + B for g = x, exp(k x + l) or log(k x + l), or of A x + B + C exp(k x)."""
    kernels = sorted((k for k in h.atoms(sp.exp, sp.log) if k.has(x)), key=sp.default_sort_key)
    held = sp.Dummy()
    if not kernels:
        linear = _linear(h, x)
        if linear is not None:
            yield -linear[1] / linear[0]
        return
    if len(kernels) > 1:
        yield from _zeros_of_logarithms(h, x, domains)
        return
    kernel = kernels[0]
    inner, outer = _linear(kernel.args[0], x), _linear(h.xreplace({kernel: held}), held)
    if inner is None or outer is None or outer[0].has(x):
        return
    if not outer[1].has(x):
        level = -outer[1] / outer[0]
        if isinstance(kernel, sp.log):
            yield (sp.exp(level) - inner[1]) / inner[0]
        elif range_of(level, domains).strict_sign == 1:
            yield (sp.log(level) - inner[1]) / inner[0]
        return
    rest = _linear(outer[1], x)
    if isinstance(kernel, sp.exp) and rest is not None and not h.free_symbols - {x}:
        k, scale = inner[0], outer[0] * sp.exp(inner[1])
        branch = k * scale / rest[0] * sp.exp(-k * rest[1] / rest[0])
        if branch.is_positive:
            yield -rest[1] / rest[0] - sp.LambertW(branch) / k


def _zeros_of_logarithms(h: sp.Expr, x: sp.Symbol, domains: Domains) -> Iterator[sp.Expr]:
    """Where exp(h) = 1, for what is a rational function then."""

    def task(r: Reduction) -> list[sp.Expr]:
        excess = r.tower.subtract(r.exp(r(h)), r.tower.rational(1))
        factors = {} if excess.is_zero else r.tower.factorize(excess)[1]
        return [r.tower.poly_expr(f) for f, k in factors.items() if k > 0]

    try:
        factors = reduce_in(Setting(domains), task)
    except _FAILURES:
        return
    for factor in factors:
        linear = _linear(factor, x)
        if linear is not None:
            yield -linear[1] / linear[0]


def _linear(expr: sp.Expr, x: sp.Symbol) -> tuple[sp.Expr, sp.Expr] | None:
    """(A, B) with expr = A x + B, neither of which has x."""
    slope = sp.diff(expr, x)
    if slope == 0 or slope.has(x):
        slope = sp.expand(slope)
    if slope == 0 or slope.has(x):
        return None
    return slope, expr.subs(x, 0)


def without_infinity(expr: sp.Expr, domains: Domains) -> tuple[sp.Expr, dict[str, Domain]] | None:
    r"""A function of $x < \infty$ as one of $u = e^{-x}$ or $u = 1/x$: infinity is the end 0.

    Args:
        expr: A formula in one variable; a domain without lower end is reflected.
        domains: Name -> domain of a symbol.

    Returns:
        The formula in u and the domain of u (perhaps larger than needed), or None.
    """
    if len(expr.free_symbols) != 1:
        return None
    (x,) = expr.free_symbols
    domain = domain_of(x, domains)
    turn, start = (1, domain.low) if domain.high == inf else (-1, -domain.high)
    if domain.integer or (turn == -1 and domain.low > -inf):
        return None
    u = symbol(f"1/({x.name})")
    if expr.has(sp.exp):
        high, far = _exponential_above(-start), -sp.log(u)
    else:
        high, far = inf if start == 0 else 1 / start, 1 / u
        if start < 0:
            return None
    if high is None:
        return None
    inside = {u.name: Domain(Fraction(0), high, True, True)}
    changed = expr.subs(x, turn * far)
    if not _is_smooth(changed, inside):
        return None
    try:
        form = reduce_in(Setting(inside), lambda r: r.normal(changed))
    except _FAILURES:
        return None
    return without_moduli(form, inside), inside


def _exponential_above(x: Fraction | float) -> Fraction | float | None:
    """A number > exp(x)."""
    if x == inf:
        return inf
    found = _enclosed(sp.exp(to_rational(x))) if x > -inf else None
    return None if found is None else Fraction(ceil(found.high * 2**20) + 1, 2**20)

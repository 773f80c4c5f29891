r"""Numeric certificates: two expressions agree at random rational points, to many digits.

The evaluation shares nothing with the rules it certifies: vocabulary functions are expanded into
their definitions, and an unevaluated `Derivative` is a difference quotient of mpmath at raised
precision, never a derivative rule.  Agreement at points is evidence, not a proof.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import mpmath
import sympy as sp
from mpmath import mp

from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError, DomainError, UnsupportedFunction
from diffkit.symbolic.vocabulary import FUNCTIONS, definition, kinks

Values = Mapping[sp.Symbol, mpmath.mpf]

#: Digits carried (more where two values disagree), and digits of agreement asked for.
WORKING_DIGITS = (50, 150, 450)
AGREEMENT_DIGITS = 30
ATTEMPTS = 400
#: Values beyond 2^4000 are left out: e^v loses log10(v) digits.
MAX_MAGNITUDE = 4000
#: Where points are drawn from when no domain is given: the places functions are usually defined.
INTERVALS = ((-3, 3), (0, 3), (0, 1), (1, 4), (-1, 0), (-1, 1))

MPMATH: Mapping[type, Callable[..., mpmath.mpf]] = {
    sp.exp: mp.exp,
    sp.log: mp.log,
    sp.sin: mp.sin,
    sp.cos: mp.cos,
    sp.tan: mp.tan,
    sp.cot: mp.cot,
    sp.sec: mp.sec,
    sp.csc: mp.csc,
    sp.asin: mp.asin,
    sp.acos: mp.acos,
    sp.atan: mp.atan,
    sp.acot: mp.acot,
    sp.atan2: mp.atan2,
    sp.sinh: mp.sinh,
    sp.cosh: mp.cosh,
    sp.tanh: mp.tanh,
    sp.coth: mp.coth,
    sp.sech: mp.sech,
    sp.csch: mp.csch,
    sp.asinh: mp.asinh,
    sp.acosh: mp.acosh,
    sp.atanh: mp.atanh,
    sp.erf: mp.erf,
    sp.erfc: mp.erfc,
    sp.erfinv: mp.erfinv,
    sp.gamma: mp.gamma,
    sp.loggamma: mp.loggamma,
    sp.digamma: mp.digamma,
    sp.polygamma: mp.polygamma,
    sp.LambertW: mp.lambertw,
    sp.Abs: abs,
    sp.sign: mp.sign,
    sp.floor: mp.floor,
    sp.ceiling: mp.ceil,
    sp.Max: max,
    sp.Min: min,
}


class OutsideDomain(ArithmeticError):
    """The expression has no finite real value at a point; another point is drawn."""


@dataclass(frozen=True)
class Certificate:
    """Where two expressions were compared and how closely they agreed.

    Args:
        points: Name -> exact rational, one mapping per point.
        error: The largest |before - after|, relative to the larger side but at least to 1e-10.
        bound: What `error` was allowed to be.
    """

    points: tuple[Mapping[str, Fraction], ...]
    error: float
    bound: float

    def __str__(self) -> str:
        return f"{len(self.points)} points, error {self.error:.0e} <= {self.bound:.0e}"


def certify(
    before: sp.Expr,
    after: sp.Expr,
    *,
    where: Mapping[sp.Symbol, sp.Expr] | None = None,
    domains: Mapping[str, Domain] | None = None,
    points: int = 3,
    digits: int = AGREEMENT_DIGITS,
) -> Certificate:
    """Compare two expressions at random rational points and return the evidence.

    Args:
        before: May hold unevaluated `Derivative` nodes; they are taken numerically.
        after: The same.
        where: Names introduced on the way (u = 3x^2 - x + 1), evaluated in their order.
        domains: Name -> where to draw that symbol.
        points: How many points, >= 1.
        digits: Digits of agreement, 1 to 45.

    Raises:
        CertificateError: the values differ at a point.
        DomainError: no point was found where both sides are finite and real.
    """
    named = dict(where or {})
    corners = {zero for side in (before, after) for zero in kinks(side)}
    free = set().union(*map(free_symbols, (before, after, *named.values())))
    used: list[Mapping[str, Fraction]] = []
    largest, bound = mpmath.mpf(0), mpmath.mpf(10) ** -digits
    for point in draw_points(free - named.keys(), domains or {}):
        try:
            largest = max(largest, _compare(before, after, named, point, corners, bound))
        except OutsideDomain:
            continue
        used.append({symbol.name: value for symbol, value in point.items()})
        if len(used) == points or not point:
            return Certificate(tuple(used), float(largest), float(bound))
    raise DomainError(
        f"found only {len(used)} points where {_short(before)} is finite and real; "
        'say where it is defined, for example domain={"x": "(0, 1)"}'
    )


def _compare(
    before: sp.Expr,
    after: sp.Expr,
    named: Mapping[sp.Symbol, sp.Expr],
    point: Mapping[sp.Symbol, Fraction],
    corners: Iterable[sp.Expr],
    bound: mpmath.mpf,
) -> mpmath.mpf:
    """The relative error at a point; one that more digits remove was cancellation."""
    left = right = mp.zero
    for digits in WORKING_DIGITS:
        with mp.workdps(digits):
            left, right = _two_values(before, after, named, point, corners)
            error = abs(left - right) / max(abs(left), abs(right), mpmath.mpf(10) ** -10)
        if error <= bound:
            return error
    raise CertificateError(_disagreement(before, after, point, left, right))


def free_symbols(expr: sp.Basic) -> set[sp.Symbol]:
    """The symbols that need a value, in time linear in the DAG (SymPy's own walks the tree)."""
    found: set[sp.Symbol] = set()
    seen: set[sp.Basic] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, sp.Symbol):
            found.add(node)
        elif isinstance(node, sp.Sum | sp.Product | sp.Integral):
            found |= node.free_symbols
        else:
            stack.extend(node.args)
    return found


def _two_values(
    before: sp.Expr,
    after: sp.Expr,
    named: Mapping[sp.Symbol, sp.Expr],
    point: Mapping[sp.Symbol, Fraction],
    corners: Iterable[sp.Expr],
) -> tuple[mpmath.mpf, mpmath.mpf]:
    values = {symbol: mp.mpf(q.numerator) / q.denominator for symbol, q in point.items()}
    for symbol, inner in named.items():
        values[symbol] = evaluate(inner, values)
    # A bound variable has no value; kinks inside a sum or an integral are not looked at.
    if any(evaluate(zero, values) == 0 for zero in corners if zero.free_symbols <= values.keys()):
        raise OutsideDomain("at a kink")
    return evaluate(before, values), evaluate(after, values)


def _disagreement(before, after, point, left, right) -> str:
    place = ", ".join(f"{symbol} = {value}" for symbol, value in point.items())
    return (
        f"{_short(before)} and {_short(after)} differ at {place or 'every point'}: "
        f"{mpmath.nstr(left, 20)} against {mpmath.nstr(right, 20)}; please report this defect"
    )


def _short(expr: sp.Expr) -> str:
    text = sp.sstr(expr)
    return text if len(text) <= 200 else f"{text[:197]}..."


def draw_points(
    symbols: Iterable[sp.Symbol], domains: Mapping[str, Domain]
) -> Iterator[dict[sp.Symbol, Fraction]]:
    """Up to `ATTEMPTS` random points; the same symbols and domains give the same points."""
    ordered = sorted(symbols, key=str)
    source = random.Random(",".join(map(str, ordered)))
    for _ in range(ATTEMPTS):
        yield {symbol: _draw(symbol, domains.get(symbol.name), source) for symbol in ordered}


def _draw(symbol: sp.Symbol, domain: Domain | None, source: random.Random) -> Fraction:
    if symbol.is_integer:
        return Fraction(source.randint(1, 6))
    low, high = source.choice(INTERVALS)
    if symbol.is_positive or symbol.is_nonnegative:
        low, high = source.choice(((0, 1), (0, 3), (1, 4)))
    if domain is not None and not domain.matrix_set:
        low, high = _finite(domain, low, high)
    if domain is not None and domain.integer:
        return Fraction(source.randint(int(low), max(int(low), int(high))))
    return Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(
        source.randint(1, 9_999), 10_007
    )


def _finite(domain: Domain, low: int, high: int) -> tuple[Fraction, Fraction]:
    """An interval inside `domain`; unbounded ones are entered by the width of (low, high)."""
    width = high - low
    lowest = domain.low if isinstance(domain.low, Fraction) else None
    highest = domain.high if isinstance(domain.high, Fraction) else None
    if lowest is None:
        return (Fraction(low), Fraction(high)) if highest is None else (highest - width, highest)
    return lowest, lowest + width if highest is None else highest


def evaluate(expr: sp.Expr, values: Values) -> mpmath.mpf:
    """The value of `expr` at mpmath's working precision, every DAG node once.

    Raises:
        OutsideDomain: a subexpression is not finite and real.
        UnsupportedFunction: a function has no numeric value.
    """
    try:
        return _Evaluator(values)(expr)
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise OutsideDomain(str(error)) from error


class _Evaluator:
    """Recursive evaluation with a memo; `values` are fixed."""

    def __init__(self, values: Values):
        self.values = values
        self.memo: dict[sp.Basic, mpmath.mpf] = {}

    def __call__(self, node: sp.Basic) -> mpmath.mpf:
        if node not in self.memo:
            self.memo[node] = _real(self._compute(node))
        return self.memo[node]

    def _compute(self, node: sp.Basic) -> mpmath.mpf:
        if isinstance(node, sp.Symbol):
            return self.values[node]
        if isinstance(node, sp.Rational):
            return mp.mpf(node.p) / node.q
        if node.is_number and not node.args:
            return node._to_mpmath(mp.prec)
        if isinstance(node, sp.Add):
            return mp.fsum(self(arg) for arg in node.args)
        if isinstance(node, sp.Mul):
            return mp.fprod(self(arg) for arg in node.args)
        if isinstance(node, sp.Pow):
            return _power(self(node.base), node.exp, self)
        if isinstance(node, sp.Piecewise):
            return self._branch(node)
        if isinstance(node, sp.Derivative):
            return self._difference_quotient(node)
        if isinstance(node, sp.Sum):
            return self._sum(node)
        if isinstance(node, sp.Integral):
            return self._integral(node)
        return self._function(node)

    def _branch(self, node: sp.Piecewise) -> mpmath.mpf:
        for value, condition in node.args:
            if self.truth(condition):
                return self(value)
        raise OutsideDomain("no case applies")

    def truth(self, condition: sp.Basic) -> bool:
        if condition in (sp.true, sp.false):
            return condition == sp.true
        if isinstance(condition, sp.And):
            return all(self.truth(arg) for arg in condition.args)
        if isinstance(condition, sp.Or):
            return any(self.truth(arg) for arg in condition.args)
        if isinstance(condition, sp.Not):
            return not self.truth(condition.args[0])
        if isinstance(condition, sp.ITE):
            chosen, otherwise = condition.args[1:]
            return self.truth(chosen if self.truth(condition.args[0]) else otherwise)
        compare = COMPARISONS.get(type(condition))
        if compare is None:
            raise UnsupportedFunction(f"cannot decide the condition {condition} numerically")
        return compare(self(condition.args[0]), self(condition.args[1]))

    def _difference_quotient(self, node: sp.Derivative) -> mpmath.mpf:
        ((variable, count),) = node.variable_count
        values = dict(self.values)

        def at(t: mpmath.mpf) -> mpmath.mpf:
            return _Evaluator({**values, variable: t})(node.expr)

        return mp.diff(at, values[variable], int(count))

    def _sum(self, node: sp.Sum) -> mpmath.mpf:
        if len(node.limits) != 1:
            raise UnsupportedFunction(f"cannot evaluate {node} numerically; sum over one index")
        ((index, low, high),) = node.limits
        first = int(self(low))
        if high == sp.oo:
            return mp.nsum(lambda k: self._with(index, k)(node.function), [first, mp.inf])
        terms = range(first, int(self(high)) + 1)
        return mp.fsum(self._with(index, mp.mpf(k))(node.function) for k in terms)

    def _integral(self, node: sp.Integral) -> mpmath.mpf:
        if len(node.limits) != 1 or len(node.limits[0]) != 3:
            raise UnsupportedFunction(f"cannot evaluate {node} numerically")
        ((variable, low, high),) = node.limits
        ends = [self._bound(low), self._bound(high)]
        return mp.quad(lambda t: self._with(variable, t)(node.function), ends)

    def _bound(self, bound: sp.Expr) -> mpmath.mpf:
        return {sp.oo: mp.inf, -sp.oo: -mp.inf}.get(bound) or self(bound)

    def _with(self, symbol: sp.Symbol, value: mpmath.mpf) -> "_Evaluator":
        return _Evaluator({**self.values, symbol: value})

    def _function(self, node: sp.Basic) -> mpmath.mpf:
        arguments = [self(arg) for arg in node.args]
        kind = type(node)
        if kind in MPMATH:
            return MPMATH[kind](*arguments)
        if kind.__name__ in FUNCTIONS:
            body, dummies = _definition(kind, len(arguments))
            return _Evaluator(dict(zip(dummies, arguments, strict=True)))(body)
        floats = [sp.Float._new(argument._mpf_, mp.prec) for argument in arguments]
        value = kind(*floats).evalf(mp.dps)
        if not value.is_Number:
            raise UnsupportedFunction(
                f"{kind.__name__} has no numeric value; write it with elementary functions"
            )
        return value._to_mpmath(mp.prec)


COMPARISONS: Mapping[type, Callable[[mpmath.mpf, mpmath.mpf], bool]] = {
    sp.StrictLessThan: lambda a, b: a < b,
    sp.LessThan: lambda a, b: a <= b,
    sp.StrictGreaterThan: lambda a, b: a > b,
    sp.GreaterThan: lambda a, b: a >= b,
    sp.Equality: lambda a, b: a == b,
    sp.Unequality: lambda a, b: a != b,
}


@cache
def _definition(kind: type[sp.Function], arity: int) -> tuple[sp.Expr, tuple[sp.Symbol, ...]]:
    """The definition of a vocabulary function over dummies: shared arguments stay shared."""
    dummies = tuple(sp.Dummy(f"a{k}", real=True) for k in range(arity))
    return definition(kind(*dummies)), dummies


def _power(base: mpmath.mpf, exponent: sp.Expr, evaluator: _Evaluator) -> mpmath.mpf:
    if isinstance(exponent, sp.Integer):
        return base ** int(exponent)
    if exponent == sp.S.Half:
        return mp.sqrt(base)
    return base ** evaluator(exponent)


def _real(value: object) -> mpmath.mpf:
    if isinstance(value, mpmath.mpc):
        if value.imag != 0:
            raise OutsideDomain("not real")
        value = value.real
    if not mp.isfinite(value) or mp.mag(value) > MAX_MAGNITUDE:
        raise OutsideDomain("not finite")
    return value

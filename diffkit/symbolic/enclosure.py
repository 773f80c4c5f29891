"""Values of a formula at exact points: certified enclosures, and real numbers of any precision.

The law of the file: real semantics, strictly.  The logarithm or the square root of a negative
number, a division by zero or an unselected comparison raise; nothing becomes complex, nan or zero.
Enclosures round outwards (`mpmath`'s interval context); functions that context lacks are monotone
and are enclosed by their values at the ends, widened by far more than mpmath's error.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import inf
from typing import Any

import mpmath
import sympy as sp
from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import mpf_floor, to_int

from diffkit.core.errors import DomainError, Undecidable, UnsupportedFunction
from diffkit.symbolic.vocabulary import definition

Point = Mapping[sp.Symbol, Fraction]
Box = Mapping[sp.Symbol, tuple[Fraction, Fraction]]

#: Beyond this the exponential is refused: its digits would fill the memory.
LARGEST_EXPONENT = 200_000
#: Bits given away where a monotone function is evaluated without directed rounding.
GUARD_BITS = 24


def enclose(expr: sp.Expr, box: Box, digits: int = 30) -> tuple[Fraction | float, Fraction | float]:
    """Return (low, high) with low <= expr <= high for every point of `box`.

    Args:
        expr: A real expression; its symbols are keys of `box`.
        box: Symbol -> (low, high), exact; low == high for a point.
        digits: Working precision, >= 15.

    Raises:
        DomainError: somewhere in the box the expression is not a finite real number, or may not be.
        Undecidable: a comparison holds on a part of the box only, or an exponential is too big.
        UnsupportedFunction: a function without an enclosure.

    >>> x = sp.Symbol("x", real=True)
    >>> low, high = enclose(x**2 - x, {x: (Fraction(1), Fraction(2))})
    >>> low <= 0 and high >= 2
    True
    """
    bound = _Enclosure(box, digits).start(expr)
    return _fraction(bound.a), _fraction(bound.b)


def value(expr: sp.Expr, point: Point, digits: int = 30) -> mpmath.mpf:
    """Return `expr` at an exact point, correct to about `digits` digits.

    Raises:
        DomainError: the expression is not a finite real number there.
        Undecidable: a comparison is too close to call, or an exponential too big to write out.
        UnsupportedFunction: a function mpmath lacks.
    """
    return _Value(point, digits).start(expr)


class _Walker:
    """One evaluation of an expression DAG; every distinct node is visited once."""

    rules: Mapping[str, Callable]

    def __init__(self, context: Any):
        self.context = context
        self.memo: dict[sp.Basic, Any] = {}

    def start(self, expr: sp.Basic) -> Any:
        """Evaluate the whole expression."""
        try:
            return self(definition(expr))
        except RecursionError:
            raise UnsupportedFunction("the formula is nested too deeply to evaluate") from None

    def __call__(self, expr: sp.Basic) -> Any:
        found = self.memo.get(expr)
        if found is None:
            try:
                found = self.memo[expr] = self.visit(expr)
            except (ZeroDivisionError, ValueError, OverflowError, NotImplementedError) as error:
                raise DomainError(f"{expr.func.__name__} is not a finite real number") from error
        return found

    def visit(self, expr: sp.Basic) -> Any:
        if expr.is_Symbol:
            return self.symbol(expr)
        if isinstance(expr, sp.Rational):
            return self.context.mpf(int(expr.p)) / int(expr.q)
        if isinstance(expr, sp.Float):
            return self.visit(sp.Rational(expr))
        if expr.is_Add:
            total = self(expr.args[0])
            for term in expr.args[1:]:
                total = total + self(term)
            return total
        if expr.is_Mul:
            product = self(expr.args[0])
            for factor in expr.args[1:]:
                product = product * self(factor)
            return product
        if expr.is_Pow:
            return self.power(*expr.args)
        if isinstance(expr, sp.Piecewise):
            return self.piecewise(expr)
        if expr in (sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise DomainError(f"{expr} is no finite real number")
        rule = self.rules.get(expr.func.__name__)
        if rule is None:
            raise UnsupportedFunction(
                f"no evaluation rule for {expr.func.__name__}; add a row to "
                "diffkit.symbolic.enclosure, or write it by functions of the vocabulary"
            )
        return rule(self.context, *(self(argument) for argument in expr.args))

    def symbol(self, symbol: sp.Symbol) -> Any:
        raise NotImplementedError

    def sign(self, bound: Any) -> int | None:
        raise NotImplementedError

    def power(self, base: sp.Expr, exponent: sp.Expr) -> Any:
        if exponent.is_Integer:
            number = self(base)
            if exponent.is_negative and self.sign(number) in (0, None):
                raise DomainError("division by zero")
            return number ** int(exponent)
        if exponent == sp.S.Half:
            return self.rules["sqrt"](self.context, self(base))
        number, power = self(base), self(exponent)
        if self.sign(number) == 0 and isinstance(exponent, sp.Rational) and exponent > 0:
            return self.context.mpf(0)
        if self.sign(number) == -1 and exponent.is_integer:
            return self._signed_power(-number, power)
        if self.sign(number) != 1:
            raise DomainError("a power with a fraction as exponent needs a positive base")
        return self.rules["exp"](self.context, power * self.rules["log"](self.context, number))

    def _signed_power(self, magnitude: Any, power: Any) -> Any:
        low = _fraction(getattr(power, "a", power))
        if low != int(low) or low != _fraction(getattr(power, "b", power)):
            raise DomainError("a negative base needs one whole exponent")
        log = self.rules["log"](self.context, magnitude)
        return (-1) ** (int(low) % 2) * self.rules["exp"](self.context, power * log)

    def truth(self, condition: Any) -> bool:
        if condition in (sp.true, sp.false):
            return bool(condition)
        if isinstance(condition, sp.And):
            return all(self.truth(part) for part in condition.args)
        if isinstance(condition, sp.Or):
            return any(self.truth(part) for part in condition.args)
        if isinstance(condition, sp.Not):
            return not self.truth(condition.args[0])
        accepted = _SIGNS.get(type(condition))
        if accepted is None:
            raise UnsupportedFunction(
                f"no rule for the condition {condition}; write it by < and <="
            )
        sign = self.sign(self(condition.lhs) - self(condition.rhs))
        if sign is None:
            raise Undecidable(f"the condition {condition} cannot be decided here")
        return sign in accepted

    def piecewise(self, expr: sp.Piecewise) -> Any:
        for branch, condition in expr.args:
            if self.truth(condition):
                return self(branch)
        raise DomainError("no branch of the Piecewise applies")


_SIGNS = {
    sp.StrictLessThan: (-1,),
    sp.LessThan: (-1, 0),
    sp.StrictGreaterThan: (1,),
    sp.GreaterThan: (1, 0),
    sp.Equality: (0,),
    sp.Unequality: (-1, 1),
}


class _Value(_Walker):
    def __init__(self, point: Point, digits: int):
        context = mpmath.mp.clone()
        context.dps = digits + 10
        super().__init__(context)
        self.point = point
        self.rules = _VALUE_RULES
        self.noise = context.mpf(10) ** (-digits)

    def symbol(self, symbol: sp.Symbol) -> Any:
        try:
            exact = self.point[symbol]
        except KeyError:
            raise DomainError(f"no value was given for {symbol}") from None
        return self.context.mpf(exact.numerator) / exact.denominator

    def sign(self, bound: Any) -> int | None:
        if bound == 0:
            return 0
        return None if abs(bound) < self.noise else (1 if bound > 0 else -1)


class _Enclosure(_Walker):
    def __init__(self, box: Box, digits: int):
        context = MPIntervalContext()
        context.dps = digits
        super().__init__(context)
        self.box = box
        self.rules = _ENCLOSURE_RULES

    def symbol(self, symbol: sp.Symbol) -> Any:
        try:
            low, high = self.box[symbol]
        except KeyError:
            raise DomainError(f"no value was given for {symbol}") from None
        bounds = [self.context.mpf(end.numerator) / end.denominator for end in (low, high)]
        return self.context.mpf([bounds[0].a, bounds[1].b])

    def sign(self, bound: Any) -> int | None:
        if bound.a == 0 and bound.b == 0:
            return 0
        return 1 if bound.a > 0 else -1 if bound.b < 0 else None


def _fraction(end: Any) -> Fraction | float:
    sign, mantissa, exponent, _ = end._mpi_[0] if hasattr(end, "_mpi_") else end._mpf_
    if not mantissa:
        if exponent:
            raise DomainError("the enclosure is unbounded")
        return Fraction(0)
    magnitude = Fraction(int(mantissa)) * (Fraction(2) ** exponent)
    return -magnitude if sign else magnitude


def _needs(condition: bool, what: str) -> None:
    if not condition:
        raise DomainError(f"{what} is not real there")


def _exp(context: Any, x: Any) -> Any:
    if not abs(x) < LARGEST_EXPONENT:
        raise Undecidable("an exponential has more digits than are worked out")
    return context.exp(x)


def _log(context: Any, x: Any) -> Any:
    _needs(x > 0, "the logarithm")
    return context.log(x)


def _sqrt(context: Any, x: Any) -> Any:
    _needs(x >= 0, "the square root")
    return context.sqrt(x)


def _monotone(name: str, low: float = -inf, high: float = inf, *, falls: bool = False) -> Callable:
    """Enclose a monotone function on [low, high] by its values at the ends of the argument."""

    def rule(context: Any, x: Any) -> Any:
        _needs(x.a >= low and x.b <= high, name)
        working = mpmath.mp.clone()
        working.prec = context.prec + 2 * GUARD_BITS
        function = getattr(working, name)
        ends = [function(working.make_mpf(end)) for end in x._mpi_]
        ends = ends[::-1] if falls else ends
        _needs(all(isinstance(end, working.mpf) and working.isfinite(end) for end in ends), name)
        slack = [abs(end) * working.mpf(2) ** -(context.prec - GUARD_BITS) for end in ends]
        return context.mpf([ends[0] - slack[0], ends[1] + slack[1]])

    return rule


def _quotient(above: Callable, below: Callable) -> Callable:
    def rule(context: Any, x: Any) -> Any:
        denominator = below(context, x)
        _needs(not (denominator.a <= 0 <= denominator.b), "a quotient by zero")
        return above(context, x) / denominator

    return rule


def _moderate(x: Any) -> Any:
    """An argument of gamma away from its poles; mpmath's enclosure does not end at others."""
    _needs(x.a > 0 and x.b < 10**5, "gamma of such an argument")
    return x


def _interval_sinh(context: Any, x: Any) -> Any:
    return (_exp(context, x) - _exp(context, -x)) / 2


def _interval_cosh(context: Any, x: Any) -> Any:
    return (_exp(context, x) + _exp(context, -x)) / 2


def _interval_max(context: Any, *values: Any) -> Any:
    return context.mpf([max(v.a for v in values).b, max(v.b for v in values).b])


def _interval_min(context: Any, *values: Any) -> Any:
    return context.mpf([min(v.a for v in values).b, min(v.b for v in values).b])


def _interval_sign(context: Any, x: Any) -> Any:
    def one(end: Any) -> int:
        return int(end > 0) - int(end < 0)

    return context.mpf([one(x.a), one(x.b)])


def _interval_heaviside(context: Any, x: Any, at_zero: Any = None) -> Any:
    half = context.mpf(1) / 2 if at_zero is None else at_zero
    if x.a > 0 or x.b < 0:
        return context.mpf(int(x.a > 0))
    if x.a == 0 and x.b == 0:
        return half
    return context.mpf([min(0, half.a), max(1, half.b)])


def _step_down(context: Any, x: Any) -> Any:
    floors = [int(to_int(mpf_floor(end))) for end in x._mpi_]
    return context.mpf(floors)


_sin: Callable = lambda context, x: context.sin(x)
_cos: Callable = lambda context, x: context.cos(x)
_MONOTONE = {
    "erf": _monotone("erf"),
    "erfc": _monotone("erfc", falls=True),
    "erfinv": _monotone("erfinv", -1, 1),
    "atan": _monotone("atan"),
    "asin": _monotone("asin", -1, 1),
    "acos": _monotone("acos", -1, 1, falls=True),
    "asinh": _monotone("asinh"),
    "acosh": _monotone("acosh", 1),
    "atanh": _monotone("atanh", -1, 1),
    "tanh": _monotone("tanh"),
    "LambertW": _monotone("lambertw", -0.36787),
}
_ENCLOSURE_RULES: dict[str, Callable] = {
    **_MONOTONE,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "sin": _sin,
    "cos": _cos,
    "tan": _quotient(_sin, _cos),
    "cot": _quotient(_cos, _sin),
    "sec": _quotient(lambda context, x: context.mpf(1), _cos),
    "csc": _quotient(lambda context, x: context.mpf(1), _sin),
    "sinh": _interval_sinh,
    "cosh": _interval_cosh,
    "coth": _quotient(_interval_cosh, _interval_sinh),
    "sech": _quotient(lambda context, x: context.mpf(1), _interval_cosh),
    "csch": _quotient(lambda context, x: context.mpf(1), _interval_sinh),
    "gamma": lambda context, x: context.gamma(_moderate(x)),
    "loggamma": lambda context, x: context.loggamma(_moderate(x)),
    "Abs": lambda context, x: abs(x),
    "Max": _interval_max,
    "Min": _interval_min,
    "sign": _interval_sign,
    "Heaviside": _interval_heaviside,
    "floor": _step_down,
    "ceiling": lambda context, x: -_step_down(context, -x),
    "Exp1": lambda context: context.exp(1),
    "Pi": lambda context: +context.pi,
}


def _real(name: str) -> Callable:
    def rule(context: Any, *arguments: Any) -> Any:
        if name == "exp":
            return _exp(context, *arguments)
        result = getattr(context, name)(*arguments)
        if isinstance(result, context.mpc):
            _needs(result.imag == 0, name)
            result = result.real
        _needs(context.isfinite(result), name)
        return result

    return rule


def _value_heaviside(context: Any, x: Any, at_zero: Any = None) -> Any:
    half = context.mpf(1) / 2 if at_zero is None else at_zero
    return context.mpf(1) if x > 0 else half if x == 0 else context.mpf(0)


_SAME_NAME = (
    "exp log sqrt sin cos tan cot sec csc sinh cosh tanh coth sech csch asin acos atan asinh acosh "
    "atanh erf erfc erfinv gamma loggamma digamma zeta sign floor atan2"
)
_VALUE_RULES: dict[str, Callable] = {
    **{name: _real(name) for name in _SAME_NAME.split()},
    "ceiling": _real("ceil"),
    "LambertW": _real("lambertw"),
    "besseli": _real("besseli"),
    "betainc_regularized": lambda context, *args: context.betainc(*args, regularized=True),
    "Ei": _real("ei"),
    "expint": _real("expint"),
    "polygamma": lambda context, n, x: _real("polygamma")(context, int(n), x),
    "Abs": lambda context, x: abs(x),
    "Max": lambda context, *values: max(values),
    "Min": lambda context, *values: min(values),
    "Heaviside": _value_heaviside,
    "Exp1": lambda context: context.exp(1),
    "Pi": lambda context: +context.pi,
    "EulerGamma": lambda context: +context.euler,
    "Catalan": lambda context: +context.catalan,
    "GoldenRatio": lambda context: +context.phi,
}

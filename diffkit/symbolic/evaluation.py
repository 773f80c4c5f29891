r"""Evaluation of an expression to any number of digits, with the error carried along.

Each node is a value with a bound on its error: rounding is added at each step and earlier errors
are propagated by evaluating at the ends of the bar.  Precision doubles until the result is known
to the digits asked for.  The bound is first-order, not an enclosure: the rigorous witness is
`numeric.balls`.  Only real values exist here; what is not real or not finite raises.
"""

import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import sympy as sp
from mpmath import libmp
from mpmath.ctx_mp import MPContext
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import And, BooleanAtom, Not, Or

from diffkit.core.errors import (
    DiffkitError,
    DomainError,
    Undecidable,
    UnknownNameError,
    UnsupportedFunction,
)
from diffkit.symbolic.scalar_function import Row, ScalarFunction
from diffkit.symbolic.walk import nodes

Mpf = Any  # mpmath's own number type is made per context
Bar = tuple[Mpf, Mpf]  # value, bound on its error
Environment = Mapping[sp.Symbol | str, Any]

GUARD_BITS = 24
MAX_BITS = 1 << 15
#: Binary exponent above which an argument of exp, sin, ... is refused: its value would need
#: that many bits of pi or of log 2.
MAX_EXPONENT = 1 << 14
MAX_TERMS = 20_000

_LOCAL = threading.local()


def evaluate(expr: sp.Expr, env: Environment | None = None, digits: int = 30) -> sp.Float:
    r"""Return the value of `expr` to `digits` correct significant digits.

    Args:
        expr: Expression in SymPy's and the vocabulary's functions.
        env: Symbol or its name -> int, Fraction, float (its binary value) or a SymPy number.
        digits: Significant digits, >= 1.

    Raises:
        DomainError: the value is not real or not finite.
        Undecidable: a comparison or the sign of the value is open at 2^15 bits; so is an
            expression that is identically zero without being written as 0.
        UnknownNameError: a symbol without a value.
        UnsupportedFunction: a function without a rule.

    >>> evaluate(sp.exp(1) - 1, digits=10)
    1.718281828
    """
    return _evaluate(expr, env or {}, digits, MAX_BITS)


def _evaluate(expr: sp.Expr, env: Environment, digits: int, most_bits: int) -> sp.Float:
    bits = libmp.dps_to_prec(digits)
    values = _by_symbol(expr, env)
    precision = bits + GUARD_BITS
    while precision <= most_bits:
        result = _Evaluation(precision, values).run(expr)
        if not isinstance(result, Undecidable):
            value, error = _checked(result)
            if error == 0 or error <= abs(value) * MPContext.ldexp(_context(), 1, -bits - 2):
                return sp.Float(sp.Float._new(value._mpf_, precision), digits)
        precision *= 2
    raise Undecidable(
        f"{str(expr)[:60]} is zero or too close to it to be told apart with {most_bits} bits; "
        "ask for `enclosure`, or prove the identity"
    )


def enclosure(
    expr: sp.Expr, env: Environment | None = None, bits: int = 128
) -> tuple[sp.Float, sp.Float]:
    """Return the value of `expr` at a fixed precision and a first-order bound on its error.

    Unlike `evaluate` it answers for values that are zero.

    Raises:
        DomainError, Undecidable, UnknownNameError, UnsupportedFunction: as `evaluate`.
    """
    result = _Evaluation(bits, _by_symbol(expr, env or {})).run(expr)
    if isinstance(result, Undecidable):
        raise result
    value, error = _checked(result)
    return sp.Float._new(value._mpf_, bits), sp.Float._new(error._mpf_, bits)


def evaluate_at_precision(expr: sp.Expr, bits: int) -> sp.Expr | None:
    """Value of a number with `bits` bits for SymPy's `evalf`; None where there is none."""
    try:
        value = _evaluate(expr, {}, libmp.prec_to_dps(bits) + 3, 16 * (bits + GUARD_BITS))
        return sp.Float._new(value._mpf_, bits)
    except DiffkitError:
        return None


def _context() -> MPContext:
    """This thread's own mpmath context, so that nobody's precision is changed."""
    if not hasattr(_LOCAL, "context"):
        _LOCAL.context = MPContext()
    return _LOCAL.context


def _by_symbol(expr: sp.Expr, env: Environment) -> dict[sp.Symbol, sp.Expr]:
    """The exact value of each free symbol of `expr`."""
    named = {key if isinstance(key, str) else key.name: value for key, value in env.items()}
    missing = sorted(symbol.name for symbol in expr.free_symbols if symbol.name not in named)
    if missing:
        known = ", ".join(sorted(named)) or "none"
        raise UnknownNameError(
            f"no value is given for {missing[0]!r}; values are given for: {known}"
        )
    return {symbol: _exact(named[symbol.name]) for symbol in expr.free_symbols}


def _exact(value: Any) -> sp.Expr:
    if isinstance(value, Fraction):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise DomainError(f"{value} is no point; give a finite number")
        return sp.Rational(*value.as_integer_ratio())
    if isinstance(value, sp.Float):
        sign, mantissa, exponent, _ = value._mpf_
        return sp.Integer(-mantissa if sign else mantissa) * sp.Integer(2) ** exponent
    return sp.Integer(value) if isinstance(value, int) else value


def _checked(result: Any) -> Bar:
    if isinstance(result, DiffkitError):
        raise result
    return result


class _Evaluation:
    """One pass over an expression at one precision.

    What fails is stored in place of a value and matters only if it is used, so the branch
    of a Piecewise that is not taken may be undefined.
    """

    def __init__(self, bits: int, values: Mapping[sp.Symbol, sp.Expr | Bar]):
        self.bits = bits
        self.context = _context()
        self.values = values
        self.done: dict[sp.Basic, Any] = {}

    def run(self, expr: sp.Basic) -> Any:
        """The bar (or truth value, or error) of `expr`."""
        with self.context.workprec(self.bits):
            for node in nodes(expr, is_leaf=lambda node: isinstance(node, _BINDERS)):
                try:
                    self.done[node] = self.node(node)
                except DiffkitError as error:
                    self.done[node] = error
                except (ZeroDivisionError, OverflowError):
                    self.done[node] = DomainError(f"{str(node)[:60]} is not finite here")
            return self.done[expr]

    def node(self, node: sp.Basic) -> Any:
        """Evaluate one node whose arguments are done."""
        if isinstance(node, sp.Symbol):
            return self.symbol(node)
        if isinstance(node, sp.Rational | sp.Float | sp.NumberSymbol):
            return self.number(node)
        if isinstance(node, BooleanAtom):
            return bool(node)
        if isinstance(node, sp.Piecewise):
            return self.piecewise(node)
        if isinstance(node, ExprCondPair | sp.Tuple):
            return None
        if isinstance(node, Or | And | Not):
            return self.boolean(node)
        args = [self.of(arg) for arg in node.args] if not isinstance(node, _BINDERS) else []
        if isinstance(node, Relational):
            return self.relation(node, *args)
        if isinstance(node, ScalarFunction):
            return self.vocabulary(node.row, args)
        if isinstance(node, sp.Sum | sp.Product):
            return self.series(node)
        return self.function(node, args)

    def of(self, node: sp.Basic) -> Any:
        """What `node` evaluated to; raises what its evaluation raised."""
        result = self.done[node]
        if isinstance(result, DiffkitError):
            raise result
        return result

    def symbol(self, node: sp.Symbol) -> Bar:
        value = self.values.get(node)
        if value is None:
            raise UnknownNameError(f"no value is given for {node.name!r}")
        if isinstance(value, tuple):
            return value
        if isinstance(value, sp.Rational):
            return self.number(value)
        return _checked(_Evaluation(self.bits, {}).run(value))

    def number(self, node: sp.Expr) -> Bar:
        context = self.context
        if isinstance(node, sp.Rational):
            if node.q == 0:
                raise DomainError("the value is not finite")
            value = context.mpf(node.p) / node.q
            is_exact = abs(node.p).bit_length() <= self.bits and node.q & (node.q - 1) == 0
            return value, context.zero if is_exact else self.ulp(value)
        value = context.make_mpf(node._as_mpf_val(self.bits))
        return value, context.zero if isinstance(node, sp.Float) else self.ulp(value)

    def ulp(self, value: Mpf) -> Mpf:
        """A bound on the rounding error of a result equal to `value`."""
        return self.context.ldexp(abs(value), 2 - self.bits)

    def apply(self, function: Callable[..., Mpf], *bars: Bar) -> Bar:
        """`function` at the values, with the errors propagated one argument at a time."""
        values = [value for value, _ in bars]
        centre = self.real(function, values)
        moved = [
            self.real(function, [*values[:position], end, *values[position + 1 :]])
            for position, (value, error) in enumerate(bars)
            if error != 0
            for end in (value - error, value + error)
        ]
        if centre is None or None in moved:
            # Outside the domain if all of the bar is, else at its edge.
            kind = DomainError if centre is None and set(moved) <= {None} else Undecidable
            raise kind("the value is not real or not finite at this point")
        total = self.ulp(centre)
        for ends in zip(moved[::2], moved[1::2], strict=True):
            total += 2 * max(abs(end - centre) for end in ends)
        return centre, total

    def real(self, function: Callable[..., Mpf], values: list[Mpf]) -> Mpf | None:
        """The value of `function` if it is real and finite."""
        try:
            value = function(*values)
        except (ZeroDivisionError, ValueError, OverflowError, self.context.NoConvergence):
            return None
        is_real = not isinstance(value, self.context.mpc)
        return value if is_real and self.context.isfinite(value) else None

    def vocabulary(self, row: Row, args: list[Bar]) -> Bar:
        primitive = _rules(self.context).get(row.name)
        if primitive is not None:
            return self.apply(primitive, *args)
        dummies, expr = _program(row)
        return _checked(_Evaluation(self.bits, dict(zip(dummies, args, strict=True))).run(expr))

    def piecewise(self, node: sp.Piecewise) -> Bar:
        for pair in node.args:
            if self.of(pair.args[1]):
                return self.of(pair.args[0])
        raise DomainError("no branch of the Piecewise applies at this point")

    def boolean(self, node: sp.Basic) -> bool:
        if isinstance(node, Not):
            return not self.of(node.args[0])
        # One deciding argument is enough, whatever the others are.
        decides = isinstance(node, Or)
        results = [self.done[arg] for arg in node.args]
        if any(result is decides for result in results):
            return decides
        for result in results:
            _checked(result)
        return not decides

    def relation(self, node: Relational, left: Bar, right: Bar) -> bool:
        difference, error = left[0] - right[0], left[1] + right[1]
        if abs(difference) > error:
            sign = 1 if difference > 0 else -1
        elif error == 0:
            sign = 0
        else:
            raise Undecidable(f"whether {str(node)[:60]} holds cannot be decided at this point")
        return _HOLDS[node.rel_op](sign)

    def series(self, node: sp.Sum | sp.Product) -> Bar:
        if len(node.limits) != 1:
            raise UnsupportedFunction("a Sum over several indices has no value here; nest the sums")
        index, low, high = node.limits[0]
        outer = {symbol: self.symbol(symbol) for symbol in node.free_symbols}
        bounds = [_checked(_Evaluation(self.bits, outer).run(bound)) for bound in (low, high)]
        if any(error != 0 or value != int(value) for value, error in bounds):
            raise DomainError(f"the bounds of {str(node)[:60]} are no whole numbers")
        first, last = (int(value) for value, _ in bounds)
        if last - first > MAX_TERMS:
            raise UnsupportedFunction(
                f"a Sum of more than {MAX_TERMS} terms; write its closed form"
            )
        is_sum = isinstance(node, sp.Sum)
        total = (self.context.mpf(0 if is_sum else 1), self.context.zero)
        for count in range(first, last + 1):
            term = _checked(
                _Evaluation(self.bits, {**outer, index: sp.Integer(count)}).run(node.function)
            )
            total = self.add(total, term) if is_sum else self.multiply(total, term)
        return total

    def function(self, node: sp.Basic, args: list[Bar]) -> Bar:
        if isinstance(node, sp.Add | sp.Mul):
            combine = self.add if isinstance(node, sp.Add) else self.multiply
            total = args[0]
            for arg in args[1:]:
                total = combine(total, arg)
            return total
        if isinstance(node, sp.Pow):
            return self.power(node, args)
        if isinstance(node, sp.Max | sp.Min):
            return self.extreme(args, 1 if isinstance(node, sp.Max) else -1)
        if isinstance(node, sp.Abs):
            return abs(args[0][0]), args[0][1]
        if isinstance(node, sp.sign | sp.floor | sp.ceiling | sp.Heaviside):
            return self.stair(node, args[0])
        rule = _rules(self.context).get(type(node))
        if rule is None:
            raise UnsupportedFunction(
                f"{type(node).__name__} has no rule for its value; write it by functions of the "
                "vocabulary, or call .doit() first if it is a Derivative or an Integral"
            )
        for value, _ in args:
            if type(node) in _PERIODIC_OR_FAST and self.context.mag(value) > MAX_EXPONENT:
                raise DomainError(f"the argument of {type(node).__name__} is too large to evaluate")
        return self.apply(rule, *args)

    def extreme(self, args: list[Bar], sign: int) -> Bar:
        """The largest (sign 1) or smallest; arguments that are clearly beaten add no error."""
        best, error = max(args, key=lambda bar: sign * bar[0])
        rivals = [bar[1] for bar in args if sign * (best - bar[0]) <= error + bar[1]]
        return best, max(rivals)

    def add(self, left: Bar, right: Bar) -> Bar:
        value = left[0] + right[0]
        exact = (
            left[1] == 0
            and right[1] == 0
            and value - left[0] == right[0]
            and value - right[0] == left[0]
        )
        return value, self.context.zero if exact else left[1] + right[1] + self.ulp(value)

    def multiply(self, left: Bar, right: Bar) -> Bar:
        (a, error_a), (b, error_b) = left, right
        value = a * b
        if value == 0 and error_a == 0 and error_b == 0:
            return value, self.context.zero
        return value, abs(a) * error_b + abs(b) * error_a + error_a * error_b + self.ulp(value)

    def power(self, node: sp.Pow, args: list[Bar]) -> Bar:
        base, exponent = args
        if node.base is sp.E:
            return self.exponential(exponent)
        if abs(base[0]) <= base[1] and exponent[0] < 0:
            kind = DomainError if base[1] == 0 else Undecidable
            raise kind("division by zero at this point")
        size = (
            self.context.mag(exponent[0]) + abs(self.context.mag(base[0])).bit_length()
            if base[0]
            else 0
        )
        if size > MAX_EXPONENT:
            raise DomainError("the power is too large to evaluate")
        if isinstance(node.exp, sp.Integer):
            return self.apply(lambda b: b ** int(node.exp), base)
        return self.apply(self.context.power, base, exponent)

    def exponential(self, exponent: Bar) -> Bar:
        if self.context.mag(exponent[0]) > MAX_EXPONENT:
            raise DomainError("the exponential is too large to evaluate")
        return self.apply(self.context.exp, exponent)

    def stair(self, node: sp.Basic, arg: Bar) -> Bar:
        """A function that is constant between its jumps."""
        value, error = arg
        context = self.context
        rules = {
            sp.sign: context.sign,
            sp.floor: context.floor,
            sp.ceiling: context.ceil,
            sp.Heaviside: lambda t: (context.sign(t) + 1) / 2,
        }
        results = {rules[type(node)](end) for end in (value - error, value, value + error)}
        if len(results) > 1:
            raise Undecidable(f"on which side of a jump {str(node)[:60]} lies is open")
        return results.pop(), context.zero


_BINDERS = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.Subs, sp.Limit)
_PERIODIC_OR_FAST = {sp.exp, sp.sinh, sp.cosh, sp.sin, sp.cos, sp.tan, sp.sec, sp.csc, sp.cot}
_HOLDS: dict[str, Callable[[int], bool]] = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
    "==": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
}


@lru_cache(maxsize=256)
def _program(row: Row) -> tuple[tuple[sp.Dummy, ...], sp.Expr]:
    """Arguments and accurate form of a vocabulary function."""
    dummies = tuple(sp.Dummy(f"a{position}", real=True) for position in range(row.arity))
    return dummies, (row.stable or row.definition)(*dummies)


_NAMES = (
    "exp log sin cos tan sec csc cot sinh cosh tanh sech csch coth asin acos atan acot asinh acosh "
    "atanh atan2 erf erfc erfi erfinv gamma loggamma digamma zeta beta factorial binomial"
)


def _rules(context: MPContext) -> dict[type | str, Callable[..., Mpf]]:
    """Value rule by SymPy class, or by name for the vocabulary's accurate primitives."""
    if not hasattr(_LOCAL, "rules"):
        _LOCAL.rules = {
            **{getattr(sp, name): getattr(context, name) for name in _NAMES.split()},
            sp.LambertW: context.lambertw,
            sp.polygamma: context.polygamma,
            sp.besseli: context.besseli,
            sp.betainc_regularized: partial(context.betainc, regularized=True),
            sp.Ei: context.ei,
            sp.expint: context.expint,
            "expm1": context.expm1,
            "log1p": context.log1p,
            "hypot": context.hypot,
        }
    return _LOCAL.rules

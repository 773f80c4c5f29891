r"""Reduction rules of the named functions: one row each, read by `reduction.Reduction`.

Trigonometric functions become $\cos$ and $\sin$ of base angles, hyperbolic ones exponentials,
Max, Min and Piecewise the branch that applies in the cell.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

import sympy as sp

from diffkit.core.errors import UnsupportedFunction
from diffkit.symbolic.reduction import Reduction, Undefined
from diffkit.symbolic.tower import Element, Kernel, TooLarge

Pair = tuple[Element, Element]

HALF = Fraction(1, 2)
#: Angles are expanded up to this multiple, arguments of gamma shifted by at most this many.
LARGEST_MULTIPLE = 24
#: Angles that are products are expanded up to this multiple.
SMALL_MULTIPLE = 4


def cos_sin(r: Reduction, angle: Element) -> Pair:
    """(cos, sin) of an element, by the addition theorems over its terms."""
    tower = r.tower
    total = (tower.rational(1), tower.rational(0))
    for times, unit in tower.terms(tower.canonical(angle)):
        total = _rotate(r, total, _term_pair(r, times, unit))
    return total


def _rotate(r: Reduction, first: Pair, second: Pair) -> Pair:
    (c1, s1), (c2, s2), tower = first, second, r.tower
    cosine = tower.subtract(tower.multiply(c1, c2), tower.multiply(s1, s2))
    sine = tower.add((tower.multiply(s1, c2), tower.multiply(c1, s2)))
    return cosine, sine


def _term_pair(r: Reduction, times: Fraction, unit: Element) -> Pair:
    _tower, expr = r.tower, r.tower.expr(unit)
    if expr is sp.pi:
        angle = sp.Rational(times.numerator, times.denominator) * sp.pi
        cosine, sine = sp.cos(angle), sp.sin(angle)
        if not cosine.has(sp.cos, sp.sin) and not sine.has(sp.cos, sp.sin):
            return r(cosine), r(sine)
    kernel = r.bare_kernel(unit)
    if kernel is not None and kernel.kind in _INVERSE_PAIRS and times.denominator == 1:
        base = _INVERSE_PAIRS[kernel.kind](r, kernel.parts[0])
        return _multiple(r, base, int(times))
    scale = r.scale("angle", expr, times.denominator)
    multiple = int(times * scale)
    if abs(multiple) > SMALL_MULTIPLE and len(unit.factors) + sum(unit.factors.values()) > 2:
        return _base_pair(r, expr * multiple / scale)
    return _multiple(r, _base_pair(r, expr / scale), multiple)


def _base_pair(r: Reduction, angle: sp.Expr) -> Pair:
    tower = r.tower
    cosine = tower.generator(Kernel("cos", sp.cos(angle, evaluate=False)))
    rhs = 1 - cosine**2
    sine = tower.generator(Kernel("sin", sp.sin(angle, evaluate=False), 2, rhs))
    tower.pairs[tower.gens.index(cosine)] = tower.gens.index(sine)
    return tower.monomial(cosine), tower.monomial(sine)


def _multiple(r: Reduction, base: Pair, times: int) -> Pair:
    if abs(times) > LARGEST_MULTIPLE:
        raise TooLarge
    total = (r.tower.rational(1), r.tower.rational(0))
    for _ in range(abs(times)):
        total = _rotate(r, total, base)
    return total if times >= 0 else (total[0], r.tower.negate(total[1]))


def _pair_of_asin(r: Reduction, u: Element) -> Pair:
    return r.rational_power(r.complement(u), HALF), u


def _pair_of_atan(r: Reduction, u: Element) -> Pair:
    cosine = r.rational_power(r.tower.add((r.tower.rational(1), r.tower.power(u, 2))), -HALF)
    return cosine, r.tower.multiply(u, cosine)


_INVERSE_PAIRS: dict[str, Callable[[Reduction, Element], Pair]] = {
    "asin": _pair_of_asin,
    "atan": _pair_of_atan,
}


def _divide(r: Reduction, above: Element, below: Element) -> Element:
    if below.is_zero:
        raise Undefined
    r.note_poles(below)
    return r.tower.multiply(above, r.tower.inverse(below))


def _trigonometric(name: str) -> Callable[[Reduction, sp.Expr], Element]:
    def rule(r: Reduction, expr: sp.Expr) -> Element:
        cosine, sine = cos_sin(r, r(expr.args[0]))
        one = r.tower.rational(1)
        above, below = {
            "cos": (cosine, one),
            "sin": (sine, one),
            "tan": (sine, cosine),
            "cot": (cosine, sine),
            "sec": (one, cosine),
            "csc": (one, sine),
        }[name]
        return above if below is one else _divide(r, above, below)

    return rule


def _hyperbolic(name: str) -> Callable[[Reduction, sp.Expr], Element]:
    def rule(r: Reduction, expr: sp.Expr) -> Element:
        tower = r.tower
        grows = r.exp(r(expr.args[0]))
        falls = tower.inverse(grows)
        total, difference = tower.add((grows, falls)), tower.subtract(grows, falls)
        two = tower.rational(2)
        above, below = {
            "cosh": (total, two),
            "sinh": (difference, two),
            "tanh": (difference, total),
            "coth": (total, difference),
            "sech": (two, total),
            "csch": (two, difference),
        }[name]
        return _divide(r, above, below)

    return rule


def _odd(r: Reduction, expr: sp.Expr) -> Element:
    """An odd function of one variable; SymPy says which sign its argument takes."""
    argument = r.tower.canonical(r(expr.args[0]))
    if argument.is_zero:
        return argument
    func = expr.func
    kernel = r.bare_kernel_of(argument)
    if kernel is not None and {kernel.kind, func.__name__} == {"erf", "erfinv"}:
        return kernel.parts[0]
    if func in (sp.asin, sp.erfinv):
        r.require_positive(r.complement(argument), strict=func is sp.erfinv)
    made = func(r.tower.expr(argument))
    if isinstance(-made, func):
        mirrored = r.tower.negate(argument)
        return r.tower.negate(r.known_call(-made, parts=(mirrored,)))
    return r.known_call(made, parts=(argument,)) if isinstance(made, func) else r(made)


def _acos(r: Reduction, expr: sp.Expr) -> Element:
    return r.tower.subtract(r(sp.pi / 2), _odd(r, sp.asin(expr.args[0], evaluate=False)))


def _erfc(r: Reduction, expr: sp.Expr) -> Element:
    return r.tower.subtract(r.tower.rational(1), _odd(r, sp.erf(expr.args[0], evaluate=False)))


def _acosh(r: Reduction, expr: sp.Expr) -> Element:
    u, tower = r(expr.args[0]), r.tower
    r.require_positive(tower.add((u, tower.rational(-1))), strict=False)
    root = r.rational_power(tower.negate(r.complement(u)), HALF)
    return r.log_abs(tower.add((u, root)))


def _atanh(r: Reduction, expr: sp.Expr) -> Element:
    u, tower = r(expr.args[0]), r.tower
    r.require_positive(r.complement(u))
    above, below = tower.add((tower.rational(1), u)), tower.subtract(tower.rational(1), u)
    difference = tower.subtract(r.log_abs(above), r.log_abs(below))
    return tower.multiply(tower.rational(HALF), difference)


def _lambertw(r: Reduction, expr: sp.Expr) -> Element:
    if len(expr.args) != 1:
        raise UnsupportedFunction("only the principal branch of LambertW is real on an interval")
    argument = r.tower.canonical(r(expr.args[0]))
    if argument.is_zero:
        return argument
    scaled = r.tower.multiply(argument, r.exp(r.tower.rational(1)))
    r.require_positive(r.tower.add((scaled, r.tower.rational(1))), strict=False)
    return r.call(sp.LambertW, r.tower.expr(argument), parts=(argument,))


def _shift(r: Reduction, argument: Element) -> tuple[int, Element]:
    """(n, rest) with argument = n + rest and the constant term of rest in [0, 1)."""
    constant = sum(times for times, unit in r.tower.terms(argument) if r.tower.expr(unit) == 1)
    whole = constant.numerator // constant.denominator if constant else 0
    if abs(whole) > LARGEST_MULTIPLE:
        raise TooLarge
    return whole, r.tower.canonical(r.tower.add((argument, r.tower.rational(-whole))))


def _steps(r: Reduction, whole: int, rest: Element) -> Iterator[tuple[int, Element]]:
    """The factors passed on the way from gamma(rest) to gamma(rest + whole)."""
    for i in range(whole) if whole >= 0 else range(whole, 0):
        yield (1 if whole >= 0 else -1), r.tower.add((rest, r.tower.rational(i)))


def _gamma(r: Reduction, expr: sp.Expr) -> Element:
    whole, rest = _shift(r, r.tower.canonical(r(expr.args[0])))
    if rest.is_zero:
        if whole <= 0:
            raise Undefined
        return r.tower.rational(sp.factorial(whole - 1))
    base = r.call(sp.gamma, r.tower.expr(rest))
    powers = [r.tower.power(step, sign) for sign, step in _steps(r, whole, rest)]
    return r.tower.multiply(base, *powers)


def _loggamma(r: Reduction, expr: sp.Expr) -> Element:
    argument = r.tower.canonical(r(expr.args[0]))
    r.require_positive(argument)
    return r.call(sp.loggamma, r.tower.expr(argument))


def _floor(r: Reduction, expr: sp.Expr) -> Element:
    whole, rest = _shift(r, r.tower.canonical(r(expr.args[0])))
    value = r.call(sp.floor, r.tower.expr(rest))
    r.kinks[sp.sin(sp.pi * r.tower.expr(rest))] = True
    return r.tower.add((value, r.tower.rational(whole)))


def _ceiling(r: Reduction, expr: sp.Expr) -> Element:
    return r.tower.negate(r(sp.floor(-expr.args[0], evaluate=False)))


def _sign(r: Reduction, expr: sp.Expr) -> Element:
    element = r(expr.args[0])
    if r.setting.splits or element.is_zero:
        return r.tower.rational(r.sign_of(element, jumps=True))
    return _divide(r, r.magnitude(element), element)


def _heaviside(r: Reduction, expr: sp.Expr) -> Element:
    element = r(expr.args[0])
    if element.is_zero:
        return r(expr.args[1]) if len(expr.args) > 1 else r.tower.rational(HALF)
    sign = _sign(r, expr)
    return r.tower.multiply(r.tower.rational(HALF), r.tower.add((r.tower.rational(1), sign)))


def _extreme(direction: int) -> Callable[[Reduction, sp.Expr], Element]:
    def rule(r: Reduction, expr: sp.Expr) -> Element:
        best = r(expr.args[0])
        for argument in expr.args[1:]:
            other = r(argument)
            difference = r.tower.subtract(best, other)
            if r.setting.splits:
                best = best if r.sign_of(difference, jumps=False) * direction >= 0 else other
                continue
            spread = r.tower.multiply(r.tower.rational(direction), r.magnitude(difference))
            half = r.tower.rational(HALF)
            best = r.tower.multiply(half, r.tower.add((best, other, spread)))
        return best

    return rule


def _piecewise(r: Reduction, expr: sp.Expr) -> Element:
    if not r.setting.splits:
        branches = [(r.normal(branch), condition) for branch, condition in expr.args]
        made = sp.Piecewise(*branches)
        if not isinstance(made, sp.Piecewise):
            return r(made)
        return r.tower.monomial(r.tower.generator(Kernel("Piecewise", made)))
    for branch, condition in expr.args:
        if holds(r, condition):
            return r(branch)
    raise Undefined


def holds(r: Reduction, condition: sp.Basic) -> bool:
    """Whether a condition holds in the (open) cell.

    Raises:
        NeedSign: that depends on a sign the cell does not fix.
        UnsupportedFunction: a condition that is no comparison.
    """
    if condition in (sp.true, sp.false):
        return bool(condition)
    if isinstance(condition, sp.And):
        return all(holds(r, part) for part in condition.args)
    if isinstance(condition, sp.Or):
        return any(holds(r, part) for part in condition.args)
    if isinstance(condition, sp.Not):
        return not holds(r, condition.args[0])
    accepted = _ACCEPTED.get(type(condition))
    if accepted is None:
        raise UnsupportedFunction(f"no rule for the condition {condition}; write it by < and <=")
    difference = r.tower.subtract(r(condition.lhs), r(condition.rhs))
    if difference.is_zero:
        return 0 in accepted
    if isinstance(condition, sp.Equality | sp.Unequality):
        for factor in r.tower.factorize(difference)[1]:
            r.note_kink(factor, jumps=True)
        return isinstance(condition, sp.Unequality)
    return r.sign_of(difference, jumps=True) in accepted


_ACCEPTED = {
    sp.StrictLessThan: (-1,),
    sp.LessThan: (-1, 0),
    sp.StrictGreaterThan: (1,),
    sp.GreaterThan: (1, 0),
    sp.Equality: (0,),
    sp.Unequality: (-1, 1),
}

Reduction.rules.update(
    {
        "exp": lambda r, expr: r.exp(r(expr.args[0])),
        "log": lambda r, expr: r.log(r(expr.args[0])),
        **{name: _trigonometric(name) for name in ("cos", "sin", "tan", "cot", "sec", "csc")},
        **{name: _hyperbolic(name) for name in ("cosh", "sinh", "tanh", "coth", "sech", "csch")},
        **dict.fromkeys(("erf", "erfinv", "asin", "atan", "asinh"), _odd),
        "acos": _acos,
        "acosh": _acosh,
        "atanh": _atanh,
        "erfc": _erfc,
        "LambertW": _lambertw,
        "gamma": _gamma,
        "loggamma": _loggamma,
        "floor": _floor,
        "ceiling": _ceiling,
        "Abs": lambda r, expr: r.magnitude(r(expr.args[0])),
        "sign": _sign,
        "Heaviside": _heaviside,
        "Max": _extreme(1),
        "Min": _extreme(-1),
        "Piecewise": _piecewise,
    }
)

"""From SymPy nodes to elements of a tower: sums, products, powers, exponentials, logarithms, signs.

The law of the file: every rewriting holds wherever the original is a finite real number.  What it
needs beyond that (the sign of a factor) is proved from the domain, known in the cell at hand, asked
for (`NeedSign`), or written down as a condition of the side that needs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, lcm
from typing import Any, ClassVar, NoReturn

import sympy as sp
from sympy import QQ
from sympy.core.function import Application
from sympy.polys.rings import PolyElement

from diffkit.core.domain import Domain
from diffkit.core.errors import Undecidable, UnsupportedFunction
from diffkit.symbolic.points import domain_of
from diffkit.symbolic.signs import range_of, to_rational
from diffkit.symbolic.tower import Element, Kernel, Refine, TooLarge, Tower

#: Integers are split into primes by trial division up to this.
LARGEST_PRIME = 10**5


class NeedSign(Exception):
    """The sign of `expr` must be known: the caller splits into the cells > 0 and < 0."""

    def __init__(self, expr: sp.Expr):
        """Ask for the sign of `expr`."""
        self.expr = expr
        super().__init__(f"the sign of {expr} is needed")


class Undefined(Exception):
    """The expression is nowhere a finite real number on the domain (or in this cell)."""


@dataclass
class Setting:
    """What a reduction may use.

    Args:
        domains: Name -> domain of a symbol.
        facts: Factor -> its sign in the cell at hand.
        scales: (kind, key) -> how finely a generator is taken; kept across restarts.
        splits: Whether an unknown sign raises `NeedSign`; if not, |f| becomes a generator.
        outer: The domains before they were cut down to the cell; kinks and poles refer to them.
    """

    domains: Mapping[str, Domain] = field(default_factory=dict)
    facts: Mapping[sp.Expr, int] = field(default_factory=dict)
    scales: dict[tuple[str, sp.Expr], int] = field(default_factory=dict)
    splits: bool = True
    outer: Mapping[str, Domain] | None = None

    def is_discrete(self, expr: sp.Expr) -> bool:
        """Whether a symbol of `expr` takes whole numbers only: continuity says nothing then."""
        return any(domain_of(symbol, self.domains).integer for symbol in expr.free_symbols)

    def strict_sign(self, expr: sp.Expr) -> int | None:
        """The sign of `expr` on the whole domain; None if it may be zero."""
        domains = self.domains if self.outer is None else self.outer
        return range_of(expr, domains).strict_sign or None


class Reduction:
    """One walk over expression DAGs that share a tower."""

    rules: ClassVar[dict[str, Callable]] = {}

    def __init__(self, setting: Setting, tower: Tower):
        """Start with nothing walked and nothing needed."""
        self.setting = setting
        self.tower = tower
        self.memo: dict[sp.Basic, Element] = {}
        #: Conditions under which the expressions walked are real: products that must be >= 0,
        #: or > 0 where the value is True.
        self.conditions: dict[sp.Expr, bool] = {}
        self.inferred: dict[PolyElement, int] = {}
        #: Expressions at whose zeros a branch changes: True where the value itself may jump.
        self.kinks: dict[sp.Expr, bool] = {}
        #: Factors divided by that the domain does not keep from zero.
        self.poles: dict[sp.Expr, None] = {}
        self._signs: dict[PolyElement, int | None] = {}
        self._taken: set[tuple[str, sp.Expr]] = set()

    def __call__(self, expr: sp.Basic) -> Element:
        """Return the element of `expr`."""
        found = self.memo.get(expr)
        if found is None:
            found = self.memo[expr] = self._visit(expr)
        return found

    def _visit(self, expr: sp.Basic) -> Element:
        if isinstance(expr, sp.Rational):
            return self.tower.rational(expr)
        if expr.is_Symbol:
            return self._symbol(expr)
        if expr.is_Add:
            return self.tower.add([self(term) for term in expr.args])
        if expr.is_Mul:
            return self.tower.multiply(*[self(factor) for factor in expr.args])
        if expr.is_Pow:
            return self._pow(expr.base, expr.exp)
        if isinstance(expr, sp.Float):
            return self.tower.rational(sp.Rational(expr))
        if expr in (sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise Undefined
        if expr is sp.S.Exp1:
            return self.exp(self.tower.rational(1))
        if expr.is_NumberSymbol:
            return self.tower.monomial(self.tower.generator(Kernel("constant", expr)))
        if not isinstance(expr, Application | sp.Piecewise):
            raise UnsupportedFunction(
                f"no normal form for {type(expr).__name__} ({_short(expr)}); "
                "write it by real scalar functions"
            )
        rule = self.rules.get(expr.func.__name__)
        return rule(self, expr) if rule is not None else self.opaque(expr)

    def _symbol(self, symbol: sp.Symbol) -> Element:
        if symbol.is_extended_real is not True:
            raise UnsupportedFunction(
                f"{symbol} is not declared real; make it by diffkit.symbolic.symbols.symbol"
            )
        return self.tower.monomial(self.tower.generator(Kernel("symbol", symbol)))

    def opaque(self, expr: sp.Expr) -> Element:
        """A function of normal arguments, as one generator."""
        arguments = [self.normal(argument) for argument in expr.args]
        return self.call(expr.func, *arguments)

    def call(self, func: Any, *arguments: sp.Expr, parts: tuple[Any, ...] = ()) -> Element:
        """The generator func(*arguments), or what SymPy evaluates it to."""
        made = func(*arguments)
        if not isinstance(made, func):
            return self(made)
        return self.known_call(made, parts=parts)

    def known_call(self, call: sp.Expr, *, parts: tuple[Any, ...] = ()) -> Element:
        """The generator of a call whose arguments are normal."""
        kernel = Kernel(call.func.__name__, call, parts=parts)
        return self.tower.monomial(self.tower.generator(kernel))

    def normal(self, expr: sp.Expr) -> sp.Expr:
        """The normal form of an argument, as an expression."""
        return self.tower.expr(self.tower.canonical(self(expr)))

    def sign(self, factor: PolyElement) -> int | None:
        """The sign of a factor on the domain and in the cell; 0 may be a value."""
        if factor not in self._signs:
            self._signs[factor] = self._find_sign(factor)
        return self._signs[factor]

    def _find_sign(self, factor: PolyElement) -> int | None:
        kernel = self.tower.kernel_of(factor)
        if kernel is not None and kernel.kind in ("exp", "root", "abs", "constant"):
            return 1
        expr = self.tower.poly_expr(factor)
        for key, turn in ((expr, 1), (-expr, -1)):
            if key in self.setting.facts:
                return turn * self.setting.facts[key]
        found = range_of(expr, self.setting.domains)
        return found.sign if found.sign is not None else self.sign_of_polynomial(factor)

    def sign_of_polynomial(self, factor: PolyElement) -> int | None:
        """The sign of a polynomial in one generator that has no root in the generator's range."""
        used = [i for i in range(len(self.tower.kernels)) if any(m[i] for m in factor)]
        if len(used) != 1:
            return None
        variable = sp.Dummy()
        poly = sp.Poly.from_dict({(m[used[0]],): _rational(c) for m, c in factor.terms()}, variable)
        reach = range_of(self.tower.kernels[used[0]].expr, self.setting.domains)
        bounds = (reach.low, reach.high)
        ends = [None if abs(end) == inf else to_rational(end) for end in bounds]
        if poly.count_roots(*ends):
            return None
        at = ends[0] if ends[0] is not None else ends[1] if ends[1] is not None else sp.S.Zero
        return 1 if poly.eval(at) > 0 else -1

    def sign_of(self, element: Element, *, jumps: bool) -> int:
        """The sign of an element in the cell; its zeros are noted as kinks.

        Raises:
            NeedSign: a factor's sign is not known.
        """
        if element.is_zero:
            return 0
        coefficient, factors = self.tower.factorize(element)
        sign = 1 if coefficient > 0 else -1
        for factor, exponent in factors.items():
            self.note_kink(factor, jumps=jumps)
            if exponent % 2:
                sign *= self.need_sign(factor)
        return sign

    def note_kink(self, factor: PolyElement, *, jumps: bool) -> None:
        """Remember that the formula changes branch where `factor` is zero."""
        expr = self.tower.poly_expr(factor)
        if self.setting.strict_sign(expr) is None:
            jumps = jumps or self.setting.is_discrete(expr)
            self.kinks[expr] = self.kinks.get(expr, False) or jumps

    def known_sign(self, factor: PolyElement) -> int | None:
        """The sign from the domain, the cell, or what being real implies."""
        known = self.sign(factor)
        return self.inferred.get(factor) if known is None else known

    def need_sign(self, factor: PolyElement) -> int:
        """`known_sign`, or ask for it."""
        known = self.known_sign(factor)
        return self._ask(factor) if known is None else known

    def _ask(self, factor: PolyElement) -> NoReturn:
        expr = self.tower.poly_expr(factor)
        if not expr.free_symbols:
            raise Undecidable(f"the sign of the number {_short(expr)} cannot be decided")
        raise NeedSign(expr)

    def require_positive(self, element: Element, *, strict: bool = True) -> None:
        """Note what makes `element` positive, as something that must be so for a real value.

        Raises:
            Undefined: it is negative everywhere in the cell.
        """
        if element.is_zero:
            if strict:
                raise Undefined
            return
        coefficient, factors = self.tower.factorize(element)
        sign, unknown = (1 if coefficient > 0 else -1), []
        for factor, exponent in factors.items():
            if exponent % 2:
                known = self.sign(factor)
                sign *= known or 1
                unknown += [] if known else [factor]
        if not unknown:
            if sign < 0:
                raise Undefined
            return
        product = sp.Mul(*(self.tower.poly_expr(factor) for factor in unknown))
        self.conditions[sign * product] = strict or self.conditions.get(sign * product, False)
        if len(unknown) == 1:
            self.inferred.setdefault(unknown[0], sign)

    def _pow(self, base: sp.Expr, exponent: sp.Expr) -> Element:
        if exponent.is_Integer:
            return self._whole_power(self(base), int(exponent))
        if isinstance(exponent, sp.Rational):
            return self.rational_power(self(base), Fraction(int(exponent.p), int(exponent.q)))
        element, power = self(base), self(exponent)
        if element.is_zero:
            raise UnsupportedFunction("0 to a symbolic power has no normal form")
        if exponent.is_integer:
            return self._symbolic_whole_power(element, power)
        self.require_positive(element)
        return self.exp(self.tower.multiply(power, self.log_abs(element)))

    def _whole_power(self, base: Element, exponent: int) -> Element:
        if exponent < 0:
            if base.is_zero:
                raise Undefined
            self.note_poles(base)
        return self.tower.power(base, exponent)

    def note_poles(self, element: Element) -> None:
        """Remember the factors of a denominator that may vanish on the domain."""
        for factor in self.tower.factorize(element)[1]:
            expr = self.tower.poly_expr(factor)
            if expr not in self.poles and self.setting.strict_sign(expr) is None:
                self.poles[expr] = None

    def rational_power(self, base: Element, exponent: Fraction) -> Element:
        """base^exponent for a fraction: base >= 0 wherever this is real."""
        if base.is_zero:
            if exponent < 0:
                raise Undefined
            return base
        self.require_positive(base, strict=exponent < 0)
        return self._abs_power(base, exponent)

    def _abs_power(self, base: Element, exponent: Fraction) -> Element:
        coefficient, factors = self.tower.factorize(base)
        parts = [self._number_power(abs(_fraction(coefficient)), exponent)]
        parts += [self.factor_power(f, k * exponent) for f, k in factors.items()]
        return self.tower.multiply(*parts)

    def _number_power(self, number: Fraction, exponent: Fraction) -> Element:
        parts = [
            self._prime_power(prime, sign * times * exponent)
            for part, sign in ((number.numerator, 1), (number.denominator, -1))
            for prime, times in sp.factorint(part, limit=LARGEST_PRIME).items()
            if prime != 1
        ]
        return self.tower.multiply(*parts)

    def _prime_power(self, prime: int, exponent: Fraction) -> Element:
        whole = exponent.numerator // exponent.denominator
        if abs(whole) > 4000:
            raise TooLarge
        power = self.tower.rational(Fraction(prime) ** whole)
        rest = exponent - whole
        if not rest:
            return power
        scale = self.scale("root", sp.Integer(prime), rest.denominator)
        root = Kernel(
            "root", sp.Integer(prime) ** sp.Rational(1, scale), scale, self.tower.ring(prime),
            (None, scale, prime),
        )  # fmt: skip
        generator = self.tower.generator(root)
        return self.tower.multiply(power, self.tower.monomial(generator, int(rest * scale)))

    def factor_power(self, factor: PolyElement, exponent: Fraction) -> Element:
        """|factor|^exponent."""
        kernel = self.tower.kernel_of(factor)
        if kernel is not None and kernel.kind == "exp":
            unit, scale = kernel.parts
            return self.exp_term(exponent / scale, unit)
        if kernel is not None and kernel.kind == "root":
            inner, scale, prime = kernel.parts
            if inner is None:
                return self._prime_power(prime, exponent / scale)
            return self.factor_power(inner, exponent / scale)
        whole = exponent.numerator // exponent.denominator
        rest = exponent - whole
        power = self.tower.monomial(factor, whole)
        if whole % 2 and self.magnitude_sign(factor) < 0:
            power = self.tower.negate(power)
        if whole % 2 and not self.setting.splits and self.known_sign(factor) is None:
            power = self.tower.multiply(
                self._abs_generator(factor), self.tower.monomial(factor, whole - 1)
            )
        if not rest:
            return power
        return self.tower.multiply(power, self._root(factor, rest))

    def magnitude_sign(self, factor: PolyElement) -> int:
        """The sign s with |factor| = s * factor; 1 for a factor whose modulus is a generator."""
        known = self.known_sign(factor)
        if known is None and self.setting.splits:
            self._ask(factor)
        return known or 1

    def _root(self, factor: PolyElement, exponent: Fraction) -> Element:
        """|factor|^exponent for 0 < exponent < 1, by a generator whose power is |factor|."""
        expr = self.tower.poly_expr(factor)
        scale = self.scale("root", expr, exponent.denominator)
        sign = self.known_sign(factor)
        if sign is None:
            if self.setting.splits:
                self._ask(factor)
            modulus = self._abs_generator(factor).factors
            (rhs,) = modulus
        else:
            rhs = factor * sign
        shown = self.tower.poly_expr(rhs) ** sp.Rational(1, scale)
        kernel = Kernel("root", shown, scale, rhs, (factor, scale, None))
        return self.tower.monomial(self.tower.generator(kernel), int(exponent * scale))

    def _abs_generator(self, factor: PolyElement) -> Element:
        kernel = Kernel(
            "abs", sp.Abs(self.tower.poly_expr(factor)), 2, self.tower.reduce(factor**2), (factor,)
        )
        return self.tower.monomial(self.tower.generator(kernel))

    def magnitude(self, element: Element) -> Element:
        """|element|."""
        if element.is_zero:
            return element
        for factor, exponent in self.tower.factorize(element)[1].items():
            if exponent % 2:
                self.note_kink(factor, jumps=False)
        return self._abs_power(element, Fraction(1))

    def _symbolic_whole_power(self, base: Element, power: Element) -> Element:
        coefficient, factors = self.tower.factorize(base)
        magnitude = abs(_fraction(coefficient))
        parts = [self.exp(self.tower.multiply(power, self._log_number(magnitude)))]
        if coefficient < 0:
            parts.append(self._whole_term(None, power))
        for factor, exponent in factors.items():
            scaled = self.tower.multiply(power, self.tower.rational(exponent))
            sign = self.known_sign(factor)
            if sign is None:
                parts.append(self._whole_term(factor, scaled))
                continue
            parts.append(self.exp(self.tower.multiply(scaled, self.factor_log(factor))))
            if sign < 0:
                parts.append(self._whole_term(None, scaled))
        return self.tower.multiply(*parts)

    def _whole_term(self, factor: PolyElement | None, power: Element) -> Element:
        """factor^power (None: (-1)^power) for an integer-valued power, term by term."""
        base = sp.S.NegativeOne if factor is None else self.tower.poly_expr(factor)
        own = self.tower.rational(-1) if factor is None else self.tower.monomial(factor)
        parts = []
        for times, unit in self.tower.terms(self.tower.canonical(power)):
            expr = self.tower.expr(unit)
            if times.denominator != 1 or not expr.is_integer:
                raise UnsupportedFunction(f"{base} to the power {times}*{expr} has no normal form")
            if expr == 1:
                parts.append(self.tower.power(own, int(times)))
                continue
            degree, rhs = (2, self.tower.ring.one) if factor is None else (0, None)
            kernel = Kernel("whole power", sp.Pow(base, expr, evaluate=False), degree, rhs)
            exponent = int(times) % 2 if factor is None else int(times)
            parts.append(self.tower.monomial(self.tower.generator(kernel), exponent))
        return self.tower.multiply(*parts)

    def scale(self, kind: str, key: sp.Expr, denominator: int) -> int:
        """How finely the generator `key` is taken.

        Raises:
            Refine: it is in use already and was not taken finely enough.
        """
        current = self.setting.scales.get((kind, key), 1)
        needed = lcm(current, denominator)
        if needed != current:
            self.setting.scales[kind, key] = needed
            if (kind, key) in self._taken:
                raise Refine
        self._taken.add((kind, key))
        return needed

    def exp(self, element: Element) -> Element:
        """Exp of an element, split into the exponentials of its terms."""
        terms = self.tower.terms(self.tower.canonical(element))
        return self.tower.multiply(*[self.exp_term(times, unit) for times, unit in terms])

    def exp_term(self, times: Fraction, unit: Element) -> Element:
        """exp(times * unit) for one independent term."""
        kernel = self.bare_kernel(unit)
        if kernel is not None and kernel.kind == "log":
            factor, number = kernel.parts
            if factor is None:
                return self._number_power(Fraction(int(number)), times)
            return self.factor_power(factor, times)
        if kernel is not None and kernel.kind == "LambertW":
            # W exp(W) = u, so exp(W) = u/W, which is positive.
            ratio = self.tower.multiply(kernel.parts[0], self.tower.inverse(unit))
            if self.setting.is_discrete(kernel.expr):
                self.note_poles(unit)
            if times.denominator == 1:
                return self.tower.power(ratio, int(times))
            return self._abs_power(ratio, times)
        if kernel is not None and kernel.kind == "asinh" and times.denominator == 1:
            u = kernel.parts[0]
            square = self.tower.add((self.tower.rational(1), self.tower.power(u, 2)))
            root = self.rational_power(square, Fraction(1, 2))
            return self.tower.power(self.tower.add((u, root)), int(times))
        expr = self.tower.expr(unit)
        scale = self.scale("exp", expr, times.denominator)
        made = Kernel("exp", sp.exp(expr / scale), parts=(unit, scale))
        return self.tower.monomial(self.tower.generator(made), int(times * scale))

    def bare_kernel(self, unit: Element) -> Kernel | None:
        """The kernel an element consists of, None unless it is one bare generator."""
        if unit.poly != 1 or len(unit.factors) != 1:
            return None
        ((factor, exponent),) = unit.factors.items()
        return self.tower.kernel_of(factor) if exponent == 1 else None

    def bare_kernel_of(self, element: Element) -> Kernel | None:
        """`bare_kernel` of a canonical element, whose generator may stand in the polynomial."""
        return self.bare_kernel(element) or (
            None if element.factors else self.tower.kernel_of(element.poly)
        )

    def complement(self, u: Element) -> Element:
        """1 - u^2."""
        return self.tower.subtract(self.tower.rational(1), self.tower.power(u, 2))

    def log(self, element: Element) -> Element:
        """Log of an element, positive wherever this is real."""
        self.require_positive(element)
        return self.log_abs(element)

    def log_abs(self, element: Element) -> Element:
        """log|element| as the sum over its factors; the element is not zero."""
        coefficient, factors = self.tower.factorize(element)
        parts = [self._log_number(abs(_fraction(coefficient)))]
        for factor, exponent in factors.items():
            part = self.factor_log(factor)
            parts.append(self.tower.multiply(self.tower.rational(exponent), part))
        return self.tower.add(parts)

    def _log_number(self, number: Fraction) -> Element:
        parts = []
        for part, sign in ((number.numerator, 1), (number.denominator, -1)):
            for prime, times in sp.factorint(part, limit=LARGEST_PRIME).items():
                if prime != 1:
                    kernel = Kernel("log", sp.log(prime), parts=(None, prime))
                    term = self.tower.monomial(self.tower.generator(kernel))
                    scaled = self.tower.rational(sign * times)
                    parts.append(self.tower.multiply(scaled, term))
        return self.tower.add(parts)

    def factor_log(self, factor: PolyElement) -> Element:
        """log|factor| of one irreducible factor."""
        kernel = self.tower.kernel_of(factor)
        if kernel is not None and kernel.kind == "exp":
            unit, scale = kernel.parts
            return self.tower.multiply(unit, self.tower.rational(Fraction(1, scale)))
        if kernel is not None and kernel.kind == "root":
            inner, scale, prime = kernel.parts
            whole = self._log_number(Fraction(prime)) if inner is None else self.factor_log(inner)
            return self.tower.multiply(whole, self.tower.rational(Fraction(1, scale)))
        if kernel is not None and kernel.kind == "abs":
            return self.factor_log(kernel.parts[0])
        if kernel is not None and kernel.kind == "LambertW":
            own = self.tower.monomial(factor)
            return self.tower.subtract(self.log_abs(kernel.parts[0]), own)
        shown = sp.log(sp.Abs(self.tower.poly_expr(factor)))
        made = Kernel("log", shown, parts=(factor, None))
        return self.tower.monomial(self.tower.generator(made))


def _fraction(value: Any) -> Fraction:
    return Fraction(int(QQ.numer(value)), int(QQ.denom(value)))


def _rational(value: Any) -> sp.Rational:
    return sp.Rational(int(QQ.numer(value)), int(QQ.denom(value)))


def _short(expr: sp.Basic) -> str:
    text = str(expr)
    return text if len(text) <= 40 else f"{text[:37]}..."

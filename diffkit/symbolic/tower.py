"""Polynomial arithmetic over generators, some of which are algebraic over earlier ones.

An `Element` is a product of interned irreducible factors, with integer exponents, times one
polynomial over the rationals.  Generators are symbols, exp(t/d), log|f|, |f|^(1/L), cos and sin of
a base angle, and any function of a normal argument; roots, moduli and sines satisfy g^L =
(polynomial in earlier generators).  The law of the file: every operation is an identity wherever
both sides are defined.  Whether generators are independent matters for completeness alone, never
for soundness.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import QQ
from sympy.polys.rings import PolyElement, ring

Factors = Mapping[PolyElement, int]

#: Work allowed in one tower, in products of terms.
BUDGET = 120_000
#: A polynomial with more terms, or of higher degree, is interned without being factored.
FACTOR_TERMS, FACTOR_DEGREE = 60, 40


class TooLarge(Exception):
    """The expanded form would be too big; ask identity testing."""


class Refine(Exception):
    """A generator must be taken with a finer exponent: the tower starts again."""


class OutOfGenerators(Exception):
    """More generators than the ring holds: the tower starts again with a bigger one."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One generator: what it stands for, and the relation g^degree = rhs if it is algebraic.

    Args:
        kind: "symbol", "exp", "log", "root", "cos", "sin", "abs", "constant" or a function's name.
        expr: The SymPy expression of the generator.
        degree: Degree of its relation, 0 for a free generator.
        rhs: Right side of the relation.
        parts: What rules need to know: (t, d) for exp, (f,) for log, (f, L) for root, arguments.
    """

    kind: str
    expr: sp.Expr
    degree: int = 0
    rhs: PolyElement | None = None
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """poly * product of f^k."""

    poly: PolyElement
    factors: Factors = field(default_factory=dict)

    @property
    def is_zero(self) -> bool:
        """Whether it is the zero of the tower."""
        return not self.poly


class Tower:
    """Generators and the arithmetic of elements over them."""

    def __init__(self, capacity: int = 24):
        """Make room for `capacity` generators."""
        self.ring, *self.gens = ring([f"g{i}" for i in range(capacity)], QQ)
        self.kernels: list[Kernel] = []
        self.index: dict[sp.Expr, int] = {}
        self.algebraic: list[int] = []
        self.pairs: dict[int, int] = {}  # cosine generator -> sine generator of the same angle
        self.work = 0
        self._factored: dict[PolyElement, tuple[Any, dict[PolyElement, int]]] = {}
        self._exprs: dict[PolyElement, sp.Expr] = {}

    def generator(self, kernel: Kernel) -> PolyElement:
        """The ring generator of `kernel`, made at first use; its expression is its identity."""
        found = self.index.get(kernel.expr)
        if found is None:
            found = len(self.kernels)
            if found >= len(self.gens):
                raise OutOfGenerators
            self.kernels.append(kernel)
            self.index[kernel.expr] = found
            if kernel.degree:
                self.algebraic.append(found)
        return self.gens[found]

    def kernel_of(self, poly: PolyElement) -> Kernel | None:
        """The kernel `poly` consists of, None unless it is one bare generator."""
        if len(poly) != 1:
            return None
        ((monomial, coefficient),) = poly.terms()
        if coefficient != 1 or sum(monomial) != 1:
            return None
        return self.kernels[monomial.index(1)]

    def spend(self, amount: int) -> None:
        """Count work.

        Raises:
            TooLarge: the tower's budget is used up.
        """
        self.work += amount
        if self.work > BUDGET:
            raise TooLarge

    def rational(self, value: Any) -> Element:
        """The constant `value`, a Fraction, an int or a SymPy Rational."""
        return Element(self.ring(_to_domain(value)))

    def monomial(self, poly: PolyElement, exponent: int = 1) -> Element:
        """poly^exponent, `poly` an interned irreducible factor."""
        return Element(self.ring.one, {poly: exponent} if exponent else {})

    def multiply(self, *elements: Element) -> Element:
        """The product."""
        poly, factors = self.ring.one, {}
        for element in elements:
            if not element.poly:
                return Element(self.ring.zero)
            poly = self.product(poly, element.poly)
            for factor, exponent in element.factors.items():
                factors[factor] = factors.get(factor, 0) + exponent
        kept = {factor: exponent for factor, exponent in factors.items() if exponent}
        return self._cancel(Element(poly, kept))

    def add(self, elements: Iterable[Element]) -> Element:
        """The sum, over the common factors of all terms."""
        terms = [element for element in elements if element.poly]
        if not terms:
            return Element(self.ring.zero)
        if len(terms) == 1:
            return terms[0]
        names = {factor: None for element in terms for factor in element.factors}
        common = {
            factor: min(element.factors.get(factor, 0) for element in terms) for factor in names
        }
        total = self.ring.zero
        for element in terms:
            rest = {f: element.factors.get(f, 0) - common[f] for f in names}
            total = total + self.expand(Element(element.poly, rest))
        return self._cancel(Element(total, {f: k for f, k in common.items() if k}))

    def negate(self, element: Element) -> Element:
        """Minus `element`."""
        return Element(-element.poly, element.factors)

    def subtract(self, left: Element, right: Element) -> Element:
        """Return the difference of two elements."""
        return self.add((left, self.negate(right)))

    def power(self, element: Element, exponent: int) -> Element:
        """element^exponent for a whole exponent; the caller excludes 0^negative."""
        if exponent == 0:
            return Element(self.ring.one)
        if exponent == 1:
            return element
        if not element.poly:
            if exponent < 0:
                raise ZeroDivisionError
            return element
        coefficient, factors = self.factorize(element)
        if abs(exponent) > 4000:
            raise TooLarge
        return Element(
            self.ring(coefficient**exponent), {f: k * exponent for f, k in factors.items()}
        )

    def expand(self, element: Element) -> PolyElement:
        """The polynomial of an element whose exponents are all >= 0."""
        result = element.poly
        for factor, exponent in sorted(element.factors.items(), key=lambda item: len(item[0])):
            result = self.product(result, self.raised(factor, exponent))
        return result

    def raised(self, poly: PolyElement, exponent: int) -> PolyElement:
        """poly^exponent, reduced, exponent >= 0."""
        if exponent == 0:
            return self.ring.one
        if len(poly) == 1:
            return self.reduce(poly**exponent)
        if exponent > 60:
            raise TooLarge
        result = poly
        for _ in range(exponent - 1):
            result = self.product(result, poly)
        return result

    def product(self, left: PolyElement, right: PolyElement) -> PolyElement:
        """Return the product, reduced by the relations of the algebraic generators."""
        if left == 1:
            return right
        if right == 1:
            return left
        self.spend(len(left) * len(right))
        return self.reduce(left * right)

    def reduce(self, poly: PolyElement) -> PolyElement:
        """Bring every algebraic generator below the degree of its relation."""
        for index in reversed(self.algebraic):
            kernel = self.kernels[index]
            while any(monomial[index] >= kernel.degree for monomial in poly):
                poly = self._reduce_once(poly, index, kernel)
        return poly

    def _reduce_once(self, poly: PolyElement, index: int, kernel: Kernel) -> PolyElement:
        parts: dict[int, dict[tuple[int, ...], Any]] = {}
        for monomial, coefficient in poly.terms():
            times, rest = divmod(monomial[index], kernel.degree)
            lowered = (*monomial[:index], rest, *monomial[index + 1 :])
            part = parts.setdefault(times, {})
            part[lowered] = part.get(lowered, 0) + coefficient
        total = self.ring.zero
        for times, part in parts.items():
            piece = self.ring.from_dict(part)
            power = kernel.rhs**times
            self.spend(len(piece) * len(power))
            total = total + piece * power
        return total

    def _cancel(self, element: Element) -> Element:
        """Divide the polynomial by factors of the denominator where that is exact."""
        poly, factors = element.poly, element.factors
        if not poly:
            return Element(self.ring.zero)
        if len(poly) == 1 or not any(exponent < 0 for exponent in factors.values()):
            return element
        changed = dict(factors)
        for factor, exponent in factors.items():
            while exponent < 0:
                quotient = _exact_quotient(poly, factor)
                if quotient is None:
                    break
                self.spend(len(poly))
                poly, exponent = quotient, exponent + 1
            changed[factor] = exponent
        return Element(poly, {f: k for f, k in changed.items() if k})

    def factorize(self, element: Element) -> tuple[Any, dict[PolyElement, int]]:
        """Return (c, {f: k}) with element = c * product of f^k; the element is not zero."""
        coefficient, found = self.factor(element.poly)
        factors = dict(element.factors)
        for factor, exponent in found.items():
            factors[factor] = factors.get(factor, 0) + exponent
        return coefficient, {f: k for f, k in factors.items() if k}

    def factor(self, poly: PolyElement) -> tuple[Any, dict[PolyElement, int]]:
        """Factor a polynomial into primitive parts of positive leading coefficient."""
        found = self._factored.get(poly)
        if found is None:
            found = self._factored[poly] = self._factor(poly)
        return found

    def _factor(self, poly: PolyElement) -> tuple[Any, dict[PolyElement, int]]:
        if not poly:
            raise ZeroDivisionError
        least = tuple(map(min, zip(*poly, strict=True)))
        factors = {self.gens[i]: k for i, k in enumerate(least) if k}
        rest = self.ring.from_dict(
            {tuple(a - b for a, b in zip(m, least, strict=True)): c for m, c in poly.terms()}
        )
        content, rest = _primitive(rest)
        if len(rest) == 1:
            return content, factors
        for factor, exponent in self._split(rest):
            sign, factor = _primitive(factor)
            content *= sign**exponent
            factors[factor] = factors.get(factor, 0) + exponent
        return self._pair_cosines(content, factors)

    def _split(self, poly: PolyElement) -> list[tuple[PolyElement, int]]:
        used = [i for i in range(len(self.kernels)) if any(m[i] for m in poly)]
        degree = max(sum(m) for m in poly)
        if len(poly) > FACTOR_TERMS or degree > FACTOR_DEGREE or len(used) > 8:
            return [(poly, 1)]
        small = ring([f"h{i}" for i in used], QQ)[0]
        image = small.from_dict({tuple(m[i] for i in used): c for m, c in poly.terms()})
        constant, found = image.factor_list()
        factors = [(self._embed(factor, used), exponent) for factor, exponent in found]
        factors[0:0] = [] if constant == 1 else [(self.ring(constant), 1)]
        return factors

    def _embed(self, poly: PolyElement, used: list[int]) -> PolyElement:
        terms = {}
        for monomial, coefficient in poly.terms():
            wide = [0] * len(self.gens)
            for place, exponent in zip(used, monomial, strict=True):
                wide[place] = exponent
            terms[tuple(wide)] = coefficient
        return self.ring.from_dict(terms)

    def _pair_cosines(
        self, content: Any, factors: dict[PolyElement, int]
    ) -> tuple[Any, dict[PolyElement, int]]:
        """(c - 1)(c + 1) = -s^2."""
        constant = {f: k for f, k in factors.items() if f.is_ground}
        for factor, exponent in constant.items():
            content *= factor.LC**exponent
            del factors[factor]
        for cosine, sine in self.pairs.items():
            low, high = self.gens[cosine] - 1, self.gens[cosine] + 1
            times = min(factors.get(low, 0), factors.get(high, 0))
            if times > 0:
                content *= (-1) ** times
                factors[low] -= times
                factors[high] -= times
                root = self.gens[sine]
                factors[root] = factors.get(root, 0) + 2 * times
        return content, {f: k for f, k in factors.items() if k}

    def canonical(self, element: Element) -> Element:
        """The element with everything above the bar expanded and no radical below it."""
        element = self._rationalise(element)
        above = {f: k for f, k in element.factors.items() if k > 0}
        below = {f: k for f, k in element.factors.items() if k < 0}
        return self._cancel(Element(self.expand(Element(element.poly, above)), below))

    def _rationalise(self, element: Element) -> Element:
        if any(kernel.kind == "abs" for kernel in self.kernels):
            # |f|^2 = f^2 has two solutions: a conjugate may vanish everywhere, and 0/0 arise.
            return element
        for index in reversed(self.algebraic):
            for factor in list(element.factors):
                # The exponent is read anew: lifting one factor may change that of another.
                exponent = element.factors.get(factor, 0)
                if exponent >= 0 or not any(monomial[index] for monomial in factor):
                    continue
                lifted = self._lift_root(factor, index)
                if lifted is not None:
                    kept = {f: k for f, k in element.factors.items() if f != factor}
                    changed = self.power(lifted, -exponent)
                    element = self.multiply(Element(element.poly, kept), changed)
        return element

    def _lift_root(self, factor: PolyElement, index: int) -> Element | None:
        """1/factor without generator `index` below the bar; None where no rule does it."""
        kernel = self.kernels[index]
        generator = self.gens[index]
        if factor == generator:
            over = self.inverse(Element(kernel.rhs))
            return self.multiply(Element(generator ** (kernel.degree - 1)), over)
        if kernel.degree != 2:
            return None
        conjugate = self.ring.from_dict({m: -c if m[index] % 2 else c for m, c in factor.terms()})
        norm = self.product(factor, conjugate)
        return self.multiply(Element(conjugate), self.inverse(Element(norm))) if norm else None

    def inverse(self, element: Element) -> Element:
        """1/element; the element is not zero."""
        return self.power(element, -1)

    def expr(self, element: Element) -> sp.Expr:
        """The SymPy expression of an element."""
        factors = (self.poly_expr(f) ** k for f, k in element.factors.items())
        return sp.Mul(self.poly_expr(element.poly), *factors)

    def poly_expr(self, poly: PolyElement) -> sp.Expr:
        """The SymPy expression of a polynomial."""
        found = self._exprs.get(poly)
        if found is None:
            terms = (sp.Mul(_to_sympy(c), *self._powers(m)) for m, c in poly.terms())
            found = self._exprs[poly] = sp.Add(*terms)
        return found

    def _powers(self, monomial: tuple[int, ...]) -> Iterator[sp.Expr]:
        return (self.kernels[i].expr ** k for i, k in enumerate(monomial) if k)

    def terms(self, element: Element) -> Iterator[tuple[Fraction, Element]]:
        """Split a canonical element into rational multiples of independent elements.

        What can be divided out by the denominator is; the remainder keeps the denominator.
        """
        below = element.factors
        if not below:
            parts = [(element.poly, {})]
        elif all(len(factor) == 1 for factor in below):
            parts = [(element.poly, below)]
        else:
            denominator = self.expand(Element(self.ring.one, {f: -k for f, k in below.items()}))
            quotient, remainder = element.poly.div(denominator)
            parts = [(quotient, {}), (remainder, below)]
        for poly, factors in parts:
            for monomial, coefficient in poly.terms():
                above = Element(self.ring.one, self._as_factors(monomial))
                unit = self.multiply(above, Element(self.ring.one, factors))
                yield _to_fraction(coefficient), unit

    def _as_factors(self, monomial: tuple[int, ...]) -> dict[PolyElement, int]:
        return {self.gens[i]: k for i, k in enumerate(monomial) if k}


def _exact_quotient(poly: PolyElement, factor: PolyElement) -> PolyElement | None:
    if len(factor) == 1:
        (monomial,) = factor
        index = monomial.index(max(monomial))
        if any(m[index] < monomial[index] for m in poly):
            return None
    elif any(a > b for a, b in zip(factor.degrees(), poly.degrees(), strict=True)):
        return None
    quotient, remainder = poly.div(factor)
    return None if remainder else quotient


def _primitive(poly: PolyElement) -> tuple[Any, PolyElement]:
    content, rest = poly.primitive()
    return (-content, -rest) if rest.LC < 0 else (content, rest)


def _to_domain(value: Any) -> Any:
    if isinstance(value, Fraction | int):
        return QQ(Fraction(value).numerator, Fraction(value).denominator)
    if isinstance(value, sp.Rational):
        return QQ(int(value.p), int(value.q))
    return QQ.convert(value)


def _to_fraction(value: Any) -> Fraction:
    return Fraction(int(QQ.numer(value)), int(QQ.denom(value)))


def _to_sympy(value: Any) -> sp.Rational:
    return sp.Rational(int(QQ.numer(value)), int(QQ.denom(value)))

r"""The sign of a normal form: of its irreducible factors, each by a table of sufficient conditions.

For a factor P over the generators of the tower:

- its interval, or its sign changes as a polynomial in one generator;
- $P = \sum A_k g^k$ with every term of one sign;
- $P = A g + B$, $g^2 = f$: $A^2 f \ge B^2$ gives it the sign of $A g$, $A^2 f \le B^2$ that of B
  (roots, sines; Cauchy and Schwarz);
- $P = A g^2 + B g + C$ with $4 A C \ge B^2$ (squares completed one generator after the other);
- $P = M - N$, both positive, M a single term: the sign of $\log M - \log N$;
- $P = f(u) - f(v)$ with an increasing f: the sign of $u - v$;
- P linear in logarithms: the sign of $e^P - 1$.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sympy as sp
from sympy.polys.rings import PolyElement

from diffkit.core.errors import DiffkitError
from diffkit.symbolic.reduction import NeedSign, Reduction, Undefined
from diffkit.symbolic.signs import range_of
from diffkit.symbolic.tower import Element, Kernel

#: Rules applied one inside the other, and factors the rules look at for one sign.
DEPTH, MOST_FACTORS = 6, 80
#: Terms of the factors the rules look at for one question, cells and derivatives together.
MOST_WORK = 1200
#: Terms of a difference whose logarithms are compared.
MOST_SUMMANDS = 4
#: Polynomials with more terms than this are left to the rules that do not multiply.
MOST_TERMS = 40
#: Functions that increase on their whole (connected) domain of real arguments.
_INCREASING = ("erf", "atan", "asin", "asinh", "atanh", "tanh", "sinh", "erfinv")
_DECREASING = ("erfc", "acos")


@dataclass
class Budget:
    """Work left for a question, in terms of the factors looked at."""

    left: int = MOST_WORK


class Signs:
    """Signs in a tower, with what was found on the way."""

    def __init__(self, r: Reduction, budget: Budget):
        """Start with nothing known but what the reduction's setting says."""
        self.r, self.tower, self.budget = r, r.tower, budget
        self.known: dict[tuple[PolyElement, bool], int] = {}
        #: At this remaining depth a factor's sign was sought in vain.
        self.failed: dict[tuple[PolyElement, bool], int] = {}
        self.seen = 0

    def of_element(self, element: Element, *, strict: bool, depth: int = DEPTH) -> int | None:
        """The sign of an element: 1 for > 0 (>= 0 if not strict), -1 likewise, None if not known.

        Args:
            element: Not zero.
            strict: Whether the value 0 must be excluded.
            depth: How many rules may be applied one inside the other.
        """
        coefficient, factors = self.tower.factorize(element)
        sign = 1 if coefficient > 0 else -1
        for factor, exponent in factors.items():
            if exponent % 2 == 0:
                if strict and exponent > 0 and not self.of_factor(factor, strict=True, depth=depth):
                    return None
                continue
            # A factor of the denominator is not zero where the quotient is real.
            found = self.of_factor(factor, strict=strict and exponent > 0, depth=depth)
            if found is None:
                return None
            sign *= found
        return sign

    def undecided(self, element: Element, *, strict: bool) -> list[sp.Expr]:
        """[s * f] if the sign of all other factors is s and that of f is not known, else []."""
        coefficient, factors = self.tower.factorize(element)
        sign, unknown = (1 if coefficient > 0 else -1), []
        for factor, exponent in factors.items():
            if exponent % 2 == 0 and not (strict and exponent > 0):
                continue
            found = self.of_factor(factor, strict=strict and exponent > 0)
            if found is None:
                unknown.append((factor, exponent))
            elif exponent % 2:
                sign *= found
        if len(unknown) != 1 or unknown[0][1] % 2 == 0:
            return []
        return [sign * self.tower.poly_expr(unknown[0][0])]

    def of_factor(self, factor: PolyElement, *, strict: bool, depth: int = DEPTH) -> int | None:
        """The sign of an irreducible factor; None if not known."""
        key = (factor, strict)
        if key in self.known:
            return self.known[key]
        if self.failed.get(key, -1) >= depth:
            return None
        found = self._plain(factor, strict)
        if found is None and self.tower.kernel_of(factor) is None:
            found = self._by_rules(factor, strict, depth)
        if found is None:
            self.failed[key] = depth
        else:
            self.known[key] = found
        return found

    def of_poly(self, poly: PolyElement, *, strict: bool, depth: int) -> int | None:
        """The sign of a polynomial; 0 for zero where that is no obstacle."""
        poly = self.tower.reduce(poly)
        if not poly:
            return None if strict else 0
        return self.of_element(Element(poly), strict=strict, depth=depth)

    def _plain(self, factor: PolyElement, strict: bool) -> int | None:
        """From the cell, the interval, or what being real implies."""
        expr = self.tower.poly_expr(factor)
        facts = self.r.setting.facts
        for key, turn in ((expr, 1), (-expr, -1)):
            if key in facts:
                return turn * facts[key]
        kernel = self.tower.kernel_of(factor)
        if kernel is not None and kernel.kind == "exp":
            return 1
        found = range_of(expr, self.r.setting.domains)
        sign = (found.strict_sign if strict else found.sign) or None
        if sign is None and not strict:
            sign = self.r.inferred.get(factor)
        return sign

    def _by_rules(self, factor: PolyElement, strict: bool, depth: int) -> int | None:
        found = self.r.sign_of_polynomial(factor)
        if found is not None:
            return found
        if depth <= 0 or self.seen > MOST_FACTORS or len(factor) > MOST_TERMS:
            return None
        if self.budget.left <= 0:
            return None
        self.seen += 1
        self.budget.left -= len(factor)
        lifted = in_roots(self.r, factor)
        if lifted != factor:
            found = self.of_element(Element(lifted), strict=strict, depth=depth - 1)
            if found is not None:
                return found
        for rule in _RULES:
            found = rule(self, factor, strict, depth - 1)
            if found is not None:
                return found
        return None

    def generators(self, poly: PolyElement) -> Iterator[int]:
        """The places of the generators that occur in `poly`."""
        return (i for i in range(len(self.tower.kernels)) if any(m[i] for m in poly))

    def parts(self, poly: PolyElement, index: int) -> dict[int, PolyElement]:
        """The coefficients of the powers of one generator."""
        found: dict[int, dict] = {}
        for monomial, c in poly.terms():
            lowered = (*monomial[:index], 0, *monomial[index + 1 :])
            found.setdefault(monomial[index], {})[lowered] = c
        return {k: self.tower.ring.from_dict(terms) for k, terms in found.items()}


def in_roots(r: Reduction, factor: PolyElement) -> PolyElement:
    """`factor` with a generator x written as (its root)^L where that root is a generator too."""
    tower = r.tower
    for index, kernel in enumerate(tower.kernels):
        if kernel.kind != "root" or kernel.rhs not in tower.gens:
            continue
        base = tower.gens.index(kernel.rhs)
        if not any(m[index] for m in factor):
            continue
        terms = {}
        for monomial, coefficient in factor.terms():
            changed = list(monomial)
            changed[index] += kernel.degree * changed[base]
            changed[base] = 0
            terms[tuple(changed)] = coefficient
        factor = tower.ring.from_dict(terms)
    return factor


def _by_terms(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
    """Every term of the sum over the powers of one generator has the same sign."""
    for index in signs.generators(factor):
        parts = signs.parts(factor, index)
        if len(parts) == 1:
            continue
        own = signs.of_factor(signs.tower.gens[index], strict=False, depth=depth)
        if own is None and any(k % 2 for k in parts):
            continue
        found = _common_sign(signs, parts, own, depth)
        if found and (not strict or _some_term_is_strict(signs, parts, index, depth)):
            return found
    return None


def _common_sign(
    signs: Signs, parts: dict[int, PolyElement], own: int | None, depth: int
) -> int | None:
    """The sign all terms part * g^k have, `own` the sign of g."""
    common = None
    for k, part in sorted(parts.items(), key=lambda item: len(item[1])):
        sign = signs.of_poly(part, strict=False, depth=depth)
        if sign is not None and k % 2 and own is not None:
            sign *= own
        if not sign or common not in (None, sign):
            return None
        common = sign
    return common


def _some_term_is_strict(
    signs: Signs, parts: dict[int, PolyElement], index: int, depth: int
) -> bool:
    generator = signs.tower.gens[index]
    for k, part in parts.items():
        if k and signs.of_factor(generator, strict=True, depth=depth) is None:
            continue
        if signs.of_poly(part, strict=True, depth=depth) is not None:
            return True
    return False


def _by_conjugate(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
    """A g + B with g^2 = f: whichever of (A g)^2 and B^2 is the larger decides."""
    tower = signs.tower
    for index in reversed(tower.algebraic):
        kernel = tower.kernels[index]
        parts = signs.parts(factor, index)
        if kernel.degree != 2 or set(parts) != {0, 1}:
            continue
        norm = signs.tower.product(tower.reduce(parts[1] ** 2), kernel.rhs) - parts[0] ** 2
        larger = signs.of_poly(norm, strict=strict, depth=depth)
        if larger == 1:
            own = signs.of_factor(tower.gens[index], strict=False, depth=depth)
            leading = own and signs.of_poly(parts[1], strict=False, depth=depth)
            if leading:
                return own * leading
        elif larger == -1:
            rest = signs.of_poly(parts[0], strict=False, depth=depth)
            if rest:
                return rest
    return None


def _by_square(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
    """A quadratic A g^2 + B g + C in one generator: 4 A C >= B^2 gives it the sign of A."""
    for index in signs.generators(factor):
        parts = signs.parts(factor, index)
        if max(parts) != 2:
            continue
        zero = signs.tower.ring.zero
        low, middle, high = (parts.get(k, zero) for k in range(3))
        leading = signs.of_poly(high, strict=False, depth=depth)
        if leading is None:
            continue
        if signs.of_poly(4 * high * low - middle**2, strict=strict, depth=depth) not in (0, 1):
            continue
        # Where A = 0 (then B = 0 as well) the value is C.
        if (
            strict
            or signs.of_poly(high, strict=True, depth=depth) == leading
            or signs.of_poly(low, strict=False, depth=depth) in (0, leading)
        ):
            return leading
    return None


def _by_logarithms(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
    """M - N with positive M and N, M a single term: the sign of log M - log N."""
    if len(factor) > MOST_SUMMANDS:
        return None
    for monomial, c in factor.terms():
        held = (signs.tower.kernels[i].kind for i, k in enumerate(monomial) if k)
        if not any(kind in ("exp", "root") for kind in held):
            continue
        term = signs.tower.ring.from_dict({monomial: c})
        parts = (term, factor - term)
        first, second = (signs.of_poly(part, strict=True, depth=depth) for part in parts)
        if first is None or second is None or first == second:
            continue
        excess = signs.tower.subtract(*(signs.r.log_abs(Element(part)) for part in parts))
        if excess.is_zero:
            continue
        found = signs.of_element(excess, strict=strict, depth=depth)
        if found is not None:
            return first * found
    return None


def _by_monotone(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
    """c f(u) - c f(v) with a monotone f: the sign of u - v."""
    if len(factor) != 2:
        return None
    (first, c), (second, d) = factor.terms()
    if c != -d or sum(first) != 1 or sum(second) != 1:
        return None
    above, below = (signs.tower.kernels[m.index(1)] for m in (first, second))
    turn = _direction(above)
    if above.kind != below.kind or not turn:
        return None
    excess = signs.r(above.expr.args[0] - below.expr.args[0])
    if excess.is_zero:
        return None
    found = signs.of_element(excess, strict=strict, depth=depth)
    return None if found is None else turn * found * (1 if c > 0 else -1)


def _direction(kernel: Kernel) -> int:
    return int(kernel.kind in _INCREASING) - int(kernel.kind in _DECREASING)


def _by_exponential(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
    """A sum of logarithms and of other terms, c log u + ...: the sign of its exponential - 1."""
    logs = [i for i in signs.generators(factor) if signs.tower.kernels[i].kind == "log"]
    if not logs or any(sum(m) > 1 and any(m[i] for i in logs) for m in factor):
        return None
    excess = signs.tower.subtract(signs.r.exp(Element(factor)), signs.tower.rational(1))
    if excess.is_zero:
        return None
    return signs.of_element(excess, strict=strict, depth=depth)


Rule = Callable[[Signs, PolyElement, bool, int], int | None]


def _quietly(rule: Rule) -> Rule:
    """A rule that gives up where it needs a further cell, or tries a form without a value.

    `Undefined` must not leave a rule: to the caller it says that the relation itself is void.
    """

    def attempt(signs: Signs, factor: PolyElement, strict: bool, depth: int) -> int | None:
        try:
            return rule(signs, factor, strict, depth)
        except (DiffkitError, NeedSign, Undefined, ArithmeticError):
            return None

    return attempt


_RULES: tuple[Rule, ...] = tuple(
    map(
        _quietly,
        (_by_monotone, _by_terms, _by_conjugate, _by_square, _by_logarithms, _by_exponential),
    )
)

r"""Gaussian expectations $\mathrm{E}[f(x)]$, $x \sim N(0, q)$, in closed form.

f is a sum, on finitely many intervals, of products of powers of x, exponentials of polynomials of
degree two (sines and cosines among them) and normal distribution functions $\Phi(a x)$ (error
functions among them): every piecewise polynomial activation, ELU and SELU, GELU, erf, sin.  Four
rules reduce any such f, each an equation that SymPy checks:

* a factor $e^{-k x^2/2}$ is a smaller variance, $q/(1 + k q)$;
* a power of x goes by parts, $\mathrm{E}[x\,g] = q\,\mathrm{E}[g']$ and what stands at the ends
  of the interval (Stein);
* what is left of the exponentials is a moment generating function on an interval;
* what is left of one, two or three $\Phi(a x)$ is an angle (Sheppard).

For everything else there is no closed form here, and `NoClosedForm` says so.  No JAX here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

import sympy as sp

from diffkit.core.errors import NoClosedForm
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import definition
from diffkit.theory.law import Law, Line

x = symbol("x")
q = sp.Symbol("q", positive=True)
DENSITY = sp.exp(-(x**2) / (2 * q)) / sp.sqrt(2 * sp.pi * q)

#: By parts a power is lowered one at a time.
LARGEST_POWER = 100

_k, _a, _b = sp.symbols("k a b", positive=True)
_c = sp.Symbol("c", real=True)
_g = sp.Function("g")
_cdf = sp.Function("Phi")  # a placeholder: its argument is a x


def normal_cdf(argument: sp.Expr) -> sp.Expr:
    """The distribution function of N(0, 1), without cancellation for negative arguments."""
    return sp.erfc(-argument / sp.sqrt(2)) / 2


def _angle(a: sp.Expr, b: sp.Expr, variance: sp.Expr) -> sp.Expr:
    """asin of the correlation of a x + e_1 and b x + e_2 with standard normal e_1, e_2."""
    if a == b:
        return sp.asin(sp.cancel(a**2 * variance / (1 + a**2 * variance)))
    return sp.asin(a * b * variance / sp.sqrt((1 + a**2 * variance) * (1 + b**2 * variance)))


_NARROW = sp.exp(-(x**2) * (1 + _k * q) / (2 * q)) / sp.sqrt(2 * sp.pi * q / (1 + _k * q))
#: The rules as equations, in the order in which they are applied.
RULES: dict[str, tuple[Line, ...]] = {
    "factor": (
        Line(
            "a Gaussian factor makes the variance q/(1 + k q)",
            sp.exp(-_k * x**2 / 2) * DENSITY,
            _NARROW / sp.sqrt(1 + _k * q),
        ),
    ),
    "parts": (
        Line(
            "Stein: x g and q g' differ by a derivative",
            sp.Derivative(-q * _g(x) * DENSITY, x),
            (x * _g(x) - q * sp.Derivative(_g(x), x)) * DENSITY,
        ),
    ),
    "exponential": (
        Line(
            "an exponential factor moves the mean to c q",
            sp.exp(_c * x) * DENSITY,
            sp.exp(_c**2 * q / 2) * DENSITY.subs(x, x - _c * q),
        ),
        Line(
            "slope in b of the share beyond b",
            sp.Derivative(sp.erfc((_b - _c * q) / sp.sqrt(2 * q)) / 2, _b),
            -DENSITY.subs(x, _b - _c * q),
        ),
    ),
    "one": (
        Line(
            "the distribution is symmetric",
            normal_cdf(_a * x) + normal_cdf(-_a * x),
            sp.S.One,
            _cdf(_a * x) + _cdf(-_a * x),
        ),
    ),
    "two": (
        Line(
            "slope of E[Phi(a x) Phi(b x)] in a, E[x phi(a x) Phi(b x)] by the rules above",
            sp.Derivative(_angle(_a, _b, q), _a) / (2 * sp.pi),
            _b * q / (2 * sp.pi * (1 + _a**2 * q) * sp.sqrt(1 + (_a**2 + _b**2) * q)),
        ),
        Line(
            "and at a = 0",
            _angle(sp.S.Zero, _b, q) / (2 * sp.pi) + sp.Rational(1, 4),
            sp.Rational(1, 4),
            sp.Function("E")(_cdf(0) * _cdf(_b * x)),
        ),
    ),
    "half": (
        Line(
            "slope of E[Phi(a x)] over x > 0 in a, by parts",
            sp.Derivative(sp.atan(_a * sp.sqrt(q)) / (2 * sp.pi), _a),
            sp.sqrt(q) / (2 * sp.pi * (1 + _a**2 * q)),
        ),
    ),
}


@dataclass(frozen=True)
class _Term:
    r"""$\gamma\,x^p\,e^{c x - k x^2/2}\,\prod_j \Phi(a_j x)$ on one interval."""

    coefficient: sp.Expr
    low: sp.Expr
    high: sp.Expr
    power: int = 0
    tilt: sp.Expr = sp.S.Zero
    damping: sp.Expr = sp.S.Zero
    slopes: tuple[sp.Expr, ...] = ()

    @property
    def is_whole(self) -> bool:
        return self.low == -sp.oo and self.high == sp.oo

    def at(self, place: sp.Expr) -> sp.Expr:
        """The value at an end of the interval, without the Gaussian factor; 0 at infinity."""
        if place.is_infinite:
            return sp.S.Zero
        value = place**self.power * sp.exp(self.tilt * place)
        return value * sp.prod([normal_cdf(a * place) for a in self.slopes])


@dataclass
class _Derivation:
    """Reduces terms and notes which rules it needed."""

    used: list[str] = field(default_factory=list)

    def total(self, terms: Sequence[_Term], variance: sp.Expr) -> sp.Expr:
        """The sum of the expectations of the terms."""
        return sp.Add(
            *(t.coefficient * self._of(replace(t, coefficient=sp.S.One), variance) for t in terms)
        )

    def _of(self, term: _Term, variance: sp.Expr) -> sp.Expr:
        if term.damping != 0:
            self._note("factor")
            wider = sp.cancel(1 + term.damping * variance)
            narrow = replace(term, damping=sp.S.Zero)
            return self._of(narrow, sp.cancel(variance / wider)) / sp.sqrt(wider)
        if term.power:
            return self._by_parts(term, variance)
        return self._without_power(term, variance)

    def _by_parts(self, term: _Term, variance: sp.Expr) -> sp.Expr:
        self._note("parts")
        inner = replace(term, power=term.power - 1)
        rest = []
        if inner.power:
            rest.append(replace(inner, coefficient=sp.Integer(inner.power), power=inner.power - 1))
        if inner.tilt != 0:
            rest.append(replace(inner, coefficient=inner.tilt))
        for place, a in enumerate(inner.slopes):
            others = inner.slopes[:place] + inner.slopes[place + 1 :]
            rest.append(
                replace(inner, coefficient=a / sp.sqrt(2 * sp.pi), damping=a**2, slopes=others)
            )
        ends = sum(
            sign * inner.at(place) * sp.exp(-(place**2) / (2 * variance))
            for sign, place in ((1, inner.low), (-1, inner.high))
            if not place.is_infinite
        )
        return variance * self.total(rest, variance) + ends * sp.sqrt(variance / (2 * sp.pi))

    def _without_power(self, term: _Term, variance: sp.Expr) -> sp.Expr:
        slopes, count = term.slopes, len(term.slopes)
        if term.tilt != 0 or not count:
            if count:
                raise NoClosedForm("the expectation of exp(c x) Phi(a x) is not in the rules")
            return self._exponential(term, variance)
        if not term.is_whole:
            return self._on_half_line(term, variance)
        if count == 1:
            self._note("one")
            return sp.Rational(1, 2)
        if count > 3:
            raise NoClosedForm(f"a product of {count} normal distribution functions has none")
        self._note("one")
        self._note("two")
        pairs = [_angle(a, b, variance) for i, a in enumerate(slopes) for b in slopes[i + 1 :]]
        # Phi - 1/2 is odd, so that the product of three of them has the mean 0.
        return sp.Rational(1, 2**count) + sp.Add(*pairs) / (2 ** (count - 1) * sp.pi)

    def _exponential(self, term: _Term, variance: sp.Expr) -> sp.Expr:
        c = term.tilt
        if c == 0 and term.is_whole:
            return sp.S.One
        self._note("exponential")
        scale = sp.exp(c**2 * variance / 2)
        if term.is_whole:
            return scale
        beyond = [
            sp.S.One
            if end == -sp.oo
            else sp.S.Zero
            if end == sp.oo
            else sp.erfc((end - c * variance) / sp.sqrt(2 * variance)) / 2
            for end in (term.low, term.high)
        ]
        return scale * (beyond[0] - beyond[1])

    def _on_half_line(self, term: _Term, variance: sp.Expr) -> sp.Expr:
        """One Phi(a x) over x > 0 or x < 0: the share of a wedge."""
        if len(term.slopes) > 1 or {term.low, term.high} not in (
            {sp.S.Zero, sp.oo},
            {-sp.oo, sp.S.Zero},
        ):
            raise NoClosedForm("normal distribution functions on an interval are not in the rules")
        self._note("half")
        wedge = sp.atan(term.slopes[0] * sp.sqrt(variance)) / (2 * sp.pi)
        return sp.Rational(1, 4) + (wedge if term.low == 0 else -wedge)

    def _note(self, rule: str) -> None:
        if rule not in self.used:
            self.used.append(rule)


@cache
def expectation(f: sp.Expr, name: str = "") -> Law:
    r"""Return $\mathrm{E}[f(x)]$, $x \sim N(0, q)$, as a law with the equations it rests on.

    Args:
        f: An expression in `x`; other symbols are constants.
        name: What it is called; made from f when empty.

    Raises:
        NoClosedForm: f is outside of the family that the rules reduce (tanh, sigmoid, swish).

    >>> expectation(sp.Max(0, x) ** 2).formula
    q/2
    >>> expectation(sp.sin(x) ** 2).formula
    1/2 - exp(-2*q)/2
    """
    derivation = _Derivation()
    terms = [term for piece in pieces(f) for term in _terms(*piece)]
    value = _tidied(derivation.total(terms, q))
    lines = tuple(line for rule in RULES if rule in derivation.used for line in RULES[rule])
    return Law(
        name or f"E[{f}]",
        sp.Symbol("E"),
        value,
        lines=lines,
        assumes="x ~ N(0, q)",
        source="Stein (1981); Sheppard (1899) for the angles",
    )


def pieces(f: sp.Expr) -> Iterator[tuple[sp.Expr, sp.Expr, sp.Expr]]:
    """f on the intervals between its kinks: (expression without a case, low, high).

    Raises:
        NoClosedForm: a case that is decided by something else than affine functions of x.
    """
    spelt = definition(f)
    ends = [-sp.oo, *breakpoints(spelt), sp.oo]
    for low, high in pairwise(ends):
        yield _inside(spelt, _between(low, high)), low, high


def breakpoints(f: sp.Expr) -> list[sp.Expr]:
    """Where cases of f begin and end, in order."""
    found: set[sp.Expr] = set()
    for node in sp.preorder_traversal(definition(f)):
        for gap in _gaps(node):
            if not gap.has(x):
                continue
            slope = sp.diff(gap, x)
            root = sp.cancel(-gap.subs(x, 0) / slope) if not slope.has(x) else None
            if root is None or not root.is_number:
                raise NoClosedForm(f"the case {node} is not decided by an affine function of x")
            found.add(root)
    return sorted(found, key=float)


def _gaps(node: sp.Basic) -> list[sp.Expr]:
    """What changes its sign where a case of this node changes."""
    if isinstance(node, sp.core.relational.Relational):
        gap = node.lhs - node.rhs
        sides = [gap.replace(sp.Abs, lambda u, sign=sign: sign * u) for sign in (1, -1)]
        return list({sp.expand(side) for side in sides})
    if isinstance(node, (sp.Max, sp.Min)):
        args = [arg for arg in node.args if not arg.has(sp.Max, sp.Min)]
        nested = [a for arg in node.args if arg.has(sp.Max, sp.Min) for a in arg.args]
        both = args + nested
        return [sp.expand(a - b) for i, a in enumerate(both) for b in both[i + 1 :]]
    return [sp.expand(node.args[0])] if isinstance(node, (sp.Abs, sp.sign)) else []


def _between(low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """A point inside of an interval."""
    if low.is_infinite and high.is_infinite:
        return sp.S.Zero
    if low.is_infinite:
        return high - 1
    return low + 1 if high.is_infinite else (low + high) / 2


def _inside(f: sp.Expr, place: sp.Expr) -> sp.Expr:
    """f with every case decided as at `place`."""
    if not f.args:
        return f
    if isinstance(f, sp.Piecewise):
        for value, condition in f.args:
            if condition.subs(x, place) == True:  # noqa: E712
                return _inside(value, place)
        raise NoClosedForm(f"{f} has no value at x = {place}")
    args = [_inside(arg, place) for arg in f.args]
    if isinstance(f, (sp.Max, sp.Min)):
        choose = max if isinstance(f, sp.Max) else min
        return choose(args, key=lambda arg: float(arg.subs(x, place)))
    if isinstance(f, (sp.Abs, sp.sign)):
        sign = sp.sign(args[0].subs(x, place))
        return sign * args[0] if isinstance(f, sp.Abs) else sign
    return f.func(*args)


def _terms(f: sp.Expr, low: sp.Expr, high: sp.Expr) -> Iterator[_Term]:
    """The products that f is a sum of."""
    waves = (sp.sin, sp.cos, sp.sinh, sp.cosh)
    spelt = f.replace(lambda node: isinstance(node, waves), lambda node: node.rewrite(sp.exp))
    spelt = spelt.replace(sp.erf, lambda u: 2 * _cdf(sp.sqrt(2) * u) - 1)
    spelt = spelt.replace(sp.erfc, lambda u: 2 * _cdf(-sp.sqrt(2) * u))
    spelt = sp.expand(sp.powsimp(sp.expand(spelt)), power_exp=False)
    for product in sp.Add.make_args(spelt):
        term = _Term(sp.S.One, low, high)
        for factor in sp.Mul.make_args(product):
            term = _multiplied(term, factor, f)
        if term.coefficient != 0:
            yield term


def _multiplied(term: _Term, factor: sp.Expr, f: sp.Expr) -> _Term:
    if not factor.has(x):
        return replace(term, coefficient=term.coefficient * factor)
    base, exponent = factor.as_base_exp()
    if base == x and exponent.is_Integer and 0 < exponent <= LARGEST_POWER:
        return replace(term, power=term.power + int(exponent))
    if isinstance(base, _cdf) and exponent.is_Integer and exponent > 0:
        slope = sp.diff(base.args[0], x)
        if not slope.has(x) and base.args[0] == slope * x:
            return replace(term, slopes=term.slopes + (slope,) * int(exponent))
    if not base.has(x) or base == sp.E:
        polynomial = sp.Poly(exponent * sp.log(base), x) if exponent.is_polynomial(x) else None
        if polynomial is not None and polynomial.degree() <= 2:
            return _exponentiated(term, polynomial)
    raise NoClosedForm(
        f"E[{f}] has no closed form here: the factor {factor} is outside of the rules"
    )


def _exponentiated(term: _Term, exponent: sp.Poly) -> _Term:
    constant, linear, square = (exponent.coeff_monomial(x**n) for n in range(3))
    if not (-square).is_nonnegative:
        raise NoClosedForm(f"exp({exponent.as_expr()}) has an infinite expectation at some q")
    return replace(
        term,
        coefficient=term.coefficient * sp.exp(constant),
        tilt=term.tilt + linear,
        damping=term.damping - 2 * square,
    )


def _tidied(value: sp.Expr) -> sp.Expr:
    """Like terms put together; small expressions only."""
    return sp.Add(
        *(sp.factor_terms(sp.powsimp(part)) for part in sp.Add.make_args(sp.expand(value)))
    )

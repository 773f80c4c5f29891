r"""Quotients of exponentials as products of sigmoids and tanh, found by their normal form.

With $M = e^u$: $M^a/(1+M)^n = \sigma(u)^a\,\sigma(-u)^{n-a}$ and $(M-1)/(M+1) = \tanh(u/2)$.  Every
factor of the right sides lies in [-1, 1], so nothing overflows.  The tower recognises the quotient
in whatever spelling it comes: hyperbolic functions, exp(-u), a quotient of quotients.
"""

from dataclasses import dataclass

import sympy as sp
from sympy import QQ
from sympy.polys.rings import PolyElement

from diffkit.core.errors import DiffkitError
from diffkit.symbolic.normal_form import reduce_in
from diffkit.symbolic.reduction import NeedSign, Reduction, Setting, Undefined
from diffkit.symbolic.tower import Element, TooLarge
from diffkit.symbolic.vocabulary import FUNCTIONS, definition
from diffkit.symbolic.walk import nodes

sigmoid = FUNCTIONS["sigmoid"]

#: A product with more operations is left alone; a numerator has at most this many terms.
MOST_OPERATIONS, MOST_TERMS = 120, 5
_TRIGGERS = (sp.exp, sp.sinh, sp.cosh)
_PARTS = (*_TRIGGERS, sp.tanh, sigmoid)

Powers = dict[int, int]  # generator -> exponent, of either sign


@dataclass(frozen=True)
class _Binomial:
    """A factor (M + N)^n below the bar, M and N products of exponentials."""

    poly: PolyElement
    upper: Powers
    lower: Powers
    n: int


def exponential_quotient(node: sp.Expr) -> sp.Expr | None:
    """Return a product by sigmoids and tanh, None where the denominator is of another kind."""
    factors = sp.Mul.make_args(node)
    exponential = [f for f in factors if _holds(f, _PARTS)]
    plain = [f for f in exponential if not _is_nested(f)]
    for chosen in [exponential] if len(plain) in (0, len(exponential)) else [exponential, plain]:
        found = _quotient(chosen)
        if found is not None:
            return sp.Mul(*(f for f in factors if f not in chosen), found)
    return None


def _is_nested(factor: sp.Expr) -> bool:
    """Whether an exponential of `factor` has a function in its exponent."""
    inside = (node.args[0] for node in nodes(factor) if isinstance(node, _PARTS))
    return any(_holds(each, (sp.Function,)) for each in inside)


def _holds(expr: sp.Basic, kinds: tuple[type, ...]) -> bool:
    return any(isinstance(node, kinds) for node in nodes(expr))


def _is_large(expr: sp.Basic) -> bool:
    """Whether there are more operations than are worth it; a shared part is counted once."""
    return sum(1 for node in nodes(expr) if node.args) > MOST_OPERATIONS


def _quotient(chosen: list[sp.Expr]) -> sp.Expr | None:
    body = sp.Mul(*chosen)
    if _is_large(body) or not _holds(body, _TRIGGERS) or body.count_ops() > MOST_OPERATIONS:
        return None
    if not any((f.is_Pow and f.exp.is_negative) or f.has(sigmoid, sp.tanh) for f in chosen):
        return None
    try:
        return reduce_in(Setting(splits=False), lambda r: _rewrite(r, r(definition(body))))
    except (DiffkitError, TooLarge, Undefined, NeedSign):
        return None


def _rewrite(r: Reduction, element: Element) -> sp.Expr | None:
    tower = r.tower
    if element.is_zero:
        return None
    coefficient, factors = tower.factorize(element)
    exponentials = {i for i, kernel in enumerate(tower.kernels) if kernel.kind == "exp"}
    outside, above, shift = [], tower.ring(coefficient), {}
    binomials: list[_Binomial] = []
    for factor, exponent in factors.items():
        index = _generator_index(factor, exponentials)
        if index is not None:
            shift[index] = exponent
        elif not any(m[i] for m in factor for i in exponentials):
            outside.append(tower.poly_expr(factor) ** exponent)
        elif exponent > 0:
            above = above * factor**exponent
        else:
            binomial = _binomial(factor, -exponent, exponentials)
            if binomial is None:
                return None
            binomials.append(binomial)
    if not binomials:
        return None
    found = _by_sigmoids(r, above, shift, binomials, exponentials)
    return None if found is None else sp.Mul(*outside) * found


def _generator_index(factor: PolyElement, exponentials: set[int]) -> int | None:
    if len(factor) != 1:
        return None
    (monomial,) = factor
    index = monomial.index(1)
    return index if index in exponentials else None


def _binomial(factor: PolyElement, n: int, exponentials: set[int]) -> _Binomial | None:
    terms = list(factor.terms())
    if len(terms) != 2 or any(c != 1 for _, c in terms):
        return None
    powers = [_powers(m) for m, _ in terms]
    if any(set(p) - exponentials for p in powers):
        return None
    return _Binomial(factor, powers[0], powers[1], n)


def _powers(monomial: tuple[int, ...]) -> Powers:
    return {i: k for i, k in enumerate(monomial) if k}


def _by_sigmoids(
    r: Reduction,
    above: PolyElement,
    shift: Powers,
    binomials: list[_Binomial],
    exponentials: set[int],
) -> sp.Expr | None:
    result = []
    left: list[_Binomial] = []
    for binomial in binomials:
        times, above = _take_differences(r, above, binomial)
        if times:
            result.append(sp.tanh(_exponent(r, _over(binomial.upper, binomial.lower)) / 2) ** times)
        if times < binomial.n:
            left.append(
                _Binomial(binomial.poly, binomial.upper, binomial.lower, binomial.n - times)
            )
    if len(above) > (MOST_TERMS if len(left) == 1 else 1):
        return None
    terms = []
    for monomial, coefficient in above.terms():
        term = _one_term(r, monomial, shift, left, exponentials)
        if len(above) > 1 and term.has(sp.exp):
            return None
        number = sp.Rational(int(QQ.numer(coefficient)), int(QQ.denom(coefficient)))
        terms.append(number * term)
    return sp.Mul(*result) * sp.Add(*terms)


def _take_differences(
    r: Reduction, above: PolyElement, binomial: _Binomial
) -> tuple[int, PolyElement]:
    """How often (M - N) divides the numerator, at most n times, and what is left of it."""
    signs = list(binomial.poly)
    difference = r.tower.ring.from_dict({signs[0]: QQ(1), signs[1]: QQ(-1)})
    times = 0
    while times < binomial.n:
        quotient, remainder = above.div(difference)
        if remainder:
            break
        above, times = quotient, times + 1
    return times, above


def _one_term(
    r: Reduction,
    monomial: tuple[int, ...],
    shift: Powers,
    binomials: list[_Binomial],
    exponentials: set[int],
) -> sp.Expr:
    own = _powers(monomial)
    exps = {i: own.get(i, 0) + shift.get(i, 0) for i in {*own, *shift} & exponentials}
    parts = [r.tower.kernels[i].expr ** k for i, k in own.items() if i not in exponentials]
    for binomial in binomials:
        exps, part = _share(r, exps, binomial)
        parts.append(part)
    return sp.Mul(*parts, sp.exp(_exponent(r, exps)))


def _share(r: Reduction, exps: Powers, binomial: _Binomial) -> tuple[Powers, sp.Expr]:
    """Choose a in M^a N^(n-a) so that as little as possible of the exponentials is left over."""
    choices = []
    for a in range(binomial.n + 1):
        rest = _over(_over(exps, binomial.upper, a), binomial.lower, binomial.n - a)
        choices.append((sum(abs(k) for k in rest.values()), a, rest))
    _, a, rest = min(choices, key=lambda choice: choice[:2])
    u = _exponent(r, _over(binomial.upper, binomial.lower))
    return rest, sigmoid(u) ** a * sigmoid(-u) ** (binomial.n - a)


def _over(above: Powers, below: Powers, times: int = 1) -> Powers:
    names = {*above, *below}
    return {i: above.get(i, 0) - times * below.get(i, 0) for i in names}


def _exponent(r: Reduction, powers: Powers) -> sp.Expr:
    return sp.Add(*(k * r.tower.kernels[i].expr.args[0] for i, k in powers.items()))

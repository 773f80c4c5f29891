r"""Derivatives, sums and integrals written out by a small table of closed forms.

Sums: numeric bounds term by term; symbolic bounds by $\sum r^i$, $\sum i^k$ (k <= 3) with the index
shifted; infinite ones geometric with $|r| < 1$.  Integrals over the real line: Gaussian moments.
What is not in the table stays as it is, and whoever needs a value says so.
"""

from collections.abc import Mapping

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import NoClosedForm
from diffkit.symbolic.signs import range_of
from diffkit.symbolic.vocabulary import definition, nodes

Domains = Mapping[str, Domain]

#: A sum with numeric bounds is written out up to this many terms.
MOST_TERMS = 10_000
#: Highest power of the variable in a Gaussian moment.
HIGHEST_MOMENT = 40


def closed_forms(expr: sp.Basic, domains: Domains) -> sp.Basic:
    """Write out every Derivative, Sum, Product and Integral of `expr`.

    Args:
        expr: Any expression, vocabulary functions expanded.
        domains: Name -> domain of a symbol; an infinite geometric sum needs |ratio| < 1 proved.

    Raises:
        NoClosedForm: a sum or an integral that is not in the table; the message says which.

    >>> i, n = sp.symbols("i n", integer=True)
    >>> closed_forms(sp.Sum(i, (i, 1, n)), {})
    n*(n + 1)/2
    """
    if not expr.has(sp.Derivative, sp.Sum, sp.Product, sp.Integral):
        return expr
    done: dict[sp.Basic, sp.Basic] = {}
    for node in nodes(expr):
        args = tuple(done[argument] for argument in node.args)
        made = node.func(*args) if args and args != node.args else node
        if isinstance(made, sp.Derivative):
            made = definition(_derivative(made))
        elif isinstance(made, sp.Sum | sp.Product):
            made = _fold(made, domains)
        elif isinstance(made, sp.Integral):
            made = _integral(made, domains)
        done[node] = made
    return done[expr]


def _derivative(node: sp.Derivative) -> sp.Expr:
    result = node.expr
    for variable, count in node.variable_count:
        if not isinstance(variable, sp.Symbol) or not count.is_Integer:
            raise NoClosedForm(f"{node} has no closed form; differentiate by a symbol, whole times")
        result = sp.diff(result, variable, int(count))
    return result


def _fold(node: sp.Sum | sp.Product, domains: Domains) -> sp.Expr:
    """Apply the limits from the innermost outwards."""
    term = node.function
    for index, low, high in node.limits:
        term = _fold_once(type(node), term, index, low, high, domains)
    return term


def _fold_once(
    kind: type, term: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr, domains: Domains
) -> sp.Expr:
    if low.is_Integer and high.is_Integer:
        if high - low >= MOST_TERMS:
            raise NoClosedForm(f"a sum of {high - low + 1} terms is not written out; shorten it")
        join = sp.Add if kind is sp.Sum else sp.Mul
        return join(*(term.subs(index, sp.Integer(i)) for i in range(int(low), int(high) + 1)))
    if kind is sp.Sum:
        return sp.Add(
            *(
                _term_sum(part, index, low, high, domains)
                for part in sp.Add.make_args(sp.expand(term))
            )
        )
    if not term.has(index) and high not in (sp.oo, -sp.oo):
        return term ** (high - low + 1)
    raise NoClosedForm(f"no closed form of the product of {term} over {index} in the table")


def _term_sum(
    term: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr, domains: Domains
) -> sp.Expr:
    constant, rest = term.as_independent(index, as_Add=False)
    geometric = _geometric(rest, index)
    if geometric is not None and high is sp.oo:
        first, ratio = geometric
        reach = range_of(definition(ratio), domains)
        above = reach.low > -1 or (reach.low == -1 and reach.open_low)
        below = reach.high < 1 or (reach.high == 1 and reach.open_high)
        if not (above and below):
            raise NoClosedForm(
                f"the sum of {term} converges for |{ratio}| < 1 only; give such a domain"
            )
        return constant * first * ratio**low / (1 - ratio)
    if high is sp.oo or low is -sp.oo:
        raise NoClosedForm(f"no closed form of the infinite sum of {term} in the table")
    if geometric is not None:
        first, ratio = geometric
        total = (ratio**low - ratio ** (high + 1)) / (1 - ratio)
        return constant * first * sp.Piecewise((high - low + 1, sp.Eq(ratio, 1)), (total, True))
    power = next((k for k in range(4) if rest == index**k), None)
    if power is not None:
        return constant * (_power_sum(power, high) - _power_sum(power, low - 1))
    raise NoClosedForm(f"no closed form of the sum of {term} over {index} in the table")


def _geometric(term: sp.Expr, index: sp.Symbol) -> tuple[sp.Expr, sp.Expr] | None:
    """(c, r) with term = c * r^index."""
    if not term.has(index):
        return None
    first, ratio = sp.S.One, sp.S.One
    for factor in sp.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        if base.has(index) or not exponent.is_polynomial(index) or sp.degree(exponent, index) != 1:
            return None
        poly = exponent.as_poly(index)
        ratio *= base ** poly.coeff_monomial(index)
        first *= base ** poly.coeff_monomial(1)
    return first, ratio


def _power_sum(power: int, n: sp.Expr) -> sp.Expr:
    """1^power + ... + n^power."""
    return (
        n,
        n * (n + 1) / 2,
        n * (n + 1) * (2 * n + 1) / 6,
        n**2 * (n + 1) ** 2 / 4,
    )[power]


def _integral(node: sp.Integral, domains: Domains) -> sp.Expr:
    if len(node.limits) != 1 or len(node.limits[0]) != 3:
        raise NoClosedForm(f"{node} is not in the table; integrate over one variable with bounds")
    ((variable, low, high),) = node.limits
    terms = sp.Add.make_args(sp.expand(node.function))
    if (low, high) == (-sp.oo, sp.oo):
        return sp.Add(*(_gaussian_moment(term, variable, domains) for term in terms))
    if node.function.is_polynomial(variable) and not node.function.has(sp.oo):
        antiderivative = sp.Poly(node.function, variable).integrate(variable).as_expr()
        return antiderivative.subs(variable, high) - antiderivative.subs(variable, low)
    raise NoClosedForm(
        f"{node} is not in the table (polynomials, and Gaussian moments over the real line); "
        "use diffkit.numeric.quadrature"
    )


def _gaussian_moment(term: sp.Expr, x: sp.Symbol, domains: Domains) -> sp.Expr:
    r"""$\int x^n e^{-a x^2 + b x + c}\,dx$ by the recurrence of the moments."""
    constant, rest = term.as_independent(x, as_Add=False)
    power, exponent = 0, sp.S.Zero
    for factor in sp.Mul.make_args(rest):
        base, times = factor.as_base_exp()
        if isinstance(factor, sp.exp):
            exponent += factor.args[0]
        elif base == x and times.is_Integer and 0 <= times <= HIGHEST_MOMENT:
            power += int(times)
        elif rest != 1:
            raise NoClosedForm(f"the integral of {term} over the real line is not in the table")
    poly = sp.expand(exponent).as_poly(x) if exponent.is_polynomial(x) else None
    if poly is None or poly.degree() != 2:
        raise NoClosedForm(f"the integral of {term} over the real line is not in the table")
    a, b, c = -poly.coeff_monomial(x**2), poly.coeff_monomial(x), poly.coeff_monomial(1)
    if range_of(definition(a), domains).strict_sign != 1:
        raise NoClosedForm(f"the integral needs {a} > 0; give a domain that ensures it")
    mean, variance = b / (2 * a), 1 / (2 * a)
    moments = [sp.S.One, mean]
    for n in range(2, power + 1):
        moments.append(mean * moments[n - 1] + (n - 1) * variance * moments[n - 2])
    return constant * moments[power] * sp.sqrt(sp.pi / a) * sp.exp(c + b**2 / (4 * a))

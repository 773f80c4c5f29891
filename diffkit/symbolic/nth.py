r"""n-th derivatives by recurrences that keep the accurate factors.

A power basis in s = sigmoid(x) loses four digits at n = 10: its terms are large and cancel.  Here
the n-th derivative of the sigmoid is s(1 - s) times a homogeneous form in s(1 - s) and the centred
(1 - 2s)^2, which lie in [0, 1/4] and [0, 1]; tanh uses 1 - t^2 and t^2 likewise.  The polynomials
of a Gaussian are Hermite's.  Anything else is differentiated n times in textbook form.
"""

from collections.abc import Callable, Mapping
from math import comb, factorial, gcd

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import NoClosedForm
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.differentiate import check_variable, derivative
from diffkit.symbolic.textbook import cost, textbook
from diffkit.symbolic.vocabulary import FUNCTIONS

#: The n-th derivative of a function of u with respect to u, n >= 1.
Rule = Callable[[sp.Expr, int], sp.Expr]
#: Coefficients by (power of the first generator, power of the second).
Form = dict[tuple[int, int], int]
#: The form of order n, the factor every derivative shares, the centred variable.
Generators = tuple[Callable[[int], Form], sp.Expr, sp.Expr]

MAX_COST = 2_000
#: Leibniz' rule is applied to products of at most this many factors.
MAX_FACTORS = 4

sigmoid = FUNCTIONS["sigmoid"]
normal_pdf = FUNCTIONS["normal_pdf"]


def nth_derivative(
    expr: sp.Expr,
    x: sp.Symbol,
    n: int,
    *,
    domains: Mapping[str, Domain] | None = None,
    certified: bool = True,
) -> sp.Expr:
    r"""Return the n-th derivative in a form whose float64 value is accurate.

    $$\sigma^{(n)} = p \sum_k a_{nk}\, p^k c^{\,n-1-2k},\quad p = \sigma(1-\sigma),\ c = 1-2\sigma$$

    Args:
        expr: A scalar expression; recurrences exist for sums and products of polynomials and of
            the functions in `RULES`, at affine arguments.
        x: The variable.
        n: Order, >= 0.
        domains: Name -> where to draw that symbol for the check.
        certified: Whether the result is compared with an n-th difference quotient at one point.

    Raises:
        NoClosedForm: no recurrence, and repeated differentiation grows beyond `MAX_COST`.
        UnsupportedFunction: a node has no differentiation rule.
        CertificateError: the comparison fails (a defect of diffkit).

    Source: the recurrences follow from s' = s(1 - s), (1 - 2s)' = -2 s(1 - s) and t' = 1 - t^2.

    >>> x = sp.Symbol("x", real=True)
    >>> nth_derivative(sp.tanh(x), x, 2)
    -2*(1 - tanh(x)**2)*tanh(x)
    """
    check_variable(x, n)
    result = _nth(expr, x, n)
    if certified and n > 0 and expr.has(x):
        whole = sp.Derivative(expr, (x, n))
        certify(whole, result, domains=domains, points=1, digits=20)
    return result


def _nth(expr: sp.Expr, x: sp.Symbol, n: int) -> sp.Expr:
    if n == 0:
        return expr
    if not expr.has(x):
        return sp.S.Zero
    if isinstance(expr, sp.Add):
        return sp.Add(*(_nth(term, x, n) for term in expr.args))
    if isinstance(expr, sp.Mul):
        constant, dependent = expr.as_independent(x, as_Add=False)
        if constant != 1:
            return sp.Mul(constant, _nth(dependent, x, n))
        return _leibniz(expr, x, n)
    by_rule = _by_rule(expr, x, n)
    return _repeated(expr, x, n) if by_rule is None else by_rule


def _by_rule(expr: sp.Expr, x: sp.Symbol, n: int) -> sp.Expr | None:
    if expr == x:
        return sp.Integer(n == 1)
    if isinstance(expr, sp.exp) and expr.args[0].is_polynomial(x):
        return _exponential_of_polynomial(expr, x, n)
    if isinstance(expr, sp.Pow):
        base, exponent = expr.base, expr.exp
        slope = _slope(exponent if exponent.has(x) else base, x)
        if slope is None or (exponent.has(x) and base.has(x)):
            return None
        if exponent.has(x):
            return expr * (sp.log(base) * slope) ** n
        return sp.ff(exponent, n) * slope**n * base ** (exponent - n)
    rule = RULES.get(type(expr))
    inner = expr.args[0]
    slope = _slope(inner, x) if rule is not None and len(expr.args) == 1 else None
    if rule is None or slope is None:
        return None
    return slope**n * rule(inner, n)


def _slope(inner: sp.Expr, x: sp.Symbol) -> sp.Expr | None:
    """a when `inner` is a x + b with a, b free of x."""
    if inner == x:
        return sp.S.One
    if not inner.is_polynomial(x):
        return None
    polynomial = sp.Poly(inner, x)
    return polynomial.coeff_monomial(x) if polynomial.degree() == 1 else None


def _leibniz(expr: sp.Expr, x: sp.Symbol, n: int) -> sp.Expr:
    r"""$(fg)^{(n)} = \sum_k \binom{n}{k} f^{(k)} g^{(n-k)}$ with f the polynomial factor if any."""
    plain = [factor for factor in expr.args if factor.is_polynomial(x)]
    others = [factor for factor in expr.args if factor not in plain]
    first = sp.Mul(*plain) if plain else others.pop(0)
    if not others:
        return sp.diff(sp.expand(first), x, n)
    second = sp.Mul(*others)
    if len(expr.args) > MAX_FACTORS or not all(_has_recurrence(f, x) for f in (first, second)):
        return _repeated(expr, x, n)
    last = min(n, sp.degree(first, x)) if plain else n
    weights = {
        k: comb(n, k) * (sp.diff(first, x, k) if plain else _nth(first, x, k))
        for k in range(last + 1)
    }
    if plain and type(second) in CENTRED:
        return _leibniz_centred(weights, second, x, n)
    total = sp.Add(*(weight * _nth(second, x, n - k) for k, weight in weights.items()))
    return textbook(total, certified=False) if cost(total) <= MAX_COST else total


def _leibniz_centred(weights: dict[int, sp.Expr], second: sp.Expr, x: sp.Symbol, n: int) -> sp.Expr:
    """Leibniz' sum for a sigmoid or tanh, with the factor all its derivatives share pulled out."""
    inner = second.args[0]
    slope = sp.diff(inner, x)
    form, shared, centred = CENTRED[type(second)](inner)
    total = sp.Add(
        *(
            keep(weight * slope ** (n - k), _quotient(form(n - k), shared, centred))
            for k, weight in weights.items()
            if k < n
        )
    )
    if n not in weights:
        return shared * total
    result = shared * total + weights[n] * second
    return textbook(result, certified=False) if n == 1 else result


def _has_recurrence(factor: sp.Expr, x: sp.Symbol) -> bool:
    if factor.is_polynomial(x):
        return True
    if isinstance(factor, sp.Add | sp.Mul):
        return all(_has_recurrence(part, x) for part in factor.args)
    return _by_rule(factor, x, 1) is not None


def _repeated(expr: sp.Expr, x: sp.Symbol, n: int) -> sp.Expr:
    for order in range(1, n + 1):
        expr = textbook(derivative(expr, x), certified=False)
        if cost(expr) > MAX_COST:
            raise NoClosedForm(
                f"derivative {order} of {n} takes more than {MAX_COST} operations and no "
                "recurrence is known; ask for a lower order, or evaluate it by Taylor arithmetic"
            )
    return expr


# --- forms in two generators -----------------------------------------------------------------


def _sigmoid_form(n: int) -> Form:
    """Coefficients of p^i c^j in sigmoid^(n): p' = p c, c' = -2 p."""
    form: Form = {(1, 0): 1}
    for _ in range(n - 1):
        form = _step(form, lambda i, j: (((i, j + 1), i), ((i + 1, j - 1), -2 * j)))
    return form


def _tanh_form(n: int) -> Form:
    """Coefficients of q^i t^j in tanh^(n): q = 1 - t^2, q' = -2 q t, t' = q."""
    form: Form = {(1, 0): 1}
    for _ in range(n - 1):
        form = _step(form, lambda i, j: (((i, j + 1), -2 * i), ((i + 1, j - 1), j)))
    return form


def _step(form: Form, differentiate: Callable) -> Form:
    result: Form = {}
    for (i, j), coefficient in form.items():
        for powers, factor in differentiate(i, j):
            if factor:
                result[powers] = result.get(powers, 0) + factor * coefficient
    return result


def _sigmoid_generators(u: sp.Expr) -> Generators:
    s = sigmoid(u)
    return _sigmoid_form, s * (1 - s), 1 - 2 * s


def _tanh_generators(u: sp.Expr) -> Generators:
    t = sp.tanh(u)
    return _tanh_form, 1 - t**2, t


CENTRED: Mapping[type, Callable[[sp.Expr], Generators]] = {
    sigmoid: _sigmoid_generators,
    sp.tanh: _tanh_generators,
}


def _quotient(form: Form, shared: sp.Expr, centred: sp.Expr) -> sp.Expr:
    """The form divided by `shared`: content * centred^(0 or 1) * a sum, nothing expanded."""
    lowest = min(j for _, j in form)
    content = gcd(*form.values())
    terms = (
        sp.Integer(coefficient // content) * shared ** (i - 1) * centred ** (j - lowest)
        for (i, j), coefficient in form.items()
    )
    return keep(sp.Integer(content), sp.Mul(centred**lowest, sp.Add(*terms)))


def keep(number: sp.Expr, factor: sp.Expr) -> sp.Expr:
    """The product; a number is not distributed over a sum, which would undo 1 - 2 s."""
    if isinstance(factor, sp.Add) and number.is_Rational and number != 1:
        return sp.Mul(number, factor, evaluate=False)
    return number * factor


def _sigmoid(u: sp.Expr, n: int) -> sp.Expr:
    form, shared, centred = _sigmoid_generators(u)
    return shared * _quotient(form(n), shared, centred)


def _tanh(u: sp.Expr, n: int) -> sp.Expr:
    form, shared, centred = _tanh_generators(u)
    return keep(sp.S.One, shared * _quotient(form(n), shared, centred))


def _softplus(u: sp.Expr, n: int) -> sp.Expr:
    return sigmoid(u) if n == 1 else _sigmoid(u, n - 1)


def _log_sigmoid(u: sp.Expr, n: int) -> sp.Expr:
    return 1 - sigmoid(u) if n == 1 else -_sigmoid(u, n - 1)


def _silu(u: sp.Expr, n: int) -> sp.Expr:
    r"""$(u\sigma)^{(n)} = u\,\sigma^{(n)} + n\,\sigma^{(n-1)}$ with s(1 - s) pulled out."""
    form, shared, centred = _sigmoid_generators(u)
    s = sigmoid(u)
    if n == 1:
        return s * (1 + u * (1 - s))
    high, low = (_quotient(form(k), shared, centred) for k in (n, n - 1))
    return shared * (u * high + keep(sp.Integer(n), low))


# --- Gaussians -------------------------------------------------------------------------------


def _hermite(n: int, u: sp.Expr) -> sp.Expr:
    r"""Probabilists' Hermite polynomial, $He_{n+1} = u\,He_n - n\,He_{n-1}$, powers of u^2."""
    coefficients = {n - 2 * k: _hermite_coefficient(n, k) for k in range(n // 2 + 1)}
    shared = n % 2
    return u**shared * sp.Add(*(c * u ** (j - shared) for j, c in coefficients.items()))


def _hermite_coefficient(n: int, k: int) -> sp.Rational:
    return sp.Rational((-1) ** k * factorial(n), factorial(k) * factorial(n - 2 * k) * 2**k)


def _normal_pdf(u: sp.Expr, n: int) -> sp.Expr:
    return (-1) ** n * _hermite(n, u) * normal_pdf(u)


def _normal_cdf(u: sp.Expr, n: int) -> sp.Expr:
    return normal_pdf(u) if n == 1 else _normal_pdf(u, n - 1)


def _gelu(u: sp.Expr, n: int) -> sp.Expr:
    r"""$u\Phi$: $\Phi + u\varphi$, then $(-1)^{n-1}(u\,He_{n-1} - n\,He_{n-2})\varphi$."""
    if n == 1:
        return FUNCTIONS["normal_cdf"](u) + u * normal_pdf(u)
    v = sp.Dummy()
    polynomial = sp.factor_terms(sp.expand(v * _hermite(n - 1, v) - n * _hermite(n - 2, v)))
    return (-1) ** (n - 1) * polynomial.xreplace({v: u}) * normal_pdf(u)


def _erf(u: sp.Expr, n: int) -> sp.Expr:
    r"""$\frac{2}{\sqrt\pi} (-1)^{n-1} H_{n-1}(u) e^{-u^2}$ with the physicists' H."""
    k = n - 1
    shared = k % 2
    scaled = sp.Dummy()
    # H_k(u) = 2^(k/2) He_k(sqrt(2) u), whose coefficients are the integers below.
    physicists = {
        k - 2 * j: int(_hermite_coefficient(k, j) * 2 ** (k - j)) for j in range(k // 2 + 1)
    }
    content = gcd(*physicists.values())
    terms = (c // content * scaled ** (power - shared) for power, c in physicists.items())
    polynomial = (scaled**shared * sp.Add(*terms)).xreplace({scaled: u})
    return (-1) ** k * 2 * content / sp.sqrt(sp.pi) * polynomial * sp.exp(-(u**2))


def _exponential_of_polynomial(expr: sp.Expr, x: sp.Symbol, n: int) -> sp.Expr:
    """P_n e^q with P_0 = 1, P_{n+1} = P_n' + q' P_n."""
    q = sp.Poly(expr.args[0], x)
    slope = q.diff(x)
    if slope.degree() <= 0:
        return slope.as_expr() ** n * expr
    polynomial = sp.Poly(1, x, domain=q.domain)
    for _ in range(n):
        polynomial = polynomial.diff(x) + slope * polynomial
    return textbook(polynomial.as_expr() * expr, certified=False)


# --- cyclic and rational ---------------------------------------------------------------------


def _sin(u: sp.Expr, n: int) -> sp.Expr:
    return (sp.sin(u), sp.cos(u), -sp.sin(u), -sp.cos(u))[n % 4]


def _cos(u: sp.Expr, n: int) -> sp.Expr:
    return _sin(u, n + 1)


def _log(u: sp.Expr, n: int) -> sp.Expr:
    return (-1) ** (n - 1) * sp.factorial(n - 1) / u**n


RULES: Mapping[type, Rule] = {
    sp.exp: lambda u, n: sp.exp(u),
    sp.sin: _sin,
    sp.cos: _cos,
    sp.sinh: lambda u, n: sp.cosh(u) if n % 2 else sp.sinh(u),
    sp.cosh: lambda u, n: sp.sinh(u) if n % 2 else sp.cosh(u),
    sp.log: _log,
    sp.tanh: _tanh,
    sp.erf: _erf,
    sp.erfc: lambda u, n: -_erf(u, n),
    sigmoid: _sigmoid,
    FUNCTIONS["softplus"]: _softplus,
    FUNCTIONS["log_sigmoid"]: _log_sigmoid,
    FUNCTIONS["silu"]: _silu,
    FUNCTIONS["log_cosh"]: lambda u, n: sp.tanh(u) if n == 1 else _tanh(u, n - 1),
    FUNCTIONS["gelu"]: _gelu,
    FUNCTIONS["normal_pdf"]: _normal_pdf,
    FUNCTIONS["normal_cdf"]: _normal_cdf,
    FUNCTIONS["expm1"]: lambda u, n: sp.exp(u),
    FUNCTIONS["log1p"]: lambda u, n: _log(1 + u, n),
}

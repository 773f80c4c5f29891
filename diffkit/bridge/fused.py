r"""Combinations accurate only as one function: $\sigma(u)\sigma(-u)$, $\Phi(u)+u\varphi(u)$, ...

`fuse` replaces them in an expression by functions of their own, which `backend.kernels.FUSED`
computes to a few ulps; `MEANINGS` says what each of them is.  This is a matter of lowering: the
functions never appear in a formula that is shown.
"""

from collections.abc import Callable

import sympy as sp

from diffkit.symbolic.vocabulary import FUNCTIONS, nodes

f = FUNCTIONS


class sigmoid_prime(sp.Function):
    """sigmoid(x)*sigmoid(-x)."""

    nargs = 1
    is_real = True


class sech_squared(sp.Function):
    """1 - tanh(x)**2."""

    nargs = 1
    is_real = True


class exp_square(sp.Function):
    """exp(s*x**2)."""

    nargs = 2
    is_real = True


class erfcx(sp.Function):
    """exp(x**2)*erfc(x), x >= 0."""

    nargs = 1
    is_real = True


class normal_hazard(sp.Function):
    """normal_pdf(x)/normal_cdf(x)."""

    nargs = 1
    is_real = True


class gelu_prime(sp.Function):
    """normal_cdf(x) + x*normal_pdf(x)."""

    nargs = 1
    is_real = True


MEANINGS: dict[str, Callable[..., sp.Expr]] = {
    "sigmoid_prime": lambda x: f["sigmoid"](x) * f["sigmoid"](-x),
    "sech_squared": lambda x: 1 - sp.tanh(x) ** 2,
    "exp_square": lambda x, s: sp.exp(s * x**2),
    "erfcx": lambda x: sp.exp(x**2) * sp.erfc(x),
    "normal_hazard": lambda x: f["normal_pdf"](x) / f["normal_cdf"](x),
    "gelu_prime": lambda x: f["normal_cdf"](x) + x * f["normal_pdf"](x),
}

Rule = Callable[[sp.Expr], sp.Expr]


def fuse(expr: sp.Basic) -> sp.Basic:
    """Return an equal expression in which the rules of this file have been applied bottom-up.

    >>> x = sp.Symbol("x", real=True)
    >>> fuse(f["sigmoid"](x) * (1 - f["sigmoid"](x)))
    sigmoid_prime(x)
    """
    done: dict[sp.Basic, sp.Basic] = {}
    for node in nodes(expr):
        args = tuple(done[arg] for arg in node.args)
        changed = node.func(*args) if args != node.args else node
        done[node] = _apply(changed)
    return done[expr]


def _apply(node: sp.Basic) -> sp.Basic:
    for kind, rules in RULES:
        if isinstance(node, kind):
            for rule in rules:
                node = rule(node)
                if not isinstance(node, kind):
                    return node
    return node


def _complement(total: sp.Expr) -> sp.Expr:
    """1 - sigmoid(u) -> sigmoid(-u), 1 - tanh(u)**2 -> sech_squared(u), ..., inside any sum."""
    constant, _ = total.as_coeff_Add()
    if constant == 0:
        return total
    for term in total.args:
        scale, body = term.as_coeff_Mul()
        if abs(scale) == abs(constant) and not body.is_number:
            joined = _join(constant, scale, body)
            if joined is not None:
                rest = [arg for arg in total.args if arg not in (term, constant)]
                return sp.Add(joined, *rest)
    return total


def _join(constant: sp.Expr, scale: sp.Expr, body: sp.Expr) -> sp.Expr | None:
    """`constant + scale*body` as one function, |scale| = |constant|."""
    if scale == constant:
        # 1 + erf(w) = 2 Phi(sqrt(2) w)
        is_erf = isinstance(body, sp.erf)
        return 2 * constant * f["normal_cdf"](sp.sqrt(2) * body.args[0]) if is_erf else None
    if isinstance(body, sp.Pow) and isinstance(body.base, sp.tanh) and body.exp == 2:
        return constant * sech_squared(body.base.args[0])
    for kind, rule in _COMPLEMENTS:
        if isinstance(body, kind):
            return constant * rule(body.args[0])
    return None


#: f -> 1 - f(u) as a function of u.
_COMPLEMENTS: tuple[tuple[type, Rule], ...] = (
    (f["sigmoid"], lambda u: f["sigmoid"](-u)),
    (f["normal_cdf"], lambda u: f["normal_cdf"](-u)),
    (sp.erf, sp.erfc),
    (sp.cos, lambda u: -f["cosm1"](u)),
    (sp.exp, lambda u: -f["expm1"](u)),
)


def _gelu_slope(total: sp.Expr) -> sp.Expr:
    """c*normal_cdf(u) + c*u*normal_pdf(u) -> c*gelu_prime(u), whatever else is in the sum."""
    terms = list(total.args)
    for term in total.args:
        scale, body = term.as_coeff_Mul()
        if not isinstance(body, f["normal_cdf"]):
            continue
        u = body.args[0]
        partner = scale * u * f["normal_pdf"](u)
        if partner in terms:
            terms.remove(term)
            terms.remove(partner)
            return sp.Add(*terms, scale * gelu_prime(u))
    return total


def _sigmoid_pair(product: sp.Expr) -> sp.Expr:
    """sigmoid(u)**m * sigmoid(-u)**n -> sigmoid_prime(u)**min(m, n) times the rest."""
    powers = product.as_powers_dict()
    for base in list(powers):
        if not isinstance(base, f["sigmoid"]):
            continue
        mirror = f["sigmoid"](-base.args[0])
        if mirror in powers and powers[base].is_positive and powers[mirror].is_positive:
            count = sp.Min(powers[base], powers[mirror])
            powers[base] -= count
            powers[mirror] -= count
            argument = base.args[0]
            if argument.could_extract_minus_sign():
                argument = -argument
            powers[sigmoid_prime(argument)] = count
            return sp.Mul(*(b**e for b, e in powers.items()))
    return product


def _hazard(product: sp.Expr) -> sp.Expr:
    """normal_pdf(u)/normal_cdf(u) -> normal_hazard(u)."""
    for factor in product.args:
        if isinstance(factor, f["normal_pdf"]):
            divisor = 1 / f["normal_cdf"](factor.args[0])
            if divisor in product.args:
                rest = [arg for arg in product.args if arg not in (factor, divisor)]
                return sp.Mul(*rest, normal_hazard(factor.args[0]))
    return product


def _density(product: sp.Expr) -> sp.Expr:
    """c*exp_square(x, -1/2) with c a multiple of 1/sqrt(2 pi) -> normal_pdf(x)."""
    for factor in product.args:
        if isinstance(factor, exp_square) and factor.args[1] == -sp.S.Half:
            constants = [arg for arg in product.args if arg.is_number]
            ratio = sp.Mul(*constants) * sp.sqrt(2 * sp.pi)
            if ratio.is_Rational:
                rest = [arg for arg in product.args if not arg.is_number and arg != factor]
                return sp.Mul(ratio, *rest, f["normal_pdf"](factor.args[0]))
    return product


def _square_exponent(call: sp.Expr) -> sp.Expr:
    """exp(s*u**2) -> exp_square(u, s) where s is -1, -1/2, -2, ... (a power of two)."""
    scale, body = call.args[0].as_coeff_Mul()
    if (
        isinstance(body, sp.Pow)
        and body.exp == 2
        and scale.is_negative
        and _is_power_of_two(-scale)
    ):
        return exp_square(body.base, scale)
    return call


def _is_power_of_two(number: sp.Expr) -> bool:
    if not number.is_Rational:
        return False
    return all(n & (n - 1) == 0 for n in (int(number.p), int(number.q)))


def _log_of_sum(call: sp.Expr) -> sp.Expr:
    """log(1 + u) -> log1p(u); log(1 + exp(u)) -> softplus(u); log(cosh(u)) -> log_cosh(u)."""
    argument = call.args[0]
    if isinstance(argument, sp.cosh):
        return f["log_cosh"](argument.args[0])
    if isinstance(argument, f["sigmoid"]):
        return f["log_sigmoid"](argument.args[0])
    if isinstance(argument, f["normal_cdf"]):
        return f["log_normal_cdf"](argument.args[0])
    constant, rest = argument.as_coeff_Add()
    if constant == 1 and rest != 0:
        return f["softplus"](rest.args[0]) if isinstance(rest, sp.exp) else f["log1p"](rest)
    return call


def _inverse_sum(power: sp.Expr) -> sp.Expr:
    """(1 + exp(u))**-n -> sigmoid(-u)**n."""
    if not (power.exp.is_Integer and power.exp.is_negative and isinstance(power.base, sp.Add)):
        return power
    constant, rest = power.base.as_coeff_Add()
    if constant == 1 and isinstance(rest, sp.exp):
        return f["sigmoid"](-rest.args[0]) ** -power.exp
    return power


def _exponential_times_sigmoid(product: sp.Expr) -> sp.Expr:
    """exp(u)*sigmoid(-u) -> sigmoid(u): the numerator that would overflow goes away."""
    powers = product.as_powers_dict()
    for base in list(powers):
        if not isinstance(base, f["sigmoid"]):
            continue
        numerator = sp.exp(-base.args[0])
        if numerator in product.args and powers[base].is_positive:
            rest = [arg for arg in product.args if arg != numerator]
            return sp.Mul(*rest, 1 / base, f["sigmoid"](-base.args[0]))
    return product


def _hyperbolic_tangent(product: sp.Expr) -> sp.Expr:
    """sinh(u)/cosh(u) -> tanh(u)."""
    for factor in product.args:
        if isinstance(factor, sp.sinh):
            divisor = 1 / sp.cosh(factor.args[0])
            if divisor in product.args:
                rest = [arg for arg in product.args if arg not in (factor, divisor)]
                return sp.Mul(*rest, sp.tanh(factor.args[0]))
    return product


#: Kind of node -> rules, in the order they are tried.
RULES: tuple[tuple[type | tuple[type, ...], tuple[Rule, ...]], ...] = (
    (sp.Add, (_complement, _gelu_slope)),
    (sp.Mul, (_exponential_times_sigmoid, _sigmoid_pair, _hazard, _density, _hyperbolic_tangent)),
    (sp.Pow, (_inverse_sum,)),
    (sp.log, (_log_of_sum,)),
    (sp.exp, (_square_exponent,)),
)

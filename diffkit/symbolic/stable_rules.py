"""The table of stable rewriting rules: each takes a node and returns its better form, or None."""

from collections.abc import Callable, Mapping

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.symbolic.vocabulary import FUNCTIONS

Domains = Mapping[str, Domain]
Rule = Callable[[sp.Expr], sp.Expr | None]

sigmoid, softplus, log_sigmoid = (FUNCTIONS[n] for n in ("sigmoid", "softplus", "log_sigmoid"))
expm1, log1p, logaddexp = (FUNCTIONS[n] for n in ("expm1", "log1p", "logaddexp"))
normal_cdf, normal_pdf = FUNCTIONS["normal_cdf"], FUNCTIONS["normal_pdf"]
log1mexp, log_cosh = FUNCTIONS["log1mexp"], FUNCTIONS["log_cosh"]
ROOT_TWO = sp.sqrt(2)


def _pairs_with_one(
    direction: int, found: type[sp.Function], form: Callable, power: int = 1
) -> Rule:
    """Rule c + direction * c * f(u)^power -> c * form(u), for one pair of terms of a sum."""

    def rule(node: sp.Expr) -> sp.Expr | None:
        terms = list(node.args)
        for term in terms:
            for factor in sp.Mul.make_args(term):
                base, exponent = factor.as_base_exp() if power != 1 else (factor, sp.Integer(1))
                if not isinstance(base, found) or exponent != power:
                    continue
                partner = direction * term / factor
                if partner in terms:
                    rest = [t for t in terms if t not in (term, partner)]
                    return sp.Add(*rest, partner * form(base.args[0]))
        return None

    return rule


def _difference_of_squares(node: sp.Expr) -> sp.Expr | None:
    if len(node.args) != 2:
        return None
    first, second = (_square_root(term) for term in node.args)
    if first is None or second is None or first[0] == second[0]:
        return None
    (a, b) = (first[1], second[1]) if first[0] > 0 else (second[1], first[1])
    return (a - b) * (a + b)


def _square_root(term: sp.Expr) -> tuple[int, sp.Expr] | None:
    """(sign, r) with term = sign * r^2 and r free of radicals."""
    coefficient, rest = term.as_coeff_Mul()
    root = sp.sqrt(abs(coefficient))
    if not root.is_Rational:
        return None
    parts = [root]
    for factor in sp.Mul.make_args(rest):
        base, exponent = factor.as_base_exp()
        if factor is sp.S.One:
            continue
        if not exponent.is_Integer or exponent % 2 or exponent < 0:
            return None
        parts.append(base ** (exponent / 2))
    return (1 if coefficient > 0 else -1), sp.Mul(*parts)


def _difference_of_roots(node: sp.Expr) -> sp.Expr | None:
    if len(node.args) != 2:
        return None
    (c, a), (d, b) = (_under_root(term) for term in node.args)
    if a is None or b is None or c != -d:
        return None
    difference = sp.expand(a - b)
    if not difference.is_number and difference.count_ops() >= (a + b).count_ops():
        return None
    return c * difference / (sp.sqrt(a) + sp.sqrt(b))


def _under_root(term: sp.Expr) -> tuple[sp.Expr, sp.Expr | None]:
    """(c, a) with term = c * sqrt(a)."""
    for factor in sp.Mul.make_args(term):
        if factor.is_Pow and factor.exp == sp.S.Half and factor.base.free_symbols:
            return term / factor, factor.base
    return term, None


SUMS: tuple[tuple[str, Rule], ...] = (
    ("complement of sigmoid", _pairs_with_one(-1, sigmoid, lambda u: sigmoid(-u))),
    ("complement of normal_cdf", _pairs_with_one(-1, normal_cdf, lambda u: normal_cdf(-u))),
    (
        "1 - tanh^2",
        _pairs_with_one(-1, sp.tanh, lambda u: 4 * sigmoid(2 * u) * sigmoid(-2 * u), 2),
    ),
    ("expm1", _pairs_with_one(-1, sp.exp, lambda u: -expm1(u))),
    ("1 - cos", _pairs_with_one(-1, sp.cos, lambda u: 2 * sp.sin(u / 2) ** 2)),
    ("normal_cdf", _pairs_with_one(1, sp.erf, lambda u: 2 * normal_cdf(ROOT_TWO * u))),
    ("normal_cdf", _pairs_with_one(-1, sp.erf, lambda u: 2 * normal_cdf(-ROOT_TWO * u))),
    ("difference of roots", _difference_of_roots),
    ("difference of squares", _difference_of_squares),
)


def _log_of_function(found: type[sp.Function], form: Callable) -> Rule:
    def rule(node: sp.Expr) -> sp.Expr | None:
        return form(node.args[0].args[0]) if isinstance(node.args[0], found) else None

    return rule


def _log_of_negative_expm1(node: sp.Expr) -> sp.Expr | None:
    inner = -node.args[0]
    return log1mexp(-inner.args[0]) if isinstance(inner, expm1) else None


def _log_of_exponentials(node: sp.Expr) -> sp.Expr | None:
    """log(e^a + e^b + ...) and log(1 + e^a): softplus, or logaddexp from left to right."""
    terms = sp.Add.make_args(node.args[0])
    exponents = [_exponent(term) for term in terms]
    if len(terms) < 2 or None in exponents:
        return None
    exponents.sort(key=sp.default_sort_key)
    if len(exponents) == 2 and 0 in exponents:
        (other,) = (e for e in exponents if e != 0)
        return softplus(other)
    total = exponents[0]
    for exponent in exponents[1:]:
        total = logaddexp(total, exponent)
    return total


def _exponent(term: sp.Expr) -> sp.Expr | None:
    """Return u with term = exp(u); a positive number c is exp(log c), 1 is exp(0)."""
    coefficient, rest = term.as_coeff_Mul()
    if not coefficient.is_positive or not (rest == 1 or isinstance(rest, sp.exp)):
        return None
    return sp.log(coefficient) + (0 if rest == 1 else rest.args[0])


def _log_of_one_plus(node: sp.Expr) -> sp.Expr | None:
    inner = node.args[0]
    if not inner.is_Add or sp.S.One not in inner.args:
        return None
    rest = inner - 1
    return log1p(rest) if rest.free_symbols else None


LOGARITHMS: tuple[tuple[str, Rule], ...] = (
    ("log_sigmoid", _log_of_function(sigmoid, lambda u: log_sigmoid(u))),
    ("log_cosh", _log_of_function(sp.cosh, lambda u: log_cosh(u))),
    ("log_normal_cdf", _log_of_function(normal_cdf, lambda u: FUNCTIONS["log_normal_cdf"](u))),
    ("log1mexp", _log_of_negative_expm1),
    ("log1mexp", _log_of_function(expm1, lambda u: u + log1mexp(u))),
    ("softplus", lambda node: _only(softplus, _log_of_exponentials(node))),
    ("logaddexp", lambda node: _only(logaddexp, _log_of_exponentials(node))),
    ("log1p", _log_of_one_plus),
)


def _only(found: type[sp.Function], result: sp.Expr | None) -> sp.Expr | None:
    return result if isinstance(result, found) else None


def _over_argument(found: type[sp.Function], quotient: type[sp.Function]) -> Rule:
    """Rule f(u)/u -> quotient(u)."""

    def rule(node: sp.Expr) -> sp.Expr | None:
        factors = sp.Mul.make_args(node)
        for factor in factors:
            if not isinstance(factor, found):
                continue
            number, core = factor.args[0].as_coeff_Mul()
            needed = [1 / part for part in sp.Mul.make_args(core)]
            if core == 1 or not all(part in factors for part in needed):
                continue
            rest = [part for part in factors if part != factor and part not in needed]
            return sp.Mul(*rest, number * quotient(factor.args[0]))
        return None

    return rule


def _normal_density(node: sp.Expr) -> sp.Expr | None:
    """exp(-u^2/2) beside 1/sqrt(pi) -> sqrt(2 pi) normal_pdf(u)."""
    factors = sp.Mul.make_args(node)
    if 1 / sp.sqrt(sp.pi) not in factors:
        return None
    for factor in factors:
        if isinstance(factor, sp.exp):
            root = _square_root(-2 * factor.args[0])
            if root is not None and root[0] > 0:
                return node / factor * sp.sqrt(2 * sp.pi) * normal_pdf(root[1])
    return None


PRODUCTS: tuple[tuple[str, Rule], ...] = (
    ("sinc", _over_argument(sp.sin, FUNCTIONS["sinc"])),
    ("expm1_over", _over_argument(expm1, FUNCTIONS["expm1_over"])),
    ("log1p_over", _over_argument(log1p, FUNCTIONS["log1p_over"])),
    ("normal_pdf", _normal_density),
)


def zero_safe_product(node: sp.Expr, domains: Domains) -> sp.Expr | None:
    """x*log(y) -> xlogy(x, y) where the domain of the symbol x is closed at 0."""
    if not node.is_Mul:
        return None
    rows = ((sp.log, FUNCTIONS["xlogy"]), (log1p, FUNCTIONS["xlog1py"]))
    for factor in node.args:
        for found, safe in rows:
            if not isinstance(factor, found):
                continue
            for symbol in node.args:
                if symbol.is_Symbol and _holds_zero(domains.get(symbol.name)):
                    return node / (factor * symbol) * safe(symbol, factor.args[0])
    return None


def _holds_zero(domain: Domain | None) -> bool:
    return domain is not None and domain.low == 0 and domain.contains(0)

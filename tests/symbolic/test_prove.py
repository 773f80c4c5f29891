"""Proofs of identities: true ones are proved, near misses never, and scopes tell the truth."""

import random

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.domain import Domain
from diffkit.symbolic.parse import parse
from diffkit.symbolic.prove import prove_equal
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, z, a, b, w, t, u, v = (symbol(name) for name in ["x", "y", "z", "a", "b", "w", "t", "u", "v"])
n = symbol("n", integer=True)
exp, log, sqrt, sin, cos, tan, tanh = sp.exp, sp.log, sp.sqrt, sp.sin, sp.cos, sp.tan, sp.tanh
sinh, cosh, erf, erfc, pi, Max, Min, Abs = (
    sp.sinh,
    sp.cosh,
    sp.erf,
    sp.erfc,
    sp.pi,
    sp.Max,
    sp.Min,
    sp.Abs,
)
R = sp.Rational
sigmoid, softplus, silu, gelu, relu, step, mish, elu, selu, huber, hard_tanh = (
    FUNCTIONS[name]
    for name in [
        "sigmoid",
        "softplus",
        "silu",
        "gelu",
        "relu",
        "step",
        "mish",
        "elu",
        "selu",
        "huber",
        "hard_tanh",
    ]
)
log1p, expm1, logaddexp, log_sigmoid, log_cosh, logit, normal_pdf, normal_cdf, cbrt, sinc = (
    FUNCTIONS[name]
    for name in (
        [
            "log1p",
            "expm1",
            "logaddexp",
            "log_sigmoid",
            "log_cosh",
            "logit",
            "normal_pdf",
            "normal_cdf",
            "cbrt",
            "sinc",
        ]
    )
)
leaky_relu, squareplus, hypot, softsign, gelu_tanh, relu6, hard_sigmoid, exp2 = (
    FUNCTIONS[name]
    for name in (
        [
            "leaky_relu",
            "squareplus",
            "hypot",
            "softsign",
            "gelu_tanh",
            "relu6",
            "hard_sigmoid",
            "exp2",
        ]
    )
)
POSITIVE, UNIT, ABOVE_ONE = (Domain.parse(text) for text in ("positive", "(0, 1)", "(1, oo)"))
XY_POSITIVE = {"x": POSITIVE, "y": POSITIVE}


def d(expr, *variables):
    return sp.diff(expr, *variables)


# left, right, domains
TRUE = [
    (softplus(x) - softplus(-x), x, {}),
    (tanh(x), 2 * sigmoid(2 * x) - 1, {}),
    (sigmoid(x), (1 + tanh(x / 2)) / 2, {}),
    (sigmoid(x) + sigmoid(-x), 1, {}),
    (sigmoid(x) * (1 - sigmoid(x)), sigmoid(x) * sigmoid(-x), {}),
    (d(1 / (1 + exp(-x)), x), sigmoid(x) * (1 - sigmoid(x)), {}),
    (d(sigmoid(x), x, 2), sigmoid(x) * (1 - sigmoid(x)) * (1 - 2 * sigmoid(x)), {}),
    (d(softplus(x), x), 1 / (1 + exp(-x)), {}),
    (d(log(cosh(x)), x), tanh(x), {}),
    (d(tanh(x), x), 4 * exp(2 * x) / (1 + exp(2 * x)) ** 2, {}),
    (log_sigmoid(x), x - softplus(x), {}),
    (log(1 - sigmoid(x)), -softplus(x), {}),
    (log(sigmoid(x) / (1 - sigmoid(x))), x, {}),
    (logit(x), log(x) - log(1 - x), {"x": UNIT}),
    (sigmoid(logit(x)), x, {"x": UNIT}),
    (logaddexp(x, y), x + log1p(exp(y - x)), {}),
    (logaddexp(x, y) - logaddexp(-x, -y), x + y, {}),
    (silu(x) - silu(-x), x, {}),
    (silu(x) + silu(-x), x * tanh(x / 2), {}),
    (d(silu(x), x), sigmoid(x) * (1 + x * (1 - sigmoid(x))), {}),
    (gelu(x) - gelu(-x), x, {}),
    (d(gelu(x), x), normal_cdf(x) + x * exp(-(x**2) / 2) / sqrt(2 * pi), {}),
    (d(gelu(x), x), erfc(-x / sqrt(2)) / 2 + x * normal_pdf(x), {}),
    (normal_cdf(x) + normal_cdf(-x), 1, {}),
    (mish(x), x * (exp(2 * x) + 2 * exp(x)) / (exp(2 * x) + 2 * exp(x) + 2), {}),
    (gelu_tanh(x) - gelu_tanh(-x), x, {}),
    (log_cosh(x), softplus(2 * x) - x - log(2), {}),
    (exp(a) / (exp(a) + exp(b)), sigmoid(a - b), {}),
    (-(y * log(sigmoid(x)) + (1 - y) * log(1 - sigmoid(x))), softplus(x) - x * y, {}),
    (
        d(-(y * log(sigmoid(w * x)) + (1 - y) * log(1 - sigmoid(w * x))), w),
        (sigmoid(w * x) - y) * x,
        {},
    ),
    (sigmoid(w * (x + b / w)), sigmoid(w * x + b), {}),
    (squareplus(x) * squareplus(-x), 1, {}),
    (exp2(x) * exp2(y), exp((x + y) * log(2)), {}),
    (sin(x) ** 2 + cos(x) ** 2, 1, {}),
    (sin(x + y), sin(x) * cos(y) + cos(x) * sin(y), {}),
    (cos(3 * x), 4 * cos(x) ** 3 - 3 * cos(x), {}),
    (tan(x / 2), sin(x) / (1 + cos(x)), {}),
    (1 + tan(x) ** 2, 1 / cos(x) ** 2, {}),
    (cos(x + pi / 3), cos(x) / 2 - sqrt(3) * sin(x) / 2, {}),
    (sin(sp.asin(x)), x, {"x": UNIT}),
    (sp.acos(x) + sp.asin(x), pi / 2, {"x": UNIT}),
    (cos(sp.atan(x)), 1 / sqrt(1 + x**2), {}),
    (tan(2 * sp.atan(x)), 2 * x / (1 - x**2), {}),
    (cosh(x) ** 2 - sinh(x) ** 2, 1, {}),
    (exp(sp.asinh(x)), x + sqrt(1 + x**2), {}),
    (sp.acosh(x), log(x + sqrt(x**2 - 1)), {"x": ABOVE_ONE}),
    (tanh(sp.atanh(x)), x, {"x": Domain.parse("(-1, 1)")}),
    (log(x * y), log(x) + log(y), XY_POSITIVE),
    (log(x**2), 2 * log(Abs(x)), {}),
    (log(8) / log(2), 3, {}),
    (x**y * x**z, x ** (y + z), {}),
    (sqrt(x) * sqrt(y), sqrt(x * y), XY_POSITIVE),
    (sqrt(x**2), x, {"x": POSITIVE}),
    (sqrt(x**2 + 2 * x + 1), Abs(x + 1), {}),
    ((3 * x**2 - x + 1) ** R(1, 3) ** 1, ((3 * x**2 - x + 1) ** 2) ** R(1, 6), {}),
    (1 / (sqrt(x) + 1), (sqrt(x) - 1) / (x - 1), {}),
    (sqrt(3 + 2 * sqrt(2)) ** 2, 3 + sqrt(8), {}),
    (cbrt(x) ** 3, x, {}),
    (sp.LambertW(x) * exp(sp.LambertW(x)), x, {"x": POSITIVE}),
    (relu(x) - relu(-x), x, {}),
    (relu(x), (x + Abs(x)) / 2, {}),
    (Max(x, y) + Min(x, y), x + y, {}),
    (Max(x, Max(y, z)), Max(Max(x, y), z), {}),
    (Abs(x), x * sp.sign(x), {}),
    (relu6(x + 3) / 6, hard_sigmoid(x), {}),
    (hard_tanh(x), relu(x + 1) - relu(x - 1) - 1, {}),
    (leaky_relu(x), Max(x, x / 100), {}),
    (elu(x), relu(x) + Min(0, exp(x) - 1), {}),
    (d(relu(x) ** 2, x), 2 * relu(x), {}),
    (softsign(x) ** 2, x**2 / (1 + Abs(x)) ** 2, {}),
    (hypot(x, y) ** 2, x**2 + y**2, {}),
    (sp.gamma(x + 3), x * (x + 1) * (x + 2) * sp.gamma(x), {}),
    (sp.Sum(x**n, (n, 0, sp.oo)), 1 / (1 - x), {"x": UNIT}),
    (sp.Sum(n, (n, 1, 100)), 5050, {}),
    (sp.Integral(exp(-(x**2) / 2) / sqrt(2 * pi), (x, -sp.oo, sp.oo)), 1, {}),
    ((x**3 - 1) / (x - 1), x**2 + x + 1, {}),
    (1 / (x * (x + 1)), 1 / x - 1 / (x + 1), {}),
]

FALSE = [
    (softplus(x) - softplus(-x), -x, {}),
    (tanh(x), 2 * sigmoid(x) - 1, {}),
    (sigmoid(x), (1 + tanh(x)) / 2, {}),
    (d(sigmoid(x), x), sigmoid(x) ** 2, {}),
    (d(sigmoid(x), x), sigmoid(x) * (1 + sigmoid(x)), {}),
    (d(sigmoid(x), x, 2), sigmoid(x) * (1 - sigmoid(x)) * (2 * sigmoid(x) - 1), {}),
    (d(softplus(x), x), sigmoid(-x), {}),
    (d(tanh(x), x), 1 - tanh(x), {}),
    (log_sigmoid(x), -softplus(x), {}),
    (logaddexp(x, y), log(exp(x) + exp(2 * y)), {}),
    (logaddexp(x, y), Max(x, y), {}),
    (silu(x), gelu(x), {}),
    (gelu(x), gelu_tanh(x), {}),
    (gelu(x), x * sigmoid(R(1702, 1000) * x), {}),
    (d(silu(x), x), sigmoid(x) * (1 + x * sigmoid(x)), {}),
    (d(gelu(x), x), normal_cdf(x), {}),
    (d(gelu(x), x), normal_cdf(x) + x * exp(-(x**2)) / sqrt(2 * pi), {}),
    (normal_pdf(x), exp(-(x**2) / 2) / sqrt(pi), {}),
    (mish(x), x * tanh(x), {}),
    (log_cosh(x), Abs(x) - log(2), {}),
    (exp(a) / (exp(a) + exp(b)), sigmoid(b - a), {}),
    (
        d(-(y * log(sigmoid(w * x)) + (1 - y) * log(1 - sigmoid(w * x))), w),
        y * (1 - sigmoid(w * x)) * x + (1 - y) * sigmoid(w * x) * x,
        {},
    ),
    (sigmoid(w * x + b), sigmoid(w * x) + b, {}),
    (squareplus(x), x + sqrt(x**2 + 4), {}),
    (sin(x) ** 2 + cos(x) ** 2, 1 + sin(x), {}),
    (sin(x + y), sin(x) * cos(y) - cos(x) * sin(y), {}),
    (cos(3 * x), 4 * cos(x) ** 3 + 3 * cos(x), {}),
    (tan(x / 2), sin(x) / (1 - cos(x)), {}),
    (sin(2 * x), 2 * sin(x), {}),
    (sp.asin(sin(x)), x, {}),
    (sp.atan(tan(x)), x, {}),
    (cosh(x) ** 2 + sinh(x) ** 2, 1, {}),
    (log(x * y), log(x) * log(y), XY_POSITIVE),
    (log(x * y), log(x) + log(y), {}),
    (log(x + y), log(x) + log(y), XY_POSITIVE),
    (log(x**2), 2 * log(x), {}),
    (log(x**2), log(x) ** 2, {"x": POSITIVE}),
    (exp(x + y), exp(x) + exp(y), {}),
    (exp(x * y), exp(x) ** 2 * y, {}),
    ((x + y) ** 2, x**2 + y**2, {}),
    (sqrt(x**2), x, {}),
    (sqrt(x**2), -x, {}),
    (sqrt(x**2 + y**2), x + y, {}),
    (sqrt(x) * sqrt(y), sqrt(x * y), {}),
    (sqrt(x) * sqrt(x + 1), sqrt(x * (x + 1)), {}),
    (cbrt(x) ** 2, x, {}),
    (Abs(x), x, {}),
    (Abs(x + y), Abs(x) + Abs(y), {}),
    (relu(x), x, {}),
    (relu(x), (x - Abs(x)) / 2, {}),
    (Max(x, y) - Min(x, y), x - y, {}),
    (leaky_relu(x), Max(x, x / 10), {}),
    (elu(x), selu(x), {}),
    (huber(x), x**2 / 2, {}),
    (hard_tanh(x), tanh(x), {}),
    (d(relu(x) ** 2, x), relu(x), {}),
    (step(x), step(x - 1), {}),
    (sp.floor(x), x, {}),
    (sp.gamma(x + 1), (x + 1) * sp.gamma(x), {}),
    (sp.LambertW(x) * exp(sp.LambertW(x)), x**2, {}),
    (sp.Sum(1, (n, 0, 10)) / 10, 1, {}),
    (sp.Sum(x**n, (n, 0, sp.oo)), 1 / (1 - x), {}),
    (sp.Integral(exp(-(x**2)), (x, -sp.oo, sp.oo)), 1, {}),
    (1 / (1 + exp(-x)), 1 / (1 + exp(-x)) + R(1, 10**12), {}),
    (pi, R(355, 113), {}),
    (exp(pi * sqrt(163)), 262537412640768744, {}),
    (2 / Abs(x), 2 / x, {}),
    ((-1) ** n, 1, {}),
    (x + relu(x - 1000), x, {}),
    (Abs(x + 10**6), x + 10**6, {}),
    (step(x - 10**6) * y, 0, {}),
    (Max(x, -(10**6)), x, {}),
]


@pytest.mark.parametrize(("left", "right", "domains"), TRUE, ids=lambda value: str(value)[:40])
def test_a_true_identity_is_proved(left, right, domains):
    proof = prove_equal(left, sp.sympify(right), domains)
    assert proof.status == "equal", proof
    assert proof.error_probability == 0


@pytest.mark.parametrize(("left", "right", "domains"), FALSE, ids=lambda value: str(value)[:40])
def test_a_near_miss_is_never_proved(left, right, domains):
    proof = prove_equal(left, sp.sympify(right), domains)
    assert proof.status in ("different", "unknown")
    if proof.status == "different":
        assert proof.witness is not None


def test_both_lists_hold_at_least_sixty_rows():
    assert min(len(TRUE), len(FALSE)) >= 60


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (log(x * y), log(x) + log(y)),
        (log(x**2), 2 * log(x)),
        (sqrt(x) * sqrt(x + 1), sqrt(x * (x + 1))),
    ],
    ids=str,
)
def test_sides_that_are_real_on_different_sets_are_neither_equal_nor_different(left, right):
    proof = prove_equal(left, right)
    assert proof.status == "unknown"
    assert "only one side" in proof.scope


def test_an_expression_that_bounds_the_domain_makes_them_equal():
    left, right = sqrt(x) * sqrt(x + 1), sqrt(x * (x + 1))
    assert prove_equal(left, right, within=log(x)).status == "equal"
    assert prove_equal(log(x**2), 2 * log(x), within=sqrt(x)).status == "equal"


def test_the_scope_names_poles_kinks_and_conditions():
    assert "x = 1" in prove_equal((x**2 - 1) / (x - 1), x + 1).scope
    assert "except at x = 0" in prove_equal(step(x) + step(-x), sp.Integer(1)).scope
    assert "at x = 0 too" in prove_equal(sinc(x) * x, sin(x)).scope
    assert "by continuity" in prove_equal(relu(x) - relu(-x), x).scope
    assert "x > 0" in prove_equal(log(x) + y, log(2 * x) - log(2) + y).scope


def test_a_witness_separates_the_sides_when_it_is_inserted():
    proof = prove_equal(sp.cos(x) * y, sp.cos(x) * y + x / 1000)
    point = {
        s: sp.Rational(q.numerator, q.denominator)
        for s, q in zip((x, y), proof.witness.values(), strict=False)
    }
    assert (x / 1000).subs(point) != 0


def test_a_difference_far_from_every_ordinary_point_is_found_in_its_cell():
    proof = prove_equal(x + relu(x - 1000), x)
    assert proof.status == "different"
    assert proof.witness["x"] > 1000


def test_an_exponential_too_big_to_evaluate_is_no_difference_of_domains():
    assert prove_equal(tanh(exp(x**2)), 1 - 2 / (exp(2 * exp(x**2)) + 1)).status == "equal"


def test_a_product_too_big_to_expand_is_decided_by_identity_testing():
    # The determinant of Vandermonde's matrix has 8! terms when written out.
    names = [symbol(f"x{i}") for i in range(8)]
    factors = [names[j] - names[i] for j in range(8) for i in range(j)]
    left = sp.Mul(*factors) * (1 + sum(sigmoid(s) for s in names)) + sp.prod([s + 1 for s in names])
    right = sp.prod([s + 1 for s in names]) + sp.Mul(*[-f for f in factors]) * (
        9 - sum(sigmoid(-s) for s in names)
    )
    proof = prove_equal(left, right)
    assert proof.status == "equal"
    assert "identity testing" in proof.method
    assert 0 < proof.error_probability < 1e-12
    assert prove_equal(left, right + names[0] * R(1, 10**40)).status != "equal"


def _random_expression(chooser: random.Random, depth: int) -> sp.Expr:
    if depth == 0:
        return chooser.choice((x, y, x - y, 2 * x, sp.Integer(1), R(1, 2)))
    inner = _random_expression(chooser, depth - 1)
    other = _random_expression(chooser, depth - 1)
    return chooser.choice(
        (
            inner + other,
            inner * other,
            inner - other,
            exp(inner / 4),
            sigmoid(inner),
            tanh(inner),
            sin(inner),
            softplus(inner),
            inner**2,
            erf(inner),
            sqrt(1 + inner**2),
            Abs(inner),
        )
    )


#: Valid rewritings of a node, in words of school algebra; none is a rule of the library.
REWRITINGS = {
    sigmoid: lambda u: (1 + tanh(u / 2)) / 2,
    tanh: lambda u: (exp(u) - exp(-u)) / (exp(u) + exp(-u)),
    softplus: lambda u: u + log(1 + exp(-u)),
    sin: lambda u: 2 * sin(u / 2) * cos(u / 2),
    exp: lambda u: exp(u / 2) ** 2,
    erf: lambda u: 1 - erfc(u),
    Abs: lambda u: Max(u, -u),
}


def _rewritten(expr: sp.Expr) -> sp.Expr:
    for kind, form in REWRITINGS.items():
        expr = expr.replace(kind, form)
    return sp.expand(expr, deep=False)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_an_expression_equals_itself_rewritten_and_never_itself_disturbed(seed):
    chooser = random.Random(seed)
    expr = _random_expression(chooser, 2)
    other = _rewritten(expr)
    assert prove_equal(expr, other).status == "equal"
    disturbance = chooser.choice((R(1, 10**9), x * R(1, 10**9), sin(y) * R(1, 10**9)))
    assert prove_equal(expr, other + disturbance).status != "equal"


def test_a_sign_of_what_vanishes_at_a_kink_is_zero_there():
    """At g3 = -b*(b*g1 + g2) the last sign is that of 0 in two guises."""
    inner = "b*g1 + g2"
    one = parse(f"sign((1 - b)*({inner})) + sign(b*((1 - b)*({inner})) + (1 - b)*g3)")
    two = parse(f"sign({inner}) + sign(b*({inner}) + g3)")
    domains = {"b": Domain.parse("(0, 1)")}
    proof = prove_equal(one, two, domains)
    assert proof.status == "equal"
    assert "too" in proof.scope
    other = parse(f"sign({inner}) - sign(b*({inner}) + g3)")
    assert prove_equal(one, other, domains).status == "different"

"""Relations: true ones are proved, false ones refuted by a point that can be checked by hand."""

import random
from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.symbolic.inequalities import prove_relation
from diffkit.symbolic.signs import Range, range_of
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, t, g, v, a, b = (symbol(name) for name in ["x", "y", "t", "g", "v", "a", "b"])
exp, log, sqrt, sin, cos, Abs, Max, Min = (
    sp.exp, sp.log, sp.sqrt, sp.sin, sp.cos, sp.Abs, sp.Max, sp.Min
)  # fmt: skip
sigmoid, softplus, silu, gelu, huber, log_cosh, softsign, step = (
    FUNCTIONS[name]
    for name in ["sigmoid", "softplus", "silu", "gelu", "huber", "log_cosh", "softsign", "step"]
)
POSITIVE = Domain.parse("positive")
UNIT = Domain.parse("(0, 1)")
SQUARED = (y - sigmoid(t * x)) ** 2 / 2
ENTROPY = -(y * log(sigmoid(t * x)) + (1 - y) * log(1 - sigmoid(t * x)))

TRUE = [
    (sp.And(sigmoid(x) * (1 - sigmoid(x)) > 0, sigmoid(x) * (1 - sigmoid(x)) < 1), {}),
    (sigmoid(x) * (1 - sigmoid(x)) <= sp.Rational(1, 4), {}),
    (sp.And(1 / (1 + exp(-x)) > 0, 1 / (1 + exp(-x)) < 1), {}),
    (exp(-x) / (1 + exp(-x)) ** 2 < exp(-Abs(x)), {}),
    (sp.Derivative(ENTROPY, (t, 2)) >= 0, {}),
    (Abs(g * v) <= Abs(g) * Abs(v), {}),
    (Abs(x + y) <= Abs(x) + Abs(y), {}),
    (Max(x, y) >= Min(x, y), {}),
    (x**2 + y**2 >= 2 * x * y, {}),
    (x**2 + x * y + y**2 >= 0, {}),
    (x**4 - x + 1 > 0, {}),
    ((a**2 + b**2) * (x**2 + y**2) >= (a * x + b * y) ** 2, {}),
    (sqrt(x * y) <= (x + y) / 2, {"x": POSITIVE, "y": POSITIVE}),
    (exp(x) >= 1 + x, {}),
    (log(x) <= x - 1, {"x": POSITIVE}),
    (log(1 + x) <= x, {"x": Domain.parse("(-1, oo)")}),
    (sp.tanh(x) <= x, {"x": POSITIVE}),
    (sin(x) <= x, {"x": Domain.parse("nonnegative")}),
    (sin(x) < sp.Rational(9, 10), {"x": Domain.parse("[0, 1]")}),
    (softplus(x) > Max(x, 0), {}),
    (softplus(x) <= Max(x, 0) + log(2), {}),
    (huber(x) <= x**2 / 2, {}),
    (gelu(x) >= -sp.Rational(1, 5), {}),
    (1 - sp.tanh(x) ** 2 <= 1, {}),
    (sp.cosh(x) >= 1, {}),
    (sp.Ne(exp(x), 0), {}),
    (sp.Ne(exp(x) + x**2, 0), {}),
    (x * (1 - x) <= sp.Rational(1, 4), {"x": UNIT}),
    (-x * log(x) > 0, {"x": UNIT}),
    (sp.Eq((x + 1) ** 2, x**2 + 2 * x + 1), {}),
    (log_cosh(x) <= x**2 / 2, {}),
]

FALSE = [
    (sp.Derivative(SQUARED, (t, 2)) >= 0, {}),
    (log(a) / log(1 - x) < log(a) / log(1 - y), {"a": UNIT, "x": UNIT, "y": UNIT}),
    (Abs(x - y) < t, {}),
    (x**2 > x, {}),
    (Abs(x) > 0, {}),
    (sp.Ne(x, 1), {}),
    (sigmoid(x) * (1 - sigmoid(x)) < sp.Rational(1, 4), {}),
    (sigmoid(x) < sigmoid(y), {}),
    (exp(x) > 1 + x, {}),
    (sin(x) <= x, {}),
    (Abs(x + y) >= Abs(x) + Abs(y), {}),
    (x**2 + 3 * x * y + y**2 >= 0, {}),
    (silu(x) >= 0, {}),
    (gelu(x) >= -sp.Rational(1, 10), {}),
    (softplus(x) <= Max(x, 0) + sp.Rational(69, 100), {}),
    (sp.Eq(x**2, x), {}),
]


@pytest.mark.parametrize(("relation", "domains"), TRUE, ids=lambda value: str(value)[:50])
def test_a_true_relation_is_proved(relation, domains):
    proof = prove_relation(relation, domains)
    assert proof.status == "true", proof


@pytest.mark.parametrize(("relation", "domains"), FALSE, ids=lambda value: str(value)[:50])
def test_a_false_relation_has_a_witness_that_breaks_it(relation, domains):
    proof = prove_relation(relation, domains)
    assert proof.status == "false", proof
    witness = proof.witness.items()
    point = {symbol(name): sp.Rational(q.numerator, q.denominator) for name, q in witness}
    broken = relation.doit().subs(point)
    assert broken in (sp.false,) or not bool(broken.evalf(30)), broken
    assert all(domains[name].contains(q) for name, q in witness if name in domains)


@pytest.mark.parametrize(("relation", "domains"), TRUE, ids=lambda value: str(value)[:50])
def test_the_reverse_of_a_strict_truth_is_never_proved(relation, domains):
    if isinstance(relation, sp.StrictGreaterThan | sp.StrictLessThan):
        assert prove_relation(relation.reversedsign.reversed.negated, domains).status != "unknown"
        assert prove_relation(relation.negated, domains).status == "false"


CONVEX = [
    softplus(t * x),
    softplus(t * x) - y * t * x,
    log_cosh(t - y),
    -log(sigmoid(t * x)),
    exp(t * x),
    t**4,
    t**2 + x * t,
    sqrt(1 + t**2),
    log(exp(t * x) + exp(t * y)),
    (y - t * x) ** 2 / 2,
]
NOT_CONVEX = [sigmoid(t * x), sp.tanh(t * x), silu(t), gelu(t), SQUARED, t * sigmoid(x * t), cos(t)]


@pytest.mark.parametrize("loss", CONVEX, ids=str)
def test_a_convex_function_is_proved_convex(loss):
    assert prove_relation(sp.Derivative(loss, (t, 2)) >= 0).status == "true"


@pytest.mark.parametrize("loss", NOT_CONVEX, ids=str)
def test_a_function_that_is_not_convex_is_refuted_where_it_bends_down(loss):
    proof = prove_relation(sp.Derivative(loss, (t, 2)) >= 0)
    assert proof.status == "false"
    point = {symbol(n): sp.Rational(q.numerator, q.denominator) for n, q in proof.witness.items()}
    assert sp.diff(loss, t, 2).subs(point).evalf(30) < 0


def test_a_hard_relation_stays_unknown_instead_of_guessed():
    # True, since sqrt(2) is irrational; but the infimum -2 is approached at ever larger x.
    hard = sin(x) + sin(sqrt(2) * x) > -2
    assert prove_relation(hard).status == "unknown"
    assert prove_relation(silu(x) >= -sp.Rational(27, 100)).status == "false"


def test_a_strict_relation_is_checked_at_the_kink_itself():
    # The two steps add up to 1 off x = 0, and to 0 there.
    assert prove_relation(step(x) + step(-x) > 0).status != "true"
    assert prove_relation(Abs(x) + 1 > 0).status == "true"


def test_something_that_is_no_relation_is_refused():
    with pytest.raises(UsageError, match="no relation"):
        prove_relation(x + 1)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_a_sum_of_squares_is_never_refuted_and_its_negative_never_proved(seed):
    chooser = random.Random(seed)
    parts = (x - y, x * y - 1, sigmoid(x) - y, exp(x) - 2, x + 2 * y)
    expr = sp.expand(chooser.choice(parts) ** 2) + chooser.choice(parts) ** 2
    assert prove_relation(expr >= 0).status != "false"
    assert prove_relation(expr < 0).status == "false"


def test_ranges_hold_every_sampled_value():
    chooser = random.Random(3)
    exprs = (x**2 - x, 1 / (1 + x**2), sigmoid(x) * (1 - sigmoid(x)), Abs(x) - x**3, sqrt(1 + x**2))
    domains = {"x": Domain.parse("(-2, 3)")}
    for expr in exprs:
        found = range_of(expr, domains)
        for _ in range(20):
            at = Fraction(chooser.randint(-199, 299), 100)
            number = expr.subs(x, sp.Rational(at.numerator, at.denominator)).evalf(30)
            assert found.low <= number <= found.high


def test_open_ends_survive_arithmetic():
    unit = Range(Fraction(0), Fraction(1))
    assert (unit * unit).strict_sign == 1
    assert (unit + -unit).strict_sign is None
    assert unit.reciprocal() == Range(Fraction(1), float("inf"), True, True)
    assert range_of(x**2, {}).strict_sign is None
    assert range_of(x**2 + 1, {}).strict_sign == 1

"""Certificates: what agrees passes, what differs in the 29th digit does not."""

from fractions import Fraction

import mpmath
import pytest
import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError, DomainError, UnsupportedFunction
from diffkit.symbolic.certificate import OutsideDomain, certify, draw_points, evaluate
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, u, n = symbol("x"), symbol("y"), symbol("u"), symbol("n", integer=True)
relu = FUNCTIONS["relu"]


def test_a_true_identity_is_certified_at_three_points():
    certificate = certify(sp.sin(2 * x), 2 * sp.sin(x) * sp.cos(x))
    assert len(certificate.points) == 3
    assert certificate.error <= certificate.bound == 1e-30
    assert str(certificate).startswith("3 points, error")


@pytest.mark.parametrize("slip", [sp.Rational(1, 10**25), sp.Rational(-1, 10**29)])
def test_a_difference_in_the_thirtieth_digit_is_seen(slip):
    with pytest.raises(CertificateError, match="differ at x = "):
        certify(sp.sin(x), sp.sin(x) * (1 + slip))


def test_a_derivative_is_taken_as_a_difference_quotient():
    certify(sp.Derivative(sp.sin(x**2), (x, 3)), sp.diff(sp.sin(x**2), x, 3))
    with pytest.raises(CertificateError):
        certify(sp.Derivative(sp.sin(x**2), x), sp.cos(x**2))


def test_a_name_introduced_on_the_way_has_the_value_of_what_it_stands_for():
    certify(sp.Derivative(sp.exp(u), u), sp.exp(x**2), where={u: x**2})
    with pytest.raises(CertificateError):
        certify(sp.Derivative(sp.exp(u), u), sp.exp(x), where={u: x**2})


def test_cancellation_is_not_taken_for_a_disagreement():
    huge = sp.exp(60)
    certify((1 / (1 + huge * sp.exp(x))) * huge, huge - huge**2 / (huge + sp.exp(-x)))


def test_points_outside_the_domain_are_drawn_again():
    certify(sp.log(x) - sp.log(1 - x), sp.log(x / (1 - x)))


def test_no_point_of_definition_is_an_error_that_asks_for_a_domain():
    with pytest.raises(DomainError, match="domain="):
        certify(sp.sqrt(x - 50), sp.sqrt(x - 50))
    certify(sp.sqrt(x - 50), (x - 50) / sp.sqrt(x - 50), domains={"x": Domain.parse("(50, oo)")})


def test_points_at_a_kink_are_left_out():
    certificate = certify(sp.Derivative(relu(u), u), FUNCTIONS["step"](u), where={u: relu(x)})
    assert all(point["x"] > 0 for point in certificate.points)


def test_points_are_exact_repeatable_and_respect_assumptions():
    positive = sp.Symbol("a", positive=True)
    first, second = (list(draw_points([x, n, positive], {})) for _ in range(2))
    assert first == second
    for point in first:
        assert isinstance(point[x], Fraction)
        assert point[n].denominator == 1
        assert point[positive] > 0


@pytest.mark.parametrize("text", ["(0, 1)", "(5, oo)", "(-oo, -5)", "[2, 3]"])
def test_points_lie_in_the_domain(text):
    domain = Domain.parse(text)
    points = list(draw_points([x], {"x": domain}))
    assert all(domain.contains(point[x]) for point in points)


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        (sp.Sum(x**n, (n, 0, 3)), 15),
        (sp.Integral(x * y, (y, 0, 3)), 9),
        (sp.Piecewise((1, x < 0), (7, sp.And(x > 1, sp.Not(sp.Eq(x, 3)))), (0, True)), 7),
        (sp.Max(x, 3, x**2) + sp.Min(x, 1) + sp.floor(x / 3) + sp.sign(-x), 4),
        (sp.gamma(x + 3) + sp.zeta(2) * 6 / sp.pi**2, 25),
        (relu(-x) + relu(x), 2),
    ],
    ids=str,
)
def test_values(expr, value):
    with mpmath.mp.workdps(30):
        assert abs(evaluate(expr, {x: mpmath.mpf(2)}) - value) < mpmath.mpf(10) ** -25


@pytest.mark.parametrize("expr", [sp.log(-x), sp.sqrt(-x), 1 / (x - 2), sp.exp(sp.exp(5 * x))])
def test_what_is_not_real_and_finite_is_outside(expr):
    with pytest.raises(OutsideDomain):
        evaluate(expr, {x: mpmath.mpf(2)})


def test_a_function_without_a_value_is_named():
    with pytest.raises(UnsupportedFunction, match="f has no numeric value"):
        evaluate(sp.Function("f")(x), {x: mpmath.mpf(2)})

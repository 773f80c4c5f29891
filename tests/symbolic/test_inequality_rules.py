"""Rules for the sign of a factor: whole classes of true relations, and their near misses."""

import random

import pytest
import sympy as sp

from diffkit.core.domain import Domain
from diffkit.symbolic.inequalities import prove_relation
from diffkit.symbolic.inequality_rules import Budget, Signs
from diffkit.symbolic.parse import parse
from diffkit.symbolic.reduction import Reduction, Setting
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.tower import Tower

x, y, z = (symbol(name) for name in "xyz")
ABC = {"a": "positive", "b": "positive", "c": "positive"}
TRUE = [
    ("g1*cos(p) + g2*sin(p) <= sqrt(g1**2 + g2**2)", {}),
    ("g1*cos(p) + g2*sin(p) >= -sqrt(g1**2 + g2**2)", {}),
    ("a*x + b*y + c*z <= sqrt(a**2 + b**2 + c**2)*sqrt(x**2 + y**2 + z**2)", {}),
    ("sqrt((x + a)**2 + (y + b)**2) <= sqrt(x**2 + y**2) + sqrt(a**2 + b**2)", {}),
    ("x < sqrt(1 + x**2)", {}),
    ("sin(x)*cos(x) <= 1/2", {}),
    ("a*sin(x) + b*cos(x) <= abs(a) + abs(b)", {}),
    ("a/sqrt(b + c**2) < a/sqrt(b)", ABC),
    ("a/(sqrt(b) + c) < a/sqrt(b)", ABC),
    ("erf(x - a) < erf(x)", ABC),
    ("exp(-x - y**2) <= exp(-x)", {}),
    ("(1 - u)**n > (1 - v)**n", {"u": "(0, 1/2)", "v": "(1/2, 1)", "n": "positive integer"}),
    ("1 + n*a <= (1 + a)**n", {**ABC, "n": "positive integer"}),
    ("softplus((x + y)/2) <= (softplus(x) + softplus(y))/2", {}),
    ("logaddexp(x, y) <= Max(x, y) + log(2)", {}),
    ("x*exp(-x**2/2) <= exp(-1/2)", {}),
]
NEAR_MISSES = [
    ("g1*cos(p) + g2*sin(p) < sqrt(g1**2 + g2**2)", {}),
    ("a*x + b*y + c*z <= sqrt(a**2 + b**2 + c**2)*sqrt(x**2 + y**2 + z**2) - 1/10**9", {}),
    ("a/sqrt(b + (c - 1)**2) < a/sqrt(b)", ABC),
    ("erf(x - a) < erf(x - 1)", ABC),
    ("(1 - u)**n > (1 - v)**n", {"u": "(0, 1)", "v": "(1/2, 1)", "n": "positive integer"}),
    ("softplus((x + y)/2) < (softplus(x) + softplus(y))/2", {}),
    ("sin(x)*cos(x) <= 1/2 - 1/10**9", {}),
    ("x*exp(-x**2/2) <= exp(-1/2) - 1/10**9", {}),
    ("x**2*y**2 - 2*x*y + 1 > 0", {}),
]


def proof_of(text: str, domains: dict[str, str]):
    whole = [name for name, domain in domains.items() if "integer" in domain]
    return prove_relation(
        parse(text, integers=whole), {name: Domain.parse(d) for name, d in domains.items()}
    )


@pytest.mark.parametrize(("text", "domains"), TRUE)
def test_a_relation_of_a_known_class_is_proved(text, domains):
    proof = proof_of(text, domains)
    assert proof.status == "true", proof


@pytest.mark.parametrize(("text", "domains"), NEAR_MISSES)
def test_a_relation_that_barely_fails_is_never_proved(text, domains):
    assert proof_of(text, domains).status != "true"


@pytest.mark.parametrize("seed", range(12))
def test_quadratic_forms_are_proved_exactly_when_no_eigenvalue_is_negative(seed):
    chooser = random.Random(seed)
    root = sp.Matrix(3, 3, lambda i, j: chooser.randint(-2, 2))
    place = sp.Matrix([x, y, z])
    form = sp.expand((place.T * root.T * root * place)[0])
    assert prove_relation(form >= 0).status == "true"
    lowered = form - sp.Rational(1, 100) * (x**2 + y**2 + z**2)
    is_semidefinite = (root.T * root - sp.eye(3) / 100).is_positive_semidefinite
    assert (prove_relation(lowered >= 0).status == "true") == is_semidefinite


def test_a_square_whose_leading_coefficient_may_vanish_needs_the_sign_of_the_rest():
    # t^2 u^2 + 2 t u + 1 = (t u + 1)^2, but t u^2 - 1 is negative where t = 0.
    assert proof_of("x**2*y**2 + 2*x*y + 1 >= 0", {}).status == "true"
    assert proof_of("x*y**2 - 1 >= 0", {"x": "nonnegative"}).status == "false"


def test_without_budget_only_plain_signs_are_found():
    r = Reduction(Setting(), Tower())
    element = r(sp.expand(x**2 + x * y + y**2))
    assert Signs(r, Budget(0)).of_element(element, strict=False) is None
    assert Signs(r, Budget()).of_element(element, strict=False) == 1


def test_the_factor_of_unknown_sign_keeps_the_sign_of_the_others():
    r = Reduction(Setting({"y": Domain.parse("negative")}), Tower())
    element = r(y * (x - 1) * sp.exp(x))
    assert Signs(r, Budget()).undecided(element, strict=True) == [1 - x]
    assert Signs(r, Budget()).undecided(r(x * (x - 1)), strict=True) == []

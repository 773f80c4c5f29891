"""Derivations: the steps a person writes, each certified, the last one ending in the answer."""

import dataclasses

import pytest
import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError, DomainError, UnsupportedFunction
from diffkit.symbolic import steps as module
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.steps import derive_steps
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

x, y, w, b, u = map(symbol, "x y w b u".split())
sigmoid, relu = FUNCTIONS["sigmoid"], FUNCTIONS["relu"]
CUBE_ROOT = (3 * x**2 - x + 1) ** sp.Rational(1, 3)

TARGETS = [
    CUBE_ROOT, sp.sin(x) / x, x * sp.log(x), 1 / (1 + sp.exp(-x)), 5 * x**3, 3 * x, sp.S(7), x,
    x**x, 2**x, sp.Piecewise((x**2, x > 0), (-x, True)), sp.Max(0, 2 * x - 1) ** 2, 1 + x**2,
    1 + 3 * x**2, -sp.sin(x), FUNCTIONS["logaddexp"](2 * x, x**2), sp.Abs(x - 1), relu(w * x + b),
    sp.sqrt(x) * sp.exp(-(x**2) / 2), x**2 * sp.sin(x) * sp.exp(x), sp.tanh(sp.tanh(sp.tanh(x))),
    -(y * sp.log(sigmoid(w * x)) + (1 - y) * sp.log(1 - sigmoid(w * x))),
    sp.sin(x) ** 2 / sp.exp(x), relu(relu(x)) * y, sp.tanh(sp.exp(sp.cosh(9 * x))),
    (x + 1) / (x**2 + 1), sp.Derivative(sp.sin(x) * x, x), u * x + sp.sin(u * x),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_step_is_certified_and_the_last_one_ends_in_the_result(target):
    derivation = derive_steps(target, x)
    assert len(derivation) >= 1
    assert derivation.steps[-1].after == derivation.result
    for step in derivation:
        assert len(step.certificate.points) >= 1
        assert step.certificate.error <= step.certificate.bound <= 1e-30
    certify(sp.Derivative(target, x, evaluate=False), derivation.result)


def test_the_cube_root_reads_like_a_textbook():
    derivation = derive_steps(CUBE_ROOT, x)
    assert [(step.rule, step.level) for step in derivation] == [
        ("chain", 0),
        ("power", 1),
        ("sum", 1),
        ("constant multiple", 2),
        ("power", 2),
        ("substitution", 1),
        ("substitution", 0),
    ]
    assert derivation.result == (6 * x - 1) / (3 * (3 * x**2 - x + 1) ** sp.Rational(2, 3))
    lines = derivation.text().splitlines()
    assert lines[0].startswith("1. chain rule: let u = ")
    assert len(lines) == 2 * len(derivation) + 1


def test_the_sigmoid_shows_its_own_derivative():
    step = derive_steps(sigmoid(w * x + b), w).steps[1]
    v = step.before.args[0].args[0]
    assert step.rule == "derivative of sigmoid"
    assert step.after == sigmoid(v) * (1 - sigmoid(v))


def test_the_rewriting_into_textbook_form_is_a_step_that_names_it():
    last = derive_steps(1 / (1 + sp.exp(-x)), x).steps[-1]
    assert (last.rule, last.note) == ("rewrite", "exponentials as sigmoid or tanh")


def test_quotients_and_constants_have_their_own_rules():
    assert derive_steps((x + 1) / (x**2 + 1), x).steps[0].rule == "quotient"
    assert derive_steps(x * sp.sin(x), x).steps[0].rule == "product"
    assert derive_steps(5 * sp.sin(x), x).steps[0].rule == "constant multiple"
    assert derive_steps(sp.S(5), x).steps[0].rule == "constant"


def test_a_name_that_is_taken_is_not_used_for_the_inner_function():
    derivation = derive_steps(sp.sin(u * x**2), x)
    assert u not in derivation.steps[0].where


def test_a_repeated_part_is_differentiated_once():
    part = sp.sin(x**2)
    derivation = derive_steps(part + part**2, x)
    before = [step.before for step in derivation]
    assert before.count(sp.Derivative(part, x)) == 1


def test_higher_orders_repeat_the_derivation():
    derivation = derive_steps(sp.tanh(x), x, order=2)
    assert derivation.result == -2 * sp.tanh(x) * (1 - sp.tanh(x) ** 2)
    assert {step.round_number for step in derivation} == {1, 2}


def test_kinks_are_noted_in_the_names_of_the_target():
    assert derive_steps(relu(w * x + b), w).notes == ("away from the kink b + w*x = 0",)
    assert derive_steps(sp.floor(x) * x, x).notes == (
        "floor(x) is piecewise constant; its derivative is 0 away from the jump",
    )


def test_a_convention_reaches_the_steps():
    result = derive_steps(relu(x), x, conventions={"relu0": 1}).result
    assert result.subs(x, 0) == 1


def test_a_wrong_rule_cannot_be_written_down(monkeypatch):
    real = module.Differentiator.local

    def forgets_a_sign(self, node):
        return -real(self, node) if isinstance(node, sp.cos) else real(self, node)

    monkeypatch.setattr(module.Differentiator, "local", forgets_a_sign)
    derive_steps(sp.sin(2 * x), x)
    with pytest.raises(CertificateError, match="cos"):
        derive_steps(sp.cos(2 * x), x)


def test_a_target_defined_nowhere_is_said_to_be_so_and_a_domain_helps():
    narrow = sp.log(x - 100)
    with pytest.raises(DomainError, match="domain="):
        derive_steps(narrow, x)
    assert derive_steps(narrow, x, domains={"x": Domain.parse("(101, 110)")}).result == 1 / (
        x - 100
    )


def test_an_unknown_function_is_refused():
    with pytest.raises(UnsupportedFunction):
        derive_steps(sp.Function("f")(x), x)


def test_every_notation_writes_every_step():
    derivation = derive_steps(CUBE_ROOT, x)
    latex = derivation.latex()
    assert latex.startswith("\\begin{align*}")
    assert latex.count("&=") == len(derivation) + 1
    assert derivation.markdown().count("- **") == len(derivation)
    assert derivation._repr_latex_().startswith("$")
    assert derivation._repr_markdown_() == derivation.markdown()
    assert str(derivation) == derivation.text()


def test_a_step_is_a_value():
    step = derive_steps(x**2, x)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.rule = "magic"

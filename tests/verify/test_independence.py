"""Witness groups are independent: corrupt one column of a table and another group objects.

Each test plants one wrong entry (ball function, high-precision function, symbolic derivative,
JAX name) and asks a question whose honest answer is known; nobody may be talked into it.
"""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
import sympy as sp

from diffkit.bridge import idioms
from diffkit.core.errors import CertificateError
from diffkit.numeric import germ_functions, precise
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS
from diffkit.verify.check import check
from diffkit.verify.verify import verify


def test_the_honest_tables_prove_the_questions_asked_here():
    assert verify(jnp.tanh, 0.5).status == "proved"
    assert check("sigmoid(x)", "sigmoid(x)*(1 - sigmoid(x))").status == "proved"
    assert verify(jax.nn.softplus, 0.5).status == "proved"


@pytest.mark.parametrize("factor", [2, -1])
def test_a_wrong_ball_function_refutes_nothing_and_proves_nothing(monkeypatch, factor):
    honest = germ_functions.RULES["tanh"]
    monkeypatch.setitem(
        germ_functions.RULES, "tanh", lambda algebra, x: honest(algebra, x) * factor
    )

    verdict = verify(jnp.tanh, 0.5)

    assert verdict.status == "undecided", verdict.explain()


def test_a_wrong_ball_function_is_noticed_by_a_proof(monkeypatch):
    honest = germ_functions.RULES["tanh"]
    monkeypatch.setitem(germ_functions.RULES, "tanh", lambda algebra, x: honest(algebra, x) * 2)

    with pytest.raises(CertificateError, match="contradicted by ball arithmetic"):
        check("tanh(x)", "1 - tanh(x)**2")


def test_a_wrong_high_precision_function_confirms_no_refutation(monkeypatch):
    honest = precise.FUNCTIONS["tanh"]
    monkeypatch.setitem(precise.FUNCTIONS, "tanh", lambda m, x: honest(m, x) * 2)
    rule = jax.custom_jvp(jnp.tanh)
    rule.defjvp(lambda p, t: (jnp.tanh(p[0]), 3 * t[0]))

    assert verify(rule, 0.5).status == "undecided"


def test_a_wrong_symbolic_derivative_is_noticed_by_the_balls(monkeypatch):
    x = symbol("x")
    row = FUNCTIONS["sigmoid"].row
    wrong = dataclasses.replace(row, derivatives=(lambda z: sp.Integer(1),))
    monkeypatch.setattr(FUNCTIONS["sigmoid"], "row", wrong)

    with pytest.raises(CertificateError, match="contradicted by ball arithmetic"):
        check(FUNCTIONS["sigmoid"](x), sp.Integer(1), wrt="x")
    assert verify(jax.nn.sigmoid, 0.5).status == "undecided"


def test_a_wrong_jax_name_is_noticed_by_the_balls(monkeypatch):
    honest = idioms.recognise

    def mistaken(eqn):
        meaning = honest(eqn)
        return FUNCTIONS["relu"] if meaning is FUNCTIONS["softplus"] else meaning

    monkeypatch.setattr(idioms, "recognise", mistaken)

    assert verify(jax.nn.softplus, 0.5).status == "undecided"

"""Every row of the table survives the way to JAX and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from jax import lax

from diffkit.backend.compat import CALLS
from diffkit.bridge.lift import lift
from diffkit.bridge.lower import lower
from diffkit.bridge.primitives import (
    ARRAY,
    COMPARISONS,
    ELEMENTWISE,
    IDENTITIES,
    LOGIC,
    SPECIAL,
    supported,
)
from diffkit.bridge.walk import RULES
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import ROWS, evaluate

X, Y, Z = map(symbol, "xyz")
ARITY = {"clamp": 3, "regularized_incomplete_beta": 3} | dict.fromkeys(
    "add add_any sub mul div pow atan2 max min rem zeta".split(), 2
)
#: Only in newer generations of JAX, or only inside AD; or not expressible in one call.
NOT_CALLED = {"add_any", "log2", "one_minus_square", "polygamma"}
#: lift sees sign, Mod and Abs as JAX writes them, not as one remainder.
ONE_WAY = {"rem"}


def expression(name):
    row = ELEMENTWISE[name]
    if name == "polygamma":
        return sp.polygamma(2, X)
    symbols = (X, Y, Z)[: ARITY.get(name, 1)]
    return row.kernel(*symbols, **dict.fromkeys(row.params, 3))


@pytest.mark.parametrize("name", sorted(ELEMENTWISE.keys() - ONE_WAY))
def test_a_row_round_trips(name):
    expr = expression(name)
    names = sorted(each.name for each in expr.free_symbols)
    back = lift(lower(expr, stable=False), *([0.5] * len(names))).sympy()
    assert back == expr


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_vocabulary_function_round_trips(row):
    names = [symbol(name) for name in ("u", "v", "w")[: row.arity]]
    expr = type_of(row)(*names)
    back = lift(lower(expr, [n.name for n in names], stable=False), *([0.5] * row.arity)).sympy()
    assert back == expr


def type_of(row):
    from diffkit.symbolic.vocabulary import FUNCTIONS

    return FUNCTIONS[row.name]


def call(name):
    """The primitive itself, not a function that may use others."""
    if name == "integer_pow":
        return lambda x: lax.integer_pow(x, 3)
    if name == "square":
        return lax.square
    if name == "regularized_incomplete_beta":
        return lax.betainc
    return getattr(lax, name)


@pytest.mark.parametrize("name", sorted(ELEMENTWISE.keys() - NOT_CALLED))
def test_the_kernel_of_a_row_has_the_value_of_the_primitive(name):
    arity = ARITY.get(name, 1)
    point = (1.25,) if name == "acosh" else (0.375, 0.625, 0.875)[:arity]
    point = (2.5, 0.625) if name == "zeta" else point
    point = (0.5, 0.375, 0.875) if name == "clamp" else point
    expr = lift(call(name), *point).sympy()
    names = lift(call(name), *point).names
    exact = evaluate(expr, dict(zip(names, map(sp.Rational, point), strict=True)), 20)
    assert float(call(name)(*map(jnp.float32, point))) == pytest.approx(float(exact), rel=2e-6)


def test_a_wrong_kernel_would_be_noticed():
    # Negative control of the test above: the exact value separates neighbours in the table.
    exact = evaluate(sp.sin(X), {"x": sp.Rational("0.375")}, 20)
    assert float(lax.cos(0.375)) != pytest.approx(float(exact), rel=2e-6)


def test_supported_lists_every_row_once():
    names = supported()
    assert list(names) == sorted(set(names))
    tables = (ELEMENTWISE, COMPARISONS, LOGIC, IDENTITIES, CALLS, SPECIAL, ARRAY)
    assert set().union(*tables) == set(names)


def test_the_tables_name_exactly_the_rules_there_are():
    assert set(RULES) == SPECIAL | ARRAY
    assert not SPECIAL & ARRAY


def test_truncated_division_and_remainder_follow_the_sign_of_the_dividend():
    formula = lift(lax.rem, 1.0, 1.0)
    for pair in ((5.5, 2.0), (-5.5, 2.0), (5.5, -2.0), (-5.5, -2.0)):
        exact = formula.sympy().subs(
            dict(zip(map(symbol, formula.names), map(sp.Rational, pair), strict=True))
        )
        assert float(exact) == np.fmod(*pair) == float(jax.jit(lax.rem)(*pair))

"""Reshapes that undo each other vanish: several labels that count through one range are one."""

import numpy as np
import pytest

from diffkit.tensor import views as v
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Einsum, topological, var
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.sweep import gradient

SHAPES = {
    "finer": ((4, 4), (2, 8)),
    "to a tensor": ((6, 4), (3, 2, 4)),
    "across": ((4, 6), (3, 8)),
    "flat and back": ((2, 3, 4), (24,)),
    "three to three": ((2, 6, 2), (4, 3, 2)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_gradient_of_squared_entries_does_not_see_the_reshape(name):
    before, after = SHAPES[name]
    X = var("X", before)
    entries = v.reshape(v.view(X), after)
    (found,) = gradient(v.dense(v.total(v.multiply(entries, entries))), [X])
    assert normal_form(found) is v.dense(v.scale(2, v.view(X)))


@pytest.mark.parametrize("name", SHAPES)
def test_a_reshape_and_its_inverse_are_nothing(name):
    before, after = SHAPES[name]
    X = v.view(var("X", before))
    assert normal_form(v.dense(v.reshape(v.reshape(X, after), before))) is X.node


@pytest.mark.parametrize("name", SHAPES)
def test_the_sum_of_a_reshape_is_the_sum(name):
    before, after = SHAPES[name]
    X = v.view(var("X", before))
    assert normal_form(v.dense(v.total(v.reshape(X, after)))) is v.dense(v.total(X))


def test_a_reshape_of_a_window_keeps_its_value():
    X = v.view(var("X", (4, 6)))
    window = v.select_linear(v.reshape(X, (3, 8)), 1, 6, 1, 1)
    again = v.dense(v.reshape(window, (9, 2)))
    value = np.arange(24.0).reshape(4, 6) ** 2
    expected = value.reshape(3, 8)[:, 1:7].reshape(9, 2)
    np.testing.assert_array_equal(evaluate(again, {"X": value}), expected)
    assert any(isinstance(node, Einsum) for node in topological(again))

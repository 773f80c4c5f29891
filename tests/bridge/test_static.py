"""Whole numbers and masks a program computes from nothing are recognised exactly."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.bridge import static
from diffkit.bridge.lift import lift
from diffkit.bridge.static import LARGEST_CONSTANT, Static
from diffkit.core.errors import UsageError
from diffkit.tensor import views
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Affine, Const, topological


def entries(view):
    """The array a view stands for."""
    return np.asarray(evaluate(views.dense(view), {})).reshape(view.shape)


def kinds(view):
    return {type(node) for node in topological(view.node)}


@pytest.mark.parametrize(
    "mask",
    [
        np.eye(4, dtype=bool),
        np.eye(3, 5, 1, dtype=bool),
        np.tri(4, 6, -1, dtype=bool),
        ~np.tri(5, 3, dtype=bool),
        np.arange(6) >= 2,
        np.arange(6) < 4,
        np.arange(5) == 3,
        np.arange(4)[:, None] == 2 * np.arange(3),
        np.broadcast_to(np.arange(5) > 1, (3, 5)),
    ],
    ids=lambda mask: str(mask.shape),
)
def test_a_regular_mask_is_an_index_equation(mask):
    found = static.as_mask(Static(mask))
    assert found is not None
    assert kinds(found) <= {Affine}
    np.testing.assert_array_equal(entries(found), mask)


def test_an_irregular_mask_is_written_out():
    mask = np.array([True, False, True, True, False, True])
    found = static.as_mask(Static(mask))
    assert found is not None
    assert Const in kinds(found)
    np.testing.assert_array_equal(entries(found), mask)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**16))
def test_any_mask_keeps_every_entry(rows, columns, seed):
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.5
    found = static.as_mask(Static(mask))
    assert found is not None
    np.testing.assert_array_equal(entries(found), mask)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=6), st.integers(1, 3))
def test_whole_numbers_keep_every_entry_and_drop_constant_axes(numbers, copies):
    value = np.broadcast_to(np.array(numbers), (copies, len(numbers)))
    found = static.as_numbers(Static(value))
    assert found is not None
    assert len(found.node.shape) <= 1
    np.testing.assert_array_equal(entries(found), value)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_a_selection_is_one_exactly_where_an_index_points(indices):
    found = static.selection(np.array(indices), 5)
    assert found is not None
    np.testing.assert_array_equal(entries(found), np.eye(5)[indices])


@pytest.mark.parametrize("indices", [[0, 1, 2], [4, 2, 0], [[0, 1], [2, 3]], [3], [1, 1, 1]])
def test_a_regular_selection_is_an_index_equation(indices):
    found = static.selection(np.array(indices), 5)
    assert found is not None
    assert kinds(found) <= {Affine}


def test_a_wrong_mask_is_noticed():
    found = static.as_mask(Static(np.tri(4, dtype=bool)))
    assert found is not None
    assert not np.array_equal(entries(found), np.tri(4, k=-1))


def test_masks_and_positions_inside_a_program_are_read():
    def f(x):
        rows, columns = jnp.indices(x.shape)
        return jnp.where(rows >= columns, x, 0.0)

    formula = lift(f, jnp.ones((3, 3)))
    x = jnp.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(formula(x), jnp.tril(x))
    assert not any(isinstance(node, Const) for node in topological(formula.node))


def test_a_constant_that_is_too_large_is_to_be_passed_as_an_argument():
    held = np.random.default_rng(0).normal(size=LARGEST_CONSTANT + 1)
    with pytest.raises(UsageError, match="pass it as an argument"):
        lift(lambda x: x * held, jnp.ones(len(held)))


def test_a_large_array_that_repeats_itself_is_small():
    held = np.broadcast_to(np.array([1.0, 2.0]), (LARGEST_CONSTANT, 2))
    formula = lift(lambda x: jnp.sum(x * jnp.asarray(held)), jnp.ones(held.shape))
    assert all(
        node.shape in ((), (2,))
        for node in topological(formula.node)
        if node.key[0] != "x" and isinstance(node, Const)
    )

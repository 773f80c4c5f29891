"""Where the atlas asks: elementwise functions as functions of numbers, ties, zeros, infinity."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.atlas import questions
from diffkit.atlas.public_functions import PublicFunction, find, public_names
from diffkit.atlas.questions import argument_names, at_infinity, question
from diffkit.backend import compat
from diffkit.core.errors import TimeLimitExceeded


@pytest.fixture(scope="module")
def names():
    return public_names()


@pytest.mark.parametrize(
    ("name", "elementwise"),
    [
        ("jax.nn.tanh", True),
        ("jax.numpy.arctan2", True),
        ("jax.scipy.special.fresnel", True),  # two results
        ("jax.numpy.cumsum", False),  # its first entry is that of a function of numbers
        ("jax.nn.softmax", False),
        ("jax.numpy.linalg.norm", False),
        ("jax.numpy.flip", False),
    ],
)
def test_a_function_is_asked_by_numbers_only_if_it_works_entry_by_entry(names, name, elementwise):
    asked = question(find(name, names[name]), 0)
    assert asked.is_elementwise is elementwise
    assert all(np.ndim(leaf) == 0 for leaf in asked.what.values) is elementwise


def test_points_hold_zero_both_signs_and_ties_and_no_point_twice(names):
    asked = question(find("jax.numpy.maximum", names["jax.numpy.maximum"]), 0)
    points = [tuple(float(leaf) for leaf in leaves) for leaves in asked.points]
    assert (0.0, 0.0) in points
    assert any(x == y != 0 for x, y in points)
    assert any(x < 0 for x, _ in points)
    assert len(points) == len(set(points))


def test_points_of_arrays_hold_zeros_ties_and_the_other_argument(names):
    asked = question(find("jax.numpy.dot", names["jax.numpy.dot"]), 0)
    firsts = [leaves[0] for leaves in asked.points]
    assert any(not leaf.any() for leaf in firsts)
    assert any((leaf == leaf.flat[0]).all() and leaf.any() for leaf in firsts)
    assert any(np.array_equal(leaf, asked.what.values[1]) for leaf in firsts)


def test_arguments_have_the_names_of_the_function_or_letters(names):
    assert argument_names(find("jax.numpy.maximum", names["jax.numpy.maximum"])) == ("x", "y")
    assert argument_names(find("jax.numpy.roll", names["jax.numpy.roll"])) == ("x",)


def test_a_nan_at_infinity_is_a_trap_where_the_gradient_has_a_limit(names):
    asked = question(find("jax.nn.logsumexp", names["jax.nn.logsumexp"]), 0)
    everywhere = [each for each in at_infinity(asked) if np.all(each.leaves[0] == -np.inf)]
    assert [each.is_trap for each in everywhere] == [True]
    # softmax of equal entries
    assert everywhere[0].limit == pytest.approx(np.full(4, 0.25), abs=1e-12)


def test_a_finite_gradient_at_infinity_is_no_trap(names):
    asked = question(find("jax.nn.tanh", names["jax.nn.tanh"]), 0)
    assert not any(each.is_trap for each in at_infinity(asked))


def test_a_gradient_without_a_limit_is_no_trap():
    oscillating = PublicFunction(
        "jax.numpy.sin", lambda x: jnp.where(jnp.isinf(x), jnp.nan, jnp.sin(x)), (np.ones(3),), (0,)
    )
    assert not any(each.is_trap for each in at_infinity(question(oscillating, 0)))


def test_the_configuration_of_jax_is_left_as_it_was(names):
    before = compat.x64_enabled()
    asked = question(find("jax.nn.tanh", names["jax.nn.tanh"]), 0)
    for _ in at_infinity(asked):
        assert compat.x64_enabled() == before  # between two answers as well
    assert compat.x64_enabled() == before


def test_answers_before_one_that_hangs_are_kept(monkeypatch):
    function = PublicFunction("jax.nn.tanh", jnp.tanh, (np.ones(3),), (0,))
    asked = question(function, 0)
    count = iter(range(100))

    def hangs_at_the_fifth(seconds, call):
        if next(count) == 4:
            raise TimeLimitExceeded("not finished")
        return call()

    monkeypatch.setattr(questions, "within", hangs_at_the_fifth)
    kept = []
    with pytest.raises(TimeLimitExceeded):
        kept.extend(at_infinity(asked))  # three calls each
    assert [float(each.leaves[0]) for each in kept] == [-np.inf]

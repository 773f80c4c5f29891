"""A pytree as one vector: the same function, and names that lead back to its leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.bridge.joined import joined, path_of, split
from diffkit.bridge.selection import named_leaves
from diffkit.core.errors import UsageError

PARAMS = {"W": np.arange(6.0).reshape(2, 3), "b": np.array([1.0, -1.0])}
X = np.array([1.0, 2.0, 3.0])


def affine(params, x):
    return jnp.sum(jnp.sin(params["W"] @ x + params["b"]))


def test_the_function_of_the_vector_is_the_function():
    whole = joined(affine, (PARAMS, X), {}, 0)
    assert np.allclose(whole.function(*whole.arguments), affine(PARAMS, X))
    moved = whole.arguments[0] + 0.5
    held = split(moved, whole.parts)
    again = {"W": held["params.W"], "b": held["params.b"]}
    assert np.allclose(whole.function(moved, X), affine(again, X))
    assert np.allclose(whole.apart(*held.values(), X), affine(again, X))


def test_every_entry_leads_back_to_its_leaf():
    whole = joined(affine, (PARAMS, X), {}, "params")
    vector = whole.arguments[0]
    for entry, value in enumerate(vector):
        path = path_of(entry, whole.parts)
        name, _, index = path.partition("[")
        leaf = PARAMS[name.removeprefix("params.")]
        assert leaf[tuple(int(k) for k in index.rstrip("]").split(","))] == value


def test_one_array_is_left_as_it_is():
    assert joined(affine, (PARAMS, X), {}, "x") is None
    assert joined(lambda x: x, (1.0,), {}, None) is None


def test_several_arguments_are_joined_too():
    whole = joined(lambda a, b: jnp.sum(a) * jnp.sum(b), (X, X), {}, (0, 1))
    assert [path for path, _ in whole.parts] == ["a", "b"]


def test_whole_numbers_among_the_leaves_are_held_and_named():
    def f(params):
        return params["a"] * params["n"]

    whole = joined(f, ({"a": 1.5, "n": 2},), {}, 0)
    assert [path for path, _ in whole.parts] == ["params.a"]
    assert any("params.n" in note and "fixed" in note for note in whole.notes)
    assert whole.function(*whole.arguments) == 3.0
    with pytest.raises(UsageError, match=r"params\.n holds int"):
        joined(f, ({"a": 1.0, "n": 2},), {}, ("params.a", "params.n"))


DEEP = ({"a": {"W": 1.0, "b": 2.0}, "c": {"W": 3.0}}, 4.0)


@pytest.mark.parametrize(
    ("wrt", "paths"),
    [
        ("a.W", ["p.a.W"]),
        ("p.a.W", ["p.a.W"]),
        ("a", ["p.a.W", "p.a.b"]),
        ("b", ["p.a.b"]),
        (("a.b", "c.W"), ["p.a.b", "p.c.W"]),
        (1, ["x"]),
        ("nowhere", ["nowhere"]),
    ],
)
def test_the_end_of_a_path_and_a_part_of_a_tree_can_be_named(wrt, paths):
    assert jax.tree.leaves(named_leaves(lambda p, x: 0, DEEP, {}, wrt)) == paths


def test_an_end_that_several_paths_have_is_refused():
    with pytest.raises(UsageError, match=r"several of the arrays p\.a\.W, p\.c\.W"):
        named_leaves(lambda p, x: 0, DEEP, {}, "W")

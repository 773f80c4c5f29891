"""A pytree as one vector: the same function, and names that lead back to its leaves."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.bridge.joined import joined, path_of, split
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


def test_whole_numbers_among_the_leaves_are_refused():
    with pytest.raises(UsageError, match=r"params\.n holds int"):
        joined(lambda params: params["a"] * params["n"], ({"a": 1.0, "n": 2},), {}, 0)

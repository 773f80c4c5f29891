"""One named part of a program, and models whose leaves have short names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.bridge.model_names import short_names
from diffkit.core.errors import UsageError


@jax.jit
def block(weights, hidden):
    return jnp.tanh(hidden @ weights)


@jax.jit
def unreadable(x):
    return jnp.sort(x, axis=-1)


def model(w, x):
    with jax.named_scope("head"):
        hidden = block(w, x)
    with jax.named_scope("tail"):
        last = jnp.exp(hidden) * w[0]
    return jnp.sum(unreadable(last))


W, X = jnp.ones((3, 3)), jnp.ones((2, 3))


def test_a_jitted_function_is_read_with_its_own_parameters():
    part = lift(model, W, X, region="block")
    assert part.names == ("weights", "hidden")
    np.testing.assert_allclose(part(W, X), jnp.tanh(X @ W), rtol=1e-6)


def test_a_scope_is_read_with_what_flows_into_it():
    part = lift(model, W, X, region="tail")
    assert "w" in part.names
    assert part.shape == (2, 3)
    hidden = jnp.full((2, 3), 0.5)
    given = {name: W if name == "w" else hidden for name in part.names}
    np.testing.assert_allclose(part(**given), jnp.exp(hidden) * W[0], rtol=1e-6)


def test_a_call_inside_a_loop_is_found():
    def f(w, x):
        return lax.fori_loop(0, 100, lambda k, h: block(w, h), x)

    assert lift(f, W, X, region="block").names == ("weights", "hidden")


def test_an_unknown_part_lists_the_known_ones():
    with pytest.raises(UsageError, match="its parts: block, head"):
        lift(model, W, X, region="blok")


def test_parts_of_one_name_that_differ_are_numbered():
    def f(w, x):
        return jnp.sum(block(w, x)) + jnp.sum(block(w[:, :2], x))

    with pytest.raises(UsageError, match="2 different parts"):
        lift(f, W, X, region="block")
    assert lift(f, W, X, region="block#2").shape == (2, 2)


def test_equal_parts_of_one_name_are_one():
    assert lift(lambda w, x: block(w, block(w, x)), W, X, region="block").shape == (2, 3)


# models -------------------------------------------------------------------------------------------


def test_layers_are_numbered_as_the_program_uses_them():
    paths = ["p.a.kernel", "p.b.kernel", "p.b.bias", "p.norm.scale"]
    uses = {"p.b.kernel": 0, "p.b.bias": 1, "p.norm.scale": 2, "p.a.kernel": 3}
    assert short_names(paths, uses) == {
        "p.b.kernel": "W1",
        "p.b.bias": "b1",
        "p.norm.scale": "g2",
        "p.a.kernel": "W3",
    }


def test_without_uses_digits_count_as_numbers():
    paths = [f"p.Dense_{k}.kernel" for k in (10, 2)]
    assert short_names(paths) == {"p.Dense_2.kernel": "W1", "p.Dense_10.kernel": "W2"}


def test_plain_dictionaries_and_names_that_clash_keep_their_paths():
    assert short_names(["params.w", "params.b"]) == {}
    assert short_names(["p.Dense_0.kernel", "W1"]) == {}
    assert short_names(["p.Dense_0.kernel", "q.Dense_0.kernel"]) == {}


def linen_model():
    linen = pytest.importorskip("flax.linen")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Dense(3, name="block_3")(x)
            x = linen.gelu(linen.LayerNorm()(x))
            return linen.Dense(1)(x)

    return Net()


def test_a_linen_model_is_lifted_by_its_parameters():
    net = linen_model()
    x, y = jnp.linspace(-1, 1, 8).reshape(2, 4), jnp.ones((2, 1))
    params = net.init(jax.random.key(0), x)

    def loss(params, x, y):
        return jnp.mean((net.apply(params, x) - y) ** 2)

    with compat.x64():
        formula = lift(loss, params, x, y)
        assert set(formula.names) == {"W1", "b1", "g2", "b2", "W3", "b3", "x", "y"}
        assert "W1 = params.params.block_3.kernel" in formula.notes
        values = {**dict(zip(formula.names, jax.tree.leaves((params, x, y)), strict=True))}
        expected = jax.grad(loss)(params, x, y)["params"]["block_3"]["kernel"]
        for name in ("W1", "params.params.block_3.kernel"):
            found = formula.grad(name)(**values)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_module_of_a_linen_model_is_a_region():
    net = linen_model()
    x = jnp.ones((2, 4))
    params = net.init(jax.random.key(0), x)
    part = lift(net.apply, params, x, region="block_3")
    assert set(part.names) == {"x", "W1", "b1"} or set(part.names) == {"args_0", "W1", "b1"}
    assert part.shape == (2, 3)


def test_an_nnx_model_is_lifted_and_what_is_no_float_stays_fixed():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(4, 3, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)
            self.second = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.second(self.dropout(jnp.tanh(self.first(x))))

    graph, state = nnx.split(Net(nnx.Rngs(0)))
    x = jnp.ones((2, 4))
    formula = lift(lambda state, x: jnp.sum(nnx.merge(graph, state)(x)), state, x)
    assert set(formula.names) == {"W1", "b1", "W2", "b2", "x"}
    assert any("key" in note and "fixed" in note for note in formula.notes)
    assert any("count" in note and "fixed" in note for note in formula.notes)


def test_a_random_key_is_no_argument_of_the_formula():
    formula = lift(lambda key, x: jnp.sum(x**2), jax.random.key(0), jnp.ones(3))
    assert formula.names == ("x",)
    assert "key (a random key) is fixed" in formula.notes

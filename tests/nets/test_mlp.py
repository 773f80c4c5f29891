import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from diffkit.core.errors import UnknownNameError
from diffkit.nets.mlp import ACTIVATIONS, MLP, activation


def net(name: str = "tanh", depth: int = 4) -> MLP:
    return MLP(5, 7, depth, name, "lecun", rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_scanned_layers_equal_a_loop(name: str):
    model, x = net(name), jax.random.normal(jax.random.key(1), (3, 5))
    h = [x @ model.first[...]]
    for kernel in model.hidden[...]:
        h.append(activation(name)(h[-1]) @ kernel)
    np.testing.assert_allclose(model.pre_activations(x), jnp.stack(h), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(model(x), h[-1], rtol=2e-5, atol=1e-6)


def test_a_perturbation_is_added_to_its_own_layer():
    model, x = net(depth=3), jnp.ones((2, 5))
    bump = jnp.zeros((3, 2, 7)).at[1].set(0.5)
    plain, bumped = model.pre_activations(x), model.pre_activations(x, bump)
    np.testing.assert_array_equal(bumped[0], plain[0])
    np.testing.assert_allclose(bumped[1], plain[1] + 0.5, rtol=1e-6)
    assert not np.allclose(bumped[2], plain[2])


def test_an_unknown_activation_lists_the_known():
    with pytest.raises(UnknownNameError, match="sigmoid"):
        activation("swisch")

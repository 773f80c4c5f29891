"""Multilayer perceptrons (Flax NNX): one that exposes its pre-activations, one that is trained."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.nets.initialisers import initialiser

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "erf": jax.scipy.special.erf,
    "softplus": jax.nn.softplus,
}


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Look up an activation; an unknown name lists the known ones."""
    if name not in ACTIVATIONS:
        raise UnknownNameError(
            f"no activation named {name!r}; known: {', '.join(sorted(ACTIVATIONS))}"
        )
    return ACTIVATIONS[name]


class MLP(nnx.Module):
    r"""h_1 = W_1 x,  h_{l+1} = W_{l+1} phi(h_l): a first layer and L - 1 equal square ones.

    The square layers are one stacked parameter, so that depth is a `lax.scan`: a network of 30
    layers compiles as fast as one of 2.

    Args:
        features: n_0, width of the input.
        width: n, units of every layer.
        depth: L >= 2, number of layers.
        activation_name: phi, a key of `ACTIVATIONS`.
        initialiser_name: Initialiser of the square layers.
        first_initialiser: Initialiser of the first layer.
        rngs: Random streams; "params" is used.
    """

    def __init__(
        self,
        features: int,
        width: int,
        depth: int,
        activation_name: str,
        initialiser_name: str,
        *,
        first_initialiser: str = "lecun",
        rngs: nnx.Rngs,
    ):
        self.phi = activation(activation_name)
        first = initialiser(first_initialiser).make()
        square = initialiser(initialiser_name).make()
        self.first = nnx.Param(first(rngs.params(), (features, width)))
        keys = jax.random.split(rngs.params(), depth - 1)
        self.hidden = nnx.Param(jax.vmap(lambda key: square(key, (width, width)))(keys))

    def pre_activations(self, x: jax.Array, perturbations: jax.Array | None = None) -> jax.Array:
        """Return h_1, ..., h_L, stacked along a first axis.

        Args:
            x: Inputs, (batch, features).
            perturbations: Added to h_1, ..., h_L, (depth, batch, width); the gradient with
                respect to a perturbation of value 0 is dL/dh_l exactly.
        """
        depth, width = self.hidden.shape[0] + 1, self.hidden.shape[-1]
        if perturbations is None:
            perturbations = jnp.zeros((depth, x.shape[0], width), x.dtype)
        h_1 = x @ self.first[...] + perturbations[0]

        def layer(h: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            kernel, perturbation = step
            following = self.phi(h) @ kernel + perturbation
            return following, following

        _, rest = jax.lax.scan(layer, h_1, (self.hidden[...], perturbations[1:]))
        return jnp.concatenate([h_1[None], rest])

    def __call__(self, x: jax.Array) -> jax.Array:
        """The last pre-activation h_L."""
        return self.pre_activations(x)[-1]


class Classifier(nnx.Module):
    """Layers of any widths with an activation between them: logits of classes, or one number.

    Args:
        widths: n_0 (the inputs), the hidden widths, and the outputs; two or more.
        activation_name: phi, a key of `ACTIVATIONS`.
        initialiser_name: Initialiser of every layer; biases start at 0.
        rngs: Random streams; "params" is used.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation_name: str,
        initialiser_name: str = "he",
        *,
        rngs: nnx.Rngs,
    ):
        if len(widths) < 2:
            raise UsageError(f"widths={tuple(widths)}; give the inputs and the outputs at least")
        self.phi = activation(activation_name)
        kernel = initialiser(initialiser_name).make()
        self.layers = nnx.List(
            nnx.Linear(n, m, kernel_init=kernel, rngs=rngs) for n, m in pairwise(widths)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """The outputs, (batch, n_L)."""
        for layer in self.layers[:-1]:
            x = self.phi(layer(x))
        return self.layers[-1](x)

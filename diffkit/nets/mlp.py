"""A multilayer perceptron that exposes its pre-activations to measurement (Flax NNX)."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from diffkit.core.errors import UnknownNameError
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
    r"""h_1 = W_1 x,  h_{l+1} = W_{l+1} phi(h_l),  without biases unless asked for.

    Args:
        sizes: (n_0, n_1, ..., n_L): input width, then the width of every layer.
        activation_name: phi, a key of `ACTIVATIONS`.
        initialiser_name: Initialiser of all layers but the first.
        first_initialiser: Initialiser of the first layer.
        use_bias: Whether layers carry a bias (initialised to 0).
        rngs: Random streams; "params" is used.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation_name: str,
        initialiser_name: str,
        *,
        first_initialiser: str = "lecun",
        use_bias: bool = False,
        rngs: nnx.Rngs,
    ):
        names = [first_initialiser, *[initialiser_name] * (len(sizes) - 2)]
        self.phi = activation(activation_name)
        self.layers = nnx.List(
            nnx.Linear(
                fan_in,
                fan_out,
                use_bias=use_bias,
                kernel_init=initialiser(name).make(),
                rngs=rngs,
            )
            for fan_in, fan_out, name in zip(sizes[:-1], sizes[1:], names, strict=True)
        )

    def pre_activations(
        self, x: jax.Array, perturbations: Sequence[jax.Array] | None = None
    ) -> list[jax.Array]:
        """Return h_1, ..., h_L; `perturbations` are added to them.

        The gradient with respect to a perturbation of value 0 is dL/dh_l exactly.
        """
        found = []
        for depth, layer in enumerate(self.layers):
            h = layer(x if depth == 0 else self.phi(found[-1]))
            found.append(h if perturbations is None else h + perturbations[depth])
        return found

    def __call__(self, x: jax.Array) -> jax.Array:
        """The last pre-activation h_L: the logits."""
        return self.pre_activations(x)[-1]

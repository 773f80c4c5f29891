r"""Multilayer perceptrons (Flax NNX) of any activation, initialiser and normalisation.

$$h_1 = W_1 x + b_1, \qquad h_{l+1} = W_{l+1}\,\phi(N(h_l)) + b_{l+1}, \qquad l = 1, \dots, L-1$$

N is nothing, batch or layer normalisation.  A residual layer adds its branch to h_l, scaled by a
number s: h_{l+1} = h_l + s (W \phi(N(h_l)) + b).  Neighbouring layers of one width are one stacked
module, so that depth is a scan: a network of 30 layers compiles as fast as one of 2.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.nets.initialisers import Initialiser, initialiser

Activation = Callable[[jax.Array], jax.Array]
Normalisation = Literal["none", "batch", "layer"]

ACTIVATIONS: Mapping[str, Activation] = {
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "sigmoid": jax.nn.sigmoid,
    "swish": jax.nn.swish,
    "mish": jax.nn.mish,
    "tanh": jnp.tanh,
    "softsign": jax.nn.soft_sign,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "erf": jax.scipy.special.erf,
    "sin": jnp.sin,
    "softplus": jax.nn.softplus,
}


def activation(which: str | Activation) -> Activation:
    """Look up an activation by its name; a function is returned as it is.

    Raises:
        UnknownNameError: no such activation; the message lists the known ones.
    """
    if callable(which):
        return which
    if which not in ACTIVATIONS:
        raise UnknownNameError(
            f"no activation named {which!r}; {did_you_mean(which, ACTIVATIONS)}known: "
            f"{', '.join(sorted(ACTIVATIONS))}; or give a function of an array"
        )
    return ACTIVATIONS[which]


@dataclass(frozen=True)
class Design:
    """What all layers of a network have in common.

    Args:
        phi: Applied entry by entry.
        normalisation: What h_l goes through before phi: "none", "batch" or "layer".
        dropout: Share of the entries of phi(h_l) that a training step drops, 0 <= p < 1.
        residual: s, by which a residual branch is scaled; None for a network without.
        use_bias: Whether the layers have biases.
    """

    phi: Activation
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    residual: float | None = None
    use_bias: bool = True

    def __post_init__(self) -> None:
        if self.normalisation not in get_args(Normalisation):
            known = ", ".join(get_args(Normalisation))
            raise UsageError(f"normalisation={self.normalisation!r}; one of {known}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout={self.dropout!r}; the share dropped lies in [0, 1)")

    def norm(self, width: int, rngs: nnx.Rngs) -> nnx.Module | None:
        """The normalisation of one layer."""
        if self.normalisation == "none":
            return None
        if self.normalisation == "layer":
            return nnx.LayerNorm(width, param_dtype=jnp.result_type(float), rngs=rngs)
        norm = nnx.BatchNorm(width, momentum=0.9, param_dtype=jnp.result_type(float), rngs=rngs)
        # Flax keeps the statistics in float32 whatever the parameters are.
        norm.mean, norm.var = (nnx.BatchStat(fill(width)) for fill in (jnp.zeros, jnp.ones))
        return norm

    def linear(self, sizes: tuple[int, int], row: Initialiser, rngs: nnx.Rngs) -> nnx.Linear:
        """The map of one layer."""
        return nnx.Linear(
            *sizes,
            use_bias=self.use_bias,
            kernel_init=row.make(),
            bias_init=row.make_bias(),
            param_dtype=jnp.result_type(float),
            rngs=rngs,
        )


class Layer(nnx.Module):
    """h_l -> h_{l+1}; residual where the design says so and the width stays.

    Args:
        sizes: n_l and n_{l+1}.
        design: What all layers have in common.
        row: Initialiser.
        rngs: Random streams; "params" is used, and "dropout" if there is any.
    """

    def __init__(self, sizes: tuple[int, int], design: Design, row: Initialiser, rngs: nnx.Rngs):
        self.phi = design.phi
        self.norm = design.norm(sizes[0], rngs)
        self.drop = nnx.Dropout(design.dropout, rngs=rngs) if design.dropout else None
        self.linear = design.linear(sizes, row, rngs)
        self.residual = design.residual if sizes[0] == sizes[1] else None

    def features(self, h: jax.Array) -> jax.Array:
        """phi(N(h)), what the weights are applied to."""
        return self.phi(h if self.norm is None else self.norm(h))

    def join(self, h: jax.Array, branch: jax.Array) -> jax.Array:
        """h_{l+1} from h_l and the output of the weights."""
        return branch if self.residual is None else h + self.residual * branch

    def __call__(self, h: jax.Array) -> jax.Array:
        """h_{l+1}, (batch, n_{l+1})."""
        features = self.features(h)
        return self.join(h, self.linear(features if self.drop is None else self.drop(features)))


class Stack(nnx.Module):
    """Layers of equal sizes as one module, its parameters stacked along a first axis.

    Args:
        count: How many, >= 1.
        sizes: n_l and n_{l+1}; equal if there is more than one layer.
        design: What all layers have in common.
        row: Initialiser.
        rngs: Random streams; each layer has its own.
    """

    def __init__(
        self, count: int, sizes: tuple[int, int], design: Design, row: Initialiser, rngs: nnx.Rngs
    ):
        def make(rngs: nnx.Rngs) -> Layer:
            return Layer(sizes, design, row, rngs)

        stacked = nnx.split_rngs(splits=count)(nnx.vmap(make, in_axes=0, out_axes=0))
        self.count = count
        self.layers = make(rngs) if count == 1 else stacked(rngs)

    def scan(self, step: Callable[[Layer, jax.Array, Any], Any], h: jax.Array, each: Any) -> Any:
        """step(layer, h, one of each) -> (h, found), layer after layer; (h_last, all found).

        Statistics and random streams that a step changes are kept; its changes of weights are not.
        It is `lax.scan` on the layers' state and not `nnx.scan`, so that a network made outside of
        a transformation may be called inside of it.
        """
        if self.count == 1:
            h, found = step(self.layers, h, jax.tree.map(lambda all_: all_[0], each))
            return h, jax.tree.map(lambda one: one[None], found)
        graph, params, rest = nnx.split(self.layers, nnx.Param, ...)

        def over_layers(h: jax.Array, one: Any) -> Any:
            layer = nnx.merge(graph, *one[:2])
            h, found = step(layer, h, one[2])
            return h, (found, nnx.state(layer, nnx.Not(nnx.Param)))

        h, (found, rest) = jax.lax.scan(over_layers, h, (params, rest, each))
        nnx.update(self.layers, rest)
        return h, found

    def __call__(
        self, h: jax.Array, perturbations: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """The last h and all of them, (count, batch, n), each with its perturbation added."""

        def step(layer: Layer, h: jax.Array, added: jax.Array | None) -> Any:
            following = layer(h) if added is None else layer(h) + added
            return following, following

        return self.scan(step, h, perturbations)


class Classifier(nnx.Module):
    """Layers of any widths: logits of classes, or one number.

    Args:
        widths: n_0 (the inputs), the hidden widths, and the outputs; two or more.
        activation_name: phi, a key of `ACTIVATIONS` or a function.
        initialiser_name: Initialiser of every layer, a key of `INITIALISERS` or a row.  Biases
            start at 0 unless it has a sigma_b.
        first_initialiser: Initialiser of the first layer, if it is another.
        last_initialiser: Initialiser of the last layer, if it is another.
        normalisation: "none", "batch" or "layer".
        dropout: Share of the entries dropped in training, 0 <= p < 1.
        residual: s, scale of the residual branches of layers that keep the width; None for none.
        use_bias: Whether the layers have biases.
        rngs: Random streams; "params" is used, and "dropout" if there is any.

    >>> net = Classifier((2, *[16] * 30, 3), "tanh", residual=30**-0.5, rngs=nnx.Rngs(0))
    >>> net(jnp.ones((5, 2))).shape, len(net.stacks)
    ((5, 3), 2)
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation_name: str | Activation,
        initialiser_name: str | Initialiser = "he",
        *,
        first_initialiser: str | Initialiser | None = None,
        last_initialiser: str | Initialiser | None = None,
        normalisation: Normalisation = "none",
        dropout: float = 0.0,
        residual: float | None = None,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ):
        if len(widths) < 2 or min(widths) < 1:
            raise UsageError(
                f"widths={tuple(widths)}; give the inputs and the outputs at least, each >= 1"
            )
        design = Design(activation(activation_name), normalisation, dropout, residual, use_bias)
        usual = initialiser(initialiser_name)
        first = usual if first_initialiser is None else initialiser(first_initialiser)
        last = usual if last_initialiser is None else initialiser(last_initialiser)
        sizes, *others = pairwise(widths)
        self.first = design.linear(sizes, first if others else last, rngs)
        rows = [usual] * (len(others) - 1) + [last]
        self.stacks = nnx.List(
            Stack(count, sizes, design, row, rngs)
            for (sizes, row), count in _runs(zip(others, rows, strict=False))
        )

    def pre_activations(self, x: jax.Array, perturbations: Any = None) -> Any:
        """Return [h_1, ..., h_L], h_l of shape (batch, n_l).

        Args:
            x: Inputs, (batch, n_0).
            perturbations: Added to h_1, ..., h_L, of their shapes; the gradient with respect to a
                perturbation of value 0 is dL/dh_l exactly.
        """
        h = self.first(x)
        if perturbations is not None:
            h = h + perturbations[0]
        found = [h]
        for stack in self.stacks:
            place = len(found)
            added = None
            if perturbations is not None:
                added = jnp.stack(perturbations[place : place + stack.count])
            h, passed = stack(h, added)
            found += list(passed)
        return found

    def __call__(self, x: jax.Array) -> jax.Array:
        """The outputs, (batch, n_L)."""
        h = self.first(x)
        for stack in self.stacks:
            h, _ = stack(h)
        return h

    def linears(self) -> Iterator[tuple[jax.Array, jax.Array | None]]:
        """Weights (n_l, n_{l+1}) and biases of each layer, the first one first."""
        for linear in (self.first, *(stack.layers.linear for stack in self.stacks)):
            kernels = linear.kernel[...]
            kernels = kernels.reshape(-1, *kernels.shape[-2:])
            for place, kernel in enumerate(kernels):
                if linear.bias is None:
                    yield kernel, None
                else:
                    yield kernel, linear.bias[...].reshape(len(kernels), -1)[place]


class MLP(Classifier):
    r"""The random network of mean-field theory: a first layer and L - 1 equal square ones.

    Args:
        features: n_0, width of the input.
        width: n, units of every layer.
        depth: L >= 2, number of layers.
        activation_name: phi, a key of `ACTIVATIONS` or a function.
        initialiser_name: Initialiser of the square layers; there are biases if it has a sigma_b.
        first_initialiser: Initialiser of the first layer, which has biases if the others have.
        normalisation: "none", "batch" or "layer".
        dropout: Share of the entries dropped in training, 0 <= p < 1.
        residual: s, scale of the residual branches; None for none.
        rngs: Random streams; "params" is used, and "dropout" if there is any.
    """

    def __init__(
        self,
        features: int,
        width: int,
        depth: int,
        activation_name: str | Activation,
        initialiser_name: str | Initialiser,
        *,
        first_initialiser: str | Initialiser = "lecun",
        normalisation: Normalisation = "none",
        dropout: float = 0.0,
        residual: float | None = None,
        rngs: nnx.Rngs,
    ):
        if depth < 2:
            raise UsageError(f"depth={depth}; a network of equal layers has 2 or more")
        square = initialiser(initialiser_name)
        super().__init__(
            (features, *[width] * depth),
            activation_name,
            square,
            first_initialiser=first_initialiser,
            normalisation=normalisation,
            dropout=dropout,
            residual=residual,
            use_bias=square.sigma_b > 0,
            rngs=rngs,
        )

    def pre_activations(self, x: jax.Array, perturbations: jax.Array | None = None) -> jax.Array:
        """Return h_1, ..., h_L stacked, (depth, batch, width).

        Args:
            x: Inputs, (batch, features).
            perturbations: Added to h_1, ..., h_L, (depth, batch, width); the gradient with
                respect to a perturbation of value 0 is dL/dh_l exactly.
        """
        h = self.first(x)
        if perturbations is None:
            _, rest = self.stacks[0](h)
        else:
            h = h + perturbations[0]
            _, rest = self.stacks[0](h, perturbations[1:])
        return jnp.concatenate([h[None], rest])


def _runs(layers: Any) -> Iterator[tuple[Any, int]]:
    """Neighbours that are equal and keep their width, with their number."""
    for layer, group in groupby(layers, key=lambda layer: layer):
        count = len(list(group))
        (before, after), _ = layer
        yield from [(layer, count)] if before == after else [(layer, 1)] * count

"""A network whose activation, depth and normalisation are numbers: one program trains them all.

Compiling a program takes longer than running it on networks so small.  No SymPy and no theory here.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from diffkit.nets.mlp import activation
from diffkit.training.supervised import Loss, Trainer, cross_entropy

#: Settings of a network; the others are those of the optimiser.
INITIAL = ("activation", "depth", "normalised", "sigma_w", "sigma_b")
EPSILON, KEPT = 1e-5, 0.9


class Fixed(nnx.Variable):
    """A number of the network that is not trained."""


class Adaptable(nnx.Module):
    """h_1 = W x + b, h_{l+1} = W phi(N(h_l)) + b for l up to the depth, then a linear read-out.

    Args:
        sizes: Inputs, units of a layer, layers at most, outputs.
        names: Activations to choose from; all of them are computed, so that they should be few.
        activation: Place of phi among them.
        depth: Square layers that are used.
        normalised: 1 for batch normalisation, 0 for none.
        sigma_w: Weight std times sqrt(n) of the square layers; 1 elsewhere.
        sigma_b: Standard deviation of the biases.
        rngs: Random streams; "params" is used.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int, int],
        names: tuple[str, ...],
        *,
        activation: Any,
        depth: Any,
        normalised: Any,
        sigma_w: Any,
        sigma_b: Any,
        rngs: nnx.Rngs,
    ):
        features, width, layers, outputs = sizes
        draw = lambda *shape: jax.random.normal(rngs.params(), shape)
        self.first = nnx.Param(draw(features, width) / features**0.5)
        self.hidden = nnx.Param(sigma_w * draw(layers, width, width) / width**0.5)
        self.last = nnx.Param(draw(width, outputs) / width**0.5)
        self.biases = nnx.Param(sigma_b * draw(layers + 1, width))
        self.offset = nnx.Param(jnp.zeros(outputs))
        self.gain = nnx.Param(jnp.ones((layers + 1, width)))
        self.shift = nnx.Param(jnp.zeros((layers + 1, width)))
        self.mean = nnx.BatchStat(jnp.zeros((layers + 1, width)))
        self.var = nnx.BatchStat(jnp.ones((layers + 1, width)))
        self.activation = Fixed(jnp.asarray(activation, jnp.int32))
        self.depth = Fixed(jnp.asarray(depth, jnp.int32))
        self.normalised = Fixed(jnp.asarray(normalised))
        self.names = names
        self.use_running_average = False

    def phi(self, h: jax.Array) -> jax.Array:
        """The activation of this network."""
        functions = [activation(name) for name in self.names]
        return jax.lax.switch(self.activation[...], functions, h)

    def pre_activations(self, x: jax.Array, perturbations: Any = None) -> tuple[Any, jax.Array]:
        """h_1, ..., h_{layers + 1}, those beyond the depth repeated, and the outputs."""
        h = x @ self.first[...] + self.biases[...][0]
        added = (
            jnp.zeros((len(self.hidden[...]) + 1, *h.shape))
            if perturbations is None
            else perturbations[0]
        )
        h = h + added[0]

        def layer(h: jax.Array, one: Any) -> Any:
            number, kernel, bias, norm, bump = one
            features, statistics = self._features(h, norm)
            following = jnp.where(number < self.depth[...], features @ kernel + bias + bump, h)
            return following, (following, statistics)

        norms = (self.gain[...], self.shift[...], self.mean[...], self.var[...])
        inner = jax.tree.map(lambda each: each[:-1], norms)
        numbers = jnp.arange(len(self.hidden[...]))
        h_last, (rest, statistics) = jax.lax.scan(
            layer, h, (numbers, self.hidden[...], self.biases[...][1:], inner, added[1:])
        )
        features, of_last = self._features(h_last, jax.tree.map(lambda each: each[-1], norms))
        if not self.use_running_average:
            for kept, inner_ones, last_one in zip(
                (self.mean, self.var), statistics, of_last, strict=True
            ):
                found = jnp.concatenate([inner_ones, last_one[None]])
                kept[...] = KEPT * kept[...] + (1 - KEPT) * found
        outputs = features @ self.last[...] + self.offset[...]
        if perturbations is not None:
            outputs = outputs + perturbations[1]
        return jnp.concatenate([h[None], rest]), outputs

    def _features(self, h: jax.Array, norm: Any) -> Any:
        """phi(N(h)), and mean and variance of h over the batch."""
        gain, shift, mean, var = norm
        of_batch = jnp.mean(h, axis=0), jnp.var(h, axis=0)
        mean, var = (mean, var) if self.use_running_average else of_batch
        scaled = gain * (h - mean) / jnp.sqrt(var + EPSILON) + shift
        return self.phi(jnp.where(self.normalised[...] > 0, scaled, h)), of_batch

    def __call__(self, x: jax.Array) -> jax.Array:
        """The outputs, (batch, outputs)."""
        return self.pre_activations(x)[1]


def descent(rate: Any, momentum: Any) -> optax.GradientTransformation:
    """Gradient descent with heavy-ball momentum."""
    return optax.sgd(rate, momentum)


def adam(rate: Any, momentum: Any) -> optax.GradientTransformation:
    """Adam, the momentum being its first decay rate."""
    return optax.adam(rate, momentum)


@cache
def trainer(
    sizes: tuple[int, int, int, int],
    names: tuple[str, ...],
    steps: int,
    batch: int,
    loss: Loss = cross_entropy,
    rule: Callable[..., optax.GradientTransformation] = descent,
) -> Trainer:
    """The training of all networks; one object, so that it is compiled once."""

    def make(rngs: nnx.Rngs, **choice: Any) -> Adaptable:
        return Adaptable(sizes, names, rngs=rngs, **choice)

    return Trainer(make, rule, steps, batch, loss, initial=INITIAL)


def settings(
    names: tuple[str, ...],
    *,
    activations: Sequence[str],
    depths: Sequence[int],
    rates: Sequence[float],
    sigma_ws: Sequence[float] = (1.0,),
    sigma_b: float = 0.0,
    normalised: Sequence[bool] = (False,),
    momentum: float = 0.0,
) -> dict[str, Sequence[float]]:
    """Settings of a training: all combinations, the activations varying slowest.

    Then depths, normalised, sigma_ws and rates; the seeds vary fastest.
    """
    return {
        "activation": [float(names.index(name)) for name in activations],
        "depth": [float(depth) for depth in depths],
        "normalised": [float(each) for each in normalised],
        "sigma_w": list(sigma_ws),
        "sigma_b": [sigma_b],
        "rate": list(rates),
        "momentum": [momentum],
    }

"""Deep networks trained from different initialisations.  No SymPy here."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets.initialisers import Initialiser, initialiser, mean_field, normal
from diffkit.nets.instruments import objective, sharpness
from diffkit.nets.lsuv import lsuv
from diffkit.nets.mlp import Classifier
from diffkit.problems.dataset import Dataset
from diffkit.problems.load import load
from diffkit.training.supervised import Trainer, cross_entropy

#: Share of the digits that is kept for the test.
TEST_SHARE = 0.25
#: Digits on which LSUV measures variances.
SHOWN = 256


@cache
def data() -> tuple[Dataset, Dataset]:
    """Training and test set: scikit-learn's digits."""
    return load("digits").split(test_share=TEST_SHARE, seed=0)


def trained(
    activation: str,
    initialisation: str | tuple[float, float],
    *,
    depth: int,
    width: int,
    rates: Sequence[float],
    seeds: range,
    steps: int,
    batch: int,
) -> Mapping[str, np.ndarray]:
    """Accuracies and losses of networks trained by gradient descent with momentum 0.9.

    Args:
        activation: Name of phi.
        initialisation: "lsuv", "normal STD", the name of an initialiser, or sigma_w and sigma_b.
        depth: Weight layers.
        width: Hidden units.
        rates: Learning rates.
        seeds: Seeds of the networks.
        steps: Updates.
        batch: Digits of an update.

    Returns:
        "train" and "test" accuracies and the "loss" over the last tenth, (rates, seeds); the loss
        of a run that left the floats is infinite.
    """
    train, test = data()
    inputs, tests = _standardised(train.inputs), _standardised(test.inputs)
    shown = jnp.asarray(inputs[:SHOWN], jnp.float32)

    row = initialiser_of(initialisation)

    def make(rngs: nnx.Rngs) -> Classifier:
        net = Classifier((inputs.shape[1], *[width] * (depth - 1), 10), activation, row, rngs=rngs)
        if initialisation == "lsuv":
            lsuv(net, shown)
        return net

    found = Trainer(make, _momentum, steps, batch)(
        inputs, train.targets, list(seeds), {"learning_rate": rates}
    )
    shape = (len(rates), len(seeds))
    last = found.losses[:, -max(1, steps // 10) :].mean(axis=1)
    return {
        "train": found.accuracy(inputs, train.targets).reshape(shape),
        "test": found.accuracy(tests, test.targets).reshape(shape),
        "loss": np.where(np.isfinite(last), last, np.inf).reshape(shape),
    }


def stable_rates(
    depth: int, *, width: int, networks: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """2 over the sharpness of the loss at the start, and the relative residual, (networks,) each.

    Gradient descent on a quadratic of that curvature diverges beyond this rate.  ReLU networks
    from He's initialisation, the loss is the cross entropy of some digits.

    Args:
        depth: Weight layers.
        width: Hidden units.
        networks: Independent networks.
        seed: Root of all random streams.
    """
    train, _ = data()
    inputs = jnp.asarray(_standardised(train.inputs)[:SHOWN])
    targets = jnp.asarray(train.targets[:SHOWN])

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        of_weights, of_search = jax.random.split(key)
        widths = (inputs.shape[1], *[width] * (depth - 1), 10)
        net = Classifier(widths, "relu", "he", rngs=nnx.Rngs(of_weights))
        loss, params = objective(net, cross_entropy, inputs, targets)
        found = sharpness(loss, params, key=of_search)
        return 2 / found.value, found.residual / found.value

    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), depth), networks)
    rates, residuals = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return np.asarray(rates, np.float64), np.asarray(residuals, np.float64)


def initialiser_of(initialisation: str | tuple[float, float]) -> Initialiser:
    """The initialiser of a name or of sigma_w and sigma_b; LSUV starts from orthogonal weights.

    Raises:
        UsageError: "normal" without a number.
        UnknownNameError: no such initialiser; the message lists the known ones.
    """
    if not isinstance(initialisation, str):
        return mean_field(*initialisation)
    kind, _, std = initialisation.partition(" ")
    if kind == "normal":
        try:
            return normal(float(std))
        except ValueError:
            raise UsageError(
                f"{initialisation!r}; write normal and a number, as normal 0.01"
            ) from None
    return initialiser("orthogonal" if initialisation == "lsuv" else initialisation)


def _standardised(inputs: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 over all entries of the training set."""
    train, _ = data()
    return (inputs - train.inputs.mean()) / train.inputs.std()


def _momentum(learning_rate: Any) -> optax.GradientTransformation:
    return optax.sgd(learning_rate, momentum=0.9)

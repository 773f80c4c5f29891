"""Networks of one hidden layer trained on few digits with wrong labels.  No SymPy here.

The training set of a run is part of the run's state: it is drawn from the run's own seed, so that
runs trained side by side have their own digits, wrong labels and weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from diffkit.nets.initialisers import initialiser
from diffkit.problems.load import load
from diffkit.training.supervised import Trainer

Array = Any
CLASSES = 10


class Data(nnx.Variable):
    """State that is data: it takes part in no gradient."""


@dataclass(frozen=True)
class Task:
    """What is trained.

    Args:
        samples: n, digits of a training set.
        label_noise: Shares of training labels that may be replaced by another class.
        width: Hidden units.
        density: Share of the weights that exist; the others are 0 for ever.
        pool: Digits the training sets are drawn from.
        validation: Digits of the validation set; the others are the test set.
        split: Seed of the shuffling of all digits into pool, validation and test.
    """

    samples: int
    label_noise: tuple[float, ...]
    width: int
    density: float = 1.0
    pool: int = 900
    validation: int = 300
    split: int = 0


class Student(nnx.Module):
    """tanh(x W_1 + b_1) W_2 + b_2 with sparse weights, and its training set."""

    def __init__(self, task: Task, images: np.ndarray, labels: np.ndarray, rngs: nnx.Rngs):
        kernel, widths = initialiser("lecun").make(), (64, task.width, CLASSES)
        keys = jax.random.split(rngs.params(), 7)
        self.kernels, self.masks, self.biases = nnx.List(), nnx.List(), nnx.List()
        for n, m, of_kernel, of_mask in zip(widths, widths[1:], keys[:2], keys[2:4], strict=False):
            mask = jax.random.uniform(of_mask, (n, m)) < task.density
            # fewer inputs, larger weights: the variance counts those that exist
            scaled = kernel(of_kernel, (n, m)) / jnp.sqrt(task.density)
            self.kernels.append(nnx.Param(scaled * mask))
            self.masks.append(Data(mask.astype(scaled.dtype)))
            self.biases.append(nnx.Param(jnp.zeros(m)))
        rows = jax.random.permutation(keys[4], task.pool)[: task.samples]
        right = jnp.asarray(labels)[rows]
        wrong = (right + jax.random.randint(keys[5], rows.shape, 1, CLASSES)) % CLASSES
        self.inputs, self.right, self.wrong = (
            Data(jnp.asarray(images)[rows]),
            Data(right),
            Data(wrong),
        )
        self.lot = Data(jax.random.uniform(keys[6], rows.shape))

    def labels(self, share: Array) -> Array:
        """Labels of the training set with a share of wrong ones; more noise changes more."""
        return jnp.where(self.lot[...] < share, self.wrong[...], self.right[...])

    def __call__(self, x: Array) -> Array:
        """The outputs, (batch, 10)."""
        for layer, (kernel, mask, bias) in enumerate(
            zip(self.kernels, self.masks, self.biases, strict=True)
        ):
            x = (jnp.tanh(x) if layer else x) @ (kernel[...] * mask[...]) + bias[...]
        return x


def train(
    task: Task, *, seeds: Sequence[int], steps: int, every: int, learning_rate: float
) -> Mapping[str, np.ndarray]:
    """Train on the whole training set at every step with Adam, from every seed.

    Args:
        task: What is trained.
        seeds: One run for each label noise, with its own training set and weights.
        steps: Updates.
        every: Steps between two looks.
        learning_rate: Of Adam, decayed to 0 along a cosine.

    Returns:
        Curves (label noises, runs, looks): "training", "validation" and "test", the squared
        errors, "training_wrong" and "test_wrong", the shares of wrong answers.
    """
    trainer = _trainer(task, steps, every, learning_rate)
    found = []
    for place, share in enumerate(task.label_noise):
        shares = np.full(task.samples, share)  # the label noise of a training, as its targets
        seen = trainer(np.arange(task.samples), shares, seeds=seeds).watched
        found.append({k: v[..., place] if k.startswith("training") else v for k, v in seen.items()})
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


@lru_cache(maxsize=1)
def _digits(task: Task) -> tuple[tuple[Array, np.ndarray], ...]:
    """Pool, validation and test set: inputs and classes."""
    data = load("digits")
    order = np.random.default_rng(task.split).permutation(len(data))
    parts = np.split(order, [task.pool, task.pool + task.validation])
    return tuple((data.inputs[rows], data.targets[rows]) for rows in parts)


def _trainer(task: Task, steps: int, every: int, learning_rate: float) -> Trainer:
    pool, validation, test = _digits(task)
    shares = jnp.asarray(task.label_noise)

    def squared_error(module: Student, _: Array, share: Array) -> Array:
        # the batch is the whole training set, in any order: that of the module needs no gathering
        return _loss(module(module.inputs[...]), module.labels(share[0]))

    def look(module: Student) -> dict[str, Array]:
        fitted = module(module.inputs[...])
        seen = {
            "training": jax.vmap(lambda share: _loss(fitted, module.labels(share)))(shares),
            "training_wrong": jax.vmap(lambda share: _wrong(fitted, module.labels(share)))(shares),
        }
        for name, (x, y) in (("validation", validation), ("test", test)):
            outputs = module(jnp.asarray(x))
            seen[name] = _loss(outputs, jnp.asarray(y))
            seen[f"{name}_wrong"] = _wrong(outputs, jnp.asarray(y))
        return seen

    make: Callable[[nnx.Rngs], Student] = lambda rngs: Student(task, *pool, rngs)
    schedule = optax.cosine_decay_schedule(learning_rate, steps)
    rule = lambda: optax.adam(schedule)
    return Trainer(make, rule, steps, task.samples, squared_error, watch=look, every=every)


def _loss(outputs: Array, labels: Array) -> Array:
    return jnp.mean(jnp.sum((outputs - jax.nn.one_hot(labels, CLASSES)) ** 2, axis=-1))


def _wrong(outputs: Array, labels: Array) -> Array:
    return jnp.mean(jnp.argmax(outputs, axis=-1) != labels)

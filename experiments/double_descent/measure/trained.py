"""Networks of one hidden layer trained on few digits with wrong labels.  No SymPy here.

The training set of a run is part of the run's state: it is drawn from the run's own seed, so that
runs trained side by side have their own digits, wrong labels and weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
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
#: Hidden units that weights are drawn for, or the next power of two; a network uses the first of
#: them.  The widths then share what they are drawn from, numbers and compiled programs.
DRAWN = 512


class Data(nnx.Variable):
    """State that is data: it takes part in no gradient."""


@dataclass(frozen=True)
class Task:
    """What is trained.

    Args:
        samples: n, digits of a training set.
        width: Hidden units.
        pool: Digits the training sets are drawn from.
        validation: Digits of the validation set; the others are the test set.
        split: Seed of the shuffling of all digits into pool, validation and test.
    """

    samples: int
    width: int
    pool: int = 900
    validation: int = 300
    split: int = 0


class Student(nnx.Module):
    """tanh(x W_1 + b_1) W_2 + b_2 with sparse weights, and its training set.

    Args:
        task: What is trained.
        images: Inputs of the pool.
        classes: Classes of the pool.
        rngs: Random streams; digits, wrong labels and weights depend on them alone, so that
            label noises and densities share them.
        label_noise: Share of training labels replaced by another class.
        density: Share of the weights that exist; the others are 0 for ever.
    """

    def __init__(
        self,
        task: Task,
        images: np.ndarray,
        classes: np.ndarray,
        rngs: nnx.Rngs,
        label_noise: Array | float,
        density: Array | float,
    ):
        kernel, widths = initialiser("lecun").make(), (64, task.width, CLASSES)
        drawn = (64, max(DRAWN, 1 << (task.width - 1).bit_length()), CLASSES)
        keys = jax.random.split(rngs.params(), 7)
        self.kernels, self.masks, self.biases = nnx.List(), nnx.List(), nnx.List()
        for layer in range(2):
            (n, m), shape = widths[layer : layer + 2], drawn[layer : layer + 2]
            mask = jax.random.uniform(keys[layer + 2], shape)[:n, :m] < density
            # fewer inputs, larger weights: the variance counts those that exist
            larger = jnp.sqrt(shape[0] / (n * density))
            scaled = larger * kernel(keys[layer], shape)[:n, :m]
            self.kernels.append(nnx.Param(scaled * mask))
            self.masks.append(Data(mask.astype(scaled.dtype)))
            self.biases.append(nnx.Param(jnp.zeros(m)))
        rows = jax.random.permutation(keys[4], task.pool)[: task.samples]
        right = jnp.asarray(classes)[rows]
        wrong = (right + jax.random.randint(keys[5], rows.shape, 1, CLASSES)) % CLASSES
        is_wrong = jax.random.uniform(keys[6], rows.shape) < label_noise
        self.inputs = Data(jnp.asarray(images)[rows])
        self.labels = Data(jnp.where(is_wrong, wrong, right))

    def __call__(self, x: Array) -> Array:
        """The outputs, (batch, 10)."""
        for layer, (kernel, mask, bias) in enumerate(
            zip(self.kernels, self.masks, self.biases, strict=True)
        ):
            x = (jnp.tanh(x) if layer else x) @ (kernel[...] * mask[...]) + bias[...]
        return x


def train(
    task: Task,
    *,
    label_noise: Sequence[float],
    densities: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    every: int,
    learning_rate: float,
) -> Mapping[str, np.ndarray]:
    """Train on the whole training set at every step with Adam, from every seed.

    Args:
        task: What is trained.
        label_noise: Shares of wrong labels.
        densities: Shares of the weights that exist.
        seeds: One run for each label noise and density, with its own training set and weights.
        steps: Updates.
        every: Steps between two looks.
        learning_rate: Of Adam, decayed to 0 along a cosine.

    Returns:
        Curves (label noises, densities, runs, looks): "training", "validation" and "test", the
        squared errors, "training_wrong" and "test_wrong", the shares of wrong answers.
    """
    settings = {"label_noise": label_noise, "density": densities}
    trainer = _trainer(task, steps, every, learning_rate)
    # the whole training set is part of the module's state; what is passed counts its samples
    numbers = np.arange(task.samples)
    seen = trainer(numbers, numbers, seeds=seeds, settings=settings).watched
    shape = len(label_noise), len(densities), len(seeds), steps // every
    return {name: values.reshape(shape) for name, values in seen.items()}


@lru_cache(maxsize=1)
def _digits(pool: int, validation: int, split: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Pool, validation and test set: inputs and classes."""
    data = load("digits")
    order = np.random.default_rng(split).permutation(len(data))
    parts = np.split(order, [pool, pool + validation])
    return tuple((data.inputs[rows], data.targets[rows]) for rows in parts)


@lru_cache(maxsize=1)
def _trainer(task: Task, steps: int, every: int, learning_rate: float) -> Trainer:
    pool, *held_out = _digits(task.pool, task.validation, task.split)
    images, classes = (jnp.asarray(np.concatenate(each)) for each in zip(*held_out, strict=True))

    def look(module: Student) -> dict[str, Array]:
        own, outputs = module(module.inputs[...]), module(images)
        seen = {"training": _loss(own, module.labels[...])}
        seen["training_wrong"] = _wrong(own, module.labels[...])
        parts = slice(0, task.validation), slice(task.validation, None)
        for name, rows in zip(("validation", "test"), parts, strict=True):
            seen[name] = _loss(outputs[rows], classes[rows])
            seen[f"{name}_wrong"] = _wrong(outputs[rows], classes[rows])
        return seen

    schedule = optax.cosine_decay_schedule(learning_rate, steps)
    return Trainer(
        partial(Student, task, *pool),
        lambda: optax.adam(schedule),
        steps,
        task.samples,
        lambda module, *_: _loss(module(module.inputs[...]), module.labels[...]),
        initial=("label_noise", "density"),
        watch=look,
        every=every,
    )


def _loss(outputs: Array, labels: Array) -> Array:
    return jnp.mean(jnp.sum((outputs - jax.nn.one_hot(labels, CLASSES)) ** 2, axis=-1))


def _wrong(outputs: Array, labels: Array) -> Array:
    return jnp.mean(jnp.argmax(outputs, axis=-1) != labels)

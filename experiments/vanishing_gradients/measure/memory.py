"""Recurrent cells trained on the adding problem.  No SymPy and no theory here.

A sequence of T pairs: a number from U[0, 1] and a mark, which is 1 at two places, one in each half.
The answer is the sum of the two marked numbers (Hochreiter and Schmidhuber 1997).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optax
from flax import nnx

from diffkit.nets.recurrent import (
    Reader,
    gaussian_of_radius,
    lstm_cell,
    orthogonal_of_radius,
    plain_cell,
)
from diffkit.training.supervised import Trainer, squared_error

#: Name -> the cell, of two inputs.
CELLS: Mapping[str, Any] = {
    "gaussian": lambda units, rngs: plain_cell(2, units, gaussian_of_radius(1.0), rngs=rngs),
    "orthogonal": lambda units, rngs: plain_cell(2, units, orthogonal_of_radius(1.0), rngs=rngs),
    "lstm, bias 0": lambda units, rngs: lstm_cell(2, units, forget_bias=0.0, rngs=rngs),
    "lstm, bias 1": lambda units, rngs: lstm_cell(2, units, forget_bias=1.0, rngs=rngs),
}


def adding(samples: int, length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (samples, T, 2) and their answers (samples,)."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(size=(samples, length))
    half = length // 2
    places = random.integers((0, half), (half, length), size=(samples, 2))
    marks = np.zeros((samples, length))
    np.put_along_axis(marks, places, 1.0, axis=1)
    sequences = np.stack([numbers, marks], axis=2).astype(np.float32)
    return sequences, (numbers * marks).sum(axis=1).astype(np.float32)


def errors(
    name: str,
    length: int,
    *,
    units: int,
    samples: int,
    steps: int,
    batch: int,
    rate: float,
    seeds: Sequence[int],
) -> np.ndarray:
    """Mean squared error on new sequences after training with Adam, (seeds,).

    Args:
        name: A key of `CELLS`.
        length: T.
        units: Units of the cell.
        samples: Training sequences, drawn once; as many new ones are the test.
        steps: Updates.
        batch: Sequences of an update.
        rate: Step size of Adam; gradients are clipped to norm 1.
        seeds: Of weights and batches.
    """

    def make(rngs: nnx.Rngs) -> Reader:
        return Reader(CELLS[name](units, rngs), 1, rngs=rngs)

    rule = lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    trainer = Trainer(make, rule, steps, batch, squared_error)
    found = trainer(*adding(samples, length, 0), seeds)
    return found.evaluate(squared_error, *adding(samples, length, 1))

"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.lab.experiment import Record
from experiments.vanishing_gradients.figures import (
    batch_norm,
    depth,
    recurrent,
    trainability,
    training,
)

FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "profile": depth.profile,
    "histograms": depth.histograms,
    "memory": recurrent.memory,
    "explosion": batch_norm.explosion,
    "backpropagated": training.backpropagated,
    "small_gradients": trainability.small_gradients,
}

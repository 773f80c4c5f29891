"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.lab.experiment import Record
from experiments.vanishing_gradients.figures import depth

FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "profile": depth.profile,
    "histograms": depth.histograms,
}

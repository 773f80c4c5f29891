"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.lab.experiment import Record
from experiments.initialization.figures.learning import minima, starts, training
from experiments.initialization.figures.propagation import factor, finite_width, phase

FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "phase": phase,
    "factor": factor,
    "finite_width": finite_width,
    "training": training,
    "starts": starts,
    "minima": minima,
}

"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.lab.experiment import Record
from experiments.optimizers.figures.adaptive import largest_step
from experiments.optimizers.figures.learning_rate import learning_rate
from experiments.optimizers.figures.quadratics import expected_loss, noise_floor, stability

FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "stability": stability,
    "noise_floor": noise_floor,
    "expected_loss": expected_loss,
    "largest_step": largest_step,
    "learning_rate": learning_rate,
}

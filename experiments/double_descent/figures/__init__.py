"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.lab.experiment import Record
from experiments.double_descent.figures import (
    bias_variance,
    exact,
    random_features,
    ridge,
    trained,
)

FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "risk": exact.risk,
    "ridge": ridge.ridge,
    "digits": random_features.digits,
    "parts": bias_variance.parts,
    "trained": trained.trained,
}

"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.lab.experiment import Record
from experiments.double_descent.figures import exact, random_features, ridge

FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "risk": exact.risk,
    "ridge": ridge.ridge,
    "digits": random_features.digits,
}

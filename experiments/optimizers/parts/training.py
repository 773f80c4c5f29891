"""Ten optimisers over a grid of learning rates on digits: what the best rate of each reaches.

There is no theory of this part and no verdict on one; it says how wide the choice of the rate is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.bounds import at_least, at_most, positive
from diffkit.lab.outcome import Part
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from diffkit.problems.load import load
from experiments.optimizers.measure import networks as measure

NAME = "training"


@dataclass(frozen=True)
class TrainingConfig:
    """What is trained.

    Args:
        optimisers: Names.
        rates: Learning rates; each optimiser has all of them.
        seeds: Networks of each rate.
        batch: Samples of an update.
        steps: Updates.
    """

    optimisers: tuple[str, ...] = tuple(measure.OPTIMISERS)
    rates: tuple[float, ...] = (0.0001, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0)
    seeds: int = 3
    batch: int = 32
    steps: int = 1000


def check(config: TrainingConfig) -> None:
    """Refuse what cannot be trained."""
    at_least(1, config, "batch", part=NAME)
    at_most(len(load("digits")), config, "batch", part=NAME, why="as many digits as there are")
    positive(config, "rates", part=NAME)
    unknown = sorted(set(config.optimisers) - set(measure.OPTIMISERS))
    if unknown:
        raise UnknownNameError(
            f"training: no optimiser {unknown[0]!r}; known: {', '.join(measure.OPTIMISERS)}"
        )
    if not config.optimisers or config.seeds < 2 or config.steps < 10:
        raise UsageError("training: 1 optimiser, 1 rate, 2 seeds and 10 steps or more")


def run(config: Any, store: Store, progress: Progress) -> Part:
    """One cell for each optimiser."""
    asked: TrainingConfig = config.training
    check(asked)
    digits = load("digits")

    def cell(part: str, optimiser: str) -> Mapping[str, Any]:
        ends, accuracies = measure.race(
            digits.inputs,
            digits.targets,
            optimiser,
            rates=asked.rates,
            batch=asked.batch,
            steps=asked.steps,
            seeds=range(asked.seeds),
        )
        return {"losses": ends, "accuracies": accuracies}

    keys = [{"part": NAME, "optimiser": name} for name in asked.optimisers]
    found = store.map(cell, keys, progress)
    rows = [
        judge(name, asked, np.asarray(each["losses"]))
        for name, each in zip(asked.optimisers, found, strict=True)
    ]
    rows.sort(key=lambda row: row["loss"])
    statement = (
        f"with its best learning rate {rows[0]['optimiser']} ends lowest "
        f"({rows[0]['loss']:.4f}) and {rows[-1]['optimiser']} highest ({rows[-1]['loss']:.4f})"
    )
    data = {"name": digits.name, "source": digits.source, "checksum": digits.checksum}
    results = {"rows": rows, "rates": asked.rates, "data": data}
    return Part(NAME, "supported", statement, results)


def judge(name: str, config: TrainingConfig, losses: np.ndarray) -> dict[str, Any]:
    """The best rate of one optimiser, and how many rates come within a factor of 2 of its loss."""
    means = np.where(np.isfinite(losses).all(axis=1), losses.mean(axis=1), np.inf)
    best = int(np.argmin(means))
    return {
        "optimiser": name,
        "rate": config.rates[best],
        "loss": float(means[best]),
        "error": float(standard_error(losses[best])),
        "near": int(np.sum(means <= 2 * means[best])),
        "losses": [float(mean) if np.isfinite(mean) else None for mean in means],
    }

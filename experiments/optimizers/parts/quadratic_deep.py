"""The noisy quadratic of DeepOBS: expected training loss against the mean over shufflings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.comparison import LARGEST_Z
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from diffkit.problems.quadratic import BATCH, deep_quadratic
from experiments.optimizers.measure import batches as measure
from experiments.optimizers.theory import batches as theory

NAME = "quadratic_deep"


@dataclass(frozen=True)
class DeepConfig:
    """What is measured.

    Args:
        rates: Learning rate of each setting.
        momenta: Momentum of each setting, as many.
        epochs: Passes over the samples.
        shufflings: Independent runs of each setting.
        block: Runs of one cell of the run ledger.
    """

    rates: tuple[float, ...] = (0.01, 0.003)
    momenta: tuple[float, ...] = (0.0, 0.9)
    epochs: int = 20
    shufflings: int = 64
    block: int = 32

    @property
    def settings(self) -> list[tuple[float, float]]:
        """Pairs (learning rate, momentum)."""
        return list(zip(self.rates, self.momenta, strict=True))


def check(config: DeepConfig) -> None:
    """Refuse a configuration that has no answer."""
    if len(config.rates) != len(config.momenta) or not config.rates:
        raise UsageError("quadratic_deep: as many rates as momenta, 1 or more")
    if config.epochs < 1 or config.shufflings < 2 or config.block < 1:
        raise UsageError("quadratic_deep: 1 epoch, 2 shufflings and a block of 1 or more")
    for rate, momentum in config.settings:
        if not (rate > 0 and 0 <= momentum < 1):
            raise UsageError("quadratic_deep: a rate above 0 and a momentum in [0, 1)")


def run(config: Any, store: Store, progress: Progress) -> Part:
    """One cell for each setting and block of shufflings."""
    asked: DeepConfig = config.quadratic_deep
    check(asked)
    problem = deep_quadratic()

    def cell(part: str, rate: float, momentum: float, first: int) -> Mapping[str, Any]:
        losses = measure.losses(
            problem,
            step=rate,
            momentum=momentum,
            batch=BATCH,
            epochs=asked.epochs,
            shufflings=range(first, min(first + asked.block, asked.shufflings)),
            seed=config.seed,
        )
        return {"losses": losses}

    firsts = range(0, asked.shufflings, asked.block)
    keys = [
        {"part": NAME, "rate": rate, "momentum": momentum, "first": first}
        for rate, momentum in asked.settings
        for first in firsts
    ]
    found = iter(store.map(cell, keys, progress))
    rows = []
    for rate, momentum in asked.settings:
        losses = np.concatenate([np.asarray(next(found)["losses"]) for _ in firsts])
        rows.append(judge(problem, rate, momentum, losses))
    return outcome(asked, rows)


def judge(problem: Any, rate: float, momentum: float, losses: np.ndarray) -> dict[str, Any]:
    """One setting: the mean loss after every epoch, exact and by the control."""
    in_epoch = len(problem.samples) // BATCH
    epochs = losses.shape[1] - 1
    predictions = [
        theory.expected_loss(
            (problem.curvatures, *problem.modes),
            step=rate,
            momentum=momentum,
            batch=BATCH,
            samples=len(problem.samples),
            steps=in_epoch * epochs,
            is_reshuffled=is_reshuffled,
        )
        for is_reshuffled in (True, False)
    ]
    exact, control = (each[::in_epoch] for each in predictions)
    mean, error = losses.mean(axis=0), standard_error(losses)
    error[0] = np.inf  # every run starts at the same loss
    return {
        "rate": rate,
        "momentum": momentum,
        "epochs": np.arange(epochs + 1),
        "mean": mean,
        "error": error[1:],
        "exact": exact,
        "control": control,
        "z": (mean - exact)[1:] / error[1:],
        "z_of_control": (mean - control)[1:] / error[1:],
        "curve": predictions[0],
        "floor": float(theory.least_loss(problem.curvatures, problem.modes)),
    }


def outcome(config: DeepConfig, rows: list[dict[str, Any]]) -> Part:
    """Join the settings."""
    largest = max(float(np.abs(row["z"]).max()) for row in rows)
    blind = min(float(np.abs(row["z_of_control"]).max()) for row in rows)
    count = sum(len(row["z"]) for row in rows)
    statement = (
        f"the mean training loss of {config.shufflings} shufflings lies within |z| = "
        f"{largest:.1f} of the expectation after each of {count} epochs; batches drawn with "
        f"replacement would miss it by |z| = {blind:.0f}"
    )
    return Part(
        NAME,
        judged(misses=largest >= LARGEST_Z, is_blind=blind < LARGEST_Z),
        statement,
        {
            "rows": rows,
            "largest_z": largest,
            "z_of_control": blind,
            "epochs": count,
            "laws": [law.to_dict() for law in theory.laws()],
        },
    )

"""Does the test error fall a second time beyond as many features as samples, and by how much?

Refuted if the mean over independent training sets misses the exact error of any width by 3
standard errors or more; the negative control (the limit of many samples) must miss it somewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.double_descent import measure, theory

QUESTION = (
    "Does the test error of least squares fall a second time beyond p = n, as its exact risk says? "
    "Refuted by a width whose mean misses it by 3 standard errors."
)
#: Within so many features of the threshold the variance over training sets is infinite or nearly.
HEAVY_TAILS = 5
LARGEST_Z = 3.0


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        samples: n.
        features: D, how many there are; the first p are used.
        widths: The p that are measured, none within 5 of n.
        decay: b_j^2 falls as j^-decay.
        noise: Var e; the signal has variance 1 - noise.
        draws: Independent training sets, >= 1000 for a z-score; the widths share them.
        block: Training sets of one cell of the run ledger.
        seed: Root of all random streams.
    """

    samples: int = 50
    features: int = 100
    widths: tuple[int, ...] = (
        1, 2, 4, 6, 9, 12, 16, 20, 25, 30, 35, 39, 42, 45, 55, 58, 61, 65, 70, 75, 80, 90, 100,
    )  # fmt: skip
    decay: float = 0.75
    noise: float = 0.05
    draws: int = 4000
    block: int = 500
    seed: int = 0


def check(config: Config) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    close = [p for p in config.widths if abs(p - config.samples) < HEAVY_TAILS]
    if close:
        raise UsageError(
            f"widths {close} are within {HEAVY_TAILS} of samples = {config.samples}, where the "
            "variance over training sets is infinite; leave them out"
        )
    if not config.widths or min(config.widths) < 1 or max(config.widths) > config.features:
        raise UsageError(f"widths must lie between 1 and features = {config.features}")
    if len(set(config.widths)) < len(config.widths):
        raise UsageError("a width occurs twice; list each one once")
    if not 0 < config.noise < 1:
        raise UsageError(f"noise = {config.noise}; the share of the noise lies between 0 and 1")
    if config.draws < 2 or config.samples < 1 or config.block < 1:
        raise UsageError("draws must be at least 2, samples and block at least 1")


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """One cell for each block of training sets; judge every width."""
    check(config)
    squares = theory.coefficients(config.features, config.decay, config.noise)
    keys = [{"first": first} for first in range(0, config.draws, config.block)]

    def cell(first: int) -> Mapping[str, Any]:
        errors = measure.test_errors(
            squares,
            config.noise,
            samples=config.samples,
            widths=config.widths,
            draws=range(first, min(first + config.block, config.draws)),
            seed=config.seed,
        )
        return {"errors": errors}

    errors = np.concatenate([found["errors"] for found in store.map(cell, keys, progress)])
    rows = [
        judge(config, squares, used, column)
        for used, column in zip(config.widths, errors.T, strict=True)
    ]
    return outcome(config, squares, rows)


def judge(config: Config, squares: np.ndarray, used: int, errors: np.ndarray) -> dict[str, Any]:
    """One width: the mean over training sets against the exact error and against the control."""
    mean, error = float(errors.mean()), float(errors.std(ddof=1) / np.sqrt(errors.size))
    exact = theory.test_error(config.samples, used, squares, config.noise)
    limit = theory.limit(config.samples, used, squares, config.noise)
    return {
        "used": used,
        "measured": mean,
        "standard_error": error,
        "exact": exact,
        "limit": limit,
        "z": (mean - exact) / error,
        "z_of_control": (mean - limit) / error,
    }


def outcome(config: Config, squares: np.ndarray, rows: Sequence[Mapping[str, Any]]) -> Outcome:
    """Join the judged widths into the finding."""
    worst = max(rows, key=lambda row: abs(row["z"]))
    control = max(rows, key=lambda row: abs(row["z_of_control"]))
    agree = sum(abs(row["z"]) < LARGEST_Z for row in rows)
    is_blind = abs(control["z_of_control"]) < LARGEST_Z
    statement = (
        f"{agree} of {len(rows)} widths lie within {LARGEST_Z:g} standard errors of the exact test "
        f"error, the worst at z = {worst['z']:.2f} (p = {worst['used']}); the limit of many "
        f"samples is off by z = {control['z_of_control']:.1f} at p = {control['used']}"
    )
    drawn = list(range(1, config.features + 1))
    return Outcome(
        {
            "rows": list(rows),
            "curves": {
                "used": drawn,
                **theory.curves(config.samples, drawn, squares, config.noise),
            },
            "laws": [law.to_dict() for law in theory.laws()],
            "data": {"name": "Gaussian teacher", "source": "drawn"},
        },
        "refuted" if agree < len(rows) else ("undecided" if is_blind else "supported"),
        statement,
        dtype="float64",
        seeds=(config.seed,),
    )


EXPERIMENT = Experiment(
    name="double_descent",
    question=QUESTION,
    config=Config,
    presets={
        "quick": Preset(Config(), budget=40.0),
        "full": Preset(Config(draws=40_000, block=4000), budget=900.0),
    },
    run=run,
)

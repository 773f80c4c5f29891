"""The part "batch_norm": gradients of ReLU layers grow under batch normalisation.

Refuted if, for a batch size, the growth extrapolated to infinite width misses the exact factor by
3 standard errors.  Controls by the same test: the limit of large batches must miss at the smallest
batch, the factor without normalisation everywhere.
"""

from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.comparison import LARGEST_Z, intercept, mean
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.vanishing_gradients.config import NARROWEST, BatchNorm, Config
from experiments.vanishing_gradients.measure import batch_norm as measure
from experiments.vanishing_gradients.theory import batch_norm as theory

#: A unit's factor is heavy-tailed, P(> x) ~ x^{-(B - 1)/2}, as the inverse of the variance of B
#: samples: its mean exists for B > 3, its variance, and so a drift of the order 1/n, for B > 5.
HEAVY = 5


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each batch size and width."""
    asked = config.batch_norm
    check(asked)
    keys = [
        {"part": "batch_norm", "batch": batch, "width": width}
        for batch in asked.batches
        for width in widths(asked, batch)
    ]

    def cell(part: str, batch: int, width: int) -> Mapping[str, np.ndarray]:
        found = measure.log_growth(
            batch,
            width,
            depth=asked.depth,
            skip=asked.skip,
            networks=asked.networks,
            seed=asked.seed,
        )
        return {"log_growth": found}

    cells = dict(
        zip(
            ((key["batch"], key["width"]) for key in keys),
            (found["log_growth"] for found in store.map(cell, keys, progress)),
            strict=True,
        )
    )
    return judge(
        asked,
        [
            row(batch, {width: cells[batch, width] for width in widths(asked, batch)})
            for batch in asked.batches
        ],
    )


def check(config: BatchNorm) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    if not config.batches or min(config.batches) <= HEAVY:
        raise UsageError(
            f"batch_norm: batches must be larger than {HEAVY}; up to there the factor of a unit "
            "has no variance, and what is lost to the width no expansion in 1/n"
        )
    if len(set(config.factors)) < 2 or min(config.factors) < 1:
        raise UsageError("batch_norm: two or more factors >= 1 are needed to extrapolate")
    if config.networks < 2 or config.depth - 1 - 2 * config.skip < 1 or config.skip < 0:
        raise UsageError("batch_norm: networks must be 2 or more, depth more than 2 skip + 1")


def widths(config: BatchNorm, batch: int) -> list[int]:
    """Widths that are measured with a batch: what is lost to the width is of the order B/n."""
    return [factor * max(batch, NARROWEST) for factor in sorted(config.factors)]


def row(batch: int, found: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """One batch size: the growth at infinite width against the exact factor and the controls."""
    points = {width: mean(samples) for width, samples in found.items()}
    limit = intercept([1 / width for width in points], list(points.values()))
    predicted = theory.log_growth(batch)
    return {
        "batch": batch,
        "widths": list(points),
        "by_width": [point.value for point in points.values()],
        "by_width_error": [point.error for point in points.values()],
        "measured": limit.value,
        "error": limit.error,
        "predicted": predicted,
        "z": limit.z(predicted),
        "z_of_limit": limit.z(theory.limit()),
        "z_without": limit.z(theory.without_normalisation()),
    }


def judge(config: BatchNorm, rows: list[dict[str, Any]]) -> Part:
    """Join the rows into the finding."""
    worst = max(rows, key=lambda each: abs(each["z"]))
    smallest = min(rows, key=lambda each: each["batch"])
    misses = [abs(each["z"]) >= LARGEST_Z for each in rows]
    is_blind = abs(smallest["z_of_limit"]) < LARGEST_Z or any(
        abs(each["z_without"]) < LARGEST_Z for each in rows
    )
    statement = (
        f"{misses.count(False)} of {len(rows)} batch sizes grow by the exact factor, the worst at "
        f"z = {worst['z']:.1f} (B = {worst['batch']}); at B = {smallest['batch']} it is "
        f"{exp(smallest['measured']):.3f} and the limit of large batches is off by z = "
        f"{smallest['z_of_limit']:.0f}"
    )
    drawn = sorted({*np.unique(np.geomspace(5, 512, 40).round().astype(int)), *config.batches})
    results = {
        "rows": rows,
        "curve": {
            "batch": [int(each) for each in drawn],
            "exact": [theory.log_growth(int(each)) for each in drawn],
            "limit": theory.limit(),
            "without": theory.without_normalisation(),
        },
        "laws": [law.to_dict() for law in theory.laws()],
    }
    return Part("batch_norm", judged(misses=any(misses), is_blind=is_blind), statement, results)

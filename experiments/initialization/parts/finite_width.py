"""Exact moments of finite ReLU layers against lengths of tangents."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least
from diffkit.lab.comparison import LARGEST_Z, mean
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.initialization.config import Config, FiniteWidth, networks
from experiments.initialization.measure.finite_width import log_tangents
from experiments.initialization.theory import finite_width as theory

#: Layers whose second moment is tested: with depth it becomes that of a rare, long tail.
SHALLOW = 2


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each width; judge the mean and variance of the log and the second moment."""
    asked = config.finite_width
    check(asked)

    def cell(part: str, width: int) -> Mapping[str, Any]:
        logs = log_tangents(
            width=width, depth=asked.depth, networks=networks(asked, width), seed=asked.seed
        )
        return {"logs": logs[:, [SHALLOW - 1, -1]].astype(np.float32)}

    keys = [{"part": "finite_width", "width": width} for width in asked.widths]
    cells = store.map(cell, keys, progress)
    rows = [
        judge(asked, width, cell["logs"].astype(np.float64))
        for width, cell in zip(asked.widths, cells, strict=True)
    ]
    return part_of(asked, rows)


def check(asked: FiniteWidth) -> None:
    """Refuse a configuration without a second moment to test."""
    at_least(1, asked, "widths", part="finite_width")
    if asked.depth < SHALLOW or min(asked.widths) < 2 or networks(asked, max(asked.widths)) < 100:
        raise UsageError(
            "finite_width needs depth >= 2, widths >= 2 and 100 networks of each width"
        )


def judge(asked: FiniteWidth, width: int, logs: np.ndarray) -> dict[str, Any]:
    """Three statistics of one width in standard errors, and the control's."""
    deep = logs[:, 1][np.isfinite(logs[:, 1])]
    drift, variance = theory.log_moments(width, asked.depth)
    found = mean(deep)
    squares = (deep - found.value) ** 2
    seconds = np.exp(2 * logs[:, 0])  # a dead network counts as 0
    first_order = theory.first_order(width, asked.depth)
    return {
        "width": width,
        "networks": len(logs),
        "dead": len(logs) - deep.size,
        "mean": found.value,
        "mean_error": found.error,
        "predicted_mean": drift,
        "first_order": first_order,
        "variance": float(squares.mean()),
        "predicted_variance": variance,
        "second_moment": float(seconds.mean()),
        "predicted_second_moment": theory.second_moment(width, SHALLOW),
        "z": {
            "mean": found.z(drift),
            "variance": mean(squares).z(variance),
            "second moment": mean(seconds).z(theory.second_moment(width, SHALLOW)),
        },
        "z_of_control": found.z(first_order),
    }


def part_of(asked: FiniteWidth, rows: Sequence[Mapping[str, Any]]) -> Part:
    """Join the judged widths."""
    scores = [(abs(z), name, row["width"]) for row in rows for name, z in row["z"].items()]
    z, name, width = max(scores)
    outside = sum(score[0] >= LARGEST_Z for score in scores)
    control = max(abs(row["z_of_control"]) for row in rows)
    statement = (
        f"{len(scores) - outside} of {len(scores)} moments of {asked.depth} ReLU layers are within "
        f"{LARGEST_Z:g} standard errors of the exact ones, the worst at |z| = {z:.1f} ({name}, "
        f"n = {width}); the drift -5L/2n, exact to first order only, is off by |z| = {control:.0f}"
    )
    status = judged(misses=outside > 0, is_blind=control < LARGEST_Z)
    results = {
        "rows": list(rows),
        "depth": asked.depth,
        "laws": [law.to_dict() for law in theory.laws()],
    }
    return Part("finite_width", status, statement, results)

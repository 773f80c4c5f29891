"""Trained networks have their peak where the parameters are as many as the numbers to be fitted.

Refuted if, with the most label noise, the mean test error is largest at a width whose parameters
are not within a factor of 2 of n K (n samples, K outputs), or if it does not fall from there to
the widest network by 3 standard errors.  The negative control, as many parameters as samples,
must be off by more than that factor.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, positive
from diffkit.lab.comparison import paired
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from diffkit.problems.load import load
from experiments.double_descent.config import Config, Trained
from experiments.double_descent.measure import trained as measure
from experiments.double_descent.parts import training_claims

#: The peak lies within this factor of its predicted place.
FACTOR = 2.0
Found = Mapping[str, np.ndarray]


def check(config: Trained) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    at_least(1, config, "widths", "steps", part="trained")
    positive(config, "learning_rate", part="trained")
    if list(config.widths) != sorted(set(config.widths)) or len(config.widths) < 2:
        raise UsageError("trained: list two or more widths in rising order")
    if list(config.densities) != sorted(set(config.densities), reverse=True):
        raise UsageError("trained: list the densities in falling order")
    if len(config.densities) < 2 or config.densities[0] != 1 or config.densities[-1] <= 0:
        raise UsageError("trained: two or more densities, from 1 to a positive number")
    if list(config.label_noise) != sorted(set(config.label_noise)) or not config.label_noise:
        raise UsageError("trained: list the shares of wrong labels in rising order")
    if not 0 <= config.label_noise[0] <= config.label_noise[-1] <= 1:
        raise UsageError("trained: label_noise lies between 0 and 1")
    if config.runs < 2 or config.dense_width < 1 or not 1 <= config.samples <= 900:
        raise UsageError("trained: 2 or more runs, dense_width 1 or more, 1 to 900 samples")
    if config.every < 1 or config.steps % config.every:
        raise UsageError(f"trained: every divides steps = {config.steps}")


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each width, and one for all densities."""
    mine = config.trained
    check(mine)

    def cell(part: str, width: int, densities: Sequence[float]) -> Found:
        return measure.train(
            measure.Task(mine.samples, width),
            label_noise=mine.label_noise,
            densities=densities,
            seeds=range(mine.seed, mine.seed + mine.runs),
            steps=mine.steps,
            every=mine.every,
            learning_rate=mine.learning_rate,
        )

    keys = [{"part": "trained", "width": width, "densities": [1.0]} for width in mine.widths]
    keys.append({"part": "trained", "width": mine.dense_width, "densities": list(mine.densities)})
    *widths, sparse = store.map(cell, keys, progress)
    return finding(
        mine,
        [_of_density(found, 0) for found in widths],
        [_of_density(sparse, place) for place in range(len(mine.densities))],
    )


def _of_density(found: Found, place: int) -> Found:
    """Curves (label noises, runs, looks) of one density."""
    return {name: values[:, place] for name, values in found.items()}


def parameters(width: int) -> int:
    """Weights and biases of a network of 64 inputs and 10 outputs."""
    return (64 + 1) * width + (width + 1) * measure.CLASSES


def finding(config: Trained, widths: Sequence[Found], densities: Sequence[Found]) -> Part:
    """Judge the place of the peak, and decide the claims.

    Args:
        config: What was trained.
        widths: Curves (label noises, runs, looks) of every width.
        densities: The same of every density.
    """
    last = np.stack([found["test"][-1, :, -1] for found in widths])  # (widths, runs), most noise
    peak = int(last.mean(axis=1).argmax())
    fitted, count = config.samples * measure.CLASSES, parameters(config.widths[peak])
    fall = paired(last[peak], last[-1])
    misses = not (1 / FACTOR <= count / fitted <= FACTOR) or not fall.exceeds()
    is_blind = 1 / FACTOR <= count / config.samples <= FACTOR
    share = 100 * config.label_noise[-1]
    statement = (
        f"with {share:g} % wrong labels the test error of trained networks is largest at "
        f"{config.widths[peak]} hidden units, {count / fitted:.2f} parameters a number to be "
        f"fitted ({count / config.samples:.0f} a sample); it falls by {fall} to the widest"
    )
    results = {
        "rows": [
            _row(config, {"width": width, "parameters": parameters(width)}, found, level)
            for level in range(len(config.label_noise))
            for width, found in zip(config.widths, widths, strict=True)
        ],
        "sparse": [
            _row(config, {"density": density}, found, level)
            for level in range(len(config.label_noise))
            for density, found in zip(config.densities, densities, strict=True)
        ],
        "curves": _curves(config, widths),
        "peak": {"width": config.widths[peak], "ratio": count / fitted},
        "data": load("digits").describe(),
        "dtype": "float32",
    }
    claims = training_claims.decide(config, widths, densities)
    return Part("trained", judged(misses=misses, is_blind=is_blind), statement, results, claims)


def _row(config: Trained, label: Mapping[str, Any], found: Found, level: int) -> dict[str, Any]:
    """Means over the runs at the end, and where the validation error was least."""
    row: dict[str, Any] = {**label, "label_noise": config.label_noise[level]}
    for name in ("training", "test", "training_wrong", "test_wrong"):
        values = found[name][level, :, -1]
        row[name] = float(values.mean())
        row[f"{name}_error"] = float(standard_error(values))
    stop = training_claims.stops(found, level)
    stopped = np.take_along_axis(found["test"][level], stop[:, None], axis=1)[:, 0]
    reached = training_claims.steps_to_fit(config, found, level)
    return {
        **row,
        "stopped_test": float(stopped.mean()),
        "stopped_test_error": float(standard_error(stopped)),
        "steps": float(np.median(reached)),
    }


def _curves(config: Trained, widths: Sequence[Found]) -> list[dict[str, Any]]:
    """Mean training and test error along the training of the widest network."""
    looks = (np.arange(config.steps // config.every) + 1) * config.every
    return [
        {
            "label_noise": share,
            "width": config.widths[-1],
            "steps": looks.tolist(),
            "training": widths[-1]["training"][level].mean(axis=0).round(6).tolist(),
            "test": widths[-1]["test"][level].mean(axis=0).round(6).tolist(),
            "test_error": standard_error(widths[-1]["test"][level]).round(6).tolist(),
        }
        for level, share in enumerate(config.label_noise)
    ]

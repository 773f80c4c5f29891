"""The part "training": histograms of back-propagated gradients while a network is trained.

After Glorot and Bengio (2010), figure 7.  Refuted if, at the start, the ratio of the first hidden
layer's gradients to the last one's misses its mean-field value by more than 3 standard errors plus
the finite-width allowance; the control (equal gradients in all layers) must miss it everywhere.
"""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, known, positive
from diffkit.lab.comparison import LARGEST_Z, mean, verdict_of
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.initialisers import initialiser
from diffkit.nets.mlp import activation
from diffkit.problems.load import load
from experiments.vanishing_gradients.config import Config, Training
from experiments.vanishing_gradients.measure import training as measure
from experiments.vanishing_gradients.theory import training as theory

#: Gradients of the first hidden layer below this share of the last one's are called vanished.
VANISHED = 0.5
CLASSES = 10


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each activation and initialiser."""
    asked = config.training
    check(asked)
    data = load("digits").take(range(asked.samples))
    keys = [
        {"part": "training", "activation": phi, "initialiser": name}
        for phi in asked.activations
        for name in asked.initialisers
    ]

    def cell(part: str, activation: str, initialiser: str) -> Mapping[str, np.ndarray]:
        return measure.gradients(
            activation,
            initialiser,
            data.inputs,
            data.targets,
            width=asked.width,
            layers=asked.layers,
            classes=CLASSES,
            rate=asked.rate,
            batch=asked.batch,
            moments=asked.moments,
            networks=asked.networks,
            seed=asked.seed,
        )

    square = float(np.mean(data.inputs.astype(float) ** 2))
    rows = [
        row(asked, key["activation"], key["initialiser"], square, found)
        for key, found in zip(keys, store.map(cell, keys, progress), strict=True)
    ]
    return judge(asked, rows)


def check(config: Training) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    moments = config.moments
    if not moments or moments[0] != 0 or list(moments) != sorted(set(moments)):
        raise UsageError("training: moments must ascend from 0")
    if config.layers < 2 or config.networks < 2:
        raise UsageError("training: layers and networks must be 2 or more")
    if not 1 <= config.samples <= len(load("digits")):
        raise UsageError(f"training: samples must lie between 1 and {len(load('digits'))}")
    known(activation, config, "activations", part="training")
    known(initialiser, config, "initialisers", part="training")
    at_least(1, config, "width", "batch", part="training")
    at_least(0, config, "allowance", part="training")
    positive(config, "rate", part="training")


def row(
    config: Training, activation: str, name: str, square: float, found: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """One activation and initialiser: ratio of first to last layer at every moment."""
    logs = found["log_std"].astype(float)  # (networks, moments, layers)
    ratios = [mean(logs[:, moment, 0] - logs[:, moment, -1]) for moment in range(logs.shape[1])]
    slopes = [
        mean(np.polyfit(np.arange(config.layers), each.T, 1)[0]) for each in logs.swapaxes(0, 1)
    ]
    kind = initialiser(name)
    predicted = theory.log_ratio(
        activation,
        config.layers,
        square,
        kind.sigma_w(64, config.width),
        kind.sigma_w(config.width, config.width),
    )
    start = ratios[0]
    allowed = LARGEST_Z * start.error + config.allowance * (config.layers - 1) / config.width / 2
    return {
        "activation": activation,
        "initialiser": name,
        "predicted": predicted,
        "allowed": allowed,
        "agrees": bool(abs(start.value - predicted) <= allowed),
        "control_agrees": bool(abs(start.value) <= allowed),
        "ratio": [each.value for each in ratios],
        "ratio_error": [each.error for each in ratios],
        "slope": [each.value for each in slopes],
        "slope_error": [each.error for each in slopes],
        "vanishes": [each.is_below(log(VANISHED)) for each in ratios],
        "loss": found["loss"].astype(float).mean(axis=0).tolist(),
        "counts": found["counts"].astype(int).tolist(),
    }


def judge(config: Training, rows: Sequence[Mapping[str, Any]]) -> Part:
    """Join the rows into the finding and decide C051."""
    wrong = [each for each in rows if not each["agrees"]]
    blind = [each for each in rows if each["control_agrees"]]
    worst = max(rows, key=lambda each: abs(each["ratio"][0] - each["predicted"]) / each["allowed"])
    statement = (
        f"{len(rows) - len(wrong)} of {len(rows)} cells start with the predicted ratio of first to "
        f"last layer, the worst ({worst['activation']}, {worst['initialiser']}) at "
        f"{exp(worst['ratio'][0]):.4f} against {exp(worst['predicted']):.4f}; equal gradients fail "
        f"in {len(rows) - len(blind)} of {len(rows)}"
    )
    return Part(
        "training",
        judged(misses=bool(wrong), is_blind=bool(blind)),
        statement,
        {
            "rows": list(rows),
            "edges": [float(measure.EDGES[0]), float(measure.EDGES[-1]), len(measure.EDGES)],
            "moments": list(config.moments),
            "data": load("digits").describe(),
        },
        [decide(rows)],
    )


def decide(rows: Sequence[Mapping[str, Any]]) -> Decided:
    """C051: gradients of layers far from the output vanish, as the histograms at the start show."""
    shares = "; ".join(
        f"{row['activation']} {row['initialiser']} {exp(row['ratio'][0]):.2g} at the start and "
        f"{exp(row['ratio'][-1]):.2g} at the end"
        for row in rows
    )
    return Decided(
        "C051",
        verdict_of([row["vanishes"][0] for row in rows]),
        f"first hidden layer's gradients over the last one's: {shares}; called vanished below "
        f"{VANISHED:g} by 3 standard errors at the start",
    )

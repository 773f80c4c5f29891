"""The part "depth": gradients of random networks, layer by layer.

Refuted if, in any cell, the measured per-layer log factor of E||g||^2 misses the prediction
by more than 3 standard errors plus the finite-width allowance; the negative control (the
steepest slope in place of the mean square slope) must miss it in every cell.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.lab.bounds import at_least, at_most, known
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.initialisers import initialiser
from diffkit.nets.mlp import activation
from diffkit.problems.load import load
from experiments.vanishing_gradients.config import Config
from experiments.vanishing_gradients.measure import depth as measure
from experiments.vanishing_gradients.parts import depth_claims
from experiments.vanishing_gradients.theory import depth as theory


def inputs(config: Config) -> np.ndarray:
    """The first handwritten digits of scikit-learn, each scaled to unit mean square."""
    images = load("digits").inputs[: config.batch]
    return images / np.sqrt(np.mean(images**2, axis=1, keepdims=True))


def shown_layers(depth: int) -> list[int]:
    """The four layers whose histograms are kept: first, last and two between."""
    return sorted({1, round(depth / 3), round(2 * depth / 3), depth})


def cell(config: Config, images: np.ndarray, initialiser: str, first: int) -> dict[str, np.ndarray]:
    """Measure every activation on one block of networks; activation and quantity name an array."""
    found = measure.gradients(
        config.activations,
        initialiser,
        images,
        measure.Sizes(images.shape[1], config.width, config.depth),
        networks=range(first, min(first + config.block, config.networks)),
        seed=config.seed,
        layers=shown_layers(config.depth),
    )
    return {
        f"{activation} {name}": array
        for activation, measured in found.items()
        for name, array in vars(measured).items()
    }


def run(config: Config, store: Store, progress: Progress) -> Part:
    """Fill the grid initialiser x block of networks and judge activation x initialiser."""
    check(config)
    images = inputs(config)
    keys = [
        {"initialiser": name, "first": first}
        for name in config.initialisers
        for first in range(0, config.networks, config.block)
    ]
    cells = store.map(lambda **key: cell(config, images, **key), keys, progress)
    rows = []
    for name in config.initialisers:
        blocks = [
            found for key, found in zip(keys, cells, strict=True) if key["initialiser"] == name
        ]
        rows += [judge(config, activation, name, blocks) for activation in config.activations]
    return part(config, rows)


def check(config: Config) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    known(activation, config, "activations")
    known(initialiser, config, "initialisers")
    at_least(1, config, "width", "block", "batch")
    at_least(2, config, "depth", "networks")
    at_least(0, config, "allowance")
    at_most(len(load("digits")), config, "batch", why="as many digits as there are")


def part(config: Config, rows: Sequence[Mapping[str, Any]]) -> Part:
    """Join the judged rows into the finding."""
    wrong = [row for row in rows if not row["agrees"]]
    blind = [row for row in rows if row["control_agrees"]]
    worst = max(rows, key=lambda row: row["miss"] / row["allowed"])
    statement = (
        f"{len(rows) - len(wrong)} of {len(rows)} cells agree with chi; worst miss "
        f"{worst['miss']:.4f} of {worst['allowed']:.4f} allowed per layer "
        f"({worst['activation']}, {worst['initialiser']}); the control fails in "
        f"{len(rows) - len(blind)} of {len(rows)}"
    )
    return Part(
        "depth",
        judged(misses=bool(wrong), is_blind=bool(blind)),
        statement,
        {
            "rows": list(rows),
            "edges": [float(measure.EDGES[0]), float(measure.EDGES[-1]), len(measure.EDGES)],
            "data": load("digits").describe(),
        },
        depth_claims.decide(rows),
    )


def judge(
    config: Config, activation: str, name: str, blocks: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, Any]:
    """Compare one cell of the table with the prediction and with the negative control."""
    sigma_w = initialiser(name).sigma_w(config.width, config.width)
    predicted = np.array(theory.log_profile(activation, sigma_w, config.depth))
    control = theory.control_profile(activation, sigma_w, config.depth)
    log_square = np.concatenate([block[f"{activation} log_square"] for block in blocks])
    measured, error = log_mean(log_square.astype(np.float64))
    layers = config.depth - 1
    allowed = 3 * error[0] / layers + config.allowance / config.width
    miss = (measured[0] - predicted[0]) / layers
    control_miss = (measured[0] - control[0]) / layers
    return {
        "activation": activation,
        "initialiser": name,
        "sigma_w": sigma_w,
        "measured": measured.round(6).tolist(),
        "standard_error": error.round(6).tolist(),
        "predicted": predicted.round(6).tolist(),
        "control": [round(value, 6) for value in control],
        "factor_measured": measured[0] / layers,
        "factor_predicted": predicted[0] / layers,
        "factor_control": control[0] / layers,
        "factor_error": error[0] / layers,
        "miss": abs(miss),
        "allowed": allowed,
        "agrees": bool(abs(miss) <= allowed),
        "control_agrees": bool(abs(control_miss) <= allowed),
        "histograms": histograms(config, activation, blocks),
    }


def log_mean(log_square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log of the mean over networks of ||g_l||^2 / ||g_L||^2, and its jackknife standard error."""
    networks = log_square.shape[0]
    peak = log_square.max(axis=0)
    ratios = np.exp(log_square - peak)
    total = ratios.sum(axis=0)
    value = peak + np.log(total / networks)
    without = peak + np.log((total - ratios) / (networks - 1))
    spread = (without - without.mean(axis=0)) ** 2
    return value, np.sqrt((networks - 1) / networks * spread.sum(axis=0))


def histograms(
    config: Config, activation: str, blocks: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, Any]]:
    """Counts of log10 |dL/dh_l| over all networks, empty bins at both ends left out."""
    counts = np.sum([block[f"{activation} counts"] for block in blocks], axis=0)
    zeros = np.sum([block[f"{activation} zeros"] for block in blocks], axis=0)
    found = []
    for layer, row, zero in zip(shown_layers(config.depth), counts, zeros, strict=True):
        filled = np.flatnonzero(row)
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 0)
        found.append(
            {"layer": layer, "first": first, "counts": row[first:last].tolist(), "zeros": int(zero)}
        )
    return found

"""Do gradients vanish with depth as mean-field theory says?

Refuted if, in any cell, the measured per-layer log factor of E||g||^2 misses the prediction
by more than 3 standard errors plus the finite-width allowance; the negative control (the
steepest slope in place of the mean square slope) must miss it in every cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.initialisers import initialiser
from diffkit.problems.load import load
from experiments.vanishing_gradients import measure, theory

QUESTION = (
    "Do gradients vanish with depth at the rate chi that Gaussian integrals predict? Refuted by "
    "a cell that misses it by more than 3 standard errors + 5/n per layer."
)


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        activations: Activations, names of `diffkit.nets.mlp.ACTIVATIONS`.
        initialisers: Names of `diffkit.nets.initialisers.INITIALISERS`.
        width: n, units per layer; mean-field theory is the limit of large n.
        depth: L, layers; beyond 60 the gradients of sigmoid leave the range of float32.
        networks: Independent networks of each initialiser; the activations share them.
        block: Networks of one cell of the run ledger.
        batch: Digits shown to each network.
        seed: Root of all random streams.
        allowance: Bias allowed per layer in units of 1/width.  The exact drift of the mean log
            norm of ReLU layers is 5/(2n); the other activations have corrections of that order.
    """

    activations: tuple[str, ...] = ("sigmoid", "tanh", "relu", "swish")
    initialisers: tuple[str, ...] = ("lecun", "glorot", "he", "orthogonal")
    width: int = 256
    depth: int = 30
    networks: int = 16
    block: int = 8
    batch: int = 8
    seed: int = 0
    allowance: float = 5.0


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


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """Fill the grid initialiser x block of networks and judge activation x initialiser."""
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
    return outcome(config, rows)


def outcome(config: Config, rows: Sequence[Mapping[str, Any]]) -> Outcome:
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
    return Outcome(
        {
            "rows": list(rows),
            "edges": [float(measure.EDGES[0]), float(measure.EDGES[-1]), len(measure.EDGES)],
            "data": load("digits").describe(),
        },
        "refuted" if wrong else ("undecided" if blind else "supported"),
        statement,
        dtype="float32",
        seeds=(config.seed,),
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


EXPERIMENT = Experiment(
    name="vanishing_gradients",
    question=QUESTION,
    config=Config,
    presets={
        "quick": Preset(Config(), budget=40.0),
        "full": Preset(Config(width=512, depth=50, networks=64), budget=900.0),
        "gpu": Preset(Config(width=4096, depth=60, networks=64, block=4), budget=900.0),
    },
    run=run,
)

"""Do gradients vanish with depth as mean-field theory says?

Refuted if, in any cell, the measured per-layer log factor of E||g||^2 misses the prediction
by more than 3 standard errors plus the finite-width allowance; the negative control (the
steepest slope in place of the mean square slope) must miss it in every cell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment, Outcome
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.initialisers import initialiser
from experiments.vanishing_gradients import measure, theory

QUESTION = "Do gradients vanish with depth at the rate chi_1 that Gaussian integrals predict?"
SAMPLES = 1500


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        activations: Activations, names of `diffkit.nets.mlp.ACTIVATIONS`.
        initialisers: Names of `diffkit.nets.initialisers.INITIALISERS`.
        width: n, units per layer; mean-field theory is the limit of large n.
        depth: L, layers.
        seeds: Independent networks, a vmapped axis.
        batch: Digits shown to each network.
        seed: Root of all random streams.
        allowance: Bias allowed per layer in units of 1/width.  The exact drift of the mean log
            norm of ReLU layers is 5/(2n); the other activations have corrections of that order.
    """

    activations: tuple[str, ...] = ("sigmoid", "tanh", "relu", "swish")
    initialisers: tuple[str, ...] = ("lecun", "glorot", "he", "orthogonal")
    width: int = 256
    depth: int = 30
    seeds: int = 16
    batch: int = 8
    seed: int = 0
    allowance: float = 5.0


def inputs(config: Config) -> np.ndarray:
    """The first handwritten digits of scikit-learn, each scaled to unit mean square."""
    images = load_digits().data[: config.batch].astype(np.float32)
    return images / np.sqrt(np.mean(images**2, axis=1, keepdims=True))


def cell(config: Config, images: np.ndarray, activation: str, initialiser: str) -> dict[str, Any]:
    """Measure one activation with one initialiser."""
    found = measure.gradients(
        activation,
        initialiser,
        images,
        width=config.width,
        depth=config.depth,
        seeds=config.seeds,
        seed=config.seed,
        samples=SAMPLES,
    )
    return {
        "log_square": found.log_square,
        "first_variance": found.first_variance,
        "samples": found.samples,
    }


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """Fill the grid activation x initialiser and judge every cell."""
    images = inputs(config)
    keys = [
        {"activation": activation, "initialiser": name}
        for activation in config.activations
        for name in config.initialisers
    ]
    cells = store.map(lambda **key: cell(config, images, **key), keys, progress)
    rows = [judge(config, key, found) for key, found in zip(keys, cells, strict=True)]
    wrong = [row for row in rows if not row["agrees"]]
    blind = [row for row in rows if row["control_agrees"]]
    status = "refuted" if wrong else ("undecided" if blind else "supported")
    worst = max(rows, key=lambda row: row["miss"] / row["allowed"])
    statement = (
        f"{len(rows) - len(wrong)} of {len(rows)} cells agree with chi_1; worst miss "
        f"{worst['miss']:.4f} of {worst['allowed']:.4f} allowed per layer "
        f"({worst['activation']}, {worst['initialiser']}); the control fails in "
        f"{len(rows) - len(blind)} of {len(rows)}"
    )
    return Outcome(
        {"rows": rows, "config": {"width": config.width, "depth": config.depth}},
        status,
        statement,
        dtype="float32",
        seeds=(config.seed,),
    )


def judge(config: Config, key: dict[str, str], found: Any) -> dict[str, Any]:
    """Compare one cell with the prediction and with the negative control."""
    activation, name = key["activation"], key["initialiser"]
    sigma_w = initialiser(name).sigma_w(config.width, config.width)
    predicted = np.array(theory.log_profile(activation, sigma_w, config.depth))
    control = np.array(theory.control_profile(activation, sigma_w, config.depth))
    measured, error = log_mean(np.asarray(found["log_square"], dtype=np.float64))
    layers = config.depth - 1
    allowed = 3 * error[0] / layers + config.allowance / config.width
    miss = abs(measured[0] - predicted[0]) / layers
    control_miss = abs(measured[0] - control[0]) / layers
    return {
        "activation": activation,
        "initialiser": name,
        "sigma_w": sigma_w,
        "measured": measured.tolist(),
        "standard_error": error.tolist(),
        "predicted": predicted.tolist(),
        "control": control.tolist(),
        "samples": thinned(found["samples"], config.depth),
        "miss": float(miss),
        "allowed": float(allowed),
        "agrees": bool(miss <= allowed),
        "control_agrees": bool(control_miss <= allowed),
    }


def log_mean(log_square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log of the mean over networks of ||g_l||^2 / ||g_L||^2, and its jackknife standard error."""
    seeds = log_square.shape[0]
    peak = log_square.max(axis=0)
    ratios = np.exp(log_square - peak)
    total = ratios.sum(axis=0)
    value = peak + np.log(total / seeds)
    without = peak + np.log((total - ratios) / (seeds - 1))
    spread = (without - without.mean(axis=0)) ** 2
    return value, np.sqrt((seeds - 1) / seeds * spread.sum(axis=0))


def thinned(samples: Any, depth: int) -> dict[str, list[float]]:
    """Histograms of log10 |dL/dh_l| of four layers: counts over fixed bins, for the figure."""
    layers = sorted({1, depth // 3, 2 * depth // 3, depth})
    found: dict[str, list[float]] = {}
    for layer in layers:
        entries = np.abs(np.asarray(samples[layer - 1], dtype=np.float64))
        logs = np.log10(entries[entries > 0]) if np.any(entries > 0) else np.array([-50.0])
        found[str(layer)] = np.quantile(logs, np.linspace(0, 1, 101)).round(4).tolist()
        found[f"dead {layer}"] = [float(np.mean(entries == 0))]
    return found


EXPERIMENT = Experiment(
    name="vanishing_gradients",
    question=QUESTION,
    config=Config,
    presets={
        "quick": Preset(Config(), budget=90.0),
        "full": Preset(Config(width=1024, depth=60, seeds=64), budget=900.0),
        "gpu": Preset(Config(width=4096, depth=100, seeds=64), budget=900.0),
    },
    run=run,
)

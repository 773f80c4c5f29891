"""The part "trainability": do small gradients stop a network from learning?

Gradient descent that leaves a saddle on noise alone needs 1/log(1 + eta) steps more for each factor
e of less noise: refuted by |z| >= 3, with 1/eta, the continuous flow, as control.  On hundreds of
small networks, trained from many scales of their weights, it decides C007, C038, C052, C061, C091,
C093 and C098.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, at_most, known, positive
from diffkit.lab.comparison import LARGEST_Z, Mean, mean
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.mlp import activation
from diffkit.problems.dataset import Dataset
from diffkit.problems.load import load
from experiments.vanishing_gradients.config import Config, Trainability
from experiments.vanishing_gradients.measure import smooth as smooth_measure
from experiments.vanishing_gradients.measure import trainability as measure
from experiments.vanishing_gradients.measure.adaptable import settings
from experiments.vanishing_gradients.parts import (
    normalisation_claims,
    smooth_claim,
    swish_claim,
    trainability_claims,
)
from experiments.vanishing_gradients.theory import trainability as theory

#: Standard deviations of the gradient noise at the saddle.
NOISES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
SADDLE_RATE, SADDLE_RUNS, SADDLE_LIMIT = 0.1, 200, 2000
#: Largest value of a pixel.
PIXELS = 255.0
HE, MOMENTUM, TEST, CLASSES = 2**0.5, 0.9, 0.2, 10
#: Pixels of a digit.
FEATURES = 64
Found = Mapping[str, np.ndarray]


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each question."""
    asked = config.trainability
    check(asked)
    cells = {"sweep": sweep, "batch_norm": batch_norm, "pixels": pixels}
    if asked.task_seeds:
        cells["tasks"] = tasks
    if asked.smooth_depths:
        cells["smooth"] = smooth

    def cell(part: str, what: str) -> Found:
        if what == "saddle":
            return dict(zip(("steps", "place"), leave_saddle(asked), strict=True))
        return cells[what](asked)

    names = [*cells, "saddle"]
    keys = [{"part": "trainability", "what": name} for name in names]
    found = dict(zip(names, store.map(cell, keys, progress), strict=True))
    slope = saddle_slope(found["saddle"]["steps"])
    rows = trainability_claims.networks(asked, found["sweep"])
    claims = [
        trainability_claims.stall(
            found["saddle"]["place"], slope, theory.steps_per_e_fold(SADDLE_RATE)
        ),
        *trainability_claims.decide(asked, rows),
        normalisation_claims.batch_norm(asked, found["batch_norm"]),
        normalisation_claims.pixels(asked, found["pixels"]),
    ]
    if "tasks" in found:
        claims.append(swish_claim.decide(asked, found["tasks"]))
    if "smooth" in found:
        claims.append(smooth_claim.decide(asked, found["smooth"]))
    return judge(slope, found["saddle"]["steps"], rows, claims)


def check(config: Trainability) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    known(activation, config, "names", "activations", part="trainability")
    at_least(
        1,
        config,
        *("depths", "norm_depths", "width", "steps", "batch"),
        part="trainability",
    )
    shown = len(standardised_digits()[0])
    at_most(shown, config, "batch", part="trainability", why="as many digits as are trained on")
    positive(config, "scales", "rate", "norm_rates", "target", "success", part="trainability")
    if config.seeds < 2 or len(config.depths) < 2 or len(config.scales) < 2:
        raise UsageError("trainability: give two or more seeds, depths and scales")
    unknown = {*config.activations, "relu", "sigmoid", "swish"} - set(config.names)
    if config.smooth_depths and "swish" not in config.smooth_activations:
        unknown.add("swish")
    if unknown:
        raise UsageError(f"trainability: {', '.join(sorted(unknown))} is missing in names")


def sweep(config: Trainability) -> Found:
    """Every activation, depth and scale."""
    train, test = standardised_digits()
    choice = settings(
        config.names,
        activations=config.activations,
        depths=config.depths,
        sigma_ws=config.scales,
        rates=(config.rate,),
        momentum=MOMENTUM,
    )
    return _train(config, train, test, choice, looks_back=True)


def batch_norm(config: Trainability) -> Found:
    """ReLU networks with and without batch normalisation over a grid of step sizes."""
    train, test = standardised_digits()
    choice = settings(
        config.names,
        activations=("relu",),
        depths=config.norm_depths,
        normalised=(False, True),
        sigma_ws=(HE,),
        rates=config.norm_rates,
    )
    return _train(config, train, test, choice)


def pixels(config: Trainability) -> Found:
    """Sigmoid networks on raw, divided and standardised pixels, with and without normalisation."""
    train, test = load("digits").split(TEST)
    shift, spread = float(train.inputs.mean()), float(train.inputs.std())
    ways = {"raw": (0.0, 1 / PIXELS), "divided": (0.0, 1.0), "standardised": (shift, spread)}
    choice = settings(
        config.names,
        activations=("sigmoid",),
        depths=(1,),
        normalised=(False, True),
        rates=config.norm_rates,
    )
    return {
        f"{way} {name}": values
        for way, scale in ways.items()
        for name, values in _train(
            config, rescaled(train, *scale), rescaled(test, *scale), choice
        ).items()
    }


def tasks(config: Trainability) -> Found:
    """Swish and ReLU on several tasks, all brought to the shape of digits."""
    sizes = [len(part) for part in standardised_digits()]
    choice = settings(
        config.names,
        activations=("swish", "relu"),
        depths=(2,),
        sigma_ws=(HE,),
        rates=config.task_rates,
        momentum=MOMENTUM,
    )
    found = {}
    for name, make in swish_claim.TASKS.items():
        data, test = swish_claim.shaped(make(), TEST, sizes, FEATURES)
        found[name] = _train(config, data, test, choice, seeds=config.task_seeds)["test"]
    return found


def smooth(config: Trainability) -> Found:
    """Networks of every activation, each from its own critical scales, on a smooth function."""
    found = {}
    for name in config.smooth_activations:
        sigma_w, sigma_b = theory.critical(name)
        choice = settings(
            config.smooth_activations,
            activations=(name,),
            depths=config.smooth_depths,
            sigma_ws=(sigma_w,),
            sigma_b=sigma_b,
            rates=config.smooth_rates,
            momentum=MOMENTUM,
        )
        found[name] = smooth_measure.slope_errors(
            config.smooth_activations,
            choice,
            width=config.width,
            steps=config.steps,
            batch=config.batch,
            seeds=range(config.seed, config.seed + config.smooth_seeds),
        )
    return found


def _train(
    config: Trainability,
    train: Dataset,
    test: Dataset,
    choice: Mapping[str, Any],
    *,
    seeds: int | None = None,
    looks_back: bool = False,
) -> Found:
    """One program for all questions: the sizes are those of digits and of the deepest network."""
    deepest = max((*config.depths, *config.norm_depths))
    return measure.train(
        (train.inputs.shape[1], config.width, deepest, CLASSES),
        config.names,
        train,
        test,
        choice,
        steps=config.steps,
        batch=config.batch,
        seeds=range(config.seed, config.seed + (seeds or config.seeds)),
        looks_back=looks_back,
    )


def standardised_digits() -> tuple[Dataset, Dataset]:
    """Training and test part, mean and standard deviation of all training pixels taken out."""
    train, test = load("digits").split(TEST)
    scale = float(train.inputs.mean()), float(train.inputs.std())
    return rescaled(train, *scale), rescaled(test, *scale)


def rescaled(data: Dataset, shift: float, scale: float) -> Dataset:
    """(inputs - shift)/scale."""
    inputs = ((data.inputs - shift) / scale).astype(np.float32)
    return Dataset(data.name, inputs, data.targets, data.classes, data.source)


def leave_saddle(config: Trainability) -> tuple[np.ndarray, np.ndarray]:
    """Steps to leave the saddle by noise, and where one is without any."""
    return measure.escapes(
        NOISES, rate=SADDLE_RATE, limit=SADDLE_LIMIT, runs=SADDLE_RUNS, seed=config.seed
    )


def saddle_slope(steps: np.ndarray) -> Mean:
    """Steps for each factor e of less noise; runs are paired over the noises."""
    return mean(np.polyfit(-np.log(NOISES), steps.astype(float), 1)[0])


def judge(slope: Mean, steps: np.ndarray, rows: Sequence[Any], claims: Sequence[Decided]) -> Part:
    """The escape from the saddle is judged; the networks are kept for the figure."""
    predicted, control = theory.steps_per_e_fold(SADDLE_RATE), 1 / SADDLE_RATE
    z, z_of_control = slope.z(predicted), slope.z(control)
    statement = (
        f"a factor e of less noise costs {slope.value:.3f} steps more to leave a saddle, predicted "
        f"{predicted:.3f} (z = {z:.1f}), continuous flow {control:.1f} (z = {z_of_control:.0f})"
    )
    results = {
        "saddle": {
            "noises": list(NOISES),
            "steps": steps.mean(axis=1).tolist(),
            "slope": slope.value,
            "error": slope.error,
            "predicted": predicted,
            "z": z,
            "z_of_control": z_of_control,
        },
        "networks": list(rows),
        "laws": [theory.escape().to_dict()],
    }
    status = judged(misses=abs(z) >= LARGEST_Z, is_blind=abs(z_of_control) < LARGEST_Z)
    return Part("trainability", status, statement, results, claims)

"""What the learning rate decides: too small, too large, falling by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, at_most, positive
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from diffkit.problems.load import load
from experiments.optimizers.measure import adaptive, descent, networks
from experiments.optimizers.parts.rate_claims import claims
from experiments.optimizers.theory import adaptive as theory_of_adaptive
from experiments.optimizers.theory import descent as theory

NAME = "learning_rate"
ACCURACY = 1e-6
STEPS = 1500
#: Of the factor of a nudge; the third derivative of the loss leaves about the square of the nudge.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class LearningRateConfig:
    """What is measured.

    Args:
        shares: Learning rates on the parabola, as multiples of 1/curvature; not 1 or 2 exactly.
        nudges: The same on the network.
        rates: Learning rates of SGD on the network.
        batches: Batch sizes.
        epochs: Passes over the samples, whatever the batch size.
        seeds: Networks of each setting.
        samples: Digits that are trained on.
        stall: Gradients that Adagrad and Adadelta see.
        starts: On the curve with two wells.
    """

    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95, 1.1, 1.4, 1.7, 1.9, 1.98,
                                 2.02, 2.1, 2.5)  # fmt: skip
    nudges: tuple[float, ...] = (0.25, 0.75, 1.25, 1.75, 2.25, 2.75)
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    batches: tuple[int, ...] = (8, 64, 512)
    epochs: int = 5
    seeds: int = 4
    samples: int = 1024
    stall: int = 10_000
    starts: int = 400


def check(config: LearningRateConfig) -> None:
    """Refuse what has no answer."""
    at_least(1, config, "samples", part=NAME)
    at_most(len(load("digits")), config, "samples", part=NAME, why="as many digits as there are")
    positive(config, "shares", "nudges", "rates", part=NAME)
    if any(share <= 0 or share in (1, 2) for share in config.shares):
        raise UsageError("learning_rate: shares are above 0 and neither 1 nor 2, where two meet")
    if config.seeds < 2 or len(config.rates) < 3 or not config.batches:
        raise UsageError("learning_rate: 2 seeds, 3 rates and 1 batch size or more")
    if not all(1 <= batch <= config.samples for batch in config.batches):
        raise UsageError(f"learning_rate: a batch has 1 to {config.samples} samples")
    if config.starts < 10 or config.stall < 10 or config.epochs < 1:
        raise UsageError("learning_rate: 10 starts, 10 gradients and 1 epoch or more")


def run(config: Any, store: Store, progress: Progress) -> Part:
    """One cell for each question."""
    asked: LearningRateConfig = config.learning_rate
    check(asked)
    digits = load("digits")
    inputs, targets = digits.inputs[: asked.samples], digits.targets[: asked.samples]

    def on_network(part: str, batch: int) -> Mapping[str, Any]:
        found = networks.accuracies(
            inputs,
            targets,
            rates=asked.rates,
            batch=batch,
            epochs=asked.epochs,
            seeds=range(asked.seeds),
        )
        return {"accuracies": found}

    def nudged() -> Mapping[str, Any]:
        curvature, factors = networks.nudged(
            inputs, targets, asked.nudges, steps=200, seed=config.seed
        )
        return {"curvature": curvature, "factors": factors}

    def ask(name: str, function: Any) -> Mapping[str, Any]:
        return store.compute({"part": NAME, "question": name}, function)

    paths = ask("parabola", lambda: {"x": descent.parabola(np.asarray(asked.shares), STEPS)})
    grid = store.map(on_network, [{"part": NAME, "batch": b} for b in asked.batches], progress)
    results = {
        "parabola": _parabola(asked, np.asarray(paths["x"])),
        "nudge": _nudge(asked, ask("nudge", nudged)),
        "network": _network(asked, [np.asarray(each["accuracies"]) for each in grid]),
        "wells": _wells(asked, ask),
        "stall": _stall(asked, ask),
        "data": {"name": digits.name, "source": digits.source, "checksum": digits.checksum},
        "laws": [law.to_dict() for law in theory.laws()],
    }
    return outcome(results)


def _parabola(config: LearningRateConfig, x: np.ndarray) -> dict[str, Any]:
    """Regions and step counts on x^2/2."""
    sizes = np.abs(x)
    seen = [_behaviour(row) for row in x]
    reached = [_first(row < ACCURACY) for row in sizes]
    predicted = [theory.steps_to(ACCURACY, share) for share in config.shares]
    return {
        "shares": config.shares,
        "seen": seen,
        "predicted": [theory.behaviour(share) for share in config.shares],
        "control": [theory.wrong_behaviour(share) for share in config.shares],
        "steps": reached,
        "steps_predicted": predicted,
        "paths": {"shares": config.shares, "x": x[:, :13]},
    }


def _behaviour(x: np.ndarray) -> str:
    """What a path does, seen from its first steps."""
    if abs(x[20]) > 1:
        return "diverging"
    return "oscillating" if np.all(x[1:5] * x[:4] < 0) else "monotone"


def _first(reached: np.ndarray) -> int | None:
    return int(np.argmax(reached)) if reached.any() else None


def _nudge(config: LearningRateConfig, found: Mapping[str, Any]) -> dict[str, Any]:
    factors = np.asarray(found["factors"])
    predicted = np.array([theory.factor(share) for share in config.nudges])
    return {
        "shares": config.nudges,
        "curvature": float(found["curvature"]),
        "factors": factors,
        "predicted": predicted,
        "gap": float(np.abs(factors - predicted).max()),
        # the control: a curvature wrong by a factor of 2, as without the 1/2 of the parabola
        "control_gap": float(np.abs(factors - (1 - 2 * (1 - predicted))).max()),
    }


def _network(config: LearningRateConfig, grid: Sequence[np.ndarray]) -> dict[str, Any]:
    """Accuracy by rate and batch size, and how clearly both ends are worse than the best."""
    rows = []
    for batch, accuracies in zip(config.batches, grid, strict=True):
        best = int(np.argmax(accuracies.mean(axis=1)))
        rows.append(
            {
                "batch": batch,
                "mean": accuracies.mean(axis=1),
                "best_rate": config.rates[best],
                "best": accuracies[best].mean(),
                "z_below": _paired(accuracies[best] - accuracies[0]),
                "z_above": _paired(accuracies[best] - accuracies[-1]),
            }
        )
    tops = [each[int(np.argmax(each.mean(axis=1)))] for each in grid]
    return {"rates": config.rates, "rows": rows, "z_batch": _paired(tops[0] - tops[-1])}


def _paired(differences: np.ndarray) -> float:
    # With equal differences of all seeds the resolution of the accuracy is the error.
    return float(differences.mean()) / max(float(standard_error(differences)), 1e-3)


def _wells(config: LearningRateConfig, ask: Any) -> dict[str, Any]:
    """Share of starts that end in the sharp well."""
    low, high = -1.5, 2.5
    # Half a spacing off, so that none starts on the hill.
    starts = low + (np.arange(config.starts) + 0.5) * (high - low) / config.starts
    rates = np.concatenate(
        [np.geomspace(0.006, 0.9 / theory.steepest(low, high), 4), np.linspace(0.1, 1.2, 23)]
    )
    ends = ask(
        "wells",
        lambda: {"x": descent.two_wells(theory.coefficients(), rates, starts, 2 * STEPS)},
    )["x"]
    shares = np.mean(np.abs(np.asarray(ends) - theory.SHARP) < ACCURACY, axis=1)
    predicted = [theory.trapped(float(rate), low, high) for rate in rates]
    misses = [
        abs(share - wanted) for share, wanted in zip(shares, predicted, strict=True)
        if wanted is not None
    ]  # fmt: skip
    return {
        "rates": rates,
        "shares": shares,
        "predicted": predicted,
        "limit": 2 / theory.curvature(theory.SHARP),
        "basin": predicted[0],
        "gap": float(max(misses)),
    }


def _stall(config: LearningRateConfig, ask: Any) -> dict[str, Any]:
    """Distances under one gradient, and Adadelta on a scaled loss."""

    def measured() -> Mapping[str, Any]:
        found = adaptive.distances(config.stall)
        ends = {
            f"{name}-{scale:g}": adaptive.path(name, scale, steps=300)
            for name in ("Adadelta", "descent")
            for scale in (1.0, 1000.0)
        }
        return {**found, **ends}

    found = {name: np.asarray(each) for name, each in ask("stall", measured).items()}
    shown = np.unique(np.geomspace(1, config.stall, 60).astype(int))
    ranges = np.array([theory_of_adaptive.adagrad_range(int(t)) for t in shown])
    adagrad = found["Adagrad"][shown - 1]
    inside = (ranges[:, 0] <= adagrad * (1 + 1e-9)) & (adagrad <= ranges[:, 1] * (1 + 1e-9))
    return {
        "t": shown,
        "Adagrad": adagrad,
        "Adadelta": found["Adadelta"][shown - 1],
        "least": ranges[:, 0],
        "greatest": ranges[:, 1],
        "is_inside": bool(inside.all()),
        # the control: a constant rate
        "is_control_inside": bool((shown <= ranges[:, 1]).all()),
        "last_steps": {
            name: float(found[name][-1] - found[name][-2]) for name in ("Adagrad", "Adadelta")
        },
        "first_steps": {name: float(found[name][0]) for name in ("Adagrad", "Adadelta")},
        "scaled": {
            name: float(np.abs(found[f"{name}-1"] - found[f"{name}-1000"]).max())
            for name in ("Adadelta", "descent")
        },
    }


def outcome(results: dict[str, Any]) -> Part:
    """Join the questions; decide what the lectures say of learning rates."""
    parabola, nudge, wells, stall = (
        results[name] for name in ("parabola", "nudge", "wells", "stall")
    )
    regions = sum(map(str.__eq__, parabola["seen"], parabola["predicted"]))
    wrong = sum(map(str.__eq__, parabola["seen"], parabola["control"]))
    counts = parabola["steps"] == parabola["steps_predicted"]
    total = len(parabola["seen"])
    scaled = stall["scaled"]
    statement = (
        f"{regions} of {total} learning rates behave as 1 - a h says, the steps to "
        f"{ACCURACY:g} are {'all' if counts else 'not all'} as predicted; a nudge of a network is "
        f"multiplied by 1 - a lambda to {nudge['gap']:.0e}; Adagrad stays between its two square "
        f"roots for {stall['t'][-1]} steps"
    )
    misses = (
        regions < total
        or not counts
        or nudge["gap"] >= TOLERANCE
        or wells["gap"] > 1e-12
        or not stall["is_inside"]
        or scaled["Adadelta"] >= ACCURACY
    )
    blind = (
        wrong == total
        or nudge["control_gap"] < TOLERANCE
        or stall["is_control_inside"]
        or scaled["descent"] < ACCURACY
    )
    return Part(NAME, judged(misses=misses, is_blind=blind), statement, results, claims(results))

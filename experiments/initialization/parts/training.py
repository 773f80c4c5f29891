"""He's initialisation against Glorot's and others in deep networks that are trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from diffkit.core.errors import UsageError
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.initialization.config import Config, Training
from experiments.initialization.measure.training import trained
from experiments.initialization.theory import propagation as theory

LEVEL = 0.01
CLAIMED = ("relu", "tanh", "swish")
NEEDED = tuple(f"{phi} {name}" for phi in CLAIMED for name in ("he", "glorot"))
#: Weight std times sqrt(fan_in) of the square layers.
SIGMA_W = {"he": 2**0.5, "glorot": 1.0, "orthogonal": 1.0}


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each activation and initialiser; compare and decide the claims."""
    asked = config.training
    check(asked)

    def cell(part: str, activation: str, initialiser: str) -> Mapping[str, Any]:
        is_designed = initialiser == "critical"
        return trained(
            activation,
            scales_of(activation, initialiser) if is_designed else initialiser,
            depth=asked.depth,
            width=asked.width,
            rates=asked.rates,
            seeds=range(asked.seed, asked.seed + asked.seeds),
            steps=asked.steps,
            batch=asked.batch,
        )

    pairs = [pair.partition(" ")[::2] for pair in asked.pairs]
    keys = [{"part": "training", "activation": phi, "initialiser": name} for phi, name in pairs]
    cells = store.map(cell, keys, progress)
    rows = [summary(asked, key, found) for key, found in zip(keys, cells, strict=True)]
    return part_of(asked, {(row["activation"], row["initialiser"]): row for row in rows})


def check(asked: Training) -> None:
    """Refuse a configuration that cannot answer."""
    missing = [pair for pair in NEEDED if pair not in asked.pairs]
    if missing:
        raise UsageError(f"training.pairs lacks {missing[0]!r}, which a claim is about")
    if asked.seeds < 4 or asked.seeds % 2 or asked.depth < 3:
        raise UsageError("training needs an even number of seeds, 4 or more, and 3 layers or more")


def summary(
    asked: Training, key: Mapping[str, Any], found: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """One pair of activation and initialiser at its best learning rate."""
    best = int(np.argmax(found["train"].mean(axis=1)))
    name = key["activation"]
    scales = scales_of(name, key["initialiser"])
    return {
        "activation": name,
        "initialiser": key["initialiser"],
        "rate": asked.rates[best],
        "train": found["train"][best].round(4).tolist(),
        "test": found["test"][best].round(4).tolist(),
        "loss": [None if np.isinf(v) else round(float(v), 4) for v in found["loss"][best]],
        "successes": int(np.sum(found["train"][best] >= asked.success)),
        "log10_gradient": theory.log10_gradient(name, asked.depth, *scales) if scales else None,
    }


def scales_of(activation: str, initialiser: str) -> tuple[float, float] | None:
    """sigma_w and sigma_b of the square layers; None where data or the width decide them."""
    if initialiser == "critical":
        found = theory.design(activation)
        return found.sigma_w, found.sigma_b
    return (SIGMA_W[initialiser], 0.0) if initialiser in SIGMA_W else None


def part_of(asked: Training, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Part:
    """The prediction: with ReLU He's networks train and Glorot's do not; two claims."""
    he, glorot = rows["relu", "he"], rows["relu", "glorot"]
    p_value = fisher(he["successes"], glorot["successes"], asked.seeds)
    half = asked.seeds // 2
    split = [
        sum(v >= asked.success for v in part) for part in (he["train"][:half], he["train"][half:])
    ]
    p_of_control = fisher(*split, half)
    is_right = he["successes"] > glorot["successes"] and p_value < LEVEL
    statement = (
        f"with ReLU and {asked.depth} layers {he['successes']} of {asked.seeds} networks train from "
        f"He's initialisation and {glorot['successes']} from Glorot's (Fisher p = {p_value:.1g}), as "
        f"gradients that shrink by 10^{glorot['log10_gradient']:.1f} say; the two halves of "
        f"He's runs do not differ (p = {p_of_control:.1g})"
    )
    results = {"rows": list(rows.values()), "p_value": p_value, "p_of_control": p_of_control}
    status = judged(misses=not is_right, is_blind=p_of_control < LEVEL)
    return Part("training", status, statement, results, claims(asked, rows))


def fisher(first: int, second: int, runs: int) -> float:
    """p-value of Fisher's exact test, one-sided: more successes in the first of two groups."""
    table = [[first, runs - first], [second, runs - second]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[float, float]:
    """Mean paired difference of test accuracies and its p-value (Wilcoxon, two-sided)."""
    gap = np.array(first["test"]) - np.array(second["test"])
    if not gap.any():
        return 0.0, 1.0
    return float(gap.mean()), float(stats.wilcoxon(gap).pvalue)


def claims(
    asked: Training, rows: Mapping[tuple[str, str], Mapping[str, Any]]
) -> tuple[Decided, ...]:
    """He best for ReLU and Glorot best for others (C089); Glorot a good default (C097)."""
    gaps = {phi: compared(rows[phi, "he"], rows[phi, "glorot"]) for phi in CLAIMED}
    relu = gaps["relu"]
    others = {phi: gap for phi, gap in gaps.items() if phi != "relu"}
    he_wins = relu[0] > 0 and relu[1] < 5 * LEVEL
    glorot_wins = [phi for phi, gap in others.items() if gap[0] < 0 and gap[1] < 5 * LEVEL]
    spelt = "; ".join(
        f"{phi} {100 * gap:+.1f} points (p = {p:.1g})" for phi, (gap, p) in gaps.items()
    )
    if he_wins and len(glorot_wins) == len(others):
        verdict = "confirmed"
    elif he_wins:
        verdict = "mixed"
    else:
        verdict = "undecided" if relu[1] >= 5 * LEVEL else "refuted"
    best = Decided(
        "C089", verdict, f"test accuracy of He minus Glorot over {asked.seeds} seeds: {spelt}"
    )
    trained_by_glorot = {phi: rows[phi, "glorot"]["successes"] for phi in CLAIMED}
    all_train = all(count >= 0.75 * asked.seeds for count in trained_by_glorot.values())
    none_train = all(count <= 0.25 * asked.seeds for count in trained_by_glorot.values())
    verdict = "confirmed" if all_train else "refuted" if none_train else "mixed"
    spelt = ", ".join(f"{count} of {asked.seeds} {phi}" for phi, count in trained_by_glorot.items())
    default = Decided(
        "C097", verdict, f"networks of {asked.depth} layers that train from Glorot's: {spelt}"
    )
    return best, default

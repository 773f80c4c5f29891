"""He's initialisation against Glorot's and others in deep networks that are trained."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, at_most, known, positive, rising
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.mlp import activation
from experiments.initialization.config import Config, Training
from experiments.initialization.measure.training import data, initialiser_of, stable_rates, trained
from experiments.initialization.parts import starts
from experiments.initialization.theory import propagation as theory

LEVEL = 0.01
#: Largest relative residual of an eigenvalue that is used.
RESIDUAL = 0.05
#: Share of networks that must learn for an initialisation to work.
MOST = 0.75
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
    depths = [{"part": "training", "depth": depth} for depth in asked.depths]
    stable = store.map(
        lambda part, depth: dict(
            zip(
                ("rates", "residuals"),
                stable_rates(depth, width=asked.width, networks=asked.seeds, seed=asked.seed),
                strict=True,
            )
        ),
        depths,
        progress,
    )
    rates = [found["rates"] for found in stable]
    check_residuals(asked, [found["residuals"] for found in stable])
    rows = [summary(asked, key, found) for key, found in zip(keys, cells, strict=True)]
    shallow = starts.measured(asked.starts, store, progress)
    return part_of(
        asked, {(row["activation"], row["initialiser"]): row for row in rows}, rates, shallow
    )


def check(asked: Training) -> None:
    """Refuse a configuration that cannot answer."""
    known(check_pair, asked, "pairs", part="training")
    missing = [pair for pair in NEEDED if pair not in asked.pairs]
    if missing:
        raise UsageError(f"training.pairs lacks {missing[0]!r}, which a claim is about")
    if asked.seeds < 4 or asked.seeds % 2 or asked.depth < 3:
        raise UsageError("training needs an even number of seeds, 4 or more, and 3 layers or more")
    rising(asked, "depths", part="training")
    at_least(1, asked, "depths", "width", "steps", "batch", part="training")
    shown = len(data()[0])
    at_most(shown, asked, "batch", part="training", why="as many digits as are trained on")
    positive(asked, "rates", part="training")
    starts.check(asked.starts)
    if not 0 < asked.success <= 1:
        raise UsageError(f"training.success = {asked.success}; a share lies between 0 and 1")


def check_pair(pair: str) -> None:
    """Refuse what is no activation and initialiser."""
    name, _, initialiser = pair.partition(" ")
    activation(name)
    if initialiser != "critical":
        initialiser_of(initialiser)


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


def check_residuals(asked: Training, residuals: Sequence[np.ndarray]) -> None:
    """Refuse an eigenvalue that the search did not find."""
    for depth, found in zip(asked.depths, residuals, strict=True):
        if not np.all(found <= RESIDUAL):
            raise UsageError(
                f"the sharpness of {depth} layers was found to {found.max():.1g} only; "
                "take fewer layers or a smaller width"
            )


def part_of(
    asked: Training,
    rows: Mapping[tuple[str, str], Mapping[str, Any]],
    rates: Sequence[np.ndarray],
    shallow: Sequence[Mapping[str, Any]],
) -> Part:
    """The prediction: with ReLU He's networks learn and Glorot's do not."""
    he, glorot = rows["relu", "he"], rows["relu", "glorot"]
    p_value = more(he["train"], glorot["train"])
    half = asked.seeds // 2
    p_of_control = more(he["train"][:half], he["train"][half:])
    statement = (
        f"with ReLU and {asked.depth} layers {he['successes']} of {asked.seeds} networks learn "
        f"from He's initialisation and {glorot['successes']} from Glorot's (p = {p_value:.1g}), "
        f"whose gradients are predicted to shrink by 10^{glorot['log10_gradient']:.1f}; the two "
        f"halves of He's runs do not differ (p = {p_of_control:.1g})"
    )
    results = {
        "rows": list(rows.values()),
        "p_value": p_value,
        "p_of_control": p_of_control,
        "stable_rates": {
            str(depth): found.round(6).tolist()
            for depth, found in zip(asked.depths, rates, strict=True)
        },
        "starts": list(shallow),
    }
    status = judged(misses=p_value >= LEVEL, is_blind=p_of_control < LEVEL)
    decided = (
        best_initialiser(asked, rows),
        good_default(asked, rows),
        rate_of_depth(asked, rates),
        starts.claim(asked.starts, shallow),
    )
    return Part("training", status, statement, results, decided)


def more(first: Sequence[float], second: Sequence[float]) -> float:
    """p-value that the first of two groups is no larger (Mann and Whitney, one-sided)."""
    return float(stats.mannwhitneyu(first, second, alternative="greater").pvalue)


def best_initialiser(asked: Training, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Decided:
    """He is best for ReLU, Glorot for the others (C089)."""
    gaps = {phi: paired(rows[phi, "he"], rows[phi, "glorot"]) for phi in CLAIMED}
    he_wins = gaps["relu"][0] > 0 and gaps["relu"][1] < LEVEL
    glorot_wins = [phi for phi in CLAIMED[1:] if gaps[phi][0] < 0 and gaps[phi][1] < LEVEL]
    if not he_wins:
        verdict = "undecided" if gaps["relu"][1] >= LEVEL else "refuted"
    else:
        verdict = "confirmed" if len(glorot_wins) == len(CLAIMED[1:]) else "mixed"
    spelt = "; ".join(
        f"{phi} {100 * gap:+.1f} points (p = {p:.1g})" for phi, (gap, p) in gaps.items()
    )
    beaten = ""
    if ("swish", "critical") in rows:
        found = [rows["swish", name]["successes"] for name in ("critical", "he", "glorot")]
        beaten = (
            f"; of {asked.seeds} swish networks {found[0]} learn from the critical initialisation, "
            f"{found[1]} from He's and {found[2]} from Glorot's"
        )
    return Decided("C089", verdict, f"test accuracy of He minus Glorot: {spelt}{beaten}")


def paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[float, float]:
    """Mean difference of test accuracies seed by seed and its p-value (Wilcoxon, two-sided)."""
    gap = np.array(first["test"]) - np.array(second["test"])
    return float(gap.mean()), float(stats.wilcoxon(gap).pvalue) if gap.any() else 1.0


def good_default(asked: Training, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Decided:
    """Glorot's initialisation is a good default (C097)."""
    counts = {phi: rows[phi, "glorot"]["successes"] for phi in CLAIMED}
    learn = [count >= MOST * asked.seeds for count in counts.values()]
    verdict = "confirmed" if all(learn) else "mixed" if any(learn) else "refuted"
    spelt = ", ".join(f"{count} of {asked.seeds} with {phi}" for phi, count in counts.items())
    return Decided("C097", verdict, f"networks of {asked.depth} layers that learn from it: {spelt}")


def rate_of_depth(asked: Training, rates: Sequence[np.ndarray]) -> Decided:
    """Deeper networks need smaller learning rates (C096)."""
    p_value = more(rates[0], rates[-1])
    medians = [float(np.median(found)) for found in rates]
    falls = all(later < earlier for earlier, later in pairwise(medians))
    verdict = "undecided" if p_value >= LEVEL else "confirmed" if falls else "mixed"
    spelt = ", ".join(
        f"{median:.3g} at {depth} layers"
        for depth, median in zip(asked.depths, medians, strict=True)
    )
    return Decided(
        "C096", verdict, f"median of 2 over the sharpness at the start: {spelt} (p = {p_value:.1g})"
    )

"""What networks trained from many scales of their weights say of C007, C052, C061 and C091."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from diffkit.lab.comparison import LARGEST_Z, Mean, verdict_of
from diffkit.lab.outcome import Decided
from diffkit.lab.wording import signed
from experiments.vanishing_gradients.config import Trainability
from experiments.vanishing_gradients.theory import trainability as theory

#: A correlation or a difference of shares counts below this probability by chance.
ALPHA = 1e-3
#: Losses are averaged over so many steps before they are compared with the target.
WINDOW = 10
Found = Mapping[str, np.ndarray]
Row = Mapping[str, Any]


def networks(config: Trainability, found: Found) -> list[Row]:
    """One row for each network: its gradients at the start, and how far it got."""
    steps = steps_to_target(found["losses"], config.target)
    choices = product(config.activations, config.depths, config.scales, range(config.seeds))
    rows = []
    for run, (activation, depth, scale, _) in enumerate(choices):
        norms = found["log_norms"][run, : depth + 1].astype(float)
        rows.append(
            {
                "activation": activation,
                "depth": depth,
                "scale": scale,
                "log_ratio": _finite(norms[0] - norms[-1]),
                "unevenness": _finite(np.std(norms)),
                "change": _finite(found["change"][run]),
                "theory": theory.log_growth(activation, scale, depth),
                "steps": int(steps[run]),
                "final": _finite(found["losses"][run, -WINDOW:].mean()),
                "accuracy": float(found["train"][run]),
            }
        )
    return rows


def steps_to_target(losses: np.ndarray, target: float) -> np.ndarray:
    """Steps until the loss, averaged over a window, is at the target; steps + 1 if never."""
    kernel = np.ones(WINDOW) / WINDOW
    means = np.stack([np.convolve(each, kernel, "valid") for each in losses])
    reached = means <= target  # False where a loss is no number
    first = reached.argmax(axis=1) + WINDOW
    return np.where(reached.any(axis=1), first, losses.shape[1] + 1)


def stall(place: np.ndarray, slope: Mean, predicted: float) -> Decided:
    """C007: gradient descent can stall where the gradient is 0 off the minimum."""
    x, y = (float(each) for each in place)
    loss = (x * x - 1) ** 2 / 4 + y * y / 2
    gradient = float(np.hypot(x**3 - x, y))
    return Decided(
        "C007",
        verdict_of([gradient < 1e-12 and loss > 0.2, abs(slope.z(predicted)) < LARGEST_Z]),
        f"without noise descent ends on a saddle with f = {loss:.2f} above the least value and a "
        f"gradient of {gradient:.0e}; with noise it leaves, after {slope.value:.2f} steps more for "
        f"each factor e of less noise (predicted {predicted:.2f}, z = {slope.z(predicted):.1f})",
    )


def decide(config: Trainability, rows: Sequence[Row]) -> list[Decided]:
    """C052, C061 and C091."""
    found = [_small_gradients(config, rows), _control_gradients(rows)]
    if {"tanh", "sigmoid"} <= set(config.activations):
        found.append(_deep_networks(config, rows))
    return found


def _small_gradients(config: Trainability, rows: Sequence[Row]) -> Decided:
    """C052: small gradients slow or block SGD.  Networks whose gradients explode are left out."""
    small = [row for row in rows if row["log_ratio"] is not None and row["log_ratio"] < 0]
    ratios, steps = np.array([(row["log_ratio"], row["steps"]) for row in small]).T
    rank = stats.spearmanr(ratios, steps)
    blocked = steps > config.steps
    quarter = np.quantile(ratios, (0.25, 0.75))
    shares = [blocked[ratios <= quarter[0]].mean(), blocked[ratios >= quarter[1]].mean()]
    return Decided(
        "C052",
        verdict_of([rank.statistic < 0 and rank.pvalue < ALPHA]),
        f"over {len(small)} networks whose gradients fall towards the input the rank correlation "
        f"of log |g_1|/|g_L| with the steps to a loss of {config.target:g} is "
        f"{signed(rank.statistic, 2)} (p = {_p(rank.pvalue)}); of the quarter with the smallest "
        f"gradients {100 * shares[0]:.0f} % never reach it, of that with the largest "
        f"{100 * shares[1]:.0f} %",
    )


METRICS: Mapping[str, str] = {
    "size": "|log |g_1|/|g_L||",
    "unevenness": "spread of log |g_l| over layers",
    "change": "relative change of the gradient by one step",
    "theory": "|log chi| summed over depth",
}


def _control_gradients(rows: Sequence[Row]) -> Decided:
    """C061: gradients must not vanish, be homogeneous, and be under control when weights change.

    Each of the three is a number that should be small; the claim holds for it if it rises with the
    final loss.  A number that left the range of floats ranks last.
    """
    final = _ranked([row["final"] for row in rows])
    columns = {
        "size": [None if row["log_ratio"] is None else abs(row["log_ratio"]) for row in rows],
        **{name: [row[name] for row in rows] for name in ("unevenness", "change", "theory")},
    }
    ranks = {name: stats.spearmanr(_ranked(values), final) for name, values in columns.items()}
    holds = [
        ranks[name].statistic > 0 and ranks[name].pvalue < ALPHA
        for name in ("size", "unevenness", "change")
    ]
    listed = "; ".join(
        f"{METRICS[name]}: {signed(rank.statistic, 2)} (p = {_p(rank.pvalue)})"
        for name, rank in ranks.items()
    )
    return Decided(
        "C061",
        verdict_of(holds),
        f"rank correlation with the loss after the budget over {len(rows)} networks: {listed}",
    )


def _deep_networks(config: Trainability, rows: Sequence[Row]) -> Decided:
    """C091: with tanh and sigmoid one risks not to converge at depth.

    The risk is there if the deepest networks succeed less often than the shallowest at some scale;
    it is one of tanh and sigmoid themselves if no scale avoids it.
    """
    shallow, deep = min(config.depths), max(config.depths)

    def successes(activation: str, depth: int, scale: float) -> int:
        return sum(
            row["accuracy"] >= config.success
            for row in rows
            if (row["activation"], row["depth"], row["scale"]) == (activation, depth, scale)
        )

    holds, said = [], []
    for activation in ("tanh", "sigmoid"):
        counts = {
            scale: [successes(activation, depth, scale) for depth in (shallow, deep)]
            for scale in config.scales
        }
        best = max(config.scales, key=lambda scale: counts[scale][1])
        worst = max(config.scales, key=lambda scale: counts[scale][0] - counts[scale][1])
        p = stats.fisher_exact(
            [[count, config.seeds - count] for count in counts[worst]], "greater"
        ).pvalue
        holds += [bool(p < 0.05 / 2), counts[best][1] < config.seeds / 2]
        said.append(
            f"{activation}: at sigma_w = {worst:g} {counts[worst][0]} of {config.seeds} reach "
            f"{config.success:g} with {shallow} layers and {counts[worst][1]} with {deep} "
            f"(p = {_p(p)}), at its best scale {best:g} {counts[best][1]} with {deep}"
        )
    return Decided("C091", verdict_of(holds), "; ".join(said))


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _ranked(values: Sequence[float | None]) -> np.ndarray:
    return stats.rankdata([np.inf if value is None else value for value in values])


def _p(value: float) -> str:
    return f"{value:.1e}" if value < 1e-3 else f"{value:.3f}"

"""C094, "swish is the best if you need smooth and deep": derivatives of what networks learned."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from diffkit.lab.comparison import verdict_of
from diffkit.lab.outcome import Decided
from experiments.vanishing_gradients.config import Trainability
from experiments.vanishing_gradients.parts.swish_claim import holm


def decide(config: Trainability, found: Mapping[str, np.ndarray]) -> Decided:
    """Log errors of the derivative at the greatest depth, paired by seed, each at its best rate.

    The best: every other activation is worse, after Holm's correction.  Among the best: none is
    better.  A network whose error is no number counts with an error of 10^6.
    """
    shape = len(config.smooth_depths), len(config.smooth_rates), config.smooth_seeds
    deepest = int(np.argmax(config.smooth_depths))
    logs = {}
    for name, errors in found.items():
        kept = np.nan_to_num(errors.astype(float), nan=1e6, posinf=1e6).clip(1e-12, 1e6)
        by_rate = np.log10(kept).reshape(shape)[deepest]
        logs[name] = by_rate[by_rate.mean(axis=1).argmin()]
    swish = logs.pop("swish")
    p_values = {name: float(stats.ttest_rel(swish, other).pvalue) for name, other in logs.items()}
    differ = holm(p_values)
    worse = [name for name in differ if logs[name].mean() > swish.mean()]
    better = [name for name in differ if logs[name].mean() < swish.mean()]
    listed = ", ".join(
        f"{name} {values.mean():.2f} (p = {p_values[name]:.1g})" for name, values in logs.items()
    )
    return Decided(
        "C094",
        verdict_of([len(worse) == len(logs), not better]),
        f"log10 of the relative error of the derivative with "
        f"{config.smooth_depths[deepest]} square layers: swish {swish.mean():.2f}, {listed}; "
        f"better than swish: {', '.join(better) or 'none'}, worse: {', '.join(worse) or 'none'}",
    )

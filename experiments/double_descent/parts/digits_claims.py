"""What random features on digits say of the lectures' claims C055, C058, C102 and C123.

A network whose first layer is random and stays: the widths are its hidden units.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from diffkit.lab.comparison import Mean, paired, verdict_of
from diffkit.lab.outcome import Decided
from experiments.double_descent.config import RandomFeatures

#: A squared training error of one-hot targets below this is rounding.
ZERO = 1e-12
Found = Mapping[str, np.ndarray]


def decide(
    config: RandomFeatures, squared: np.ndarray, cosine: Found, grid: Found
) -> list[Decided]:
    """All four claims.

    Args:
        config: What was measured.
        squared: Test errors with cosine features, (members, N, L).
        cosine: The other arrays of `measure.cosine`.
        grid: The arrays of `measure.grid`.
    """
    training = cosine["training"].reshape(-1, *cosine["training"].shape[2:])
    return [
        _training(config, squared[:, :, 0], training[:, :, 0]),
        _many_parameters(config, squared),
        _complex_networks(config, grid["squared"], grid["training"]),
        _better_solutions(config, grid["squared"]),
    ]


def _training(config: RandomFeatures, squared: np.ndarray, training: np.ndarray) -> Decided:
    """C055: the training error gets as low as one wants, and says nothing of the test error."""
    widest = float(training[:, -1].max())
    through = [k for k, N in enumerate(config.widths) if config.samples + 20 <= N]
    means = squared[:, through].mean(axis=0)
    spread = paired(squared[:, through[0]], squared[:, through[-1]])
    is_low = widest < ZERO and all(a >= b for a, b in pairwise(training.mean(axis=0)) if a > ZERO)
    return Decided(
        "C055",
        verdict_of([is_low, spread.exceeds() or spread.is_below()]),
        f"the training error falls with every width and is {widest:.0e} at N = "
        f"{config.widths[-1]}; among widths that all fit the training set the test error runs "
        f"from {means.max():.2f} to {means.min():.2f} (z = {spread.z():.1f})",
    )


def _many_parameters(config: RandomFeatures, squared: np.ndarray) -> Decided:
    """C058: over-parametrising often improves the test performance.

    The best of fewer features than samples is chosen by the data that decide, which favours it.
    """
    few = [k for k, N in enumerate(config.widths) if config.samples > N]
    gains: dict[float, Mean] = {}
    for level, share in enumerate(config.label_noise):
        best = few[int(squared[:, few, level].mean(axis=0).argmin())]
        gains[share] = paired(squared[:, best, level], squared[:, -1, level])
    steps = ", ".join(f"{100 * share:g} %: {gain}" for share, gain in gains.items())
    return Decided(
        "C058",
        verdict_of([gain.rises() for gain in gains.values()]),
        f"test error of the best N < n less that at N = {config.widths[-1]}, by share of wrong "
        f"labels: {steps}",
    )


def _complex_networks(config: RandomFeatures, squared: np.ndarray, training: np.ndarray) -> Decided:
    """C102: a more complex network needs more data, and overfits more.

    Few samples: is the largest network worse than the best smaller one?  The gap between test and
    training error: does it grow with the width before the threshold, and beyond it?
    """
    widths, sizes = config.grid_widths, config.grid_samples
    gap = squared - training
    at_least, at_most = int(np.argmin(sizes)), int(np.argmax(sizes))
    smaller = int(squared[:, at_least, :-1].mean(axis=0).argmin())
    data = paired(squared[:, at_least, -1], squared[:, at_least, smaller])
    few = [k for k, N in enumerate(widths) if sizes[at_most] > N]
    many = [k for k, N in enumerate(widths) if sizes[at_least] < N]
    before = paired(gap[:, at_most, few[-1]], gap[:, at_most, few[0]])
    beyond = paired(gap[:, at_least, many[-1]], gap[:, at_least, many[0]])
    return Decided(
        "C102",
        verdict_of([data.rises(), before.rises(), beyond.rises()]),
        f"with {sizes[at_least]} samples the test error at N = {widths[-1]} less the best "
        f"smaller is {data}; the gap of test and training error changes by {before} from N = "
        f"{widths[few[0]]} to {widths[few[-1]]} with {sizes[at_most]} samples, by {beyond} from N "
        f"= {widths[many[0]]} to {widths[many[-1]]} with {sizes[at_least]}",
    )


def _better_solutions(config: RandomFeatures, squared: np.ndarray) -> Decided:
    """C123: more complex models need more data, and then find better solutions.

    A width does as claimed if it is worse than the least one at some training size and better at
    the largest.
    """
    widths, sizes = config.grid_widths, config.grid_samples
    most = int(np.argmax(sizes))
    does = {}
    for k, N in enumerate(widths[1:], 1):
        needs = [paired(squared[:, i, k], squared[:, i, 0]).exceeds() for i in range(len(sizes))]
        better = paired(squared[:, most, k], squared[:, most, 0]).is_below()
        does[N] = any(needs[:most]) and better
    yes = [str(N) for N, holds in does.items() if holds]
    no = [str(N) for N, holds in does.items() if not holds]
    return Decided(
        "C123",
        verdict_of(list(does.values())),
        f"against N = {widths[0]}, widths worse at some of n = {min(sizes)} to {max(sizes)} and "
        f"better at the last: {', '.join(yes) or 'none'}; the others, {', '.join(no) or 'none'}, "
        "are never worse with less data, or not better in the end",
    )

"""What networks with and without batch normalisation say of C038 and C098."""

from collections.abc import Mapping

import numpy as np

from diffkit.lab.comparison import Mean, mean, verdict_of
from diffkit.lab.outcome import Decided
from experiments.vanishing_gradients.config import Trainability
from experiments.vanishing_gradients.parts.trainability_claims import steps_to_target

Found = Mapping[str, np.ndarray]
#: An output of the sigmoid above this is called close to 1.
CLOSE = 0.95


def batch_norm(config: Trainability, found: Found) -> Decided:
    """C038: batch normalisation makes learning faster and generalisation better.

    Each kind is trained at its best step size, chosen by the mean over the seeds; differences are
    paired by seed.  A network that never reaches the target counts one step more than the budget.
    """
    shape = len(config.norm_depths), 2, len(config.norm_rates), config.seeds
    all_steps = steps_to_target(found["losses"], config.target).astype(float).reshape(shape)
    accuracies = found["test"].astype(float).reshape(shape)
    holds, said = [], []
    for depth, steps, tests in zip(config.norm_depths, all_steps, accuracies, strict=True):
        saved = mean(_best(-steps[1]) - _best(-steps[0]))
        at_largest = mean(steps[0, -1] - steps[1, -1])
        gained = mean(_best(tests[1]) - _best(tests[0]))
        holds += [saved.rises(), gained.rises()]
        said.append(
            f"{depth} square layers: {_whole(saved)} steps saved to a loss of {config.target:g} at "
            f"the best step sizes, {_whole(at_largest)} at {config.norm_rates[-1]:g}, and a test "
            f"accuracy {gained} higher"
        )
    return Decided("C038", verdict_of(holds), "; ".join(said))


def pixels(config: Trainability, found: Found) -> Decided:
    """C098: pixels of 1 to 255 saturate the sigmoid; normalisation stabilises it.

    Three statements: a pixel of 1 is carried close to 1; raw pixels train worse than divided ones;
    batch normalisation mends that.  Each at its best step size, paired by seed.
    """
    one = 1 / (1 + np.exp(-1.0))
    smallest = int(np.ceil(np.log(CLOSE / (1 - CLOSE))))

    def accuracy(way: str, normalised: int) -> np.ndarray:
        shape = 2, len(config.norm_rates), config.seeds
        return _best(found[f"{way} test"].astype(float).reshape(shape)[normalised])

    raw, divided, batch = accuracy("raw", 0), accuracy("divided", 0), accuracy("raw", 1)
    lost, mended = mean(divided - raw), mean(batch - raw)
    return Decided(
        "C098",
        verdict_of([bool(one >= CLOSE), lost.rises(), mended.rises()]),
        f"sigmoid(1) = {one:.3f}, and {CLOSE:g} is reached from {smallest} on; test accuracy is "
        f"{raw.mean():.3f} on raw pixels, {divided.mean():.3f} on pixels divided by 255 ({lost}), "
        f"{accuracy('standardised', 0).mean():.3f} on standardised ones, and {batch.mean():.3f} "
        f"on raw ones with batch normalisation ({mended})",
    )


def _best(values: np.ndarray) -> np.ndarray:
    """The row of (rates, seeds) whose mean is largest."""
    return values[values.mean(axis=1).argmax()]


def _whole(value: Mean) -> str:
    return f"{value.value:.0f} ± {value.error:.0f}"

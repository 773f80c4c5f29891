"""C093, "swish could be better than ReLU": the same networks with both on several tasks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from scipy import stats

from diffkit.lab.comparison import Mean, mean
from diffkit.lab.outcome import ClaimVerdict, Decided
from diffkit.problems.dataset import Dataset
from diffkit.problems.load import load
from diffkit.problems.synthetic import spirals, xor
from experiments.vanishing_gradients.config import Trainability

#: Probability of a difference on any task by chance.
ALPHA = 0.05
TASKS: Mapping[str, Callable[[], Dataset]] = {
    **{name: partial(load, name) for name in ("digits", "iris", "wine", "breast_cancer")},
    "spirals": partial(spirals, 600),
    "xor": partial(xor, 400, noise=0.5),
}


def shaped(
    data: Dataset, share: float, sizes: Sequence[int], features: int
) -> tuple[Dataset, Dataset]:
    """Training and test part in a common shape: one program trains on all tasks.

    Every feature is standardised by the training part; missing features are 0, and the samples of
    a part are repeated in turn until there are as many as its size says.
    """
    train, test = data.split(share)
    shift, spread = train.inputs.mean(axis=0), train.inputs.std(axis=0)

    def filled(part: Dataset, size: int) -> Dataset:
        scaled = (part.inputs - shift) / np.where(spread > 0, spread, 1)
        wide = np.zeros((len(part), features), np.float32)
        wide[:, : scaled.shape[1]] = scaled
        whole = Dataset(data.name, wide, part.targets, data.classes, data.source)
        return whole.take(np.resize(np.arange(len(part)), size))

    return filled(train, sizes[0]), filled(test, sizes[1])


def decide(config: Trainability, found: Mapping[str, np.ndarray]) -> Decided:
    """Differences of test accuracy, paired by seed, each activation at its best step size.

    Confirmed if swish wins on a task and loses on none, after Holm's correction over the tasks.
    """
    gains: dict[str, Mean] = {}
    p_values = {}
    for name, accuracy in found.items():
        shape = 2, len(config.task_rates), config.task_seeds
        swish, relu = (each[each.mean(axis=1).argmax()] for each in _by_rate(accuracy, shape))
        gains[name] = mean(swish - relu)
        equal = np.array_equal(swish, relu)
        p_values[name] = 1.0 if equal else float(stats.ttest_rel(swish, relu).pvalue)
    differ = holm(p_values)
    wins = [name for name in differ if gains[name].value > 0]
    losses = [name for name in differ if gains[name].value < 0]
    listed = "; ".join(f"{name} {gain} (p = {p_values[name]:.2g})" for name, gain in gains.items())
    return Decided(
        "C093",
        _verdict(bool(wins), bool(losses)),
        f"test accuracy of swish less that of ReLU: {listed}; after Holm's correction it is better "
        f"on {', '.join(wins) or 'no task'} and worse on {', '.join(losses) or 'none'}",
    )


def holm(p_values: Mapping[str, float]) -> list[str]:
    """Names of the hypotheses that are rejected at `ALPHA` together."""
    rejected = []
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if p_values[name] > ALPHA / (len(p_values) - place):
            break
        rejected.append(name)
    return rejected


def _by_rate(accuracy: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    return accuracy.astype(float).reshape(shape)


def _verdict(wins: bool, losses: bool) -> ClaimVerdict:
    if wins:
        return "mixed" if losses else "confirmed"
    return "refuted" if losses else "undecided"

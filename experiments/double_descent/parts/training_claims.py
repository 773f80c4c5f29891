"""What trained networks say of the lectures' claims C024, C025, C035, C077 and C103."""

from collections.abc import Mapping, Sequence

import numpy as np

from diffkit.lab.comparison import Mean, paired, verdict_of
from diffkit.lab.outcome import ClaimVerdict, Decided
from experiments.double_descent.config import Trained

#: A training set is fitted where fewer than this share of its labels is missed.
FITTED = 0.1
Found = Mapping[str, np.ndarray]


def decide(config: Trained, widths: Sequence[Found], densities: Sequence[Found]) -> list[Decided]:
    """All five claims, from curves (label noises, runs, looks) of every width and density."""
    few = _few(config, widths)
    found = [
        _connections(config, densities),
        _early_stopping(config, widths),
        _validation_rises(config, widths),
    ]
    if few < len(widths) - 1:
        found += [_few_units(config, widths, few), _many_units(config, widths, few)]
    return found


def stops(found: Found, level: int) -> np.ndarray:
    """The look of the least validation error of every run."""
    return found["validation"][level].argmin(axis=1)


def steps_to_fit(config: Trained, found: Found, level: int) -> np.ndarray:
    """Steps to 90 % training accuracy of every run; all steps where it is never reached."""
    fits = found["training_wrong"][level] < FITTED
    looks = np.where(fits.any(axis=1), fits.argmax(axis=1) + 1, fits.shape[1])
    return looks * config.every


def _few(config: Trained, widths: Sequence[Found]) -> int:
    """Few but not too few: the first width at which every run fits the clean training set."""
    fits = [bool((found["training_wrong"][0].min(axis=1) < FITTED).all()) for found in widths]
    return fits.index(True) if True in fits else len(widths)


def _few_units(config: Trained, widths: Sequence[Found], few: int) -> Decided:
    """C024: few but not too few hidden nodes converge slowly and generalise well."""
    slow = paired(*(steps_to_fit(config, widths[k], 0) for k in (few, -1)))
    tests = [
        paired(widths[few]["test"][i, :, -1], widths[-1]["test"][i, :, -1]) for i in _all(config)
    ]
    # good: no worse than the widest network, at any label noise
    return Decided(
        "C024",
        verdict_of([slow.rises(), not any(test.exceeds() for test in tests)]),
        f"{config.widths[few]} hidden units less {config.widths[-1]}: {slow.value:+.0f} steps to "
        f"90 % training accuracy (z = {slow.z():+.1f}), test error {_by_noise(config, tests)}",
    )


def _many_units(config: Trained, widths: Sequence[Found], few: int) -> Decided:
    """C025: too many hidden nodes converge rapidly but overfit.

    Overfitting: the test error of the widest is above that of the best narrower network that fits
    the training set, at some label noise.  The best is chosen by the data that decide, which
    favours the claim.
    """
    slow = paired(*(steps_to_fit(config, widths[k], 0) for k in (few, -1)))
    tests = []
    for level in _all(config):
        ends = [found["test"][level, :, -1] for found in widths]
        best = min(ends[few:-1], key=np.mean)
        tests.append(paired(ends[-1], best))
    return Decided(
        "C025",
        verdict_of([slow.rises(), any(test.exceeds() for test in tests)]),
        f"{config.widths[-1]} hidden units take {-slow.value:+.0f} steps to 90 % training accuracy "
        f"against {config.widths[few]} (z = {-slow.z():+.1f}); their test error less that of the "
        f"best narrower network: {_by_noise(config, tests)}",
    )


def _connections(config: Trained, densities: Sequence[Found]) -> Decided:
    """C035: fewer connections, less overfitting.

    Spearman's correlation of the density and the gap of test and training error, for each run.
    """
    means = []
    for level in _all(config):
        gaps = np.stack([f["test"][level, :, -1] - f["training"][level, :, -1] for f in densities])
        ranks = gaps.argsort(axis=0).argsort(axis=0)  # (densities, runs)
        order = np.arange(len(densities))[::-1, None]  # densities fall
        centre = (len(densities) - 1) / 2
        spread = np.sum((order - centre) ** 2)
        of_runs = np.sum((ranks - centre) * (order - centre), axis=0) / spread
        means.append(paired(of_runs, np.zeros_like(of_runs)))
    return Decided(
        "C035",
        _of_signs(means),
        f"rank correlation of the share of connections ({config.densities[-1]:g} to 1, "
        f"{config.dense_width} units) and the gap of test and training error: "
        f"{_by_noise(config, means)}",
    )


def _early_stopping(config: Trained, widths: Sequence[Found]) -> Decided:
    """C077: early stopping avoids overfitting.

    Test error at the end less that at the least validation error, mean over the widths: the stop
    is chosen on other digits than those it is judged by.
    """
    gains = [_after_the_stop(widths, "test", level) for level in _all(config)]
    return Decided(
        "C077",
        verdict_of([gain.rises() for gain in gains]),
        f"test error at the end less at the stop that the validation set chooses, mean over "
        f"{len(widths)} widths: {_by_noise(config, gains)}",
    )


def _validation_rises(config: Trained, widths: Sequence[Found]) -> Decided:
    """C103: the validation error eventually rises while the training error falls.

    From its least value on, measured on the test set: a minimum is never above the end.
    """
    tests = [_after_the_stop(widths[-1:], "test", level) for level in _all(config)]
    trainings = [_after_the_stop(widths[-1:], "training", level) for level in _all(config)]
    holds = [
        test.exceeds() and training.is_below()
        for test, training in zip(tests, trainings, strict=True)
    ]
    return Decided(
        "C103",
        verdict_of(holds),
        f"from the least validation error to the end, {config.widths[-1]} units: error on new "
        f"digits {_by_noise(config, tests)}; training error {_by_noise(config, trainings)}",
    )


def _after_the_stop(widths: Sequence[Found], name: str, level: int) -> Mean:
    """Change of a curve from the stop to the end, mean over the widths."""
    ends, starts = [], []
    for found in widths:
        curve = found[name][level]
        ends.append(curve[:, -1])
        starts.append(np.take_along_axis(curve, stops(found, level)[:, None], axis=1)[:, 0])
    return paired(np.mean(ends, axis=0), np.mean(starts, axis=0))


def _of_signs(means: Sequence[Mean]) -> ClaimVerdict:
    """Confirmed, refuted or mixed by the signs that are certain; undecided without one."""
    signs = {mean.exceeds() for mean in means if mean.exceeds() or mean.is_below()}
    if len(signs) == 2:
        return "mixed"
    if not signs:
        return "undecided"
    return "confirmed" if signs == {True} else "refuted"


def _all(config: Trained) -> range:
    return range(len(config.label_noise))


def _by_noise(config: Trained, found: Sequence[Mean]) -> str:
    pairs = zip(config.label_noise, found, strict=True)
    return ", ".join(f"{value} at {100 * share:g} % wrong labels" for share, value in pairs)

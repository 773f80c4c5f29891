"""The exact test error of least squares with p of D Gaussian features.

Refuted if the mean over independent training sets misses the exact test or training error of any
width by 3 standard errors or more; the negative control (the limit of many samples) must miss it
somewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least
from diffkit.lab.comparison import LARGEST_Z, paired
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from experiments.double_descent.config import Config
from experiments.double_descent.measure import exact as measure
from experiments.double_descent.theory import exact as theory

#: Within so many features of the threshold the variance over training sets is infinite or nearly.
HEAVY_TAILS = 5
#: A mean squared residual below this share of the variance of the targets is rounding.
ZERO = 1e-12


def check(config: Config) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    check_problem(config)
    close = [p for p in config.widths if abs(p - config.samples) < HEAVY_TAILS]
    if close:
        raise UsageError(
            f"widths {close} are within {HEAVY_TAILS} of samples = {config.samples}, where the "
            "variance over training sets is infinite; leave them out"
        )
    if not config.widths or min(config.widths) < 1 or max(config.widths) > config.features:
        raise UsageError(f"widths must lie between 1 and features = {config.features}")
    if len(set(config.widths)) < len(config.widths):
        raise UsageError("a width occurs twice; list each one once")
    if config.draws < 2 or config.block < 1:
        raise UsageError("draws must be at least 2, block at least 1")


def check_problem(config: Config) -> None:
    """Refuse samples and a teacher that do not exist; other parts have the same.

    Raises:
        UsageError: says which field, and what it may be.
    """
    at_least(1, config, "samples", "features")
    if not 0 < config.noise < 1:
        raise UsageError(f"noise = {config.noise}; the share of the noise lies between 0 and 1")


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each block of training sets; judge every width."""
    check(config)
    squares = theory.coefficients(config.features, config.decay, config.noise)
    keys = [{"part": "exact", "first": first} for first in range(0, config.draws, config.block)]

    def cell(part: str, first: int) -> Mapping[str, np.ndarray]:
        return measure.errors(
            squares,
            config.noise,
            samples=config.samples,
            widths=config.widths,
            draws=range(first, min(first + config.block, config.draws)),
            seed=config.seed,
        )

    cells = store.map(cell, keys, progress)
    test, training = (np.concatenate([c[name] for c in cells]) for name in ("test", "training"))
    rows = [
        judge(config, squares, used, *columns)
        for used, *columns in zip(config.widths, test.T, training.T, strict=True)
    ]
    return finding(config, squares, rows, claims(config, squares, test, training))


def judge(
    config: Config, squares: np.ndarray, used: int, errors: np.ndarray, training: np.ndarray
) -> dict[str, Any]:
    """One width: the means over training sets against the exact errors and the control."""
    mean, error = float(errors.mean()), float(standard_error(errors))
    exact = theory.test_error(config.samples, used, squares, config.noise)
    limit = theory.limit(config.samples, used, squares, config.noise)
    row = {
        "used": used,
        "measured": mean,
        "standard_error": error,
        "exact": exact,
        "limit": limit,
        "z": (mean - exact) / error,
        "z_of_control": (mean - limit) / error,
        "training": float(training.mean()),
        "largest_training": float(training.max()),
    }
    if used < config.samples:
        expected = theory.training_error(config.samples, used, squares, config.noise)
        row["z_of_training"] = float((training.mean() - expected) / standard_error(training))
    return row


def finding(
    config: Config,
    squares: np.ndarray,
    rows: Sequence[Mapping[str, Any]],
    decided: Sequence[Decided] = (),
) -> Part:
    """Join the judged widths into the finding."""
    worst = max(rows, key=lambda row: abs(row["z"]))
    control = max(rows, key=lambda row: abs(row["z_of_control"]))
    agree = sum(abs(row["z"]) < LARGEST_Z for row in rows)
    astray = [row for row in rows if abs(row.get("z_of_training", 0.0)) >= LARGEST_Z]
    is_blind = abs(control["z_of_control"]) < LARGEST_Z
    statement = (
        f"{agree} of {len(rows)} widths lie within {LARGEST_Z:g} standard errors of the exact test "
        f"error, the worst at z = {worst['z']:.2f} (p = {worst['used']}); the limit of many "
        f"samples is off by z = {control['z_of_control']:.1f} at p = {control['used']}"
    )
    drawn = list(range(1, config.features + 1))
    results = {
        "rows": list(rows),
        "curves": {"used": drawn, **theory.curves(config.samples, drawn, squares, config.noise)},
        "laws": [law.to_dict() for law in theory.laws()],
        "data": {"name": "Gaussian teacher", "source": "drawn"},
    }
    misses = agree < len(rows) or bool(astray)
    return Part("exact", judged(misses=misses, is_blind=is_blind), statement, results, decided)


def claims(
    config: Config, squares: np.ndarray, test: np.ndarray, training: np.ndarray
) -> list[Decided]:
    """What the errors (draws, widths) say of the lectures' claims C059 and C060."""
    widths = np.array(config.widths)
    few, many = widths < config.samples, widths > config.samples
    if few.sum() < 3 or many.sum() < 2:
        return []
    return [_zero(training, few, many), _double_descent(config, squares, test)]


def _zero(training: np.ndarray, few: np.ndarray, many: np.ndarray) -> Decided:
    """C059: right of the threshold the training risk is zero."""
    largest, least = float(training[:, many].max()), float(training[:, few].min())
    is_zero, is_sharp = largest < ZERO, least > ZERO
    verdict = "confirmed" if is_zero and is_sharp else ("mixed" if is_zero else "refuted")
    return Decided(
        "C059",
        verdict,
        f"largest mean squared residual over {len(training)} training sets: {largest:.0e} beyond "
        f"the threshold; the smallest before it is {least:.1e}",
    )


def _double_descent(config: Config, squares: np.ndarray, test: np.ndarray) -> Decided:
    """C060: the risk falls, rises to the threshold, and falls again.

    The places are chosen by the exact errors, not by the data that decide.
    """
    column = {p: test[:, i] for i, p in enumerate(config.widths)}
    exact = {p: theory.test_error(config.samples, p, squares, config.noise) for p in config.widths}
    few = sorted(p for p in exact if p < config.samples)
    many = sorted(p for p in exact if p > config.samples)
    first, second = min(few, key=exact.__getitem__), min(many, key=exact.__getitem__)
    turns = {
        "fall": paired(column[few[0]], column[first]),
        "rise": paired(column[few[-1]], column[first]),
        "second fall": paired(column[many[0]], column[second]),
    }
    if all(turn.exceeds() for turn in turns.values()):
        verdict = "confirmed"
    else:
        verdict = "refuted" if any(turn.is_below() for turn in turns.values()) else "undecided"
    steps = ", ".join(f"{name} z = {turn.z():.0f}" for name, turn in turns.items())
    below = paired(column[second], column[first])
    return Decided(
        "C060",
        verdict,
        f"paired over {len(test)} training sets: {steps}; the second minimum (p = {second}) less "
        f"the first (p = {first}) is {below}",
    )

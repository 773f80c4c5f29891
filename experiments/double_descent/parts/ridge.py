"""Ridge regression at the best penalty has no peak, and its error is known up to O(1/n^2).

Refuted by a width whose mean test error misses the corrected limit by 3 standard errors, by an
extrapolated 1/n coefficient that misses its closed form by as much, or by a width at which more
features hurt.  The negative controls, the exact error without a penalty and a limit without a
correction, must miss.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.comparison import LARGEST_Z, paired
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from experiments.double_descent.config import Config
from experiments.double_descent.measure import ridge as measure
from experiments.double_descent.parts.exact import check_problem
from experiments.double_descent.theory import exact
from experiments.double_descent.theory import ridge as theory


def check(config: Config) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    check_problem(config)
    mine = config.ridge
    if len(mine.widths) < 2 or min(mine.widths) < 1 or max(mine.widths) > config.features:
        raise UsageError(f"ridge: two or more widths between 1 and features = {config.features}")
    if list(mine.widths) != sorted(set(mine.widths)):
        raise UsageError("ridge: list the widths in rising order, each one once")
    if len(set(mine.sizes)) < 2 or min(mine.sizes) < 2:
        raise UsageError("ridge: give two or more sizes, each 2 or more")
    if min(mine.draws, mine.sizes_draws) < 2 or not mine.sizes_noise > 0:
        raise UsageError("ridge: draws are at least 2 and sizes_noise is positive")


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for the widths, one for each size of the extrapolation."""
    check(config)
    mine = config.ridge
    squares = exact.coefficients(config.features, config.decay, config.noise)
    keys: list[dict[str, Any]] = [{"part": "ridge", "what": "widths"}]
    keys += [{"part": "ridge", "what": "size", "samples": n} for n in mine.sizes]

    def cell(part: str, what: str, samples: int = 0) -> Mapping[str, np.ndarray]:
        if what == "size":
            signal = np.full(samples, 1 / samples)
            at, draws = (samples, (samples,), signal, mine.sizes_noise), mine.sizes_draws
        else:
            at, draws = (config.samples, mine.widths, squares, config.noise), mine.draws
        n, widths, signal, noise = at
        errors = measure.errors(
            signal,
            noise,
            samples=n,
            widths=widths,
            penalties=[theory.penalty(n, p, signal, noise) for p in widths],
            draws=range(draws),
            seed=mine.seed,
        )
        return {"errors": errors}

    widths, *sizes = (found["errors"] for found in store.map(cell, keys, progress))
    return finding(config, squares, widths, [size[:, 0] for size in sizes])


def finding(
    config: Config, squares: np.ndarray, widths: np.ndarray, sizes: Sequence[np.ndarray]
) -> Part:
    """Judge the widths, the sizes and the steps between neighbouring widths."""
    mine = config.ridge
    rows = [_width(config, squares, p, widths[:, k]) for k, p in enumerate(mine.widths)]
    scaling = [
        _size(mine.sizes_noise, errors, n) for n, errors in zip(mine.sizes, sizes, strict=True)
    ]
    fit = extrapolate(scaling)
    steps = [paired(widths[:, k + 1], widths[:, k]) for k in range(len(mine.widths) - 1)]
    rises = [
        pair for pair, step in zip(pairwise(mine.widths), steps, strict=True) if step.exceeds()
    ]
    worst = max(rows, key=lambda row: abs(row["z"]))
    control = max(rows, key=lambda row: abs(row["z_of_control"]))
    misses = abs(worst["z"]) >= LARGEST_Z or abs(fit["z"]) >= LARGEST_Z or bool(rises)
    is_blind = min(abs(control["z_of_control"]), abs(fit["z_of_control"])) < LARGEST_Z
    statement = (
        f"at the best penalty {sum(abs(row['z']) < LARGEST_Z for row in rows)} of {len(rows)} "
        f"widths lie within {LARGEST_Z:g} standard errors of the limit with its 1/n correction; "
        f"more features hurt at {len(rises)} of {len(steps)} steps; the coefficient of 1/n is "
        f"{fit['measured']:.3f} \N{PLUS-MINUS SIGN} {fit['standard_error']:.3f}, in closed form "
        f"{fit['expected']:.3f}; without a penalty the error is off by z = "
        f"{control['z_of_control']:.0f} at p = {control['used']}"
    )
    drawn = list(range(1, config.features + 1))
    results = {
        "rows": rows,
        "scaling": scaling,
        "fit": fit,
        "largest_rise": max(step.z() for step in steps),
        "curves": {
            "used": drawn,
            "ridge": [theory.test_error(config.samples, p, squares, config.noise) for p in drawn],
            "ridgeless": exact.curves(config.samples, drawn, squares, config.noise)["exact"],
        },
        "laws": [law.to_dict() for law in theory.laws()],
    }
    return Part("ridge", judged(misses=misses, is_blind=is_blind), statement, results)


def extrapolate(scaling: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The coefficient of 1/n: n (error - limit) is a line in 1/n, its value at 0 is wanted.

    Weighted least squares with the known standard errors; the next order is the slope.
    """
    inverse = np.array([1 / row["samples"] for row in scaling])
    values = np.array([row["scaled"] for row in scaling])
    weights = 1 / np.array([row["scaled_error"] for row in scaling])
    design = np.stack([np.ones_like(inverse), inverse], axis=1) * weights[:, None]
    covariance = np.linalg.inv(design.T @ design)
    value, slope = covariance @ design.T @ (values * weights)
    error, expected = float(np.sqrt(covariance[0, 0])), scaling[0]["expected"]
    return {
        "measured": float(value),
        "standard_error": error,
        "slope": float(slope),
        "expected": expected,
        "z": float((value - expected) / error),
        "z_of_control": float(value / error),
    }


def _width(config: Config, squares: np.ndarray, used: int, errors: np.ndarray) -> dict[str, Any]:
    at = (config.samples, used, squares, config.noise)
    mean, error = float(errors.mean()), float(standard_error(errors))
    predicted, ridgeless = theory.test_error(*at), exact.test_error(*at)
    return {
        "used": used,
        "measured": mean,
        "standard_error": error,
        "predicted": predicted,
        "limit": theory.limit(*at),
        "z": (mean - predicted) / error,
        "z_of_control": (mean - ridgeless) / error if np.isfinite(ridgeless) else 0.0,
    }


def _size(noise: float, errors: np.ndarray, samples: int) -> dict[str, float]:
    at = (samples, samples, np.full(samples, 1 / samples), noise)
    return {
        "samples": samples,
        "scaled": float(samples * (errors.mean() - theory.limit(*at))),
        "scaled_error": float(samples * standard_error(errors)),
        "expected": theory.correction(*at),
    }

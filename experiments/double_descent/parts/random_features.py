"""Random features on handwritten digits: a peak at N = n, and the kernel beyond it.

Refuted by a mean over training sets that misses an exact law (the kernel's error at any N, the
test error with Gaussian features beyond n) by 3 standard errors, or an equivalent (Gaussian
features before n, cosine features everywhere) by 3 standard errors and 5 % of the error; or by a
largest median error elsewhere than at N = n.  The negative controls, the kernel's error as if
features were Gaussian and the first order in 1/N, must miss somewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least
from diffkit.lab.comparison import LARGEST_Z, paired
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import standard_error
from diffkit.problems.load import load
from experiments.double_descent.config import Config, RandomFeatures
from experiments.double_descent.measure import random_features as measure
from experiments.double_descent.parts import digits_claims
from experiments.double_descent.theory import random_features as theory

#: Within so many features of n the variance over the features is infinite or nearly.
HEAVY_TAILS = 20
#: Allowed miss of the equivalents, a share of the error, beside 3 standard errors.
ALLOWED = 0.05
#: Widths within this share of n are shown and not judged: there the variance is dominated by few
#: features, and cosine features are no Gaussian ones.
NEAR = 1 / 8
#: Training sets and label noises whose predicted curves are drawn.
DRAWN = 4
Found = Mapping[str, np.ndarray]


def check(config: RandomFeatures) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    n, far, size = config.samples, HEAVY_TAILS, len(load("digits"))
    at_least(
        1,
        config,
        *("samples", "kernel_samples", "grid_samples", "grid_widths", "widths"),
        *("gaussian_widths", "gaussian_test", "block"),
        part="random_features",
    )
    if not 2 <= max(n, config.kernel_samples, *config.grid_samples) <= config.pool < size:
        raise UsageError(
            f"random_features: training sizes up to pool = {config.pool} of {size} digits; the "
            "rest is the test set"
        )
    close = [N for N in config.widths if n != N and abs(N - n) < far]
    close += [N for N in config.gaussian_widths if abs(N - n) < far]
    close += [N for N in config.grid_widths for m in config.grid_samples if abs(N - m) < far]
    if close:
        raise UsageError(
            f"random_features: widths {close} are within {far} of a training size, where the "
            "variance is infinite or nearly; leave them out"
        )
    if min(config.widths) >= n - far or max(config.widths) <= n + far:
        raise UsageError("random_features: give widths on both sides of samples")
    if config.label_noise[:1] != (0.0,) or not all(0 <= s < 1 for s in config.label_noise):
        raise UsageError("random_features: label_noise starts with 0 and lies in [0, 1)")
    if not 0 <= config.grid_label_noise < 1:
        raise UsageError("random_features: grid_label_noise lies in [0, 1)")
    at_least(2, config, "pairs", "gaussian_pairs", "kernels", "grid", part="random_features")


def digits(config: RandomFeatures) -> measure.Digits:
    """The pool and the test set: one shuffling of scikit-learn's digits, fixed by the seed."""
    data = load("digits")
    order = np.random.default_rng(config.seed).permutation(len(data))
    pool, test = order[: config.pool], order[config.pool :]
    inputs = data.inputs.astype(np.float64)
    return measure.Digits(inputs[pool], inputs[test], data.targets[pool], data.targets[test])


def fewer(config: RandomFeatures, data: measure.Digits) -> measure.Digits:
    """The data that Gaussian features are tested with: all digits are drawn together there."""
    few = config.gaussian_test
    return replace(data, test=data.test[:few], truth=data.truth[:few])


def run(config: Config, store: Store, progress: Progress) -> Part:
    """Cosine and Gaussian features, kernels and the grid: sweeps over blocks of repetitions."""
    mine = config.random_features
    check(mine)
    data = digits(mine)

    sweeps = {
        "cosine": (mine.pairs, mine.block),
        "gaussian": (mine.gaussian_pairs, mine.block),
        "kernels": (mine.kernels, mine.kernels),
        "grid": (mine.grid, mine.block),
    }
    keys = [
        {"part": "random_features", "what": what, "first": k, "last": min(k + block, total)}
        for what, (total, block) in sweeps.items()
        for k in range(0, total, block)
    ]

    def cell(part: str, what: str, first: int, last: int) -> Found:
        return _measure(mine, data, what, range(first, last))

    cells = store.map(cell, keys, progress)
    found = {
        what: _joined([c for key, c in zip(keys, cells, strict=True) if key["what"] == what])
        for what in sweeps
    }
    return finding(mine, data, **found)


def _measure(config: RandomFeatures, data: measure.Digits, what: str, repetitions: range) -> Found:
    """A block of repetitions of one sweep."""
    at = {"repetitions": repetitions, "seed": config.seed}
    if what == "grid":
        sizes = {"samples": config.grid_samples, "widths": config.grid_widths}
        return measure.grid(data, **sizes, label_noise=config.grid_label_noise, **at)
    if what == "gaussian":
        sizes = {"samples": config.samples, "widths": config.gaussian_widths}
        return measure.gaussian(fewer(config, data), **sizes, **at)
    if what == "kernels":
        return measure.kernels(data, samples=config.kernel_samples, widths=config.widths, **at)
    sizes = {"samples": config.samples, "widths": config.widths}
    return measure.cosine(data, **sizes, label_noise=config.label_noise, **at)


def finding(
    config: RandomFeatures,
    data: measure.Digits,
    cosine: Found,
    gaussian: Found,
    kernels: Found,
    grid: Found,
) -> Part:
    """Judge the sweeps and join them."""
    cosine_rows, curves = _against_equivalents(config.widths, data, cosine, config.label_noise)
    gaussian_rows, _ = _against_equivalents(
        config.gaussian_widths, fewer(config, data), gaussian, (0.0,)
    )
    beyond = [row for row in gaussian_rows if row["features"] > config.samples]
    for row in beyond:  # there the law is exact
        row["agrees"] = abs(row["z"]) < LARGEST_Z
    products = _kernels(config, data, kernels)
    medians = np.median(_members(cosine["squared"])[:, :, 0], axis=0)
    peak = config.widths[int(medians.argmax())]
    rows = [row for row in (*cosine_rows, *gaussian_rows) if "predicted" in row]
    wrong = [row for row in rows if not row["agrees"]]
    astray = [row for row in products if abs(row["z"]) >= LARGEST_Z]
    is_blind = any(
        all(abs(row["z_of_control"]) < LARGEST_Z for row in rows) for rows in (products, beyond)
    )
    is_elsewhere = config.samples in config.widths and peak != config.samples
    worst = max((row for row in cosine_rows if "miss" in row), key=lambda row: abs(row["miss"]))
    statement = (
        f"on digits the largest median test error is at N = {peak} (n = {config.samples}); "
        f"{len(rows) - len(wrong)} of {len(rows)} errors agree with the curve of the kernel, with "
        f"cosine features up to {100 * worst['miss']:+.1f} % of it (N = {worst['features']}); "
        f"{len(products) - len(astray)} of {len(products)} kernels lie within {LARGEST_Z:g} "
        f"standard errors of their exact variance, the control is off by z = "
        f"{max(abs(row['z_of_control']) for row in products):.0f}"
    )
    results = {
        "cosine": cosine_rows,
        "gaussian": gaussian_rows,
        "kernels": products,
        "curves": curves,
        "peak": {"at": peak, "median": float(medians.max())},
        "grid": {
            name: np.mean(grid[name], axis=0).round(6).tolist() for name in ("squared", "training")
        },
        "scale": data.scale,
        "laws": [law.to_dict() for law in theory.laws()],
        "data": load("digits").describe(),
    }
    misses = bool(wrong or astray or is_elsewhere)
    status = judged(misses=misses, is_blind=is_blind)
    claims = digits_claims.decide(config, _members(cosine["squared"]), cosine, grid)
    return Part("random_features", status, statement, results, claims)


def _against_equivalents(
    widths: Sequence[int], data: measure.Digits, found: Found, shares: Sequence[float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every width and label noise against its prediction, and the predicted curves drawn."""
    squared = _members(found["squared"])
    predicted, control = np.empty_like(squared), np.empty_like(squared)
    drawn = np.unique(np.geomspace(min(widths), max(widths), 80).round().astype(int))
    curves = np.empty((DRAWN, len(drawn), len(shares)))
    truth, limits = _one_hot(data.truth), np.empty((len(squared), len(shares)))
    rows, labels = _members(found["rows"]), _members(found["labels"])
    for i, (row, of_levels) in enumerate(zip(rows, labels, strict=True)):
        task = theory.Regression(data.pool[row], data.test, data.scale)
        for j, targets in enumerate(map(_one_hot, of_levels)):
            limits[i, j] = task.kernel_limit(targets, truth)
            predicted[i, :, j] = task.errors(widths, targets, truth)
            control[i, :, j] = task.first_order(widths, targets, truth)
            if i < DRAWN:
                curves[i, :, j] = task.errors(drawn, targets, truth)
    table = [
        {
            "features": N,
            "label_noise": share,
            **_judge(N, len(rows[0]), *(x[:, k, j] for x in (squared, predicted, control))),
            **_means(found, k, j),
        }
        for j, share in enumerate(shares)
        for k, N in enumerate(widths)
    ]
    lines = [
        {
            "label_noise": share,
            "features": drawn.tolist(),
            "predicted": [None if v == np.inf else v for v in curves[:, :, j].mean(0).tolist()],
            "kernel_limit": float(limits[:, j].mean()),
        }
        for j, share in enumerate(shares)
    ]
    return table, lines


def _judge(
    features: int, samples: int, measured: np.ndarray, predicted: np.ndarray, control: np.ndarray
) -> dict[str, Any]:
    """One width: exact beyond n with Gaussian features, an equivalent elsewhere."""
    row: dict[str, Any] = {
        "measured": float(measured.mean()),
        "median": float(np.median(measured)),
        "standard_error": float(standard_error(measured)),
    }
    if abs(features - samples) < samples * NEAR:
        return row
    off, mean = paired(measured, predicted), float(predicted.mean())
    return {
        **row,
        "predicted": mean,
        "z": off.z(),
        "miss": off.value / mean,
        "z_of_control": paired(measured, control).z(),
        "agrees": abs(off.value) < LARGEST_Z * off.error + ALLOWED * mean,
    }


def _means(found: Found, width: int, level: int) -> dict[str, float]:
    """What else is known of a width and a label noise."""
    kept = {
        name: float(_members(found[name])[:, width, level].mean()) for name in ("wrong", "norm")
    }
    training = float(_members(found["training"])[:, width, level].mean())
    halves = {name: float(found[name][:, width, level].mean()) for name in ("bias", "variance")}
    return {**kept, "training": training, **halves}


def _kernels(config: RandomFeatures, data: measure.Digits, found: Found) -> list[dict[str, Any]]:
    """Mean squared error of the kernel of N features against its exact value."""
    measured = found["kernel"]
    sets = [data.pool[row] for row in found["rows"]]
    exact, control = (
        np.array([rule(inputs, data.scale, config.widths) for inputs in sets])
        for rule in (theory.kernel_error, theory.product_error)
    )
    return [
        {
            "features": N,
            "measured": float(measured[:, k].mean()),
            "standard_error": float(standard_error(measured[:, k] - exact[:, k])),
            "exact": float(exact[:, k].mean()),
            "control": float(control[:, k].mean()),
            "z": paired(measured[:, k], exact[:, k]).z(),
            "z_of_control": paired(measured[:, k], control[:, k]).z(),
        }
        for k, N in enumerate(config.widths)
    ]


def _joined(cells: Sequence[Found]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([cell[name] for cell in cells]) for name in cells[0]}


def _members(values: np.ndarray) -> np.ndarray:
    """The two members of every pair, one after the other."""
    return values.reshape(-1, *values.shape[2:])


def _one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(measure.CLASSES)[labels]

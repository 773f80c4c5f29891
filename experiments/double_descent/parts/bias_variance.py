"""Bias, variance and noise add up: exactly, on a fixed design and with Gaussian features.

Refuted by a mean over pairs of data sets that misses its exact value by the |z| that all means
together exceed by chance as often as one exceeds 3.  The negative controls must miss: the
variance with the trace of the smoother, not of its square, and the variance without the part
that the random features add.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least
from diffkit.lab.comparison import LARGEST_Z, Mean, paired, verdict_of
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.numeric.statistics import critical_z, standard_error, two_sided_p
from experiments.double_descent.config import Config
from experiments.double_descent.measure import bias_variance as measure
from experiments.double_descent.parts.exact import HEAVY_TAILS, check_problem
from experiments.double_descent.theory import bias_variance as theory
from experiments.double_descent.theory import exact

Found = Mapping[str, np.ndarray]
HALVES = ("bias", "variance")


def check(config: Config) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    check_problem(config)
    mine, n = config.bias_variance, config.samples
    at_least(1, mine, "widths", "sizes", "block", part="bias_variance")
    close = [size for size in (*mine.widths, *mine.sizes) if abs(size - n) < HEAVY_TAILS]
    if close:
        raise UsageError(
            f"bias_variance: widths and sizes {close} are within {HEAVY_TAILS} of samples = {n}, "
            "where the variance is infinite or nearly; leave them out"
        )
    if max(*mine.widths, n) > config.features:
        raise UsageError(f"bias_variance: widths lie between 1 and features = {config.features}")
    for rising in (mine.degrees, mine.penalties, mine.widths, mine.sizes):
        if list(rising) != sorted(set(rising)) or len(rising) < 2:
            raise UsageError("bias_variance: list two or more values in rising order")
    if not 0 <= min(mine.degrees) <= max(mine.degrees) < mine.points:
        raise UsageError(f"bias_variance: degrees lie between 0 and points - 1 = {mine.points - 1}")
    if min(mine.penalties) <= 0 or mine.noise <= 0 or mine.pairs < 2:
        raise UsageError("bias_variance: penalties and noise are positive, pairs 2 or more")


def sizes(config: Config) -> list[tuple[int, int]]:
    """(n, p) of the sweep over widths, then of the sweep over training sizes."""
    mine, n = config.bias_variance, config.samples
    return [*((n, p) for p in mine.widths), *((size, n) for size in mine.sizes)]


def run(config: Config, store: Store, progress: Progress) -> Part:
    """A cell for each block of pairs, of smoothers and of Gaussian features."""
    check(config)
    mine = config.bias_variance
    squares = exact.coefficients(config.features, config.decay, config.noise)
    x, design = theory.legendre(mine.points, max(mine.degrees))

    def cell(part: str, what: str, first: int, last: int) -> Found:
        at = {"pairs": range(first, last), "seed": mine.seed}
        if what == "gaussian":
            return measure.gaussian(squares, config.noise, sizes=sizes(config), **at)
        widths = [degree + 1 for degree in mine.degrees]
        return measure.fixed_design(
            design, theory.truth(x), mine.noise, widths=widths, penalties=mine.penalties, **at
        )

    keys = [
        {"part": "bias_variance", "what": what, "first": k, "last": min(k + mine.block, mine.pairs)}
        for what in ("smoothers", "gaussian")
        for k in range(0, mine.pairs, mine.block)
    ]
    cells = store.map(cell, keys, progress)
    smoothers, gaussian = (
        {
            name: np.concatenate([cell[name] for cell in cells if (("error" in cell) == is_fixed)])
            for name in (*HALVES, *(["error"] if is_fixed else []))
        }
        for is_fixed in (True, False)
    )
    return finding(config, squares, smoothers, gaussian)


def finding(config: Config, squares: np.ndarray, smoothers: Found, gaussian: Found) -> Part:
    """Judge every mean against its exact value."""
    mine = config.bias_variance
    x, design = theory.legendre(mine.points, max(mine.degrees))
    target = theory.truth(x)
    exact_parts = [theory.projection(design[:, : k + 1], target, mine.noise) for k in mine.degrees]
    exact_parts += [theory.ridge(design, target, mine.noise, each) for each in mine.penalties]
    labels = [{"degree": k} for k in mine.degrees] + [{"penalty": v} for v in mine.penalties]
    fixed = _rows(labels, exact_parts, smoothers)
    random = _rows(
        [{"samples": n, "used": p} for n, p in sizes(config)],
        [theory.gaussian(n, p, squares, config.noise) for n, p in sizes(config)],
        gaussian,
    )
    scores = [row[name]["z"] for row in (*fixed, *random) for name in row if name in _MEASURED]
    allowed = critical_z(two_sided_p(LARGEST_Z), len(scores))
    controls = [
        max((row["z_of_control"] for row in rows), key=abs)
        for rows in ([row for row in fixed if "penalty" in row], random)
    ]
    worst = max(scores, key=abs)
    statement = (
        f"{sum(abs(z) < allowed for z in scores)} of {len(scores)} biases, variances and errors "
        f"lie within {allowed:.1f} standard errors of their exact values, the worst at z = "
        f"{worst:.1f}; the trace of the smoother for that of its square is off by z = "
        f"{controls[0]:.0f}, the variance of the noise alone by {controls[1]:.0f}"
    )
    results = {
        "smoothers": fixed,
        "gaussian": random,
        "curves": _curves(config, squares),
        "allowed": allowed,
        "laws": [law.to_dict() for law in theory.laws()],
    }
    misses = abs(worst) >= allowed
    is_blind = min(map(abs, controls)) < allowed
    decided = claims(config, smoothers, gaussian)
    return Part(
        "bias_variance", judged(misses=misses, is_blind=is_blind), statement, results, decided
    )


def _curves(config: Config, squares: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Exact bias and variance of Gaussian features, to be drawn: over the p, and over the n."""
    n = config.samples
    sweeps = {
        "used": [(n, p) for p in range(1, config.features + 1)],
        "samples": [(size, n) for size in range(2, max(config.bias_variance.sizes) + 1)],
    }
    curves = {}
    for place, (name, sweep) in enumerate(sweeps.items(), 1):
        kept = [size for size in sweep if abs(size[0] - size[1]) > 1]
        values = [theory.gaussian(*size, squares, config.noise) for size in kept]
        curves[name] = {name: [size[place % 2] for size in kept]}
        curves[name] |= {half: [value[half] for value in values] for half in HALVES}
    return curves


_MEASURED = (*HALVES, "error")


def _rows(
    labels: Sequence[Mapping[str, Any]], exact_parts: Sequence[Mapping[str, float]], found: Found
) -> list[dict[str, Any]]:
    """One row a model: mean, standard error, exact value and z of each part of the error."""
    rows = []
    for k, (label, expected) in enumerate(zip(labels, exact_parts, strict=True)):
        row: dict[str, Any] = dict(label)
        for name in found:
            values = found[name][:, k]
            row[name] = {
                "measured": float(values.mean()),
                "standard_error": float(standard_error(values)),
                "exact": expected[name],
                "z": paired(values, expected[name]).z(),
            }
        rows.append(
            {**row, "z_of_control": paired(found["variance"][:, k], expected["control"]).z()}
        )
    return rows


def claims(config: Config, smoothers: Found, gaussian: Found) -> list[Decided]:
    """What the pairs say of the lectures' claims C044 to C047."""
    mine, n = config.bias_variance, config.samples
    degrees, widths = len(mine.degrees), len(mine.widths)
    polynomials, features, training = (
        {name: found[name][:, start:stop] for name in HALVES}
        for found, start, stop in (
            (smoothers, 0, degrees),
            (gaussian, 0, widths),
            (gaussian, widths, None),
        )
    )
    return [
        _simple_and_flexible(polynomials, features),
        _variance_of_width(mine.widths, n, features["variance"]),
        _bias_of_width(mine.widths, n, polynomials["bias"], features["bias"]),
        _variance_of_data(mine.sizes, n, training["variance"]),
    ]


def _steps(values: np.ndarray) -> list[Mean]:
    """Each column less the one before it."""
    return [paired(b, a) for a, b in pairwise(values.T)]


def _ends(values: np.ndarray) -> Mean:
    """The last column less the first."""
    return paired(values[:, -1], values[:, 0])


def _simple_and_flexible(polynomials: Found, features: Found) -> Decided:
    """C044: simple models have high bias and low variance, flexible ones the opposite."""
    ends = [(_ends(found["bias"]), _ends(found["variance"])) for found in (polynomials, features)]
    holds = [ok for bias, variance in ends for ok in (bias.falls(), variance.rises())]
    texts = [f"bias² {bias}, variance {variance}" for bias, variance in ends]
    return Decided(
        "C044",
        verdict_of(holds),
        f"most flexible less simplest, polynomials: {texts[0]}; Gaussian features: {texts[1]}",
    )


def _variance_of_width(widths: Sequence[int], samples: int, variance: np.ndarray) -> Decided:
    """C045: more complexity always raises the variance; one fall refutes it."""
    few = [k for k, p in enumerate(widths) if p < samples]
    many = [k for k, p in enumerate(widths) if p > samples]
    before, beyond = _ends(variance[:, few]), _ends(variance[:, many])
    steps = _steps(variance)
    verdict = "confirmed" if all(step.exceeds() for step in steps) else "undecided"
    if any(step.is_below() for step in steps):
        verdict = "refuted"
    return Decided(
        "C045",
        verdict,
        f"the variance changes by {before} from p = {widths[few[0]]} to {widths[few[-1]]}, and by "
        f"{beyond} from {widths[many[0]]} to {widths[many[-1]]} (n = {samples})",
    )


def _bias_of_width(
    widths: Sequence[int], samples: int, polynomials: np.ndarray, features: np.ndarray
) -> Decided:
    """C046: a more complex model has a lower bias."""
    few = [k for k, p in enumerate(widths) if p < samples]
    many = [k for k, p in enumerate(widths) if p > samples]
    sweeps = {
        "polynomials": polynomials,
        f"Gaussian features up to p = {widths[few[-1]]}": features[:, few],
        f"from p = {widths[many[0]]} to {widths[many[-1]]}": features[:, many],
    }
    ends = {name: _ends(values) for name, values in sweeps.items()}
    holds = [
        ends[name].is_below() and not any(step.exceeds() for step in _steps(values))
        for name, values in sweeps.items()
    ]
    return Decided(
        "C046",
        verdict_of(holds),
        "change of bias², " + "; ".join(f"{name}: {end}" for name, end in ends.items()),
    )


def _variance_of_data(sizes_: Sequence[int], used: int, variance: np.ndarray) -> Decided:
    """C047: a larger data set reduces the variance."""
    less = [k for k, n in enumerate(sizes_) if n < used]
    more = [k for k, n in enumerate(sizes_) if n > used]
    before, beyond = _ends(variance[:, less]), _ends(variance[:, more])
    return Decided(
        "C047",
        verdict_of([before.falls(), beyond.falls()]),
        f"with p = {used} features the variance changes by {before} from n = {sizes_[less[0]]} to "
        f"{sizes_[less[-1]]}, and by {beyond} from {sizes_[more[0]]} to {sizes_[more[-1]]}",
    )

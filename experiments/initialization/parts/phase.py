"""The measured edge of chaos against the derived one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, known, positive, rising
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.mlp import activation
from diffkit.numeric.statistics import at_zero, standard_error
from experiments.initialization.config import Config, Phase, networks
from experiments.initialization.measure.propagation import Rows, log_gradients
from experiments.initialization.theory import propagation as theory

#: Cells of the run ledger for each width.
BLOCKS = 4


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each width and block of networks; judge every boundary at 1/n = 0."""
    asked = config.phase
    check(asked)
    rows = grid(asked)

    def cell(part: str, width: int, first: int) -> Mapping[str, Any]:
        log_square, _ = log_gradients(
            rows,
            width=width,
            depth=asked.depth,
            inputs=1,
            networks=range(first, min(first + block(asked, width), networks(asked, width))),
            seed=asked.seed,
        )
        half = asked.depth // 2
        return {"growth": (log_square[:, half] - log_square[:, -1]) / (asked.depth - 1 - half)}

    keys = [
        {"part": "phase", "width": n, "first": first}
        for n in asked.widths
        for first in range(0, networks(asked, n), block(asked, n))
    ]
    cells = store.map(cell, keys, progress)
    growths = [
        np.concatenate(
            [c["growth"] for c, key in zip(cells, keys, strict=True) if key["width"] == n]
        )
        for n in asked.widths
    ]
    means = np.stack([growth.mean(axis=0) for growth in growths])
    errors = np.stack([standard_error(growth) for growth in growths])
    shape = (len(asked.activations), len(asked.biases), len(asked.weights))
    value, error = (
        found.reshape(shape) for found in at_zero(1 / np.array(asked.widths, float), means, errors)
    )
    found = [
        judge(asked, name, bias, value[i, j], error[i, j])
        for i, name in enumerate(asked.activations)
        for j, bias in enumerate(asked.biases)
    ]
    return part_of(asked, found, value)


def block(asked: Phase, width: int) -> int:
    """Networks of one cell of the run ledger."""
    return -(-networks(asked, width) // BLOCKS)


def check(asked: Phase) -> None:
    """Refuse a grid in which no boundary can be found."""
    known(activation, asked, "activations", part="phase")
    at_least(1, asked, "widths", part="phase")
    positive(asked, "weights", "tolerance", part="phase")
    rising(asked, "weights", part="phase")
    if min(asked.biases, default=0) <= 0 or asked.depth < 4:
        raise UsageError("phase needs biases > 0 and a depth of 4 or more")
    if len(set(asked.widths)) < 2 or networks(asked, max(asked.widths)) < 2:
        raise UsageError("phase needs two or more different widths and two networks of each")


def grid(asked: Phase) -> Rows:
    """Every activation at every bias and weight; h_1 has variance 1 and settles from there."""
    bias, weight = np.meshgrid(asked.biases, asked.weights, indexing="ij")
    count = len(asked.activations)
    return Rows(
        tuple((activation(name), bias.size) for name in asked.activations),
        np.sqrt(np.tile(weight.ravel(), count)),
        np.sqrt(np.tile(bias.ravel(), count)),
        np.ones(count * bias.size),
    )


def judge(
    asked: Phase, name: str, bias: float, growth: np.ndarray, errors: np.ndarray
) -> dict[str, Any]:
    """One bias: where the growth of gradients crosses 0."""
    weights = np.array(asked.weights)
    edge = crossing(weights, growth, name, bias)
    slope = np.interp(edge, weights, np.gradient(growth, weights))
    predicted = theory.edge(name, bias)
    return {
        "activation": name,
        "bias": bias,
        "measured": edge,
        "standard_error": float(np.interp(edge, weights, errors) / slope),
        "predicted": predicted,
        "miss": edge / predicted - 1,
        "miss_of_control": edge / theory.small_signal_edge(name) - 1,
    }


def crossing(weights: np.ndarray, growth: np.ndarray, name: str, bias: float) -> float:
    """The weight variance at which the growth is 0, by monotone cubic interpolation."""
    roots = PchipInterpolator(weights, growth).roots(extrapolate=False)
    if len(roots) != 1:
        raise UsageError(
            f"the gradients of {name} at sigma_b^2 = {bias:g} cross from vanishing to growing "
            f"{len(roots)} times on the grid; widen phase.weights or take more networks"
        )
    return float(roots[0])


def part_of(asked: Phase, rows: Sequence[Mapping[str, Any]], growth: np.ndarray) -> Part:
    """Join the judged boundaries and decide claim C090."""
    worst = max(rows, key=lambda row: abs(row["miss"]))
    agreeing = sum(abs(row["miss"]) <= asked.tolerance for row in rows)
    blind = sum(abs(row["miss_of_control"]) <= asked.tolerance for row in rows)
    percent = f"{100 * asked.tolerance:g} %"
    statement = (
        f"{agreeing} of {len(rows)} measured boundaries are within {percent} of the derived "
        f"edge of chaos, the worst off by {100 * worst['miss']:.1f} % ({worst['activation']}, "
        f"sigma_b^2 = {worst['bias']:g}); that for small signals is outside at {len(rows) - blind}"
    )
    low, high = float(growth.min()), float(growth.max())
    verdict = "confirmed" if low < 0 < high and agreeing == len(rows) else "mixed"
    claim = Decided(
        "C090",
        verdict,
        f"the factor of squared gradients per layer runs from {np.exp(low):.2f} to "
        f"{np.exp(high):.2f} over the grid and is 1 within {percent} of the derived edge in "
        f"{agreeing} of {len(rows)} cuts",
    )
    results = {
        "rows": list(rows),
        "growth": growth.round(5).tolist(),
        "weights": list(asked.weights),
        "biases": list(asked.biases),
        "activations": list(asked.activations),
        "laws": [law.to_dict() for law in theory.laws()],
    }
    status = judged(misses=agreeing < len(rows), is_blind=blind > 0)
    return Part("phase", status, statement, results, (claim,))

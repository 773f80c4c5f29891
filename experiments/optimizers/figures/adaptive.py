"""Adam's largest step, and where Adam and AMSGrad go on Reddi's losses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, below, figure, save, ticks_at
from experiments.optimizers.figures.quadratics import stamp

LOOKS: Mapping[str, tuple[str, str]] = {
    "Adam": (PALETTE["vermillion"], "o"),
    "AMSGrad": (PALETTE["blue"], "s"),
    "AMSGrad (corrected)": (PALETTE["sky"], "^"),
}
NAMES = {"AMSGrad (corrected)": "AMSGrad, $\\hat v$ corrected"}


def largest_step(record: Record, path: Path) -> Path:
    """Steps of Adam against their bounds; paths and drifts on the counterexample."""
    results = record.results["counterexample"]
    with figure(1, 3, height=2.5, gridspec_kw={"width_ratios": (1.15, 1, 1)}) as (
        drawing,
        (left, middle, right),
    ):
        _steps(left, results["steps"])
        _paths(middle, results)
        _drifts(right, results)
        below(drawing, middle)
        return save(drawing, path, stamp(record))


def _steps(panel: Any, steps: Mapping[str, Any]) -> None:
    panel.plot(steps["t"], steps["law"], color="black", marker="", linewidth=1.0)
    panel.plot(
        steps["t"], steps["growing"], color=PALETTE["vermillion"], marker="o", linestyle="",
        markerfacecolor="white", markersize=3,
    )  # fmt: skip
    panel.axhline(steps["printed"], color="0.4", linewidth=0.9, linestyle=(0, (4, 1.5)))
    panel.axhline(steps["after"]["law"], color="0.4", linewidth=0.8, linestyle=":")
    panel.text(
        1.1, steps["printed"] + 0.62, r"printed: $\frac{1-\beta_1}{\sqrt{1-\beta_2}}$", fontsize=8.5
    )
    panel.text(
        1.1, steps["after"]["law"] + 0.75,
        r"$\frac{1-\beta_1}{\sqrt{(1-\beta_2)(1-\beta_1^2/\beta_2)}}$", fontsize=8.5,
    )  # fmt: skip
    panel.set(xscale="log", ylim=(0, 10), xlabel="step $t$", ylabel=r"largest step / $\alpha$")


def _paths(panel: Any, results: Mapping[str, Any]) -> None:
    for row in results["rows"]:
        colour, marker = LOOKS[row["optimiser"]]
        panel.plot(
            row["periods"], row["x"], color=colour, marker=marker, markevery=25, markersize=3,
            label=NAMES.get(row["optimiser"], row["optimiser"]),
        )  # fmt: skip
    panel.axhline(-1, color="0.4", linewidth=0.8, linestyle=":")
    panel.set(xscale="log", ylim=(-1.15, 1.15), xlabel="periods of three losses", ylabel="$x$")
    panel.set_title(f"best $x = -1$; $C = {results['slopes'][0]:g}$", fontsize=8.5)


def _drifts(panel: Any, results: Mapping[str, Any]) -> None:
    order = np.argsort(results["slopes"])
    slopes = np.array(results["slopes"], float)[order]
    across = np.geomspace(slopes[0], slopes[-1], 100)
    for row in results["rows"]:
        colour, marker = LOOKS[row["optimiser"]]
        panel.plot(across, _law(row["optimiser"], across), color=colour, marker="", linewidth=0.9)
        panel.plot(
            slopes, np.array(row["drifts"])[order], color=colour, marker=marker, linestyle="",
            markerfacecolor="white",
        )  # fmt: skip
    panel.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
    panel.set(xscale="log", ylim=(-1.1, 1.1), xlabel="slope $C$", ylabel="drift / step size")
    ticks_at(panel.xaxis, (3, 10, 30))
    panel.text(
        0.97, 0.62, r"$\frac{1}{\sqrt{v_2}}+\frac{1}{\sqrt{v_3}}-\frac{C}{\sqrt{v_1}}$",
        transform=panel.transAxes, ha="right", fontsize=9,
    )  # fmt: skip


def _law(optimiser: str, slope: np.ndarray) -> np.ndarray:
    """The drifts as the record's laws have them, as curves."""
    b = 1 / (1 + slope**2)
    scale = 1 + b + b**2
    one = (slope**2 + b + b**2) / scale
    if optimiser == "AMSGrad":
        return (2 - slope) / np.sqrt(one)
    if optimiser != "Adam":
        return (2 - slope) / slope
    two, three = (1 + b * slope**2 + b**2) / scale, (1 + b + b**2 * slope**2) / scale
    return -slope / np.sqrt(one) + 1 / np.sqrt(two) + 1 / np.sqrt(three)

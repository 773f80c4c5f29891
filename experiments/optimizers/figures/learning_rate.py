"""Too small, too large, falling by itself: what the learning rate does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import MARKERS, PALETTE, figure, save
from experiments.optimizers.figures.quadratics import stamp

#: Shares of 1/h that are drawn: too small, oscillating, too large.
DRAWN = (
    ("too small", 0.1, PALETTE["blue"], "o"),
    ("$1 < ah < 2$", 1.7, PALETTE["green"], "s"),
    ("too large", 2.1, PALETTE["vermillion"], "^"),
)


def learning_rate(record: Record, path: Path) -> Path:
    """Paths on the parabola, steps to an accuracy, the network, and Adagrad's stall."""
    results = record.results["learning_rate"]
    with figure(2, 2, height=4.1) as (drawing, axes):
        (paths, counts), (network, stall) = axes
        _paths(paths, results["parabola"]["paths"])
        _counts(counts, results["parabola"])
        _network(network, results["network"])
        _stall(stall, results["stall"])
        return save(drawing, path, stamp(record))


def _paths(panel: Any, paths: Mapping[str, Any]) -> None:
    for name, share, colour, marker in DRAWN:
        nearest = int(np.argmin(np.abs(np.array(paths["shares"]) - share)))
        panel.plot(
            paths["x"][nearest], color=colour, marker=marker, linewidth=0.9,
            label=f"{name}: $ah = {paths['shares'][nearest]:g}$",
        )  # fmt: skip
    panel.axhline(0, color="0.6", linewidth=0.6)
    panel.set(xlabel="step $t$", ylabel="$x_t$", ylim=(-4.2, 6.6))
    panel.legend(loc="upper left", fontsize=7.5)
    panel.text(0.04, 0.05, "$x_{t+1} = (1-ah)\\,x_t$", transform=panel.transAxes, fontsize=9)


def _counts(panel: Any, parabola: Mapping[str, Any]) -> None:
    across = np.concatenate([np.linspace(0.01, 0.999, 200), np.linspace(1.001, 1.99, 200)])
    panel.plot(
        across, np.log(1e-6) / np.log(np.abs(1 - across)), color="black", marker="", linewidth=0.9
    )
    shown = [
        (share, steps)
        for share, steps in zip(parabola["shares"], parabola["steps"], strict=True)
        if steps is not None
    ]
    panel.plot(
        *zip(*shown, strict=True), color=PALETTE["blue"], marker="o", linestyle="",
        markerfacecolor="white",
    )  # fmt: skip
    panel.axvspan(2, 2.6, color="0.9")
    panel.text(2.3, 30, "diverges", rotation=90, ha="center", va="center", fontsize=8)
    panel.axvline(1, color="0.6", linewidth=0.6, linestyle=":")
    panel.set(
        yscale="log", xlim=(0, 2.6), ylim=(0.8, 3000), xlabel="$a\\,h$",
        ylabel="steps to $|x| < 10^{-6}$",
    )  # fmt: skip
    panel.text(0.42, 450, r"$\frac{\ln 10^{-6}}{\ln|1-ah|}$", fontsize=10.5)
    panel.text(0.5, 1.1, "monotone", ha="center", fontsize=8)
    panel.text(1.5, 1.1, "oscillates", ha="center", fontsize=8)


def _network(panel: Any, network: Mapping[str, Any]) -> None:
    colours = (PALETTE["blue"], PALETTE["green"], PALETTE["vermillion"], PALETTE["purple"])
    for row, colour, marker in zip(network["rows"], colours, MARKERS, strict=False):
        panel.plot(
            network["rates"], row["mean"], color=colour, marker=marker, linewidth=0.9,
            label=f"batch {row['batch']}",
        )  # fmt: skip
    panel.set(
        xscale="log",
        xlim=(6e-4, 900),
        ylim=(0, 1.03),
        xlabel="learning rate",
        ylabel="share of digits right",
    )
    panel.legend(loc="upper right", fontsize=7.5)


def _stall(panel: Any, stall: Mapping[str, Any]) -> None:
    panel.fill_between(
        stall["t"], stall["least"], stall["greatest"], color="0.8", linewidth=0,
    )  # fmt: skip
    panel.plot(
        stall["t"], stall["Adagrad"], color=PALETTE["blue"], marker="o", markevery=6,
        markerfacecolor="white", linewidth=0.9, label="Adagrad",
    )  # fmt: skip
    panel.plot(
        stall["t"], stall["Adadelta"], color=PALETTE["vermillion"], marker="s", markevery=6,
        markerfacecolor="white", linewidth=0.9, label="Adadelta",
    )  # fmt: skip
    panel.plot(
        stall["t"], stall["t"], color="0.4", linestyle=(0, (4, 1.5)), linewidth=0.8, marker="",
        label="constant rate",
    )  # fmt: skip
    panel.set(xscale="log", yscale="log", xlabel="equal gradients $T$", ylabel="distance / $a$")
    panel.legend(loc="upper left", fontsize=7.5)
    panel.text(
        0.97, 0.06, "Adagrad: $2\\sqrt{T+1}-2 \\leq x_T \\leq 2\\sqrt{T}$",
        transform=panel.transAxes, ha="right", fontsize=8,
    )  # fmt: skip

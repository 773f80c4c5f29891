"""Figure of the part "trainability"."""

from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, figure, save

LN10 = np.log(10.0)
LOOKS = {
    "tanh": (PALETTE["blue"], "o"),
    "relu": (PALETTE["vermillion"], "^"),
    "sigmoid": (PALETTE["green"], "s"),
}
OTHER = (PALETTE["purple"], "D")


def small_gradients(record: Record, path: Path) -> Path:
    """Steps to the target against the gradient ratio at the start; escape from a saddle."""
    found, asked = record.results["trainability"], record.config["trainability"]
    with figure(1, 2, height=2.8, gridspec_kw={"width_ratios": (1.25, 1)}) as (
        drawing,
        (left, right),
    ):
        _networks(left, found["networks"], asked["steps"])
        _saddle(right, found["saddle"])
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _networks(panel: Any, rows: Any, budget: int) -> None:
    """Filled marks: the deepest networks.  Those above the line never reached the target."""
    deepest = max(row["depth"] for row in rows)
    kept = [row for row in rows if row["log_ratio"] is not None]
    for activation in dict.fromkeys(row["activation"] for row in kept):
        colour, mark = LOOKS.get(activation, OTHER)
        for is_deep in (False, True):
            chosen = [
                row
                for row in kept
                if row["activation"] == activation and (row["depth"] == deepest) == is_deep
            ]
            panel.plot(
                [row["log_ratio"] / LN10 for row in chosen],
                [row["steps"] for row in chosen],
                linestyle="",
                marker=mark,
                color=colour,
                markerfacecolor=colour if is_deep else "white",
                markersize=3.2,
                markeredgewidth=0.7,
                label=activation if is_deep else None,
            )
    panel.axhline(budget, color="0.7", linewidth=0.7, zorder=0)
    panel.set(
        xlabel=r"$\log_{10}\,\|g_1\|/\|g_L\|$ at the start",
        ylabel="steps to the target",
        ylim=(0, 1.14 * budget),
    )
    panel.text(0.02, 0.985, "never", transform=panel.transAxes, va="top", fontsize=8, color="0.35")
    panel.legend(loc="lower left", fontsize=7.5, handletextpad=0.2)


def _saddle(panel: Any, saddle: Any) -> None:
    noises, steps = np.array(saddle["noises"]), np.array(saddle["steps"])
    panel.plot(np.log10(noises), steps, linestyle="", marker="o", color=PALETTE["blue"],
               markerfacecolor="white", label="measured")  # fmt: skip
    folds = np.log(noises[0] / noises)
    panel.plot(np.log10(noises), steps[0] + saddle["predicted"] * folds, color="black", marker="",
               linewidth=1, label=r"slope $1/\log(1 + \eta)$")  # fmt: skip
    panel.plot(np.log10(noises), steps[0] + 10.0 * folds, color=PALETTE["vermillion"], marker="",
               linestyle=(0, (4, 1.5)), linewidth=0.9, label=r"control: $1/\eta$")  # fmt: skip
    panel.set(xlabel="$\\log_{10}$ of the gradient noise", ylabel="steps to leave a saddle")
    panel.legend(loc="upper right", fontsize=7.5)

"""Ridge regression at the best penalty: no peak, and the 1/n correction."""

from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, below, few_decades, figure, save

CORRECTION = (
    r"$R_1 = s^2\frac{1+\gamma+\lambda-\Delta}{2\Delta^2}$,"
    "\n"
    r"$\Delta^2 = (1-\gamma+\lambda)^2 + 4\gamma\lambda$"
)
#: Errors above this many times the least one are cut off.
HIGHEST = 12.0


def ridge(record: Record, path: Path) -> Path:
    """Test error against width with and without the penalty; the coefficient of 1/n."""
    found = record.results["ridge"]
    options = {"gridspec_kw": {"width_ratios": (3, 2)}}
    with figure(1, 2, height=2.6, **options) as (drawing, (left, right)):
        _errors(left, found, record.config["samples"])
        _scaling(right, found)
        for panel, letter in ((left, "a"), (right, "b")):
            panel.set_title(f"({letter})", loc="left", fontsize=9)
        below(drawing, left, right)
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _errors(panel: Any, found: Any, samples: int) -> None:
    curves, rows = found["curves"], found["rows"]
    used = np.array(curves["used"], float)
    without = np.array([np.nan if v is None else v for v in curves["ridgeless"]], float)
    panel.plot(
        used,
        without,
        color=PALETTE["vermillion"],
        marker="",
        linestyle=(0, (4, 1.5)),
        linewidth=0.9,
        label="control: no penalty, exact",
    )
    panel.plot(
        used,
        curves["ridge"],
        color="black",
        marker="",
        linewidth=1.0,
        label=r"limit $+\,R_1/n$, $\lambda_* = \gamma s^2/r^2$",
    )
    panel.errorbar(
        [row["used"] for row in rows],
        [row["measured"] for row in rows],
        yerr=[3 * row["standard_error"] for row in rows],
        color=PALETTE["green"],
        linestyle="",
        marker="o",
        markerfacecolor="white",
        elinewidth=0.8,
        label="ridge, 3 standard errors",
    )
    least = min(row["measured"] for row in rows)
    panel.axvline(samples, color="0.85", linewidth=0.8, zorder=0)
    panel.set(
        yscale="log",
        ylim=(0.8 * least, HIGHEST * least),
        xlabel=f"features used, $p$   ($n = {samples}$)",
        ylabel="test error",
    )
    few_decades(panel.yaxis)


def _scaling(panel: Any, found: Any) -> None:
    """n (error - limit) against 1/n: its value at 0 is the correction."""
    rows, fit = found["scaling"], found["fit"]
    inverse = np.array([1 / row["samples"] for row in rows])
    panel.errorbar(
        inverse,
        [row["scaled"] for row in rows],
        yerr=[3 * row["scaled_error"] for row in rows],
        color=PALETTE["green"],
        linestyle="",
        marker="o",
        markerfacecolor="white",
        elinewidth=0.8,
    )
    line = np.array([0.0, inverse.max()])
    panel.plot(
        line,
        fit["measured"] + fit["slope"] * line,
        color=PALETTE["green"],
        marker="",
        linestyle=(0, (4, 1.5)),
        linewidth=0.8,
        label="line fitted",
    )
    panel.plot(
        [0.0], [fit["expected"]], color="black", marker="D", linestyle="", label="$R_1$, derived"
    )
    panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    high = max(row["scaled"] + 3 * row["scaled_error"] for row in rows)
    panel.set(xlabel="$1/n$   ($p = n$)", ylabel="$n\\,(R_n - R_\\infty)$")
    panel.set(xlim=(-0.006, None), ylim=(-0.1 * high, 1.9 * high))
    panel.text(0.03, 0.98, CORRECTION, transform=panel.transAxes, va="top", fontsize=8)

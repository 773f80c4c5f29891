"""Exact test error of least squares, its measurement, and the control."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, figure, save

FORMULAS = (
    r"$p \leq n-2:\ (c_p^2 + s^2)\,\frac{n-1}{n-p-1}$",
    "$p \\geq n+2:\\ b_p^2\\,(1-\\frac{n}{p})$\n$+\\ (c_p^2+s^2)\\,(1 + \\frac{n}{p-n-1})$",
)
#: Errors above this many times the least one are cut off.
HIGHEST = 30.0


def risk(record: Record, path: Path) -> Path:
    """Test error against width: exact curve, means over training sets, control, ridge; z below."""
    found = record.results["exact"]
    rows, curves = found["rows"], found["curves"]
    samples = record.config["samples"]
    with figure(2, 1, height=4.1, sharex=True, gridspec_kw={"height_ratios": (3, 1)}) as (
        drawing,
        (above, below),
    ):
        _curves(above, curves, samples)
        used = np.array([row["used"] for row in rows])
        above.errorbar(
            used,
            [row["measured"] for row in rows],
            yerr=[3 * row["standard_error"] for row in rows],
            color=PALETTE["blue"],
            linestyle="",
            marker="o",
            markerfacecolor="white",
            elinewidth=0.8,
            label="measured, 3 standard errors",
        )
        least = min(row["measured"] for row in rows)
        above.set(yscale="log", ylim=(0.8 * least, HIGHEST * least), ylabel="test error")
        above.legend(loc="upper right")
        for (x, y), formula in zip(((0.02, 0.97), (0.60, 0.66)), FORMULAS, strict=True):
            above.text(x, y, formula, transform=above.transAxes, va="top", fontsize=8.5)
        _scores(below, used, rows)
        below.set_xlabel(f"features used, $p$   ($n = {samples}$ samples)")
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _curves(panel: Any, curves: Mapping[str, Any], samples: int) -> None:
    looks = {
        "exact": {"color": "black", "linewidth": 1.0, "label": "exact"},
        "limit": {
            "color": PALETTE["vermillion"],
            "linestyle": (0, (4, 1.5)),
            "linewidth": 0.9,
            "label": r"control: limit $n \to \infty$",
        },
        "ridge": {
            "color": PALETTE["green"],
            "linestyle": (0, (1, 1)),
            "linewidth": 1.2,
            "label": r"best ridge, limit $n \to \infty$",
        },
    }
    used = np.array(curves["used"], float)
    for name, look in looks.items():
        values = np.array([np.nan if v is None else v for v in curves[name]], float)
        panel.plot(used, values, marker="", **look)
    panel.axvline(samples, color="0.8", linewidth=0.8, zorder=0)


def _scores(panel: Any, used: np.ndarray, rows: Any) -> None:
    """z of the exact formula and of the control, which leaves the band near the threshold."""
    panel.axhspan(-3, 3, color="0.92", zorder=0)
    panel.plot(used, [row["z"] for row in rows], linestyle="", marker="o", color=PALETTE["blue"])
    panel.plot(
        used,
        np.clip([row["z_of_control"] for row in rows], -12, 12),
        linestyle="",
        marker="x",
        color=PALETTE["vermillion"],
    )
    panel.set(ylim=(-13, 13), yticks=(-12, -3, 3, 12), ylabel="$z$")

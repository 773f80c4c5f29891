"""Figure of the part "recurrent"."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, figure, save

LN10 = np.log(10.0)
COLOURS = (PALETTE["blue"], PALETTE["green"], PALETTE["vermillion"], PALETTE["purple"])
MARKS = ("o", "s", "^", "D")
#: Points of a curve that are drawn.
SHOWN = 14


def memory(record: Record, path: Path) -> Path:
    """Sensitivity against lag: plain cells on the left, the content of LSTM cells on the right."""
    found = record.results["recurrent"]
    with figure(1, 2, height=2.95) as (drawing, (left, right)):
        _plain(left, found)
        _gates(right, found["gates"])
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _plain(panel: Any, found: Mapping[str, Any]) -> None:
    """Lines: rho^k, the exact rate and the bound.  Points: linear (filled) and tanh (open)."""
    linear = [row for row in found["linear"] if row["matrix"] == "gaussian"]
    tanh = [row for row in found["tanh"] if row["matrix"] == "orthogonal"]
    longest = len(linear[0]["profile"]) // 2
    lags = np.arange(1, longest + 1)
    chosen = _spread(longest)
    for row, other, colour, mark in zip(linear, tanh, COLOURS, MARKS, strict=False):
        panel.plot(lags, row["predicted"] * lags / LN10, color=colour, marker="", linewidth=1)
        panel.plot(
            lags[chosen],
            np.array(row["profile"])[chosen] / LN10,
            color=colour,
            linestyle="",
            marker=mark,
            label=f"linear, $\\rho = {row['radius']:g}$",
        )
        panel.plot(
            lags[chosen],
            np.array(other["profile"])[chosen] / LN10,
            color=colour,
            linestyle="",
            marker=mark,
            markerfacecolor="white",
            label=f"tanh, $\\rho = {row['radius']:g}$",
        )
    panel.text(0.03, 0.03, r"lines: $\rho^{\,T-t}$", transform=panel.transAxes, fontsize=8.5)
    panel.set(xlabel="lag $T - t$", ylabel=r"$\log_{10} \|\partial h_T / \partial h_t\|$")
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + 0.42 * (high - low))
    handles, labels = panel.get_legend_handles_labels()
    order = [*range(0, len(labels), 2), *range(1, len(labels), 2)]  # a column for each kind
    panel.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="upper left",
        ncols=2,
        fontsize=7,
        handletextpad=0.2,
        columnspacing=0.8,
    )


def _gates(panel: Any, rows: Any) -> None:
    """Mean over units of log prod f_t: measured as points, k E log sigmoid(b + z) as lines."""
    lags = np.arange(1, len(rows[0]["profile"]) + 1)
    chosen = _spread(len(lags))
    for row, colour, mark in zip(rows, COLOURS, MARKS, strict=True):
        panel.plot(lags, row["predicted"] * lags / LN10, color=colour, marker="", linewidth=1)
        panel.plot(
            lags, row["control"] * lags / LN10, color=colour, marker="", linewidth=0.8,
            linestyle=(0, (2, 1.5)),
        )  # fmt: skip
        panel.plot(
            lags[chosen],
            np.array(row["profile"])[chosen] / LN10,
            color=colour,
            linestyle="",
            marker=mark,
            label=f"$b_f = {row['bias']:.3g}$",
        )
    panel.text(
        0.03,
        0.03,
        "lines: $k\\,\\mathrm{E}\\,\\log\\,\\sigma(b_f + z)$\ndotted: $k\\,\\log\\,\\sigma(b_f)$",
        transform=panel.transAxes,
        fontsize=8.5,
    )
    panel.set(xlabel="lag $k$", ylabel=r"mean of $\log_{10} \prod f_t$")
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + 0.25 * (high - low))
    panel.legend(loc="upper right", ncols=2, fontsize=7.5, handletextpad=0.2, columnspacing=0.8)


def _spread(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, SHOWN).round().astype(int))

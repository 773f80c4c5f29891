"""Figures of the part "depth"."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, below, figure, save

LN10 = np.log(10.0)
NAMES: Mapping[str, str] = {
    "lecun": r"$\mathcal{N}(0, 1/n)$",
    "glorot": "Glorot",
    "he": "He",
    "orthogonal": "orthogonal",
    "relu": "ReLU",
}
#: Colour and marker of each initialiser.
LOOKS: Mapping[str, tuple[str, str]] = {
    "lecun": (PALETTE["blue"], "o"),
    "glorot": (PALETTE["orange"], "s"),
    "orthogonal": (PALETTE["green"], "D"),
    "he": (PALETTE["vermillion"], "^"),
}
#: Line of the theory for each sigma_w^2.
LINES: Mapping[int, tuple[str, str]] = {
    1: ("-", "theory, $\\sigma_w^2 = 1$"),
    2: ("--", "theory, $\\sigma_w^2 = 2$"),
}
#: First layer to last: light to dark, told apart in grey too.
SHADES = (PALETTE["sky"], PALETTE["orange"], PALETTE["vermillion"], PALETTE["black"])
STYLES = ("-", (0, (4, 1.5)), (0, (1.5, 1)), "-")
BINS_SHOWN = 56


def profile(record: Record, path: Path) -> Path:
    """Gradient norm against layer: theory as lines, AD as points, the control as a grey band."""
    rows = record.results["depth"]["rows"]
    activations = list(dict.fromkeys(row["activation"] for row in rows))
    with figure(2, 2, height=3.75, sharex=True) as (drawing, axes):
        for panel, activation in zip(np.ravel(axes), activations, strict=False):
            chosen = [row for row in rows if row["activation"] == activation]
            _theory(panel, chosen)
            for index, row in enumerate(chosen):
                _points(panel, row, index, len(chosen))
            panel.set_title(NAMES.get(activation, activation), fontsize=9)
        for panel in axes[-1]:
            panel.set_xlabel("layer $l$")
        for panel in axes[:, 0]:
            panel.set_ylabel(r"$\log_{10}\,\|g_l\|\,/\,\|g_L\|$")
        below(drawing, np.ravel(axes)[0])
        return save(drawing, path, _stamp(record))


def _theory(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line for each sigma_w, and the control of the smallest."""
    distinct = {round(row["sigma_w"] ** 2): row for row in rows}
    layers = np.arange(1, len(rows[0]["predicted"]) + 1)
    control = np.array(distinct[min(distinct)]["control"]) / (2 * LN10)
    panel.plot(
        layers, control, color="0.85", linewidth=4, marker="", label=r"control, $\sigma_w^2 = 1$"
    )
    for square, row in distinct.items():
        dash, label = LINES[square]
        predicted = np.array(row["predicted"]) / (2 * LN10)
        panel.plot(
            layers, predicted, color="black", linestyle=dash, marker="", linewidth=0.9, label=label
        )


def _points(panel: Any, row: Mapping[str, Any], index: int, of: int) -> None:
    """Every `of`-th layer, each initialiser other ones: equal sigma_w would hide each other."""
    colour, marker = LOOKS[row["initialiser"]]
    layers = np.arange(1 + index, len(row["measured"]) + 1, of)
    measured = np.array(row["measured"])[layers - 1] / (2 * LN10)
    error = 3 * np.array(row["standard_error"])[layers - 1] / (2 * LN10)
    panel.errorbar(
        layers,
        measured,
        yerr=error,
        color=colour,
        linestyle="",
        marker=marker,
        markersize=4,
        markeredgewidth=0.9,
        markerfacecolor="white",
        elinewidth=0.8,
        label=NAMES.get(row["initialiser"], row["initialiser"]),
    )


def histograms(record: Record, path: Path) -> Path:
    """Back-propagated gradients layer by layer, as Glorot and Bengio (2010), fig. 7, show them."""
    rows = {(row["activation"], row["initialiser"]): row for row in record.results["depth"]["rows"]}
    activations = list(dict.fromkeys(activation for activation, _ in rows))
    shown = [name for name in ("lecun", "he") if (activations[0], name) in rows]
    size = (len(activations), len(shown))
    with figure(*size, height=1.02 * size[0] + 0.35, squeeze=False, sharex="row") as (
        drawing,
        axes,
    ):
        for panels, activation in zip(axes, activations, strict=True):
            chosen = [rows[activation, name] for name in shown]
            edges = _edges(record, chosen)
            for panel, row in zip(panels, chosen, strict=True):
                _densities(panel, row["histograms"], edges, record)
                title = f"{NAMES.get(activation, activation)}, {NAMES[row['initialiser']]}"
                panel.set_title(title, fontsize=8.5)
                panel.set_yticks([])
                panel.locator_params(axis="x", integer=True, nbins=6)
                panel.spines["left"].set_visible(False)
        for panel in axes[-1]:
            panel.set_xlabel(r"$\log_{10}\,|\partial L / \partial h_l|$")
        below(drawing, axes[0, 0])
        return save(drawing, path, _stamp(record))


def _grid(record: Record) -> np.ndarray:
    first, last, count = record.results["depth"]["edges"]
    return np.linspace(first, last, int(count))


def _edges(record: Record, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Edges for a pair of panels: the recorded ones, joined until about `BINS_SHOWN` are left.

    The emptiest thousandth of each histogram is not shown; it is a long tail of tiny entries.
    """
    lows, highs = [], []
    for each in (histogram for row in rows for histogram in row["histograms"]):
        share = np.cumsum(each["counts"]) / np.sum(each["counts"])
        lows.append(each["first"] + int(np.searchsorted(share, 1e-3)))
        highs.append(each["first"] + int(np.searchsorted(share, 1 - 1e-4)) + 1)
    step = max(1, round((max(highs) - min(lows)) / BINS_SHOWN))
    return _grid(record)[min(lows) : max(highs) + step : step]


def _densities(
    panel: Any, rows: Sequence[Mapping[str, Any]], edges: np.ndarray, record: Record
) -> None:
    """Densities of the entries that are not 0, per decade."""
    grid = _grid(record)
    for each, colour, dash in zip(rows, SHADES, STYLES, strict=False):
        middles = (grid[:-1] + grid[1:])[each["first"] : each["first"] + len(each["counts"])] / 2
        total = sum(each["counts"])
        heights, _ = np.histogram(middles, bins=edges, weights=each["counts"])
        density = heights / (total * np.diff(edges))
        panel.stairs(density, edges, color=colour, alpha=0.18, fill=True)
        panel.stairs(
            density,
            edges,
            color=colour,
            linestyle=dash,
            linewidth=1.1,
            label=f"layer {each['layer']}",
        )
    panel.set_ylim(bottom=0)


def _stamp(record: Record) -> str:
    return f"{record.experiment} {record.address[:12]}"

"""Bias and variance: polynomials, ridge, and Gaussian features against width and sample size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, below, figure, save

#: Part of the error -> its colour, marker and name.
LOOKS: Mapping[str, tuple[str, str, str]] = {
    "bias": (PALETTE["green"], "^", "bias$^2$"),
    "variance": (PALETTE["vermillion"], "s", "variance"),
    "error": (PALETTE["blue"], "o", "error on new data"),
}
Rows = Sequence[Mapping[str, Any]]


def parts(record: Record, path: Path) -> Path:
    """Four sweeps: exact values as lines, means over pairs of data sets as marks."""
    found = record.results["bias_variance"]
    samples = record.config["samples"]
    random = found["gaussian"]
    split = len(record.config["bias_variance"]["widths"])
    sweeps = (
        (
            [row for row in found["smoothers"] if "degree" in row],
            "degree",
            "degree of the polynomial",
        ),
        (
            [row for row in found["smoothers"] if "penalty" in row],
            "penalty",
            r"ridge penalty $\lambda$",
        ),
        (random[:split], "used", f"features used, $p$   ($n = {samples}$)"),
        (random[split:], "samples", f"samples, $n$   ($p = {samples}$)"),
    )
    formulas = (
        r"variance $= s^2\,\frac{p}{n}$",
        r"variance $= \frac{s^2}{n}\sum\,(\frac{d}{d+\lambda})^2$",
        r"$b^2\frac{n}{p}(1-\frac{n}{p}) + \frac{(c^2+s^2)\,n}{p-n-1}$",
        r"$\frac{(c^2+s^2)\,p}{n-p-1}$",
    )
    places = ((0.40, 0.97), (0.03, 0.97), (0.46, 0.17), (0.62, 0.60))
    with figure(2, 2, height=4.7) as (drawing, panels):
        for k, (panel, (rows, name, label)) in enumerate(zip(panels.flat, sweeps, strict=True)):
            _sweep(panel, rows, name)
            if name in found["curves"]:
                _curves(panel, found["curves"][name], name, samples)
            panel.set(yscale="log", xlabel=label, xscale="log" if name == "penalty" else "linear")
            panel.set_title(f"({'abcd'[k]})", loc="left", fontsize=9)
            panel.text(*places[k], formulas[k], transform=panel.transAxes, va="top", fontsize=8)
        for panel in panels[:, 0]:
            panel.set_ylabel("part of the error")
        below(drawing, panels[0, 0])
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _curves(panel: Any, curves: Mapping[str, Any], name: str, threshold: int) -> None:
    """Exact bias and variance on both sides of the threshold."""
    places = np.array(curves[name])
    panel.axvline(threshold, color="0.85", linewidth=0.8, zorder=0)
    for side in (places < threshold, places > threshold):
        for part in ("bias", "variance"):
            exact = np.array(curves[part])[side]
            panel.plot(places[side], exact, color=LOOKS[part][0], marker="", linewidth=0.9)


def _sweep(panel: Any, rows: Rows, name: str) -> None:
    """Measured parts with 3 standard errors; where there is an error, exact lines between them."""
    places = np.array([row[name] for row in rows], float)
    values = []
    for part, (colour, marker, label) in LOOKS.items():
        if part not in rows[0]:
            continue
        exact, measured, error = (
            np.array([row[part][key] for row in rows])
            for key in ("exact", "measured", "standard_error")
        )
        if "error" in rows[0]:
            panel.plot(places, exact, color=colour, marker="", linewidth=0.9)
        # an unbiased estimate of a bias of 0 may be negative: it has no place on this axis
        shown = measured > 3 * error
        panel.errorbar(
            places[shown],
            measured[shown],
            yerr=3 * error[shown],
            color=colour,
            linestyle="",
            marker=marker,
            markerfacecolor="white",
            elinewidth=0.8,
            label=label,
        )
        values += [exact[exact > 0].min(), exact.max()]
    low = max(min(values), 1e-4)
    panel.set_ylim(low / 2, 6 * max(values))

"""Edge of chaos, factors of gradients against width, finite width."""

from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import MARKERS, PALETTE, figure, save

NAMES = {"relu": "ReLU", "gelu": "GELU", "swish": "swish"}
COLOURS = ("blue", "vermillion", "green", "purple", "orange", "sky", "black", "yellow")
#: Shades of one colour in the phase diagram.
SHADES = 14
EDGE = (
    r"$\sigma_w^2 = \pi\sqrt{1+4q}\,/\,4,\quad "
    r"\sigma_b^2 = q-\sqrt{1+4q}\,\arcsin(2q\,/\,(1+2q))\,/\,2$"
)


def stamp(record: Record) -> str:
    """What a figure says of its run."""
    return f"{record.experiment} {record.address[:12]}"


def phase(record: Record, path: Path) -> Path:
    """Measured growth of gradients as colour, the derived edge as a line, its measured points."""
    found = record.results["phase"]
    growth = np.array(found["growth"])
    reach = float(np.abs(growth).max())
    biases = np.array(found["biases"])
    if len(biases) == 1:  # a lone row is drawn as a band
        biases, growth = biases * [0.9, 1.1], np.repeat(growth, 2, axis=1)
    columns = len(found["activations"])
    with figure(1, columns, height=2.75, sharey=True, squeeze=False) as (drawing, grid):
        axes = grid[0]
        for panel, name, values in zip(axes, found["activations"], growth, strict=True):
            picture = panel.contourf(
                found["weights"],
                biases,
                values,
                levels=np.linspace(-reach, reach, 2 * SHADES),
                cmap="RdBu_r",
            )
            rows = [row for row in found["rows"] if row["activation"] == name]
            at = [row["bias"] for row in rows]
            panel.plot(
                [row["predicted"] for row in rows], at, color="black", marker="",
                label="derived: " + r"$\chi_1 = 1$",
            )  # fmt: skip
            panel.errorbar(
                [row["measured"] for row in rows],
                at,
                xerr=[3 * row["standard_error"] for row in rows],
                color="black", linestyle="", marker="o", markerfacecolor="white", elinewidth=0.8,
                label="measured, 3 s.e.",
            )  # fmt: skip
            panel.set_title(NAMES.get(name, name), fontsize=9)
            panel.set_xlabel(r"$\sigma_w^2$")
        axes[0].set_ylabel(r"$\sigma_b^2$")
        axes[0].set_ylim(0.4 * min(found["biases"]), 1.05 * max(found["biases"]))
        axes[0].legend(loc="lower right", fontsize=7.5)
        bar = drawing.colorbar(picture, ax=axes, shrink=0.95, pad=0.015)
        bar.set_label(r"log factor of $\|g\|^2$ per layer", fontsize=8)
        bar.outline.set_visible(False)
        quarter = np.floor(4 * reach) / 4
        bar.set_ticks(np.arange(-quarter, quarter + 0.1, 0.25))
        if "erf" in found["activations"]:
            drawing.suptitle("edge of erf:  " + EDGE, fontsize=8.5)
        return save(drawing, path, stamp(record))


def factor(record: Record, path: Path) -> Path:
    """Error of the factor per layer against 1/n, with the line that is extrapolated."""
    found = record.results["factor"]
    inverse = 1 / np.array(record.config["factor"]["widths"], float)
    tolerance = 100 * record.config["factor"]["tolerance"]
    rows = [row for row in found["rows"] if row["kind"] != "He"]
    with figure(1, 2, height=3.0, sharey=True) as (drawing, axes):
        for panel, kind, title in zip(
            axes, ("given", "designed"), ("given scales", "designed: critical"), strict=True
        ):
            panel.axhspan(-tolerance, tolerance, color="0.92", zorder=0)
            panel.axhline(0, color="black", linewidth=0.6)
            chosen = [row for row in rows if row["kind"] == kind]
            for index, row in enumerate(chosen):
                _extrapolated(panel, inverse, row, index, len(chosen))
            panel.set_title(title, fontsize=9)
            panel.set_xlabel("$1/n$")
            panel.legend(loc="lower left", fontsize=7)
        # Room for the formula above the points.
        axes[0].set_ylim(top=1.9 * tolerance)
        axes[0].set_ylabel(r"measured factor over $\chi_1$, $-1$ (%)")
        axes[0].text(
            0.97, 0.96, r"$\chi_1 = \sigma_w^2\,\mathrm{E}[\phi'(\sqrt{q^*}z)^2]$",
            transform=axes[0].transAxes, ha="right", va="top", fontsize=8.5,
        )  # fmt: skip
        return save(drawing, path, stamp(record))


def _extrapolated(panel: Any, inverse: np.ndarray, row: Any, index: int, of: int) -> None:
    colour, marker = PALETTE[COLOURS[index]], MARKERS[index]
    # A little to the side of each other, or equal points hide one another.
    shift = (index - (of - 1) / 2) * 0.018 * inverse.max()
    reference = np.log(row["predicted"])
    places = np.append(inverse, 0.0)
    values = 100 * (np.exp(np.append(row["means"], np.log(row["measured"])) - reference) - 1)
    errors = 300 * np.append(row["errors"], row["standard_error"] / row["measured"])
    panel.errorbar(
        places + shift, values, yerr=errors, color=colour, marker=marker, linestyle="",
        markerfacecolor="white", elinewidth=0.8,
        label=_label(row),
    )  # fmt: skip
    panel.plot(places + shift, values, color=colour, marker="", linewidth=0.6, alpha=0.6)


def _label(row: Any) -> str:
    """The name of an activation; a designed one is a formula and typeset."""
    from diffkit.symbolic.layout import show
    from diffkit.symbolic.parse import parse

    name = row["activation"]
    if row["kind"] == "given":
        return NAMES.get(name, name)
    # mathtext sets no space before a function: x tanh would be read as a word
    return "$" + show(parse(name), "latex").replace(" \\", "\\,\\") + "$"


def finite_width(record: Record, path: Path) -> Path:
    """n times drift and variance of the log of a tangent's length, exact and measured."""
    found = record.results["finite_width"]
    rows, depth = found["rows"], found["depth"]
    widths = np.array([row["width"] for row in rows])
    with figure(1, 2, height=2.6) as (drawing, (drift, spread)):
        scale = widths / depth
        for panel, name, limit in ((drift, "mean", -2.5), (spread, "variance", 5.0)):
            exact = scale * [row[f"predicted_{name}"] for row in rows]
            panel.axhline(
                limit, color=PALETTE["vermillion"], linestyle=(0, (4, 1.5)), linewidth=0.9,
                label=f"first order, {limit:g}",
            )  # fmt: skip
            panel.plot(widths, exact, color="black", marker="", label="exact")
            panel.set_xscale("log", base=2)
            panel.set_xticks(widths, [str(width) for width in widths])
            panel.set_xlabel("width $n$")
        error = 3 * scale * [row["mean_error"] for row in rows]
        drift.errorbar(widths, scale * [row["mean"] for row in rows], yerr=error, **_POINTS)
        error = [
            3
            * abs(row["variance"] - row["predicted_variance"])
            / max(abs(row["z"]["variance"]), 1e-9)
            for row in rows
        ]
        spread.errorbar(
            widths, scale * [row["variance"] for row in rows], yerr=scale * error, **_POINTS
        )
        drift.set_ylabel(r"$\frac{n}{L}\,\mathrm{E}\,\log\,\|Ju\|^2$")
        spread.set_ylabel(r"$\frac{n}{L}\,\mathrm{Var}\,\log\,\|Ju\|^2$")
        drift.legend(loc="lower right")
        drift.text(
            0.03,
            0.93,
            r"$\mathrm{E}\,\log\,s = \mathrm{E}_K\,\psi(\frac{K}{2}) + \log\frac{4}{n}$",
            transform=drift.transAxes, fontsize=8.5,
        )  # fmt: skip
        spread.legend(loc="upper right")
        return save(drawing, path, stamp(record))


_POINTS = {
    "color": PALETTE["blue"],
    "marker": "o",
    "linestyle": "",
    "markerfacecolor": "white",
    "elinewidth": 0.8,
    "label": "measured, 3 s.e.",
}

"""Trained networks: errors against the number of parameters, along training, and sparse ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, below, figure, save

#: Colours and markers of the label noises, in rising order.
LOOKS = (
    (PALETTE["blue"], "o"),
    (PALETTE["vermillion"], "s"),
    (PALETTE["purple"], "D"),
    (PALETTE["orange"], "v"),
)
DASHED = (0, (4, 1.5))
Rows = Sequence[Mapping[str, Any]]


def trained(record: Record, path: Path) -> Path:
    """Three panels: widths, the course of a training, densities."""
    found = record.results["trained"]
    config = record.config["trained"]
    shares = config["label_noise"]
    looks = dict(zip(shares, LOOKS, strict=False))
    with figure(1, 3, height=2.5) as (drawing, panels):
        _widths(panels[0], found["rows"], looks, 10 * config["samples"])
        _course(panels[1], found["curves"], looks)
        _densities(panels[2], found["sparse"], looks)
        for panel, letter in zip(panels, "abc", strict=True):
            panel.set_title(f"({letter})", loc="left", fontsize=9)
        below(drawing, panels[0])
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _widths(panel: Any, rows: Rows, looks: Mapping[float, Any], fitted: int) -> None:
    for share, (colour, marker) in looks.items():
        chosen = [row for row in rows if row["label_noise"] == share]
        places = [row["parameters"] for row in chosen]
        name = f"test, {100 * share:g} % wrong labels"
        _marks(panel, places, chosen, "test", colour, marker, label=name)
        panel.plot(
            places,
            [row["training"] for row in chosen],
            color=colour,
            linestyle=DASHED,
            marker="",
            linewidth=0.8,
            label="training" if share == max(looks) else None,
        )
    panel.axvline(fitted, color="0.8", linewidth=0.8, zorder=0)
    panel.text(
        fitted,
        1.0,
        "$nK$ ",
        transform=panel.get_xaxis_transform(),
        fontsize=8,
        ha="right",
        va="top",
    )
    panel.set(xscale="log", xlabel="parameters", ylabel="squared error", ylim=(0, None))


def _course(panel: Any, curves: Rows, looks: Mapping[float, Any]) -> None:
    for curve in curves:
        colour, _ = looks[curve["label_noise"]]
        steps, test = np.array(curve["steps"]), np.array(curve["test"])
        panel.plot(steps, test, color=colour, marker="", linewidth=1.0)
        off = 3 * np.array(curve["test_error"])
        panel.fill_between(steps, test - off, test + off, color=colour, alpha=0.2, linewidth=0)
        panel.plot(
            steps, curve["training"], color=colour, marker="", linestyle=DASHED, linewidth=0.8
        )
    panel.set(xscale="log", xlabel=f"steps ({curves[0]['width']} units)", ylim=(0, None))


def _densities(panel: Any, rows: Rows, looks: Mapping[float, Any]) -> None:
    for share, (colour, marker) in looks.items():
        chosen = [row for row in rows if row["label_noise"] == share]
        places = [row["density"] for row in chosen]
        _marks(panel, places, chosen, "test", colour, marker)
        panel.plot(
            places,
            [row["training"] for row in chosen],
            color=colour,
            linestyle=DASHED,
            marker="",
            linewidth=0.8,
        )
    panel.set(xscale="log", xlabel="share of connections", ylim=(0, None))
    ticks = sorted({row["density"] for row in rows})
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()


def _marks(
    panel: Any,
    places: Sequence[float],
    rows: Rows,
    name: str,
    colour: str,
    marker: str,
    label: str | None = None,
) -> None:
    panel.errorbar(
        places,
        [row[name] for row in rows],
        yerr=[3 * row[f"{name}_error"] for row in rows],
        color=colour,
        marker=marker,
        markerfacecolor="white",
        linewidth=0.8,
        elinewidth=0.8,
        label=label,
    )

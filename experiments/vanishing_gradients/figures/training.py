"""Figure of the part "training", after Glorot and Bengio (2010), figure 7."""

from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, below, figure, save

COLOURS = tuple(PALETTE[name] for name in ("black", "blue", "green", "orange", "vermillion"))
STYLES = ("-", (0, (4, 1.2)), (0, (1.5, 1)), (0, (5, 1, 1, 1)), "-")
NAMES = {"standard": "standard", "glorot": "Glorot"}


def backpropagated(record: Record, path: Path) -> Path:
    """Histograms of dL/dh_l at the start and at the end of training, a panel for each network."""
    found = record.results["training"]
    rows, moments = found["rows"], found["moments"]
    activations = list(dict.fromkeys(row["activation"] for row in rows))
    initialisers = list(dict.fromkeys(row["initialiser"] for row in rows))
    by_name = {(row["activation"], row["initialiser"]): row for row in rows}
    lines = [(name, place) for name in activations for place in (0, len(moments) - 1)]
    size = len(lines), len(initialisers)
    with figure(*size, height=1.12 * size[0] + 0.5, squeeze=False, sharex=True) as (drawing, axes):
        for panels, (activation, place) in zip(axes, lines, strict=True):
            for panel, name in zip(panels, initialisers, strict=True):
                row = by_name[activation, name]
                _histograms(panel, row["counts"][place], found["edges"])
                when = "at the start" if moments[place] == 0 else f"after {moments[place]} steps"
                panel.set_title(f"{activation}, {NAMES.get(name, name)}, {when}", fontsize=8.5)
                panel.text(
                    0.98, 0.9, f"ratio {np.exp(row['ratio'][place]):.2g}",
                    transform=panel.transAxes, ha="right", va="top", fontsize=8,
                )  # fmt: skip
        for panel in axes[:, 0]:
            panel.set_ylabel("density", fontsize=8)
        for panel in axes[-1]:
            panel.set_xlabel(r"$\partial L/\partial h_l$ in standard deviations of the last layer")
        below(drawing, axes[0, 0])
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _histograms(panel: Any, counts: Any, edges: Any) -> None:
    """Densities on a logarithmic axis: a layer whose gradients vanished is a spike at 0."""
    grid = np.linspace(edges[0], edges[1], int(edges[2]))
    for layer, (each, colour, dash) in enumerate(zip(counts, COLOURS, STYLES, strict=False), 1):
        density = np.array(each, float) / (sum(each) * np.diff(grid))
        shown = np.where(density > 0, density, np.nan)
        panel.stairs(
            shown, grid, color=colour, linestyle=dash, linewidth=1.1, baseline=None,
            label=f"layer {layer}",
        )  # fmt: skip
    panel.set(yscale="log", ylim=(3e-4, 30), xlim=(edges[0], edges[1]))
    panel.set_yticks([1e-3, 1e-1, 1e1])
    panel.minorticks_off()

"""The figures of the experiment, drawn from a record alone: same record, same bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, figure, save

LN10 = np.log(10.0)
NAMES = {
    "lecun": "N(0, 1/n)",
    "glorot": "Glorot",
    "he": "He",
    "orthogonal": "orthogonal",
    "relu": "ReLU",
}


def profile(record: Record, path: Path) -> Path:
    """Gradient norm against layer: theory as lines, AD as points."""
    rows = record.results["rows"]
    activations = list(dict.fromkeys(row["activation"] for row in rows))
    colours = dict(
        zip(dict.fromkeys(r["initialiser"] for r in rows), PALETTE.values(), strict=False)
    )
    with figure(2, 2, height=4.2, sharex=True) as (drawing, axes):
        for panel, activation in zip(np.ravel(axes), activations, strict=False):
            for row in (r for r in rows if r["activation"] == activation):
                _curve(panel, row, colours[row["initialiser"]])
            panel.set_title(NAMES.get(activation, activation), fontsize=9)
        for panel in axes[-1]:
            panel.set_xlabel("layer $l$")
        for panel in axes[:, 0]:
            panel.set_ylabel(r"$\log_{10}\,\|g_l\|\,/\,\|g_L\|$")
        np.ravel(axes)[0].legend(fontsize=7)
        return save(drawing, path, _stamp(record))


def _curve(panel: Any, row: Mapping[str, Any], colour: str) -> None:
    layers = np.arange(1, len(row["measured"]) + 1)
    measured = np.array(row["measured"]) / (2 * LN10)
    predicted = np.array(row["predicted"]) / (2 * LN10)
    error = 3 * np.array(row["standard_error"]) / (2 * LN10)
    panel.plot(layers, predicted, color=colour, marker="", linewidth=1.0)
    step = max(1, len(layers) // 10)
    chosen = slice(None, None, step)
    panel.errorbar(
        layers[chosen],
        measured[chosen],
        yerr=error[chosen],
        color=colour,
        linestyle="",
        markersize=3,
        label=NAMES.get(row["initialiser"], row["initialiser"]),
    )


def histograms(record: Record, path: Path) -> Path:
    """Back-propagated gradients layer by layer, in the manner of Glorot and Bengio (2010), fig. 7."""
    rows = record.results["rows"]
    activations = list(dict.fromkeys(row["activation"] for row in rows))
    shown = [name for name in ("lecun", "he") if any(r["initialiser"] == name for r in rows)]
    with figure(len(activations), len(shown), height=1.45 * len(activations), squeeze=False) as (
        drawing,
        axes,
    ):
        for i, activation in enumerate(activations):
            for j, name in enumerate(shown):
                row = next(
                    r for r in rows if (r["activation"], r["initialiser"]) == (activation, name)
                )
                _densities(axes[i, j], row["samples"])
                title = f"{NAMES.get(activation, activation)}, {NAMES[name]}"
                axes[i, j].set_title(title, fontsize=8)
                axes[i, j].set_yticks([])
        for panel in axes[-1]:
            panel.set_xlabel(r"$\log_{10}\,|\partial L / \partial h_l|$")
        axes[0, 0].legend(fontsize=6.5, title="layer", title_fontsize=6.5)
        return save(drawing, path, _stamp(record))


def _densities(panel: Any, samples: Mapping[str, Any]) -> None:
    layers = [name for name in samples if not name.startswith("dead")]
    for layer, colour in zip(layers, PALETTE.values(), strict=False):
        quantiles = np.array(samples[layer])
        # a density from quantiles: equal mass between neighbours, smoothed by a coarse histogram
        middles = (quantiles[1:] + quantiles[:-1]) / 2
        low = quantiles[2]
        heights, edges = np.histogram(middles, bins=24, range=(low, quantiles[-1]), density=True)
        panel.stairs(heights, edges, color=colour, label=layer, linewidth=1.1)


def _stamp(record: Record) -> str:
    return f"{record.experiment} {record.address[:12]}"


FIGURES: Mapping[str, Callable[[Record, Path], Path]] = {
    "profile": profile,
    "histograms": histograms,
}

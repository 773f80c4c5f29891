"""Random features on digits: errors, bias and variance, the kernel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, few_decades, figure, save

#: Shares of wrong labels that are drawn, each with its colour and marker.
LOOKS: Mapping[float, tuple[str, str]] = {
    0.0: (PALETTE["blue"], "o"),
    0.2: (PALETTE["vermillion"], "s"),
}
SIZE = 8
FORMULAS = (
    r"$N > n+1$: $E_0 + \frac{c\,w}{N-n-1}$",
    r"$N < n$: ridge, $\sum\frac{d}{d+\lambda} = N$",
)
DASHED = (0, (4, 1.5))


def digits(record: Record, path: Path) -> Path:
    """Test error against N with its curve; its parts; 0-1 error and norm; the kernel's error."""
    found = record.results["random_features"]
    samples = record.config["random_features"]["samples"]
    with figure(2, 2, height=4.9, sharex=True) as (drawing, panels):
        _errors(panels[0, 0], found, samples)
        _halves(panels[0, 1], found["cosine"])
        _wrong(panels[1, 0], found["cosine"])
        _kernels(panels[1, 1], found["kernels"])
        for panel, letter in zip(panels.flat, "abcd", strict=True):
            panel.axvline(samples, color="0.85", linewidth=0.8, zorder=0)
            panel.set(xscale="log")
            panel.set_title(f"({letter})", loc="left", fontsize=9)
        for panel in panels[1]:
            panel.set_xlabel(f"features $N$   ($n = {samples}$ digits)")
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")


def _errors(panel: Any, found: Mapping[str, Any], samples: int) -> None:
    for share, (colour, marker) in LOOKS.items():
        for curve in found["curves"]:
            if curve["label_noise"] == share:
                _curve(panel, curve, colour, samples)
        rows = _of(found["cosine"], share)
        panel.errorbar(
            _column(rows, "features"),
            _column(rows, "median"),
            yerr=3 * _column(rows, "standard_error") * _is_judged(rows),
            color=colour,
            linestyle="",
            marker=marker,
            markerfacecolor="white",
            elinewidth=0.8,
            label=f"{100 * share:g} % wrong labels",
        )
    panel.set(yscale="log", ylim=(0.025, 40000), ylabel="squared test error")
    panel.legend(loc="lower left", fontsize=7.5, handletextpad=0.2, borderaxespad=0.0)
    panel.text(
        0.02,
        0.98,
        "\n".join(FORMULAS),
        transform=panel.transAxes,
        va="top",
        fontsize=SIZE,
    )


def _curve(panel: Any, curve: Mapping[str, Any], colour: str, samples: int) -> None:
    """The predicted curve on both sides of n, and the kernel limit."""
    features = np.array(curve["features"], float)
    values = np.array([np.nan if v is None else v for v in curve["predicted"]], float)
    for side in (features < samples, features > samples):
        panel.plot(features[side], values[side], color=colour, marker="", linewidth=0.9)
    right = features > samples
    panel.plot(
        features[right],
        np.full(right.sum(), curve["kernel_limit"]),
        color=colour,
        marker="",
        linewidth=0.7,
        linestyle=(0, (1, 1.5)),
    )


def _halves(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Bias and variance over training sets and features, of clean labels."""
    clean = [row for row in _of(rows, 0.0) if "predicted" in row]
    places = _column(clean, "features")
    for name, colour, marker in (
        ("variance", PALETTE["vermillion"], "s"),
        ("bias", PALETTE["green"], "^"),
    ):
        panel.plot(
            places,
            _column(clean, name),
            color=colour,
            marker=marker,
            markerfacecolor="white",
            linewidth=0.6,
            label="bias$^2$" if name == "bias" else name,
        )
    panel.set(yscale="log", ylabel="parts of the test error")
    few_decades(panel.yaxis)
    panel.legend(loc="upper right", fontsize=7.5)


def _wrong(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for share, (colour, marker) in LOOKS.items():
        chosen = _of(rows, share)
        panel.plot(
            _column(chosen, "features"),
            100 * _column(chosen, "wrong"),
            color=colour,
            marker=marker,
            markerfacecolor="white",
            linewidth=0.6,
        )
    panel.set(yscale="log", ylabel="wrong test digits (%)", ylim=(2, 100))
    few_decades(panel.yaxis)


def _kernels(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """N times the error of the kernel: a constant, another one for Gaussian features."""
    features = _column(rows, "features")
    lines = (
        ("exact", r"exact: $1 - e^{-q} + \frac{1}{2}\,e^{-2q}$", "black", "-"),
        ("control", r"control: Gaussian, $1 + e^{-q}$", PALETTE["orange"], DASHED),
    )
    for name, label, colour, dashes in lines:
        values = features * _column(rows, name)
        panel.plot(features, values, color=colour, marker="", linestyle=dashes, label=label)
    panel.errorbar(
        features,
        features * _column(rows, "measured"),
        yerr=3 * features * _column(rows, "standard_error"),
        color=PALETTE["blue"],
        linestyle="",
        marker="o",
        markerfacecolor="white",
        elinewidth=0.8,
        label="measured, 3 standard errors",
    )
    low, high = (panel.get_ylim()[k] for k in (0, 1))
    panel.set(ylabel="$N\\times$ error of the kernel", ylim=(low, high + 0.9 * (high - low)))
    panel.legend(loc="upper right", fontsize=7.5, handlelength=1.8, borderaxespad=0.0)


def _of(rows: Sequence[Mapping[str, Any]], share: float) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["label_noise"] == share]


def _is_judged(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array(["predicted" in row for row in rows], float)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], float)

"""Linear methods: where they are stable, how fast they are, where noise and batches leave them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, figure, save

LOOKS: Mapping[str, tuple[str, str]] = {
    "descent": (PALETTE["black"], "-"),
    "Nesterov": (PALETTE["green"], (0, (5, 1.5))),
    "tuned Nesterov": (PALETTE["blue"], (0, (2, 1))),
    "heavy ball": (PALETTE["vermillion"], "-"),
}
RATES: Mapping[str, str] = {
    "descent": r"$\frac{\kappa-1}{\kappa+1}$",
    "Nesterov": r"$1-\frac{1}{\sqrt{\kappa}}$",
    "tuned Nesterov": r"$1-\frac{2}{\sqrt{3\kappa+1}}$",
    "heavy ball": r"$\frac{\sqrt{\kappa}-1}{\sqrt{\kappa}+1}$",
}
#: Colour and marker of each momentum, smallest first.
MOMENTA = (
    (PALETTE["blue"], "o"),
    (PALETTE["green"], "s"),
    (PALETTE["vermillion"], "^"),
    (PALETTE["purple"], "D"),
)
DEEPEST = -2.0


def stamp(record: Record) -> str:
    """Which run a figure shows."""
    return f"{record.experiment} {record.address[:12]}"


def stability(record: Record, path: Path) -> Path:
    """Map of log |z|max of the heavy ball with measured points; errors of four methods."""
    results = record.results["rates"]
    with figure(1, 2, height=3.1, gridspec_kw={"width_ratios": (1.25, 1)}) as (
        drawing,
        (left, right),
    ):
        _map(drawing, left, results)
        _errors(right, results["rows"], record.config["rates"]["ratio"])
        drawing.legend(loc="outside lower center", ncols=4, fontsize=8, handlelength=1.8)
        return save(drawing, path, stamp(record))


def _map(drawing: Any, panel: Any, results: Mapping[str, Any]) -> None:
    theory, points = results["theory"], results["map"]
    levels = np.linspace(-1.0, 1.0, 21)
    drawn = panel.contourf(
        theory["steps"], theory["momenta"], np.array(theory["log_radii"]), levels,
        cmap="RdBu_r", extend="both",
    )  # fmt: skip
    panel.scatter(
        points["steps"],
        points["momenta"],
        c=np.log(np.maximum(points["radii"], np.exp(DEEPEST))),
        s=9,
        marker="o",
        edgecolors="black",
        linewidths=0.25,
        cmap=drawn.cmap,
        norm=drawn.norm,
    )
    b = np.linspace(0, 1, 200)
    panel.plot(2 * (1 + b), b, color="black", linewidth=1.0, marker="")
    for sign in (-1, 1):
        panel.plot((1 + sign * np.sqrt(b)) ** 2, b, color="black", linewidth=0.8, ls=":", marker="")
    panel.axhline(1.0, color="black", linewidth=1.0)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    panel.text(2.62, 0.12, "$ah = 2(1+b)$", fontsize=8, bbox=box)
    panel.text(1.05, 0.60, "rings: $|z|=\\sqrt{b}$", fontsize=8, bbox=box)
    panel.set(xlim=(0, 4.4), ylim=(-0.03, 1.13), xlabel="$a\\,h$", ylabel="momentum $b$")
    bar = drawing.colorbar(drawn, ax=panel, pad=0.02, aspect=28)
    bar.set_label(r"$\log\,\max|z|$", labelpad=1)
    bar.set_ticks([-1, 0, 1])


def _errors(panel: Any, rows: Sequence[Mapping[str, Any]], ratio: float) -> None:
    for row in rows:
        colour, line = LOOKS[row["method"]]
        t, logs = np.array(row["t"], float), np.array(row["logs"]) / np.log(10)
        panel.plot(
            t, logs, color=colour, linestyle=line, marker="",
            label=f"{row['method']}\n{RATES[row['method']]}",
        )  # fmt: skip
    panel.set(xlim=(0, 200), ylim=(-12, 1.5), xlabel="step $t$", ylabel=r"$\log_{10}\,\max\,|x_t|$")
    panel.set_title(f"$\\kappa = L/\\mu = {ratio:g}$", fontsize=9)


def noise_floor(record: Record, path: Path) -> Path:
    """Stationary variance and share of turns against a h, theory as lines."""
    rows = record.results["noise_floor"]["rows"]
    momenta = sorted({row["momentum"] for row in rows})
    with figure(1, 2, height=2.6) as (drawing, (left, right)):
        for (colour, marker), momentum in zip(MOMENTA, momenta, strict=False):
            chosen = [row for row in rows if row["momentum"] == momentum]
            across = np.linspace(0.02, 0.985 * 2 * (1 + momentum), 200)
            floor = across * (1 + momentum) / ((1 - momentum) * (2 * (1 + momentum) - across))
            left.plot(across, floor, color=colour, marker="")
            right.plot(across, np.arccos(momentum - across / 2) / np.pi, color=colour, marker="")
            steps = [row["step"] for row in chosen]
            points = {
                "color": colour, "marker": marker, "linestyle": "", "markerfacecolor": "white",
                "label": f"$b = {momentum:g}$",
            }  # fmt: skip
            left.plot(steps, [row["measured"] for row in chosen], **points)
            left.plot(
                steps, [row["control"] for row in chosen], color=colour, marker="x", linestyle="",
                markersize=3, alpha=0.6,
            )  # fmt: skip
            right.plot(steps, [row["turns"] for row in chosen], **points)
        left.set(yscale="log", ylim=(0.03, 300), xlabel="$a\\,h$", ylabel="variance of $x$")
        left.text(
            0.97, 0.24, r"$\frac{a\,s^2\,(1+b)}{h\,(1-b)\,(2(1+b)-ah)}$",
            transform=left.transAxes, ha="right", fontsize=11,
        )  # fmt: skip
        left.text(
            0.97, 0.07, r"$\times$ control: $\frac{a\,s^2}{2h\,(1-b)}$",
            transform=left.transAxes, ha="right", fontsize=9,
        )  # fmt: skip
        right.set(xlabel="$a\\,h$", ylabel="share of turns", ylim=(0, 1.02))
        right.text(
            0.42, 0.12, r"$\frac{1}{\pi}\arccos\left(b-\frac{ah}{2}\right)$",
            transform=right.transAxes, fontsize=10.5,
        )  # fmt: skip
        right.legend(loc="upper left")
        return save(drawing, path, stamp(record))


def expected_loss(record: Record, path: Path) -> Path:
    """Training loss on DeepOBS's quadratic: expectation, means, control, above its least; z."""
    rows = record.results["quadratic_deep"]["rows"]
    with figure(
        2, len(rows), height=3.4, sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": (2.6, 1)},
    ) as (drawing, axes):  # fmt: skip
        for (above, below), row in zip(axes.T, rows, strict=True):
            _loss(above, row)
            _scores(below, row)
        axes[0, 0].set_ylabel("training loss above the least")
        axes[1, 0].set_ylabel("$z$")
        axes[0, -1].legend(loc="upper right")
        axes[0, 0].text(
            0.30, 0.95,
            "$\\frac{1}{2}\\sum_i h_i\\,[(E\\,x_{i,t})^2+\\mathrm{Var}\\,x_{i,t}]$",
            transform=axes[0, 0].transAxes, va="top", fontsize=9.5,
        )  # fmt: skip
        return save(drawing, path, stamp(record))


def _loss(panel: Any, row: Mapping[str, Any]) -> None:
    floor, curve = row["floor"], np.array(row["curve"])
    in_epoch = (len(curve) - 1) // (len(row["epochs"]) - 1)
    panel.plot(
        np.arange(len(curve)) / in_epoch, curve - floor, color="black", linewidth=0.8, marker="",
        label="expected, every step",
    )  # fmt: skip
    panel.plot(
        row["epochs"][1:], np.array(row["control"])[1:] - floor, color=PALETTE["vermillion"],
        linestyle="", marker="x", label="control: with replacement",
    )  # fmt: skip
    panel.plot(
        row["epochs"], np.array(row["mean"]) - floor, color=PALETTE["blue"], marker="o",
        linestyle="", markerfacecolor="white", label="measured, every epoch",
    )  # fmt: skip
    panel.set_yscale("log")
    panel.set_title(f"$a = {row['rate']:g}$, $b = {row['momentum']:g}$", fontsize=9)


def _scores(panel: Any, row: Mapping[str, Any]) -> None:
    epochs = row["epochs"][1:]
    panel.axhspan(-3, 3, color="0.92", zorder=0)
    panel.plot(epochs, row["z"], color=PALETTE["blue"], marker="o", linestyle="")
    panel.plot(
        epochs, np.clip(row["z_of_control"], -14, 14), color=PALETTE["vermillion"], marker="x",
        linestyle="",
    )  # fmt: skip
    panel.set(ylim=(-15, 6), yticks=(-14, -3, 3), xlabel="epoch")

"""What initialisations do to training, and where descent ends."""

from pathlib import Path

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import MARKERS, PALETTE, below, few_decades, figure, save, ticks_at
from experiments.initialization.config import choices
from experiments.initialization.figures.propagation import NAMES, stamp

INITIALISERS = {"he": "He", "glorot": "Glorot", "lsuv": "LSUV"}
START_COLOURS = ("blue", "vermillion", "green", "orange", "black")
LEVEL_COLOURS = ("green", "yellow", "orange", "vermillion")


def training(record: Record, path: Path) -> Path:
    """Accuracy of every network, pair by pair; largest stable rate against depth."""
    found = record.results["training"]
    rows = found["rows"]
    with figure(1, 2, height=3.0, gridspec_kw={"width_ratios": (1.75, 1)}) as (
        drawing,
        (left, right),
    ):
        for place, row in enumerate(rows):
            spread = np.linspace(-0.22, 0.22, len(row["test"]))
            left.plot(
                np.array(row["test"]), len(rows) - 1 - place + spread, linestyle="", marker="o",
                color=PALETTE["blue"], markerfacecolor="white",
            )  # fmt: skip
            gradient = row["log10_gradient"]
            if gradient is not None:
                left.text(
                    1.03, len(rows) - 1 - place, f"$10^{{{gradient:+.1f}}}$", fontsize=7.5,
                    va="center",
                )  # fmt: skip
        names = [
            f"{NAMES.get(row['activation'], row['activation'])}, "
            f"{INITIALISERS.get(row['initialiser'], row['initialiser'])}"
            for row in rows
        ]
        left.set_yticks(range(len(rows)), names[::-1], fontsize=8)
        left.axvline(0.1, color="0.7", linewidth=0.8, linestyle=(0, (4, 2)))
        left.set(xlim=(0, 1), xlabel="test accuracy")
        left.set_title(r"theory: $\|g_1\|/\|g_L\|$ at the right", fontsize=8.5, loc="right")
        _rates(right, found["stable_rates"])
        return save(drawing, path, stamp(record))


def _rates(panel, rates) -> None:
    """2 over the sharpness of every network, and the median."""
    depths = [int(depth) for depth in rates]
    for depth, values in zip(depths, rates.values(), strict=True):
        panel.plot(
            [depth] * len(values), values, linestyle="", marker="o", color=PALETTE["blue"],
            markerfacecolor="white",
        )  # fmt: skip
    medians = [np.median(values) for values in rates.values()]
    panel.plot(depths, medians, color="black", marker="", linewidth=0.9, label="median")
    panel.legend(loc="upper right", fontsize=7.5)
    panel.set(
        xscale="log", yscale="log", xlabel="layers", ylabel=r"$2/\lambda_{\max}$ at the start"
    )
    few_decades(panel.yaxis)
    ticks_at(panel.xaxis, depths)


def starts(record: Record, path: Path) -> Path:
    """Quartiles of test accuracy over starts against width, well trained and not."""
    asked = record.config["training"]["starts"]
    of = {
        (row["initialiser"], row["rate"], row["width"]): row
        for row in record.results["training"]["starts"]
    }
    with figure(1, 2, height=2.4) as (drawing, (left, right)):
        for place, choice in enumerate(choices(asked["initialisers"], asked["rates"])):
            rows = [of[*choice, width] for width in asked["widths"]]
            low, median, high = np.percentile([row["test"] for row in rows], [25, 50, 75], axis=1)
            look = {
                "color": PALETTE[START_COLOURS[place]], "marker": MARKERS[place],
                "markerfacecolor": "white", "linewidth": 0.8,
                "label": f"{_initialiser(choice[0])}, rate {choice[1]:g}",
            }  # fmt: skip
            left.errorbar(
                np.array(asked["widths"]) * 1.06**place, median,
                yerr=[median - low, high - median], capsize=2.5, elinewidth=0.8, **look,
            )  # fmt: skip
            right.plot(asked["widths"], 100 * (high - low), **look)
        left.set(ylim=(0, 1), ylabel="test accuracy, quartiles")
        right.set(yscale="log", ylabel="points between quartiles")
        few_decades(right.yaxis)
        for panel in (left, right):
            panel.set(xscale="log", xlabel="hidden units")
            ticks_at(panel.xaxis, asked["widths"])
        below(drawing, right)
        return save(drawing, path, stamp(record))


def _initialiser(name: str) -> str:
    """Its name in a figure; that of "normal STD" is its law."""
    kind, _, std = name.partition(" ")
    return rf"$N(0, {float(std) ** 2:g})$" if kind == "normal" else INITIALISERS.get(name, name)


def minima(record: Record, path: Path) -> Path:
    """Levels at which networks for exclusive or end; share of descents in the worse well."""
    found = record.results["minima"]
    starts = record.config["minima"]["starts"]
    with figure(1, 2, height=2.6) as (drawing, (left, right)):
        places = np.arange(len(found["rows"]))
        below = np.zeros(len(places))
        for index, level in enumerate(found["levels"]):
            shares = np.array([row["counts"][index] for row in found["rows"]]) / starts
            left.bar(
                places, shares, bottom=below, width=0.7, color=PALETTE[LEVEL_COLOURS[index]],
                label=f"{level:.3g}",
            )  # fmt: skip
            below += shares
        left.set_xticks(places, [str(row["width"]) for row in found["rows"]])
        left.set(xlabel="hidden units", ylabel="share of starts", ylim=(0, 1))
        left.legend(
            title="final loss", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4,
            fontsize=7.5, title_fontsize=7.5, handlelength=1.2, columnspacing=1.0,
        )  # fmt: skip
        rates = [row["rate"] for row in found["wells"]]
        count = record.config["minima"]["wells"]
        shares = np.array([row["share"] for row in found["wells"]])
        errors = 3 * np.sqrt(shares * (1 - shares) / count)
        right.axhline(
            found["trapped_share"], color="black", linewidth=0.9, label="basin: no step jumps"
        )
        right.errorbar(
            rates, shares, yerr=errors, color=PALETTE["blue"], marker="o", linestyle="",
            markerfacecolor="white", elinewidth=0.8, label="measured, 3 s.e.",
        )  # fmt: skip
        right.set(xlabel="step size", ylabel="share in the worse well")
        right.margins(y=0.35)
        right.legend(loc="lower left", fontsize=7.5)
        right.text(
            0.97, 0.95, r"$f(x) = x^4/4 - x^2/2 + x/5$", transform=right.transAxes, ha="right",
            va="top", fontsize=8.5,
        )  # fmt: skip
        return save(drawing, path, stamp(record))

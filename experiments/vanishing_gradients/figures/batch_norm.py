"""Figure of the part "batch_norm"."""

from pathlib import Path

import numpy as np

from diffkit.lab.experiment import Record
from diffkit.lab.figures import PALETTE, figure, save


def explosion(record: Record, path: Path) -> Path:
    """Factor of squared gradients per layer against the batch size, with both controls."""
    rows, curve = record.results["batch_norm"]["rows"], record.results["batch_norm"]["curve"]
    with figure(1, 1, height=2.7) as (drawing, panel):
        panel.plot(
            curve["batch"], np.exp(curve["exact"]), color="black", marker="", linewidth=1,
            label="exact, $n \\to \\infty$",
        )  # fmt: skip
        panel.axhline(
            np.exp(curve["limit"]), color=PALETTE["vermillion"], linestyle=(0, (4, 1.5)),
            linewidth=0.9, label=r"control: $B \to \infty$, $\pi/(\pi - 1)$",
        )  # fmt: skip
        panel.axhline(
            np.exp(curve["without"]), color="0.6", linestyle=(0, (1, 1)), linewidth=1.2,
            label="control: no normalisation",
        )  # fmt: skip
        values = np.exp([row["measured"] for row in rows])
        errors = 3 * values * np.array([row["error"] for row in rows])
        panel.errorbar(
            [row["batch"] for row in rows], values, yerr=errors, color=PALETTE["blue"],
            linestyle="", marker="o", markerfacecolor="white", elinewidth=0.8,
            label="measured, extrapolated to $1/n = 0$, 3 s.e.",
        )  # fmt: skip
        panel.set_xscale("log", base=2)
        ticks = sorted({row["batch"] for row in rows} | {128, 512})
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set(xlabel="samples of a batch, $B$", ylabel=r"factor of $\|g_l\|^2$ per layer")
        panel.legend(loc="upper right", fontsize=8)
        panel.text(
            0.42, 0.17,
            r"$\chi_B = \dfrac{2B\,\tau}{(B-1)(B-3)(1-\kappa)}$",
            transform=panel.transAxes, fontsize=9,
        )  # fmt: skip
        return save(drawing, path, f"{record.experiment} {record.address[:12]}")

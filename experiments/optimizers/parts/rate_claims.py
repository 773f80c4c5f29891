"""What the lectures say of learning rates, decided by the measurements of `learning_rate`."""

from collections.abc import Mapping
from typing import Any

from diffkit.lab.comparison import LARGEST_Z
from diffkit.lab.outcome import Decided


def claims(results: Mapping[str, Any]) -> list[Decided]:
    """Oscillation, too small and too large, quick convergence, stalling."""
    parabola, nudge, network = (results[name] for name in ("parabola", "nudge", "network"))
    stall = results["stall"]
    flips = [
        share for share, factor in zip(nudge["shares"], nudge["factors"], strict=True)
        if factor < 0
    ]  # fmt: skip
    oscillates = "oscillating" in parabola["seen"] and flips and min(flips) > 1
    both = min(min(row["z_below"], row["z_above"]) for row in network["rows"])
    steps = [each for each in parabola["steps"] if each is not None]
    slowest, quickest = steps[0], min(steps)
    last, first = stall["last_steps"], stall["first_steps"]
    return [
        Decided(
            "C006",
            "confirmed" if oscillates else "refuted",
            "descent changes sides at every step for 1 < a h < 2 and diverges beyond; on the "
            f"network a nudge along the largest curvature ({nudge['curvature']:.2f}) changes sign "
            f"for a lambda = {', '.join(f'{share:g}' for share in flips)} and for no smaller one",
        ),
        Decided(
            "C042",
            "mixed" if both > LARGEST_Z else "undecided",
            "for every batch size the smallest and the largest learning rate are worse than the "
            f"best by z = {both:.0f} or more; at equal epochs batches of "
            f"{network['rows'][0]['batch']} beat those of {network['rows'][-1]['batch']} by "
            f"z = {network['z_batch']:.0f}; too small a batch is a matter of the machine",
        ),
        Decided(
            "C070",
            "refuted" if slowest > 10 * quickest else "confirmed",
            f"steps to 1e-6: {slowest} at a h = {parabola['shares'][0]:g}, {quickest} at "
            "the best rate; the count is ln(accuracy)/ln|1 - a h|",
        ),
        Decided(
            "C074",
            "confirmed"
            if last["Adadelta"] >= first["Adadelta"] and last["Adagrad"] < first["Adagrad"] / 10
            else "refuted",
            f"under one gradient the step of Adagrad falls from {first['Adagrad']:g} to "
            f"{last['Adagrad']:.3f} in {stall['t'][-1]} steps, that of Adadelta rises from "
            f"{first['Adadelta']:.4f} to {last['Adadelta']:.4f}",
        ),
    ]

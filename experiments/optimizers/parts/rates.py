"""How fast linear methods converge on a quadratic, and where they are stable."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.optimizers.measure import quadratics as measure
from experiments.optimizers.theory import quadratics as theory

NAME = "rates"
TOLERANCE = 1e-3
#: Two ways of rounding one number, magnified near a double root: sqrt of the machine epsilon.
GRID_TOLERANCE = 1e-7


@dataclass(frozen=True)
class RatesConfig:
    """What is measured.

    Args:
        ratio: L / mu, the condition number, > 1.
        curvatures: How many, spaced evenly in their logarithm from 1 to `ratio`.
        steps: Updates of a run; the rate is fitted to the last half.
        grid: Points of the stability map along a h and along b.
    """

    ratio: float = 100.0
    curvatures: int = 50
    steps: int = 2000
    grid: tuple[int, int] = (24, 14)


def check(config: RatesConfig) -> None:
    """Refuse what has no answer."""
    if not config.ratio > 1 or config.curvatures < 2 or config.steps < 100:
        raise UsageError("rates: ratio must exceed 1; 2 curvatures and 100 steps or more")
    if min(config.grid) < 2:
        raise UsageError("rates: the grid needs 2 points or more along each axis")


def run(config: Any, store: Store, progress: Progress) -> Part:
    """One cell for each method and one for the map."""
    asked: RatesConfig = config.rates
    check(asked)
    curvatures = np.geomspace(1.0, asked.ratio, asked.curvatures)

    def cell(part: str, method: str) -> Mapping[str, Any]:
        step, momentum, _ = theory.setting(method, asked.ratio)
        is_ahead = method.endswith("Nesterov")
        logs = measure.errors(curvatures, step, momentum, asked.steps, is_ahead=is_ahead)
        return {"logs": logs}

    keys = [{"part": NAME, "method": method} for method in theory.METHODS]
    found = store.map(cell, keys, progress)
    rows = [
        judge(method, asked.ratio, np.asarray(each["logs"]))
        for method, each in zip(theory.METHODS, found, strict=True)
    ]
    steps, momenta = _grid(asked)
    radii = store.compute(
        {"part": NAME, "map": True}, lambda: {"radii": measure.radii(steps, momenta)}
    )["radii"]
    return outcome(asked, rows, steps, momenta, np.asarray(radii))


def _grid(config: RatesConfig) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (a h, b) off the edges of the regions, flattened."""
    across = np.linspace(0.08, 4.3, config.grid[0])
    up = np.linspace(0.0, 1.1, config.grid[1])
    steps, momenta = np.meshgrid(across, up)
    return steps.ravel(), momenta.ravel()


def judge(method: str, ratio: float, logs: np.ndarray) -> dict[str, Any]:
    """One method: the fitted rate against its law and against the control."""
    step, momentum, rate = theory.setting(method, ratio)
    measured = measure.fitted_rate(logs, is_defective=theory.DEFECTIVE[method])
    shown = np.linspace(0, min(len(logs) - 1, 200), 101).astype(int)
    return {
        "method": method,
        "step": step,
        "momentum": momentum,
        "rate": rate,
        "measured": measured,
        "control": theory.wrong_rate(method, ratio),
        "t": shown,
        "logs": logs[shown],
    }


def outcome(
    config: RatesConfig,
    rows: list[dict[str, Any]],
    steps: np.ndarray,
    momenta: np.ndarray,
    radii: np.ndarray,
) -> Part:
    """Join the methods and the map."""
    worst = max(abs(row["measured"] - row["rate"]) for row in rows)
    nearest = min(abs(row["measured"] - row["control"]) for row in rows)
    gap = float(np.abs(radii - theory.contraction(steps, momenta)).max())
    without = float(np.abs(radii - np.abs(1 - steps)).max())  # the control: no momentum
    statement = (
        f"the rates of {len(rows)} methods at condition number {config.ratio:g} lie within "
        f"{worst:.1e} of theory, those of other settings are off by {nearest:.3f} or more; the "
        f"Jacobian of an update has the predicted radius to {gap:.0e} at {len(radii)} settings"
    )
    fine = np.meshgrid(np.linspace(0, 4.4, 111), np.linspace(0, 1.15, 70))
    return Part(
        NAME,
        judged(
            misses=worst >= TOLERANCE or gap >= GRID_TOLERANCE,
            is_blind=nearest < TOLERANCE or without < GRID_TOLERANCE,
        ),
        statement,
        {
            "rows": rows,
            "worst": worst,
            "nearest_control": nearest,
            "map": {
                "steps": steps,
                "momenta": momenta,
                "radii": radii,
                "gap": gap,
                "is_stable_as_predicted": int(
                    np.sum((radii < 1) == (steps < 2 * (1 + momenta)) * (momenta < 1))
                ),
            },
            "theory": {
                "steps": fine[0][0],
                "momenta": fine[1][:, 0],
                "log_radii": np.log(np.maximum(theory.contraction(*fine), 1e-3)),
            },
            "laws": [law.to_dict() for law in theory.laws()],
        },
    )

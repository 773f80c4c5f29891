"""Adam's largest step, and the losses on which Adam converges to the worst point."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import positive
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.optimizers.measure import adaptive as measure
from experiments.optimizers.theory import adaptive as theory

NAME = "counterexample"
#: Relative; the steps and drifts are known exactly, and only rounding is left.
TOLERANCE = 1e-6
#: How near the end must be to a bound of [-1, 1].
NEAR = 0.01


@dataclass(frozen=True)
class CounterexampleConfig:
    """What is measured.

    Args:
        decays: b1 and b2 of Adam, b1^2 < b2.
        silence: Gradients of zero before the lone one; b2^silence must be gone.
        steps: Steps of the growing gradients.
        sequences: Random sequences of gradients held against the largest step.
        slopes: C > 2 of Reddi's losses; the first is run to its end.
        periods: Periods of three losses.
        rate: The step is rate/sqrt(t).
    """

    decays: tuple[float, float] = (0.9, 0.999)
    silence: int = 20_000
    steps: int = 1500
    sequences: int = 4096
    slopes: tuple[float, ...] = (4.0, 2.5, 3.0, 6.0, 10.0, 30.0)
    periods: int = 10_000
    rate: float = 0.1


def check(config: CounterexampleConfig) -> None:
    """Refuse what the formulas do not cover."""
    positive(config, "rate", part=NAME)
    b1, b2 = config.decays
    if not (0 < b1 < 1 and 0 < b2 < 1 and b1**2 < b2):
        raise UsageError(f"counterexample: decays {b1:g}, {b2:g}; b1^2 < b2, both in (0, 1)")
    if not config.slopes or min(config.slopes) <= 2:
        raise UsageError("counterexample: a slope C must exceed 2, or +1 is no worse than -1")
    if min(config.silence, config.steps, config.sequences, config.periods) < 1:
        raise UsageError("counterexample: silence, steps, sequences and periods must be 1 or more")


def run(config: Any, store: Store, progress: Progress) -> Part:
    """One cell for Adam's steps, one for each optimiser on the losses, one for the drifts."""
    asked: CounterexampleConfig = config.counterexample
    check(asked)
    steps = store.compute({"part": NAME, "steps": True}, lambda: _steps(asked, config.seed))

    def cell(part: str, optimiser: str) -> Mapping[str, Any]:
        x, regret = measure.counterexample(
            optimiser, asked.slopes[0], periods=asked.periods, rate=asked.rate
        )
        drifts = [measure.drift(optimiser, slope, periods=200) for slope in asked.slopes]
        return {"x": x, "regret": regret, "drifts": drifts}

    keys = [{"part": NAME, "optimiser": name} for name in measure.REDDI]
    found = dict(zip(measure.REDDI, store.map(cell, keys, progress), strict=True))
    return outcome(asked, _judged_steps(asked, steps), _judged_losses(asked, found))


def _steps(config: CounterexampleConfig, seed: int) -> Mapping[str, Any]:
    lone = np.append(np.zeros(config.silence), 1.0)
    after = measure.growing(config.decays, 120, config.silence)
    wild = measure.wild(config.sequences, 60, seed)
    steps = np.nan_to_num(measure.adam_steps(wild, config.decays))
    return {
        "lone": measure.adam_steps(lone, config.decays)[-1],
        "after": measure.adam_steps(after, config.decays)[-1],
        "growing": measure.adam_steps(measure.growing(config.decays, config.steps), config.decays),
        "wild": steps.max(axis=0),
    }


def _judged_steps(config: CounterexampleConfig, steps: Mapping[str, Any]) -> dict[str, Any]:
    """Adam's steps against the law and against the bound that is printed."""
    shown = np.unique(np.geomspace(1, config.steps, 40).astype(int))
    law = np.array([theory.largest_step(config.decays, int(t)) for t in shown])
    growing = np.asarray(steps["growing"])[shown - 1]
    wild = np.asarray(steps["wild"])
    of_wild = [theory.largest_step(config.decays, t) for t in range(1, len(wild) + 1)]
    lone = theory.lone_step(config.decays, config.silence)
    after = theory.largest_step(config.decays, config.silence + 120)
    return {
        "lone": {"measured": float(steps["lone"]), "law": lone},
        "printed": theory.printed_bound(config.decays),
        "after": {"measured": float(steps["after"]), "law": after},
        "t": shown,
        "growing": growing,
        "law": law,
        "gap": float(
            max(
                np.abs(growing / law - 1).max(),
                abs(float(steps["lone"]) / lone - 1),
                abs(float(steps["after"]) / after - 1),
            )
        ),
        "largest_wild": float(np.max(wild / of_wild)),
    }


def _judged_losses(config: CounterexampleConfig, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, each in found.items():
        laws = [theory.drifts(slope)[name] for slope in config.slopes]
        controls = [theory.wrong_drift(slope) for slope in config.slopes]
        drifts = np.asarray(each["drifts"], float)
        x = np.asarray(each["x"])
        shown = np.unique(np.geomspace(1, len(x), 200).astype(int)) - 1
        rows.append(
            {
                "optimiser": name,
                "end": float(x[-1]),
                "regret": float(np.asarray(each["regret"])[-1]),
                "periods": shown + 1,
                "x": x[shown],
                "drifts": drifts,
                "laws": laws,
                "gap": float(np.abs(drifts - laws).max()),
                "control_gap": float(np.abs(drifts - controls).max()),
            }
        )
    return rows


def outcome(
    config: CounterexampleConfig, steps: dict[str, Any], rows: list[dict[str, Any]]
) -> Part:
    """Join steps and losses."""
    signs = {row["optimiser"]: 1.0 if row["optimiser"] == "Adam" else -1.0 for row in rows}
    reached = all(abs(row["end"] - signs[row["optimiser"]]) < NEAR for row in rows)
    gap = max(steps["gap"], *(row["gap"] for row in rows))
    is_within = steps["largest_wild"] <= 1 + TOLERANCE
    exceeded = steps["after"]["measured"] / steps["printed"]
    blind = min(exceeded - 1, *(row["control_gap"] for row in rows))
    ends = ", ".join(f"{row['optimiser']} to {row['end']:+.4f}" for row in rows)
    statement = (
        f"a lone gradient moves Adam by {steps['lone']['measured']:.8f} learning rates, growing "
        f"ones by {steps['after']['measured']:.4f}, {exceeded:.2f} times the printed bound; on "
        f"Reddi's losses {ends}; drifts and steps agree with theory to {gap:.0e}"
    )
    adam = next(row for row in rows if row["optimiser"] == "Adam")
    is_lost = adam["end"] > 1 - NEAR and adam["regret"] > 1
    claim = Decided(
        "C075",
        "refuted" if is_lost else "undecided",
        f"on Reddi's losses Adam ends at x = {adam['end']:+.3f}, the worst point, with a mean "
        f"regret of {adam['regret']:.2f} a step after {3 * config.periods} steps: it need not "
        "converge at all",
    )
    return Part(
        NAME,
        judged(misses=gap >= TOLERANCE or not reached or not is_within, is_blind=blind < TOLERANCE),
        statement,
        {
            "steps": steps,
            "rows": rows,
            "slopes": config.slopes,
            "gap": gap,
            "laws": [law.to_dict() for law in theory.laws()],
        },
        [claim],
    )

"""Where SGD and momentum come to rest under gradient noise, and how often they turn around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.comparison import LARGEST_Z, mean
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.optimizers.measure import quadratics as measure
from experiments.optimizers.theory import quadratics as theory

NAME = "noise_floor"
TOLERANCE = 0.01


@dataclass(frozen=True)
class NoiseConfig:
    """What is measured.

    Args:
        step_sizes: a h of each setting.
        momenta: b of each setting, as many; 0 <= b < 1 and 0 < a h < 2 (1 + b).
        chains: Independent runs of each setting.
        burn: Steps before anything is counted.
        steps: Steps that are counted.
    """

    step_sizes: tuple[float, ...] = (0.1, 0.7, 1.5, 0.1, 1.0, 2.5, 0.1, 1.0, 3.0)
    momenta: tuple[float, ...] = (0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9)
    chains: int = 1024
    burn: int = 300
    steps: int = 3000

    @property
    def settings(self) -> list[tuple[float, float]]:
        """Pairs (a h, b)."""
        return list(zip(self.step_sizes, self.momenta, strict=True))


def check(config: NoiseConfig) -> None:
    """Refuse what has no stationary state."""
    if len(config.step_sizes) != len(config.momenta) or 0.0 not in config.momenta:
        raise UsageError(
            "noise_floor: as many step_sizes as momenta, one of them 0 to compare with"
        )
    for step, momentum in config.settings:
        if not (0 <= momentum < 1 and 0 < step < 2 * (1 + momentum)):
            raise UsageError(
                f"noise_floor: a h = {step:g} with b = {momentum:g} has no stationary state; "
                "0 <= b < 1 and 0 < a h < 2 (1 + b)"
            )
    if config.chains < 2 or config.steps < 1 or config.burn < 0:
        raise UsageError("noise_floor: 2 chains and 1 step or more")


def run(config: Any, store: Store, progress: Progress) -> Part:
    """One cell for each setting, one for the falling rate."""
    asked: NoiseConfig = config.noise_floor
    check(asked)

    def cell(part: str, step: float, momentum: float) -> Mapping[str, Any]:
        squares, turns = measure.noisy_chains(
            step,
            momentum,
            chains=asked.chains,
            burn=asked.burn,
            steps=asked.steps,
            seed=config.seed,
        )
        return {"squares": squares, "turns": turns}

    keys = [{"part": NAME, "step": step, "momentum": b} for step, b in asked.settings]
    found = store.map(cell, keys, progress)
    rows = [
        judge(step, momentum, np.asarray(each["squares"]), np.asarray(each["turns"]))
        for (step, momentum), each in zip(asked.settings, found, strict=True)
    ]

    def falling() -> Mapping[str, Any]:
        constant, falls = measure.falling_rate(
            chains=asked.chains, steps=asked.steps, seed=config.seed
        )
        return {"constant": constant, "falling": falls}

    ends = store.compute({"part": NAME, "falling": True}, falling)
    return outcome(rows, {name: np.asarray(each) for name, each in ends.items()}, asked.steps)


def judge(step: float, momentum: float, squares: np.ndarray, turns: np.ndarray) -> dict[str, Any]:
    """One setting: variance and share of turns against their laws and the controls."""
    floor, share = theory.noise_floor(step, momentum), theory.turning_share(step, momentum)
    control = theory.wrong_floor(step, momentum)
    found = mean(squares)
    return {
        "step": step,
        "momentum": momentum,
        "floor": floor,
        "measured": found.value,
        "z": found.z(floor),
        "off": found.value / floor - 1,
        "control": control,
        "z_of_control": found.z(control),
        "share": share,
        "turns": float(turns.mean()),
        "turns_z": mean(turns).z(share),
    }


def outcome(rows: Sequence[Mapping[str, Any]], ends: Mapping[str, np.ndarray], steps: int) -> Part:
    """Join the settings; decide what the lectures say of noise."""
    largest = max(max(abs(row["z"]), abs(row["turns_z"])) for row in rows)
    off = max(abs(row["off"]) for row in rows)
    blind = min(abs(row["z_of_control"]) for row in rows)
    statement = (
        f"the variance of {len(rows)} settings lies within {100 * off:.2f} % of the noise floor, "
        f"variances and shares of turns within |z| = {largest:.1f}; the small-step formula is off "
        f"by |z| = {blind:.0f} or more"
    )
    means = {name: float(values.mean()) for name, values in ends.items()}
    errors = {name: mean(values).error for name, values in ends.items()}
    return Part(
        NAME,
        judged(misses=largest >= LARGEST_Z or off >= TOLERANCE, is_blind=blind < LARGEST_Z),
        statement,
        {
            "rows": list(rows),
            "largest_z": largest,
            "largest_off": off,
            "least_z_of_control": blind,
            "falling": {"means": means, "errors": errors, "steps": steps},
        },
        claims(rows, means, errors, steps),
    )


def claims(
    rows: Sequence[Mapping[str, Any]],
    means: Mapping[str, float],
    errors: Mapping[str, float],
    steps: int,
) -> list[Decided]:
    """Momentum and turns; the variance of SGD; a falling rate."""
    plain = next(row for row in rows if row["momentum"] == 0)
    same = [row for row in rows if row["step"] == plain["step"] and row["momentum"] > 0]
    found = []
    if same:
        heavy = max(same, key=lambda row: row["momentum"])
        is_fewer = heavy["turns"] < plain["turns"] and abs(heavy["turns_z"]) < LARGEST_Z
        found.append(
            Decided(
                "C019",
                "confirmed" if is_fewer else "refuted",
                f"successive updates have opposite signs in {100 * plain['turns']:.1f} % of the "
                f"steps without momentum and in {100 * heavy['turns']:.1f} % with "
                f"b = {heavy['momentum']:g}, as arccos(b - a h/2)/pi says "
                f"(z = {heavy['turns_z']:.1f})",
            )
        )
    no_momentum = [row for row in rows if row["momentum"] == 0]
    is_floor = all(abs(row["z"]) < LARGEST_Z for row in no_momentum)
    steepest = max(no_momentum, key=lambda row: row["step"])
    found.append(
        Decided(
            "C068",
            "confirmed" if is_floor else "refuted",
            "SGD does not stay at the minimum but keeps the variance a/(2 - a) per unit of noise: "
            f"{steepest['measured']:.3f} at a = {steepest['step']:g} "
            f"(theory {steepest['floor']:.3f}, z = {steepest['z']:.1f})",
        )
    )
    spread = np.hypot(errors["constant"], errors["falling"])
    z = (means["constant"] - means["falling"]) / spread
    found.append(
        Decided(
            "C069",
            "confirmed" if z > LARGEST_Z else "refuted",
            f"after {steps} steps x^2 is {means['constant']:.4f} on average with the constant "
            f"rate 0.1 and {means['falling']:.5f} with the rate 1/t (z = {z:.0f})",
        )
    )
    return found

"""The part "memory": which recurrent cells learn the adding problem, and how long a memory.

Who answers 1 always has the error E (u + v - 1)^2 = 1/6, u and v uniform.  A cell has learned where
its mean error on new sequences is below half of that by 3 standard errors.  The prediction that is
judged is the baseline itself, by |z| < 3 against the answers drawn; 0.1767, a number that is often
printed, is the control.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, at_most, positive
from diffkit.lab.comparison import LARGEST_Z, Mean, mean, verdict_of
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.vanishing_gradients.config import Config, Memory
from experiments.vanishing_gradients.measure import memory as measure
from experiments.vanishing_gradients.theory import memory as theory

#: The baseline as it is often printed for the adding problem.
PRINTED = 0.1767
#: Sequences whose answers the baseline is held against.
DRAWN = 1_000_000


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each recurrent cell and length."""
    asked = config.memory
    check(asked)
    keys = [
        {"part": "memory", "cell": name, "length": length}
        for length in asked.lengths
        for name in measure.CELLS
    ]

    def one(part: str, cell: str, length: int) -> Mapping[str, np.ndarray]:
        found = measure.errors(
            cell,
            length,
            units=asked.units,
            samples=asked.samples,
            steps=asked.steps,
            batch=asked.batch,
            rate=asked.rate,
            seeds=range(asked.seed, asked.seed + asked.seeds),
        )
        return {"error": found}

    rows = [
        {"cell": key["cell"], "length": key["length"], "errors": found["error"].tolist()}
        for key, found in zip(keys, store.map(one, keys, progress), strict=True)
    ]
    _, answers = measure.adding(DRAWN, 4, asked.seed + 2)
    return judge(asked, rows, mean((answers.astype(float) - 1) ** 2))


def check(config: Memory) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    if not config.lengths or min(config.lengths) < 2 or config.seeds < 2:
        raise UsageError("memory: lengths and seeds must be 2 or more")
    at_least(1, config, "units", "samples", "steps", "batch", part="memory")
    at_most(config.samples, config, "batch", part="memory", why="as many as samples")
    positive(config, "rate", part="memory")


def judge(config: Memory, rows: Sequence[Mapping[str, Any]], baseline: Mean) -> Part:
    """The baseline is judged; what the cells learned decides the claims."""
    exact = theory.baseline().at()
    z, z_of_control = baseline.z(exact), baseline.z(PRINTED)
    longest = max(config.lengths)
    at_longest = {row["cell"]: mean(row["errors"]) for row in rows if row["length"] == longest}
    listed = ", ".join(f"{name}: {value.value:.4f}" for name, value in at_longest.items())
    return Part(
        "memory",
        judged(misses=abs(z) >= LARGEST_Z, is_blind=abs(z_of_control) < LARGEST_Z),
        f"answering 1 has the error {baseline.value:.4f} against 1/6 (z = {z:.1f}), the printed "
        f"{PRINTED} is off by z = {z_of_control:.0f}; errors at T = {longest}: {listed}",
        {
            "rows": list(rows),
            "baseline": exact,
            "measured": baseline.value,
            "z": z,
            "z_of_control": z_of_control,
            "laws": [theory.baseline().to_dict()],
        },
        [_plain_cells(config, rows), _lstm_cells(config, rows)],
    )


def has_learned(errors: Sequence[float]) -> bool:
    """Whether the mean error is below half of the baseline by 3 standard errors."""
    return mean(errors).is_below(theory.baseline().at() / 2)


def _plain_cells(config: Memory, rows: Sequence[Mapping[str, Any]]) -> Decided:
    """C104: long-term dependencies do not work in plain recurrent cells."""
    fails = {
        name: [row["length"] for row in rows
               if row["cell"] == name and not has_learned(row["errors"])]
        for name in ("gaussian", "orthogonal")
    }  # fmt: skip
    said = "; ".join(f"{name} {_lengths(lengths)}" for name, lengths in fails.items())
    return Decided(
        "C104",
        verdict_of([max(config.lengths) in lengths for lengths in fails.values()]),
        f"plain tanh cells of spectral radius 1 on the adding problem, {config.seeds} seeds: "
        f"{said}; {_errors(rows, ('gaussian', 'orthogonal'))}",
    )


def _lstm_cells(config: Memory, rows: Sequence[Mapping[str, Any]]) -> Decided:
    """C106: LSTM cells learn long-term dependencies, with a forget bias of 0 and of 1."""
    names = ("lstm, bias 0", "lstm, bias 1")
    longest = max(config.lengths)
    holds = [
        has_learned(row["errors"])
        for row in rows
        if row["cell"] in names and row["length"] == longest
    ]
    return Decided(
        "C106",
        verdict_of(holds),
        f"LSTM cells on the adding problem, {config.seeds} seeds, learned means below 1/12: "
        f"{_errors(rows, names)}",
    )


def _errors(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Mean error of each cell at each length."""
    return ", ".join(
        f"{row['cell']} at T = {row['length']}: {mean(row['errors']).value:.4f}"
        for row in rows
        if row["cell"] in names
    )


def _lengths(lengths: Sequence[int]) -> str:
    return f"fails at T = {', '.join(map(str, lengths))}" if lengths else "fails nowhere"

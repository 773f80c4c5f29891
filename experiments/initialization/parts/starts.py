"""How much the start decides: test accuracies of networks that differ in nothing else (C009)."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, at_most, known, positive, rising
from diffkit.lab.comparison import verdict_of
from diffkit.lab.outcome import Decided
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.initialization.config import Starts, choices
from experiments.initialization.measure.training import data, initialiser_of, trained

LEVEL = 0.01
#: One hidden layer: two of weights.
LAYERS = 2
PART = "training.starts"


def measured(asked: Starts, store: Store, progress: Progress) -> list[dict[str, Any]]:
    """One cell for each initialiser and width; a row for each learning rate besides."""

    def cell(part: str, starts: int, initialiser: str) -> Mapping[str, Any]:
        found = trained(
            "tanh",
            initialiser,
            depth=LAYERS,
            width=starts,
            rates=asked.rates,
            seeds=range(asked.seed, asked.seed + asked.networks),
            steps=asked.steps,
            batch=asked.batch,
        )
        return {"test": found["test"]}

    pairs = list(product(asked.initialisers, asked.widths))
    keys = [
        {"part": "training", "starts": width, "initialiser": initialiser}
        for initialiser, width in pairs
    ]
    cells = store.map(cell, keys, progress)
    return [
        {
            "initialiser": initialiser,
            "width": width,
            "rate": rate,
            "median": float(np.median(test)),
            "spread": float(np.subtract(*np.percentile(test, [75, 25]))),
            "test": test.round(4).tolist(),
        }
        for (initialiser, width), found in zip(pairs, cells, strict=True)
        for rate, test in zip(asked.rates, found["test"], strict=True)
    ]


def check(asked: Starts) -> None:
    """Refuse a configuration that cannot answer."""
    rising(asked, "widths", "rates", part=PART)
    at_least(1, asked, "widths", "steps", "batch", part=PART)
    at_least(10, asked, "networks", part=PART)
    positive(asked, "rates", part=PART)
    shown = len(data()[0])
    at_most(shown, asked, "batch", part=PART, why="as many digits as are trained on")
    known(initialiser_of, asked, "initialisers", part=PART)
    if len(asked.initialisers) < 2:
        raise UsageError(f"{PART}.initialisers needs two or more, a good one first")


def claim(asked: Starts, rows: Sequence[Mapping[str, Any]]) -> Decided:
    """Most minima of large networks are equivalent and perform alike (C009).

    With the first initialiser and rate, the good ones, the spread over starts must fall from the
    narrowest to the widest network (Levene's test about medians).  With another initialiser, or
    another rate, the claim holds of the widest network unless its spread is larger than with the
    good ones.
    """
    of = {(row["initialiser"], row["rate"], row["width"]): row for row in rows}
    narrow, wide = asked.widths[0], asked.widths[-1]
    good, *others = choices(asked.initialisers, asked.rates)
    falls = differ(of[*good, narrow], of[*good, wide])
    holds: list[bool | None] = [None if falls is None else falls[0] > falls[1]]
    for other in others:
        found = differ(of[*other, wide], of[*good, wide])
        holds.append(found is None or found[0] < found[1])

    def spelt(width: int, choice: tuple[str, float]) -> str:
        row = of[*choice, width]
        return f"{100 * row['spread']:.1f} points about {100 * row['median']:.0f} %"

    evidence = (
        f"quartiles of test accuracy over {asked.networks} starts lie apart by "
        f"{spelt(narrow, good)} with {narrow} hidden units and {spelt(wide, good)} with {wide}"
    )
    for initialiser, rate in others:
        evidence += f"; with {wide} by {spelt(wide, (initialiser, rate))} "
        evidence += f"({initialiser}, rate {rate:g})"
    return Decided("C009", verdict_of(holds), evidence)


def differ(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[float, float] | None:
    """The two spreads where Levene's test about medians tells them apart, None where not."""
    if first["test"] == second["test"]:
        return None
    p_value = stats.levene(first["test"], second["test"], center="median").pvalue
    return (first["spread"], second["spread"]) if p_value < LEVEL else None

"""Bad minima of small networks, basins and step sizes, and why units must start unlike."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from diffkit.bridge.lower import lower
from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, positive, rising
from diffkit.lab.comparison import LARGEST_Z
from diffkit.lab.outcome import Decided, Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.initialization.config import Config, Minima
from experiments.initialization.measure import minima as measure
from experiments.initialization.theory import minima as theory

LEVEL = 0.01
#: A loss above this is no fit: the lowest level above 0 is a half.
BAD = 0.1
#: How the units of a hidden layer start.
SCHEMES = ("random", "equal", "zero")
UNITS, UNIT_STEPS = 8, 300


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each width, one for the double well, one for each scheme."""
    asked = config.minima
    check(asked)
    widths = [{"part": "minima", "width": width} for width in asked.widths]
    ends = store.map(
        lambda part, width: {
            "losses": measure.final_losses(
                width, starts=asked.starts, steps=asked.steps, seed=asked.seed
            )
        },
        widths,
        progress,
    )
    (wells,) = store.map(
        lambda **_: {"ends": well_ends(asked)}, [{"part": "minima", "potential": "wells"}], progress
    )
    schemes = [{"part": "minima", "scheme": scheme} for scheme in SCHEMES]
    units = store.map(
        lambda part, scheme: dict(
            zip(
                ("units", "slope"),
                measure.distinct_units(scheme, width=UNITS, steps=UNIT_STEPS, seed=asked.seed),
                strict=True,
            )
        ),
        schemes,
        progress,
    )
    rows = [
        by_width(asked, width, cell["losses"])
        for width, cell in zip(asked.widths, ends, strict=True)
    ]
    trapped = by_rate(asked, wells["ends"])
    alike = {
        scheme: {"units": int(cell["units"]), "slope": float(cell["slope"])}
        for scheme, cell in zip(SCHEMES, units, strict=True)
    }
    return part_of(asked, rows, trapped, alike)


def check(asked: Minima) -> None:
    """Refuse a configuration that has no answer."""
    at_least(1, asked, "steps", part="minima")
    positive(asked, "tolerance", "rates", part="minima")
    rising(asked, "widths", part="minima")
    if asked.widths[0] < 1 or asked.starts < 10 or asked.wells < 10:
        raise UsageError("minima needs widths >= 1 and ten starts or more")
    if (
        list(asked.rates) != sorted(set(asked.rates))
        or not 0 < asked.rates[0] < theory.jumping_rate()
    ):
        raise UsageError(
            f"minima.rates must rise from one below {theory.jumping_rate():.3g}: no step jumps"
        )


def well_ends(asked: Minima) -> np.ndarray:
    """Ends of the descents from uniform starts, (rates, starts)."""
    starts = np.random.default_rng(asked.seed).uniform(-theory.REACH, theory.REACH, asked.wells)
    return measure.ends(lower(theory.laws()[0].formula), starts, asked.rates)


def by_width(asked: Minima, width: int, losses: np.ndarray) -> dict[str, Any]:
    """How many starts of a width end at each level, and how far from it at most."""
    levels = np.array(theory.levels())
    gaps = np.abs(losses[:, None] - levels)
    at = gaps.argmin(axis=1)
    return {
        "width": width,
        "bad": int(np.sum(losses > BAD)),
        "counts": [int(np.sum(at == place)) for place in range(len(levels))],
        "off": int(np.sum(gaps.min(axis=1) > asked.tolerance)),
        "off_of_control": int(np.sum(np.abs(losses - 1) > asked.tolerance)),
        "spread": float(np.subtract(*np.percentile(losses, [75, 25]))),
        "least": float(losses.min()),
    }


def by_rate(asked: Minima, ends: np.ndarray) -> list[dict[str, Any]]:
    """Share of starts that end in the worse well, for each step size."""
    _, middle, _ = theory.stationary_points()
    rows = []
    for rate, places in zip(asked.rates, ends, strict=True):
        settled = np.isfinite(places)
        count = int(np.sum(settled & (places > middle)))
        rows.append({"rate": rate, "trapped": count, "share": count / asked.wells})
    return rows


def part_of(
    asked: Minima,
    rows: Sequence[Mapping[str, Any]],
    trapped: Sequence[Mapping[str, Any]],
    alike: Mapping[str, Mapping[str, Any]],
) -> Part:
    """The predictions: levels of the loss, and the share of starts in the worse basin."""
    total = asked.starts * len(rows)
    off, off_of_control = (sum(row[name] for row in rows) for name in ("off", "off_of_control"))
    share = theory.trapped_share()
    error = sqrt(share * (1 - share) / asked.wells)
    z = (trapped[0]["share"] - share) / error
    z_of_control = (trapped[0]["share"] - 0.5) / error
    is_right = off == 0 and abs(z) < LARGEST_Z
    spelt = ", ".join(f"{level:.3g}" for level in theory.levels())
    statement = (
        f"{total - off} of {total} networks for exclusive or end at one of the enumerated levels "
        f"{spelt} ({total - off_of_control} at that of no hidden units); small steps end in "
        f"the worse well from {100 * trapped[0]['share']:.1f} % of starts, {100 * share:.1f} % "
        f"predicted "
        f"(z = {z:.1f}; from a half: z = {z_of_control:.0f})"
    )
    is_blind = off_of_control == 0 or abs(z_of_control) < LARGEST_Z
    results = {
        "rows": list(rows),
        "levels": list(theory.levels()),
        "wells": list(trapped),
        "trapped_share": share,
        "z": z,
        "units": dict(alike),
        "laws": [law.to_dict() for law in theory.laws()],
    }
    decided = (*claims_of_width(asked, rows), claim_of_rate(asked, trapped), claim_of_units(alike))
    return Part(
        "minima", judged(misses=not is_right, is_blind=is_blind), statement, results, decided
    )


def claims_of_width(asked: Minima, rows: Sequence[Mapping[str, Any]]) -> tuple[Decided, ...]:
    """Bad minima fade with size (C008); descent may be trapped (C064)."""
    able = [row for row in rows if row["width"] > 1]  # one unit cannot fit at all
    first, last = able[0], able[-1]
    table = [[row["bad"], asked.starts - row["bad"]] for row in (first, last)]
    p_value = float(stats.fisher_exact(table, alternative="greater").pvalue)
    shares = ", ".join(
        f"{100 * row['bad'] / asked.starts:.1f} % of width {row['width']}" for row in able
    )
    fades = "confirmed" if p_value < LEVEL else "undecided" if first["bad"] else "refuted"
    interval = stats.binomtest(first["bad"], asked.starts).proportion_ci(0.99, "exact")
    traps = "confirmed" if interval.low > 0 else "undecided"
    fading = (
        f"starts that end in a bad minimum of exclusive or: {shares} (Fisher p = {p_value:.1g})"
    )
    trapped = (
        f"{first['bad']} of {asked.starts} starts of width {first['width']} end in a minimum that "
        f"is not the best (99 % interval from {100 * interval.low:.1f} %)"
    )
    return Decided("C008", fades, fading), Decided("C064", traps, trapped)


def claim_of_rate(asked: Minima, trapped: Sequence[Mapping[str, Any]]) -> Decided:
    """Small learning rates get stuck in false minima (C071): less so than large ones?"""
    first, last = trapped[0], min(trapped, key=lambda row: row["trapped"])
    table = [[row["trapped"], asked.wells - row["trapped"]] for row in (first, last)]
    p_value = float(stats.fisher_exact(table, alternative="greater").pvalue)
    spelt = ", ".join(f"{100 * row['share']:.1f} % at {row['rate']:g}" for row in trapped)
    # A small step is stuck where it starts; whether a larger one helps decides the claim.
    verdict = "confirmed" if p_value < LEVEL and last["share"] < first["share"] / 2 else "mixed"
    return Decided(
        "C071", verdict, f"share of starts that end in the worse well: {spelt} (p = {p_value:.1g})"
    )


def claim_of_units(alike: Mapping[str, Mapping[str, Any]]) -> Decided:
    """Weights must start random (C126): so that hidden units become different."""
    needed = alike["equal"]["units"] == 1 and alike["random"]["units"] == UNITS
    verdict = "confirmed" if needed else "refuted"
    random, equal = (alike[scheme]["units"] for scheme in ("random", "equal"))
    evidence = (
        f"after {UNIT_STEPS} steps {UNITS} hidden units are {random} different ones from a random "
        f"start and {equal} from an equal one; from zero the gradient of the hidden weights is "
        f"{alike['zero']['slope']:.1g}"
    )
    return Decided("C126", verdict, evidence)

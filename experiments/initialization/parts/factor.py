"""The factor of gradients per layer, extrapolated to infinite width, against theory."""

from collections.abc import Mapping, Sequence
from functools import cache
from math import exp, log, sqrt
from typing import Any

import numpy as np

from diffkit.bridge.lower import lower
from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least, known, positive
from diffkit.lab.comparison import LARGEST_Z
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.mlp import activation
from diffkit.numeric.statistics import at_zero, standard_error
from experiments.initialization.config import Config, Factor, networks
from experiments.initialization.measure.propagation import Activation, log_gradients, rows_of
from experiments.initialization.theory import propagation as theory

#: An extrapolation whose standard error is above this share of the tolerance decides nothing.
SHARE = 0.5


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each width; judge every activation and every design."""
    asked = config.factor
    check(asked)
    rows = predictions(asked)

    def cell(part: str, width: int) -> Mapping[str, Any]:
        log_square, square = log_gradients(
            rows_of(*columns(rows)),
            width=width,
            depth=asked.depth,
            inputs=asked.inputs,
            networks=range(networks(asked, width)),
            seed=asked.seed,
        )
        growth = (log_square[:, 0] - log_square[:, -1]) / (asked.depth - 1)
        return {"growth": growth, "square": square}

    keys = [{"part": "factor", "width": width} for width in asked.widths]
    cells = store.map(cell, keys, progress)
    found = [
        judge(asked, row, [cell["growth"][:, place] for cell in cells])
        for place, row in enumerate(rows)
    ]
    return part_of(asked, found)


def check(asked: Factor) -> None:
    """Refuse a configuration that cannot be extrapolated."""
    known(activation, asked, "activations", part="factor")
    known(theory.design, asked, "designs", part="factor")
    positive(asked, "sigma_w", "tolerance", part="factor")
    at_least(0, asked, "sigma_b", part="factor")
    at_least(1, asked, "inputs", part="factor")
    if len(set(asked.widths)) < 2 or min(asked.widths) < 2:
        raise UsageError("factor.widths needs two or more different widths to extrapolate from")
    if asked.networks * min(asked.widths) < 2 * max(asked.widths) or asked.depth < 2:
        raise UsageError("factor needs a depth of 2 or more and two networks of the largest width")


def predictions(asked: Factor) -> list[dict[str, Any]]:
    """One row for each activation, two for each design: the critical one and He's."""
    scales = asked.sigma_w, asked.sigma_b
    given = [
        (name, "given", *scales, theory.rest(name, *scales))
        for name in asked.activations
    ]  # fmt: skip
    designed = []
    for text in asked.designs:
        found = theory.design(text)
        designed += [
            (text, "designed", found.sigma_w, found.sigma_b, found.variance),
            (text, "He", sqrt(2.0), 0.0, found.variance),
        ]
    return [
        {
            "activation": name,
            "kind": kind,
            "sigma_w": sigma_w,
            "sigma_b": sigma_b,
            "variance": variance,
            "predicted": 1.0 if kind == "designed" else theory.factor(name, sigma_w, variance),
            "control": theory.mean_slope_factor(name, sigma_w, variance),
        }
        for name, kind, sigma_w, sigma_b, variance in [*given, *designed]
    ]


def columns(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Any], ...]:
    """What the measurement is told: functions and numbers, no theory."""
    phis = [in_jax(row["activation"], row["kind"] == "given") for row in rows]
    return phis, *([row[name] for row in rows] for name in ("sigma_w", "sigma_b", "variance"))


@cache
def in_jax(phi: str, is_named: bool) -> Activation:
    """The activation of a network: a named one is the library's, a formula is lowered."""
    if is_named:
        return activation(phi)
    return lower(theory.design(phi).activation)


def judge(asked: Factor, row: Mapping[str, Any], growths: Sequence[np.ndarray]) -> dict[str, Any]:
    """One row: the factor at 1/n = 0 against the prediction and against the control."""
    means = np.array([growth.mean() for growth in growths])
    errors = np.array([standard_error(growth) for growth in growths])
    found, error = map(float, at_zero(1 / np.array(asked.widths, float), means, errors))
    miss = exp(found - log(row["predicted"])) - 1
    control = exp(found - log(row["control"])) - 1
    return {
        **row,
        "means": means.round(6).tolist(),
        "errors": errors.round(6).tolist(),
        "measured": exp(found),
        "standard_error": exp(found) * error,
        "z": (found - log(row["predicted"])) / error,
        "miss": miss,
        "miss_of_control": control,
        "agrees": abs(miss) <= asked.tolerance,
        "is_sharp": error <= SHARE * asked.tolerance,
    }


def part_of(asked: Factor, rows: Sequence[Mapping[str, Any]]) -> Part:
    """Join the judged rows.  He's row of a design is a control: it must not keep gradients."""
    tested = [row for row in rows if row["kind"] != "He"]
    worst = max(tested, key=lambda row: abs(row["miss"]))
    blind = [row for row in tested if abs(row["miss_of_control"]) <= asked.tolerance]
    blind += [r for r in rows if r["kind"] == "He" and abs(r["measured"] - 1) <= asked.tolerance]
    off = [row for row in tested if not row["agrees"] and abs(row["z"]) >= LARGEST_Z]
    # off by more than the tolerance and yet within three standard errors: it says nothing
    blunt = [row for row in tested if not (row["is_sharp"] and (row["agrees"] or row in off))]
    agreeing = sum(row["agrees"] for row in tested)
    statement = (
        f"{agreeing} of {len(tested)} factors are within {100 * asked.tolerance:g} % of theory at "
        f"1/n = 0, the worst ({worst['activation']}) off by {100 * worst['miss']:.2f} % "
        f"(z = {worst['z']:.1f}); the control fails in {len(tested) - len(blind)}"
    )
    status = judged(misses=bool(off), is_blind=bool(blind or blunt))
    results = {"rows": list(rows), "laws": [law.to_dict() for law in theory.laws()]}
    return Part("factor", status, statement, results)

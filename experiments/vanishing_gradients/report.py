"""The numbers of the paper's section, formatted here and nowhere else."""

from collections.abc import Mapping, Sequence
from math import exp, floor, log10
from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, power_of_ten, signed


def numbers(run: Record) -> dict[str, Any]:
    """The table of per-layer factors and the numbers of the text."""
    rows = run.results["rows"]
    scores = [abs(_score(row)) for row in rows]
    worst = max(rows, key=lambda row: row["miss"] / row["allowed"])
    control = min(rows, key=lambda row: _control_ratio(row))
    config = run.config
    return {
        **{name: str(config[name]) for name in ("width", "depth", "networks", "batch")},
        "allowance": f"{config['allowance']:g}",
        "data": run.results["data"]["source"],
        "cells": str(len(rows)),
        "agreeing": all_or(sum(row["agrees"] for row in rows), len(rows)),
        "control_failing": all_or(sum(not row["control_agrees"] for row in rows), len(rows)),
        "table": [_factor_line(row) for row in rows],
        "worst": {
            "cell": f"{row_name(worst['activation'])}, {row_name(worst['initialiser'])}",
            "miss": f"{worst['miss']:.4f}",
            "allowed": f"{worst['allowed']:.4f}",
        },
        "largest_score": f"{max(scores):.1f}",
        "within_three": all_or(sum(score <= 3 for score in scores), len(scores)),
        "smallest_control": f"{_control_ratio(control):.1f}",
        "first_layer": {
            f"{row['activation']}_{row['initialiser']}": power_of_ten(row["measured"][0] / 2)
            for row in rows
        },
        "exact_zeros": _dead_share(rows),
    }


def row_name(name: str) -> str:
    """An activation or initialiser as the paper spells it."""
    spelt = {"relu": "ReLU", "lecun": "N(0, 1/n)", "glorot": "Glorot", "he": "He"}
    return spelt.get(name, name)


def _score(row: Mapping[str, Any]) -> float:
    """Standard errors between measurement and prediction."""
    return (row["factor_measured"] - row["factor_predicted"]) / row["factor_error"]


def _control_ratio(row: Mapping[str, Any]) -> float:
    """How many times the allowed miss the control misses by."""
    return abs(row["factor_measured"] - row["factor_control"]) / row["allowed"]


def _factor_line(row: Mapping[str, Any]) -> list[str]:
    """Activation, initialiser, predicted and measured factor of E||g||^2 per layer, z, control."""
    measured = exp(row["factor_measured"])
    error = measured * row["factor_error"]
    # Two digits of the standard error, and as many of the value.
    digits = max(4, min(7, 1 - floor(log10(error))))
    return [
        row_name(row["activation"]),
        row_name(row["initialiser"]),
        f"{exp(row['factor_predicted']):.{digits}f}",
        f"{measured:.{digits}f} ± {error:.{digits}f}",
        signed(_score(row), 1),
        f"{exp(row['factor_control']):.4f}",
        f"{_control_ratio(row):.0f}",
    ]


def _dead_share(rows: Sequence[Mapping[str, Any]]) -> str:
    """Share of the first layer's ReLU gradients that are exactly 0, in per cent."""
    first = [row["histograms"][0] for row in rows if row["activation"] == "relu"]
    zeros = sum(each["zeros"] for each in first)
    return f"{100 * zeros / max(1, zeros + sum(sum(each['counts']) for each in first)):.0f}"

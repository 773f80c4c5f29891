"""The numbers of the paper's section, formatted here and nowhere else."""

from collections.abc import Mapping, Sequence
from math import exp, floor, log10
from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, power_of_ten, signed
from experiments.vanishing_gradients.config import NARROWEST


def numbers(run: Record) -> dict[str, Any]:
    """The numbers of every part that ran; those of the part "depth" stand at the top."""
    makers = {
        "recurrent": _recurrent,
        "batch_norm": _batch_norm,
        "training": _training,
        "trainability": _trainability,
        "memory": _memory,
    }
    found = run.results
    return {
        **(_depth(found["depth"], run.config) if "depth" in found else {}),
        **{
            name: maker(found[name], run.config[name])
            for name, maker in makers.items()
            if name in found
        },
        "parts": [[each["name"], each["status"], each["statement"]] for each in found["parts"]],
    }


def _depth(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The table of per-layer factors and the numbers of the text."""
    rows = found["rows"]
    scores = [abs(_score(row)) for row in rows]
    worst = max(rows, key=lambda row: row["miss"] / row["allowed"])
    control = min(rows, key=lambda row: _control_ratio(row))
    return {
        **{name: str(config[name]) for name in ("width", "depth", "networks", "batch")},
        "allowance": f"{config['allowance']:g}",
        "data": found["data"]["source"],
        "cells": str(len(rows)),
        "agreeing": all_or(sum(row["agrees"] for row in rows), len(rows)),
        "control_failing": all_or(sum(not row["control_agrees"] for row in rows), len(rows)),
        "heads": [
            "activation",
            "initialiser",
            "predicted",
            "measured",
            "z",
            "control",
            "its miss",
        ],
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


def _recurrent(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Rates of plain cells and memory of LSTM cells."""
    gaussian = [row for row in found["linear"] if row["matrix"] == "gaussian"]
    orthogonal = [row for row in found["linear"] if row["matrix"] == "orthogonal"]
    rates = [row for row in found["tanh"] if row["agrees"] is not None]
    gates = found["gates"]
    return {
        **{name: str(config[name]) for name in ("units", "length", "networks", "gate_length")},
        "tolerance": f"{config['tolerance']:g}",
        "allowance": f"{config['allowance']:g}",
        "orthogonal_error": bound_of_ten(max(row["worst"] for row in orthogonal)),
        "gaussian_worst": f"{max(row['worst'] for row in gaussian):.4f}",
        "norm_over_radius": f"{exp(gaussian[0]['control'] - gaussian[0]['predicted']):.2f}",
        "bounded": all_or(sum(row["is_bounded"] for row in found["tanh"]), len(found["tanh"])),
        "rates": [
            [
                f"{row['radius']:g}",
                f"{exp(row['predicted']):.4f}",
                f"{exp(row['measured']):.4f} ± {exp(row['measured']) * row['error']:.4f}",
                f"{exp(row['allowed']) - 1:.3f}",
            ]
            for row in rates
        ],
        "gates": [
            [
                f"{row['bias']:.3g}",
                f"{exp(row['predicted']):.4f}",
                f"{exp(row['measured']):.4f} ± {exp(row['measured']) * row['error']:.4f}",
                signed(row["z"], 1),
                f"{exp(row['control']):.4f}",
                signed(row["z_of_control"], 0),
                power_of_ten(row["predicted"] * config["gate_length"]),
            ]
            for row in gates
        ],
        "largest_z": f"{max(abs(row['z']) for row in gates):.1f}",
        "ad_error": bound_of_ten(max(row["ad_error"] for row in gates)),
        "others": f"{100 * max(row['others'] for row in gates):.0f}",
    }


def _batch_norm(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Growth of gradients for every batch size."""
    rows = found["rows"]
    smallest = min(rows, key=lambda row: row["batch"])
    return {
        **{name: str(config[name]) for name in ("depth", "networks", "skip")},
        "narrowest": str(NARROWEST),
        "factors": ", ".join(str(each) for each in config["factors"]),
        "limit": f"{exp(found['curve']['limit']):.4f}",
        "agreeing": all_or(sum(abs(row["z"]) < 3 for row in rows), len(rows)),
        "largest_z": f"{max(abs(row['z']) for row in rows):.1f}",
        "smallest": str(smallest["batch"]),
        "z_of_limit": f"{abs(smallest['z_of_limit']):.0f}",
        "heads": ["B", "exact", "measured", "z", "z of the limit"],
        "table": [
            [
                str(row["batch"]),
                f"{exp(row['predicted']):.4f}",
                f"{exp(row['measured']):.4f} ± {exp(row['measured']) * row['error']:.4f}",
                signed(row["z"], 1),
                signed(row["z_of_limit"], 0),
            ]
            for row in rows
        ],
    }


def _training(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Ratios of first to last hidden layer over training."""
    return {
        **{name: str(config[name]) for name in ("width", "layers", "networks", "samples")},
        "rate": f"{config['rate']:g}",
        "moments": [str(each) for each in found["moments"]],
        "agreeing": all_or(sum(row["agrees"] for row in found["rows"]), len(found["rows"])),
        "control_failing": all_or(
            sum(not row["control_agrees"] for row in found["rows"]), len(found["rows"])
        ),
        "heads": [
            "activation",
            "initialiser",
            "theory",
            *(f"step {each}" for each in found["moments"]),
            "slope",
            "loss",
        ],
        "table": [
            [
                row["activation"],
                row_name(row["initialiser"]),
                f"{exp(row['predicted']):.2g}",
                *(f"{exp(each):.2g}" for each in row["ratio"]),
                f"{row['slope'][0]:.3f} ± {row['slope_error'][0]:.3f}",
                f"{row['loss'][-1]:.2f}",
            ]
            for row in found["rows"]
        ],
    }


def _trainability(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The saddle, and how many networks were trained."""
    saddle = found["saddle"]
    return {
        **{name: str(config[name]) for name in ("width", "steps", "seeds")},
        "networks": str(len(found["networks"])),
        "depths": " and ".join(str(each) for each in config["depths"]),
        "scales": ", ".join(f"{each:g}" for each in config["scales"]),
        "target": f"{config['target']:g}",
        "slope": f"{saddle['slope']:.3f} ± {saddle['error']:.3f}",
        "predicted": f"{saddle['predicted']:.3f}",
        "z": signed(saddle["z"], 1),
        "z_of_control": f"{abs(saddle['z_of_control']):.0f}",
    }


def _memory(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Mean errors on the adding problem, a row for each cell."""
    lengths = config["lengths"]
    errors = {
        (row["cell"], row["length"]): sum(row["errors"]) / len(row["errors"])
        for row in found["rows"]
    }
    return {
        **{name: str(config[name]) for name in ("units", "steps", "seeds")},
        "lengths": [str(each) for each in lengths],
        "measured": f"{found['measured']:.4f}",
        "z": signed(found["z"], 1),
        "z_of_control": f"{abs(found['z_of_control']):.0f}",
        "heads": ["cell", *(f"T = {length}" for length in lengths)],
        "table": [
            [name, *(f"{errors[name, length]:.4f}" for length in lengths)]
            for name in dict.fromkeys(row["cell"] for row in found["rows"])
        ],
    }


def bound_of_ten(value: float) -> str:
    """The power of ten that a rounding error stays below, as Typst mathematics: "10^(-13)"."""
    return f"10^({floor(log10(value)) + 1})" if value > 0 else "10^(-16)"


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

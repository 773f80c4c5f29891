"""The part "recurrent": what recurrent cells remember, against spectral radius and forget bias.

Linear cells: the exact rate; tanh cells: the bound at every step, and the mean-field rate; LSTM
cells: the product of the gates to rounding, and the mean log gate by |z| < 3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.bounds import at_least
from diffkit.lab.comparison import LARGEST_Z, mean
from diffkit.lab.outcome import Part, judged
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from diffkit.nets.recurrent import critical_forget_bias
from experiments.vanishing_gradients.config import Config, Recurrent
from experiments.vanishing_gradients.measure import recurrent as measure
from experiments.vanishing_gradients.theory import recurrent as theory

#: Rounding of a log after T steps, and of a product of T gates.
ROUNDING = 1e-10
KINDS = tuple((matrix, phi) for matrix in measure.MATRICES for phi in ("linear", "tanh"))


def run(config: Config, store: Store, progress: Progress) -> Part:
    """One cell for each kind of recurrent network, and one for the LSTM cells."""
    asked = config.recurrent
    check(asked)
    keys = [{"part": "recurrent", "matrix": m, "activation": a} for m, a in KINDS]
    keys.append({"part": "recurrent", "matrix": "lstm", "activation": "tanh"})

    def cell(part: str, matrix: str, activation: str) -> Mapping[str, np.ndarray]:
        if matrix == "lstm":
            return measure.gates(
                _biases(asked),
                units=asked.gate_units,
                inputs=asked.inputs,
                length=asked.gate_length,
                recurrent=asked.gate_recurrent,
                networks=asked.gate_networks,
                seed=asked.seed,
            )
        return measure.plain(
            matrix,
            activation,
            asked.radii,
            units=asked.units,
            inputs=asked.inputs,
            length=asked.length,
            networks=asked.networks,
            seed=asked.seed,
        )

    *plain, gates = store.map(cell, keys, progress)
    found = dict(zip(KINDS, plain, strict=True))
    linear = [
        linear_row(asked, matrix, index, found[matrix, "linear"])
        for matrix in measure.MATRICES
        for index in range(len(asked.radii))
    ]
    tanh = [
        tanh_row(asked, matrix, index, found[matrix, "tanh"])
        for matrix in measure.MATRICES
        for index in range(len(asked.radii))
    ]
    return judge(asked, linear, tanh, gate_rows(asked, gates))


def check(config: Recurrent) -> None:
    """Refuse a configuration that has no answer.

    Raises:
        UsageError: says which field, and what it may be.
    """
    if config.length < 4 or config.networks < 2 or config.gate_networks < 2:
        raise UsageError(
            "recurrent: length must be 4 or more, networks and gate_networks 2 or more"
        )
    if not config.radii or min(config.radii) <= 0:
        raise UsageError("recurrent: radii must be numbers > 0")
    at_least(1, config, "units", "inputs", "gate_units", part="recurrent")
    at_least(2, config, "gate_length", part="recurrent")
    at_least(0, config, "tolerance", "allowance", "gate_recurrent", part="recurrent")


def _biases(config: Recurrent) -> tuple[float, ...]:
    return (*config.gate_biases, critical_forget_bias(config.gate_length))


def linear_row(
    config: Recurrent, matrix: str, index: int, found: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Rate of a linear cell: at every step if orthogonal, from T/2 to T if Gaussian."""
    logs, norm = found["largest"][index], np.log(found["norm"][index])
    predicted = theory.log_rate(config.radii[index])
    if matrix == "orthogonal":
        misses = np.abs(logs / np.arange(1, config.length + 1) - predicted)
        allowed = ROUNDING
    else:
        misses = np.abs(_late_rate(config, logs) - predicted)
        allowed = config.tolerance
    return {
        "matrix": matrix,
        "radius": config.radii[index],
        "predicted": predicted,
        "measured": float(_late_rate(config, logs).mean()),
        "worst": float(misses.max()),
        "allowed": allowed,
        "agrees": bool(misses.max() <= allowed),
        "control": float(norm.mean()),
        "control_agrees": bool(np.all(np.abs(_late_rate(config, logs) - norm) <= allowed)),
        "profile": logs.mean(axis=0).round(6).tolist(),
    }


def _late_rate(config: Recurrent, logs: np.ndarray) -> np.ndarray:
    """Slope of the log from T/2 to T, per network."""
    half = config.length // 2
    return (logs[:, -1] - logs[:, half - 1]) / (config.length - half)


def tanh_row(
    config: Recurrent, matrix: str, index: int, found: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The bound at every step, and the mean-field rate of an orthogonal or Gaussian matrix."""
    logs, norm = found["largest"][index], np.log(found["norm"][index])
    steps = np.arange(1, config.length + 1)
    slack = float((norm[:, None] * steps - logs).min())
    # sigma_w of a matrix is the root mean square of its singular values; only that of the
    # orthogonal one is its spectral radius.
    rate = mean((found["mean"][index][:, -1] - found["mean"][index][:, 0]) / (config.length - 1))
    predicted = theory.tanh_log_rate(config.radii[index])
    allowed = LARGEST_Z * rate.error + config.allowance / config.units
    judges_rate = matrix == "orthogonal"
    control = theory.log_rate(config.radii[index])
    return {
        "matrix": matrix,
        "radius": config.radii[index],
        "bound_slack": slack,
        "is_bounded": bool(slack >= -ROUNDING * config.length),
        "measured": rate.value,
        "error": rate.error,
        "predicted": predicted if judges_rate else None,
        "allowed": allowed if judges_rate else None,
        "agrees": bool(abs(rate.value - predicted) <= allowed) if judges_rate else None,
        "control": control,
        "control_agrees": bool(abs(rate.value - control) <= allowed) if judges_rate else None,
        "profile": logs.mean(axis=0).round(6).tolist(),
    }


def gate_rows(config: Recurrent, found: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """LSTM cells: the mean log gate of each bias against its expectation and the control."""
    rows = []
    for index, bias in enumerate(_biases(config)):
        measured = mean(found["log_gate"][index])
        predicted, control = theory.log_gate(bias), theory.gate_at_bias(bias)
        rows.append(
            {
                "bias": bias,
                "measured": measured.value,
                "error": measured.error,
                "predicted": predicted,
                "control": control,
                "z": measured.z(predicted),
                "z_of_control": measured.z(control),
                "ad_error": float(found["error"][index]),
                "others": float(found["others"][index]),
                "profile": found["profile"][index].round(6).tolist(),
            }
        )
    return rows


def judge(
    config: Recurrent,
    linear: list[dict[str, Any]],
    tanh: list[dict[str, Any]],
    gates: list[dict[str, Any]],
) -> Part:
    """Join the rows: each prediction must hold, and each control fail, by the same test."""
    rates = [row for row in tanh if row["agrees"] is not None]
    misses = [
        *(not row["agrees"] for row in (*linear, *rates)),
        *(not row["is_bounded"] for row in tanh),
        *(abs(row["z"]) >= LARGEST_Z or row["ad_error"] > ROUNDING for row in gates),
    ]
    controls = [
        *(row["control_agrees"] for row in linear if row["matrix"] == "gaussian"),
        *(row["control_agrees"] for row in rates),
        *(abs(row["z_of_control"]) < LARGEST_Z for row in gates),
    ]
    worst = max(gates, key=lambda row: abs(row["z"]))
    statement = (
        f"linear cells keep the rate of their spectral radius to "
        f"{max(row['worst'] for row in linear):.4f} per step, tanh cells stay below the bound in "
        f"{sum(row['is_bounded'] for row in tanh)} of {len(tanh)} rows, LSTM gates lie within "
        f"z = {worst['z']:.1f} of the mean log gate and AD of their product to "
        f"{max(row['ad_error'] for row in gates):.0e}; the controls fail in "
        f"{sum(not each for each in controls)} of {len(controls)}"
    )
    results = {
        "linear": linear,
        "tanh": tanh,
        "gates": gates,
        "laws": [law.to_dict() for law in theory.laws()],
    }
    return Part("recurrent", judged(misses=any(misses), is_blind=any(controls)), statement, results)

"""Rates of recurrent memory: every line of a derivation, and numbers by another route."""

import numpy as np
import pytest
from scipy import integrate, special

from diffkit.theory import recurrent

LAWS = [
    recurrent.linear_rate(),
    recurrent.tanh_bound(),
    recurrent.open_gate(),
    recurrent.critical_gate(),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name.replace(" ", "_"))
def test_every_line_holds(law):
    assert law.lines
    assert all(line.holds() for line in law.lines)


def test_the_horizon_leaves_a_share_that_tends_to_1_over_e():
    for horizon in (10, 100, 10_000):
        gate = special.expit(np.log(horizon - 1))
        assert recurrent.critical_gate().at(T=horizon) == pytest.approx(gate**horizon, rel=1e-10)
    assert recurrent.critical_gate().at(T=10_000) == pytest.approx(np.exp(-1), rel=1e-4)
    assert recurrent.critical_gate().at(T=10) != pytest.approx(np.exp(-1), rel=1e-2)


@pytest.mark.parametrize(("bias", "spread"), [(0.0, 1.0), (3.0, 0.5), (-1.0, 2.0)])
def test_the_mean_log_gate_is_the_integral(bias: float, spread: float):
    density = lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    value, _ = integrate.quad(
        lambda z: special.log_expit(bias + spread * z) * density(z), -30, 30, limit=200
    )
    assert recurrent.log_gate(bias, spread) == pytest.approx(value, abs=1e-9)
    assert recurrent.log_gate(bias, spread) < recurrent.gate_at_bias(bias)  # Jensen


@pytest.mark.parametrize("bias", [-800.0, -1.0, 0.0, 4.0, 800.0])
def test_a_gate_at_its_bias_is_the_log_sigmoid(bias: float):
    assert recurrent.gate_at_bias(bias) == pytest.approx(special.log_expit(bias), rel=1e-14)

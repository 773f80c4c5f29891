"""Predicted rates of recurrent memory.  No JAX here, and nothing is fitted."""

from functools import cache
from math import log

from diffkit.theory import mean_field, recurrent
from diffkit.theory.law import Law


@cache
def laws() -> tuple[Law, ...]:
    """Rates and bounds, each derived."""
    return (
        recurrent.linear_rate(),
        recurrent.tanh_bound(),
        recurrent.open_gate(),
        recurrent.critical_gate(),
    )


def log_rate(radius: float) -> float:
    """log |dh_T/dh_t| per step of a linear cell: the log of the spectral radius."""
    return log(recurrent.linear_rate().at(rho=radius, k=1))


def tanh_log_rate(sigma_w: float) -> float:
    r"""$\tfrac12\log\chi$ of a tanh cell that reads N(0, 1): the mean-field rate per step.

    The variance q of what a unit sums up rests where q = sigma_w^2 E[tanh^2] + 1.
    """
    rest = mean_field.fixed_point("tanh", sigma_w, 1.0)
    return log(mean_field.layer_gain("tanh", rest, sigma_w)) / 2


def log_gate(bias: float) -> float:
    """Mean log of a forget gate that reads N(0, 1) on top of its bias."""
    return recurrent.log_gate(bias, 1.0)


def gate_at_bias(bias: float) -> float:
    """The control: log sigmoid(b), as if a gate were its bias alone."""
    return recurrent.gate_at_bias(bias)

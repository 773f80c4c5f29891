"""Moments of the length of a signal in ReLU layers of finite width.  No JAX here."""

from diffkit.theory import finite_width
from diffkit.theory.law import Law


def log_moments(width: int, depth: int) -> tuple[float, float]:
    """Exact mean and variance of log |J u|^2/|u|^2 after L layers, none of them dead."""
    mean, variance = finite_width.log_moments(width)
    return depth * mean, depth * variance


def second_moment(width: int, depth: int) -> float:
    """Exact E (|J u|^2/|u|^2)^2."""
    return finite_width.second_moment().at(n=width, L=depth)


def first_order(width: int, depth: int) -> float:
    """The mean of the log to first order in 1/n: the control, off by O(1/n^2)."""
    return finite_width.drift_of_the_log().at(n=width, L=depth)


def laws() -> tuple[Law, ...]:
    """The closed forms with their derivations."""
    return finite_width.second_moment(), finite_width.drift_of_the_log()

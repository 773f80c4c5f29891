"""Rates, stability, noise floors and turning of linear methods on a quadratic."""

from collections.abc import Mapping
from math import acos, pi, sqrt

import numpy as np

from diffkit.theory import quadratic
from diffkit.theory.law import Law

#: Method -> the laws of its step, momentum and rate; descent has no momentum.
METHODS: Mapping[str, tuple[Law, ...]] = {
    "descent": quadratic.best_descent(),
    "heavy ball": quadratic.best_heavy_ball(),
    "Nesterov": quadratic.best_nesterov(),
    "tuned Nesterov": quadratic.tuned_nesterov(),
}
#: Whether the slowest mode has a double root, so that the error falls as t rho^t.
DEFECTIVE: Mapping[str, bool] = {
    "descent": False,
    "heavy ball": True,
    "Nesterov": True,
    "tuned Nesterov": True,
}


def setting(method: str, ratio: float) -> tuple[float, float, float]:
    """Step, momentum and rate of a method for curvatures from 1 to `ratio`."""
    laws = METHODS[method]
    found = [_at(law, ratio) for law in laws]
    return (found[0], 0.0, found[1]) if len(found) == 2 else (found[0], found[1], found[2])


def _at(law: Law, ratio: float) -> float:
    ends = {"mu": 1.0, "L": float(ratio)}
    used = {symbol.name for symbol in law.formula.free_symbols}
    return law.at(**{name: value for name, value in ends.items() if name in used})


def wrong_rate(method: str, ratio: float) -> float:
    """The rate of another method or step size: the negative control."""
    of_other = {
        "descent": lambda k: 1 - 1 / k,  # descent with step 1/L
        "heavy ball": lambda k: 1 - 1 / sqrt(k),
        "Nesterov": lambda k: (sqrt(k) - 1) / (sqrt(k) + 1),
        "tuned Nesterov": lambda k: 1 - 1 / sqrt(k),
    }
    return float(of_other[method](ratio))


def contraction(step: np.ndarray, momentum: np.ndarray) -> np.ndarray:
    """Largest modulus of the heavy ball's roots at curvature 1, for arrays of a h and b."""
    middle = 1 + momentum - step
    gap = np.sqrt((middle**2 - 4 * momentum).astype(complex))
    return np.maximum(np.abs(middle + gap), np.abs(middle - gap)) / 2


def regions() -> Mapping[str, Law]:
    """Edges of ringing and of stability, as laws in b."""
    least, greatest = quadratic.ringing()
    return {"ringing from": least, "ringing to": greatest, "stable to": quadratic.stability()}


def noise_floor(step: float, momentum: float) -> float:
    """Stationary variance at curvature 1 under gradient noise of variance 1."""
    return quadratic.noise_floor().at(a=step, h=1.0, b=momentum, s2=1.0)


def wrong_floor(step: float, momentum: float) -> float:
    """The floor of plain descent in the limit of small steps with the step a/(1 - b): a control."""
    return step / (1 - momentum) / 2


def turning_share(step: float, momentum: float) -> float:
    """Probability that two successive updates have opposite signs, under Gaussian noise."""
    return acos(quadratic.turning().at(a=step, h=1.0, b=momentum)) / pi


def laws() -> tuple[Law, ...]:
    """Every law of these parts, for the record."""
    rates = [law for found in METHODS.values() for law in found]
    return (*rates, *regions().values(), quadratic.noise_floor(), quadratic.turning())

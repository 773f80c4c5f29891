"""Factors of gradients and the edge of chaos.  No JAX here, and nothing is fitted."""

from functools import cache
from math import log

import numpy as np

from diffkit.theory import criticality, mean_field
from diffkit.theory.criticality import CriticalInitialisation, critical_initialisation
from diffkit.theory.law import Law
from diffkit.theory.mean_field import Activation

#: Names that the networks use -> names of the vocabulary.
_NAMES = {"swish": "silu"}


def _named(phi: Activation) -> Activation:
    return _NAMES.get(phi, phi) if isinstance(phi, str) else phi


def rest(phi: Activation, sigma_w: float, sigma_b: float) -> float:
    """q*, the variance at which the layers come to rest."""
    return mean_field.fixed_point(_named(phi), sigma_w, sigma_b)


def factor(phi: Activation, sigma_w: float, variance: float) -> float:
    r"""$\chi_1 = \sigma_w^2\,\mathrm{E}[\phi'^2]$ at the variance q*."""
    return mean_field.layer_gain(_named(phi), variance, sigma_w)


def mean_slope_factor(phi: Activation, sigma_w: float, variance: float) -> float:
    r"""$\sigma_w^2\,(\mathrm{E}\phi')^2$, the mean slope for the mean square: the control."""
    return sigma_w**2 * mean_field.mean_slope(_named(phi), variance) ** 2


@cache
def design(text: str) -> CriticalInitialisation:
    """The critical initialisation of an activation given as a formula."""
    return critical_initialisation(_named(text))


def edge(phi: Activation, bias: float) -> float:
    """sigma_w^2 at the edge of chaos for sigma_b^2 = bias."""
    return mean_field.edge_of_chaos(_named(phi), float(np.sqrt(bias)))[0] ** 2


def small_signal_edge(phi: Activation) -> float:
    r"""$1/\phi'(0)^2$: the edge if every signal were small, whatever the biases; the control."""
    slope = float(mean_field.values_of(_named(phi), 1)(np.array(0.0)))
    return 1 / slope**2


def laws() -> tuple[Law, ...]:
    """The edge of chaos of erf, symbolic in q*."""
    return criticality.critical_curve("erf")


def log10_gradient(phi: Activation, layers: int, sigma_w: float, sigma_b: float = 0.0) -> float:
    """log10 |g_1|/|g_L| of a network whose first layer has variance 1."""
    profile = mean_field.log_gradient_profile(_named(phi), 1.0, layers, sigma_w, sigma_b)
    return profile[0] / (2 * log(10))

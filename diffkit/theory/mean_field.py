r"""Mean-field theory of signal and gradient propagation in wide networks.

A wide layer h' = W phi(h) + b with W_ij ~ N(0, sigma_w^2/n) maps a pre-activation variance q
to sigma_w^2 V(q) + sigma_b^2 and multiplies squared gradient norms by chi(q).  Both are
Gaussian expectations of the activation, closed for some and a quadrature with an error bound
for the rest.  No JAX here: an experiment may compare these curves with AD only because they
share no code.  Notation: Poole et al. (2016), arXiv:1606.05340; Schoenholz et al. (2017),
arXiv:1611.01232.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf, log, sqrt
from typing import Any

import numpy as np
import sympy as sp

from diffkit.core.errors import NoClosedForm, UnknownNameError
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS, definition

x = symbol("x")
q = sp.Symbol("q", positive=True)
DIGITS = 20


def activation(name: str) -> sp.Expr:
    """The activation `name` as an expression in `x`.

    Raises:
        UnknownNameError: no such function in the vocabulary; the message lists near ones.
    """
    if name == "linear":
        return x
    native = {"tanh": sp.tanh, "erf": sp.erf, "sin": sp.sin, "abs": sp.Abs}
    if name in native:
        return native[name](x)
    if name not in FUNCTIONS:
        known = ", ".join(sorted({"linear", *native, *FUNCTIONS}))
        raise UnknownNameError(f"no activation named {name!r}; known: {known}")
    return FUNCTIONS[name](x)


@dataclass(frozen=True)
class ClosedMoments:
    """E[phi^2] and E[phi'^2] for z ~ N(0, q), as expressions in `q`."""

    square: sp.Expr
    derivative_square: sp.Expr


_ARC = sp.asin(q / (1 + q))
#: Activations whose second moments are elementary; every row is checked against quadrature.
CLOSED: Mapping[str, ClosedMoments] = {
    "linear": ClosedMoments(q, sp.Integer(1)),
    "relu": ClosedMoments(q / 2, sp.Rational(1, 2)),
    "erf": ClosedMoments(
        2 * sp.asin(2 * q / (1 + 2 * q)) / sp.pi, 4 / (sp.pi * sp.sqrt(1 + 4 * q))
    ),
    "sin": ClosedMoments((1 - sp.exp(-2 * q)) / 2, (1 + sp.exp(-2 * q)) / 2),
    "gelu": ClosedMoments(
        q / 4 + (q * _ARC + 2 * q**2 / ((1 + q) * sp.sqrt(1 + 2 * q))) / (2 * sp.pi),
        sp.Rational(1, 4)
        + (_ARC + q * (3 + 5 * q) / ((1 + q) * (1 + 2 * q) ** sp.Rational(3, 2))) / (2 * sp.pi),
    ),
}


def closed_moments(name: str) -> ClosedMoments:
    r"""Return the closed forms of E[phi(z)^2] and E[phi'(z)^2], z ~ N(0, q).

    Raises:
        NoClosedForm: none is known (tanh, sigmoid, swish); use `moments`, a quadrature.

    >>> closed_moments("erf").derivative_square
    4/(pi*sqrt(4*q + 1))
    """
    activation(name)
    if name not in CLOSED:
        raise NoClosedForm(
            f"E[{name}(z)^2] for z ~ N(0, q) has no closed form in the vocabulary; "
            "use diffkit.theory.mean_field.moments, a quadrature with an error bound"
        )
    return CLOSED[name]


@dataclass(frozen=True)
class Moments:
    """E[phi^2], E[phi'^2] at one q, and how they were obtained.

    Args:
        square: E[phi(z)^2].
        derivative_square: E[phi'(z)^2].
        error: Bound on the absolute error of either; 0 for a closed form.
        method: "closed form" or "quadrature".
    """

    square: float
    derivative_square: float
    error: float
    method: str


@cache
def moments(name: str, variance: float) -> Moments:
    r"""Return E[phi(z)^2] and E[phi'(z)^2] for z ~ N(0, q) as numbers.

    Args:
        name: Activation of the vocabulary.
        variance: q, 0 < q < 1e4, dimensionless.

    Raises:
        ValueError: q is outside that range.

    >>> moments("relu", 3.0).square
    1.5
    """
    if not 0 < variance < 1e4:
        raise ValueError(f"the variance q must lie between 0 and 1e4, not {variance}")
    if name in CLOSED:
        row = CLOSED[name]
        at = {q: sp.Float(variance, DIGITS)}
        square, slope = (
            float(e.subs(at).evalf(DIGITS)) for e in (row.square, row.derivative_square)
        )
        return Moments(square, slope, 0.0, "closed form")
    return quadrature(name, variance)


def quadrature(name: str, variance: float) -> Moments:
    """The same moments by quadrature, for activations with and without a closed form."""
    square, first = _mean_square(_function(name, 0), variance)
    slope, second = _mean_square(_function(name, 1), variance)
    return Moments(square, slope, max(first, second), "quadrature")


def layer_gain(name: str, variance: float, sigma_w: float) -> float:
    r"""Return chi(q), the factor by which one wide layer scales E||gradient||^2.

    $$\chi(q) = \sigma_w^2\,\mathrm{E}[\phi'(\sqrt q\,z)^2], \quad z \sim N(0, 1)$$

    Source: Schoenholz et al. (2017), arXiv:1611.01232, eq. 5.

    >>> round(layer_gain("relu", 1.0, 2**0.5), 12)
    1.0
    """
    return sigma_w * sigma_w * moments(name, variance).derivative_square


def variances(
    name: str, first: float, depth: int, sigma_w: float, sigma_b: float = 0.0
) -> list[float]:
    r"""Return the pre-activation variances q_1, ..., q_L.

    $$q_{l+1} = \sigma_w^2\,\mathrm{E}[\phi(\sqrt{q_l}\,z)^2] + \sigma_b^2$$

    Args:
        name: Activation.
        first: q_1 > 0.
        depth: L >= 1.
        sigma_w: Weight standard deviation times sqrt(fan_in).
        sigma_b: Bias standard deviation.
    """
    found = [first]
    for _ in range(depth - 1):
        found.append(sigma_w**2 * moments(name, found[-1]).square + sigma_b**2)
    return found


def fixed_point(name: str, sigma_w: float, sigma_b: float = 0.0, first: float = 1.0) -> float:
    r"""Return q*, where the length map started at q_1 comes to rest.

    $$q^* = \sigma_w^2\,\mathrm{E}[\phi(\sqrt{q^*}\,z)^2] + \sigma_b^2$$

    Args:
        name: Activation.
        sigma_w: Weight standard deviation times sqrt(fan_in).
        sigma_b: Bias standard deviation.
        first: q_1 > 0.

    Raises:
        ValueError: the variance does not settle within 2000 layers (it dies out or explodes like
            a power, as tanh does at sigma_w = 1 without a bias).
    """
    value = first
    for _ in range(2000):
        following = sigma_w**2 * moments(name, value).square + sigma_b**2
        if abs(following - value) <= 4e-16 * following:
            return following
        value = following
    raise ValueError(f"the variance of {name} with sigma_w = {sigma_w} does not settle")


def edge_of_chaos(name: str, sigma_b: float) -> tuple[float, float]:
    r"""Return (sigma_w, q*) for which gradients keep their size: chi(q*) = 1.

    Each q is the fixed point of one critical pair, so that the pair is found by bisection in q:
    $$\sigma_w^2 = 1/\mathrm{E}[\phi'^2], \qquad
      \sigma_b^2 = q - \mathrm{E}[\phi^2]/\mathrm{E}[\phi'^2].$$

    Args:
        name: Activation with a bounded slope that falls with |x| (tanh, erf).
        sigma_b: Bias standard deviation, > 0.

    Raises:
        ValueError: no critical point with 1e-8 < q < 1e3 (ReLU has none with a bias).

    Source: Schoenholz et al. (2017), arXiv:1611.01232, fig. 1.
    """

    def excess(variance: float) -> float:
        found = moments(name, variance)
        return variance - found.square / found.derivative_square - sigma_b**2

    low, high = 1e-8, 1e3
    if excess(low) > 0 or excess(high) < 0:
        raise ValueError(f"{name} with sigma_b = {sigma_b} has no edge of chaos")
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return 1 / sqrt(moments(name, high).derivative_square), high


def log_gradient_profile(
    name: str, first: float, depth: int, sigma_w: float, sigma_b: float = 0.0
) -> list[float]:
    r"""Return log E||dL/dh_l||^2 / E||dL/dh_L||^2 for l = 1, ..., L.

    $$\log \frac{\mathrm{E}\|g_l\|^2}{\mathrm{E}\|g_L\|^2} = \sum_{k=l}^{L-1} \log \chi(q_k)$$
    """
    profile = [0.0]
    for variance in reversed(variances(name, first, depth, sigma_w, sigma_b)[:-1]):
        profile.append(profile[-1] + log(layer_gain(name, variance, sigma_w)))
    return profile[::-1]


@cache
def steepest_slope(name: str) -> float:
    r"""Return sup |phi'| over [-8, 8] to 1e-6; the steepest place of every row lies there.

    >>> steepest_slope("sigmoid")
    0.25
    """
    slopes = np.asarray(_function(name, 1)(np.linspace(-8.0, 8.0, 16001)), dtype=np.float64)
    return float(np.max(np.abs(slopes)))


@cache
def _function(name: str, order: int) -> Callable[..., Any]:
    """phi (order 0) or phi' (order 1) on arrays."""
    phi = activation(name)
    return sp.lambdify(x, definition(derivative(phi, x) if order else phi), ["scipy", "numpy"])


def _mean_square(phi: Callable[..., Any], variance: float) -> tuple[float, float]:
    """E[phi(z)^2], z ~ N(0, q), and an error bound: ten times the change to fewer nodes."""
    fine, coarse = (_panels(phi, sqrt(variance), nodes) for nodes in (24, 16))
    rounding = 64 * float(np.finfo(np.float64).eps) * fine
    return fine, 10 * abs(fine - coarse) + rounding


def _panels(phi: Callable[..., Any], scale: float, nodes: int) -> float:
    """Gauss-Legendre on unit panels of z, whose joints include 0, where activations have kinks.

    Beyond 12 standard deviations the Gaussian weighs less than 1e-32.
    """
    x_k, w_k = np.polynomial.legendre.leggauss(nodes)
    z = (np.arange(-12, 12)[:, None] + (x_k + 1) / 2).ravel()
    weights = np.tile(w_k / 2, 24) * np.exp(-z * z / 2) / sqrt(2 * np.pi)
    with np.errstate(over="ignore"):  # a tail such as 1/(1 + exp(800)) is 0
        values = np.asarray(phi(scale * z), dtype=np.float64) ** 2
    total = float(weights @ np.broadcast_to(values, z.shape))
    return total if np.isfinite(total) else inf

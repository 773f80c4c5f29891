r"""How alike two inputs stay: the correlation map of a wide layer.

Two pre-activations of variance q and correlation c become ones of correlation
$$c' = \frac{\sigma_w^2\,\mathrm{E}[\phi(u)\phi(v)] + \sigma_b^2}{q'},\quad
  (u, v) \sim N(0, q\,[[1, c], [c, 1]]).$$
By Price's theorem $\partial_c \mathrm{E}[\phi(u)\phi(v)] = q\,\mathrm{E}[\phi'(u)\phi'(v)]$, which
derives the closed forms of ReLU and erf from an angle.  Sources: Price (1958); Williams (1997);
Cho and Saul (2009); Poole et al. (2016), arXiv:1606.05340.  No JAX here.
"""

from math import sqrt
from typing import Any

import numpy as np
import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.numeric.gaussian_panels import unit_panels
from diffkit.theory.gaussian_integrals import q
from diffkit.theory.law import Law, Line
from diffkit.theory.mean_field import Activation, moments, values_of

c = sp.Symbol("c", real=True)
_l = sp.Symbol("l", positive=True)
_NAME = sp.Symbol("E")
PAIR = "(u, v) ~ N(0, q [[1, c], [c, 1]])"
#: 1 - c' = 1 - c - RATE (1 - c)^(3/2) + ... for ReLU near c = 1.
FINE_AND_COARSE = 12, 8  # nodes of a panel
LARGEST_ERROR = 1e-2  # share of E[phi^2] that the quadrature in the plane may be uncertain by
_RATE = 2 * sp.sqrt(2) / (3 * sp.pi)


def relu_overlap() -> Law:
    """E[relu(u) relu(v)]: the arc-cosine kernel of degree one.

    >>> relu_overlap().at(q=1, c=1)
    0.5
    """
    wedge = sp.Rational(1, 4) + sp.asin(c) / (2 * sp.pi)
    value = q * (sp.sqrt(1 - c**2) + c * (sp.pi - sp.acos(c))) / (2 * sp.pi)
    lines = (
        Line(
            "Price: slope in c is q times the share of the wedge u, v > 0",
            sp.Derivative(value, c),
            q * _as_acos(wedge),
        ),
        Line("u = -v at c = -1", sp.Subs(value, c, -1), sp.Integer(0)),
    )
    return Law(
        "E[relu(u) relu(v)]", _NAME, value, "-1 <= c <= 1", lines, PAIR, "Cho and Saul (2009)"
    )


def erf_overlap() -> Law:
    """E[erf(u) erf(v)].

    >>> round(erf_overlap().at(q=0.5, c=1), 12)  # E[erf(u)^2] = 2/pi asin(1/2)
    0.333333333333
    """
    value = 2 * sp.asin(2 * q * c / (1 + 2 * q)) / sp.pi
    slopes = 4 / (sp.pi * sp.sqrt((1 + 2 * q) ** 2 - 4 * q**2 * c**2))
    lines = (
        Line(
            "E[erf'(u) erf'(v)]: determinant of 1 + 2 q [[1, c], [c, 1]]",
            (1 + 2 * q) ** 2 - 4 * q**2 * c**2,
            sp.Matrix([[1 + 2 * q, 2 * q * c], [2 * q * c, 1 + 2 * q]]).det(),
        ),
        Line("Price: slope in c is q E[erf'(u) erf'(v)]", sp.Derivative(value, c), q * slopes),
        Line("independent and odd at c = 0", sp.Subs(value, c, 0), sp.Integer(0)),
    )
    return Law("E[erf(u) erf(v)]", _NAME, value, "-1 <= c <= 1", lines, PAIR, "Williams (1997)")


def relu_correlation() -> Law:
    """The correlation map of ReLU layers without biases; the variance does not matter.

    >>> relu_correlation().at(c=1)
    1.0
    """
    law = relu_overlap()
    value = (sp.sqrt(1 - c**2) + c * (sp.pi - sp.acos(c))) / sp.pi
    line = Line(
        "E[relu(u) relu(v)] over E[relu(u)^2]", law.formula / (q / 2), value, _NAME / (q / 2)
    )
    return Law(
        "correlation after a ReLU layer",
        sp.Symbol("c'"),
        value,
        "-1 <= c <= 1",
        (*law.lines, line),
        PAIR,
        law.source,
    )


def relu_correlation_at_depth() -> Law:
    r"""How ReLU layers forget: $1 - c_l \to 9\pi^2/(2 l^2)$, a power and no exponential.

    >>> round(relu_correlation_at_depth().at(l=100), 6)
    0.004441
    """
    gap = 9 * sp.pi**2 / (2 * _l**2)
    e = sp.Symbol("e", positive=True)
    step = relu_correlation().formula.subs(c, 1 - e) - (1 - e)
    lines = (
        Line("growth of c near c = 1 - e", sp.Limit(step / e ** sp.Rational(3, 2), e, 0), _RATE),
        Line(
            "the gap shrinks by that much a layer",
            sp.Derivative(gap, _l),
            -_RATE * gap ** sp.Rational(3, 2),
        ),
    )
    return Law(
        "1 - c_l of ReLU layers, l to infinity",
        sp.Symbol("1 - c_l"),
        gap,
        "l to infinity",
        lines,
        PAIR,
        "Schoenholz et al. (2017), arXiv:1611.01232",
    )


def overlap(phi: Activation, variance: float, correlation: float) -> tuple[float, float]:
    """E[phi(u) phi(v)] by quadrature in the plane, and a bound on its error.

    Args:
        phi: An activation, see `mean_field.activation`.
        variance: q > 0 of both.
        correlation: c, -1 to 1.

    Raises:
        UsageError: a number outside of its range.

    >>> value, error = overlap("relu", 1.0, 0.5)
    >>> abs(value - relu_overlap().at(q=1, c=0.5)) <= error < 1e-3
    True
    """
    if not (variance > 0 and -1 <= correlation <= 1):
        raise UsageError(f"q = {variance}, c = {correlation}; give q > 0 and -1 <= c <= 1")
    fine, coarse = (_in_the_plane(phi, variance, correlation, nodes) for nodes in FINE_AND_COARSE)
    # Both grids may be too coarse for a steep phi: the one of E[phi^2], which is known, tells.
    z, weights = unit_panels(FINE_AND_COARSE[0])
    seen = float(weights @ np.asarray(values_of(phi, 0)(sqrt(variance) * z), np.float64) ** 2)
    blur = abs(seen - moments(phi, variance).square)
    rounding = 256 * float(np.finfo(np.float64).eps) * abs(fine)
    return fine, 10 * (abs(fine - coarse) + blur) + rounding


def _in_the_plane(phi: Activation, variance: float, correlation: float, nodes: int) -> float:
    z, weights = unit_panels(nodes)
    function = values_of(phi, 0)
    first = np.asarray(function(sqrt(variance) * z), np.float64)
    rest = sqrt(max(0.0, 1 - correlation**2))
    second: Any = function(sqrt(variance) * (correlation * z[:, None] + rest * z[None, :]))
    return float((weights * first) @ np.asarray(second, np.float64) @ weights)


def correlation_map(
    phi: Activation, variance: float, correlation: float, sigma_w: float, sigma_b: float = 0.0
) -> float:
    """The correlation after a layer, for two inputs of the same variance.

    Raises:
        UsageError: a number outside of its range; phi too steep for a quadrature in the plane.

    >>> round(correlation_map("tanh", 1.0, 1.0, 1.5, 0.3), 9)
    1.0
    """
    both, error = overlap(phi, variance, correlation)
    alone, _ = overlap(phi, variance, 1.0)
    if not error <= LARGEST_ERROR * alone:
        raise UsageError(
            f"E[phi(u) phi(v)] of {phi} at q = {variance:g} is known to {error:.1g} only: phi is "
            "too steep for the quadrature in the plane"
        )
    return (sigma_w**2 * both + sigma_b**2) / (sigma_w**2 * alone + sigma_b**2)


def _as_acos(angle: sp.Expr) -> sp.Expr:
    return angle.subs(sp.asin(c), sp.pi / 2 - sp.acos(c))

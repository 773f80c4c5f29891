r"""Initialisations that keep gradients their size at any depth, for any activation.

A wide network is critical where $\chi_1 = \sigma_w^2\,\mathrm{E}[\phi'^2] = 1$ at the variance
$q^*$ it settles at.  Both conditions together give the weights and biases of each $q$,
$$\sigma_w^2 = 1/\mathrm{E}[\phi'^2], \qquad
  \sigma_b^2 = q - \mathrm{E}[\phi^2]/\mathrm{E}[\phi'^2],$$
so that the edge of chaos is a curve in q: fully symbolic wherever the two moments are.  Sources:
Poole et al. (2016), arXiv:1606.05340; Schoenholz et al. (2017), arXiv:1611.01232; Hayou et al.
(2019), arXiv:1902.06853.  No JAX here.
"""

from dataclasses import dataclass
from math import inf, isnan, log, sqrt
from typing import Any

import sympy as sp

from diffkit.core.errors import DomainError, NoClosedForm, UsageError
from diffkit.theory.gaussian_integrals import q
from diffkit.theory.law import Law, Line
from diffkit.theory.mean_field import (
    Activation,
    activation,
    closed_moments,
    edge_of_chaos,
    moments,
)

SOURCE = "Schoenholz et al. (2017), arXiv:1611.01232"
ASSUMES = "W_ij ~ N(0, sigma_w^2/fan_in), b_i ~ N(0, sigma_b^2), wide layers"
_CHI = sp.Symbol("sigma_w^2") * sp.Function("E")(sp.Symbol("phi'") ** 2)
_NEXT = sp.Symbol("sigma_w^2") * sp.Function("E")(sp.Symbol("phi") ** 2) + sp.Symbol("sigma_b^2")
#: A slope of the length map within this of 1 counts as 1: ReLU keeps every variance.
NEUTRAL = 1e-9
_GRID = [10 ** (k / 8) for k in range(-32, 25)]  # q from 1e-4 to 1e3


@dataclass(frozen=True)
class CriticalInitialisation:
    """Weights and biases under which neither signals nor gradients grow or vanish.

    Args:
        activation: phi, an expression in x.
        sigma_w: Weight standard deviation times sqrt(fan_in).
        sigma_b: Bias standard deviation.
        variance: q*, pre-activation variance that the layers keep.
        slope: dq'/dq of the length map at q*; below 1 a wrong variance decays to q*, at 1 it stays
            (ReLU), above 1 it grows.
        error: Bound on the error of the two moments; 0 for closed forms.
        method: "closed form" or "quadrature".
    """

    activation: sp.Expr
    sigma_w: float
    sigma_b: float
    variance: float
    slope: float
    error: float
    method: str

    @property
    def is_stable(self) -> bool:
        """Whether a variance that differs from q* does not run away from it."""
        return self.slope <= 1 + NEUTRAL

    @property
    def length_depth(self) -> float:
        """Layers in which a wrong variance changes by a factor e; infinite at slope 1."""
        return length_depth_scale(self.slope)

    def __str__(self) -> str:
        kept = (
            f"stable, slope {self.slope:.4g}"
            if self.slope < 1 - NEUTRAL
            else "kept"
            if self.is_stable
            else f"not stable, slope {self.slope:.4g}"
        )
        return (
            f"phi(x) = {self.activation}: sigma_w = {self.sigma_w:.8g}, "
            f"sigma_b = {self.sigma_b:.8g}  (variance {self.variance:.6g}, {kept}; {self.method})"
        )


def critical_initialisation(
    phi: Any, *, variance: float | None = None, sigma_b: float | None = None
) -> CriticalInitialisation:
    r"""Design $\sigma_w$ and $\sigma_b$ for an activation, your own included.

    Draw $W_{ij} \sim N(0, \sigma_w^2/\text{fan\_in})$ and $b_i \sim N(0, \sigma_b^2)$.

    Args:
        phi: A name, formula text in one symbol, a SymPy expression, or `dk.lift(f, 0.0)` of a JAX
            function f.
        variance: q*, the pre-activation variance to keep.  Without it: 1 where that is possible and
            stable, else the nearest that is among the powers of 10^(1/8), 1e-4 to 1e3, else the
            nearest that is possible.
        sigma_b: Bias standard deviation > 0 to design for, instead of a variance.

    Raises:
        UsageError: no critical initialisation keeps that variance or has that bias; the message
            says what is possible.
        DomainError: phi is no real number somewhere, or a moment is infinite (1/x, tan).

    >>> print(critical_initialisation("relu"))
    phi(x) = relu(x): sigma_w = 1.4142136, sigma_b = 0  (variance 1, kept; closed form)
    >>> critical_initialisation("tanh").is_stable
    True
    >>> round(critical_initialisation("tanh", sigma_b=0.05**0.5).sigma_w ** 2, 5)
    1.76095
    """
    expression = activation(phi)
    if variance is not None and sigma_b is not None:
        raise UsageError("give a variance or sigma_b: each determines the other")
    if sigma_b is not None:
        variance = edge_of_chaos(expression, sigma_b)[1]
    if variance is not None:
        found = _at(expression, variance)
        if found is None:
            raise UsageError(_impossible(expression, variance))
        return found
    found = [(abs(log(place)), each) for place in _GRID if (each := _tried(expression, place))]
    if not found:
        raise UsageError(_impossible(expression, 1.0))
    return min(found, key=lambda row: (not row[1].is_stable, row[0]))[1]


def _tried(phi: sp.Expr, variance: float) -> CriticalInitialisation | None:
    """The critical pair of one variance; None where there is none or the moments are infinite."""
    try:
        return _at(phi, variance)
    except DomainError:
        return None


def _at(phi: Activation, variance: float) -> CriticalInitialisation | None:
    """The critical pair of one variance; None where sigma_b^2 would be negative."""
    found = moments(phi, variance)
    if not found.derivative_square > 0:
        return None
    weight = 1 / found.derivative_square
    bias = variance - weight * found.square
    # A homogeneous activation has bias 0 exactly, which rounding makes +-1e-16.
    if bias < -1e-12 * variance - 4 * weight * found.error:
        return None
    bias = bias if bias > 1e-12 * variance else 0.0
    return CriticalInitialisation(
        activation(phi),
        sqrt(weight),
        sqrt(bias),
        variance,
        length_slope(phi, variance, sqrt(weight)),
        found.error,
        found.method,
    )


def _impossible(phi: sp.Expr, variance: float) -> str:
    """Why a variance cannot be kept, and the nearest that can."""
    _at(phi, variance)  # infinite moments are the reason that is told
    places = [place for place in _GRID if _tried(phi, place)]
    if not places:
        return f"{phi} has no critical initialisation at a variance from 1e-4 to 1e3"
    good = min(places, key=lambda place: abs(log(place / variance)))
    bad = variance
    while abs(good - bad) > 1e-3 * good:
        middle = (good + bad) / 2
        good, bad = (middle, bad) if _tried(phi, middle) else (good, middle)
    return (
        f"no critical initialisation of {phi} keeps the variance {variance:g}: sigma_b^2 would "
        f"be negative; the nearest that is possible is {good:.5g}"
    )


def length_slope(phi: Activation, variance: float, sigma_w: float) -> float:
    r"""Slope of the length map, $\sigma_w^2\,\mathrm{d}\,\mathrm{E}[\phi^2]/\mathrm{d}q$.

    Where phi has a second derivative it is $\chi_1 + \sigma_w^2\,\mathrm{E}[\phi''\phi]$.

    >>> round(length_slope("relu", 3.0, 2**0.5), 12)
    1.0
    """
    return sigma_w**2 * moments(phi, variance).square_slope


def length_depth_scale(slope: float) -> float:
    r"""$\xi_q = 1/|\log q'|$: layers in which a wrong variance changes by a factor e."""
    if isnan(slope):
        raise UsageError("the slope of the length map is not a number")
    if abs(slope - 1) <= NEUTRAL:
        return inf
    return 1 / abs(log(abs(slope))) if slope else 0.0  # below 0 it comes back in turns


def gradient_depth_scale(chi: float) -> float:
    r"""$\xi = 1/|\log \chi_1|$: layers in which a squared gradient norm changes by a factor e.

    It is also the depth at which two close inputs become alike (chi < 1) or part (chi > 1).

    >>> gradient_depth_scale(1.0)
    inf
    """
    if not chi > 0:
        raise UsageError(f"chi = {chi}; a factor of gradients is positive")
    return inf if abs(chi - 1) <= NEUTRAL else 1 / abs(log(chi))


def critical_curve(phi: Activation) -> tuple[Law, Law]:
    """sigma_w^2 and sigma_b^2 on the edge of chaos as formulas in q*.

    Raises:
        NoClosedForm: a moment has none; `critical_initialisation` is numeric and serves every phi.

    >>> critical_curve("erf")[0].formula
    pi*sqrt(4*q + 1)/4
    """
    closed = closed_moments(phi)
    square, slope = closed.square.formula, closed.derivative_square.formula
    if slope == 0:
        raise NoClosedForm(f"{activation(phi)} has the slope 0: it has no edge of chaos")
    weight = 1 / slope
    bias = q - square / slope
    chi = Line("gradients keep their size", weight * slope, sp.Integer(1), _CHI)
    rest = Line("the variance is kept", weight * square + bias, q, _NEXT)
    lines = tuple(dict.fromkeys((*closed.square.lines, *closed.derivative_square.lines)))
    where = f"phi(x) = {activation(phi)}, q = q*"
    names = (("sigma_w^2", weight, chi), ("sigma_b^2", bias, rest))
    first, second = (
        Law(
            f"{name} at the edge of chaos",
            sp.Symbol(name),
            form,
            where,
            (*lines, line),
            ASSUMES,
            SOURCE,
        )
        for name, form, line in names
    )
    return first, second

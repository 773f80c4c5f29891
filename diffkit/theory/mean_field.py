r"""Mean-field theory of signal and gradient propagation in wide networks.

A wide layer h' = W phi(h) + b with W_ij ~ N(0, sigma_w^2/n) maps a pre-activation variance q
to sigma_w^2 V(q) + sigma_b^2 and multiplies squared gradient norms by chi(q).  Both are
Gaussian expectations of the activation, closed for some and a quadrature with an error bound
for the rest.  No JAX here: an experiment may compare these curves with AD only because they
share no code.  Notation: Poole et al. (2016), arXiv:1606.05340; Schoenholz et al. (2017),
arXiv:1611.01232.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import log, sqrt
from typing import Any

import numpy as np
import sympy as sp

from diffkit.core.errors import DomainError, NoClosedForm, UsageError
from diffkit.numeric.gaussian_panels import gaussian_means
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.parse import parse
from diffkit.symbolic.stable import stable
from diffkit.symbolic.vocabulary import ScalarFunction, definition
from diffkit.theory.gaussian_integrals import breakpoints, expectation, q, x
from diffkit.theory.law import Law

#: A name of the vocabulary, formula text in one symbol, or a SymPy expression in one symbol.
Activation = str | sp.Expr
DIGITS = 20


def activation(phi: Any) -> sp.Expr:
    """An activation as an expression in `x`.

    Args:
        phi: A name ("tanh", "gelu"), text ("x*tanh(softplus(x))"), an expression of one symbol, or
            a formula with `sympy()`, such as `dk.lift(f, 0.0)` is for a function f in JAX.

    Raises:
        UsageError: a word that is no function, text that cannot be read, more than one symbol.

    >>> activation("t*sigmoid(t)")
    x*sigmoid(x)
    """
    if isinstance(phi, (str, sp.Expr)):
        return _expression(phi)
    if callable(as_sympy := getattr(phi, "sympy", None)):
        return _expression(as_sympy())
    if callable(phi):
        raise UsageError(
            f"{getattr(phi, '__name__', phi)} is a program; lift it first: dk.lift(f, 0.0)"
        )
    raise UsageError(f"{phi!r} is no activation; give a name, a formula or a SymPy expression")


@cache
def _expression(phi: Activation) -> sp.Expr:
    if isinstance(phi, str) and phi.isidentifier() and len(phi) > 1:
        return x if phi == "linear" else parse(f"{phi}(x)")
    expression = parse(phi) if isinstance(phi, str) else phi
    symbols = sorted(expression.free_symbols, key=str)
    if len(symbols) != 1:
        raise UsageError(f"{phi} is no function of one number; its symbols are {symbols}")
    if expression.has(sp.oo, -sp.oo, sp.zoo, sp.nan):
        raise UsageError(f"{phi} holds a constant that is no real number")
    return expression.subs(symbols[0], x)


@dataclass(frozen=True)
class ClosedMoments:
    """E[phi^2] and E[phi'^2] for z ~ N(0, q), as laws with their derivations."""

    square: Law
    derivative_square: Law


@cache
def closed_moments(phi: Activation) -> ClosedMoments:
    r"""Return the closed forms of E[phi(z)^2] and E[phi'(z)^2], z ~ N(0, q), derived.

    Raises:
        NoClosedForm: there is none in the family of `gaussian_integrals` (tanh, sigmoid, swish).

    >>> closed_moments("erf").derivative_square.formula
    4/(pi*sqrt(4*q + 1))
    """
    expression = activation(phi)
    try:
        return ClosedMoments(
            expectation(expression**2, "E[phi^2]"),
            expectation(derivative(expression, x) ** 2, "E[phi'^2]"),
        )
    except NoClosedForm as error:
        raise NoClosedForm(
            f"{error}; diffkit.theory.mean_field.moments is a quadrature with an error bound"
        ) from error


@dataclass(frozen=True)
class Moments:
    """E[phi^2], E[phi'^2] at one q, and how they were obtained.

    Args:
        square: E[phi(z)^2].
        derivative_square: E[phi'(z)^2].
        square_slope: dE[phi(z)^2]/dq.
        error: Bound on the absolute error of each; 0 for a closed form.
        method: "closed form" or "quadrature".
    """

    square: float
    derivative_square: float
    square_slope: float
    error: float
    method: str


@cache
def moments(phi: Activation, variance: float) -> Moments:
    r"""Return E[phi(z)^2] and E[phi'(z)^2] for z ~ N(0, q) as numbers.

    Args:
        phi: An activation, see `activation`.
        variance: q, 0 < q < 1e4, dimensionless.

    Raises:
        UsageError: q is outside that range.
        DomainError: phi is no real number somewhere, or a moment is infinite (1/x, tan).

    >>> moments("relu", 3.0).square
    1.5
    """
    if not 0 < variance < 1e4:
        raise UsageError(f"the variance q must lie between 0 and 1e4, not {variance}")
    try:
        closed = closed_moments(phi)
    except NoClosedForm:
        return quadrature(phi, variance)
    square, slope, change = (
        float(form.subs({q: sp.Float(variance, DIGITS)}).evalf(DIGITS))
        for form in (
            closed.square.formula,
            closed.derivative_square.formula,
            sp.diff(closed.square.formula, q),
        )
    )
    return Moments(square, slope, change, 0.0, "closed form")


def quadrature(phi: Activation, variance: float) -> Moments:
    r"""The same moments by quadrature, for activations with and without a closed form.

    The slope in q is $\mathrm{E}[\phi^2(z)(z^2/q - 1)]/(2q)$, which needs no derivative of phi.
    """
    scale = sqrt(variance)
    value_of, slope_of = values_of(phi, 0), values_of(phi, 1)

    def integrands(z: Any) -> Any:
        values, slopes = (np.broadcast_to(f(scale * z), z.shape) for f in (value_of, slope_of))
        square = values**2
        # phi itself, so that panels close in upon its steps, where phi' is a spike
        return np.stack([values, square, slopes**2, square * (z * z - 1) / (2 * variance)])

    found, errors = _gaussian_means(phi, variance, integrands)
    return Moments(*map(float, found[1:]), float(errors[1:].max()), "quadrature")


def mean_slope(phi: Activation, variance: float) -> float:
    """E[phi'(z)] for z ~ N(0, q), by quadrature.

    >>> round(mean_slope("relu", 2.0), 12)
    0.5
    """
    scale = sqrt(variance)
    value_of, slope_of = values_of(phi, 0), values_of(phi, 1)

    def integrands(z: Any) -> Any:
        return np.stack([np.broadcast_to(f(scale * z), z.shape) for f in (value_of, slope_of)])

    return float(_gaussian_means(phi, variance, integrands)[0][1])


def _gaussian_means(
    phi: Activation, variance: float, integrands: Callable[..., Any]
) -> tuple[np.ndarray, np.ndarray]:
    joints = tuple(place / sqrt(variance) for place in kinks(phi))
    try:
        return gaussian_means(integrands, joints)
    except DomainError as error:
        raise DomainError(
            f"no moments of {activation(phi)} at the variance {variance:.6g}: {error}; an "
            "activation is a real number with a finite mean square everywhere"
        ) from error


@cache
def kinks(phi: Activation) -> tuple[float, ...]:
    """Where cases of an activation meet, as far as they are affine; none for a smooth one."""
    try:
        return tuple(float(place) for place in breakpoints(activation(phi)))
    except NoClosedForm:
        return ()


def layer_gain(phi: Activation, variance: float, sigma_w: float) -> float:
    r"""Return chi(q), the factor by which one wide layer scales E||gradient||^2.

    $$\chi(q) = \sigma_w^2\,\mathrm{E}[\phi'(\sqrt q\,z)^2], \quad z \sim N(0, 1)$$

    Source: Schoenholz et al. (2017), arXiv:1611.01232, eq. 5.

    >>> round(layer_gain("relu", 1.0, 2**0.5), 12)
    1.0
    """
    return sigma_w * sigma_w * moments(phi, variance).derivative_square


def variances(
    phi: Activation, first: float, depth: int, sigma_w: float, sigma_b: float = 0.0
) -> list[float]:
    r"""Return the pre-activation variances q_1, ..., q_L.

    $$q_{l+1} = \sigma_w^2\,\mathrm{E}[\phi(\sqrt{q_l}\,z)^2] + \sigma_b^2$$

    Args:
        phi: Activation.
        first: q_1 > 0.
        depth: L >= 1.
        sigma_w: Weight standard deviation times sqrt(fan_in).
        sigma_b: Bias standard deviation.
    """
    found = [first]
    for _ in range(depth - 1):
        found.append(sigma_w**2 * moments(phi, found[-1]).square + sigma_b**2)
    return found


def fixed_point(phi: Activation, sigma_w: float, sigma_b: float = 0.0, first: float = 1.0) -> float:
    r"""Return q*, where the length map started at q_1 comes to rest.

    $$q^* = \sigma_w^2\,\mathrm{E}[\phi(\sqrt{q^*}\,z)^2] + \sigma_b^2$$

    Args:
        phi: Activation.
        sigma_w: Weight standard deviation times sqrt(fan_in).
        sigma_b: Bias standard deviation.
        first: q_1 > 0.

    Raises:
        UsageError: the variance does not settle within 2000 layers (it dies out or explodes like
            a power, as tanh does at sigma_w = 1 without a bias).
    """
    value = first
    for _ in range(2000):
        following = sigma_w**2 * moments(phi, value).square + sigma_b**2
        if abs(following - value) <= 4e-16 * following:
            return following
        value = following
    raise UsageError(f"the variance of {phi} with sigma_w = {sigma_w} does not settle")


def edge_of_chaos(phi: Activation, sigma_b: float) -> tuple[float, float]:
    r"""Return (sigma_w, q*) for which gradients keep their size: chi(q*) = 1.

    Each q is the fixed point of one critical pair, so that the pair is found by bisection in q:
    $$\sigma_w^2 = 1/\mathrm{E}[\phi'^2], \qquad
      \sigma_b^2 = q - \mathrm{E}[\phi^2]/\mathrm{E}[\phi'^2].$$

    Args:
        phi: Activation with a bounded slope that falls with |x| (tanh, erf).
        sigma_b: Bias standard deviation, > 0.

    Raises:
        UsageError: no critical point with 1e-8 < q < 1e3 (ReLU has none with a bias).

    Source: Schoenholz et al. (2017), arXiv:1611.01232, fig. 1.
    """

    def excess(variance: float) -> float:
        found = moments(phi, variance)
        return variance - found.square / found.derivative_square - sigma_b**2

    if not sigma_b > 0:
        raise UsageError(f"sigma_b = {sigma_b}; give a positive number")
    low, high = 1e-8, 1e3
    if excess(low) > 0 or excess(high) < 0:
        raise UsageError(f"{phi} with sigma_b = {sigma_b} has no edge of chaos")
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return 1 / sqrt(moments(phi, high).derivative_square), high


def log_gradient_profile(
    phi: Activation, first: float, depth: int, sigma_w: float, sigma_b: float = 0.0
) -> list[float]:
    r"""Return log E||dL/dh_l||^2 / E||dL/dh_L||^2 for l = 1, ..., L.

    $$\log \frac{\mathrm{E}\|g_l\|^2}{\mathrm{E}\|g_L\|^2} = \sum_{k=l}^{L-1} \log \chi(q_k)$$
    """
    profile = [0.0]
    for variance in reversed(variances(phi, first, depth, sigma_w, sigma_b)[:-1]):
        profile.append(profile[-1] + log(layer_gain(phi, variance, sigma_w)))
    return profile[::-1]


@cache
def steepest_slope(phi: Activation) -> float:
    r"""Return sup |phi'| over [-8, 8] to 1e-6; the steepest place of every row lies there.

    >>> steepest_slope("sigmoid")
    0.25
    """
    slopes = np.asarray(values_of(phi, 1)(np.linspace(-8.0, 8.0, 16001)), dtype=np.float64)
    return float(np.max(np.abs(slopes)))


@cache
def values_of(phi: Activation, order: int) -> Callable[..., Any]:
    """phi (order 0) or phi' (order 1) on arrays, in forms that do not overflow.

    Raises:
        UsageError: phi holds something that is no function of real numbers (a distribution, an
            integral, a function nobody has defined).
    """
    form = stable(activation(phi)).expr
    if order:
        form = stable(derivative(form, x)).expr
    spelt = definition(form.replace(_has_stable_form, lambda node: node.row.stable(*node.args)))
    function = sp.lambdify(x, spelt, ["scipy", "numpy"])
    try:
        with np.errstate(all="ignore"):
            np.asarray(function(np.array([0.5])), np.float64)
    except (NameError, TypeError, AttributeError) as error:
        what = f"{form}, its derivative," if order else str(form)
        raise UsageError(f"{what} cannot be evaluated at real numbers: {error}") from error
    return function


def _has_stable_form(node: sp.Basic) -> bool:
    return isinstance(node, ScalarFunction) and node.row.stable is not None

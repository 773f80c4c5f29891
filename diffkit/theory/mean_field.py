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

import mpmath
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
    "erf": ClosedMoments(2 * sp.asin(2 * q / (1 + 2 * q)) / sp.pi, 4 / (sp.pi * sp.sqrt(1 + 4 * q))),
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


def moments(name: str, variance: float) -> Moments:
    r"""Return E[phi(z)^2] and E[phi'(z)^2] for z ~ N(0, q) as numbers.

    Args:
        name: Activation of the vocabulary.
        variance: q > 0, dimensionless.
    """
    if variance <= 0:
        raise ValueError(f"the variance q must be positive, not {variance}")
    if name in CLOSED:
        row = CLOSED[name]
        at = {q: sp.Float(variance, DIGITS)}
        square, slope = (sp.Float(e.subs(at), DIGITS) for e in (row.square, row.derivative_square))
        return Moments(float(square), float(slope), 0.0, "closed form")
    phi = activation(name)
    square, first = _expectation(phi, variance)
    slope, second = _expectation(derivative(phi, x), variance)
    return Moments(square, slope, max(first, second), "quadrature")


def layer_gain(name: str, variance: float, sigma_w: float) -> float:
    r"""Return chi(q), the factor by which one wide layer scales E||gradient||^2.

    $$\chi(q) = \sigma_w^2\,\mathrm{E}[\phi'(\sqrt q\,z)^2], \quad z \sim N(0, 1)$$

    Source: Schoenholz et al. (2017), arXiv:1611.01232, eq. 5.

    >>> layer_gain("relu", 1.0, 2**0.5)
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


def log_gradient_profile(
    name: str, first: float, depth: int, sigma_w: float, sigma_b: float = 0.0
) -> list[float]:
    r"""Return log E||dL/dh_l||^2 / E||dL/dh_L||^2 for l = 1, ..., L.

    $$\log \frac{\mathrm{E}\|g_l\|^2}{\mathrm{E}\|g_L\|^2} = \sum_{k=l}^{L-1} \log \chi(q_k)$$
    """
    gains = [
        mpmath.log(layer_gain(name, variance, sigma_w))
        for variance in variances(name, first, depth, sigma_w, sigma_b)[:-1]
    ]
    profile = [mpmath.mpf(0)]
    for gain in reversed(gains):
        profile.append(profile[-1] + gain)
    return [float(value) for value in reversed(profile)]


def _expectation(phi: sp.Expr, variance: float) -> tuple[float, float]:
    """E[phi(z)^2] by tanh-sinh quadrature on (-oo, oo), with mpmath's error estimate."""
    function: Callable[..., mpmath.mpf] = sp.lambdify(x, definition(phi), "mpmath")
    with mpmath.workdps(DIGITS):
        scale = mpmath.sqrt(variance)

        def integrand(z: mpmath.mpf) -> mpmath.mpf:
            return function(scale * z) ** 2 * mpmath.npdf(z)

        # A Gaussian tail beyond 12 standard deviations weighs less than 1e-32.
        value, error = mpmath.quad(integrand, [-12, -6, 0, 6, 12], error=True)
    return float(value), max(float(error), 1e-16)

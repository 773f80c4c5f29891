r"""The normal distribution and erfc to a few ulps in the tails, where XLA loses up to 400.

Everything rests on Mills' ratio $R(x) = \Phi(-x)/\varphi(x)$ for $x \ge 0$: with
$t = (x-4)/(x+4)$ the product $(1+x)R(x)$ is a polynomial in $t \in [-1,1]$ to 3.1e-17
(degree 24) and 1.9e-9 (degree 12), by Chebyshev interpolation at 60 digits.
Source of the substitution: Shepherd and Laframboise (1981), Math. Comp. 36(153), 249-253.
"""

from math import pi, sqrt

import jax
import jax.numpy as jnp
from jax import lax

from diffkit.backend.elementwise import polynomial, with_partials
from diffkit.backend.exponential import exp_square, log1p, sigmoid, sigmoid_prime

_MILLS_DOUBLE = (
    1.1832619145678034,
    -0.24239967052180816,
    0.035091880234748345,
    0.07169048120144073,
    -0.08070800967906779,
    0.0449591290769844,
    -0.012539103620118907,
    -0.0007159509042622868,
    0.0017418487711201782,
    -0.00023670176561751564,
    -0.00022021556122589934,
    5.32669985227654e-05,
    3.4158763380516596e-05,
    -8.606259855336527e-06,
    -6.553236071353823e-06,
    1.0196122279244076e-06,
    1.3905788437143398e-06,
    -3.238458448879413e-09,
    -2.8674105075603825e-07,
    -4.485292083319898e-08,
    5.065511960760191e-08,
    1.368462047478532e-08,
    -6.516140128481229e-09,
    -1.6886238691550213e-09,
    4.4040925724540144e-10,
)
_MILLS_SINGLE = (
    1.1832619145678034,
    -0.24239965271178046,
    0.035091891213154106,
    0.07168997987093552,
    -0.08070831938116568,
    0.04496319296174981,
    -0.012536579361095104,
    -0.000730229400796797,
    0.0017328863336023425,
    -0.0002118158374953322,
    -0.00020427505596147294,
    3.145764593097002e-05,
    1.955104074153974e-05,
)
_ROOT_TWO_PI = sqrt(2 * pi)
# gelu'(root + d) for |d| <= 1/4, by Chebyshev interpolation at 60 digits around the float
# nearest to the root; the first coefficient is gelu' at that float.
_GELU_ROOT_DOUBLE = -0.7517915246935645
_GELU_DOUBLE = (
    -6.453751729367753e-18,
    0.4314939923140469,
    0.388284982990552,
    -0.018199676398671483,
    -0.1140082332972217,
    -0.014771522148141623,
    0.019421679838188717,
    0.00453922836926059,
    -0.002239538068040349,
    -0.0007448263873892629,
    0.0001863397447295607,
    8.614887475855903e-05,
    -1.1214345457569661e-05,
    -7.624737760330688e-06,
    4.324539481246781e-07,
)
_GELU_ROOT_SINGLE = -0.7517915368080139
_GELU_SINGLE = (
    -5.227312104575155e-09,
    0.43149398299384556,
    0.3882849836299422,
    -0.01819971569257144,
    -0.11400822111314735,
    -0.014767933692455418,
    0.019420775732066166,
    0.004447044662542578,
    -0.0022163656436307816,
)


def mills(x: jax.Array) -> jax.Array:
    r"""Mills' ratio $R(x) = \Phi(-x)/\varphi(x)$ for $x \ge 0$; a negative x is taken as 0."""
    x = jnp.where(x > 0, x, 0)
    is_large = x > 1e8  # there R(x) = 1/x; t would be NaN at infinity
    a = jnp.where(is_large, 1, x)
    coefficients = _MILLS_DOUBLE if x.dtype == jnp.float64 else _MILLS_SINGLE
    value = polynomial((a - 4) / (a + 4), coefficients) / (1 + a)
    return jnp.where(is_large, 1 / jnp.where(is_large, x, 1), value)


def erfcx(x: jax.Array) -> jax.Array:
    r"""$e^{x^2}\,\mathrm{erfc}(x) = \sqrt{2/\pi}\,R(\sqrt2 x)$ for $x \ge 0$."""
    return sqrt(2 / pi) * mills(sqrt(2) * x)


@with_partials(lambda x: (-2 / sqrt(pi)) * exp_square(x, -jnp.ones_like(x)))
def erfc(x: jax.Array) -> jax.Array:
    r"""$1 - \mathrm{erf}(x)$; $e^{-x^2}\mathrm{erfcx}(x)$ for x > 1/2."""
    a = jnp.abs(x)
    tail = exp_square(a, -jnp.ones_like(x)) * erfcx(a)
    middle = 1 - lax.erf(jnp.clip(x, -1, 1))
    return jnp.where(a < 0.5, middle, jnp.where(x > 0, tail, 2 - tail))


@with_partials(lambda x: -x * normal_pdf(x))
def normal_pdf(x: jax.Array) -> jax.Array:
    r"""$\varphi(x) = e^{-x^2/2}/\sqrt{2\pi}$."""
    return exp_square(x, jnp.full_like(x, -0.5)) / _ROOT_TWO_PI


@with_partials(lambda x: normal_pdf(x))
def normal_cdf(x: jax.Array) -> jax.Array:
    r"""$\Phi(x)$, as $\varphi(x) R(-x)$ for x < 0."""
    tail = normal_pdf(x) * mills(jnp.abs(x))
    return jnp.where(x < 0, tail, 1 - tail)


@with_partials(lambda x: normal_hazard(x))
def log_normal_cdf(x: jax.Array) -> jax.Array:
    r"""$\log\Phi(x)$, finite down to where $x^2$ overflows."""
    a = jnp.abs(x)
    low = jnp.log(mills(a) / _ROOT_TWO_PI) - lax.square(jnp.minimum(x, 0)) / 2
    return jnp.where(x < 0, low, log1p(-normal_pdf(a) * mills(a)))


def _hazard_slope(x: jax.Array) -> jax.Array:
    h = normal_hazard(x)
    return -h * (x + h)


@with_partials(_hazard_slope)
def normal_hazard(x: jax.Array) -> jax.Array:
    r"""$\varphi(x)/\Phi(x)$, the slope of $\log\Phi$; $1/R(-x)$ for x < 0."""
    return jnp.where(x < 0, 1 / mills(jnp.abs(x)), normal_pdf(x) / normal_cdf(x))


@with_partials(lambda p: 1 / normal_pdf(normal_quantile(p)))
def normal_quantile(p: jax.Array) -> jax.Array:
    r"""$\Phi^{-1}(p)$."""
    return jax.scipy.special.ndtri(p)


@with_partials(lambda x: gelu_prime(x))
def gelu(x: jax.Array) -> jax.Array:
    r"""$x\,\Phi(x)$, as $\varphi(x)\,(x R(-x))$ for x < 0, where $\Phi$ would underflow first."""
    density, ratio = normal_pdf(x), mills(jnp.abs(x))
    is_tail = (x < 0) & (x > -1e4)
    tail = density * (jnp.where(is_tail, x, 0) * ratio)
    return jnp.where(is_tail, tail, jnp.where(x < 0, -0.0, x * (1 - density * ratio)))


@with_partials(lambda x: normal_pdf(x) * (2 - lax.square(x)))
def gelu_prime(x: jax.Array) -> jax.Array:
    r"""$\Phi(x) + x\varphi(x)$ to 6 ulps, near its root -0.7518 by a polynomial.

    For x < 0 it is $\varphi(x)\,(R(-x) + x)$: no cancellation in the tail.
    """
    bounded = jnp.clip(x, -1e4, 1e4)
    a = jnp.abs(bounded)
    root = exp_square(bounded, jnp.full_like(x, -0.25))  # its square underflows before the product
    part = root * ((a - mills(a)) / _ROOT_TWO_PI) * root
    is_double = x.dtype == jnp.float64
    distance = bounded - (_GELU_ROOT_DOUBLE if is_double else _GELU_ROOT_SINGLE)
    is_near = jnp.abs(distance) < 0.25
    near = polynomial(jnp.where(is_near, distance, 0), _GELU_DOUBLE if is_double else _GELU_SINGLE)
    return jnp.where(is_near, near, jnp.where(x < 0, -part, 1 + part))


def _tanh_inner(x: jax.Array) -> jax.Array:
    return sqrt(2 / pi) * (x + 0.044715 * x * x * x)


def _gelu_tanh_prime(x: jax.Array) -> jax.Array:
    bounded = jnp.clip(x, -1e3, 1e3)
    inner = 2 * _tanh_inner(bounded)
    slope = 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * lax.square(bounded))
    return sigmoid(inner) + bounded * sigmoid_prime(inner) * slope


@with_partials(_gelu_tanh_prime)
def gelu_tanh(x: jax.Array) -> jax.Array:
    r"""$\frac x2(1 + \tanh u) = x\,\sigma(2u)$, $u = \sqrt{2/\pi}\,(x + 0.044715x^3)$."""
    return x * sigmoid(2 * _tanh_inner(jnp.clip(x, -1e3, 1e3)))

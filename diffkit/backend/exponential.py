r"""Exponentials, logarithms and hyperbolic functions to a few ulps, with their derivatives.

XLA's own `exp2`, `sinh`, `cosh` lose up to 500 ulps for large arguments, its float64 `log1p`
and `atanh` up to 100 near -0.4 (JAX 0.10, CPU).  Compensated tricks such as
$\log(u)\,x/(u-1)$ are no remedy: XLA simplifies $(1+x)-1$ to $x$.  Hence series.
"""

from math import factorial, log

import jax
import jax.numpy as jnp
from jax import lax

from diffkit.backend.elementwise import polynomial, removable, with_partials

LOG2 = log(2.0)
_SINH_SERIES = tuple(1.0 / factorial(2 * k + 3) for k in range(9))
_ATANH_SERIES = tuple(1.0 / (2 * k + 1) for k in range(1, 19))


def sign(x: jax.Array) -> jax.Array:
    """-1, 0 or 1 with derivative 0."""
    return jnp.sign(x)


def even_split(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Split x into hi + lo exactly, where hi*hi is exact in the same dtype."""
    exponent, mantissa = (11, 25) if x.dtype == jnp.float64 else (8, 11)
    high = lax.reduce_precision(x, exponent, mantissa)
    return high, x - high


def _exp_square_slope(x: jax.Array, scale: jax.Array) -> jax.Array:
    return 2 * scale * x * exp_square(x, scale)


def _exp_square_scale_slope(x: jax.Array, scale: jax.Array) -> jax.Array:
    return lax.square(x) * exp_square(x, scale)


@with_partials(_exp_square_slope, _exp_square_scale_slope)
def exp_square(x: jax.Array, scale: jax.Array) -> jax.Array:
    r"""$e^{s x^2}$ to 2 ulps for s a power of two times -1, however large $s x^2$ is.

    The rounding of $x^2$ alone would cost $|s| x^2$ ulps, 350 at the edge of float64.
    A product of two exponentials is no way out: XLA joins them into one again.
    """
    # Beyond this the result is 0 (or inf) anyway and hi*hi could overflow.
    bound = jnp.asarray(1e4, x.dtype)
    high, low = even_split(jnp.clip(x, -bound, bound))
    main = jnp.exp(scale * (high * high))
    # The correction is tiny unless `main` is 0 or inf already.
    return main + main * jnp.expm1(jnp.clip(scale * low * (2 * high + low), -1, 1))


@with_partials(lambda x: LOG2 * exp2(x))
def exp2(x: jax.Array) -> jax.Array:
    r"""$2^x$: the whole part shifts the exponent, the rest is at most 1/2."""
    limit = 2200.0 if x.dtype == jnp.float64 else 300.0
    bounded = jnp.clip(x, -limit, limit)
    whole = jnp.round(bounded)
    half = jnp.floor(whole / 2)  # two factors, so that neither over- nor underflows alone
    power = jnp.exp(LOG2 * (bounded - whole))
    return power * _power_of_two(half) * _power_of_two(whole - half)


def _power_of_two(n: jax.Array) -> jax.Array:
    """2**n for whole n, exact, 0 or inf outside the range of the dtype."""
    is_double = n.dtype == jnp.float64
    bits, integer = (52, jnp.int64) if is_double else (23, jnp.int32)
    bias = 1023 if is_double else 127
    biased = jnp.clip(n + bias, 0, 2 * bias + 1).astype(integer)
    return lax.bitcast_convert_type(biased << bits, n.dtype)


@with_partials(lambda x: 1 / (1 + x))
def log1p(x: jax.Array) -> jax.Array:
    r"""$\log(1+x) = 2\,\mathrm{artanh}\,\frac{x}{2+x}$ for $-1/2 < x < 1$, where 1 + x rounds."""
    if x.dtype != jnp.float64:
        return jnp.log1p(x)
    is_near = (x > -0.5) & (x < 1)
    s = jnp.where(is_near, x, 0) / (2 + jnp.where(is_near, x, 0))
    s2 = s * s
    near = 2 * (s + s * s2 * polynomial(s2, _ATANH_SERIES))
    return jnp.where(is_near, near, jnp.log(1 + jnp.where(is_near, 1, x)))


@with_partials(lambda x: 1 / ((1 - x) * (1 + x)))
def atanh(x: jax.Array) -> jax.Array:
    r"""$\frac12\log(1 + \frac{2|x|}{1-|x|})$ with the sign of x."""
    a = jnp.abs(x)
    is_inside = a < 1
    safe = jnp.where(is_inside, a, 0)
    value = log1p(2 * safe / (1 - safe)) / 2
    edge = jnp.where(a == 1, jnp.inf, jnp.nan)
    return jnp.sign(x) * jnp.where(is_inside, value, edge)


@with_partials(lambda x: 1 / jnp.expm1(x))
def log1mexp(x: jax.Array) -> jax.Array:
    r"""$\log(1 - e^{-x})$, x > 0."""
    is_small = x < LOG2
    small = jnp.log(-jnp.expm1(-jnp.where(is_small, x, 1)))
    return jnp.where(is_small, small, log1p(-jnp.exp(-jnp.where(is_small, 1, x))))


def _cosh(x: jax.Array) -> jax.Array:
    a = jnp.abs(x)
    edge = 700.0 if x.dtype == jnp.float64 else 87.0
    e = jnp.exp(jnp.minimum(a, edge))
    root = jnp.exp(a / 2)
    return jnp.where(a < edge, (e + 1 / e) / 2, root / 2 * root)


def _small_sinh(x: jax.Array) -> jax.Array:
    """The series, for |x| <= 1: x + x**3/6 + ..."""
    x2 = x * x
    return x + x * (x2 * polynomial(x2, _SINH_SERIES))


def _sinh(x: jax.Array) -> jax.Array:
    a = jnp.abs(x)
    small = _small_sinh(jnp.clip(x, -1, 1))
    return jnp.where(a < 1, small, jnp.sign(x) * _large_sinh(a))


def _large_sinh(a: jax.Array) -> jax.Array:
    edge = 700.0 if a.dtype == jnp.float64 else 87.0
    e = jnp.exp(jnp.minimum(a, edge))
    root = jnp.exp(a / 2)
    return jnp.where(a < edge, (e - 1 / e) / 2, root / 2 * root)


@with_partials(lambda x: sinh(x))
def cosh(x: jax.Array) -> jax.Array:
    r"""$(e^x + e^{-x})/2$; the square of $e^{x/2}$ where $e^x$ would overflow too early."""
    return _cosh(x)


@with_partials(lambda x: cosh(x))
def sinh(x: jax.Array) -> jax.Array:
    r"""$(e^x - e^{-x})/2$ by its series for |x| < 1."""
    return _sinh(x)


@with_partials(lambda x: sech_squared(x))
def tanh(x: jax.Array) -> jax.Array:
    r"""$1 - 2/(e^{2|x|}+1)$ with the sign of x; XLA's polynomial for |x| < 0.6."""
    a = jnp.abs(x)
    large = jnp.sign(x) * (1 - 2 / (jnp.exp(2 * a) + 1))
    return jnp.where(a < 0.6, jnp.tanh(x), large)


def sech_squared(x: jax.Array) -> jax.Array:
    r"""$1 - \tanh^2 x = 4\,\sigma'(2x)$."""
    return 4 * sigmoid_prime(2 * x)


@with_partials(lambda x: sigmoid_prime(x))
def sigmoid(x: jax.Array) -> jax.Array:
    r"""$1/(1+e^{-x})$, as $e^x/(1+e^x)$ for x < 0."""
    e = jnp.exp(-jnp.abs(x))
    return jnp.where(x < 0, e, jnp.ones_like(x)) / (1 + e)


@with_partials(lambda x: -sigmoid_prime(x) * tanh(x / 2))
def sigmoid_prime(x: jax.Array) -> jax.Array:
    r"""$\sigma(x)\,\sigma(-x) = 1/(2 + e^{|x|} + e^{-|x|})$, within 3 ulps.

    The exponential is the one `sigmoid` takes, so that a program with both takes it once.
    """
    e = jnp.exp(-jnp.abs(x))
    return 1 / (2 + (e + 1 / e))


@with_partials(lambda x: sigmoid(x))
def softplus(x: jax.Array) -> jax.Array:
    r"""$\log(1+e^x) = \max(x,0) + \log(1+e^{-|x|})$."""
    return jnp.maximum(x, 0) + log1p(jnp.exp(-jnp.abs(x)))


def log_sigmoid(x: jax.Array) -> jax.Array:
    r"""$\log\sigma(x) = -\log(1+e^{-x})$."""
    return -softplus(-x)


def _gap_sigmoid(x: jax.Array, y: jax.Array) -> jax.Array:
    # Equal infinities share the slope; their difference would be NaN.
    return sigmoid(jnp.where(x == y, 0, x - y))


@with_partials(_gap_sigmoid, lambda x, y: _gap_sigmoid(y, x))
def logaddexp(x: jax.Array, y: jax.Array) -> jax.Array:
    r"""$\log(e^x+e^y)$."""
    gap = jnp.where(x == y, 0, x - y)
    return jnp.maximum(x, y) + log1p(jnp.exp(-jnp.abs(gap)))


def logaddexp2(x: jax.Array, y: jax.Array) -> jax.Array:
    r"""$\log_2(2^x+2^y)$."""
    return logaddexp(x * LOG2, y * LOG2) / LOG2


@with_partials(lambda x: tanh(x))
def log_cosh(x: jax.Array) -> jax.Array:
    r"""$\log\cosh x$: $\log(1 + 2\sinh^2\frac x2)$ for |x| < 1, else from $e^{-2|x|}$."""
    a = jnp.abs(x)
    near = log1p(2 * lax.square(_small_sinh(jnp.minimum(a, 1) / 2)))
    return jnp.where(a < 1, near, (a - LOG2) + log1p(jnp.exp(-2 * a)))


@with_partials(lambda p: 1 / (p * (1 - p)))
def logit(p: jax.Array) -> jax.Array:
    r"""$\log\frac{p}{1-p}$, as $\log(1 + \frac{2p-1}{1-p})$ near its root 1/2."""
    is_middle = (p > 0.25) & (p < 0.75)
    m = jnp.where(is_middle, p, 0.5)
    return jnp.where(is_middle, log1p((2 * m - 1) / (1 - m)), jnp.log(p) - log1p(-p))


def _expm1_over_large(x: jax.Array) -> jax.Array:
    root = jnp.exp(x / 2)  # exp(x) may overflow where exp(x)/x does not
    return jnp.where(x > 40, root / x * root, jnp.expm1(jnp.minimum(x, 40)) / x)


expm1_over = removable(tuple(1.0 / factorial(k + 1) for k in range(21)), 1.0, _expm1_over_large)
log1p_over = removable(
    tuple((-1.0) ** k / (k + 1) for k in range(30)), 0.25, lambda x: log1p(x) / x
)


def sinc(x: jax.Array) -> jax.Array:
    r"""$\sin(x)/x$, 1 at 0."""
    is_near = jnp.abs(x) < 1
    near = polynomial(
        lax.square(jnp.where(is_near, x, 0)),
        tuple((-1.0) ** k / factorial(2 * k + 1) for k in range(12)),
    )
    away = jnp.where(is_near, 1, x)
    return jnp.where(is_near, near, jnp.sin(away) / away)


@with_partials(lambda x: -jnp.sin(x))
def cosm1(x: jax.Array) -> jax.Array:
    r"""$\cos x - 1 = -2\sin^2\frac x2$."""
    return -2 * lax.square(jnp.sin(x / 2))


def _hypot_slope(x: jax.Array, y: jax.Array) -> jax.Array:
    h = hypot(x, y)
    return x / jnp.where(h == 0, 1, h)


@with_partials(_hypot_slope, lambda x, y: _hypot_slope(y, x))
def hypot(x: jax.Array, y: jax.Array) -> jax.Array:
    r"""$\sqrt{x^2+y^2}$ without overflow; slope 0 at the origin."""
    large = jnp.maximum(jnp.abs(x), jnp.abs(y))
    ratio = jnp.minimum(jnp.abs(x), jnp.abs(y)) / jnp.where(large == 0, 1, large)
    return large * jnp.sqrt(1 + ratio * ratio)

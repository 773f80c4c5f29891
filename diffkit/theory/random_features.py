r"""Random cosine features, their kernel, and the interpolator of least norm with N of them.

$\varphi_j(x) = \sqrt{2/N}\cos(v_j^\top x + u_j)$ with $v_j \sim N(0, I/\sigma^2)$ and $u_j$
uniform: the mean of $\sum_j \varphi_j(x)\varphi_j(x')$ is the Gaussian kernel, for every N.
Sources: Rahimi and Recht (2007); Jacot et al. (2020), arXiv:2002.08404; Bach (2023),
arXiv:2303.01372.  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line
from diffkit.theory.least_squares import INVERSE_CHI_SQUARE

N, n = sp.symbols("N n", positive=True, integer=True)
q = sp.Symbol("q", positive=True)
_a, _b, _z = sp.symbols("a b z", real=True)
_u = sp.Symbol("u", real=True)

ASSUMES = "v ~ N(0, I/sigma^2), u uniform in [0, 2 pi], q = |x - x'|^2/sigma^2"
GAUSSIAN = (
    "each feature is a Gaussian process with kernel k, n samples; c is the mean of "
    "k(x, x) - k(x)' K^-1 k(x), w = y' K^-1 y, E_0 the error of the kernel interpolator"
)


def _over_phase(expression: sp.Expr) -> sp.Expr:
    return sp.Integral(expression / (2 * sp.pi), (_u, 0, 2 * sp.pi))


def _over_frequency(expression: sp.Expr) -> sp.Expr:
    density = sp.exp(-(_z**2) / 2) / sp.sqrt(2 * sp.pi)
    return sp.Integral(expression * density, (_z, -sp.oo, sp.oo))


_PRODUCT = 2 * sp.cos(_a + _u) * sp.cos(_b + _u)


def kernel() -> Law:
    """The mean of the product of two feature vectors: the Gaussian kernel.

    >>> kernel().formula
    exp(-q/2)
    """
    phase = Line("mean over the phase u", _over_phase(_PRODUCT), sp.cos(_a - _b))
    frequency = Line(
        "mean over v: v'(x - x') is N(0, q)",
        _over_frequency(sp.cos(sp.sqrt(q) * _z)),
        sp.exp(-q / 2),
    )
    return Law(
        "kernel of random cosine features",
        sp.Symbol("k"),
        frequency.right,
        "",
        (phase, frequency),
        ASSUMES,
        "Rahimi and Recht (2007)",
    )


def kernel_variance() -> Law:
    """The variance of that product with N features.

    >>> kernel_variance().formula
    (1 - exp(-q) + exp(-2*q)/2)/N
    """
    phase = Line(
        "mean square over the phase u",
        _over_phase(sp.expand(sp.expand_trig(_PRODUCT) ** 2)),
        sp.Rational(1, 2) + sp.cos(_a - _b) ** 2,
    )
    frequency = Line(
        "mean over v",
        sp.Rational(1, 2) + _over_frequency(sp.cos(sp.sqrt(q) * _z) ** 2),
        1 + sp.exp(-2 * q) / 2,
    )
    form = (frequency.right - kernel().formula ** 2) / N
    return Law(
        "variance of the kernel of N random cosine features",
        sp.Symbol("v"),
        form,
        "",
        (phase, frequency),
        ASSUMES,
        "Sutherland and Schneider (2015), arXiv:1506.02785",
    )


def interpolation_error() -> Law:
    """Mean test error of the interpolator of least norm with N Gaussian features of a kernel.

    Given the features of the samples, those of a new point are their best linear prediction and
    an independent rest of variance c: the mean is the kernel interpolator for every N, and the
    rest adds c w E (1/u), u chi-square with N - n + 1 degrees of freedom.

    >>> interpolation_error().at(N=401, n=300, E_0=0.1, c=0.5, w=60)
    0.4
    """
    error, rest, weight = sp.symbols("E_0 c w", positive=True)
    m = sp.Symbol("m", positive=True)
    each = INVERSE_CHI_SQUARE.right.subs(m, N - n - 1)
    return Law(
        "test error of the interpolator with N features",
        sp.Symbol("E"),
        error + rest * weight * each,
        "N >= n + 2",
        (INVERSE_CHI_SQUARE,),
        GAUSSIAN,
        "Jacot et al. (2020), arXiv:2002.08404",
    )

r"""ReLU layers of finite width n at He's initialisation: exact moments of the signal's length.

One layer multiplies the squared length of its input by $s = \frac{2}{n}\sum_i \max(g_i, 0)^2$ with
n independent standard normal $g_i$, whatever the input: the layers are independent and exact at
every width.  The mean of s is 1, yet a typical network forgets: $\log s$ has the mean
$-5/(2n) + O(1/n^2)$.  Sources: Hanin and Nica (2018), arXiv:1812.05994; Hanin (2018),
arXiv:1801.03744.  No JAX here.
"""

from functools import cache
from math import comb

import mpmath as mp
import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.theory.gaussian_integrals import DENSITY, q, x
from diffkit.theory.law import Law, Line

n, L = sp.symbols("n L", positive=True, integer=True)
kappa, r = sp.symbols("kappa r", real=True)
_e = sp.Symbol("e", positive=True)
ASSUMES = "h_{l+1} = W relu(h_l), W_ij ~ N(0, 2/n) independent, L layers of width n"
SOURCE = "Hanin and Nica (2018), arXiv:1812.05994"
_HALF = sp.Rational(1, 2)
#: E s^2 of one layer.
LAYER = 1 + 5 / n
_MOMENTS = (
    Line("E[relu(g)^2]", sp.Integral(x**2 * DENSITY.subs(q, 1), (x, 0, sp.oo)), _HALF),
    Line("E[relu(g)^4]", sp.Integral(x**4 * DENSITY.subs(q, 1), (x, 0, sp.oo)), 3 * _HALF),
)


def second_moment() -> Law:
    """E (|x_L|^2/|x_0|^2)^2 after L layers; the first moment is 1.

    >>> second_moment().at(n=10, L=2)
    2.25
    """
    line = Line(
        "E s^2: n equal and n (n - 1) different pairs",
        (2 / n) ** 2 * (n * 3 * _HALF + n * (n - 1) * _HALF**2),
        LAYER,
    )
    return Law(
        "second moment of |x_L|^2/|x_0|^2",
        sp.Symbol("M_2"),
        LAYER**L,
        "",
        (*_MOMENTS, line),
        ASSUMES,
        SOURCE,
    )


def second_moment_of_a_layer() -> Law:
    r"""E s^2 for weights of excess kurtosis kappa (uniform: -6/5) and an input x.

    r is $\sum_j x_j^4/(\sum_j x_j^2)^2$, between 1/n and 1: about 6/n behind a ReLU layer, so that
    the distribution of the weights changes the drift by O(1/n^2) only.

    >>> second_moment_of_a_layer().at(n=10, kappa=0, r=0.5)
    1.5
    """
    fourth = (3 + kappa * r) / 2
    value = 1 + (5 + 2 * kappa * r) / n
    line = Line(
        "E s^2 with E relu(h)^4 = (3 + kappa r)/2",
        (2 / n) ** 2 * (n * fourth + n * (n - 1) * _HALF**2),
        value,
    )
    assumes = "W_ij independent, symmetric, of variance 2/n and excess kurtosis kappa"
    return Law(
        "second moment of one layer's factor", sp.Symbol("m_2"), value, "", (line,), assumes, SOURCE
    )


def drift_of_the_log() -> Law:
    """E log |x_L|^2/|x_0|^2 to first order in 1/n; `log_moments` is exact.

    >>> drift_of_the_log().at(n=100, L=10)
    -0.25
    """
    u = sp.Symbol("u", real=True)
    lines = (
        Line(
            "log s to second order in u = s - 1",
            sp.Limit((sp.log(1 + u) - u + u**2 / 2) / u**2, u, 0),
            sp.Integer(0),
        ),
        Line("variance of s", LAYER - 1, 5 / n, sp.Symbol("E[s^2]") - 1),
    )
    return Law(
        "mean of log |x_L|^2/|x_0|^2",
        sp.Symbol("E log"),
        -5 * L / (2 * n),
        "n large",
        (*_MOMENTS, *lines),
        ASSUMES,
        SOURCE,
    )


@cache
def log_moments(width: int) -> tuple[float, float]:
    r"""Exact mean and variance of log s of one layer, given that one of its units is active.

    K of the n units are active, K binomial; the squares of K half-normals are chi-square, so that
    $$\mathrm{E}[\log s \mid K] = \psi(K/2) + \log(4/n), \qquad
      \operatorname{Var}[\log s \mid K] = \psi'(K/2).$$

    Args:
        width: n >= 1.

    Raises:
        UsageError: the width is no positive whole number.

    >>> mean, variance = log_moments(1000)
    >>> round(mean * 1000, 3), round(variance * 1000, 3)
    (-2.504, 5.019)
    """
    if width < 1 or width != int(width):
        raise UsageError(f"width = {width}; give a whole number of units, 1 or more")
    with mp.workdps(30):
        alive = mp.mpf(2) ** width - 1
        weights = [(k, comb(width, k) / alive) for k in range(1, width + 1)]
        means = {k: mp.digamma(mp.mpf(k) / 2) + mp.log(mp.mpf(4) / width) for k, _ in weights}
        mean = mp.fsum(weight * means[k] for k, weight in weights)
        within = mp.fsum(weight * mp.polygamma(1, mp.mpf(k) / 2) for k, weight in weights)
        between = mp.fsum(weight * (means[k] - mean) ** 2 for k, weight in weights)
        return float(mean), float(within + between)

r"""Gaussian expectations $\mathrm{E}[f(\sqrt q\,z)]$, $z \sim N(0,1)$, with an error bound.

`gauss_hermite` is fast and its bound an estimate (two node counts); `gaussian_expectation_ball`
integrates in ball arithmetic and its enclosure is a proof.
"""

from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import acb, arb, ctx

from diffkit.core.errors import Undecidable
from diffkit.core.evidence import ErrorBound, Estimate

Vectorised = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


@lru_cache(maxsize=16)
def _rule(nodes: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return x, w / w.sum()


def gauss_hermite(f: Vectorised, variance: float = 1.0, nodes: int = 80) -> Estimate:
    r"""Return the expectation of f over a centred Gaussian, by Gauss-Hermite quadrature.

    $$\mathrm{E}[f(\sqrt q\,z)] \approx \sum_k w_k f(\sqrt q\,x_k)$$

    Args:
        f: Vectorised; smooth for the bound to be small (a kink converges like 1/nodes).
        variance: q >= 0.
        nodes: Number of nodes, 8 to 180.

    Returns:
        Value and a bound: ten times the change against two other node counts (truncation, an
        estimate) plus the rounding of the sum.

    >>> abs(gauss_hermite(np.square, 2.0).value - 2.0) < 1e-12
    True
    """
    fine, size = _expectation(f, variance, nodes)
    coarse = [_expectation(f, variance, count)[0] for count in (3 * nodes // 4, nodes // 2)]
    truncation = 10 * max(abs(fine - value) for value in coarse)
    rounding = 4 * nodes * np.finfo(np.float64).eps * size
    return Estimate(fine, ErrorBound({"truncation": truncation, "rounding": float(rounding)}))


def _expectation(f: Vectorised, variance: float, nodes: int) -> tuple[float, float]:
    x, w = _rule(nodes)
    values = np.asarray(f(sqrt(variance) * x), dtype=np.float64)
    return float(w @ values), float(w @ np.abs(values))


def gaussian_expectation_ball(
    f: Callable[[acb, bool], acb],
    variance: Any = 1,
    *,
    bits: int = 96,
    reach: int = 12,
    bound: Any = 1,
    power: int = 0,
) -> arb:
    r"""Enclose $\mathrm{E}[f(\sqrt q\,z)]$ rigorously.

    The integral over [-reach, reach] is `acb.integral`; the tail is bounded by
    $2 M \int_R^\infty |z|^p \varphi(z)\,dz$ where $|f(\sqrt q z)| \le M |z|^p$ beyond R.

    Args:
        f: (z, analytic) -> f(z) on complex balls; with `analytic` set it must return a
            non-finite ball where f is not analytic (`acb.abs(analytic=...)` style functions do).
        variance: q >= 0, exact number.
        bits: Working precision.
        reach: R, where the tail is cut.
        bound: M of the growth bound.
        power: p of the growth bound, 0 <= p <= R.

    Raises:
        Undecidable: the integral did not converge to a finite ball.
    """
    previous = ctx.prec
    ctx.prec = bits
    try:
        scale = arb(variance).sqrt()
        constant = (2 * arb.pi()).rsqrt()

        def integrand(z: acb, analytic: bool) -> acb:
            return f(z * scale, analytic) * (-z * z / 2).exp() * constant

        half = acb.integral(integrand, acb(0), acb(reach)) + acb.integral(
            integrand, acb(-reach), acb(0)
        )
        if not half.is_finite():
            raise Undecidable("the Gaussian integral has no finite enclosure; use more bits")
        # int_R^inf z^p phi <= R^(p+1)/(R^2 - p) phi(R), for the integrand falls faster than that
        radius = arb(reach)
        tail = 2 * arb(bound) * radius ** (power + 1) / (radius * radius - power)
        tail = tail * (-radius * radius / 2).exp() * constant
        return half.real + arb(0, tail.upper())
    finally:
        ctx.prec = previous

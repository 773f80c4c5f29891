r"""Batch normalisation makes the gradients of a random ReLU network grow from layer to layer.

$h_{l+1} = W\,\mathrm{relu}(\mathrm{BN}(h_l))$ with $W_{ij} \sim N(0, \sigma_w^2/n)$, n large.
Over a batch of B samples the vector of one unit is Gaussian; normalised it is $\sqrt B u$, u
uniform on the unit sphere of the B - 1 dimensions that add up to 0, so that two samples have the
correlation -1/(B - 1).  The weight variance cancels.  The limit B to infinity is that of Yang et
al. (2019), arXiv:1902.08129; for finite B the same steps are taken without a limit.  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line
from diffkit.theory.least_squares import INVERSE_CHI_SQUARE

B = sp.Symbol("B", positive=True, integer=True)
c = sp.Symbol("c", real=True)
_CHI = sp.Symbol("chi_BN")
_z = sp.Symbol("z", real=True)
_e = sp.Symbol("epsilon", positive=True)
ASSUMES = (
    "h' = W relu(BN(h)), W_ij ~ N(0, sigma_w^2/n), n to infinity, backward weights independent of "
    "the forward ones, samples exchangeable"
)
SOURCE = "Yang et al. (2019), arXiv:1902.08129"


def kernel(correlation: sp.Expr) -> sp.Expr:
    """2 E[relu(z) relu(z')] for standard normal z, z' of a correlation (Cho and Saul 2009)."""
    return (sp.sqrt(1 - correlation**2) + correlation * (sp.pi - sp.acos(correlation))) / sp.pi


def both_positive(correlation: sp.Expr) -> sp.Expr:
    """P(z > 0, z' > 0) for standard normal z, z' of a correlation (Sheppard 1899)."""
    return sp.Rational(1, 4) + sp.asin(correlation) / (2 * sp.pi)


def infinite_batch() -> Law:
    r"""The factor of $\mathrm{E}\|g\|^2$ per layer for B to infinity.

    >>> infinite_batch().formula
    pi/(-1 + pi)
    """
    density = sp.exp(-(_z**2) / 2) / sp.sqrt(2 * sp.pi)
    square, mean = sp.Rational(1, 2), 1 / sp.sqrt(2 * sp.pi)
    variance = (sp.pi - 1) / (2 * sp.pi)
    formula = sp.pi / (sp.pi - 1)
    lines = (
        Line("mean square of relu(z), z ~ N(0, 1)",
             sp.Integral(_z**2 * density, (_z, 0, sp.oo)), square),
        Line("mean of relu(z)", sp.Integral(_z * density, (_z, 0, sp.oo)), mean),
        Line("its variance, which the next normalisation divides by", square - mean**2, variance,
             sp.Symbol("v")),
        Line("half of the units pass the gradient on", sp.Integral(density, (_z, 0, sp.oo)),
             square),
        Line("their ratio; sigma_w^2 cancels", square / variance, formula, _CHI),
    )  # fmt: skip
    return Law(
        "growth of squared gradients per layer, batch normalisation and ReLU",
        _CHI,
        formula,
        "B to infinity",
        lines,
        ASSUMES,
        SOURCE,
    )


def finite_batch() -> Law:
    r"""The same for a batch of B > 3 samples, exact for n to infinity.

    $$\chi_B = \frac{2 B\,\tau}{(B - 1)(B - 3)(1 - \kappa)}$$
    with $\tau$ the mean of $\mathrm{tr}[(P - u u^\top) D P D]$, P the centring matrix, u the
    normalised unit, $D = \mathrm{diag}(u > 0)$ and $\kappa$ twice the mean product of two rectified
    samples.

    >>> round(finite_batch().at(B=16), 5), round(finite_batch().at(B=10**6), 4)
    (1.58995, 1.4669)
    """
    kappa, both = kernel(-1 / (B - 1)), both_positive(-1 / (B - 1))
    square_of_count = B / 2 + B * (B - 1) * both
    square_of_sum = sp.Rational(1, 2) + (B - 1) * kappa / 2
    s, s2, u2 = sp.symbols("s s2 u2", positive=True)
    of_moments = B / 2 - sp.Rational(3, 2) + s2 / B**2 + u2 / B
    tau = of_moments.subs({s2: square_of_count, u2: square_of_sum})
    formula = 2 * B * tau / ((B - 1) * (B - 3) * (1 - kappa))
    trace = s - 2 * s / B + s**2 / B**2
    lines = (
        Line(
            "kappa grows with the correlation as the share of pairs that are both positive",
            sp.diff(kernel(c), c),
            2 * both_positive(c).rewrite(sp.acos),
            sp.Derivative(sp.Function("kappa")(c), c),
        ),
        # |P h|^2 is a chi-square variable of B - 1 = m + 2 degrees of freedom.
        INVERSE_CHI_SQUARE,
        Line(
            "tr(P D P D) with s of the B samples positive: tr(P D) less |P d|^2/B",
            s * (1 - 1 / B) - (s - s**2 / B) / B,
            trace,
            sp.Symbol("tr(P D P D)"),
        ),
        Line(
            "the same multiplied out for B = 3, s = 2",
            _trace(sp.diag(1, 1, 0)),
            trace.subs({B: 3, s: 2}),
            sp.Symbol("tr(P D P D)"),
        ),
        Line(
            "tau: its mean with E s = B/2 and E s^2 = s2, less that of u'D P D u, where "
            "E sum relu(u)^2 = 1/2 and E (sum relu(u))^2 = u2",
            B / 2 - 2 * (B / 2) / B + s2 / B**2 - (sp.Rational(1, 2) - u2 / B),
            of_moments,
            sp.Symbol("tau"),
        ),
        Line(
            "limit of large batches",
            sp.Limit(formula.subs(B, 1 / _e), _e, 0, "+"),
            sp.pi / (sp.pi - 1),
            sp.Limit(sp.Symbol("chi_B"), B, sp.oo),
        ),
    )
    return Law(
        "growth of squared gradients per layer, batch normalisation over B samples and ReLU",
        _CHI,
        formula,
        "B > 3",
        lines,
        ASSUMES,
        SOURCE,
    )


def _trace(kept: sp.Matrix) -> sp.Expr:
    """tr(P D P D) with D = `kept`."""
    size = kept.rows
    centred = (sp.eye(size) - sp.ones(size) / size) * kept
    return (centred * centred).trace()

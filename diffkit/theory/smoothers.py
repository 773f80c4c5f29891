r"""Bias and variance of linear smoothers on a fixed design, direction by direction.

A smoother $\hat y = S y$ that is a function of $X X^\top$ scales the data along each eigenvector
by a factor h.  With $y = \theta + e$ along it, $e \sim N(0, s^2)$, the error splits exactly, for
every number of samples: Geman, Bienenstock and Doursat (1992).  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line

h, s2 = sp.symbols("h s2", positive=True)  # smoothing factor, noise
theta = sp.Symbol("theta", real=True)
d, lam, eta, t = sp.symbols("d lambda eta t", positive=True)  # eigenvalue, penalty, step, time
steps = sp.Symbol("k", positive=True, integer=True)
_e = sp.Symbol("e", real=True)
_y, _b = sp.symbols("y b", real=True)
_j = sp.Symbol("j", integer=True, nonnegative=True)

ASSUMES = "y = theta + e along an eigenvector of the design, e ~ N(0, s2), prediction h y"
SOURCE = "Geman, Bienenstock and Doursat (1992)"


def _mean(expression: sp.Expr) -> sp.Expr:
    density = sp.exp(-(_e**2) / (2 * s2)) / sp.sqrt(2 * sp.pi * s2)
    return sp.Integral(expression * density, (_e, -sp.oo, sp.oo))


def bias() -> Law:
    """Squared bias along a direction.

    >>> bias().formula
    theta**2*(1 - h)**2
    """
    form = (1 - h) ** 2 * theta**2
    line = Line("squared mean of the error", _mean(h * (theta + _e) - theta) ** 2, form)
    return Law("squared bias of a smoother", sp.Symbol("B"), form, "", (line,), ASSUMES, SOURCE)


def variance() -> Law:
    """Variance of the prediction along a direction.

    >>> variance().formula
    h**2*s2
    """
    line = Line("mean square around the mean", _mean((h * _e) ** 2), h**2 * s2)
    return Law("variance of a smoother", sp.Symbol("V"), h**2 * s2, "", (line,), ASSUMES, SOURCE)


def error() -> Law:
    """Mean squared error against new data: bias, variance and noise add up.

    >>> error().formula
    h**2*s2 + s2 + theta**2*(1 - h)**2
    """
    form = bias().formula + variance().formula + s2
    line = Line(
        "mean square of the error, and the noise of the new observation",
        _mean((h * (theta + _e) - theta) ** 2) + s2,
        form,
    )
    return Law("error of a smoother", sp.Symbol("E"), form, "", (line,), ASSUMES, SOURCE)


def training_error() -> Law:
    """Mean squared residual along a direction: 2 h s2 below the error, the optimism.

    >>> training_error().formula
    (1 - h)**2*(s2 + theta**2)
    """
    form = (1 - h) ** 2 * (theta**2 + s2)
    line = Line("mean square of the residual", _mean((1 - h) ** 2 * (theta + _e) ** 2), form)
    gap = Line("error less residual", error().formula - form, 2 * h * s2)
    return Law(
        "training error of a smoother", sp.Symbol("T"), form, "", (line, gap), ASSUMES, SOURCE
    )


def best_factor() -> Law:
    """The factor of the least error: the share of the signal.

    >>> best_factor().at(theta=2, s2=1)
    0.8
    """
    best = theta**2 / (theta**2 + s2)
    slope = sp.Derivative(error().formula, h).doit().subs(h, best)
    line = Line("slope of the error in h", slope, sp.Integer(0), sp.Symbol("E'(h_*)"))
    return Law("best smoothing factor", sp.Symbol("h_*"), best, "", (line,), ASSUMES, SOURCE)


def ridge_factor() -> Law:
    """The factor of ridge regression along an eigenvector of X X' with eigenvalue d.

    >>> ridge_factor().formula
    d/(d + lambda)
    """
    minimiser = sp.sqrt(d) * _y / (d + lam)
    slope = sp.diff((sp.sqrt(d) * _b - _y) ** 2 + lam * _b**2, _b).subs(_b, minimiser)
    line = Line("slope of the penalised loss at b", slope, sp.Integer(0), sp.Symbol("l'(b)"))
    fitted = Line("prediction over data", sp.sqrt(d) * minimiser / _y, d / (d + lam))
    return Law(
        "smoothing factor of ridge regression", h, d / (d + lam), "", (line, fitted), ASSUMES
    )


def descent_factor() -> Law:
    """The factor of k steps of gradient descent from 0 on |y - X b|^2/2.

    >>> descent_factor().at(d=1, eta=0.5, k=2)
    0.75
    """
    kept = sp.Symbol("q", real=True)  # 1 - eta d
    # The geometric sum by its telescope: (1 - q) q^j = q^j - q^(j + 1).
    term = Line(
        "what step j adds, with q = 1 - eta d", (1 - kept) * kept**_j, kept**_j - kept ** (_j + 1)
    )
    recursion = Line(
        "one more step: h_(k+1) = (1 - eta d) h_k + eta d",
        (1 - eta * d) * (1 - (1 - eta * d) ** steps) + eta * d,
        1 - (1 - eta * d) ** (steps + 1),
    )
    form = 1 - (1 - eta * d) ** steps
    return Law(
        "smoothing factor of gradient descent",
        h,
        form,
        "0 < eta d < 2",
        (term, recursion),
        ASSUMES,
        "Yao, Rosasco and Caponnetto (2007)",
    )


def flow_factor() -> Law:
    """The factor of gradient flow after time t: descent with small steps, t = eta k.

    >>> flow_factor().formula
    1 - exp(-d*t)
    """
    form = 1 - sp.exp(-d * t)
    line = Line("the flow h' = d (1 - h)", sp.Derivative(form, t) - d * (1 - form), sp.Integer(0))
    small = Line(
        "limit of descent for small steps",
        sp.Limit(descent_factor().formula.subs(eta, t / steps), steps, sp.oo),
        form,
    )
    return Law("smoothing factor of gradient flow", h, form, "", (line, small), ASSUMES)

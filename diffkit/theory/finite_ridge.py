r"""Ridge regression on Gaussian data with n samples: the first correction to the limit of many.

The resolvent mean $g = E \operatorname{tr}(W - z)^{-1}/p$ of $W = X^\top X/n$ obeys, by Gaussian
integration by parts,
$$\gamma z\,E[(\operatorname{tr}(W - z)^{-1}/p)^2] + (\gamma - 1 + z)\,g + 1 + (z g)'/n = 0.$$
The square differs from $g^2$ by $O(1/n^2)$ only, so that $g = m + m_1/n + O(1/n^2)$ with the
Stieltjes transform m of the limit.  It is the mean of the central limit theorem of Bai and
Silverstein (2004) for real entries.  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line
from diffkit.theory.least_squares import ASSUMES, best_penalty, best_ridge, gamma, lam, n, r2, s2

_z = sp.Symbol("z", negative=True)
_SOURCE = "Bai and Silverstein (2004), theorem 1.1"


def _root(z: sp.Expr) -> sp.Expr:
    """The distance of z from both edges of the spectrum, in the geometric mean."""
    return sp.sqrt((1 - gamma - z) ** 2 - 4 * gamma * z)


def _limit(z: sp.Expr) -> sp.Expr:
    """The Stieltjes transform of the Marchenko-Pastur law left of the spectrum."""
    return (_root(z) - (1 - gamma - z)) / (-2 * gamma * z)


def resolvent_correction() -> Law:
    """The coefficient m_1 of 1/n in the mean of tr (X'X/n + lambda)^-1 / p.

    >>> round(resolvent_correction().at(gamma=1, **{"lambda": 1}), 6)
    0.076393
    """
    form = (1 + gamma - _z - _root(_z)) / (2 * gamma * _root(_z) ** 2)
    m = _limit(_z)
    slope = sp.Derivative(_z * m, _z)
    first = Line(
        "coefficient of 1/n in the equation of the mean resolvent",
        (2 * gamma * _z * m + gamma - 1 + _z) * form + slope,
        sp.Integer(0),
        sp.Symbol("2 gamma z m m_1 + (gamma - 1 + z) m_1 + (z m)'"),
    )
    return Law(
        "first correction of the mean resolvent",
        sp.Symbol("m_1"),
        form.subs(_z, -lam),
        "lambda > 0",
        (first,),
        ASSUMES,
        _SOURCE,
    )


def best_ridge_correction() -> Law:
    """The coefficient of 1/n in the excess risk at the best penalty: positive, small.

    >>> round(best_ridge_correction().at(gamma=1, r2=1, s2=1), 6)
    0.076393
    """
    best = best_penalty().formula
    root = _root(-best)
    form = s2 * (1 + gamma + best - root) / (2 * root**2)
    slope = Line(
        "weight of m_1' in lambda^2 r2 m_1' + s2 gamma (m_1 - lambda m_1') at lambda_*",
        best**2 * r2 - s2 * gamma * best,
        sp.Integer(0),
    )
    value = Line(
        "the rest of it, s2 gamma m_1",
        s2 * gamma * resolvent_correction().formula.subs(lam, best),
        form,
    )
    return Law(
        "first correction of the least risk of ridge regression",
        sp.Symbol("R_1"),
        form,
        "",
        (*resolvent_correction().lines, slope, value),
        ASSUMES,
        _SOURCE,
    )


def best_ridge_with() -> Law:
    """The excess risk at the best penalty with n samples, off by O(1/n^2).

    >>> round(best_ridge_with().at(n=50, gamma=1, r2=1, s2=1) - best_ridge().at(
    ...     gamma=1, r2=1, s2=1), 6)
    0.001528
    """
    correction = best_ridge_correction()
    return Law(
        "least risk of ridge regression with n samples",
        sp.Symbol("R"),
        best_ridge().formula + correction.formula / n,
        "up to O(1/n^2)",
        (*best_ridge().lines, *correction.lines),
        ASSUMES,
        _SOURCE,
    )

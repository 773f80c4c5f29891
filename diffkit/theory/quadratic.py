r"""What gradient methods do on a quadratic $h x^2/2$ with curvatures h from mu to L.

A linear method is a recursion whose characteristic roots say everything: it contracts by the
largest modulus, and rings where the roots are complex.  With noise of variance $s^2$ in the
gradient it comes to rest at a variance, the noise floor.  Sources: Polyak (1964); Nesterov (2004),
section 2.2; O'Donoghue and Candes (2015), arXiv:1204.3982.  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line

a, h, b = sp.symbols("a h b", positive=True)  # step size, curvature, momentum
mu, L = sp.symbols("mu L", positive=True)
s2 = sp.Symbol("s2", positive=True)
z = sp.Symbol("z")
_root = sp.Symbol("rho")

ASSUMES = "f(x) = h x^2/2, step size a, momentum b"
SPECTRUM = "a quadratic with curvatures from mu to L"


def descent_factor() -> Law:
    """What a step of gradient descent multiplies x by; it converges for 0 < a h < 2.

    >>> descent_factor().at(a=0.5, h=1)
    0.5
    """
    x = sp.Symbol("x", positive=True)
    slope = sp.Derivative(h * x**2 / 2, x)
    line = Line("one step from x, relative to x", (x - a * slope) / x, 1 - a * h)
    return Law("factor of a step of gradient descent", _root, 1 - a * h, "", (line,), ASSUMES)


def best_descent() -> tuple[Law, Law]:
    """Step size and rate of gradient descent that are best for all curvatures from mu to L.

    >>> step, rate = best_descent()
    >>> step.at(mu=1, L=9), rate.at(mu=1, L=9)
    (0.2, 0.8)
    """
    step, rate = 2 / (mu + L), (L - mu) / (L + mu)
    factor = descent_factor().formula.subs(a, step)
    lines = (
        Line("factor at the least curvature", factor.subs(h, mu), rate),
        Line("factor at the greatest curvature", factor.subs(h, L), -rate),
    )
    source = "Nesterov (2004), theorem 2.1.15"
    return (
        Law(
            "best step size of gradient descent",
            sp.Symbol("a_*"),
            step,
            "",
            lines,
            SPECTRUM,
            source,
        ),
        Law("best rate of gradient descent", _root, rate, "", lines, SPECTRUM, source),
    )


def heavy_ball_roots() -> tuple[sp.Expr, sp.Expr]:
    r"""Roots of $z^2 - (1 + b - a h) z + b$: x_{t+1} = x_t - a h x_t + b (x_t - x_{t-1})."""
    middle = 1 + b - a * h
    gap = sp.sqrt(middle**2 - 4 * b)
    return (middle + gap) / 2, (middle - gap) / 2


def nesterov_roots() -> tuple[sp.Expr, sp.Expr]:
    r"""Roots of $z^2 - (1 + b)(1 - a h) z + b (1 - a h)$: the gradient is taken ahead."""
    kept = 1 - a * h
    gap = sp.sqrt((1 + b) ** 2 * kept**2 - 4 * b * kept)
    return ((1 + b) * kept + gap) / 2, ((1 + b) * kept - gap) / 2


def best_heavy_ball() -> tuple[Law, Law, Law]:
    """Step size, momentum and rate of the heavy ball that are best from mu to L.

    At both ends of the spectrum the two roots meet in the rate; between them they are complex
    and of the same modulus.

    >>> [law.at(mu=1, L=9) for law in best_heavy_ball()]
    [0.25, 0.25, 0.5]
    """
    step = 4 / (sp.sqrt(L) + sp.sqrt(mu)) ** 2
    rate = (sp.sqrt(L) - sp.sqrt(mu)) / (sp.sqrt(L) + sp.sqrt(mu))
    gap = (1 + b - a * h) ** 2 - 4 * b
    at = {a: step, b: rate**2}
    lines = (
        Line("discriminant at the least curvature", gap.subs(at).subs(h, mu), sp.Integer(0)),
        Line("discriminant at the greatest curvature", gap.subs(at).subs(h, L), sp.Integer(0)),
        Line(
            "double root at the least curvature",
            ((1 + b - a * h) / 2).subs(at).subs(h, mu),
            rate,
        ),
    )
    source = "Polyak (1964)"
    rows = (
        ("best step size of the heavy ball", sp.Symbol("a_*"), step),
        ("best momentum of the heavy ball", sp.Symbol("b_*"), rate**2),
        ("best rate of the heavy ball", _root, rate),
    )
    first, second, third = (
        Law(name, symbol, formula, "", lines, SPECTRUM, source) for name, symbol, formula in rows
    )
    return first, second, third


def noise_floor() -> Law:
    r"""Variance at which momentum comes to rest under gradients $h x + e$, Var e = s2.

    The stationary second moments $V = E x_t^2$ and $C = E x_t x_{t-1}$ solve two linear equations.

    >>> round(noise_floor().at(a=0.1, h=1, b=0, s2=1), 6)
    0.052632
    """
    variance = a * s2 * (1 + b) / (h * (1 - b) * (2 * (1 + b) - a * h))
    middle = 1 + b - a * h
    covariance = middle * variance / (1 + b)
    lines = (
        Line(
            "E x_{t+1} x_t = (1 + b - a h) V - b C",
            middle * variance - b * covariance - covariance,
            sp.Integer(0),
        ),
        Line(
            "E x_{t+1}^2 = (1 + b - a h)^2 V + b^2 V - 2 b (1 + b - a h) C + a^2 s2",
            (middle**2 + b**2) * variance - 2 * b * middle * covariance + a**2 * s2 - variance,
            sp.Integer(0),
        ),
    )
    return Law(
        "noise floor of momentum",
        sp.Symbol("V"),
        variance,
        "0 <= b < 1, 0 < a h < 2 (1 + b)",
        lines,
        f"{ASSUMES}, gradients h x + e, e independent of variance s2",
    )

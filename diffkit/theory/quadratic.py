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
            "mu <= L",
            lines,
            SPECTRUM,
            source,
        ),
        Law("best rate of gradient descent", _root, rate, "mu <= L", lines, SPECTRUM, source),
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
        Law(name, symbol, formula, "mu <= L", lines, SPECTRUM, source)
        for name, symbol, formula in rows
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


def best_nesterov() -> tuple[Law, Law, Law]:
    """Step 1/L, momentum and rate of Nesterov's method as it is usually set.

    At the least curvature the two roots meet in the rate; at the greatest both are 0.

    >>> best_nesterov()[1].at(mu=1, L=9), best_nesterov()[2].at(mu=1, L=4)
    (0.5, 0.5)
    """
    step, rate = 1 / L, 1 - sp.sqrt(mu / L)
    momentum = (sp.sqrt(L) - sp.sqrt(mu)) / (sp.sqrt(L) + sp.sqrt(mu))
    at = {a: step, b: momentum}
    lines = (
        Line("discriminant at the least curvature", _gap_ahead(at, mu), sp.Integer(0)),
        Line("double root at the least curvature", _middle_ahead(at, mu) / 2, rate),
        Line("sum of the roots at the greatest curvature", _middle_ahead(at, L), sp.Integer(0)),
        Line("discriminant at the greatest curvature", _gap_ahead(at, L), sp.Integer(0)),
    )
    return _three("of Nesterov's method", step, momentum, rate, lines, "Nesterov (2004), 2.2.22")


def tuned_nesterov() -> tuple[Law, Law, Law]:
    """Step, momentum and rate of Nesterov's method that are best from mu to L.

    The greatest curvature has a root of minus the rate, the least a double root at the rate.

    >>> [round(law.at(mu=1, L=8), 6) for law in tuned_nesterov()]
    [0.16, 0.428571, 0.6]
    """
    root = sp.sqrt(3 * L / mu + 1)
    step, momentum, rate = 4 / (3 * L + mu), (root - 2) / (root + 2), 1 - 2 / root
    at = {a: step, b: momentum}
    kept = (1 - a * h).subs(at).subs(h, L)
    at_end = rate**2 + (1 + momentum) * kept * rate + momentum * kept
    lines = (
        Line("discriminant at the least curvature", _gap_ahead(at, mu), sp.Integer(0)),
        Line("double root at the least curvature", _middle_ahead(at, mu) / 2, rate),
        Line("characteristic polynomial at minus the rate, curvature L", at_end, sp.Integer(0)),
    )
    source = "Lessard, Recht and Packard (2016), arXiv:1408.3595"
    return _three("of Nesterov's method, tuned", step, momentum, rate, lines, source)


def _middle_ahead(at: dict[sp.Symbol, sp.Expr], curvature: sp.Expr) -> sp.Expr:
    """Sum of the roots of Nesterov's method."""
    return ((1 + b) * (1 - a * h)).subs(at).subs(h, curvature)


def _gap_ahead(at: dict[sp.Symbol, sp.Expr], curvature: sp.Expr) -> sp.Expr:
    product = (b * (1 - a * h)).subs(at).subs(h, curvature)
    return _middle_ahead(at, curvature) ** 2 - 4 * product


def _three(
    of: str, step: sp.Expr, momentum: sp.Expr, rate: sp.Expr, lines: tuple[Line, ...], source: str
) -> tuple[Law, Law, Law]:
    rows = (
        (f"best step size {of}", sp.Symbol("a_*"), step),
        (f"best momentum {of}", sp.Symbol("b_*"), momentum),
        (f"best rate {of}", _root, rate),
    )
    first, second, third = (
        Law(name, symbol, formula, "mu <= L", lines, SPECTRUM, source)
        for name, symbol, formula in rows
    )
    return first, second, third


def stability() -> Law:
    r"""Largest a h at which the heavy ball converges: Jury's conditions on its polynomial.

    $p(z) = z^2 - (1 + b - a h) z + b$ has both roots inside the unit circle if and only if
    p(1) > 0, p(-1) > 0 and |p(0)| < 1.

    >>> stability().at(b=0), stability().at(b=0.5)
    (2.0, 3.0)
    """
    polynomial = z**2 - (1 + b - a * h) * z + b
    lines = (
        Line("p(1), positive for every a h > 0", polynomial.subs(z, 1), a * h, _p(1)),
        Line(
            "p(-1), positive below the limit", polynomial.subs(z, -1), 2 * (1 + b) - a * h, _p(-1)
        ),
        Line("p(0), below 1", polynomial.subs(z, 0), b, _p(0)),
    )
    return Law(
        "limit of a h for momentum", sp.Symbol("ah"), 2 * (1 + b), "0 <= b < 1", lines, ASSUMES
    )


def ringing() -> tuple[Law, Law]:
    """Between which a h the heavy ball rings: complex roots, of modulus sqrt(b) whatever a h.

    >>> [law.at(b=0.25) for law in ringing()]
    [0.25, 2.25]
    """
    gap = (1 + b - a * h) ** 2 - 4 * b
    found = []
    for side, edge in (("least", (1 - sp.sqrt(b)) ** 2), ("greatest", (1 + sp.sqrt(b)) ** 2)):
        line = Line("discriminant at the edge", gap.subs(a * h, edge), sp.Integer(0))
        found.append(
            Law(f"{side} a h of ringing", sp.Symbol("ah"), edge, "b <= 1", (line,), ASSUMES)
        )
    return found[0], found[1]


def _p(at: int) -> sp.Expr:
    return sp.Function("p")(sp.Integer(at))


def turning() -> Law:
    r"""Correlation of successive updates of momentum under noise: how likely it turns around.

    With $u_t = x_{t+1} - x_t$ in the stationary state, Var u = 2 (V - C) and
    E u_t u_{t-1} = 2 C - V - E x_{t+1} x_{t-1}.  Under Gaussian noise the probability that two
    successive updates have opposite signs is arccos(r)/pi.

    >>> turning().at(a=0.2, h=1, b=0.9)
    0.8
    """
    floor = noise_floor().formula
    middle = 1 + b - a * h
    covariance = middle * floor / (1 + b)
    second = middle * covariance - b * floor
    spread = 2 * (floor - covariance)
    lines = (
        Line("Var u = 2 (V - C)", spread, 2 * a * h * floor / (1 + b)),
        Line(
            "E u_t u_{t-1} relative to Var u",
            (2 * covariance - floor - second) / spread,
            b - a * h / 2,
        ),
    )
    return Law(
        "correlation of successive updates",
        sp.Symbol("r"),
        b - a * h / 2,
        "0 <= b < 1, 0 < a h < 2 (1 + b)",
        (*noise_floor().lines, *lines),
        f"{ASSUMES}, gradients h x + e, e independent",
    )


def response() -> Law:
    r"""What is left at step t of a unit push at step 0: the impulse response of momentum.

    $K_{t+1} = (1 + b - a h) K_t - b K_{t-1}$ with K_0 = 0 and K_1 = 1, so
    $K_t = (z_1^t - z_2^t)/(z_1 - z_2)$ with the characteristic roots.
    """
    first, second = heavy_ball_roots()
    one, two = sp.symbols("z1 z2")
    t = sp.Symbol("t", integer=True, positive=True)
    form = (one**t - two**t) / (one - two)
    recursion = (one + two) * form - one * two * form.subs(t, t - 1)
    lines = (
        Line("sum of the roots", first + second, 1 + b - a * h),
        Line("product of the roots", first * second, b),
        Line("K_{t+1} from the recursion", recursion - form.subs(t, t + 1), sp.Integer(0)),
        Line("K_1", form.subs(t, 1), sp.Integer(1)),
    )
    return Law("impulse response of momentum", sp.Symbol("K_t"), form, "", lines, ASSUMES)


def batches() -> Law:
    r"""Covariance of the means of two batches of B of one epoch over N samples of variance s2.

    The batches of an epoch share no sample.  The sum over all N samples is fixed, which gives the
    covariance c of two samples, $N s^2 + N(N-1) c = 0$ with s2 = N/(N-1) times their variance;
    one batch is its own only partner for which samples coincide.
    """
    size, count = sp.symbols("B N", positive=True, integer=True)
    variance, shared = s2 * (count - 1) / count, -s2 / count
    lines = (
        Line(
            "variance of the sum of all samples",
            count * variance + count * (count - 1) * shared,
            sp.Integer(0),
        ),
        Line(
            "variance of a batch's mean",
            (size * variance + size * (size - 1) * shared) / size**2,
            s2 * (1 / size - 1 / count),
        ),
        Line("covariance of two batches' means", size**2 * shared / size**2, -s2 / count),
    )
    return Law(
        "variance of a batch's mean",
        sp.Symbol("V_B"),
        s2 * (1 / size - 1 / count),
        "B <= N",
        lines,
        "B of N samples without replacement, s2 their variance with divisor N - 1",
    )

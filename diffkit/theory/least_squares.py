r"""Risk of least squares on Gaussian data, exact for every number of samples.

$y_i = x_i^\top \beta + \varepsilon_i$ with $x_i \sim N(0, I_p)$, $\|\beta\|^2 = r^2$ and
$\operatorname{Var} \varepsilon_i = s^2$; $\hat\beta$ has the least norm among the minimisers of
the squared error of n samples.  The excess risk is $E\|\hat\beta - \beta\|^2$.  Beyond p = n it
falls again: double descent.  Sources: Hastie et al. (2022), arXiv:1903.08560; Belkin, Hsu and Xu
(2020), arXiv:1903.07571.  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line

n, p = sp.symbols("n p", positive=True, integer=True)
r2, s2 = sp.symbols("r2 s2", positive=True)
gamma, lam = sp.symbols("gamma lambda", positive=True)
_m, _u = sp.symbols("m u", positive=True)
_j = sp.Symbol("j", integer=True)

ASSUMES = "x ~ N(0, I_p), y = x'b + e, |b|^2 = r2, Var e = s2, n independent samples"

_CHI_SQUARE = _u ** (_m / 2) * sp.exp(-_u / 2) / (2 ** (_m / 2 + 1) * sp.gamma(_m / 2 + 1))
#: E[1/u] of a chi-square variable; with two degrees of freedom or fewer it is infinite.
INVERSE_CHI_SQUARE = Line(
    "mean of 1/u, u chi-square with m + 2 > 2 degrees of freedom",
    sp.Integral(_CHI_SQUARE / _u, (_u, 0, sp.oo)),
    1 / _m,
)
_RISK = sp.Symbol("R")


def _trace(rows: sp.Expr, columns: sp.Expr) -> Line:
    """E tr (A'A)^-1 of a Gaussian matrix with more rows than columns.

    By the Schur complement each diagonal entry is 1/u with rows - columns + 1 degrees of freedom.
    """
    entry = INVERSE_CHI_SQUARE.right.subs(_m, rows - columns - 1)
    return Line(
        f"trace of the inverse of a Gram matrix, {rows} - {columns} + 1 degrees of freedom each",
        sp.Sum(entry, (_j, 1, columns)),
        columns / (rows - columns - 1),
    )


def _slope(variable: sp.Symbol) -> sp.Expr:
    return sp.Derivative(sp.Function("R")(variable), variable)


def under_parametrised() -> Law:
    """Excess risk for p <= n - 2: variance alone, the estimate is unbiased.

    >>> under_parametrised().formula
    p*s2/(n - p - 1)
    """
    return Law(
        "excess risk of least squares",
        _RISK,
        s2 * _trace(n, p).right,
        "p <= n - 2",
        (INVERSE_CHI_SQUARE, _trace(n, p)),
        ASSUMES,
        "Hastie et al. (2022), arXiv:1903.08560",
    )


def over_parametrised() -> Law:
    """Excess risk for p >= n + 2: the part of b outside of the row space, and the variance.

    >>> over_parametrised().formula
    n*s2/(-n + p - 1) + r2*(-n/p + 1)
    """
    missed = Line(
        "share of b outside of a random row space of dimension n",
        sp.Sum(1 / p, (_j, 1, p - n)),
        1 - n / p,
    )
    return Law(
        "excess risk of the interpolator of least norm",
        _RISK,
        r2 * missed.right + s2 * _trace(p, n).right,
        "p >= n + 2",
        (INVERSE_CHI_SQUARE, _trace(p, n), missed),
        ASSUMES,
        "Hastie et al. (2022), arXiv:1903.08560",
    )


used, rest = sp.symbols("b2 c2", nonnegative=True)
WEAK = (
    "x ~ N(0, I_D), p of the D features are used, |b|^2 is b2 on them and c2 on the others, "
    "Var e = s2, n independent samples"
)

_WEAK_SOURCE = "Belkin, Hsu and Xu (2020), arXiv:1903.07571, theorem 1"


def weak_features() -> tuple[Law, Law]:
    """Test error with p of D features, for p <= n - 2 and for p >= n + 2.

    What the features left out explain is noise of variance c2 to the others.

    >>> weak_features()[0].at(n=40, p=10, c2=0.5, s2=0.5)
    1.3448275862068966
    """
    source = _WEAK_SOURCE
    noise = rest + s2
    below = Law(
        "test error with p features",
        _RISK,
        noise + under_parametrised().formula.subs(s2, noise),
        "p <= n - 2",
        under_parametrised().lines,
        WEAK,
        source,
    )
    over = over_parametrised()
    above = Law(
        "test error of the interpolator with p features",
        _RISK,
        noise + over.formula.subs({s2: noise, r2: used}, simultaneous=True),
        "p >= n + 2",
        over.lines,
        WEAK,
        source,
    )
    return below, above


def training_error() -> Law:
    """Mean squared residual of the n samples with p <= n of D features; 0 for p >= n.

    The residual is the noise, that of the features left out included, outside of a space of
    dimension p.

    >>> training_error().at(n=40, p=10, c2=0.5, s2=0.5)
    0.75
    """
    outside = Line(
        "share of the noise outside of the column space, of dimension n - p",
        sp.Sum(1 / n, (_j, 1, n - p)),
        1 - p / n,
    )
    return Law(
        "training error with p features",
        sp.Symbol("T"),
        (rest + s2) * outside.right,
        "p <= n",
        (outside,),
        WEAK,
        "Hastie, Tibshirani and Friedman (2009), section 7.4",
    )


def weak_bias() -> tuple[Law, Law]:
    """Squared bias of the prediction with p of D features, for p <= n - 2 and for p >= n + 2.

    Few features: the mean estimate is right, what is left out is missed.  Many: the mean
    estimate is n/p of the coefficients, as a random space of dimension n sees them.

    >>> weak_bias()[1].at(n=40, p=80, b2=1, c2=0.5)
    0.75
    """
    seen = Line(
        "share of b inside of a random row space of dimension n",
        sp.Sum(1 / p, (_j, 1, n)),
        n / p,
    )
    shrunk = Line(
        "mean estimate n b/p: its squared distance from b",
        sp.Sum((1 - seen.right) ** 2 * used / p, (_j, 1, p)),
        used * (1 - n / p) ** 2,
    )
    what, symbol = "squared bias with p features", sp.Symbol("B")
    missed = sp.Symbol("D", positive=True, integer=True) - p
    left_out = Line(
        "squared coefficients of the features left out, D - p of them",
        sp.Sum(rest / missed, (_j, 1, missed)),
        rest,
    )
    below = Law(what, symbol, rest, "p <= n - 2", (left_out,), WEAK, _WEAK_SOURCE)
    lines = (left_out, seen, shrunk)
    above = Law(what, symbol, rest + shrunk.right, "p >= n + 2", lines, WEAK, _WEAK_SOURCE)
    return below, above


def weak_variance() -> tuple[Law, Law]:
    """Variance of the prediction over training sets, for p <= n - 2 and for p >= n + 2.

    It grows up to the threshold and falls beyond it.  With bias and noise it adds up to the test
    error of `weak_features`, which the last line checks.

    >>> weak_variance()[0].at(n=40, p=10, c2=0.5, s2=0.5)
    0.3448275862068966
    """
    noise, share = rest + s2, n / p
    turned = Line(
        "spread of the seen part P b around n b/p: |P b|^2 = n b2/p, |b - P b|^2 = (1 - n/p) b2",
        sp.Sum(used / p * share * (1 - share), (_j, 1, p)),
        used * share * (1 - share),
    )
    laws = []
    formulas = (
        under_parametrised().formula.subs(s2, noise),
        turned.right + noise * _trace(p, n).right,
    )
    lines = ((INVERSE_CHI_SQUARE, _trace(n, p)), (INVERSE_CHI_SQUARE, _trace(p, n), turned))
    for bias, error, form, steps in zip(weak_bias(), weak_features(), formulas, lines, strict=True):
        total = Line(
            "bias, variance and noise of a new sample", bias.formula + form + s2, error.formula
        )
        laws.append(
            Law(
                "variance with p features",
                sp.Symbol("V"),
                form,
                bias.where,
                (*steps, total),
                WEAK,
                _WEAK_SOURCE,
            )
        )
    return laws[0], laws[1]


def limits() -> tuple[Law, Law]:
    """Both risks for n to infinity at p = gamma n: what is drawn as theory elsewhere.

    Near gamma = 1 it is off by many standard errors at any n: the negative control.

    >>> limits()[0].formula
    gamma*s2/(1 - gamma)
    """
    found = []
    forms = (s2 * gamma / (1 - gamma), r2 * (1 - 1 / gamma) + s2 / (gamma - 1))
    places = ("gamma < 1", "gamma > 1")
    for law, form, where in zip(
        (under_parametrised(), over_parametrised()), forms, places, strict=True
    ):
        line = Line(
            "limit of many samples", sp.Limit(law.formula.subs(p, gamma * n), n, sp.oo), form
        )
        found.append(
            Law(f"limit of the {law.name}", _RISK, form, where, (line,), ASSUMES, law.source)
        )
    return found[0], found[1]


def best_width() -> Law:
    """Where the limit risk beyond the threshold is least; there is such a place for r2 > s2.

    >>> best_width().at(r2=4, s2=1)
    2.0
    """
    root = sp.sqrt(r2 / s2)
    best = root / (root - 1)
    slope = sp.diff(limits()[1].formula, gamma)
    line = Line(
        "slope of the limit risk at gamma_*", slope.subs(gamma, best), sp.Integer(0), _slope(gamma)
    )
    return Law(
        "width over samples of the least risk",
        sp.Symbol("gamma_*"),
        best,
        "r2 > s2",
        (line,),
        ASSUMES,
        "Hastie et al. (2022), arXiv:1903.08560",
    )


def ridge() -> Law:
    r"""Limit risk of ridge regression with penalty $n\lambda$.

    $$R(\lambda) = \lambda^2 r^2 m'(-\lambda) + s^2\gamma\,(m(-\lambda) - \lambda m'(-\lambda))$$
    with the Stieltjes transform m of the Marchenko-Pastur law,
    $m(z) = (\sqrt{(1 - \gamma - z)^2 - 4\gamma z} - (1 - \gamma - z))/(2\gamma(-z))$.
    """
    z = sp.Symbol("z", negative=True)
    m = (sp.sqrt((1 - gamma - z) ** 2 - 4 * gamma * z) - (1 - gamma - z)) / (-2 * gamma * z)
    name = sp.Function("m")(z)
    quadratic = Line(
        "equation of the Stieltjes transform m",
        gamma * z * m**2 - (1 - gamma - z) * m + 1,
        sp.Integer(0),
        gamma * z * name**2 - (1 - gamma - z) * name + 1,
    )
    slope = sp.diff(m, z).subs(z, -lam)
    value = m.subs(z, -lam)
    formula = lam**2 * r2 * slope + s2 * gamma * (value - lam * slope)
    return Law(
        "limit of the excess risk of ridge regression",
        _RISK,
        formula,
        "lambda > 0",
        (quadratic,),
        ASSUMES,
        "Hastie et al. (2022), arXiv:1903.08560",
    )


def best_penalty() -> Law:
    """The penalty of the least limit risk: noise times width over signal.

    >>> best_penalty().formula
    gamma*s2/r2
    """
    best = s2 * gamma / r2
    slope = sp.diff(ridge().formula, lam).subs(lam, best)
    line = Line("slope of the ridge risk at lambda_*", slope, sp.Integer(0), _slope(lam))
    return Law(
        "best ridge penalty",
        sp.Symbol("lambda_*"),
        best,
        "",
        (line,),
        ASSUMES,
        "Hastie et al. (2022), arXiv:1903.08560",
    )


def best_ridge() -> Law:
    """The limit risk at the best penalty: it has no peak at gamma = 1.

    >>> round(best_ridge().at(gamma=1, r2=4, s2=1), 4)
    1.5616
    """
    law = ridge()
    best = best_penalty().formula
    root = sp.sqrt((1 - gamma + best) ** 2 + 4 * gamma * best)
    form = r2 * (root - (1 - gamma + best)) / (2 * gamma)
    line = Line("risk at lambda_*", law.formula.subs(lam, best), form, sp.Symbol("R(lambda_*)"))
    return Law(
        "least limit risk of ridge regression",
        _RISK,
        form,
        "",
        (*best_penalty().lines, line),
        ASSUMES,
        law.source,
    )

r"""The constants of initialisers and activations, derived from the condition that defines them.

No JAX here.
"""

import sympy as sp

from diffkit.theory.gaussian_integrals import DENSITY, expectation, q, x
from diffkit.theory.law import Law, Line

n, m = sp.symbols("n m", positive=True)
slope = sp.Symbol("a", real=True)
_variance = sp.Symbol("Var W")
_alpha, _scale = sp.symbols("alpha lambda", positive=True)
_q1 = DENSITY.subs(q, 1)


def lecun() -> Law:
    """Var W of a linear layer that keeps the variance of the signal.

    >>> lecun().formula
    1/n
    """
    line = Line("variance of a sum of n products", n * (1 / n) * q, q, n * _variance * q)
    return Law(
        "LeCun's weight variance",
        _variance,
        1 / n,
        "",
        (line,),
        "linear units, fan_in n",
        "LeCun et al. (1998)",
    )


def glorot() -> Law:
    """Var W between what keeps the signal, 1/n, and what keeps the gradient, 1/m.

    >>> glorot().at(n=100, m=300)
    0.005
    """
    mean = 2 / (n + m)
    lines = (
        Line("harmonic mean of 1/n and 1/m", 2 * (1 / n) * (1 / m) / (1 / n + 1 / m), mean),
        Line(
            "growth of the signal and of the gradient, their mean",
            (n * mean + m * mean) / 2,
            sp.Integer(1),
        ),
        Line(
            "bound of the uniform distribution of that variance",
            sp.Integral(
                x**2 / (2 * sp.sqrt(6 / (n + m))), (x, -sp.sqrt(6 / (n + m)), sp.sqrt(6 / (n + m)))
            ),
            mean,
        ),
    )
    return Law(
        "Glorot's weight variance",
        _variance,
        mean,
        "",
        lines,
        "linear units, fan_in n, fan_out m",
        "Glorot and Bengio (2010)",
    )


def he() -> Law:
    """Var W of layers behind a leaky ReLU of slope a for x < 0; a = 0 is ReLU.

    >>> he().at(n=50, a=0)
    0.04
    """
    leaky = sp.Piecewise((x, x > 0), (slope * x, True))
    second = expectation(leaky**2, "E[phi^2]")
    value = 2 / ((1 + slope**2) * n)
    lines = (*second.lines, Line("the signal is kept", n * value * second.formula, q))
    return Law(
        "He's weight variance",
        _variance,
        value,
        "",
        lines,
        "leaky ReLU units, fan_in n",
        "He et al. (2015), arXiv:1502.01852",
    )


def selu() -> tuple[Law, Law]:
    r"""The two constants of SELU: mean 0 and variance 1 are kept.

    >>> [round(law.at(), 11) for law in selu()]
    [1.67326324235, 1.05070098736]
    """
    elu = sp.Piecewise((x, x > 0), (_alpha * (sp.exp(x) - 1), True))
    mean, square = expectation(elu, "E[phi]"), expectation(elu**2, "E[phi^2]")
    tail = sp.exp(sp.Rational(1, 2)) * sp.erfc(1 / sp.sqrt(2))
    alpha = sp.sqrt(2 / sp.pi) / (1 - tail)
    at = {q: 1, _alpha: alpha}
    second = square.formula.subs(q, 1)
    scale = (
        1 / sp.sqrt(1 + alpha**2 * (1 - 2 * tail + sp.exp(2) * sp.erfc(sp.sqrt(2)))) * sp.sqrt(2)
    )
    lines = (
        *mean.lines,
        Line("mean 0", mean.formula.subs(at), sp.Integer(0), sp.Symbol("E[phi]")),
        Line(
            "variance 1", scale**2 * second.subs(at), sp.Integer(1), sp.Symbol("lambda^2 E[phi^2]")
        ),
    )
    source = "Klambauer et al. (2017), arXiv:1706.02515"
    assumes = "x ~ N(0, 1), selu = lambda elu with the slope alpha at -0"
    return (
        Law("alpha of SELU", _alpha, alpha, "", lines, assumes, source),
        Law("lambda of SELU", _scale, scale, "", lines, assumes, source),
    )


def truncated_normal() -> Law:
    """Standard deviation of N(0, 1) cut off at +-2, by which libraries divide.

    >>> round(truncated_normal().at(), 15)
    0.87962566103424
    """
    kept = sp.erf(sp.sqrt(2))
    value = sp.sqrt(1 - 2 * sp.sqrt(2 / sp.pi) * sp.exp(-2) / kept)
    lines = (
        Line("what is kept", sp.Integral(_q1, (x, -2, 2)), kept),
        Line("second moment of what is kept", sp.Integral(x**2 * _q1, (x, -2, 2)), kept * value**2),
    )
    return Law(
        "standard deviation of a truncated normal",
        sp.Symbol("sigma"),
        value,
        "",
        lines,
        "N(0, 1) given |x| < 2",
        "",
    )


def gain(phi: sp.Expr) -> Law:
    r"""$1/\sqrt{\mathrm{E}[\phi^2]}$ at q = 1: the factor of weights that keeps the variance 1.

    Raises:
        NoClosedForm: the moment has no closed form (tanh, for which libraries print 5/3).

    >>> gain(sp.Max(0, x)).formula
    sqrt(2)
    """
    second = expectation(phi**2, "E[phi^2]")
    value = 1 / sp.sqrt(second.formula.subs(q, 1))
    line = Line("the variance 1 is kept", value**2 * second.formula.subs(q, 1), sp.Integer(1))
    return Law(
        f"gain of {phi}", sp.Symbol("g"), value, "", (*second.lines, line), "x ~ N(0, 1)", ""
    )

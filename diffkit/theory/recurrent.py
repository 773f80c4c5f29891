r"""How long a recurrent network remembers: $\partial h_T/\partial h_t$ over k = T - t steps.

A plain cell h' = phi(W h + u) multiplies Jacobians diag(phi') W; an LSTM cell keeps its content
through its forget gates alone, c' = f c + ....  Sources: Bengio, Simard and Frasconi (1994);
Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063; Tallec and Ollivier (2018), arXiv:1804.11188.
No JAX here.
"""

from math import exp, log, log1p

import numpy as np
import sympy as sp

from diffkit.numeric.gaussian_panels import gaussian_means
from diffkit.symbolic.symbols import symbol
from diffkit.theory.law import Law, Line

x = symbol("x")
k = sp.Symbol("k", positive=True, integer=True)
rho, b = sp.Symbol("rho", positive=True), sp.Symbol("b", real=True)
T = sp.Symbol("T", positive=True)
_j = sp.Symbol("j", integer=True)
_SENSITIVITY = sp.Symbol("S_k")
_sigmoid = 1 / (1 + sp.exp(-b))


def linear_rate() -> Law:
    """|dh_T/dh_t| of a linear cell with a scaled orthogonal matrix: exact at every k.

    For any other matrix of spectral radius rho it is the rate of |W^k| for large k (Gelfand).

    >>> linear_rate().at(rho=0.5, k=3)
    0.125
    """
    step = Line(
        "W = rho Q multiplies every length by rho, k times",
        sp.Product(rho, (_j, 1, k)),
        rho**k,
    )
    return Law(
        "sensitivity of a linear recurrent network",
        _SENSITIVITY,
        rho**k,
        lines=(step,),
        assumes="h' = W h + u, W = rho Q with Q orthogonal, k = T - t steps",
        source="Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, section 2.1",
    )


def tanh_bound() -> Law:
    """A bound on |dh_T/dh_t| of a tanh cell, whatever it reads: (|W| max tanh')^k.

    >>> tanh_bound().formula
    rho**k
    """
    slope = sp.diff(sp.tanh(x), x)
    lines = (
        Line("tanh' is steepest at 0: its slope there", sp.diff(slope, x).subs(x, 0), sp.Integer(0),
             sp.Symbol("tanh''(0)")),
        Line("and its value", slope.subs(x, 0), sp.Integer(1), sp.Symbol("tanh'(0)")),
        *linear_rate().lines,
    )  # fmt: skip
    return Law(
        "largest sensitivity of a tanh recurrent network",
        _SENSITIVITY,
        rho**k,
        lines=lines,
        assumes="h' = tanh(W h + u), rho = |W| the largest singular value, k = T - t steps",
        source="Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, section 2.2",
    )


def open_gate() -> Law:
    """What is left of an LSTM cell's content after k steps if its forget gate is its bias alone.

    >>> round(open_gate().at(b=0, k=10) * 2**10, 12)
    1.0
    """
    return Law(
        "memory of an LSTM cell, gate at its bias",
        sp.Symbol("M_k"),
        _sigmoid**k,
        lines=(Line("the gates multiply", sp.Product(_sigmoid, (_j, 1, k)), _sigmoid**k),),
        assumes="c' = f c + i g, f = sigmoid(b), the path through the cell alone",
        source="Hochreiter and Schmidhuber (1997)",
    )


def critical_gate() -> Law:
    """With b = log(T - 1) a share 1/e is left after T steps, however long.

    >>> round(critical_gate().at(T=100), 5)
    0.36603
    """
    left = (1 - 1 / T) ** T
    lines = (
        Line("the gate at that bias", sp.Integer(1) / (1 + 1 / (T - 1)), 1 - 1 / T,
             sp.Symbol("sigmoid(log(T - 1))")),
        Line("limit of long sequences", sp.Limit(left, T, sp.oo), sp.exp(-1)),
    )  # fmt: skip
    return Law(
        "memory of an LSTM cell over its horizon, b = log(T - 1)",
        sp.Symbol("M_T"),
        left,
        lines=lines,
        assumes="c' = f c + i g, f = sigmoid(log(T - 1)), the path through the cell alone",
        source="Tallec and Ollivier (2018), arXiv:1804.11188, section 2",
    )


def log_gate(bias: float, spread: float) -> float:
    r"""$\mathrm{E} \log \sigma(b + s z)$, z ~ N(0, 1): the mean log of a forget gate that reads.

    No closed form; a quadrature.  By Jensen it is below
    log sigmoid(b): what a gate reads makes it forget faster.

    Args:
        bias: b.
        spread: s, standard deviation of what the gate reads.

    >>> abs(log_gate(1.0, 0.0) + log1p(exp(-1.0))) < 1e-14
    True
    """
    value, _ = gaussian_means(lambda z: -np.logaddexp(0.0, -(bias + spread * z)))
    return float(value[0])


def gate_at_bias(bias: float) -> float:
    """log sigmoid(b): the control, a gate that is its bias alone."""
    return -log1p(exp(-bias)) if bias > 0 else bias - log(1 + exp(bias))

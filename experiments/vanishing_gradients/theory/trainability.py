"""What theory says of trainability: growth of gradients by depth, escape from a saddle.  No JAX."""

from functools import cache
from math import log

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.theory import mean_field
from diffkit.theory.criticality import critical_initialisation
from diffkit.theory.law import Law, Line
from experiments.vanishing_gradients.theory.depth import VOCABULARY

x, y, eta, delta = sp.symbols("x y eta delta", positive=True)
r = sp.Symbol("r", positive=True)
_t = sp.Symbol("t", positive=True)


def log_growth(activation: str, sigma_w: float, depth: int) -> float:
    """|log of the ratio of squared gradients| over `depth` square layers, from q_1 = 1."""
    name = VOCABULARY.get(activation, activation)
    if name == "relu":  # chi does not depend on q, which may leave every range
        return depth * abs(log(mean_field.layer_gain(name, 1.0, sigma_w)))
    return abs(mean_field.log_gradient_profile(name, 1.0, depth + 1, sigma_w)[0])


def critical(activation: str) -> tuple[float, float]:
    """sigma_w and sigma_b with which gradients are kept, He's scale if there are none."""
    try:
        found = critical_initialisation(VOCABULARY.get(activation, activation))
    except UsageError:  # softplus is critical nowhere
        return 2**0.5, 0.0
    return found.sigma_w, found.sigma_b


@cache
def escape() -> Law:
    """Steps that gradient descent takes to leave a saddle, from a distance delta to r.

    >>> round(escape().at(eta=0.1, delta=1e-4, r=0.5), 1)
    89.4
    """
    f = (x**2 - 1) ** 2 / 4 + y**2 / 2
    at_saddle = {x: 0, y: 0}
    curvature = Line(
        "curvature of f = (x^2 - 1)^2/4 + y^2/2 along x at (0, 0)",
        sp.diff(f, x, 2).subs(at_saddle),
        sp.Integer(-1),
        sp.Symbol("f_xx"),
    )
    steps = sp.log(r / delta) / sp.log(1 + eta)
    reached = Line(
        "x grows by 1 + eta a step: from delta it is r after t steps",
        delta * sp.exp(steps * sp.log(1 + eta)),
        r,
        delta * (1 + eta) ** _t,
    )
    return Law(
        "steps of gradient descent away from a saddle of curvature -1",
        sp.Symbol("t"),
        steps,
        lines=(curvature, reached),
        assumes="f = (x^2 - 1)^2/4 + y^2/2, linearised at the saddle",
        source="Du et al. (2017), arXiv:1705.10412, section 1",
    )


def steps_per_e_fold(rate: float) -> float:
    """Steps that each factor e of less noise costs: 1/log(1 + eta)."""
    return escape().at(eta=rate, delta=1.0, r=2.0) / log(2.0)

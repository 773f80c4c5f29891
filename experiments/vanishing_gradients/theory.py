"""Mean-field prediction of layer-wise gradient norms.  No JAX here.

With h_{l+1} = W_{l+1} phi(h_l) the squared gradient norm is multiplied by
chi(q_l) = sigma_w^2 E[phi'(sqrt(q_l) z)^2] per layer, where q_l is the variance of h_l.
Nothing is fitted: q_1 = 1 because every input has unit mean square.
"""

import sympy as sp

from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.layout import show
from diffkit.theory import mean_field


def log_profile(activation: str, sigma_w: float, depth: int) -> list[float]:
    """Predicted log E||g_l||^2 / E||g_L||^2 for l = 1, ..., L, from q_1 = 1."""
    return mean_field.log_gradient_profile(_name(activation), 1.0, depth, sigma_w)


def control_profile(activation: str, sigma_w: float, depth: int) -> list[float]:
    """The wrong formula of the negative control: sup |phi'|^2 in place of its expectation.

    It is the bound the lectures argue with ("the derivative of ReLU is 1"), taken as an estimate.
    """
    per_layer = 2 * sp.log(sigma_w * steepest(activation))
    return [float(per_layer * (depth - 1 - index)) for index in range(depth)]


def steepest(activation: str) -> float:
    """max |phi'|: 1/4 for sigmoid, 1 for tanh and ReLU, 1.0998 for swish."""
    slope = derivative(mean_field.activation(_name(activation)), mean_field.x)
    values = [abs(float(slope.subs(mean_field.x, sp.Rational(k, 50)).evalf())) for k in _GRID]
    return max(values)


def formula(activation: str) -> str:
    """chi(q) for sigma_w = 1 as LaTeX: a closed form, or the integral where there is none."""
    if _name(activation) in mean_field.CLOSED:
        return show(mean_field.CLOSED[_name(activation)].derivative_square, "latex")
    return r"\mathbb{E}[\phi'(\sqrt{q}\,z)^2]"


_GRID = range(-300, 301)


def _name(activation: str) -> str:
    return {"swish": "silu"}.get(activation, activation)

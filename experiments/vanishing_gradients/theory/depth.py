"""Mean-field prediction of layer-wise gradient norms.  No JAX here.

With h_{l+1} = W_{l+1} phi(h_l) the squared gradient norm is multiplied by
chi(q_l) = sigma_w^2 E[phi'(sqrt(q_l) z)^2] per layer, where q_l is the variance of h_l.
Nothing is fitted: q_1 = 1 because every input has unit mean square.
"""

from collections.abc import Mapping
from math import log

from diffkit.theory import mean_field

#: Names that differ between the vocabulary of formulas and the models.
VOCABULARY: Mapping[str, str] = {"swish": "silu"}


def log_profile(activation: str, sigma_w: float, depth: int) -> list[float]:
    r"""Predicted log E||g_l||^2 / E||g_L||^2 for l = 1, ..., L, from q_1 = 1.

    $$\sum_{k=l}^{L-1} \log \chi(q_k), \quad q_{k+1} = \sigma_w^2 E[\phi(\sqrt{q_k} z)^2]$$
    """
    return mean_field.log_gradient_profile(_name(activation), 1.0, depth, sigma_w)


def control_profile(activation: str, sigma_w: float, depth: int) -> list[float]:
    """The wrong formula of the negative control: sup |phi'|^2 in place of its expectation.

    It is the bound the lectures argue with ("the derivative of ReLU is 1"), taken as an estimate.
    """
    per_layer = 2 * log(sigma_w * mean_field.steepest_slope(_name(activation)))
    return [per_layer * (depth - 1 - index) for index in range(depth)]


def variances(activation: str, sigma_w: float, depth: int) -> list[float]:
    """Predicted q_1 = 1, ..., q_L of the length map."""
    return mean_field.variances(_name(activation), 1.0, depth, sigma_w)


def _name(activation: str) -> str:
    return VOCABULARY.get(activation, activation)

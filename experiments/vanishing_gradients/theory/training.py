"""Predicted spread of back-propagated gradients at the start of training.  No JAX here."""

from math import log

from diffkit.theory import mean_field


def log_ratio(
    activation: str, layers: int, inputs: float, first_sigma_w: float, sigma_w: float
) -> float:
    r"""log of std(dL/dh_1)/std(dL/dh_l) over the hidden layers, $\tfrac12\sum_l\log\chi(q_l)$.

    Args:
        activation: phi.
        layers: Hidden layers, >= 2.
        inputs: Mean square of an input.
        first_sigma_w: sigma_w of the first layer.
        sigma_w: That of the others.
    """
    variances = mean_field.variances(activation, first_sigma_w**2 * inputs, layers, sigma_w)
    return sum(log(mean_field.layer_gain(activation, q, sigma_w)) for q in variances[:-1]) / 2

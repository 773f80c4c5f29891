"""Predicted growth of gradients under batch normalisation.  No JAX here, and nothing is fitted."""

from functools import cache
from math import log

from diffkit.theory import mean_field, normalisation
from diffkit.theory.law import Law


@cache
def laws() -> tuple[Law, Law]:
    """The factor for infinitely many samples, and for B of them."""
    return normalisation.infinite_batch(), normalisation.finite_batch()


def log_growth(batch: int) -> float:
    """log of the factor of E|g|^2 per layer for a batch of B samples."""
    return log(laws()[1].at(B=batch))


def limit() -> float:
    """The same for B to infinity: log(pi/(pi - 1)), the control of small batches."""
    return log(laws()[0].at())


def without_normalisation() -> float:
    """log of the factor of the same layers without normalisation, at He's scale: the control."""
    return log(mean_field.layer_gain("relu", 1.0, 2**0.5))

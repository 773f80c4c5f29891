"""Weight initialisers by the name the field gives them, and the sigma_w each one means.

`sigma_w` is the weight standard deviation times sqrt(fan_in): the number mean-field theory
needs.  For the orthogonal initialiser it is the common singular value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

from flax import nnx
from jax.nn.initializers import Initializer

from diffkit.core.errors import UnknownNameError


@dataclass(frozen=True)
class Initialiser:
    """One initialiser.

    Args:
        name: Name on the command line.
        variance: The weight variance in words, for tables and legends.
        make: Builds the initialiser.
        sigma_w: Weight std times sqrt(fan_in), for (fan_in, fan_out).
    """

    name: str
    variance: str
    make: Callable[[], Initializer]
    sigma_w: Callable[[int, int], float]


def _scaled(scale: float, mode: str, distribution: str) -> Callable[[], Initializer]:
    return lambda: nnx.initializers.variance_scaling(scale, mode, distribution)


INITIALISERS: Mapping[str, Initialiser] = {
    row.name: row
    for row in (
        Initialiser(
            "lecun", "1/n_in", _scaled(1.0, "fan_in", "normal"), lambda fan_in, fan_out: 1.0
        ),
        Initialiser(
            "glorot",
            "2/(n_in + n_out)",
            _scaled(1.0, "fan_avg", "uniform"),
            lambda fan_in, fan_out: sqrt(2 * fan_in / (fan_in + fan_out)),
        ),
        Initialiser(
            "he", "2/n_in", _scaled(2.0, "fan_in", "normal"), lambda fan_in, fan_out: sqrt(2.0)
        ),
        Initialiser(
            "orthogonal",
            "orthogonal, gain 1",
            nnx.initializers.orthogonal,
            lambda fan_in, fan_out: 1.0,
        ),
    )
}


def initialiser(name: str) -> Initialiser:
    """Look up an initialiser.

    Raises:
        UnknownNameError: no such initialiser; the message lists the known ones.
    """
    if name not in INITIALISERS:
        raise UnknownNameError(
            f"no initialiser named {name!r}; known: {', '.join(sorted(INITIALISERS))}"
        )
    return INITIALISERS[name]

r"""Weight initialisers by the name the field gives them, and the sigma_w each one means.

`sigma_w` is the weight standard deviation times sqrt(fan_in): the number mean-field theory needs.
`INITIALISERS` is the table of those that have no parameter; `normal`, `mean_field` and
`orthogonal` make the others.  Wherever a network takes an initialiser it takes a name or a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

from flax import nnx
from jax.nn.initializers import Initializer

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.nets.factorisations import drawn_one_at_a_time


@dataclass(frozen=True)
class Initialiser:
    """One initialiser.

    Args:
        name: Name on the command line.
        variance: The weight variance in words, for tables and legends.
        make: Builds the initialiser of the weights.
        sigma_w: Weight std times sqrt(fan_in), for (fan_in, fan_out).
        sigma_b: Standard deviation of the biases, drawn from N(0, sigma_b^2).
    """

    name: str
    variance: str
    make: Callable[[], Initializer]
    sigma_w: Callable[[int, int], float]
    sigma_b: float = 0.0

    def make_bias(self) -> Initializer:
        """The initialiser of the biases."""
        return nnx.initializers.normal(self.sigma_b) if self.sigma_b else nnx.initializers.zeros


def normal(std: float) -> Initialiser:
    """N(0, std^2), whatever the width: what one did before the width was looked at.

    >>> normal(0.01).sigma_w(10000, 10)
    1.0
    """
    _require_positive(std, "std")
    return Initialiser(
        f"normal {std:g}",
        f"{std:g}^2",
        lambda: nnx.initializers.normal(std),
        lambda fan_in, fan_out: std * sqrt(fan_in),
    )


def mean_field(sigma_w: float, sigma_b: float = 0.0) -> Initialiser:
    """Weights N(0, sigma_w^2/n_in) and biases N(0, sigma_b^2), as Poole et al. (2016) draw them."""
    _require_positive(sigma_w, "sigma_w")
    if not (isfinite(sigma_b) and sigma_b >= 0):
        raise UsageError(f"sigma_b={sigma_b!r}; give a number >= 0")
    return Initialiser(
        f"mean field {sigma_w:g} {sigma_b:g}",
        f"{sigma_w:g}^2/n_in",
        _scaled(sigma_w**2, "fan_in", "normal"),
        lambda fan_in, fan_out: sigma_w,
        sigma_b,
    )


def orthogonal(gain: float = 1.0) -> Initialiser:
    """A uniformly random matrix whose singular values are all equal to the gain.

    A layer that widens, n_out > n_in, keeps lengths and so has entries of variance gain^2/n_out.
    """
    _require_positive(gain, "gain")
    return Initialiser(
        "orthogonal" if gain == 1 else f"orthogonal {gain:g}",
        f"orthogonal, gain {gain:g}",
        lambda: drawn_one_at_a_time(nnx.initializers.orthogonal(gain)),
        lambda fan_in, fan_out: gain * min(1.0, sqrt(fan_in / fan_out)),
    )


def _require_positive(value: float, name: str) -> None:
    if not (isfinite(value) and value > 0):
        raise UsageError(f"{name}={value!r}; give a number > 0")


def _scaled(scale: float, mode: str, distribution: str) -> Callable[[], Initializer]:
    return lambda: nnx.initializers.variance_scaling(scale, mode, distribution)


#: Rule -> variance in words, its scale, over which fan, its sigma_w.
_RULES: Mapping[str, tuple[str, float, str, Callable[[int, int], float]]] = {
    "lecun": ("1/n_in", 1.0, "fan_in", lambda n, m: 1.0),
    "glorot": ("2/(n_in + n_out)", 1.0, "fan_avg", lambda n, m: sqrt(2 * n / (n + m))),
    "he": ("2/n_in", 2.0, "fan_in", lambda n, m: sqrt(2.0)),
}
#: The rules draw from a normal distribution, but for Glorot's, which is published as a uniform one.
_DISTRIBUTIONS: Mapping[str, str] = {
    "lecun": "normal",
    "lecun_uniform": "uniform",
    "lecun_truncated": "truncated_normal",
    "glorot": "uniform",
    "glorot_normal": "normal",
    "glorot_truncated": "truncated_normal",
    "he": "normal",
    "he_uniform": "uniform",
    "he_truncated": "truncated_normal",
}


def _by_rule(name: str) -> Initialiser:
    variance, scale, mode, sigma_w = _RULES[name.partition("_")[0]]
    return Initialiser(name, variance, _scaled(scale, mode, _DISTRIBUTIONS[name]), sigma_w)


INITIALISERS: Mapping[str, Initialiser] = {
    row.name: row
    for row in (
        *map(_by_rule, _DISTRIBUTIONS),
        # U[-1/sqrt(n), 1/sqrt(n)]: the common heuristic of Glorot and Bengio (2010), eq. 1.
        Initialiser(
            "standard",
            "1/(3 n_in)",
            _scaled(1 / 3, "fan_in", "uniform"),
            lambda fan_in, fan_out: sqrt(1 / 3),
        ),
        orthogonal(),
    )
}


def initialiser(which: str | Initialiser) -> Initialiser:
    """Look up an initialiser by its name; one that is a row already is returned as it is.

    Raises:
        UnknownNameError: no such initialiser; the message lists the known ones.
    """
    if isinstance(which, Initialiser):
        return which
    if which not in INITIALISERS:
        raise UnknownNameError(
            f"no initialiser named {which!r}; {did_you_mean(which, INITIALISERS)}known: "
            f"{', '.join(sorted(INITIALISERS))}; normal, mean_field and orthogonal make others"
        )
    return INITIALISERS[which]

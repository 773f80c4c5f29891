"""Sample points of a domain: the simple numbers first, then random ones; same seed, same points."""

from collections.abc import Iterator
from fractions import Fraction
from math import inf

import numpy as np

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.numeric.ulps import exponent_uniform

_SIMPLE = tuple(
    Fraction(text)
    for text in "1 -1 1/2 -1/2 2 -2 0 3 -3 1/4 3/4 -1/4 3/2 -3/2 5 -5 10 -10 1/8 7/8".split()
)
_WINDOW = 4.0  # where the uniform points lie when the domain is unbounded


def sample(domain: Domain, count: int, seed: int = 0) -> list[Fraction]:
    """Return `count` distinct points of `domain`, each the exact value of a double or integer.

    A third are simple numbers (a refutation at x = 1 reads best), a third uniform on the domain
    cut to [-4, 4], a third uniform over exponents.

    Args:
        domain: A set of numbers, no matrix set.
        count: How many, >= 1; fewer come back when the domain has fewer (a small set of integers).
        seed: Same seed, same points.

    Raises:
        UsageError: the domain is a set of matrices.

    >>> sample(Domain.parse("(0, 1)"), 3, seed=1)[0]
    Fraction(1, 2)
    """
    if domain.matrix_set:
        raise UsageError(
            f"{domain} is a set of arrays; sample its entries where the arrays are made"
        )
    rng = np.random.default_rng(seed)
    found: dict[Fraction, None] = {}
    sources = [_simple(domain), _uniform(domain, rng), _exponents(domain, rng)]
    for _ in range(40 * count):
        for source in sources:
            point = next(source, None)
            if point is not None and domain.contains(point):
                found.setdefault(point)
            if len(found) >= count:
                return list(found)
    return list(found)


def _simple(domain: Domain) -> Iterator[Fraction]:
    for point in _SIMPLE:
        if domain.contains(point):
            yield point
    if domain.low > -inf and domain.high < inf and not domain.integer:
        middle = (domain.low + domain.high) / 2
        yield Fraction(float(middle))


def _window(domain: Domain) -> tuple[float, float]:
    low = float(domain.low) if domain.low > -inf else min(-_WINDOW, float(domain.high) - _WINDOW)
    high = float(domain.high) if domain.high < inf else max(_WINDOW, low + _WINDOW)
    return low, high


def _uniform(domain: Domain, rng: np.random.Generator) -> Iterator[Fraction]:
    low, high = _window(domain)
    while True:
        x = float(rng.uniform(low, high))
        yield Fraction(round(x)) if domain.integer else Fraction(x)


def _exponents(domain: Domain, rng: np.random.Generator) -> Iterator[Fraction]:
    low = max(float(domain.low), -1e6)
    high = min(float(domain.high), 1e6)
    if low > high:
        low, high = float(domain.low), float(domain.high)
    while True:
        (x,) = exponent_uniform(low, high, 1, rng, smallest=1e-12)
        yield Fraction(round(x)) if domain.integer else Fraction(x)

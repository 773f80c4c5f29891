"""Which points a claim of scalars is judged at: simple ones first, so counterexamples are small.

A point is a dict name -> exact `Fraction`.  Points come in three kinds: those the user
gave, a lattice of simple numbers ordered by how simple the whole point is, and random
points whose exponents are drawn uniformly (the order of magnitude is the interesting
coordinate of a real number).
"""

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import inf
from typing import Any

from diffkit.core.domain import Domain
from diffkit.core.errors import DomainError, UsageError

Point = dict[str, Fraction]

#: In the order a person would try them.
SIMPLE = tuple(
    Fraction(text)
    for text in "0 1 -1 2 1/2 -2 -1/2 3 1/3 -3 1/4 3/4 -1/3 3/2 4 -4 5 -5 2/3 1/10 10 -10".split()
)
#: Bits of a random significand: few enough to print, enough to be generic.
SIGNIFICAND = 16


def points(
    domains: Mapping[str, Domain],
    *,
    given: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    count: int = 48,
) -> Iterator[Point]:
    """Yield `count` points of the product of `domains`, the given ones first.

    Raises:
        UsageError: a given point names another variable or holds no finite number.
        DomainError: a given point lies outside its domain.
    """
    for point in given:
        yield exact(point, domains)
    lattice_count = count // 2
    yield from _lattice(domains, lattice_count)
    generator = random.Random(seed)
    for _ in range(count - lattice_count):
        yield {name: draw(domain, generator) for name, domain in domains.items()}


def exact(point: Mapping[str, Any], domains: Mapping[str, Domain]) -> Point:
    """A user's point as exact numbers, checked against the names and domains."""
    if set(point) != set(domains):
        raise UsageError(
            f"a point must give exactly {', '.join(sorted(domains))}; "
            f"got {', '.join(sorted(point))}"
        )
    return {name: _exact(name, point[name], domain) for name, domain in domains.items()}


def _exact(name: str, value: Any, domain: Domain) -> Fraction:
    try:
        number = Fraction(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise UsageError(f"{name} = {value!r} is no finite number; give one such as 0.5") from None
    if not domain.contains(number):
        raise DomainError(
            f"{name} = {value} lies outside its domain {domain}; give a point inside it"
        )
    return number


def _lattice(domains: Mapping[str, Domain], count: int) -> Iterator[Point]:
    """Points of simple numbers, by increasing sum of ranks: (0, 0), (1, 0), (0, 1), (-1, 0), ..."""
    names = sorted(domains)
    values = [_simple(domains[name]) for name in names]
    start = (0,) * len(names)
    queue: list[tuple[int, tuple[int, ...]]] = [(0, start)]
    seen = {start}
    while queue and count > 0:
        rank, ranks = heapq.heappop(queue)
        yield {name: values[i][r] for i, (name, r) in enumerate(zip(names, ranks, strict=True))}
        count -= 1
        for i, current in enumerate(ranks):
            following = (*ranks[:i], current + 1, *ranks[i + 1 :])
            if current + 1 < len(values[i]) and following not in seen:
                seen.add(following)
                heapq.heappush(queue, (rank + 1, following))


def _simple(domain: Domain) -> list[Fraction]:
    """The simple numbers of a domain; for a narrow interval, simple fractions of it."""
    found = [value for value in SIMPLE if domain.contains(value)]
    if len(found) < 6 and domain.low > -inf and domain.high < inf:
        low, width = Fraction(domain.low), Fraction(domain.high) - Fraction(domain.low)
        inside = [low + width * part for part in (Fraction(k, 8) for k in (4, 2, 6, 1, 7, 3, 5))]
        found += [value for value in inside if value not in found and domain.contains(value)]
    if len(found) < 6 and domain.high == inf and domain.low > -inf:
        found += [v for k in range(1, 12) if domain.contains(v := Fraction(domain.low) + k)]
    if len(found) < 6 and domain.low == -inf and domain.high < inf:
        found += [v for k in range(1, 12) if domain.contains(v := Fraction(domain.high) - k)]
    if not found:
        raise DomainError(f"no number could be drawn from {domain}; give points=[...]")
    return list(dict.fromkeys(found))


def draw(domain: Domain, generator: random.Random) -> Fraction:
    """One random number of a domain: uniform near the origin, or uniform over exponents."""
    if domain.integer:
        low = max(domain.low, -9) if domain.low > -inf or domain.high == inf else domain.high - 18
        value = Fraction(generator.randint(int(low), int(min(domain.high, low + 18))))
        return value if domain.contains(value) else _simple(domain)[0]
    if domain.low > -inf and domain.high < inf:
        part = Fraction(generator.randint(1, 2**SIGNIFICAND - 1), 2**SIGNIFICAND)
        return Fraction(domain.low) + part * (Fraction(domain.high) - Fraction(domain.low))
    size = Fraction(generator.randint(1, 2**SIGNIFICAND), 2**SIGNIFICAND)
    exponent = (
        generator.choice((0, 1, 2)) if generator.random() < 0.6 else generator.randint(-10, 6)
    )
    size *= Fraction(2) ** exponent
    if domain.low > -inf:
        return Fraction(domain.low) + size
    if domain.high < inf:
        return Fraction(domain.high) - size
    return size if generator.random() < 0.5 else -size

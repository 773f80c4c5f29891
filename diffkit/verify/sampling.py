"""Which points a JAX function is judged at, and which it is only watched at.

Judged: the user's point first, then points near it and points over the domain; only the
differentiated argument moves, unless another argument is known by its shape alone.
Watched (adversarial): simple numbers where ties and removable singularities sit, and numbers
of every order of magnitude; what happens there is a finding and never the status.
"""

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from diffkit.bridge.subject import Subject
from diffkit.core.domain import Domain
from diffkit.core.errors import DomainError, UsageError
from diffkit.numeric import matrix_sets
from diffkit.verify.points import SIMPLE, draw

Leaves = tuple[np.ndarray, ...]

JUDGED = {"fast": 12, "full": 96}
WATCHED = {"fast": 48, "full": 400}


def given(
    subject: Subject, domains: Mapping[str, Domain], points: Sequence[Mapping[str, Any]]
) -> list[Leaves]:
    """The user's own points: the example arguments, unless they are shapes, then `points`."""
    found = []
    if not subject.is_shape_only[subject.wrt]:
        found.append(_filled(subject, {}, domains, random.Random(0)))
    for point in points:
        strangers = set(point) - set(subject.names)
        if strangers:
            raise UsageError(
                f"a point names {', '.join(sorted(strangers))}; the arguments are "
                f"{', '.join(subject.names)}"
            )
        found.append(_filled(subject, point, domains, random.Random(0)))
    for leaves in found:
        _check(subject, leaves, domains)
    return found


def judged(
    subject: Subject,
    domains: Mapping[str, Domain],
    points: Sequence[Mapping[str, Any]],
    *,
    seed: int,
    budget: str,
) -> tuple[list[Leaves], int]:
    """All points that decide the status, the user's first, and how many are the user's."""
    generator = random.Random(seed)
    found = given(subject, domains, points)
    mine = len(found)
    where = domains.get(subject.variable, Domain())
    for number in range(JUDGED[budget]):
        base = _filled(subject, {}, domains, generator)
        is_near = found and number % 2 == 0 and not subject.is_shape_only[subject.wrt]
        moved = (
            _near(base[subject.wrt], where, generator)
            if is_near
            else _drawn(base[subject.wrt].shape, where, generator)
        )
        found.append(_replaced(subject, base, moved))
    return found, mine


def watched(
    subject: Subject, domains: Mapping[str, Domain], *, seed: int, budget: str
) -> list[Leaves]:
    """Adversarial points: simple numbers, then both signs of every order of magnitude."""
    generator = random.Random(seed + 1)
    where = domains.get(subject.variable, Domain())
    if where.matrix_set:
        return []
    base = _filled(subject, {}, domains, generator)
    shape = base[subject.wrt].shape
    numbers = [value for value in SIMPLE if where.contains(value)]
    for _ in range(WATCHED[budget]):
        size = Fraction(generator.uniform(1, 2)) * Fraction(2) ** generator.randint(-40, 8)
        value = size if generator.random() < 0.5 else -size
        if where.low > -inf and where.high < inf:
            value = Fraction(float(draw(where, generator)))
        if where.contains(value):
            numbers.append(value)
    return [_replaced(subject, base, np.full(shape, float(value))) for value in numbers]


def _filled(
    subject: Subject,
    point: Mapping[str, Any],
    domains: Mapping[str, Domain],
    generator: random.Random,
) -> Leaves:
    """The example values with `point` put in and shapes filled from the domain."""
    leaves = []
    for name, value, is_shape in zip(
        subject.names, subject.values, subject.is_shape_only, strict=True
    ):
        if name in point:
            array = np.asarray(point[name], dtype=value.dtype)
            if array.shape != value.shape:
                raise UsageError(f"point {name} has shape {array.shape}, expected {value.shape}")
            leaves.append(array)
        elif is_shape and np.issubdtype(value.dtype, np.floating):
            leaves.append(_drawn(value.shape, domains.get(name, Domain()), generator))
        else:
            leaves.append(value)
    return tuple(leaves)


def _drawn(shape: tuple[int, ...], domain: Domain, generator: random.Random) -> np.ndarray:
    if domain.matrix_set:
        return matrix_sets.draw(domain, shape, np.random.default_rng(generator.getrandbits(64)))
    count = int(np.prod(shape))
    return np.array([float(draw(domain, generator)) for _ in range(count)]).reshape(shape)


def _near(value: np.ndarray, domain: Domain, generator: random.Random) -> np.ndarray:
    """`value` moved by up to an eighth of its own size (of 1 at zero), inside the domain."""
    if domain.matrix_set:
        return _drawn(value.shape, domain, generator)
    moved = np.array(value)
    for index in np.ndindex(*value.shape):
        step = generator.uniform(-0.125, 0.125) * (abs(float(value[index])) or 1.0)
        candidate = float(value[index]) + step
        moved[index] = candidate if domain.contains(candidate) else float(value[index])
    return moved


def _replaced(subject: Subject, leaves: Leaves, moved: np.ndarray) -> Leaves:
    return (*leaves[: subject.wrt], moved, *leaves[subject.wrt + 1 :])


def _check(subject: Subject, leaves: Leaves, domains: Mapping[str, Domain]) -> None:
    for name, leaf in zip(subject.names, leaves, strict=True):
        domain = domains.get(name)
        if domain is None:
            continue
        if domain.matrix_set:
            if not matrix_sets.belongs(leaf, domain):
                raise DomainError(f"{name} is not {domain}; give a point inside its domain")
            continue
        for value in np.ravel(leaf):
            if not domain.contains(float(value)):
                raise DomainError(
                    f"{name} = {float(value):g} lies outside its domain {domain}; "
                    "give a point inside it"
                )

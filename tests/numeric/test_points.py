"""Sample points: inside the domain, simple ones first, the same for the same seed."""

import pytest

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.numeric.points import sample


@pytest.mark.parametrize(
    "text", ["real", "positive", "(0, 1)", "[3, oo)", "(-oo, -100)", "[5, 7]", "integer", "natural"]
)
def test_points_lie_in_the_domain_and_are_distinct(text: str):
    domain = Domain.parse(text)
    points = sample(domain, 24, seed=3)
    assert len(set(points)) == len(points) == 24
    assert all(domain.contains(point) for point in points)


def test_the_same_seed_gives_the_same_points_and_another_seed_others():
    real = Domain()
    assert sample(real, 12, seed=1) == sample(real, 12, seed=1)
    assert sample(real, 12, seed=1) != sample(real, 12, seed=2)


def test_the_first_point_is_simple():
    assert sample(Domain(), 1) == [1]
    assert sample(Domain.parse("(0, 1/2)"), 1)[0].denominator <= 8


def test_a_set_of_matrices_has_no_sample_points():
    with pytest.raises(UsageError):
        sample(Domain.parse("spd"), 3)

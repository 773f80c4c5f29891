from fractions import Fraction
from itertools import islice
from math import inf

import pytest

from diffkit.core.domain import Domain
from diffkit.core.errors import DomainError, UsageError
from diffkit.verify.points import points

DOMAINS = (
    "real positive nonnegative negative nonpositive probability integer natural (0,1/1000) "
    "[3,3] (100,oo) (-oo,-100) [-1,1] (1e-30,1e-29)"
).split()


@pytest.mark.parametrize("text", [*DOMAINS, "positive integer"])
def test_every_point_lies_in_its_domain(text: str):
    domain = Domain.parse(text)
    found = [point["x"] for point in points({"x": domain}, count=200)]
    assert all(domain.contains(value) for value in found)
    assert all(isinstance(value, Fraction) for value in found)
    assert found


def test_simple_numbers_come_first_and_jointly():
    real = {"x": Domain(), "y": Domain()}
    found = [(p["x"], p["y"]) for p in islice(points(real, count=48), 6)]
    assert found[0] == (0, 0)
    assert set(found[1:3]) == {(1, 0), (0, 1)}


def test_random_points_reach_many_orders_of_magnitude_and_both_signs():
    found = [point["x"] for point in points({"x": Domain()}, count=400)]
    sizes = [abs(value) for value in found if value]
    assert max(sizes) / min(sizes) > 10**6
    assert min(found) < 0 < max(found)


def test_the_same_seed_draws_the_same_points():
    def drawn(seed: int) -> list:
        return list(points({"x": Domain()}, seed=seed, count=48))

    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)
    assert drawn(4)[:20] == drawn(5)[:20]  # the simple ones


def test_given_points_come_before_all_others_and_exactly():
    found = points({"x": Domain()}, given=[{"x": 0.1}, {"x": "1/3"}], count=4)
    assert list(islice(found, 2)) == [{"x": Fraction(0.1)}, {"x": Fraction(1, 3)}]


@pytest.mark.parametrize(
    ("given", "domain", "error"),
    [
        ({"y": 1}, "real", UsageError),
        ({"x": 1, "y": 1}, "real", UsageError),
        ({}, "real", UsageError),
        ({"x": inf}, "real", UsageError),
        ({"x": "one"}, "real", UsageError),
        ({"x": None}, "real", UsageError),
        ({"x": 0}, "positive", DomainError),
        ({"x": 0.5}, "integer", DomainError),
    ],
)
def test_a_given_point_that_cannot_be_judged_is_refused(given, domain, error):
    with pytest.raises(error):
        next(points({"x": Domain.parse(domain)}, given=[given]))


def test_a_question_without_symbols_has_one_point():
    assert next(points({}, count=48)) == {}

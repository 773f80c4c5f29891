"""Moments, sums without rounding, and the sequential test: level, power, and what it refuses."""

from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.core.errors import UsageError
from diffkit.numeric.moments import Moments
from diffkit.numeric.rational import weighted_sum
from diffkit.numeric.sequential import FIRST_LOOK, Look, Plan, critical_value, look
from diffkit.numeric.statistics import normal_quantile

REPLICATES = 2000
#: Name -> (sampler, true mean): symmetric, skewed, rare, heavy-tailed, without variance.
DRAWS = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
    "rare event": (lambda rng, size: (rng.random(size) < 0.01) * 1.0, 0.01),
    "rarer event": (lambda rng, size: (rng.random(size) < 0.001) * 1.0, 0.001),
    "student t, 3": (lambda rng, size: rng.standard_t(3, size=size), 0.0),
    "pareto 2.5": (lambda rng, size: rng.pareto(2.5, size=size), 1 / 1.5),
    "pareto 1.5": (lambda rng, size: rng.pareto(1.5, size=size), 2.0),
    "lognormal 1.5": (lambda rng, size: np.exp(1.5 * rng.normal(size=size)), np.exp(1.125)),
}


def exact_moments(column: list[float]) -> tuple[Fraction, Fraction, Fraction]:
    values = [Fraction(x) for x in column]
    mean = sum(values) / len(values)
    return mean, *(sum((x - mean) ** k for x in values) for k in (2, 3))


def looks(rng: np.random.Generator, sampler, plan: Plan):
    """Moments of `REPLICATES` independent series at each look of a plan."""
    total = None
    for size in plan.looks:
        have = total.count if total else 0
        block = Moments.of(sampler(rng, (size - have, REPLICATES)))
        total = total.merge(block) if total else block
        yield total


def binomial_limit(rate: float, count: int, chance: float = 1e-6) -> int:
    """A k with P(Binomial(count, rate) >= k) <= chance, by Chernoff's bound."""
    for k in range(int(count * rate) + 1, count):
        q = k / count
        if count * (q * log(q / rate) + (1 - q) * log((1 - q) / (1 - rate))) >= -log(chance):
            return k
    return count


# --- moments ------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=3, max_size=30).flatmap(
        lambda xs: st.tuples(st.just(xs), st.integers(1, len(xs) - 1))
    )
)
def test_merged_moments_are_those_of_all_draws_in_rational_arithmetic(case):
    column, cut = case
    table = np.array(column)[:, None]
    found = Moments.of(table[:cut]).merge(Moments.of(table[cut:]))
    mean, second, third = (float(x) for x in exact_moments(column))
    size = max(abs(x) for x in column) or 1.0
    assert found.count == len(column)
    assert abs(found.mean[0] - mean) <= 1e-14 * size
    assert abs(found.second[0] - second) <= 1e-12 * size**2 * len(column)
    assert abs(found.third[0] - third) <= 1e-12 * size**3 * len(column)


def test_a_large_common_value_cancels_nothing(rng):
    # steps of 1/8 beside 2^30 are exact floats, so the spread is known exactly
    steps = rng.integers(-4, 5, size=(4096, 1)) / 8
    found = Moments.of(steps[:1000] + 2.0**30).merge(Moments.of(steps[1000:] + 2.0**30))
    _, second, _ = exact_moments(steps[:, 0].tolist())
    # a mean near 2^30 is rounded to a multiple of u; so is the difference of the two means
    u, delta = np.spacing(2.0**30), abs(steps[:1000].mean() - steps[1000:].mean())
    assert abs(found.second[0] - float(second)) <= (2 * delta * u + u * u) * 1000 * 3096 / 4096
    naive = np.sum((steps + 2.0**30) ** 2) - np.sum(steps + 2.0**30) ** 2 / len(steps)
    assert abs(naive / float(second) - 1) > 1e-3  # the control: E x^2 - (E x)^2 is lost


def test_draws_that_are_all_equal_have_no_spread():
    found = Moments.of(np.full((999, 1), 0.1)).merge(Moments.of(np.full((7, 1), 0.1)))
    assert found.second[0] == found.skewness[0] == found.leverage[0] == 0
    assert found.is_constant[0]
    assert found.mean[0] == 0.1


def test_leverage_is_the_share_of_the_most_extreme_draw():
    found = Moments.of(np.array([0.0, 0.0, 0.0, 4.0])[:, None])  # mean 1, squares 1 1 1 9
    assert found.leverage[0] == pytest.approx(9 / 12)


@pytest.mark.parametrize("draws", [np.zeros((0, 2)), np.zeros(3), 1.0])
def test_moments_of_no_table_are_refused(draws):
    with pytest.raises(UsageError, match="shape"):
        Moments.of(draws)


# --- sums without rounding ----------------------------------------------------------------------


@given(st.data())
def test_a_weighted_sum_is_exact(data):
    count = data.draw(st.integers(1, 6))
    fraction = st.fractions(0, 1, max_denominator=10**6)
    weights = data.draw(st.lists(fraction, min_size=count, max_size=count))
    number = st.floats(allow_nan=False, allow_infinity=False)
    values = data.draw(st.lists(st.tuples(number, number), min_size=count, max_size=count))
    expected = tuple(
        sum(w * Fraction(row[j]) for w, row in zip(weights, values, strict=True)) for j in (0, 1)
    )
    assert weighted_sum(weights, np.array(values)) == expected


def test_a_weighted_sum_sees_what_floats_lose():
    values = np.array([[1e300], [1.0], [-1e300]])
    assert weighted_sum([Fraction(1)] * 3, values) == (1,)
    assert values.sum() == 0.0  # the control


# --- critical values ----------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1e-2, 1e-4, 1e-6])
def test_the_critical_value_is_above_the_normal_quantile_and_near_it(level: float):
    found = float(critical_value(level, 0.0, 10**6))
    exact = normal_quantile(1 - level)
    assert exact < found < 1.05 * exact


def test_skewness_raises_the_critical_value_until_none_is_left():
    found = critical_value(1e-4, [0.0, 1.0, 5.0, 1000.0, np.nan], 10_000)
    assert found[0] < found[1] < found[2] < np.inf
    assert np.isinf(found[3:]).all()


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_level_that_is_none_is_refused(level: float):
    with pytest.raises(UsageError, match="level"):
        critical_value(level, 0.0, 100)


def test_looks_double_and_end_at_the_last_draw():
    assert Plan(0.05, 0.9, 1, 500).looks == (500,)
    assert Plan(0.05, 0.9, 1, FIRST_LOOK).looks == (FIRST_LOOK,)
    plan = Plan(0.05, 0.9, 3, 5 * FIRST_LOOK)
    assert plan.looks == (1024, 2048, 4096, 5120)
    assert plan.level * 2 * 3 * 4 == pytest.approx(0.05)


# --- level and power ----------------------------------------------------------------------------


@pytest.mark.statistical
@pytest.mark.parametrize("name", DRAWS)
def test_a_true_mean_is_refuted_no_more_often_than_alpha(name: str, rng):
    """Fails by chance with probability 1e-6 a case if the rate is alpha exactly."""
    sampler, mean = DRAWS[name]
    plan = Plan(alpha=0.05, power=0.9, tests=1, most=8 * FIRST_LOOK)
    claimed, zero, one = np.full(REPLICATES, mean), np.zeros(REPLICATES), np.ones(REPLICATES)
    refuted = np.zeros(REPLICATES, dtype=bool)
    for moments in looks(rng, sampler, plan):
        refuted |= look(moments, claimed, zero, one, plan).refuted
    assert refuted.sum() <= binomial_limit(plan.alpha, REPLICATES)


@pytest.mark.statistical
def test_a_fixed_size_test_at_every_look_would_refute_more_often_than_alpha(rng):
    """The control of the test above; fails by chance with probability below 1e-6."""
    plan = Plan(alpha=0.05, power=0.9, tests=1, most=8 * FIRST_LOOK)
    refuted = np.zeros(REPLICATES, dtype=bool)
    for moments in looks(rng, DRAWS["normal"][0], plan):
        refuted |= np.abs(moments.mean) > normal_quantile(0.975) * moments.standard_error
    assert refuted.sum() > binomial_limit(plan.alpha, REPLICATES)


@pytest.mark.statistical
def test_without_the_correction_skewed_draws_would_be_refuted_too_often(rng):
    """The control of the skewness correction; fails by chance with probability below 1e-6."""
    moments = Moments.of(DRAWS["rare event"][0](rng, (FIRST_LOOK, REPLICATES)))
    z = (moments.mean - 0.01) / moments.standard_error
    level = 1e-3
    assert (z < -normal_quantile(1 - level)).sum() > binomial_limit(level, REPLICATES)
    corrected = critical_value(level, moments.skewness, moments.count)
    assert (z < -corrected).sum() <= binomial_limit(level, REPLICATES)


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["normal", "exponential"])
def test_a_bias_of_the_detectable_size_is_supported_no_more_often_than_the_power_allows(
    name: str, rng
):
    """Fails by chance with probability 1e-6 a case if the rate is 1 - power exactly."""
    sampler, mean = DRAWS[name]
    plan = Plan(alpha=0.01, power=0.9, tests=1, most=16 * FIRST_LOOK)
    detectable, zero = np.full(REPLICATES, 0.06), np.zeros(REPLICATES)
    claimed = mean - detectable
    refuted, supported = np.zeros((2, REPLICATES), dtype=bool)
    for moments in looks(rng, sampler, plan):
        found: Look = look(moments, claimed, zero, detectable, plan)
        refuted |= found.refuted & ~supported
        supported |= found.powered & ~refuted
    assert (refuted | supported).all()
    assert 0 < supported.sum() <= binomial_limit(1 - plan.power, REPLICATES)


def test_heavy_tails_decide_nothing(rng):
    plan = Plan(alpha=0.05, power=0.9, tests=1, most=FIRST_LOOK)
    moments = Moments.of(rng.standard_cauchy(size=(FIRST_LOOK, 200)))
    found = look(moments, np.full(200, 1e6), np.zeros(200), np.full(200, 1e9), plan)
    # a share of one draw below 5 % needs luck a Cauchy draw seldom has
    assert found.reliable.mean() < 0.05
    assert not (found.refuted & ~found.reliable).any()
    assert not (found.powered & ~found.reliable).any()


def test_the_allowed_difference_is_allowed(rng):
    plan = Plan(alpha=0.01, power=0.9, tests=1, most=4 * FIRST_LOOK)
    moments = Moments.of(1 + 0.01 * rng.normal(size=(4 * FIRST_LOOK, 1)))
    one = np.ones(1)
    assert look(moments, 0.9 * one, 0.05 * one, one, plan).refuted[0]
    assert not look(moments, 0.9 * one, 0.11 * one, one, plan).refuted[0]


def test_a_bias_hidden_by_the_allowed_difference_is_never_excluded(rng):
    plan = Plan(alpha=0.01, power=0.9, tests=1, most=4 * FIRST_LOOK)
    moments = Moments.of(rng.normal(size=(4 * FIRST_LOOK, 1)) * 1e-6)
    zero = np.zeros(1)
    assert look(moments, zero, zero + 0.1, zero + 0.2, plan).powered[0]
    assert not look(moments, zero, zero + 0.2, zero + 0.2, plan).powered[0]

"""`dk.verify_estimator`: proofs by enumeration, the sequential test, and what it refuses."""

import functools
import json
from fractions import Fraction
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.backend import compat
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict
from diffkit.estimators.cases import groups
from diffkit.estimators.kl_penalty import k2, k3, penalty_gradient
from diffkit.estimators.score_function import group_normalised, leave_one_out, score_gradient

# Arm 0 pays 1, arm 1 pays 0.9, arm 2 is a lottery: 20 one time in ten, so 2 on average.
OUTCOMES = [
    (Fraction(1, 3), (0, 1.0)),
    (Fraction(1, 3), (1, 0.9)),
    (Fraction(3, 10), (2, 0.0)),
    (Fraction(1, 30), (2, 20.0)),
]
MEAN_REWARD = (Fraction(1), Fraction(9, 10), Fraction(2))
LOGITS = np.zeros(3, np.float32)
POLICY, REFERENCE = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])


def fractions(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


def reward_gradient() -> np.ndarray:
    """d/d logits of the mean reward at the uniform policy: pi_a (r_a - J)."""
    mean = sum(MEAN_REWARD) / 3
    return fractions((reward - mean) / 3 for reward in MEAN_REWARD)


def win_gradient() -> np.ndarray:
    """The same for the reward "beats an independent rival" minus "loses to it"."""
    margin = [Fraction(0)] * 3
    for (p, (arm, mine)), (q, (_, other)) in product(OUTCOMES, repeat=2):
        margin[arm] += p * q * ((mine > other) - (mine < other))
    total = sum(margin)
    # sum_a w_a pi_a (e_a - pi), with the pi_a already inside the margins
    return fractions(each - total / 3 for each in margin)


def log_policy(logits, arm):
    return jax.nn.log_softmax(logits)[arm]


def rloo(case):
    arms, rewards = case
    return score_gradient(log_policy, LOGITS, arms, leave_one_out(rewards))


def grpo(case):
    arms, rewards = case
    return score_gradient(log_policy, LOGITS, arms, group_normalised(rewards))


def played(estimator, size: int):
    """The estimator as a function of a key: plays `size` independent rounds."""

    def estimate(key):
        arm_key, luck_key = jax.random.split(key)
        arms = jax.random.randint(arm_key, (size,), 0, 3)
        wins = jax.random.uniform(luck_key, (size,)) < 0.1
        paid = jnp.where(arms == 0, 1.0, jnp.where(arms == 1, 0.9, jnp.where(wins, 20.0, 0.0)))
        return estimator((arms, paid))

    return estimate


def noisy(center, scale=1.0):
    """A draw: the center plus normal noise."""
    return lambda key: jnp.asarray(center) + scale * jax.random.normal(key, jnp.shape(center))


def numpy_mean(estimator, size: int) -> np.ndarray:
    """The mean over all groups in float64 without JAX: softmax score e_a - 1/3."""
    total = np.zeros(3)
    for group in product(OUTCOMES, repeat=size):
        rewards = np.array([paid for _, (_, paid) in group])
        scores = np.eye(3)[[arm for _, (arm, _) in group]] - 1 / 3
        weight = float(np.prod([float(p) for p, _ in group]))
        total += weight * (estimator(rewards) @ scores) / size
    return total


# --- the two demonstrations ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4])
def test_group_normalised_advantages_point_downhill_and_leave_one_out_is_proved(size: int):
    exact, support = reward_gradient(), groups(OUTCOMES, size)
    wrong = dk.verify_estimator(grpo, exact, support=support)
    found = wrong.candidates["exact"]

    def normalised(rewards):
        spread = rewards.std()
        return (rewards - rewards.mean()) / spread if spread else 0 * rewards

    expected, truth = numpy_mean(normalised, size), exact.astype(float)
    assert wrong.status == "refuted"
    assert np.allclose(found.mean, expected, atol=1e-6)
    angle = expected @ truth / np.linalg.norm(expected) / np.linalg.norm(truth)
    assert found.cosine == pytest.approx(angle, abs=1e-5)
    assert found.cosine < -0.7
    assert found.points_away
    assert "points the other way" in str(wrong)

    right = dk.verify_estimator(rloo, exact, support=support)
    assert right.status == "proved"
    assert right.samples == 4**size
    assert not right.candidates["exact"].points_away
    assert float(np.abs(right.candidates["exact"].bias).max()) < 1e-7


def test_groups_of_two_estimate_the_gradient_of_the_win_rate():
    candidates = {"mean reward": reward_gradient(), "win rate": win_gradient()}
    verdict = dk.verify_estimator(grpo, candidates, support=groups(OUTCOMES, 2))
    assert verdict.status == "proved"
    assert "= win rate" in verdict.statement
    assert [each.status for each in verdict.candidates.values()] == ["refuted", "proved"]


def test_the_bandit_judged_by_draws_gives_the_same_answers(key):
    exact = reward_gradient().astype(float)
    wrong = dk.verify_estimator(played(grpo, 4), exact, key=key, detectable=0.05)
    right = dk.verify_estimator(played(rloo, 4), exact, key=key, detectable=0.05)
    assert wrong.status == "refuted"
    assert wrong.candidates["exact"].points_away
    assert right.status == "supported"
    assert right.samples > wrong.samples


def divergence(p, q):
    return jnp.sum(p * (jnp.log(p) - jnp.log(q)))


def divergence_gradients() -> dict[str, np.ndarray]:
    """Both gradients at the policy, from formulas: pi (log pi/rho - KL), and pi - rho."""
    ratio = np.log(POLICY / REFERENCE)
    return {
        "KL(policy || reference)": POLICY * (ratio - POLICY @ ratio),
        "KL(reference || policy)": POLICY - REFERENCE,
    }


@pytest.mark.parametrize(
    ("penalty", "expected"), [(k3, "KL(reference || policy)"), (k2, "KL(policy || reference)")]
)
def test_named_candidates_tell_which_divergence_a_penalty_follows(penalty, expected: str, key):
    logits, log_reference = jnp.log(POLICY), jnp.log(REFERENCE)

    def penalised(key):
        draws = jax.random.categorical(key, logits, shape=(8,))
        return penalty_gradient(penalty, log_policy, lambda arm: log_reference[arm], logits, draws)

    candidates = divergence_gradients()
    for name, gradient in candidates.items():
        other = {
            "KL(policy || reference)": lambda z: divergence(jax.nn.softmax(z), REFERENCE),
            "KL(reference || policy)": lambda z: divergence(REFERENCE, jax.nn.softmax(z)),
        }[name]
        assert np.allclose(gradient, jax.grad(other)(logits), atol=1e-6)
    verdict = dk.verify_estimator(penalised, candidates, key=key)
    assert verdict.status == "supported"
    assert f"= {expected}," in verdict.statement
    (refuted,) = (n for n, each in verdict.candidates.items() if each.status == "refuted")
    assert refuted != expected


# --- enumeration --------------------------------------------------------------------------------


def die(side):
    return side * 1.0


DIE = [(Fraction(1, 6), side) for side in range(1, 7)]


def test_an_exact_mean_in_rational_arithmetic_is_proved_with_bias_zero():
    verdict = dk.verify_estimator(die, Fraction(7, 2), support=DIE)
    assert verdict.status == "proved"
    assert verdict.candidates["exact"].bias[0] == 0
    assert "exactly 0" in verdict.scope
    assert verdict.total_variance == pytest.approx(35 / 12)


@pytest.mark.parametrize("off", [1e-3, -1e-3])
def test_a_small_bias_is_refuted_by_enumeration(off: float):
    assert dk.verify_estimator(die, 3.5 + 10 * off, support=DIE).status == "refuted"
    with compat.x64():
        verdict = dk.verify_estimator(die, 3.5 + off, support=DIE)
    assert verdict.status == "refuted"
    assert verdict.candidates["exact"].bias[0] == pytest.approx(-off)
    assert verdict.exit_status == 1


def test_what_rounding_may_explain_is_undecided_in_float32_and_refuted_in_float64():
    assert dk.verify_estimator(die, 3.5002, support=DIE).status == "undecided"
    with compat.x64():
        assert dk.verify_estimator(die, 3.5002, support=DIE).status == "refuted"


@pytest.mark.parametrize("count", [3000, 5000])
@pytest.mark.parametrize("bias", [Fraction(1, 10_000), Fraction(2, 10_000)])
def test_no_number_of_cases_lets_rounding_explain_a_bias_against_an_exact_number(count, bias):
    # the whole numbers below 5000 are float32 without rounding: their mean is known exactly
    mean = Fraction(count - 1, 2)
    support = [(Fraction(1, count), i) for i in range(count)]
    right = dk.verify_estimator(die, mean, support=support)
    assert right.status == "proved"
    assert right.candidates["exact"].bias[0] == 0
    for exact in (mean * (1 + bias), np.float32(mean * (1 + bias))):
        wrong = dk.verify_estimator(die, exact, support=support)
        assert wrong.status == "undecided"
        assert "rounding of the numbers given" in str(wrong)
    assert dk.verify_estimator(die, mean * (1 + 10 * bias), support=support).status == "refuted"


def test_five_per_cent_of_two_bfloat16_cases_are_not_proved():
    coin = lambda side: jnp.asarray(side, jnp.bfloat16)
    support = [(Fraction(1, 2), 1.0), (Fraction(1, 2), 2.0)]
    assert dk.verify_estimator(coin, Fraction(3, 2), support=support).status == "proved"
    for off in (Fraction(105, 100), Fraction(95, 100)):
        verdict = dk.verify_estimator(coin, off * Fraction(3, 2), support=support)
        assert verdict.status == "undecided"
        assert "bfloat16" in str(verdict)
    assert dk.verify_estimator(coin, Fraction(2), support=support).status == "refuted"


def test_truncation_is_allowed_and_no_more():
    assert dk.verify_estimator(die, 3.49, support=DIE, truncation=0.02).status == "proved"
    assert dk.verify_estimator(die, 3.49, support=DIE, truncation=0.005).status == "refuted"


def test_many_cases_in_several_blocks_are_all_counted():
    count = 5000
    verdict = dk.verify_estimator(
        die, Fraction(count - 1, 2), support=((Fraction(1, count), i) for i in range(count))
    )
    assert verdict.status == "proved"
    assert verdict.samples == count
    assert verdict.total_variance == pytest.approx((count**2 - 1) / 12)


def test_a_case_of_probability_zero_is_never_drawn():
    verdict = dk.verify_estimator(lambda x: 1 / x, 0.5, support=[(0, 0.0), (1, 2.0)])
    assert verdict.status == "proved"
    verdict = dk.verify_estimator(lambda x: 1 / x, 0.5, support=[(1e-9, 0.0), (1 - 1e-9, 2.0)])
    assert verdict.status == "refuted"
    assert verdict.counterexample == {"case": 0.0}
    assert [finding.kind for finding in verdict.findings] == ["nan-value"]


def test_no_candidate_and_two_candidates_left_are_told():
    verdict = dk.verify_estimator(die, {"a": 3.0, "b": 4.0}, support=DIE)
    assert verdict.status == "refuted"
    assert "none of 2" in str(verdict)
    verdict = dk.verify_estimator(die, {"a": 3.5, "b": Fraction(7, 2)}, support=DIE)
    assert verdict.status == "undecided"
    assert "too close to tell apart" in str(verdict)


def test_the_variance_is_compared_exactly():
    twice = lambda side: (side + (7 - side)) / 2.0  # a die and its mirror image: no variance
    half = lambda side: (die(side) + 3.5) / 2
    assert dk.verify_estimator(half, 3.5, support=DIE, against=die).efficiency == pytest.approx(4)
    verdict = dk.verify_estimator(twice, 3.5, support=DIE, against=die)
    assert verdict.efficiency == np.inf
    json.loads(verdict.to_json())


# --- draws --------------------------------------------------------------------------------------


def test_a_right_mean_is_supported_and_a_detectable_bias_refuted(key):
    center = {"w": np.array([[1.0, 2.0]], np.float32), "b": np.float32(0.5)}
    estimator = lambda key: jax.tree.map(lambda x: noisy(x, 0.3)(key), center)
    right = dk.verify_estimator(estimator, center, key=key)
    assert right.status == "supported"
    assert right.candidates["exact"].entries == ("b", "w[0, 0]", "w[0, 1]")
    assert len(right.evidence) == 3
    wrong = dk.verify_estimator(estimator, {**center, "b": 0.52}, key=key)
    assert wrong.status == "refuted"
    assert wrong.candidates["exact"].entries[wrong.candidates["exact"].worst] == "b"


def test_the_same_key_gives_the_same_verdict_and_draws_can_be_made_again(key):
    estimator = lambda key: jnp.where(jax.random.uniform(key) < 0.01, jnp.nan, 1.0)
    first, second = (dk.verify_estimator(estimator, 1.0, key=key) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.status == "refuted"
    number = first.counterexample["draw"]
    assert np.isnan(estimator(jax.random.fold_in(key, number)))
    assert not any(np.isnan(estimator(jax.random.fold_in(key, i))) for i in range(number))


def test_infinite_variance_is_undecided_with_the_reason(key):
    verdict = dk.verify_estimator(jax.random.cauchy, 0.0, key=key, max_samples=20_000)
    assert verdict.status == "undecided"
    assert "heavy tails" in str(verdict)


def test_too_few_draws_are_undecided_with_the_number_needed(key):
    verdict = dk.verify_estimator(noisy(1.0, 10.0), 1.0, key=key, max_samples=5000)
    assert verdict.status == "undecided"
    assert "raise max_samples= or detectable=" in str(verdict)
    needed = float(str(verdict).partition("at least ")[2].partition(" draws")[0].replace(",", ""))
    # (c + 2.33)^2 (sigma/delta)^2 with c between 3 and 5 for levels near 1e-4
    assert 5.3**2 * 1e6 < needed < 7.4**2 * 1e6
    assert verdict.exit_status == 3


def test_an_event_too_rare_to_be_seen_refutes_nothing(key):
    rare = lambda key: jnp.where(jax.random.uniform(key) < 1e-7, 1e7, 0.0)
    verdict = dk.verify_estimator(rare, 1.0, key=key, max_samples=10_000)
    assert verdict.status == "undecided"
    assert "support=" in str(verdict)


def test_an_estimator_without_its_key_is_one_case(key):
    constant = lambda key: jnp.array([0.1, 0.2])
    verdict = dk.verify_estimator(constant, np.array([0.1, 0.2], np.float32), key=key)
    assert verdict.status == "proved"
    assert "ignores its key" in str(verdict)
    assert dk.verify_estimator(constant, np.array([0.1, 0.21]), key=key).status == "refuted"


def test_an_estimator_without_its_key_is_compared_with_draws_of_the_other(key):
    constant = lambda key: jnp.float32(1)
    verdict = dk.verify_estimator(constant, 1.0, key=key, against=jax.random.normal)
    assert verdict.status == "proved"
    assert verdict.efficiency == np.inf
    both = dk.verify_estimator(constant, 1.0, key=key, against=lambda key: jnp.float32(2))
    assert np.isnan(both.efficiency)


def test_a_leaf_without_the_key_is_compared_without_chance(key):
    estimator = jax.jit(lambda key: (jax.random.normal(key) + 1, jnp.float32(0.25)))
    assert dk.verify_estimator(estimator, (1.0, 0.25), key=key, detectable=0.05).ok
    wrong = dk.verify_estimator(estimator, (1.0, 0.26), key=key, detectable=0.5)
    assert wrong.status == "refuted"
    assert wrong.samples == 1024


def test_random_numbers_from_outside_of_jax_are_refused(key):
    generator = np.random.default_rng(0)
    with pytest.raises(UsageError, match=r"outside of JAX .* from the key"):
        dk.verify_estimator(lambda key: jnp.array(generator.normal()), 0.0, key=key)
    with pytest.raises(UsageError, match="outside of JAX"):
        dk.verify_estimator(
            lambda key: jax.random.normal(key, (2,)) + generator.normal(size=2),
            np.zeros(2),
            key=key,
        )


def test_random_numbers_from_outside_are_seen_behind_jit(key):
    generator = np.random.default_rng(0)

    @jax.jit
    def estimator(key):
        return 1 + jax.random.normal(key) + generator.normal()

    for _ in range(2):
        with pytest.raises(UsageError, match="outside of JAX"):
            dk.verify_estimator(estimator, 1.0, key=key)
    with (
        jax.default_matmul_precision("highest"),
        pytest.raises(UsageError, match="outside of JAX"),
    ):
        dk.verify_estimator(estimator, 1.0, key=key)


def test_the_scope_names_the_event_that_no_draw_has_shown(key):
    def mixture(key):
        often, rare = jax.random.split(key)
        return jax.random.normal(often) + 1e4 * jax.random.bernoulli(rare, 1e-5)

    # 0.1 is the mean, and all of it is carried by one draw in 100,000
    verdict = dk.verify_estimator(mixture, 0.1, key=key)
    assert verdict.status == "refuted"
    assert verdict.samples < 1e5
    assert f"unless events rarer than about {1 / verdict.samples:.1g} carry" in verdict.scope


def test_an_entry_that_never_varied_says_how_many_draws_it_takes(key):
    masked = lambda key: noisy(np.ones(2, np.float32), 0.01)(key) * np.array([1.0, 0.0])
    exact = np.array([1.0, 0.0])
    few = dk.verify_estimator(masked, exact, key=key, max_samples=4605)
    assert few.status == "undecided"
    assert "never varied; 4,606 draws are needed to call it constant" in str(few)
    assert "could make up the difference" not in str(few)
    enough = dk.verify_estimator(masked, exact, key=key, max_samples=4606)
    assert enough.status == "supported"
    assert "counts as constant after 4,606 draws" in enough.scope


def test_entries_that_are_always_the_exact_zero_are_supported(key):
    masked = lambda key: noisy(np.ones(3, np.float32), 0.1)(key) * np.array([1.0, 0.0, 1.0])
    verdict = dk.verify_estimator(masked, np.array([1.0, 0.0, 1.0]), key=key)
    assert verdict.status == "supported"
    assert verdict.candidates["exact"].z[1] == 0
    with_one = dk.verify_estimator(masked, np.ones(3), key=key, max_samples=10_000)
    assert with_one.status == "undecided"


def test_rounding_of_float32_draws_is_no_bias(key):
    # 0.1 added ten thousand times, one after the other, is off by 0.1 in float32
    def estimator(key):
        total = jax.lax.fori_loop(0, 10_000, lambda i, total: total + 0.1, jnp.float32(0))
        return total + 0.01 * jax.random.normal(key)

    verdict = dk.verify_estimator(estimator, 1000.0, key=key)
    assert verdict.status == "supported"
    assert abs(verdict.candidates["exact"].z[0]) > 10
    assert dk.verify_estimator(estimator, 1005.0, key=key).status == "refuted"


def test_float64_draws_made_of_float32_numbers_are_judged_as_float32():
    third = lambda case: (jnp.float32(1) / 3 * case).astype(jnp.float64)
    support = [(0.5, np.float32(0)), (0.5, np.float32(2))]
    with compat.x64():
        assert dk.verify_estimator(third, Fraction(1, 3), support=support).status == "proved"
        exact = lambda case: jnp.float64(1) / 3 * case
        support = [(0.5, 0.0), (0.5, 2.0)]
        wrong = 1 / 3 + 1e-7
        assert dk.verify_estimator(exact, Fraction(1, 3), support=support).status == "proved"
        assert dk.verify_estimator(exact, wrong, support=support).status == "refuted"


def test_half_precision_says_what_it_hides(key):
    estimator = lambda key: (1 + 0.1 * jax.random.normal(key)).astype(jnp.bfloat16)
    verdict = dk.verify_estimator(estimator, 1.0, key=key, max_samples=10**5)
    assert verdict.status == "undecided"
    assert "bfloat16" in str(verdict)


def test_a_mean_of_zero_is_judged_by_the_size_of_a_draw(key):
    assert dk.verify_estimator(noisy(0.0), 0.0, key=key, detectable=0.05).status == "supported"
    assert dk.verify_estimator(noisy(0.2), 0.0, key=key, detectable=0.05).status == "refuted"


def test_efficiency_is_the_ratio_of_the_variances(key):
    verdict = dk.verify_estimator(
        noisy(1.0, 0.1), 1.0, key=key, against=noisy(1.0, 0.3), detectable=0.05
    )
    # two variances of 1024 draws or more: 9 within five standard errors of the ratio
    assert verdict.efficiency == pytest.approx(9, rel=5 * 2 / np.sqrt(1024))


def test_a_closed_form_of_the_variance_is_met(key):
    """The pathwise gradient of E(mu + s z)^2 by mu is 2(mu + s z), of variance 4 s^2."""
    estimator = jax.grad(lambda mu, key: (mu + 0.5 * jax.random.normal(key)) ** 2)
    verdict = dk.verify_estimator(lambda key: estimator(1.0, key), 2.0, key=key)
    assert verdict.ok
    assert verdict.total_variance == pytest.approx(1.0, rel=5 * np.sqrt(2 / verdict.samples))


def test_the_callers_configuration_and_precision_are_kept(key):
    names = ("jax_enable_x64", "jax_default_matmul_precision", "jax_disable_jit")
    before = [getattr(jax.config, name) for name in names]
    with compat.x64():
        verdict = dk.verify_estimator(noisy(1.0, 0.1), 1.0, key=key)
        assert verdict.evidence[0].dtype == "float64"
        assert jax.config.jax_enable_x64
    assert [getattr(jax.config, name) for name in names] == before


# --- what a verdict is --------------------------------------------------------------------------


def test_a_verdict_prints_saves_and_reads_back(key):
    verdict = dk.verify_estimator(noisy(1.0, 0.1), {"one": 1.0, "two": 2.0}, key=key)
    assert isinstance(verdict, Verdict)
    assert verdict.claim.claimed == "one | two"
    for word in ("SUPPORTED", "one", "two", "z =", "draws"):
        assert word in str(verdict)
    for word in ("alpha", "evidence", "finite variance"):
        assert word in verdict.explain() + json.dumps(verdict.to_dict()["claim"])
    data = json.loads(verdict.to_json())
    assert data["candidates"]["two"]["status"] == "refuted"
    assert Verdict.from_dict(data).status == "supported"
    html = verdict.raise_if_refuted().to_html()
    assert html.startswith('<div class="diffkit-verdict supported"><pre>SUPPORTED')
    wrong = dk.verify_estimator(noisy(1.0, 0.1), 2.0, key=key)
    assert wrong.to_html().startswith('<div class="diffkit-verdict refuted"><pre>REFUTED')
    with pytest.raises(UsageError, match="importable"):
        verdict.save("verdict.json")


def test_a_dict_of_the_structure_of_a_draw_is_no_dict_of_candidates(key):
    estimator = lambda key: {"a": noisy(1.0, 0.1)(key), "b": noisy(2.0, 0.1)(key)}
    verdict = dk.verify_estimator(estimator, {"a": 1.0, "b": 2.0}, key=key)
    assert list(verdict.candidates) == ["exact"]
    named = {"right": {"a": 1.0, "b": 2.0}, "swapped": {"a": 2.0, "b": 1.0}}
    verdict = dk.verify_estimator(estimator, named, key=key)
    assert verdict.candidates["swapped"].status == "refuted"
    assert verdict.candidates["right"].status == "supported"


# --- what is refused ----------------------------------------------------------------------------

GOOD = {"estimator": noisy(np.zeros(2, np.float32)), "exact": np.zeros(2), "key": "typed"}
PAIR = [(0.5, 0), (0.5, 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": 3}, "function of a key"),
        ({"estimator": lambda: 1.0}, "one argument"),
        ({"estimator": lambda theta, key: theta}, "'key'; close over what else"),
        ({"estimator": lambda key: jax.random.bits(key)}, "real floating-point"),
        ({"estimator": lambda key: jax.random.normal(key) * 1j}, "real floating-point"),
        ({"estimator": lambda key: jnp.zeros((0,))}, "no numbers"),
        ({"estimator": lambda key: ()}, "no numbers"),
        ({"estimator": lambda key: "text"}, "returns no array"),
        ({"estimator": lambda key: 1 if jax.random.normal(key) > 0 else 2}, "cannot trace"),
        ({"exact": np.zeros(3)}, r"shape \(3,\)"),
        ({"exact": [0.0, 0.0]}, "structure"),
        ({"exact": {}}, "structure"),
        ({"exact": {"a": np.zeros(2), "b": np.zeros(2, complex)}}, "real"),
        ({"exact": {"a": np.zeros(2), "b": (0.0,)}}, "candidates b are not"),
        ({"exact": None}, "structure"),
        ({"exact": {0: np.zeros(2), "0": np.ones(2)}}, "no pytree"),
        ({"exact": np.array([0.0, np.nan])}, r"not finite at \[1\]"),
        ({"exact": np.array([0.0, np.inf])}, "not finite"),
        ({"exact": np.array([10**400, 1], dtype=object)}, "too large"),
        ({"exact": np.array(["a", "b"])}, "made of str"),
        ({"exact": lambda theta: 2 * theta}, "exact is a function; it is the mean itself"),
        ({"exact": np.array([True, False])}, "real"),
        ({"exact": np.zeros(2, complex)}, "real"),
        ({"key": None}, "need a key"),
        ({"key": 0}, "typed key"),
        ({"key": np.zeros(2, np.uint32)}, "typed key"),
        ({"key": "two"}, "one key"),
        ({"alpha": 0}, "alpha="),
        ({"alpha": 0.5}, "alpha="),
        ({"alpha": "0.1"}, "alpha="),
        ({"power": 1}, "power="),
        ({"power": 0.4}, "power="),
        ({"detectable": 0.0}, "detectable="),
        ({"detectable": np.nan}, "detectable="),
        ({"truncation": -1}, "truncation="),
        ({"truncation": [1.0]}, "truncation="),
        ({"exact": np.ones(2), "truncation": 0.5}, "hides"),
        ({"max_samples": 10}, "max_samples="),
        ({"max_samples": 1e6 + 0.5}, "max_samples="),
        ({"max_samples": 2**40}, "max_samples="),
        ({"against": noisy(np.zeros(3, np.float32))}, "another structure or shape"),
        ({"against": 3}, "against="),
        ({"support": 3}, "list of pairs"),
        ({"support": "ab"}, "list of pairs"),
        ({"support": {0.5: 1}}, "list of pairs"),
        ({"support": [0.5, 0.5]}, "pair"),
        ({"support": []}, "sum to 0"),
        ({"support": [(0.5, 0), (0.4, 1)]}, "sum to 0.9"),
        ({"support": [(Fraction(1, 3), 0), (Fraction(1, 3), 1)]}, "sum to 0.666"),
        ({"support": [(1.5, 0), (-0.5, 1)]}, "between 0 and 1"),
        ({"support": [(np.nan, 0), (1.0, 1)]}, "between 0 and 1"),
        ({"support": [("1", 0)]}, "float or a Fraction"),
        ({"support": [(0.5, 0), (0.5, (1, 2))]}, "several structures"),
        ({"support": [(0.5, np.zeros(2)), (0.5, np.zeros(3))]}, "cannot be stacked"),
        ({"support": [(0.5, "a"), (0.5, "b")]}, "values"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_a_sentence(change, message: str):
    asked = {**GOOD, **change}
    keys = {"typed": jax.random.key(0), "two": jax.random.split(jax.random.key(0))}
    given = asked.pop("key")
    asked["key"] = keys[given] if isinstance(given, str) else given
    if "max_samples" not in asked:
        asked["max_samples"] = 1000
    with pytest.raises(UsageError, match=message):
        dk.verify_estimator(asked.pop("estimator"), asked.pop("exact"), **asked)


def test_an_endless_support_is_refused():
    endless = ((0.0, i) for i in iter(int, 1))
    with pytest.raises(UsageError, match="more than 1,000,000 cases"):
        dk.verify_estimator(die, 0.0, support=endless)


def test_a_wrapper_of_a_function_of_more_arguments_is_taken(key):
    def of_two(theta, key):
        return theta + jax.random.normal(key)

    wrapped = functools.wraps(of_two)(lambda key: of_two(0.0, key))
    assert dk.verify_estimator(wrapped, 0.0, key=key).ok

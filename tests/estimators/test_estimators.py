"""Each estimator against its exact mean, from a formula or an enumeration without JAX."""

from fractions import Fraction
from itertools import product
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.backend import compat
from diffkit.core.errors import UsageError
from diffkit.estimators.cases import groups
from diffkit.estimators.kl_penalty import k1, k2, k3, penalty_gradient
from diffkit.estimators.pathwise import antithetic, pathwise_gradient, straight_through
from diffkit.estimators.score_function import (
    group_centred,
    group_normalised,
    leave_one_out,
    score_gradient,
)

POLICY = np.array([0.5, 0.3, 0.2])
REWARDS = np.array([1.0, -2.0, 4.0])
REFERENCE = np.array([0.1, 0.3, 0.6])
#: d/d logits of sum_a pi_a r_a = pi (r - J).
REWARD_GRADIENT = POLICY * (REWARDS - POLICY @ REWARDS)
ARMS = [(p, arm) for arm, p in enumerate(POLICY)]


@pytest.fixture(autouse=True)
def _float64():
    with compat.x64():
        yield


def log_policy(logits, arm):
    return jax.nn.log_softmax(logits)[arm]


def score(weights):
    """A group's score-function gradient at the policy, as a function of its arms."""

    def estimate(arms):
        return score_gradient(
            log_policy, jnp.log(POLICY), arms, weights(jnp.asarray(REWARDS)[arms])
        )

    return estimate


def enumerated(weights, size: int) -> np.ndarray:
    """The same mean from softmax scores e_a - pi, summed over all groups in NumPy."""
    total = np.zeros(3)
    for arms in product(range(3), repeat=size):
        arms = list(arms)
        scores = np.eye(3)[arms] - POLICY
        total += np.prod(POLICY[arms]) * (weights(REWARDS[arms]) @ scores) / size
    return total


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize(
    ("weights", "factor"),
    [
        (lambda r: r, lambda n: 1),
        (lambda r: r - 100.0, lambda n: 1),
        (leave_one_out, lambda n: 1),
        (group_centred, lambda n: Fraction(n - 1, n)),
    ],
    ids=["rewards", "constant baseline", "leave one out", "centred"],
)
def test_score_function_means_are_known_multiples_of_the_gradient(weights, factor, size: int):
    exact = float(factor(size)) * REWARD_GRADIENT
    assert dk.verify_estimator(score(weights), exact, support=groups(ARMS, size)).status == "proved"
    off = dk.verify_estimator(score(weights), 1.01 * exact, support=groups(ARMS, size))
    assert off.status == "refuted"
    assert off.candidates["exact"].cosine == pytest.approx(1)


@pytest.mark.parametrize("size", [2, 3])
def test_group_normalised_weights_have_the_enumerated_mean_and_no_multiple_of_the_gradient(
    size: int,
):
    def by_hand(rewards):
        spread = rewards.std()
        return (rewards - rewards.mean()) / spread if spread else 0 * rewards

    support = groups(ARMS, size)
    exact = enumerated(by_hand, size)
    assert dk.verify_estimator(score(group_normalised), exact, support=support).status == "proved"
    found = dk.verify_estimator(score(group_normalised), REWARD_GRADIENT, support=support)
    assert found.status == "refuted"
    assert found.candidates["exact"].cosine < 1 - 1e-3


def test_leave_one_out_is_the_reward_minus_the_mean_of_the_others(rng):
    rewards = rng.normal(size=7)
    expected = [r - np.delete(rewards, i).mean() for i, r in enumerate(rewards)]
    assert np.allclose(leave_one_out(rewards), expected, atol=1e-14)


def test_a_baseline_from_other_draws_lowers_the_variance_here():
    loo = score(leave_one_out)
    verdict = dk.verify_estimator(
        loo, REWARD_GRADIENT, support=groups(ARMS, 3), against=score(lambda r: r + 10)
    )
    assert verdict.efficiency > 10


def test_an_epsilon_shrinks_normalised_weights():
    rewards = jnp.array([0.0, 2.0])
    assert np.allclose(group_normalised(rewards, epsilon=1.0), [-0.5, 0.5])
    for size in (3, 6, 10, 11):  # 0.1 added up and divided again is not 0.1 for some sizes
        for reward in (0.1, 0.7, 1e30):
            assert (group_normalised(jnp.full(size, reward, jnp.float32)) == 0).all()
    assert np.isfinite(jax.grad(lambda r: group_normalised(r).sum())(jnp.full(3, 0.5))).all()


@pytest.mark.parametrize("weights", [leave_one_out, group_centred, group_normalised])
@pytest.mark.parametrize("rewards", [1.0, [1.0], [[1.0, 2.0]]])
def test_a_group_of_one_is_refused(weights, rewards):
    with pytest.raises(UsageError, match="two draws"):
        weights(jnp.asarray(rewards))


# --- Gaussian: score function and pathwise of E (mu + s z)^2 = mu^2 + s^2 ------------------------

MU, SIGMA = 0.5, 0.8
GAUSSIAN = {"mu": 2 * MU, "sigma": 2 * SIGMA}


def log_normal(params, x):
    z = (x - params["mu"]) / params["sigma"]
    return -(z**2) / 2 - jnp.log(params["sigma"])


def by_score(key):
    params = {"mu": jnp.float64(MU), "sigma": jnp.float64(SIGMA)}
    draws = MU + SIGMA * jax.random.normal(key, (1,))
    return score_gradient(log_normal, params, draws, draws**2)


def by_path(noise):
    params = {"mu": jnp.float64(MU), "sigma": jnp.float64(SIGMA)}
    return pathwise_gradient(jnp.square, lambda p, e: p["mu"] + p["sigma"] * e, params, noise)


def normal_moment(k: int) -> float:
    """E z^k of a standard normal z."""
    return 0 if k % 2 else factorial(k) / (2 ** (k // 2) * factorial(k // 2))


def test_score_and_pathwise_gradients_are_supported_and_have_their_closed_form_variances(key):
    score_verdict = dk.verify_estimator(by_score, GAUSSIAN, key=key, detectable=0.05)
    path_verdict = dk.verify_estimator(
        lambda key: by_path(jax.random.normal(key, (1,))), GAUSSIAN, key=key, detectable=0.05
    )
    assert score_verdict.status == path_verdict.status == "supported"
    # pathwise: 2(mu + s z) and 2(mu + s z) z
    x = np.polynomial.Polynomial([MU, SIGMA])
    z = np.polynomial.Polynomial([0, 1])
    for verdict, draws in (
        (path_verdict, (2 * x, 2 * x * z)),
        (score_verdict, (x**2 * z / SIGMA, x**2 * (z**2 - 1) / SIGMA)),
    ):
        for variance, draw in zip(verdict.variance, draws, strict=True):
            mean, square, fourth = (
                sum(c * normal_moment(k) for k, c in enumerate((draw**n).coef)) for n in (1, 2, 4)
            )
            expected = square - mean**2
            spread = np.sqrt(fourth / verdict.samples)  # bounds the error of E draw^2
            assert abs(variance - expected) < 6 * spread


def test_antithetic_draws_of_a_linear_estimator_have_no_variance(key):
    single = lambda key: by_path(jax.random.normal(key, (1,)))
    mirrored = lambda key: antithetic(by_path, jax.random.normal(key, (1,)))
    verdict = dk.verify_estimator(mirrored, GAUSSIAN, key=key, detectable=0.05, against=single)
    assert verdict.status == "supported"
    # d/d mu = 2(mu + s z) is linear in z
    assert verdict.variance[0] == pytest.approx(0, abs=1e-25)
    assert verdict.efficiency > 1


def test_a_pathwise_gradient_through_a_jump_is_refuted(key):
    # E 1[mu + z > 0] = Phi(mu) has the gradient phi(mu); AD sees a constant
    step = lambda x: jnp.where(x > 0, 1.0, 0.0)
    exact = np.exp(-(MU**2) / 2) / np.sqrt(2 * np.pi)
    blind = lambda key: pathwise_gradient(
        step, lambda mu, z: mu + z, MU, jax.random.normal(key, (4,))
    )
    verdict = dk.verify_estimator(blind, exact, key=key, max_samples=2000)
    assert not verdict.ok
    by_density = lambda key: score_gradient(
        lambda mu, x: -((x - mu) ** 2) / 2,
        MU,
        (x := MU + jax.random.normal(key, (4,))),
        jax.vmap(step)(x),
    )
    assert dk.verify_estimator(by_density, exact, key=key, detectable=0.05).ok


# --- straight-through ---------------------------------------------------------------------------


@pytest.mark.parametrize(("power", "status"), [(1, "proved"), (2, "refuted")])
def test_straight_through_is_unbiased_for_linear_objectives_only(power: int, status: str):
    def estimate(one_hot):
        def objective(logits):
            draw = straight_through(jax.nn.softmax(logits), one_hot)
            return (jnp.asarray(REWARDS) @ draw) ** power

        return jax.grad(objective)(jnp.log(POLICY))

    rewards = REWARDS**power  # f(one-hot) = r_a^power
    exact = POLICY * (rewards - POLICY @ rewards)
    support = [(p, np.eye(3)[arm]) for p, arm in ARMS]
    assert dk.verify_estimator(estimate, exact, support=support).status == status


# --- KL -----------------------------------------------------------------------------------------


def test_k1_and_k3_have_the_divergence_as_mean_and_k2_has_not():
    ratio = np.log(REFERENCE / POLICY)
    exact = float(POLICY @ -ratio)
    support = [(p, ratio[arm]) for p, arm in ARMS]
    for penalty, status in ((k1, "proved"), (k2, "refuted"), (k3, "proved")):
        assert dk.verify_estimator(penalty, exact, support=support).status == status
    assert (k3(jnp.asarray(ratio)) >= 0).all()
    assert (k1(jnp.asarray(ratio)) < 0).any()


def test_gradients_of_k1_k2_k3_follow_nothing_the_divergence_and_the_other_divergence():
    ratio = np.log(POLICY / REFERENCE)
    candidates = {
        "zero": np.zeros(3),
        "KL(policy || reference)": POLICY * (ratio - POLICY @ ratio),
        "KL(reference || policy)": POLICY - REFERENCE,
    }
    log_reference = lambda arm: jnp.log(REFERENCE)[arm]
    for penalty, name in zip((k1, k2, k3), candidates, strict=True):
        verdict = dk.verify_estimator(
            lambda arm, penalty=penalty: penalty_gradient(
                penalty, log_policy, log_reference, jnp.log(POLICY), arm[None]
            ),
            candidates,
            support=ARMS,
        )
        assert verdict.status == "proved"
        proved = [n for n, each in verdict.candidates.items() if each.status == "proved"]
        assert proved == [name]


# --- cases --------------------------------------------------------------------------------------


def test_groups_are_all_products_and_their_probabilities_sum_to_one():
    found = groups([(Fraction(1, 4), (0, 1.5)), (Fraction(3, 4), (1, 2.5))], 3)
    assert len(found) == 8
    assert sum(p for p, _ in found) == 1
    assert found[1][0] == Fraction(3, 64)
    arms, rewards = found[1][1]
    assert arms.tolist() == [0, 0, 1]
    assert rewards.tolist() == [1.5, 1.5, 2.5]


@pytest.mark.parametrize(("outcomes", "size"), [([], 2), (ARMS, 0), (ARMS, 1.5), (ARMS, 40)])
def test_groups_that_cannot_be_listed_are_refused(outcomes, size):
    with pytest.raises(UsageError, match="groups"):
        groups(outcomes, size)

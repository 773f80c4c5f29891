"""Exact risks: every line holds, and the values are those of random matrices and of quadrature."""

import numpy as np
import pytest
import sympy as sp

from diffkit.theory import least_squares as ls

LAWS = (
    ls.under_parametrised(),
    ls.over_parametrised(),
    *ls.weak_features(),
    ls.training_error(),
    *ls.weak_bias(),
    *ls.weak_variance(),
    *ls.limits(),
    ls.best_width(),
    ls.ridge(),
    ls.best_penalty(),
    ls.best_ridge(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_of_a_derivation_holds(law):
    assert law.lines
    assert [line.reason for line in law.lines if not line.holds()] == []


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_line_with_another_right_side_does_not_hold(law):
    for line in law.lines:
        assert not ls.Line(line.reason, line.left, line.right + 1).holds()


def simulated(n: int, p: int, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean and standard error of |b_hat - b|^2 with |b|^2 = 4, s^2 = 1, by the pseudo-inverse."""
    x = rng.standard_normal((draws, n, p))
    b = np.full(p, 2 / np.sqrt(p))
    y = x @ b + rng.standard_normal((draws, n))
    found = np.einsum("dpn,dn->dp", np.linalg.pinv(x), y)
    risks = np.sum((found - b) ** 2, axis=1)
    return float(risks.mean()), float(risks.std(ddof=1) / np.sqrt(draws))


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "p"), [(20, 5), (20, 12), (12, 24), (10, 40)])
def test_the_exact_risk_is_the_mean_over_random_matrices(n, p, rng):
    """Fails by chance with probability 3e-5 for each case: 4 standard errors."""
    mean, error = simulated(n, p, 2000, rng)
    law, limit = (
        (ls.under_parametrised(), ls.limits()[0])
        if p < n
        else (ls.over_parametrised(), ls.limits()[1])
    )
    values = {"n": n, "p": p, "s2": 1} | ({} if p < n else {"r2": 4})
    assert abs(mean - law.at(**values)) < 4 * error
    if (n, p) == (20, 12):  # the control: the limit of many samples is not the mean
        assert abs(mean - limit.at(gamma=p / n, s2=1)) > 4 * error


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "p"), [(20, 8), (12, 30)])
def test_bias_and_variance_are_those_over_random_matrices(n, p, rng):
    """Fails by chance with probability 2e-4 for each case: three tests at 4 standard errors."""
    draws, total = 4000, 40
    x = rng.standard_normal((draws, n, total))
    b = np.linspace(1, 0.1, total)
    y = x @ b + 0.5 * rng.standard_normal((draws, n))
    found = np.zeros((draws, total))
    found[:, :p] = np.einsum("dpn,dn->dp", np.linalg.pinv(x[:, :, :p]), y)
    branch = 0 if p < n else 1
    at = {"n": n, "p": p, "c2": float(np.sum(b[p:] ** 2)), "s2": 0.25}
    at |= {} if p < n else {"b2": float(np.sum(b[:p] ** 2))}
    bias = {k: v for k, v in at.items() if k in (("c2",) if p < n else ("n", "p", "b2", "c2"))}
    first, second = found[::2] - b, found[1::2] - b
    of_pairs = {
        ls.weak_bias()[branch].at(**bias): np.sum(first * second, axis=1),
        ls.weak_variance()[branch].at(**at): np.sum((first - second) ** 2, axis=1) / 2,
    }
    if p < n:
        residuals = np.mean((y - np.einsum("dnp,dp->dn", x, found)) ** 2, axis=1)
        of_pairs[ls.training_error().at(n=n, p=p, c2=at["c2"], s2=0.25)] = residuals
    for expected, values in of_pairs.items():
        assert abs(values.mean() - expected) < 4 * values.std(ddof=1) / np.sqrt(len(values))


def test_weak_features_are_noise_to_the_others():
    # all features used and none left out: the risk of before, and the noise of the new sample
    below, above = ls.weak_features()
    assert below.at(n=20, p=5, c2=0, s2=2) == pytest.approx(
        2 + ls.under_parametrised().at(n=20, p=5, s2=2)
    )
    assert above.at(n=20, p=50, b2=3, c2=0, s2=2) == pytest.approx(
        2 + ls.over_parametrised().at(n=20, p=50, r2=3, s2=2)
    )


@pytest.mark.parametrize(("ratio", "penalty"), [(0.5, 0.3), (1.0, 1.0), (2.0, 0.05)])
def test_the_ridge_risk_is_the_integral_over_the_spectrum(ratio, penalty):
    """Marchenko and Pastur's density by quadrature: no Stieltjes transform is used."""
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    angle = (np.arange(200_000) + 0.5) / 200_000 * np.pi
    s = low + (high - low) * (1 - np.cos(angle)) / 2
    density = np.sqrt((high - s) * (s - low)) / (2 * np.pi * ratio * s)
    weights = density * (high - low) / 2 * np.sin(angle) * np.pi / 200_000
    risk = (4 * penalty**2 + 1.5 * ratio * s) / (s + penalty) ** 2
    zero = max(0.0, 1 - 1 / ratio) * 4  # eigenvalues that are 0
    found = ls.ridge().at(**{"gamma": ratio, "lambda": penalty, "r2": 4, "s2": 1.5})
    assert found == pytest.approx(float(weights @ risk) + zero, rel=1e-6)


def test_the_best_penalty_is_better_than_its_neighbours():
    at = {"gamma": 1.5, "r2": 4, "s2": 1}
    best = ls.best_penalty().at(**at)
    least = ls.best_ridge().at(**at)
    assert ls.ridge().at(**at, **{"lambda": best}) == pytest.approx(least, rel=1e-12)
    for factor in (0.8, 1.25):
        assert ls.ridge().at(**at, **{"lambda": factor * best}) > least


def test_the_best_width_is_where_the_limit_risk_is_least():
    grid = np.linspace(1.05, 8, 2000)
    risks = 4 * (1 - 1 / grid) + 1 / (grid - 1)
    assert grid[risks.argmin()] == pytest.approx(ls.best_width().at(r2=4, s2=1), abs=0.01)


def test_a_law_is_written_with_its_condition():
    law = ls.over_parametrised()
    assert "p >= n + 2" in law.text()
    assert sp.latex(law.formula) in law.latex()
    assert [line["reason"] for line in law.to_dict()["lines"]] == [x.reason for x in law.lines]

"""Rates and noise floors: every line holds, and the numbers are those of companion matrices."""

from itertools import permutations

import numpy as np
import pytest
import sympy as sp
from scipy.linalg import solve_discrete_lyapunov

from diffkit.theory import quadratic as q
from diffkit.theory.law import Line

LAWS = (
    q.descent_factor(),
    *q.best_descent(),
    *q.best_heavy_ball(),
    *q.best_nesterov(),
    *q.tuned_nesterov(),
    q.noise_floor(),
    q.stability(),
    *q.ringing(),
    q.turning(),
    q.response(),
    q.batches(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_of_a_derivation_holds_and_a_wrong_one_does_not(law):
    assert law.lines
    for line in law.lines:
        assert line.holds(), line.reason
        assert not Line(line.reason, line.left, line.right + q.a * q.h).holds()


def companion(step: float, curvature: float, momentum: float, *, ahead: bool = False):
    """(x_t, x_{t-1}) -> (x_{t+1}, x_t), written from the update rule."""
    kept = 1 - step * curvature
    if ahead:  # y = x + b (x - x'), x_{t+1} = y - a h y
        return np.array([[kept * (1 + momentum), -kept * momentum], [1.0, 0.0]])
    return np.array([[kept + momentum, -momentum], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("roots", "ahead"), [(q.heavy_ball_roots, False), (q.nesterov_roots, True)]
)
@pytest.mark.parametrize(("step", "momentum"), [(0.1, 0.9), (0.5, 0.2), (1.9, 0.5), (0.01, 0.99)])
def test_the_roots_are_the_eigenvalues_of_the_update(roots, ahead, step, momentum):
    at = {q.a: step, q.h: 1.0, q.b: momentum}
    found = sorted((complex(root.subs(at)) for root in roots()), key=lambda w: (w.real, w.imag))
    expected = np.linalg.eigvals(companion(step, 1.0, momentum, ahead=ahead))
    expected = sorted(expected, key=lambda w: (w.real, w.imag))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def worst(step: float, momentum: float, curvatures) -> float:
    return max(np.abs(np.linalg.eigvals(companion(step, h, momentum))).max() for h in curvatures)


def test_the_best_heavy_ball_is_better_than_its_neighbours():
    spectrum = np.linspace(1.0, 50.0, 400)
    step, momentum, rate = (law.at(mu=1, L=50) for law in q.best_heavy_ball())
    assert worst(step, momentum, spectrum) == pytest.approx(rate, abs=1e-6)
    for factor in (0.97, 1.03):
        assert worst(factor * step, momentum, spectrum) > rate + 1e-3
        assert worst(step, min(factor * momentum, 0.999), spectrum) > rate + 1e-4


def test_the_best_descent_is_better_than_its_neighbours():
    spectrum = np.linspace(2.0, 9.0, 50)
    step, rate = (law.at(mu=2, L=9) for law in q.best_descent())
    assert np.abs(1 - step * spectrum).max() == pytest.approx(rate)
    for factor in (0.95, 1.05):
        assert np.abs(1 - factor * step * spectrum).max() > rate


@pytest.mark.parametrize(("step", "momentum"), [(0.1, 0.0), (0.1, 0.9), (1.5, 0.3), (0.02, 0.99)])
def test_the_noise_floor_solves_the_lyapunov_equation(step, momentum):
    noise = np.array([[step**2 * 2.0, 0.0], [0.0, 0.0]])
    expected = solve_discrete_lyapunov(companion(step, 1.5, momentum), noise)[0, 0]
    found = q.noise_floor().at(a=step, h=1.5, b=momentum, s2=2.0)
    assert found == pytest.approx(expected, rel=1e-9)
    # the control: the formula of plain descent, without momentum
    plain = float((q.a * q.s2 / (q.h * (2 - q.a * q.h))).subs({q.a: step, q.h: 1.5, q.s2: 2.0}))
    assert (plain == pytest.approx(expected, rel=1e-6)) == (momentum == 0)


def test_the_floor_is_infinite_at_the_edge_of_stability():
    edge = sp.limit(q.noise_floor().formula.subs({q.h: 1, q.s2: 1}), q.a, 2 * (1 + q.b), "-")
    assert edge.subs(q.b, sp.Rational(1, 2)) == sp.oo


def worst_ahead(step: float, momentum: float, curvatures) -> float:
    return max(
        np.abs(np.linalg.eigvals(companion(step, h, momentum, ahead=True))).max()
        for h in curvatures
    )


def test_nesterovs_rates_are_the_worst_radii_over_the_spectrum():
    spectrum = np.linspace(1.0, 30.0, 300)
    usual = 1 / 30, q.best_nesterov()[1].at(mu=1, L=30)
    assert worst_ahead(*usual, spectrum) == pytest.approx(
        q.best_nesterov()[2].at(mu=1, L=30), abs=1e-6
    )
    step, momentum, rate = (law.at(mu=1, L=30) for law in q.tuned_nesterov())
    assert worst_ahead(step, momentum, spectrum) == pytest.approx(rate, abs=1e-6)
    for factor in (0.95, 1.05):
        assert worst_ahead(factor * step, momentum, spectrum) > rate + 1e-4


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
def test_the_radius_crosses_one_at_the_limit_and_is_flat_where_it_rings(momentum):
    limit = q.stability().at(b=momentum)
    assert worst(limit * 0.999, momentum, [1.0]) < 1 < worst(limit * 1.001, momentum, [1.0])
    least, greatest = (law.at(b=momentum) for law in q.ringing())
    for share in (0.01, 0.5, 0.99):
        inside = least + share * (greatest - least)
        assert worst(inside, momentum, [1.0]) == pytest.approx(np.sqrt(momentum), abs=1e-7)
    assert worst(greatest * 1.05, momentum, [1.0]) > np.sqrt(momentum) + 1e-3


@pytest.mark.parametrize(("step", "momentum"), [(0.1, 0.0), (0.1, 0.9), (1.5, 0.3)])
def test_successive_updates_are_correlated_as_the_lyapunov_equation_says(step, momentum):
    one = companion(step, 1.0, momentum)
    covariance = solve_discrete_lyapunov(one, np.diag([step**2, 0.0]))
    ahead = one @ covariance  # E of the next state times this one
    spread = 2 * (covariance[0, 0] - covariance[0, 1])
    # u_t u_{t-1} = (x_{t+1} - x_t)(x_t - x_{t-1})
    product = ahead[0, 0] - ahead[0, 1] - covariance[0, 0] + covariance[0, 1]
    found = q.turning().at(a=step, h=1.0, b=momentum)
    assert found == pytest.approx(product / spread, rel=1e-9)


def test_the_response_is_the_recursion():
    law = q.response()
    first, second = (
        complex(root.subs({q.a: 0.3, q.h: 1.0, q.b: 0.8})) for root in q.heavy_ball_roots()
    )
    previous, current = 0.0, 1.0
    for t in range(1, 12):
        at = {"z1": first, "z2": second, "t": t}
        given = {symbol: at[symbol.name] for symbol in law.formula.free_symbols}
        assert complex(law.formula.subs(given)) == pytest.approx(current, abs=1e-12)
        previous, current = current, (1 + 0.8 - 0.3) * current - 0.8 * previous


def test_means_of_batches_without_a_common_sample_covary_as_an_enumeration_says():
    values = np.array([1.0, 4.0, -2.0, 3.5, 0.5])
    orders = np.array(list(permutations(values)))
    first, second = orders[:, :2].mean(axis=1), orders[:, 2:4].mean(axis=1)
    spread = values.var(ddof=1)
    covariance = np.mean((first - values.mean()) * (second - values.mean()))
    assert covariance == pytest.approx(-spread / 5)
    assert q.batches().at(B=2, N=5, s2=spread) == pytest.approx(first.var())

"""Rates and noise floors: every line holds, and the numbers are those of companion matrices."""

import numpy as np
import pytest
import sympy as sp
from scipy.linalg import solve_discrete_lyapunov

from diffkit.theory import quadratic as q
from diffkit.theory.law import Line

LAWS = (q.descent_factor(), *q.best_descent(), *q.best_heavy_ball(), q.noise_floor())


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

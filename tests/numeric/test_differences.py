"""Finite differences: the bound is honest, and not absurdly wide."""

import mpmath
import numpy as np
import pytest

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.numeric.differences import complex_step, difference, stencil


def _cases(rng: np.random.Generator, count: int):
    """Smooth functions at random points and scales: (vectorised f, the same in mpmath, x)."""
    for _ in range(count):
        a, s = float(rng.uniform(0.2, 3)), 10.0 ** float(rng.integers(-12, 1))
        x = float(rng.uniform(-2, 2)) * float(rng.choice([1.0, 1.0, 1e-3, 0.0]))
        rows = (
            (
                lambda t, a=a: np.sin(50 * a * t),
                lambda t, a=a: mpmath.sin(50 * mpmath.mpf(a) * t),
                x,
            ),
            (lambda t, a=a: np.exp(a * t), lambda t, a=a: mpmath.exp(mpmath.mpf(a) * t), 5 * x),
            (lambda t: 1 / t, lambda t: 1 / t, (abs(x) + 1e-3) * 1e-3),
            (lambda t, s=s: np.sin(t / s), lambda t, s=s: mpmath.sin(t / mpmath.mpf(s)), x * s),
            (
                lambda t, s=s: np.exp(-((t / s) ** 2)),
                lambda t, s=s: mpmath.exp(-((t / mpmath.mpf(s)) ** 2)),
                x * s,
            ),
            (
                lambda t, a=a: np.log1p(np.exp(a * t)),
                lambda t, a=a: mpmath.log1p(mpmath.exp(mpmath.mpf(a) * t)),
                10 * x,
            ),
            (lambda t, a=a: t**3 - a * t + 1, lambda t, a=a: t**3 - mpmath.mpf(a) * t + 1, 100 * x),
            (
                lambda t, s=s: np.tanh(t / s) + t,
                lambda t, s=s: mpmath.tanh(t / mpmath.mpf(s)) + t,
                x * s,
            ),
        )
        yield rows[int(rng.integers(len(rows)))]


def _errors_and_bounds(order: int, side: int, count: int) -> np.ndarray:
    rows = []
    with mpmath.workdps(60):
        for f, exact, x in _cases(np.random.default_rng(7 * order + side), count):
            found = difference(f, x, order, side=side)
            truth = float(mpmath.diff(exact, mpmath.mpf(x), order))
            rows.append((abs(found.value - truth), found.bound.value, abs(truth)))
    return np.array(rows)


@pytest.mark.parametrize(("order", "side"), [(1, 0), (2, 0), (1, 1), (2, -1)])
def test_the_error_stays_below_the_bound(order: int, side: int):
    error, bound, _ = _errors_and_bounds(order, side, 1000).T
    assert np.mean(error <= bound) >= 0.999


def test_a_thousandth_of_the_bound_fails_often():
    error, bound, _ = _errors_and_bounds(1, 0, 400).T
    assert np.mean(error <= bound / 1000) < 0.5


def test_the_bound_is_useful():
    _, bound, truth = _errors_and_bounds(1, 0, 400).T
    assert np.median(bound / np.maximum(truth, 1e-300)) < 1e-9


def test_no_point_outside_the_domain_is_evaluated():
    seen: list[float] = []

    def f(t):
        seen.extend(t.tolist())
        return np.log(t)

    found = difference(f, 1e-6, domain=Domain.parse("positive"))
    assert min(seen) > 0
    assert abs(found.value - 1e6) <= found.bound.value < 1e-2


def test_one_sided_differences_see_each_side_of_a_kink():
    assert abs(difference(np.abs, 0.0, side=1).value - 1) < 1e-9
    assert abs(difference(np.abs, 0.0, side=-1).value + 1) < 1e-9


def test_a_function_without_finite_values_is_unbounded():
    found = difference(lambda t: np.full_like(t, np.nan), 1.0)
    assert np.isnan(found.value)
    assert found.bound.value == np.inf


def test_a_stencil_is_exact_on_polynomials_below_its_length():
    rule = stencil(2, (-2, -1, 0, 1, 2))
    for degree in range(5):
        total = sum(w * j**degree for j, w in zip(rule.offsets, rule.weights, strict=True))
        assert total == (2 if degree == 2 else 0)


def test_bad_questions_are_refused():
    with pytest.raises(UsageError):
        difference(np.sin, np.inf)
    with pytest.raises(UsageError):
        difference(np.sin, 0.0, order=9)
    with pytest.raises(UsageError):
        difference(np.log, -1.0, domain=Domain.parse("positive"))


def test_the_complex_step_has_no_truncation_error():
    for f, slope in ((np.exp, np.exp), (np.sin, np.cos)):
        found = complex_step(f, 0.7)
        assert abs(found.value - slope(0.7)) <= found.bound.value

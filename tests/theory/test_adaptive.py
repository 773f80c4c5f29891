"""Adam's bounds, Reddi's drifts and Adagrad's stall against loops over floats and brute force."""

from math import sqrt

import numpy as np
import pytest
from scipy.optimize import minimize

from diffkit.theory import adaptive
from diffkit.theory.law import Line

LAWS = (
    adaptive.bias(),
    adaptive.lone_step(),
    adaptive.printed_bound(),
    adaptive.largest_step(),
    adaptive.adam_drift(),
    adaptive.amsgrad_drift(),
    adaptive.corrected_drift(),
    *adaptive.adagrad_distance(),
    adaptive.adadelta_scale(),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_of_a_derivation_holds_and_a_wrong_one_does_not(law):
    assert law.lines
    for line in law.lines:
        assert line.holds(), line.reason
        assert not Line(line.reason, line.left, line.right + adaptive.C).holds()


def adam(gradients, b1: float, b2: float) -> list[float]:
    """|step| of Kingma and Ba's loop with epsilon = 0, per learning rate."""
    m = v = 0.0
    found = []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        found.append(abs(m / (1 - b1**t)) / sqrt(v / (1 - b2**t)) if v else 0.0)
    return found


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.5, 0.75), (0.3, 0.9)])
@pytest.mark.parametrize("t", [1, 2, 7, 40])
def test_the_lone_and_the_largest_step_are_those_of_the_loop(b1, b2, t):
    lone = adam([0.0] * (t - 1) + [3.0], b1, b2)[-1]
    assert adaptive.lone_step().at(a=1, b1=b1, b2=b2, t=t) == pytest.approx(lone, rel=1e-12)
    growing = adam([(b2 / b1) ** i for i in range(t)], b1, b2)[-1]
    assert adaptive.largest_step().at(a=1, b1=b1, b2=b2, t=t) == pytest.approx(growing, rel=1e-12)


def test_no_search_over_gradients_finds_a_larger_step():
    b1, b2, t = 0.6, 0.8, 5
    bound = adaptive.largest_step().at(a=1, b1=b1, b2=b2, t=t)
    found = [
        -minimize(lambda g: -adam(g, b1, b2)[-1], start, method="Nelder-Mead",
                  options={"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-12}).fun
        for start in np.random.default_rng(0).normal(size=(4, t))
    ]  # fmt: skip
    assert max(found) <= bound * (1 + 1e-12)
    assert max(found) == pytest.approx(bound, rel=1e-6)


def test_the_printed_bound_is_exceeded_by_two_gradients():
    b1, b2 = 0.9, 0.999
    printed = adaptive.printed_bound().at(a=1, b1=b1, b2=b2)
    step = adam([0.0] * 20_000 + [b1 / b2, 1.0], b1, b2)[-1]
    assert step == pytest.approx(printed * sqrt(1 + b1**2 / b2), rel=1e-6)
    assert step > 1.3 * printed


def drift(slope: float, b2: float, rule: str) -> float:
    """Move over the last of many periods, by the loop."""
    v = largest = 0.0
    moves = []
    for t, g in enumerate([slope, -1.0, -1.0] * 300, 1):
        v = b2 * v + (1 - b2) * g * g
        largest = max(largest, v / (1 - b2**t) if rule == "corrected" else v)
        moves.append(-g / sqrt(v if rule == "adam" else largest))
    return sum(moves[-3:])


@pytest.mark.parametrize("slope", [2.5, 4.0, 20.0])
def test_the_drifts_are_those_of_the_loops(slope):
    b2 = 1 / (1 + slope**2)
    at = {"C": slope, "b2": b2}
    assert adaptive.adam_drift().at(**at) == pytest.approx(drift(slope, b2, "adam"), rel=1e-12)
    assert adaptive.amsgrad_drift().at(**at) == pytest.approx(drift(slope, b2, "plain"), rel=1e-12)
    assert adaptive.corrected_drift().at(C=slope) == pytest.approx(
        drift(slope, b2, "corrected"), rel=1e-12
    )


@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_adagrads_distance_lies_between_its_square_roots(steps):
    distance = sum(1 / sqrt(s) for s in range(1, steps + 1))
    least, greatest = (law.at(a=1, T=steps) for law in adaptive.adagrad_distance())
    assert least < distance < greatest
    assert greatest - least < 2

"""Drawn problems: the geometry they promise, reproducible and in range."""

import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.problems.synthetic import linear_teacher, spirals, xor


def test_without_noise_a_point_of_a_spiral_lies_on_its_arm():
    data = spirals(501, turns=2.0, noise=0.0)
    radius = np.linalg.norm(data.inputs, axis=1)
    angle = 4 * np.pi * radius + np.pi * data.targets
    expected = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(data.inputs, expected, atol=1e-5)
    assert np.bincount(data.targets).tolist() == [251, 250]


def test_no_line_separates_xor_and_the_product_of_the_signs_does():
    data = xor(400, noise=0.1)
    assert np.array_equal(data.targets == 1, np.prod(data.inputs, axis=1) < 0)
    design = np.column_stack([data.inputs, np.ones(400)])
    best = np.linalg.lstsq(design, 2.0 * data.targets - 1, rcond=None)[0]
    assert np.abs(best).max() < 0.05  # the best linear fit is none


def test_the_teacher_is_found_by_least_squares():
    data, b = linear_teacher(5000, 4, noise=0.1)
    assert np.linalg.norm(b) == pytest.approx(1.0)
    found = np.linalg.lstsq(data.inputs.astype(float), data.targets, rcond=None)[0]
    assert np.linalg.norm(found - b) < 5 * 0.1 * np.sqrt(4 / 5000)


def test_a_seed_fixes_the_draw():
    first, same, other = (spirals(20, seed=seed).checksum for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: spirals(1), "2 or more"),
        *((lambda n=n: spirals(n), "2 or more") for n in (2.5, "9", None)),
        *((lambda s=s: xor(4, seed=s), "seed=") for s in (-1, 1.5, None)),
        *((lambda t=t: spirals(9, turns=t), "turns") for t in (0, "1", float("inf"))),
        (lambda: xor(9, noise="1"), "noise"),
        (lambda: linear_teacher(9, 2.5), "features"),
        (lambda: spirals(9, noise=-1), "noise"),
        (lambda: xor(3), "four corners"),
        (lambda: xor(9, noise=float("nan")), "noise"),
        (lambda: linear_teacher(9, 0), "features"),
    ],
)
def test_a_number_outside_of_its_range_is_refused(draw, said):
    with pytest.raises(UsageError, match=said):
        draw()

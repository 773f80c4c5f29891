"""DeepOBS's quadratic: its spectrum, its rotation and its samples, drawn as the benchmark does."""

import numpy as np

from diffkit.problems.quadratic import deep_quadratic

PROBLEM = deep_quadratic()


def test_the_spectrum_has_ninety_flat_and_ten_steep_directions():
    flat, steep = PROBLEM.curvatures[:90], PROBLEM.curvatures[90:]
    assert len(steep) == 10
    assert 0 < flat.min() < flat.max() < 1
    assert 30 < steep.min() < steep.max() < 60
    # the first numbers of NumPy's generator with seed 42 are known everywhere
    assert np.allclose(flat[:3], (0.3745401188, 0.9507143064, 0.7319939418), atol=1e-10)


def test_the_rotation_keeps_lengths_and_orientation():
    rotation = PROBLEM.rotation
    assert np.allclose(rotation @ rotation.T, np.eye(100), atol=1e-13)
    assert np.isclose(np.linalg.det(rotation), 1.0)


def test_the_hessian_has_the_spectrum_and_the_modes_are_its_eigenvectors():
    found = np.linalg.eigvalsh(PROBLEM.hessian)
    assert np.allclose(found, np.sort(PROBLEM.curvatures), atol=1e-12)
    start, mean, variance = PROBLEM.modes
    # loss at the start, directly and mode by mode
    away = PROBLEM.start - PROBLEM.samples
    direct = np.mean(np.einsum("ni,ij,nj->n", away, PROBLEM.hessian, away)) / 2
    by_mode = np.sum(PROBLEM.curvatures * ((start - mean) ** 2 + variance)) / 2
    assert np.isclose(direct, by_mode)


def test_the_samples_are_those_of_the_benchmarks_generator():
    assert PROBLEM.samples.shape == (1000, 100)
    assert np.isclose(PROBLEM.samples.std(), 0.6, atol=0.01)
    # RandomState(42).normal() starts with 0.49671415, times 0.6, rounded to float32
    assert np.isclose(PROBLEM.samples[0, 0], np.float64(np.float32(0.6 * 0.4967141530112327)))

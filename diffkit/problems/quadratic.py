r"""The noisy quadratic of DeepOBS with the spectrum of a deep network, number for number.

$f(\theta; x) = \frac12 (\theta - x)^\top Q (\theta - x)$ in 100 dimensions: 90 curvatures lie
in (0, 1) and 10 in (30, 60), turned by a random rotation; the samples x are N(0, 0.6^2).  Source:
Schneider, Balles and Hennig (2019), arXiv:1903.05499, problem `quadratic_deep`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DIMENSION, FLAT, SAMPLES = 100, 90, 1000
#: Standard deviation of a sample.
NOISE = 0.6
#: Batch size of the benchmark.
BATCH = 128
#: The seed of DeepOBS: spectrum and rotation are part of the problem.
SEED = 42


@dataclass(frozen=True)
class Quadratic:
    """A noisy quadratic.

    Args:
        curvatures: Eigenvalues h of Q, (d,).
        rotation: R with Q = R' diag(h) R, (d, d).
        samples: The x, (N, d).
        start: Where training starts, (d,).
    """

    curvatures: Array
    rotation: Array
    samples: Array
    start: Array

    @cached_property
    def hessian(self) -> Array:
        """Q."""
        return self.rotation.T @ (self.curvatures[:, None] * self.rotation)

    @cached_property
    def modes(self) -> tuple[Array, Array, Array]:
        """Start, mean of the samples and their variance (divisor N) along the eigenvectors."""
        turned = self.samples @ self.rotation.T
        return self.rotation @ self.start, turned.mean(axis=0), turned.var(axis=0)


def deep_quadratic() -> Quadratic:
    """The problem of DeepOBS: its spectrum, its rotation, its training samples, its start.

    >>> problem = deep_quadratic()
    >>> problem.curvatures[:2].round(6), int((problem.curvatures > 30).sum())
    (array([0.37454 , 0.950714]), 10)
    """
    rng = np.random.RandomState(SEED)
    flat, steep = rng.uniform(0.0, 1.0, FLAT), rng.uniform(30.0, 60.0, DIMENSION - FLAT)
    rotation = _rotation(rng)
    # DeepOBS draws the training samples from a generator of its own, with the same seed.
    samples = np.random.RandomState(SEED).normal(0.0, NOISE, (SAMPLES, DIMENSION))
    return Quadratic(
        np.concatenate([flat, steep]),
        rotation,
        samples.astype(np.float32).astype(np.float64),
        np.ones(DIMENSION),
    )


def _rotation(rng: np.random.RandomState) -> Array:
    """A uniform rotation by the subgroup algorithm of Diaconis and Shahshahani (1987)."""
    angle = 2 * np.pi * rng.uniform()
    found = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for dimension in range(2, DIMENSION):
        onto = rng.normal(size=dimension + 1)
        # the reflection that maps the first axis to a random direction, after the smaller rotation
        mirror = np.eye(dimension + 1)[0] - onto / np.linalg.norm(onto)
        mirror /= np.linalg.norm(mirror)
        wider = np.zeros((dimension + 1, dimension + 1))
        wider[0, 0], wider[1:, 1:] = 1.0, found
        found = wider - 2 * np.outer(mirror, mirror @ wider)
    return -found

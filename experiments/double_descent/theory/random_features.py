r"""Errors of random features on given data, from the kernel matrix alone.  No JAX here.

With Gaussian features of the kernel, $N > n$ is exact; for $N < n$ the deterministic equivalent of
a random projection replaces it, where N features act like the ridge penalty that leaves N degrees
of freedom.  Cosine features have the same first two moments and, as is measured, nearly the same
errors.  Sources: Jacot et al. (2020), arXiv:2002.08404; Bach (2023), arXiv:2303.01372.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import inf

import numpy as np

from diffkit.theory import random_features
from diffkit.theory.law import Law

Array = np.ndarray


@cache
def laws() -> tuple[Law, Law, Law]:
    """Mean and variance of the kernel, and the error beyond as many features as samples."""
    return (
        random_features.kernel(),
        random_features.kernel_variance(),
        random_features.interpolation_error(),
    )


def squared_distances(first: Array, second: Array) -> Array:
    """|x - x'|^2 of all pairs."""
    squares = np.sum(first**2, axis=1)[:, None] + np.sum(second**2, axis=1)
    return np.maximum(squares - 2 * first @ second.T, 0.0)


def kernel_error(inputs: Array, scale: float, widths: Sequence[int]) -> Array:
    """Mean squared error of the kernel of N cosine features over all pairs of inputs, exact.

    `random_features.kernel_variance` at every pair.
    """
    q = squared_distances(inputs, inputs) / scale**2
    return np.mean(1 - np.exp(-q) + np.exp(-2 * q) / 2) / np.asarray(widths)


def product_error(inputs: Array, scale: float, widths: Sequence[int]) -> Array:
    """The same if the features were Gaussian: the wrong formula of the negative control."""
    q = squared_distances(inputs, inputs) / scale**2
    return np.mean(1 + np.exp(-q)) / np.asarray(widths)


@dataclass(frozen=True)
class Regression:
    """Inputs of a training and of a test set, as the kernel sees them.

    Args:
        inputs: Training inputs, (n, d).
        test: Test inputs, (T, d).
        scale: sigma of the Gaussian kernel.
    """

    inputs: Array
    test: Array
    scale: float

    @cached_property
    def _spectrum(self) -> tuple[Array, Array, Array]:
        """Eigenvalues and vectors of the kernel matrix, and the test kernel in the latter."""
        near, far = (
            np.exp(-squared_distances(x, self.inputs) / (2 * self.scale**2))
            for x in (self.inputs, self.test)
        )
        values, vectors = np.linalg.eigh(near)
        return values, vectors, far @ vectors

    @cached_property
    def rest(self) -> float:
        """c, the mean of k(x, x) - k(x)' K^-1 k(x) over the test inputs."""
        values, _, far = self._spectrum
        return float(np.mean(1 - np.sum(far**2 / values, axis=1)))

    def kernel_limit(self, targets: Array, truth: Array) -> float:
        """E_0, test error of the kernel interpolator: N to infinity."""
        return float(self._errors_of_ridge(np.zeros(1), targets, truth)[0])

    def errors(self, widths: Sequence[int], targets: Array, truth: Array) -> Array:
        """Mean test error with N features for every N; infinite within one of n.

        Args:
            widths: The N.
            targets: Training targets, (n, K).
            truth: Test targets, (T, K).
        """
        features, samples = np.asarray(widths), len(self.inputs)
        found = np.full(len(features), inf)
        few, many = features < samples - 1, features > samples + 1
        found[few] = self._few(features[few], targets, truth)
        found[many] = self._many(features[many] - samples - 1, targets, truth)
        return found

    def first_order(self, widths: Sequence[int], targets: Array, truth: Array) -> Array:
        """E_0 + c w/N, the first order in 1/N: the wrong formula of the negative control."""
        return self._many(np.asarray(widths), targets, truth)

    def _many(self, freedom: Array, targets: Array, truth: Array) -> Array:
        values, vectors, _ = self._spectrum
        weight = np.sum((vectors.T @ targets) ** 2 / values[:, None])
        return self.kernel_limit(targets, truth) + self.rest * weight / freedom

    def _few(self, features: Array, targets: Array, truth: Array) -> Array:
        """Error of the mean prediction, and its variance over the features.

        The variance has two parts: what a random projection of the training set loses, and the
        part of a new point's features that those of the training set do not predict.
        """
        values, vectors, far = self._spectrum
        penalties = np.array([effective_penalty(values, N) for N in features.tolist()])
        kept = values / (values + penalties[:, None])  # (N, n)
        power = kept**2 @ (np.sum((vectors.T @ targets) ** 2, axis=1) / values)
        lost = penalties**2 * (kept**2 @ (np.mean(far**2, axis=0) / values**3))
        spread = power * (self.rest + lost) / (features - np.sum(kept**2, axis=1))
        return self._errors_of_ridge(penalties, targets, truth) + spread

    def _errors_of_ridge(self, penalties: Array, targets: Array, truth: Array) -> Array:
        values, vectors, far = self._spectrum
        scaled = (vectors.T @ targets)[:, None] / (values[:, None] + penalties)[..., None]
        off = np.tensordot(far, scaled, axes=1) - truth[:, None]  # (T, penalties, K)
        return np.mean(np.sum(off**2, axis=-1), axis=0)


def effective_penalty(eigenvalues: Array, freedom: int) -> float:
    """The ridge penalty that leaves `freedom` degrees of freedom, 0 < freedom < n.

    The root of sum d/(d + penalty) = freedom, by bisection in the logarithm.
    """
    low, high = np.log(eigenvalues.min() * 1e-12), np.log(eigenvalues.sum() * 2)
    for _ in range(100):
        middle = (low + high) / 2
        if np.sum(eigenvalues / (eigenvalues + np.exp(middle))) > freedom:
            low = middle
        else:
            high = middle
    return float(np.exp(middle))

"""Expected training loss of SGD and momentum on a noisy quadratic, mode by mode.

Along an eigenvector of curvature h the parameter is a linear filter of the noise of the batches.
Its mean follows the characteristic roots from rest, its variance is the sum of squared responses;
with batches of an epoch that share no sample the responses to one epoch partly cancel.
"""

import numpy as np

from diffkit.theory import quadratic
from diffkit.theory.law import Law

Array = np.ndarray


def _roots(curvatures: Array, step: float, momentum: float) -> tuple[Array, Array]:
    middle = 1 + momentum - step * curvatures
    gap = np.sqrt((middle**2 - 4 * momentum).astype(complex))
    return (middle + gap) / 2, (middle - gap) / 2


def responses(curvatures: Array, step: float, momentum: float, steps: int) -> Array:
    """K_0 ... K_steps of every mode, (steps + 1, d): what a unit push leaves after t steps."""
    one, two = _roots(curvatures, step, momentum)
    t = np.arange(steps + 1)[:, None]
    return ((one**t - two**t) / (one - two)).real


def expected_loss(
    modes: tuple[Array, Array, Array, Array],
    *,
    step: float,
    momentum: float,
    batch: int,
    samples: int,
    steps: int,
    is_reshuffled: bool = True,
) -> Array:
    """E of the mean training loss after 0, 1, ... steps, (steps + 1,).

    Args:
        modes: Curvature, start, mean and variance (divisor N) of the samples, each (d,).
        step: Learning rate a.
        momentum: b.
        batch: B, samples of a batch.
        samples: N; an epoch is N // B batches without a common sample, the rest is left out.
        steps: Updates.
        is_reshuffled: False draws every batch from all samples, with replacement.
    """
    curvatures, start, mean, variance = modes
    kernel = responses(curvatures, step, momentum, steps + 1)
    # From rest: x_0 = x_{-1} = 1 gives K_{t+1} - b K_t.
    decay = kernel[1:] - momentum * kernel[:-1]
    pushes = (step * curvatures) ** 2
    if is_reshuffled:
        unbiased = variance * samples / (samples - 1)
        spread = unbiased * (_squares(kernel) / batch - _epochs(kernel, samples // batch) / samples)
    else:
        spread = variance * _squares(kernel) / batch
    square = ((start - mean) * decay) ** 2 + pushes * spread[: steps + 1] + variance
    return np.sum(curvatures * square, axis=1) / 2


def _squares(kernel: Array) -> Array:
    """Sum of K_1^2 ... K_t^2 for t = 0, 1, ...: the response to independent batches."""
    return np.cumsum(kernel**2, axis=0)


def _epochs(kernel: Array, length: int) -> Array:
    """Sum over epochs of the squared sum of the responses to the epoch's batches.

    After t steps the batch of step s < t has the response K_{t-s}; epoch e holds the steps from
    e length to (e + 1) length - 1.
    """
    sums = np.cumsum(kernel, axis=0)  # S_t = K_1 + ... + K_t, K_0 = 0
    found = np.zeros_like(kernel)
    for t in range(len(kernel)):
        edges = np.append(np.arange(0, t, length), t)
        inside = sums[t - edges[:-1]] - sums[t - edges[1:]]
        found[t] = np.sum(inside**2, axis=0)
    return found


def laws() -> tuple[Law, ...]:
    """What the expectation is made of."""
    return (quadratic.response(), quadratic.batches(), quadratic.noise_floor())


def least_loss(curvatures: Array, modes: tuple[Array, Array, Array]) -> float:
    """The training loss at the mean of the samples: what no optimiser can go below."""
    return float(np.sum(curvatures * modes[2]) / 2)

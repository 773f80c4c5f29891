"""Problems that are drawn: two spirals, XOR, and a linear teacher."""

from math import inf, pi

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.core.ranges import is_real, is_whole
from diffkit.problems.dataset import Dataset, check_seed


def spirals(samples: int, *, turns: float = 1.5, noise: float = 0.02, seed: int = 0) -> Dataset:
    r"""Two arms $r (\cos\theta, \sin\theta)$ with $\theta = 2\pi\,t\,r + k\pi$, classes k = 0, 1.

    Args:
        samples: N >= 2; the arms have N/2 each, one of them one more where N is odd.
        turns: t, how often an arm goes round for r from 0 to 1, > 0.
        noise: Standard deviation added to both coordinates, >= 0.
        seed: Of the draw.

    Raises:
        UsageError: a number outside of its range.
    """
    _check(samples, noise, seed)
    if not (is_real(turns) and 0 < turns < inf):
        raise UsageError(f"turns={turns!r}; give a number > 0")
    random = np.random.default_rng(seed)
    arm = np.arange(samples) % 2
    radius = np.sqrt(random.uniform(size=samples))
    angle = 2 * pi * turns * radius + pi * arm
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points += noise * random.standard_normal(points.shape)
    return _classes("spirals", points, arm, f"two spirals of {turns:g} turns")


def xor(samples: int, *, noise: float = 0.1, seed: int = 0) -> Dataset:
    """The four corners (+-1, +-1); the class is 1 where the signs differ.

    Args:
        samples: N >= 4; the corners take turns.
        noise: Standard deviation added to both coordinates, >= 0.
        seed: Of the draw.

    Raises:
        UsageError: a number outside of its range.
    """
    _check(samples, noise, seed)
    if samples < 4:
        raise UsageError(f"samples={samples!r}; XOR has four corners, give 4 or more")
    random = np.random.default_rng(seed)
    corner = np.arange(samples) % 4
    signs = np.stack([corner % 2, corner // 2], axis=1) * 2 - 1
    points = signs + noise * random.standard_normal((samples, 2))
    return _classes("xor", points, (signs[:, 0] != signs[:, 1]).astype(int), "XOR of two signs")


def linear_teacher(
    samples: int, features: int, *, noise: float = 0.1, seed: int = 0
) -> tuple[Dataset, np.ndarray]:
    """Gaussian inputs, targets x'b + e with |b| = 1 and Var e = noise^2; also returns b.

    Args:
        samples: N >= 2.
        features: d >= 1.
        noise: Standard deviation of e, >= 0.
        seed: Of the draw.

    Raises:
        UsageError: a number outside of its range.
    """
    _check(samples, noise, seed)
    if not is_whole(features, 1):
        raise UsageError(f"features={features!r}; give a whole number >= 1")
    random = np.random.default_rng(seed)
    b = random.standard_normal(features)
    b /= np.linalg.norm(b)
    inputs = random.standard_normal((samples, features))
    targets = inputs @ b + noise * random.standard_normal(samples)
    name = "linear teacher"
    data = Dataset(
        name, inputs.astype(np.float32), targets.astype(np.float32), (), "Gaussian linear teacher"
    )
    return data, b


def _classes(name: str, points: np.ndarray, label: np.ndarray, source: str) -> Dataset:
    return Dataset(
        name, points.astype(np.float32), label.astype(np.int32), ("0", "1"), f"drawn: {source}"
    )


def _check(samples: int, noise: float, seed: int) -> None:
    if not is_whole(samples, 2):
        raise UsageError(f"samples={samples!r}; give a whole number, 2 or more")
    if not (is_real(noise) and 0 <= noise < inf):
        raise UsageError(f"noise={noise!r}; give a number >= 0")
    check_seed(seed)

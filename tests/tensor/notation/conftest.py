"""Arrays for formulas: drawn from a text that names their shapes and kinds."""

import numpy as np
import pytest

from diffkit.tensor import views
from diffkit.tensor.nodes import var


def arrays(spec: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Arrays such as "X:64 w:4 S:44+ p:6% A:44!": positive (definite), probabilities, regular."""
    found = {}
    for part in spec.split():
        name, _, shape = part.partition(":")
        value = rng.normal(size=tuple(map(int, shape.rstrip("+%!"))))
        if shape.endswith("+"):
            is_matrix = value.ndim == 2
            value = value @ value.T / 4 + np.eye(len(value)) / 2 if is_matrix else abs(value) + 0.5
        elif shape.endswith("!"):
            value = 2 * np.eye(len(value)) + value / 2
        elif shape.endswith("%"):
            value = np.exp(value) / np.exp(value).sum(-1, keepdims=True)
        found[name] = np.asarray(value)
    return found


@pytest.fixture
def draw(rng):
    """Text such as "X:64 w:4" to the arrays and to the names a reader takes."""

    def draw(spec):
        values = arrays(spec, rng)
        return values, {name: views.view(var(name, x.shape)) for name, x in values.items()}

    return draw

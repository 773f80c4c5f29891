"""Arguments with which a public function can be called: arrays by letter, recipes by arity.

A recipe names the float arrays it passes by one letter each; what is not differentiated (axes,
labels, masks, strings) is written into its body.  No recipe draws random numbers when it is used:
the arrays are made once, from one seed, and are the same in every run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

SEED = 20240607

Body = Callable[..., Any]


def _vectors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Vectors of length 4 but for `b` (3) and `o`, `n`, `X`, which are shifted."""
    return {
        "v": rng.uniform(0.1, 0.9, 4),
        "w": rng.uniform(0.1, 0.9, 4),
        "u": rng.uniform(0.1, 0.9, 4),
        "z": np.array([-1.3, 0.4, 2.1, -0.6]),
        "b": rng.uniform(0.1, 0.9, 3),
        "c": rng.uniform(0.1, 0.9, 3),
        "o": rng.uniform(0.01, 0.09, 4),
        "n": -rng.uniform(1.1, 1.9, 4),
        "X": rng.uniform(1.6, 2.9, 4),
        "p": _normalised(rng.uniform(0.2, 0.8, 4)),
        "q": _normalised(rng.uniform(0.2, 0.8, 4)),
        "i": np.array([0.15, 0.35, 0.6, 0.85]),
    }


def _matrices(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Matrices of 3 x 3 but for `R` (4 x 3); `S` is positive definite, `L` lower triangular."""
    square = rng.uniform(0.1, 0.9, (3, 3))
    lower = np.tril(rng.uniform(0.2, 0.9, (3, 3))) + np.eye(3)
    factor = rng.uniform(-0.5, 0.5, (3, 3))
    return {
        "M": square + np.diag([1.0, 1.5, 2.0]),
        "N": rng.uniform(0.1, 0.9, (3, 3)) + np.diag([2.0, 1.0, 1.5]),
        "S": factor @ factor.T + np.diag([1.0, 1.6, 2.3]),
        "L": lower,
        "R": rng.uniform(0.1, 0.9, (4, 3)),
        "Z": rng.uniform(-2.0, 2.0, (2, 3)),
        "Y": rng.uniform(-2.0, 2.0, (2, 3)),
    }


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def _tensors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Arrays of rank 4 (attention heads `A`, `B`, `C`), rank 3 (`T`) and numbers (`s`, `t`)."""
    return {
        **{letter: rng.uniform(-1.0, 1.0, (1, 2, 1, 2)) for letter in "ABC"},
        "T": rng.uniform(0.1, 0.9, (1, 2, 2)),
        "s": np.array(0.37),
        "t": np.array(0.73),
    }


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return {**_vectors(rng), **_matrices(rng), **_tensors(rng)}


#: Letter -> array of float64.
ARRAYS: dict[str, np.ndarray] = _arrays()


@dataclass(frozen=True)
class Recipe:
    """One way to call a function.

    Args:
        letters: One letter of `ARRAYS` per float argument.
        body: (function, *arrays) -> its value; None calls the function with the arrays.
    """

    letters: str
    body: Body | None = None

    def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of the float arrays alone."""
        return function if self.body is None else partial(self.body, function)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arguments."""
        return tuple(ARRAYS[letter] for letter in self.letters)


def _listed(f: Callable[..., Any], *arrays: Any) -> Any:
    return f(list(arrays))


#: Number of arguments without a default -> recipes, in the order in which they are tried.
GENERIC: dict[int, tuple[Recipe, ...]] = {
    1: (
        Recipe("v"),
        Recipe("M"),
        Recipe("S"),
        Recipe("vw", _listed),
        Recipe("MN", _listed),
        Recipe("X"),
        Recipe("z"),
    ),
    2: (
        Recipe("vw"),
        Recipe("Mb"),
        Recipe("MN"),
        Recipe("v", lambda f, x: f(x, 2)),
        Recipe("M", lambda f, x: f(x, 2)),
        Recipe("v", lambda f, x: f(2, x)),
    ),
    3: (
        Recipe("vwu"),
        Recipe("MNS"),
        Recipe("M", lambda f, x: f(x, 0, 1)),
        Recipe("vw", lambda f, x, y: f(x, y, 2)),
    ),
    4: (Recipe("vwui"),),
}

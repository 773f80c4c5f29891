"""One identity of matrix calculus as data: two JAX functions that the judge compares.

The functions are plain `jnp` code, so that a row claims something about programs people write.
The wrong claim is a mistake that is really made: a missing transpose, a forgotten term.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from diffkit.core.claim import Kind

Program = Callable[..., Any]
Array = Any


@dataclass(frozen=True)
class Sample:
    """Shape of an argument and how its values are drawn.

    Args:
        shape: Its shape; () for a number.
        kind: A name of `KINDS`.
    """

    shape: tuple[int, ...]
    kind: str = "normal"

    @classmethod
    def parse(cls, text: str) -> "Sample":
        """Read "5x3", "4", "4x4 spd" or "scalar positive"."""
        size, _, kind = text.partition(" ")
        shape = () if size == "scalar" else tuple(map(int, size.split("x")))
        return cls(shape, kind or "normal")

    def draw(self, random: np.random.Generator) -> Array:
        """Values of the shape."""
        return KINDS[self.kind](self.shape, random)


@dataclass(frozen=True)
class Identity:
    r"""A derivative in closed form.

    Args:
        name: Its name, lower case with underscores.
        args: Arguments in order, as text: "A 5x4, X 4x3, s scalar positive".
        wrt: The argument differentiated by.
        f: The function.
        claim: The closed form, of the same arguments (for "jvp" the tangent `d<wrt>` is last).
        latex_f: The function in LaTeX.
        latex_claim: The closed form in LaTeX.
        source: Where it stands.
        kind: "gradient", "jacobian", "hessian" or "jvp".
        wrong: A plausible wrong claim, or None.
        mistake: What is wrong with it.
        domain: Declared domains beyond those the kinds of samples imply.
        reads: Whether `latex_claim` uses the arguments' own names only, so that it is a claim.
    """

    name: str
    args: str
    wrt: str
    f: Program
    claim: Program
    latex_f: str
    latex_claim: str
    source: str
    kind: Kind = "gradient"
    wrong: Program | None = None
    mistake: str = ""
    domain: Mapping[str, str] | None = None
    reads: bool = False

    def __str__(self) -> str:
        return self.name

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Argument -> how it is drawn."""
        pairs = (part.strip().split(" ", 1) for part in self.args.split(","))
        return {name: Sample.parse(text) for name, text in pairs}

    @property
    def domains(self) -> dict[str, str]:
        """Argument -> declared domain."""
        implied = {name: DOMAINS[s.kind] for name, s in self.samples.items() if s.kind in DOMAINS}
        return {**implied, **(self.domain or {})}

    def draw(self, seed: int = 0) -> dict[str, Array]:
        """Values of the arguments, the same for the same seed."""
        random = np.random.default_rng([zlib.crc32(self.name.encode()), seed])
        return {name: sample.draw(random) for name, sample in self.samples.items()}


# how arguments are drawn --------------------------------------------------------------------------


def _normal(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return random.normal(size=shape)


def _well_conditioned(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return 2 * np.eye(shape[-1]) + 0.5 * random.normal(size=shape)


def _spd(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    drawn = random.normal(size=shape)
    return drawn @ drawn.T / shape[-1] + 0.5 * np.eye(shape[-1])


def _symmetric(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    drawn = random.normal(size=shape)
    return (drawn + drawn.T) / 2


def _contraction(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    drawn = random.normal(size=shape)
    return 0.5 * drawn / np.linalg.norm(drawn, 2)


def _positive(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return np.asarray(random.uniform(0.5, 1.5, size=shape))


def _simplex(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    drawn = random.exponential(size=shape)
    return drawn / drawn.sum(axis=-1, keepdims=True)


def _sign(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return random.choice([-1.0, 1.0], size=shape)


def _one_hot(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    chosen = random.integers(0, shape[-1], size=shape[:-1])
    return (chosen[..., None] == np.arange(shape[-1])).astype(float)


KINDS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Array]] = {
    "normal": _normal,
    "well_conditioned": _well_conditioned,
    "spd": _spd,
    "symmetric": _symmetric,
    "contraction": _contraction,
    "positive": _positive,
    "simplex": _simplex,
    "sign": _sign,
    "one_hot": _one_hot,
}

#: Kinds of samples that are a declared domain.
DOMAINS = {
    "spd": "spd",
    "symmetric": "symmetric",
    "positive": "positive",
    "simplex": "simplex",
    "one_hot": "one_hot",
}

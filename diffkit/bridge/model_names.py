"""Short names for the parameters of a model: `W1`, `b1`, `g2` for long paths of leaves.

A pytree counts as a model when its leaves are called kernel, weight, bias, scale or embedding, as
Flax (Linen and NNX) and Equinox call them.  Layers are numbered in the order in which the program
first uses them, then by their paths, digits as numbers.  Where two leaves would get one name, all
keep their paths.
"""

import re
from collections.abc import Mapping, Sequence
from math import inf

#: Name of a leaf -> letter.
LETTERS: Mapping[str, str] = {
    "kernel": "W",
    "weight": "W",
    "bias": "b",
    "scale": "g",
    "embedding": "E",
}
#: One of these makes a pytree a model.
_TELLING = frozenset(("kernel", "weight", "scale", "embedding"))

_DIGITS = re.compile(r"(\d+)")


def is_model(paths: Sequence[str]) -> bool:
    """Whether the leaves of one argument are those of a model.

    Args:
        paths: Dotted paths of the leaves, the name of the argument first.

    >>> is_model(["params.Dense_0.bias", "params.Dense_0.kernel"]), is_model(["params.w"])
    (True, False)
    """
    return any("." in path and path.rpartition(".")[2] in _TELLING for path in paths)


def short_names(paths: Sequence[str], uses: Mapping[str, int] | None = None) -> dict[str, str]:
    """Path -> short name, for the leaves of models among the arguments.

    Args:
        paths: Dotted paths of all leaves of a call.
        uses: Path -> place of the first equation that uses the leaf.

    >>> short_names(["p.Dense_0.bias", "p.Dense_0.kernel", "p.Dense_1.kernel", "x"])
    {'p.Dense_0.bias': 'b1', 'p.Dense_0.kernel': 'W1', 'p.Dense_1.kernel': 'W2'}
    """
    found: dict[str, str] = {}
    for argument in dict.fromkeys(path.partition(".")[0] for path in paths):
        own = [path for path in paths if path.partition(".")[0] == argument]
        if is_model(own):
            found.update(_of_model(own, uses or {}))
    names = [*found.values(), *(path for path in paths if path not in found)]
    return found if len(set(names)) == len(names) else {}


def _of_model(paths: Sequence[str], uses: Mapping[str, int]) -> dict[str, str]:
    named = [path for path in paths if path.rpartition(".")[2] in LETTERS]
    first: dict[str, float] = {}
    for path in named:
        layer = path.rpartition(".")[0]
        first[layer] = min(first.get(layer, inf), uses.get(path, inf))
    layers = sorted(first, key=lambda layer: (first[layer], _natural(layer)))
    numbers = {layer: k for k, layer in enumerate(layers, start=1)}
    return {path: _short(*path.rpartition("."), numbers) for path in named}


def _short(layer: str, _: str, leaf: str, numbers: Mapping[str, int]) -> str:
    return f"{LETTERS[leaf]}{numbers[layer]}"


def _natural(path: str) -> list[tuple[bool, int, str]]:
    """Digits compare as numbers: layer 10 after layer 9."""
    return [
        (part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _DIGITS.split(path)
    ]

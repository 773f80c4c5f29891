"""What a training is given, checked before anything is compiled: numbers, seeds, settings, labels.

JAX reads a label that is no class as another one or as a NaN, and a seed beyond 32 bits as a
smaller one; both would train something else than was asked for.
"""

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.core.errors import DEFECTS, DiffkitError, UsageError
from diffkit.core.ranges import SEEDS, is_whole

Array = Any
#: What builds each of the two.
_EXAMPLES = {
    "optimiser": "lambda: optax.sgd(0.1)",
    "module": "lambda rngs: nnx.Linear(3, 1, rngs=rngs)",
}


def samples(inputs: Any, targets: Any) -> tuple[Array, Array]:
    """Inputs and targets as arrays of numbers, one target for each input.

    Raises:
        UsageError: they are no arrays of numbers, not as many, or none.
    """
    inputs, targets = _numbers("inputs", inputs), _numbers("targets", targets)
    if inputs.shape[:1] != targets.shape[:1] or not inputs.shape:
        raise UsageError(f"{_count(inputs)} inputs and {_count(targets)} targets; give as many")
    if not len(inputs):
        raise UsageError("there are no samples; give one or more")
    return inputs, targets


def _numbers(name: str, value: Any) -> Array:
    try:
        array = value if hasattr(value, "dtype") else np.asarray(value)
    except (TypeError, ValueError):  # rows of several lengths
        array = np.asarray(None)
    is_number = jnp.issubdtype(array.dtype, np.number) or array.dtype == np.bool_
    if not is_number:
        raise UsageError(f"{name} hold {array.dtype} and no numbers; give an array of numbers")
    return array


def _count(array: Array) -> int:
    return len(array) if array.shape else 0


def whole(name: str, value: Any, most: int | None = None) -> None:
    """Refuse what is no whole number from 1 on."""
    if not is_whole(value, 1, inf if most is None else most):
        wanted = "1 or more" if most is None else f"a whole number from 1 to {most}"
        raise UsageError(f"{name}={value!r}; give {wanted}")


def seeds_of_runs(seeds: Any) -> np.ndarray:
    """The seeds as an array.

    Raises:
        UsageError: none, one that is no whole number of 32 bits, or two that are the same.
    """
    try:
        found = np.asarray(seeds)
    except (TypeError, ValueError):
        found = np.asarray(None)
    are_whole = found.ndim == 1 and found.dtype.kind in "iu" and len(found) > 0
    if not are_whole or found.min() < 0 or found.max() >= SEEDS:
        raise UsageError(
            f"seeds={seeds!r}; give one or more whole numbers >= 0 and <= {SEEDS - 1}, "
            "all different"
        )
    if len(np.unique(found)) < len(found):
        raise UsageError(f"seeds={seeds!r}; give whole numbers that are all different")
    return found


def settings_of_runs(settings: Any) -> dict[str, np.ndarray]:
    """Name -> values of each setting.

    Raises:
        UsageError: they are no mapping of names to one or more numbers.
    """
    if not isinstance(settings, Mapping):
        raise UsageError(
            f'settings={settings!r}; give values by name, as {{"learning_rate": (0.1, 0.01)}}'
        )
    found = {}
    for name, values in settings.items():
        if not isinstance(name, str):
            raise UsageError(f"a setting is called {name!r}; give the name of an argument")
        found[name] = array = _numbers(f"values of the setting {name!r}", values)
        if array.ndim != 1:
            raise UsageError(f"the setting {name!r} is {values!r}; give a sequence of numbers")
        if not len(array):
            raise UsageError(f"the setting {name!r} has no value; give one or more")
    return {name: np.asarray(array) for name, array in found.items()}


def check_takes(
    build: Callable[..., Any], what: str, names: Sequence[str], given: Sequence[Any] = ()
) -> None:
    """Refuse settings that what builds the optimiser or the module does not take."""
    if not callable(build):
        raise UsageError(
            f"the {what} is {type(build).__name__}; give a function that builds it, such as "
            f"{_EXAMPLES[what]}"
        )
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):  # some built-in functions have none; they say so themselves
        return
    try:
        signature.bind(*given, **dict.fromkeys(names))
    except TypeError as error:
        raise UsageError(
            f"the {what} cannot be built with the settings {', '.join(names) or '(none)'}: "
            f"{error}; it takes {', '.join(signature.parameters) or 'none'}"
        ) from error


def check_logits(logits: Array, labels: Array) -> None:
    """Refuse labels that are not one whole number for each row of logits; while tracing, too."""
    if not logits.shape or logits.shape[:-1] != labels.shape:
        raise UsageError(
            f"labels of shape {labels.shape} for logits of shape {logits.shape}; give one class "
            f"0, 1, ... for each, as an array of shape {logits.shape[:-1]}"
        )
    if not jnp.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"labels hold {labels.dtype}; give whole numbers 0, 1, ...")


def check_classes(labels: Array, classes: int) -> None:
    """Refuse a label that is none of the classes."""
    low, high = np.min(labels), np.max(labels)
    if low < 0 or high >= classes:
        raise UsageError(
            f"the label {low if low < 0 else high} is none of the {classes} classes of the "
            f"module; give whole numbers from 0 to {classes - 1}"
        )


@contextmanager
def traced(what: str) -> Generator[None]:
    """What tracing the user's function raises, as one sentence."""
    try:
        yield
    except DiffkitError:
        raise
    except DEFECTS as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
        raise UsageError(
            f"{what}: {type(error).__name__}: {reason}; mend one or the other"
        ) from error

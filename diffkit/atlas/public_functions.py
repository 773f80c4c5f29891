"""The public functions of JAX and Optax that have a gradient, each with a call that shows it.

A function is listed when a weighted sum of its real results has a derivative that is not zero, at
one fixed point, by at least one float argument.  `jax.grad` says so; it is what the atlas examines,
so where it gives 0 differences are asked too, and where it gives nan or inf at a finite value the
function is listed all the same.  Everything else is unlisted with the reason, so that no name is
dropped in silence.  Values and gradients are taken in float64.
"""

import inspect
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.atlas.recipes import GENERIC, SEED, Recipe
from diffkit.atlas.special_calls import CALLS, FAMILIES, REFUSED
from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.core.errors import UsageError

#: The modules that are listed; of an object with several names the first is kept.
MODULES = (
    "jax.nn",
    "jax.numpy",
    "jax.numpy.linalg",
    "jax.scipy.special",
    "jax.scipy.stats",
    "jax.scipy.linalg",
    "optax.losses",
)
#: Modules whose submodules hold functions of their own.
_NESTED = ("jax.scipy.stats",)

ZERO = "the gradient is zero at every argument tried"
NOT_FINITE = "the gradient is not finite at any argument tried"
INTEGERS = "returns integers or booleans"
COMPLEX = "returns complex numbers"
NO_ARRAYS = "returns no arrays"
NO_RULE = "has no rule of differentiation"
NEEDS = "needs other arguments"
#: Which reason is told when different recipes fail for different ones.
_TELLING = (ZERO, NOT_FINITE, NO_RULE, COMPLEX, INTEGERS, NO_ARRAYS, NEEDS)

#: Step of differences in float64, relative to the argument, and what rounding a value may cost.
_STEP = 2.0**-13
_ROUNDING = 2.0**-46


@dataclass(frozen=True)
class PublicFunction:
    """A public function with a nonzero gradient.

    Args:
        name: Dotted name, unique in the list.
        call: The function of its float arrays alone.
        args: The arrays, float64.
        wrt: Positions of the arguments with a gradient that is not zero.
        without: (position, reason) of the arguments by which JAX gives no gradient.
        zero: Positions of the arguments by which it is 0, AD and differences agreeing.
    """

    name: str
    call: Callable[..., Any]
    args: tuple[np.ndarray, ...]
    wrt: tuple[int, ...] = ()
    without: tuple[tuple[int, str], ...] = ()
    zero: tuple[int, ...] = ()

    def scalar(self, *x: Any) -> Any:
        """The weighted sum of its real results, a number that can be differentiated."""
        return weighted_sum(self.call(*x), self.name)


def public_functions(modules: Iterable[str] = MODULES) -> tuple[PublicFunction, ...]:
    """The functions of `modules` with a nonzero gradient, in order of module and name."""
    found = (find(name, function) for name, function in public_names(modules).items())
    return tuple(each for each in found if isinstance(each, PublicFunction))


def unlisted(modules: Iterable[str] = MODULES) -> dict[str, str]:
    """Public callable -> why it is not listed."""
    found = {name: find(name, function) for name, function in public_names(modules).items()}
    return {name: each for name, each in found.items() if isinstance(each, str)}


def public_names(modules: Iterable[str] = MODULES) -> dict[str, Callable[..., Any]]:
    """Dotted name -> object for every public callable that is no class, aliases left out.

    Raises:
        UsageError: a module is none of `MODULES`, or is not installed.
    """
    wanted = tuple(modules)
    for each in wanted:
        if each not in MODULES:
            raise UsageError(f"{each} is not listed; choose from {', '.join(MODULES)}")
    seen: dict[int, str] = {}
    for name, value in _callables():
        seen.setdefault(id(value), name)
    return {
        name: value
        for name, value in _callables()
        if seen[id(value)] == name and module_of(name) in wanted
    }


def canonical(name: str) -> str:
    """The name a public object is listed under: the first of its names, or the name itself.

    >>> canonical("jax.numpy.tanh"), canonical("jax.numpy.no_such")
    ('jax.nn.tanh', 'jax.numpy.no_such')
    """
    objects = dict(_callables())
    if name not in objects:
        return name
    return next(each for each, value in objects.items() if value is objects[name])


def _callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in MODULES:
        yield from _of_module(name, _import(name))


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} is not installed; pip install 'diffkit[lab]'") from error


def _of_module(name: str, module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    for attribute in sorted(dir(module)):
        value = vars(module).get(attribute)
        full = f"{name}.{attribute}"
        if attribute.startswith("_") or value is None:
            continue
        if inspect.ismodule(value) and name in _NESTED:
            yield from _of_module(full, value)
        elif callable(value) and not inspect.isclass(value):
            yield full, value


def module_of(name: str) -> str:
    """The module of `MODULES` a public name is listed under."""
    return max((each for each in MODULES if name.startswith(f"{each}.")), key=len)


def find(name: str, function: Callable[..., Any]) -> PublicFunction | str:
    """The call of a public function that shows a gradient, or the reason why there is none."""
    if name in REFUSED:
        return REFUSED[name]
    reasons: list[str] = []
    for recipe in recipes(name, function):
        found = _attempt(name, recipe.bind(function), recipe.arrays)
        if isinstance(found, PublicFunction):
            return found
        reasons.append(found)
    return min(reasons, key=_rank, default=NEEDS)


def recipes(name: str, function: Callable[..., Any]) -> tuple[Recipe, ...]:
    """The recipes for a function, in order: its own, its family's, or those of its arity."""
    for table, key in ((CALLS, name), (FAMILIES, name), (FAMILIES, name.rpartition(".")[0])):
        if key in table:
            return (table[key],)
    required = _required(function)
    if required is None:
        return tuple(recipe for rows in GENERIC.values() for recipe in rows)
    return GENERIC.get(required, ()) + GENERIC.get(required + 1, ())


def _required(function: Callable[..., Any]) -> int | None:
    """Number of positional arguments without a default; None when it cannot be known."""
    operands = getattr(function, "nin", None)  # a ufunc, whose signature is (*args)
    if isinstance(operands, int):
        return operands
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _rank(reason: str) -> int:
    return next(k for k, each in enumerate(_TELLING) if reason.startswith(each))


def _attempt(
    name: str, call: Callable[..., Any], args: tuple[np.ndarray, ...]
) -> PublicFunction | str:
    with compat.x64(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shapes = jax.eval_shape(call, *args)
        except USER_ERRORS as error:
            return _complaint(error)
        refused = _no_floats(shapes)
        if refused:
            return refused
        return _judged(PublicFunction(name, call, args))


def _judged(candidate: PublicFunction) -> PublicFunction | str:
    """The function with the arguments by which it has a gradient, or why there are none."""
    gradients = _gradients(candidate)
    without = tuple((k, each) for k, each in enumerate(gradients) if isinstance(each, str))
    there = [k for k, each in enumerate(gradients) if not isinstance(each, str)]
    wrt = tuple(k for k in there if np.any(gradients[k] != 0) or _moves(candidate, k))
    if wrt:
        zero = tuple(k for k in there if k not in wrt)
        return replace(candidate, wrt=wrt, without=without, zero=zero)
    return min((reason for _, reason in without), key=_rank, default=ZERO)


def _moves(candidate: PublicFunction, position: int) -> bool:
    """Whether central differences say that a derivative is not 0, although AD does.

    Two steps must agree: across a jump the quotient grows as the step shrinks.
    """
    mine = candidate.args[position]
    along = np.random.default_rng(SEED).uniform(0.5, 1.0, mine.shape)
    size = float(np.max(np.abs(mine), initial=0.0)) or 1.0

    def quotient(step: float) -> tuple[float, float]:
        moved = (replace_at(candidate.args, position, mine + s * step * along) for s in (-1, 1))
        left, right = (float(candidate.scalar(*map(jnp.asarray, each))) for each in moved)
        return (right - left) / (2 * step), _ROUNDING * max(abs(left), abs(right)) / step

    coarse, _ = quotient(_STEP * size)
    fine, rounding = quotient(_STEP * size / 8)
    return abs(fine) > rounding and abs(coarse - fine) <= 0.1 * abs(fine)


def replace_at(
    arrays: tuple[np.ndarray, ...], position: int, value: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The arrays with one of them replaced."""
    return (*arrays[:position], value, *arrays[position + 1 :])


def _gradients(candidate: PublicFunction) -> list[np.ndarray | str]:
    """The gradient by every argument, or the reason why JAX gives none.

    One that is not finite counts where the value is: it is what is to be examined.
    """
    positions = range(len(candidate.args))
    try:
        found: list[np.ndarray | str] = list(gradient(candidate, tuple(positions)))
    except USER_ERRORS:
        # one argument without a rule spoils them all, so each is asked by itself
        found = [_gradient_by(candidate, k) for k in positions]
    if np.isfinite(float(candidate.scalar(*map(jnp.asarray, candidate.args)))):
        return found
    return [
        each if isinstance(each, str) or np.all(np.isfinite(each)) else NOT_FINITE for each in found
    ]


def _gradient_by(candidate: PublicFunction, position: int) -> np.ndarray | str:
    try:
        return gradient(candidate, (position,))[0]
    except USER_ERRORS as error:
        return f"{NO_RULE} ({_first_line(error)})"


def gradient(function: PublicFunction, wrt: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Reverse-mode gradient of the weighted sum by some arguments; float64 must be on."""
    arguments = [jnp.asarray(each) for each in function.args]
    return tuple(map(np.asarray, jax.grad(function.scalar, wrt)(*arguments)))


def _no_floats(shapes: Any) -> str:
    """Why the results cannot be summed to a real number; "" when they can."""
    kinds = {np.dtype(leaf.dtype).kind for leaf in jax.tree.leaves(shapes) if _is_array(leaf)}
    if "f" in kinds:
        return ""
    if "c" in kinds:
        return COMPLEX
    return INTEGERS if kinds else NO_ARRAYS


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and getattr(leaf.dtype, "kind", "V") in "biufc"


def _complaint(error: Exception) -> str:
    said = _first_line(error)
    return NO_ARRAYS if "not a valid JAX type" in said else f"{NEEDS} ({said})"


def _first_line(error: Exception) -> str:
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {said}"[:160]


def weighted_sum(value: Any, name: str) -> Any:
    """The sum of the real results times fixed weights; a single number is left as it is."""
    first, *rest = (each if each.ndim == 0 else jnp.sum(each) for each in weighted(value, name))
    return sum(rest, first)


def weights_of(function: PublicFunction, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The weights of `scalar` at arguments; [] where the result is one number, taken as it is."""
    with compat.x64():
        shapes = jax.eval_shape(function.call, *arguments)
    leaves = [each for each in jax.tree.leaves(shapes) if is_real(each)]
    if len(leaves) == 1 and leaves[0].ndim == 0:
        return []
    rng = np.random.default_rng(zlib.crc32(function.name.encode()))
    return [weights(rng, each.shape) for each in leaves]


def weighted(value: Any, name: str) -> list[Any]:
    """The real results times fixed weights.

    Args:
        value: Arrays, or a pytree of them; what is not real is left out.
        name: Seeds the weights.
    """
    leaves = [jnp.asarray(each) for each in jax.tree.leaves(value) if is_real(each)]
    if len(leaves) == 1 and leaves[0].ndim == 0:
        return leaves
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return [weights(rng, each.shape) * each for each in leaves]


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Distinct multiples of 1/8, of either sign: exact in every binary dtype, never zero."""
    size = int(np.prod(shape))
    magnitude = (rng.permutation(size) + 3) / 8
    return (rng.choice((-1.0, 1.0), size) * magnitude).reshape(shape)


def is_real(leaf: Any) -> bool:
    """Whether a result is of floating-point numbers."""
    return isinstance(leaf, float) or (
        hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    )

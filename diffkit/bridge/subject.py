"""A JAX function with its example arguments, seen one direction at a time.

A derivative of an array function is judged through scalar questions phi(t) = <u, f(x + t v)>
with a tangent v and a cotangent u; for a scalar function v = u = 1.  Everything that runs the
function (AD, difference quotients, balls) asks these questions, so the witnesses answer about
the same numbers.  Points are kept as float64 arrays; each dtype rounds them first.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import bind, function_name, refusal, user_errors
from diffkit.bridge.blocks import read
from diffkit.bridge.drawn import SOURCES
from diffkit.bridge.interpret_jaxpr import run
from diffkit.bridge.survey import coarsest
from diffkit.bridge.wide import run_wide
from diffkit.core.errors import DiffkitError, UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean

#: Arrays up to this many (input entry, output entry) pairs are probed entry by entry.
MOST_PAIRS = 64
RANDOM_PROBES = 4


@dataclass(frozen=True)
class Probe:
    """One scalar question: the point, the direction v and the cotangent u.

    Args:
        leaves: Value of every argument leaf, float64 (integer leaves keep their dtype).
        tangent: v, of the shape of the differentiated leaf.
        cotangent: u, of the shape of the result.
        entry: "" for a scalar, else which entry or direction is asked about.
    """

    leaves: tuple[np.ndarray, ...]
    tangent: np.ndarray
    cotangent: np.ndarray
    entry: str = ""


@dataclass(frozen=True)
class Subject:
    """A function to be judged.

    Args:
        name: How reports call it.
        function: The user's function.
        call: The same as a function of the flat leaves.
        names: Names of the leaves.
        values: Example values; a zero array where only a shape was given.
        is_shape_only: Whether a leaf was given as a shape.
        wrt: Position of the differentiated leaf.
        notes: What a reader must know about how the arguments were bound.
        directions: Ask about so many random directions; 0: entry by entry while there are few.
        parts: Path and shape of the leaves that the differentiated one is joined of.
        apart: The function of these leaves, each by itself, and then the others.
    """

    name: str
    function: Callable[..., Any]
    call: Callable[..., Any]
    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    is_shape_only: tuple[bool, ...]
    wrt: int
    notes: tuple[str, ...] = ()
    directions: int = 0
    parts: tuple[tuple[str, tuple[int, ...]], ...] = ()
    apart: Callable[..., Any] | None = None

    @property
    def variable(self) -> str:
        """Name of the differentiated leaf."""
        return self.names[self.wrt]

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What was traced of the function, kept as long as the function itself."""
        return {}

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the one array the function returns."""
        try:
            with compat.x64():
                out = jax.eval_shape(self.call, *self.values)
        except DiffkitError:
            raise
        except user_errors() as error:
            raise refusal(self.name, error) from error
        leaves = jax.tree.leaves(out)
        if len(leaves) != 1:
            raise UsageError(
                f"{self.name} returns {len(leaves)} arrays; judge one at a time, "
                "for example lambda x: f(x)[0]"
            )
        if jnp.issubdtype(leaves[0].dtype, jnp.complexfloating):
            raise UsageError(
                f"{self.name} returns complex values; judge a real function of them, for example "
                "lambda z: f(z).real"
            )
        if not jnp.issubdtype(leaves[0].dtype, jnp.floating):
            raise UsageError(
                f"{self.name} returns {leaves[0].dtype} values; only real floating-point results "
                "have a derivative, return such a one"
            )
        return tuple(leaves[0].shape)

    def at(self, dtype: str, leaves: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The leaves rounded to `dtype`; integer and boolean leaves as they are."""
        with np.errstate(over="ignore", under="ignore"):
            return tuple(
                leaf.astype(jnp.dtype(dtype)) if np.issubdtype(leaf.dtype, np.floating) else leaf
                for leaf in leaves
            )

    def is_representable(self, dtype: str, leaves: Sequence[np.ndarray]) -> bool:
        """Whether no entry overflows, or underflows to 0, when it is rounded to `dtype`."""
        limits = jnp.finfo(dtype)
        for leaf in leaves:
            if np.issubdtype(leaf.dtype, np.floating):
                size = np.abs(leaf[leaf != 0])
                if np.any(size > float(limits.max)) or np.any(size < float(limits.tiny)):
                    return False
        return True

    def line(self, leaves: Sequence[Any], tangent: Any, cotangent: Any) -> Callable[[Any], Any]:
        """phi(t) = <u, f(x + t v)> as a JAX function of a scalar t."""

        def phi(t: Any) -> Any:
            moved = list(leaves)
            moved[self.wrt] = leaves[self.wrt] + t * tangent
            return weighted(cotangent, jax.tree.leaves(self.call(*moved))[0])

        return phi

    def widened(self, dtype: str) -> "Subject":
        """The function to be run in float64 where the program in `dtype` is asked about.

        A function that draws random numbers draws others when it is traced in float64: there the
        equations of its program in `dtype` are run with wider numbers.
        """
        if dtype == "float64" or not self.draws(dtype):
            return self
        block = read(self.jaxpr(dtype))

        def call(*leaves: Any) -> Any:
            return run_wide(block, [jnp.asarray(leaf) for leaf in leaves])

        return replace(self, call=call)

    def coarsest(self, dtype: str) -> float:
        """The largest spacing at 1 of the types in the program in `dtype`, at least its own."""
        key = "coarsest", dtype
        if key not in self.memo:
            self.memo[key] = coarsest(self.jaxpr(dtype), dtype)
        return self.memo[key]

    def draws(self, dtype: str) -> bool:
        """Whether the program in `dtype` draws random numbers."""
        return not SOURCES.isdisjoint(compat.primitives(self.jaxpr(dtype)))

    def renamed(self, program: Callable[..., Any]) -> Callable[..., Any]:
        """`program` of the flat leaves under the parameter names of the user's function."""

        def named(*leaves: Any) -> Any:
            return program(*leaves)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [name.replace(".", "_") for name in self.names]
        if len(set(names)) < len(names):
            raise UsageError(
                f"two of {', '.join(self.names)} have one name in claims, where a dot is _; "
                "rename one"
            )
        parameters = [inspect.Parameter(name, kind) for name in names]
        named.__signature__ = inspect.Signature(parameters)  # ty: ignore[missing-attribute]
        named.__name__ = self.name
        return named

    def jaxpr(self, dtype: str) -> Any:
        """The jaxpr of the function itself for leaves of `dtype`, traced once."""
        if dtype not in self.memo:
            with compat.x64(dtype == "float64"):
                self.memo[dtype] = compat.trace(self.call, *self.at(dtype, self.values))
        return self.memo[dtype]

    def exact_line(self, jaxpr: Any, leaves: Sequence[np.ndarray], probe: Probe) -> Callable:
        """phi as a program over any algebra: germ -> germ, run on the jaxpr itself."""

        def phi(t: Any) -> Any:
            algebra = t.algebra
            numbers = [_numbers(leaf, algebra) for leaf in leaves]
            moving = np.empty(probe.tangent.shape, dtype=object)
            base = np.asarray(leaves[self.wrt])
            for index in np.ndindex(*base.shape):
                at = algebra.constant(Fraction(float(base[index])))
                slope = float(probe.tangent[index])
                moving[index] = at if slope == 0 else at + t * Fraction(slope)
            numbers[self.wrt] = moving
            (result,) = run(jaxpr, numbers, algebra)
            total = algebra.constant(0)
            for weight, entry in zip(
                np.ravel(probe.cotangent), np.ravel(np.asarray(result, dtype=object)), strict=True
            ):
                if weight != 0:
                    total = total + entry * Fraction(float(weight))
            return total

        return phi

    def probes(self, leaves: tuple[np.ndarray, ...], seed: int = 0) -> list[Probe]:
        """The scalar questions asked at one point: entry by entry, or random directions."""
        shape, out = leaves[self.wrt].shape, self.output_shape
        size, count = int(np.prod(shape)), int(np.prod(out))
        if self.directions:
            return self._random_probes(leaves, shape, out, seed, self.directions)
        if shape == out and size * count > MOST_PAIRS:
            pairs = [(i, i) for i in np.unique(np.linspace(0, size - 1, 16).astype(int))]
        elif size * count <= MOST_PAIRS:
            pairs = [(i, j) for i in range(size) for j in range(count)]
        else:
            return self._random_probes(leaves, shape, out, seed, RANDOM_PROBES)
        return [
            Probe(leaves, _basis(shape, i), _basis(out, j), _entry(shape, out, i, j))
            for i, j in pairs
        ]

    def _random_probes(
        self, leaves: tuple[np.ndarray, ...], shape: tuple, out: tuple, seed: int, count: int
    ) -> list[Probe]:
        generator = np.random.default_rng(seed)
        found = []
        for number in range(count):
            v, u = generator.standard_normal(shape), generator.standard_normal(out)
            v, u = _short(v / np.linalg.norm(v)), _short(u / max(np.linalg.norm(u), 1e-300))
            found.append(Probe(leaves, v, u if out else np.ones(()), f"direction {number}"))
        return found


def _short(direction: np.ndarray) -> np.ndarray:
    """A direction in numbers of eight bits: every precision asks along the same one."""
    coarse = direction.astype(jnp.bfloat16).astype(np.float64)
    size = np.abs(coarse)
    return np.where(size < 2.0**-10 * np.max(size, initial=0.0), 0.0, coarse)


def rate(phi: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The derivative of a function of a scalar, by forward mode."""
    return lambda t: jax.jvp(phi, (t,), (jnp.ones_like(t),))[1]


def weighted(weights: Any, values: Any) -> Any:
    """<weights, values> where a weight of 0 hides even a nan: that entry was not asked about."""
    return jnp.sum(jnp.where(weights != 0, weights * values, 0))


def subject(
    f: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    wrt: int | str | None,
) -> Subject:
    """Bind example arguments to a function and choose the variable.

    Without any argument every parameter is a scalar known by its shape only.

    Raises:
        UsageError: no argument can be differentiated, or `wrt` is ambiguous or an integer.
        UnknownNameError: `wrt` names no argument.
    """
    if not callable(f):
        raise UsageError(f"expected a JAX function, not {type(f).__name__}")
    if not args and not kwargs:
        args = tuple(jax.ShapeDtypeStruct((), "float32") for _ in _parameters(f))
    leaves, call, notes = bind(f, tuple(args), kwargs)
    if not leaves:
        raise UsageError(f"{function_name(f)} takes no arguments; nothing can be differentiated")
    names = tuple(name for name, _ in leaves)
    values, shapes = zip(*(_value(name, leaf) for name, leaf in leaves), strict=True)
    position = _position(names, wrt, values)
    return Subject(
        function_name(f), f, call, names, tuple(values), tuple(shapes), position, tuple(notes)
    )


def _parameters(f: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return ["x"]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in positional and p.default is p.empty]


def _value(name: str, leaf: Any) -> tuple[np.ndarray, bool]:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return np.zeros(leaf.shape, _wide(leaf.dtype)), True
    array = np.asarray(leaf)
    if array.dtype.kind == "c":
        raise UsageError(f"argument {name} is complex; judge its real and imaginary parts")
    if isinstance(leaf, float) or _is_floating(array.dtype):
        array = array.astype(np.float64)
        if not np.all(np.isfinite(array)):
            raise UsageError(f"argument {name} holds nan or inf; give a finite point to judge at")
    return array, False


def _wide(dtype: Any) -> Any:
    return np.float64 if _is_floating(dtype) else dtype


def _is_floating(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.floating))


def _position(names: tuple[str, ...], wrt: int | str | None, values: Sequence[np.ndarray]) -> int:
    floating = [i for i, value in enumerate(values) if _is_floating(value.dtype)]
    if not floating:
        raise UsageError(
            "no argument is a floating-point number; integers have no derivative: write 1.0 for 1"
        )
    if wrt is None:
        wrt = 0
    if isinstance(wrt, bool) or not isinstance(wrt, int | str):
        raise UsageError(f"wrt is the position or name of one argument, not {wrt!r}")
    if isinstance(wrt, str):
        if wrt not in names:
            hint = did_you_mean(wrt, names)
            raise UnknownNameError(f"wrt={wrt!r} is no argument; {hint}known: {', '.join(names)}")
        wrt = names.index(wrt)
    if not -len(names) <= wrt < len(names):
        raise UsageError(f"wrt={wrt}, but the arguments are {', '.join(names)}")
    position = wrt % len(names)
    if position not in floating:
        raise UsageError(
            f"argument {names[position]} is an integer, which has no derivative; write "
            f"{values[position].item() if values[position].ndim == 0 else 'it'} as a float"
        )
    return position


def _basis(shape: tuple[int, ...], index: int) -> np.ndarray:
    found = np.zeros(shape)
    found[np.unravel_index(index, shape) if shape else ()] = 1.0
    return found


def _entry(shape: tuple[int, ...], out: tuple[int, ...], i: int, j: int) -> str:
    parts = []
    if out and out != shape:
        parts.append(f"output {_place(out, j)}")
    if shape:
        parts.append(f"entry {_place(shape, i)}")
        if out == shape and i != j:
            parts.append(f"output {_place(out, j)}")
    return ", ".join(parts)


def _place(shape: tuple[int, ...], index: int) -> str:
    return "[" + ", ".join(str(int(k)) for k in np.unravel_index(index, shape)) + "]"


def _numbers(leaf: np.ndarray, algebra: Any) -> Any:
    if not _is_floating(leaf.dtype):
        return leaf
    found = np.empty(leaf.shape, dtype=object)
    for index in np.ndindex(*leaf.shape):
        found[index] = algebra.constant(Fraction(float(leaf[index])))
    return found

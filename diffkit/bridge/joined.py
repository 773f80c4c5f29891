"""All leaves of a pytree as one vector, so that a function of it is one of a single array.

What `wrt` names may be a pytree, or several arguments; the vector holds the entries of its leaves
one leaf after the other, each row-major.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.bridge.arguments import bind, function_name
from diffkit.bridge.selection import named_leaves
from diffkit.core.errors import UsageError

Part = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Joined:
    """A function with the differentiated leaves joined.

    Args:
        function: Takes the vector, then the other leaves.
        arguments: Its example arguments.
        apart: The same function of the leaves in the vector, each by itself, and the others.
        parts: Path and shape of each leaf in the vector.
        notes: What is fixed.
        others: Paths of the leaves that are not in the vector.
    """

    function: Callable[..., Any]
    apart: Callable[..., Any]
    arguments: tuple[Any, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    others: tuple[str, ...] = ()


def joined(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wrt: Any
) -> Joined | None:
    """The function with what `wrt` names as one vector; None where that is one array anyway.

    Raises:
        UsageError: a leaf is no array of floating-point numbers.
    """
    leaves, call, notes = bind(f, args, kwargs)
    named = named_leaves(f, args, kwargs, wrt)
    paths = [str(path) for path in jax.tree.leaves(named)]
    values = dict(leaves)
    names = list(values)
    if len(paths) < 2 or not set(paths) <= set(names):
        return None
    fixed = [path for path in paths if not _is_float(values[path])]
    asked = named if isinstance(named, tuple) else ()
    for path in fixed:
        if path in asked or len(fixed) == len(paths):
            raise UsageError(
                f"{path} holds {jnp.result_type(values[path])} values, which have no derivative; "
                "name the other leaves in wrt="
            )
    paths = [path for path in paths if path not in fixed]
    notes = (*notes, *(f"{path} ({jnp.result_type(values[path])}) is fixed" for path in fixed))
    parts = tuple((path, tuple(np.shape(values[path]))) for path in paths)
    others = [name for name in names if name not in set(paths)]

    def function(vector: Any, *rest: Any) -> Any:
        held = dict(zip(others, rest, strict=True)) | split(vector, parts)
        return call(*(held[name] for name in names))

    def apart(*leaves: Any) -> Any:
        held = dict(zip((*paths, *others), leaves, strict=True))
        return call(*(held[name] for name in names))

    title = paths[0].partition(".")[0]
    give_names(function, (title, *others), function_name(f))
    give_names(apart, (*paths, *others), function_name(f))
    first = _vector([values[path] for path in paths])
    listed = ", ".join(f"{path} {'x'.join(map(str, shape)) or 'a number'}" for path, shape in parts)
    notes = (*notes, f"{title} is all of {listed}" if len(parts) <= 8 else _summary(title, parts))
    arguments = first, *(values[name] for name in others)
    return Joined(function, apart, arguments, parts, notes, tuple(others))


def single(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wrt: Any
) -> Any:
    """The path of the one array that `wrt` names; `wrt` itself where it names none.

    Positions count arguments, and an argument before it may be a pytree of many leaves.
    """
    if not args and not kwargs:
        return wrt
    paths = jax.tree.leaves(named_leaves(f, args, kwargs, wrt))
    return str(paths[0]) if len(paths) == 1 and isinstance(paths[0], str) else wrt


def _is_float(value: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(value), jnp.floating))


def give_names(function: Any, parameters: Sequence[str], name: str) -> None:
    """Give a function the names of its parameters, which are paths, and its own."""
    kind = Parameter.POSITIONAL_OR_KEYWORD
    spelled = [Parameter(each.replace(".", "_"), kind) for each in parameters]
    function.__signature__ = Signature(spelled)
    function.__name__ = name


def split(vector: Any, parts: Sequence[Part]) -> dict[str, Any]:
    """The leaves a vector holds, by path."""
    found, start = {}, 0
    for path, shape in parts:
        size = prod(shape)
        found[path] = vector[start : start + size].reshape(shape)
        start += size
    return found


def path_of(entry: int, parts: Sequence[Part]) -> str:
    """Which entry of which leaf an entry of the vector is.

    >>> path_of(4, (("p.b", (3,)), ("p.W", (2, 2))))
    'p.W[0, 1]'
    """
    for path, shape in parts:
        size = prod(shape)
        if entry < size:
            index = ", ".join(str(int(k)) for k in np.unravel_index(entry, shape)) if shape else ""
            return f"{path}[{index}]" if shape else path
        entry -= size
    raise IndexError(entry)


def _vector(values: Sequence[Any]) -> Any:
    """The entries of all leaves; a shape where one of them is only a shape."""
    if any(isinstance(value, jax.ShapeDtypeStruct) for value in values):
        total = sum(prod(value.shape) for value in values)
        return jax.ShapeDtypeStruct((total,), jnp.result_type(*(v.dtype for v in values)))
    return np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in values])


def _summary(title: str, parts: Sequence[Part]) -> str:
    entries = sum(prod(shape) for _, shape in parts)
    return f"{title} is all of its {len(parts)} leaves, {entries:,} entries"

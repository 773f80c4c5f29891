"""The arguments of a user's function as named leaves, and the function of those leaves.

Parameter names become the names of symbols; leaves of pytrees are named by their path.
Keywords that are no floating-point arrays (`axis=1`) are static.
"""

import inspect
import linecache
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import GetAttrKey, tree_flatten_with_path

from diffkit.backend.compat import is_key
from diffkit.bridge.model_names import LETTERS, is_model
from diffkit.core.errors import UsageError

#: What a user's function may raise while JAX traces it; a defect of diffkit raises none of its
#: own errors there.
USER_ERRORS = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NameError,
    RuntimeError,
    AssertionError,
    OSError,
    EOFError,
    MemoryError,
)


#: Errors of libraries that are none of these: module -> name of the class.
_OF_LIBRARIES = {"flax.errors": "FlaxError"}


def user_errors() -> tuple[type[BaseException], ...]:
    """`USER_ERRORS`, and what the libraries raise that are in use."""
    found = ((sys.modules.get(module), name) for module, name in _OF_LIBRARIES.items())
    return (*USER_ERRORS, *(getattr(module, name) for module, name in found if module is not None))


def refusal(name: str, error: BaseException) -> UsageError:
    """The error for a function that raises when JAX runs it, with the remedy."""
    kind, said = type(error).__name__, str(error).strip().partition("\n")[0].rstrip(".")
    if isinstance(error, jax.errors.ConcretizationTypeError):
        return UsageError(
            f"JAX cannot trace {name}: it needs the value of an argument ({kind}); write jnp.sin "
            "for math.sin, jnp.where or lax.cond for if"
        )
    if kind == "TraceContextError":
        return UsageError(
            f"{name} changes a variable of a module that it closes over ({said}); pass the module, "
            "or its state, as an argument"
        )
    if "not a valid JAX type" in said:
        return UsageError(f"{name} returns no array of numbers; name a function that does")
    return UsageError(
        f"{name} raises {kind}{f': {said}' if said else ''}; mend it, or give other example "
        "arguments"
    )


#: A line that gives its one lambda a name.
_NAMED_LAMBDA = re.compile(r"^\s*(?:>>> )?([^\W\d]\w*)\s*(?::[^=]*)?=\s*lambda\b(?!.*\blambda\b)")


def function_name(f: Callable[..., Any]) -> str:
    """How reports call a function: a lambda by the name its line gives it, else "f"."""
    name = getattr(f, "__name__", type(f).__name__)
    if name != "<lambda>":
        return name
    code = getattr(f, "__code__", None)
    line = linecache.getline(code.co_filename, code.co_firstlineno) if code else ""
    found = _NAMED_LAMBDA.match(line)
    return found[1] if found else "f"


def bind(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[tuple[str, Any]], Callable[..., Any], tuple[str, ...]]:
    """Named leaves of the arguments, a function of those leaves, and notes on what is static."""
    given = _Given.read(f, args, kwargs)
    frozen, tree, static = given.frozen, given.tree, given.static
    named, keys = given.named, given.keys
    leaves = [(name, _checked(name, leaf)) for name, leaf in named if name not in frozen]

    def call(*values: Any) -> Any:
        given = iter(values)
        every = [frozen[name] if name in frozen else _own(next(given)) for name, _ in named]
        positional, keyword = jax.tree.unflatten(tree, every)
        return f(*positional, **dict(zip(keys, keyword, strict=True)), **static)

    notes = [f"{key}={value!r} is fixed" for key, value in sorted(static.items())]
    notes += [f"{name} ({_kind(leaf)}) is fixed" for name, leaf in frozen.items()]
    return leaves, call, tuple(notes)


def _own(value: Any) -> Any:
    """A leaf that the function may change in place, as modules change their statistics."""
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def leaf_names(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Name of an argument -> the names of its leaves, in the pytree that the argument is.

    An argument that is one array has its own name; leaves that are no inputs are None.

    >>> leaf_names(lambda p, x: 0, ({"W": 1.0, "b": 2.0}, 3.0), {})
    {'p': {'W': 'p.W', 'b': 'p.b'}, 'x': 'x'}
    """
    given = _Given.read(f, args, kwargs)
    names = [None if name in given.frozen else name for name, _ in given.named]
    positional, keyword = jax.tree.unflatten(given.tree, names)
    return dict(zip((*given.names, *given.keys), (*positional, *keyword), strict=True))


def refuse_other_fixed(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> None:
    """Refuse a call whose leaves that are no inputs differ from those a formula was made for.

    Raises:
        UsageError: one does, or it is traced, so that its value is not known.
    """
    for name, leaf in _Given.read(f, args, kwargs).frozen.items():
        if leaf is not fixed.get(name) and not _is_same(leaf, fixed.get(name)):
            raise UsageError(
                f"{name} ({_kind(leaf)}) is fixed in the formula; call it with the value it was "
                "derived for, or derive it for the new one"
            )


def fixed_leaves(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Path and value of the leaves that are no inputs: keys, counters, flags."""
    return _Given.read(f, args, kwargs).frozen


def _is_same(left: Any, right: Any) -> bool:
    if isinstance(left, jax.core.Tracer):
        return False
    if is_key(left):
        left, right = jax.random.key_data(left), jax.random.key_data(right)
    if _is_number(left):
        return bool(np.array_equal(np.asarray(left), np.asarray(right)))
    return bool(left == right)


@dataclass(frozen=True)
class _Given:
    """Arguments of a call taken apart.

    Args:
        names: Names of the positional arguments.
        keys: Names of the keywords that are arrays.
        static: The other keywords.
        named: Path and value of every leaf.
        tree: How the leaves make up the arguments.
        attributes: Paths that end in an attribute of an object.
    """

    names: Sequence[str]
    keys: Sequence[str]
    static: Mapping[str, Any]
    named: Sequence[tuple[str, Any]]
    tree: Any
    attributes: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> "_Given":
        if not callable(f):
            raise UsageError(f"expected a JAX function, not {type(f).__name__}")
        args, kwargs = _positional(f, args, kwargs)
        names = _parameter_names(f, len(args))
        _check_call(f, args, kwargs)
        dynamic = _in_signature_order(f, {k: v for k, v in kwargs.items() if _is_array(v)})
        static = {key: value for key, value in kwargs.items() if key not in dynamic}
        keys = list(dynamic)
        # a tuple, not the dict: JAX would sort the names, and the first one is differentiated
        flat, tree = tree_flatten_with_path((args, tuple(dynamic.values())))
        named = [
            ((names[which.idx] if side.idx == 0 else keys[which.idx]) + _path(path), leaf)
            for (side, which, *path), leaf in flat
        ]
        ends = zip((path for path, _ in flat), (name for name, _ in named), strict=True)
        attributes = frozenset(name for path, name in ends if isinstance(path[-1], GetAttrKey))
        return cls(names, keys, static, named, tree, attributes)

    @cached_property
    def frozen(self) -> dict[str, Any]:
        """Leaves that are no inputs."""
        return _frozen(self.named, self.attributes)


def _frozen(named: Sequence[tuple[str, Any]], attributes: frozenset[str]) -> dict[str, Any]:
    """Leaves that are no inputs: keys, what is no array inside a pytree, settings of a model.

    Settings are counters, flags, and plain numbers that are attributes, like a dropout rate; a
    flag of any object is one, since programs branch on it.
    """
    models = {name.partition(".")[0] for name, _ in named}
    models = {each for each in models if is_model([n for n, _ in named if _root(n) == each])}
    return {
        name: leaf
        for name, leaf in named
        if is_key(leaf)
        or ("." in name and not _is_number(leaf))
        or (_root(name) in models and not _is_float(leaf))
        or (name in attributes and isinstance(leaf, bool))
        or (_root(name) in models and name in attributes and _is_setting(name, leaf))
    }


def _is_setting(name: str, leaf: Any) -> bool:
    """Whether a leaf is a plain number that is no parameter by its name."""
    return type(leaf) is float and name.rpartition(".")[2] not in LETTERS


def _root(name: str) -> str:
    return name.partition(".")[0]


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, bool | int | float | complex) or _is_leaf(leaf)


def _is_float(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, float)
    return bool(jax.dtypes.issubdtype(dtype, np.inexact))


def _kind(leaf: Any) -> str:
    if is_key(leaf):
        return "a random key"
    dtype = getattr(leaf, "dtype", None)
    return str(dtype) if dtype is not None else f"a {type(leaf).__name__}"


def _positional(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Arguments given by the name of a positional-only parameter, put in their places.

    `jnp.sin(x, /)` is asked about by `x=0.5` like any other function.
    """
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return args, kwargs
    moved, rest = list(args), dict(kwargs)
    for parameter in parameters[len(args) :]:
        if parameter.kind is not parameter.POSITIONAL_ONLY or parameter.name not in rest:
            break
        moved.append(rest.pop(parameter.name))
    return tuple(moved), rest


def _in_signature_order(f: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Keywords in the order of the parameters, so that the first parameter comes first."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        return given
    places = {name: place for place, name in enumerate(names)}
    return dict(sorted(given.items(), key=lambda item: places.get(item[0], len(places))))


def _parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    """Names for the first `count` positional arguments."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return [f"x{index}" if count > 1 else "x" for index in range(count)]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = [p.name for p in positional[:count]]
    rest = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), None)
    if len(names) < count and rest is None:
        raise UsageError(
            f"{function_name(f)} takes {len(positional)} positional arguments, not {count}"
        )
    return names + [f"{rest}_{index}" for index in range(count - len(names))]


def _check_call(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments `f` cannot be called with, before JAX says so less clearly."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(
            f"{function_name(f)}({', '.join(signature.parameters)}) cannot be called like this: "
            f"{error}; give example arguments, for example 1.0 for a number"
        ) from error


def _path(path: Sequence[Any]) -> str:
    """The path of a leaf; the `value` of a variable of Flax is the variable."""
    if len(path) > 1 and isinstance(path[-1], GetAttrKey) and path[-1].name == "value":
        path = path[:-1]
    return "".join(f".{getattr(k, 'key', getattr(k, 'idx', getattr(k, 'name', k)))}" for k in path)


def _is_array(value: Any) -> bool:
    if isinstance(value, bool | int | str) or value is None:
        return False
    return all(_is_leaf(leaf) for leaf in jax.tree.leaves(value)) and bool(jax.tree.leaves(value))


def _is_leaf(value: Any) -> bool:
    return isinstance(value, float | np.generic) or (
        hasattr(value, "shape") and hasattr(value, "dtype")
    )


def _checked(name: str, leaf: Any) -> Any:
    if _is_number(leaf):
        return leaf
    raise UsageError(
        f"argument {name} is a {type(leaf).__name__}, no array; pass it by keyword to keep it fixed"
    )

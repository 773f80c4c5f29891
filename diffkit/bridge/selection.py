"""What `wrt` names among the arguments of a function, as JAX's argnums do.

One entry stands for one result, a tuple for a tuple, and an argument that is a pytree for results
in the same pytree.  Positions count arguments, not leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from diffkit.bridge.arguments import (
    bind,
    fixed_leaves,
    function_name,
    leaf_names,
    refuse_other_fixed,
)
from diffkit.bridge.formula import Formula, Wrt
from diffkit.core.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """Variables of a derivation.

    Args:
        names: Their names in the formula.
        structure: The pytree that the results make up.
    """

    names: tuple[str, ...]
    structure: Any

    @property
    def wrt(self) -> str | tuple[str, ...]:
        """One name where one result is asked for, else all of them."""
        return self.names[0] if isinstance(self.structure, str) else self.names

    def result(self, formulas: Sequence[Formula]) -> Any:
        """One formula per name, in the pytree asked for."""
        return jax.tree.unflatten(jax.tree.structure(self.structure), formulas)


def select(
    target: Formula,
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wrt: Wrt | tuple[Wrt, ...] | None,
) -> Selection:
    """The variables `wrt` names.

    Args:
        target: The lifted function.
        f: The function.
        args: Its example arguments.
        kwargs: Those given by name.
        wrt: Name or position of an argument, path or short name of a leaf, or a tuple of them;
            None is the first argument.

    Raises:
        UsageError: it names nothing, or nothing that can be differentiated.
    """
    named = named_leaves(f, args, kwargs, wrt)
    paths = jax.tree.leaves(named)
    if not paths:
        raise UsageError(f"wrt={wrt!r} holds no array that can be differentiated")
    names = tuple(target.input(path).name for path in paths)
    return Selection(names, jax.tree.map(str, named))


def named_leaves(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wrt: Wrt | tuple[Wrt, ...] | None,
) -> Any:
    """`wrt` as a pytree of paths of leaves.

    >>> named_leaves(lambda p, x: 0, ({"W": 1.0, "b": 2.0}, 3.0), {}, ("p", 1))
    ({'W': 'p.W', 'b': 'p.b'}, 'x')
    >>> named_leaves(lambda p, x: 0, ({"a": {"W": 1.0, "b": 2.0}}, 3.0), {}, "a.W")
    'p.a.W'
    """
    known = leaf_names(f, args, kwargs)
    if isinstance(wrt, tuple):
        if not wrt:
            raise UsageError("wrt is an empty tuple; name at least one variable")
        return tuple(_one(known, each, function_name(f)) for each in wrt)
    return _one(known, 0 if wrt is None else wrt, function_name(f))


def _one(known: Mapping[str, Any], wrt: Wrt, name: str) -> Any:
    if isinstance(wrt, bool) or not isinstance(wrt, int):
        return known[str(wrt)] if str(wrt) in known else _by_path(known, str(wrt), wrt)
    if not -len(known) <= wrt < len(known):
        raise UsageError(f"wrt={wrt} is no position of {name}({', '.join(known)})")
    return list(known.values())[wrt]


def _by_path(known: Mapping[str, Any], path: str, wrt: Wrt) -> Any:
    """The leaf, or the leaves of the part of a pytree, that a path or the end of one names.

    What names nothing is returned as it is.
    """
    leaves = [str(leaf) for tree in known.values() for leaf in jax.tree.leaves(tree)]
    if path in leaves:
        return path
    ends = [leaf for leaf in leaves if leaf.endswith(f".{path}")]
    inside = [leaf for leaf in leaves if f".{path}." in f".{leaf}"]
    heads = {f".{leaf}".partition(f".{path}.")[0] for leaf in inside}
    if len(ends) + len(heads) > 1:
        listed = ", ".join(ends or inside)
        raise UsageError(f"wrt={wrt!r} names several of the arrays {listed}; write the whole path")
    return ends[0] if ends else (tuple(inside) or wrt)


def of_leaves(
    program: Callable[..., Any],
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Callable[..., Any]:
    """A program of the leaves as a function of the arguments of `f`.

    It is `program` itself where every argument is one array.

    Args:
        program: Takes the leaves in order.
        f: The function whose arguments are taken apart.
        args: Example arguments.
        kwargs: Those given by name; what is fixed there stays so.
    """
    known = leaf_names(f, args, kwargs)
    if all(isinstance(each, str) for each in known.values()):
        return program
    fixed = fixed_leaves(f, args, kwargs)
    static = {name: value for name, value in kwargs.items() if name not in known}

    def of_arguments(*args: Any, **kwargs: Any) -> Any:
        every = {**static, **kwargs}
        if fixed:
            refuse_other_fixed(f, args, every, fixed)
        return program(*(value for _, value in bind(f, args, every)[0]))

    return of_arguments


def claim_of_leaves(
    claim: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    place: int,
    count: int,
) -> Callable[..., Any]:
    """A claimed derivative by a pytree as a function of the leaves, seen at one of its leaves.

    Args:
        claim: Takes the arguments of the function it is about.
        args: Example arguments.
        kwargs: Those given by name.
        place: Which leaf of the differentiated argument is asked about.
        count: How many leaves that argument has; a claim that returns one array is about `place`.
    """
    leaves, call, _ = bind(claim, args, kwargs)
    name = function_name(claim)

    def of_leaves(*values: Any) -> Any:
        if len(values) != len(leaves):
            raise UsageError(
                f"the claim {name} takes {len(leaves)} leaves of pytrees, and the question has "
                f'{len(values)}; kind="jvp" is judged for arguments that are arrays'
            )
        found = jax.tree.leaves(call(*values))
        if len(found) not in (1, count):
            raise UsageError(
                f"the claim {name} returns {len(found)} arrays for an argument of {count}; "
                "return the same pytree"
            )
        return found[0 if len(found) == 1 else place]

    of_leaves.__name__ = name
    return of_leaves

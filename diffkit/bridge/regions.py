"""One named part of a program: a jitted function, or what ran under a name scope.

`jax.jit` and its relatives leave a call with a name; modules of Flax and `jax.named_scope` leave a
path on every equation.  Either is cut out as a program of its own, its inputs being whatever flows
into it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffkit.backend import compat
from diffkit.core.errors import UsageError

#: Names JAX gives to what a user writes without one, and to its own inner functions.
_UNNAMED = frozenset(("", "<lambda>", "_where", "fn", "call"))


@dataclass(frozen=True)
class Program:
    """A jaxpr with names for its inputs.

    Args:
        jaxpr: A plain jaxpr.
        constants: Values of its constants.
        names: Name of each input.
    """

    jaxpr: Any
    constants: tuple[Any, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """A run of equations, with the attributes of a jaxpr.

    Args:
        constvars: Variables whose values are known.
        invars: Variables that flow in.
        eqns: The equations.
        outvars: Variables that are used behind them.
    """

    constvars: tuple[Any, ...]
    invars: tuple[Any, ...]
    eqns: tuple[Any, ...]
    outvars: tuple[Any, ...]


def cut(jaxpr: Any, constants: Sequence[Any], names: Sequence[str], region: str) -> Program:
    """The part of a program called `region`.

    Args:
        jaxpr: The program's jaxpr.
        constants: Values of its constants.
        names: Names of its inputs.
        region: Name of a jitted function, or a name scope such as "block_3" or "model/block_3";
            "block#2" is the second of several with one name.

    Raises:
        UsageError: there is no such part, or several that differ.
    """
    name, _, number = region.partition("#")
    found = list(_calls(jaxpr, name)) or list(_scopes(jaxpr, constants, names, name))
    if not found:
        listed = ", ".join(sorted(known(jaxpr))) or "none"
        raise UsageError(f"no part of the program is called {name!r}; its parts: {listed}")
    if number:
        if not number.isdigit() or not 1 <= int(number) <= len(found):
            raise UsageError(f"{region!r} is none of the {len(found)} parts called {name!r}")
        return found[int(number) - 1]
    first, *others = found
    if not all(compat.same_jaxpr(first.jaxpr, each.jaxpr) for each in others):
        raise UsageError(
            f"{len(found)} different parts are called {name!r}; say which: "
            f"region={name + '#1'!r} to {f'{name}#{len(found)}'!r}"
        )
    return first


def known(jaxpr: Any) -> set[str]:
    """All names a region can have."""
    found = set()
    for inner in _jaxprs(jaxpr):
        for eqn in inner.eqns:
            found.add(compat.called_name(eqn))
            found.update(_parts(eqn))
    return found - _UNNAMED


def first_uses(jaxpr: Any) -> list[int]:
    """For each input of a jaxpr, the first equation that uses it."""
    places: dict[Any, int] = {}
    for place, eqn in enumerate(jaxpr.eqns):
        for atom in eqn.invars:
            if not compat.is_literal(atom):
                places.setdefault(atom, place)
    return [places.get(variable, len(jaxpr.eqns)) for variable in jaxpr.invars]


def _jaxprs(jaxpr: Any) -> Iterator[Any]:
    """A jaxpr and all jaxprs inside its equations, outermost first."""
    opened, _ = compat.open_jaxpr(jaxpr)
    yield opened
    for eqn in opened.eqns:
        for inner in compat.inner_jaxprs(eqn):
            yield from _jaxprs(inner)


def _calls(jaxpr: Any, name: str) -> Iterator[Program]:
    """Calls of a function of this name."""
    for inner in _jaxprs(jaxpr):
        for eqn in inner.eqns:
            called = compat.called_jaxpr(eqn)
            if called is not None and compat.called_name(eqn) == name:
                opened, constants = compat.open_jaxpr(called)
                yield Program(opened, constants, _input_names(opened))


def _input_names(jaxpr: Any) -> tuple[str, ...]:
    """Parameter names of an inner function; x0, x1, ... where JAX does not know them."""
    info = getattr(jaxpr, "debug_info", None)
    known_names = [_dotted(each) for each in getattr(info, "arg_names", None) or ()]
    # what the function closes over comes first and has no parameter
    missing = len(jaxpr.invars) - len(known_names)
    names = [""] * missing + known_names if missing >= 0 else [""] * len(jaxpr.invars)
    filled = [name or f"x{k}" for k, name in enumerate(names)]
    return tuple(filled if len(set(filled)) == len(filled) else _numbered(len(filled)))


def _numbered(count: int) -> list[str]:
    return [f"x{k}" for k in range(count)]


def _dotted(name: str | None) -> str:
    """`params['Dense_0']['kernel']` as params.Dense_0.kernel."""
    text = re.sub(r"\[['\"]?([^\]'\"]*)['\"]?\]", r".\1", name or "")
    return text.removesuffix(".value")


# name scopes --------------------------------------------------------------------------------------


def _parts(eqn: Any) -> list[str]:
    """The names of the scopes an equation ran under, and their paths."""
    stack = str(getattr(eqn.source_info, "name_stack", ""))
    parts = [part for part in stack.split("/") if part]
    paths = ["/".join(parts[: k + 1]) for k in range(len(parts))]
    return list(dict.fromkeys([*parts, *paths]))


def _scopes(
    jaxpr: Any, constants: Sequence[Any], names: Sequence[str], name: str
) -> Iterator[Program]:
    """Runs of equations under a scope of this name, in every jaxpr that has some."""
    for depth, inner in enumerate(_jaxprs(jaxpr)):
        is_top = depth == 0
        labels = dict(zip(inner.invars, names if is_top else _input_names(inner), strict=True))
        held = dict(zip(inner.constvars, constants, strict=True)) if is_top else {}
        for start, stop in _runs([name in _parts(eqn) for eqn in inner.eqns]):
            piece = _piece(inner, start, stop, held)
            inputs = tuple(labels.get(v, f"x{k}") for k, v in enumerate(piece.invars))
            yield Program(piece, tuple(held[v] for v in piece.constvars), inputs)


def _runs(holds: Sequence[bool]) -> Iterator[tuple[int, int]]:
    start = None
    for k, each in enumerate([*holds, False]):
        if each and start is None:
            start = k
        if not each and start is not None:
            yield start, k
            start = None


def _piece(jaxpr: Any, start: int, stop: int, held: Mapping[Any, Any]) -> Piece:
    inside = jaxpr.eqns[start:stop]
    made = {variable for eqn in inside for variable in eqn.outvars}
    used = [atom for eqn in inside for atom in eqn.invars if not compat.is_literal(atom)]
    outside = dict.fromkeys(atom for atom in used if atom not in made)
    later = [atom for eqn in jaxpr.eqns[stop:] for atom in eqn.invars] + list(jaxpr.outvars)
    wanted = {atom for atom in later if not compat.is_literal(atom)}
    return Piece(
        tuple(atom for atom in outside if atom in held),
        tuple(atom for atom in outside if atom not in held),
        tuple(inside),
        tuple(v for eqn in inside for v in eqn.outvars if v in wanted),
    )

"""The calls of custom derivative rules a program makes at one point, with the values they meet.

The program is run equation by equation; jitted functions, the taken branch of a `cond`, the first
steps of loops and the primals of rules are entered.  Each call is kept with its operands and with
which of them move when the differentiated argument does: a rule owes nothing about the others.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.joined import give_names, split
from diffkit.bridge.subject import Subject
from diffkit.bridge.survey import CUSTOM_RULES

#: Where JAX is installed: a rule of its own is told by the line that calls it.
_LIBRARY = PurePath(jax.__file__).parent
_NO_NAME = re.compile(r"\W+")
#: Steps of a loop that are entered; rules are the same in all of them.
STEPS = 2
#: Calls of one rule at operands of the same types that are kept.
MOST_CALLS = 3
#: Calls that are kept in all, beside the first of every rule.
MOST = 24


@dataclass(frozen=True)
class Met:
    """The calls of custom rules a program makes.

    Args:
        calls: Those that are kept, in program order.
        passed_over: How many there are beside them.
    """

    calls: tuple["RuleCall", ...] = ()
    passed_over: int = 0


@dataclass(frozen=True)
class RuleCall:
    """One call of a function with a custom derivative rule.

    Args:
        eqn: The equation, as JAX traced it: bound again, it is differentiated by its rule.
        values: Its operands.
        moving: Positions of the floating-point operands that depend on the argument; those that
            are one value move together, since a rule may give all of the derivative to one.
        line: Line of the user's code that calls it, "" where JAX recorded none.
    """

    eqn: Any
    values: tuple[Any, ...]
    moving: tuple[tuple[int, ...], ...]
    line: str

    @property
    def name(self) -> str:
        """Name of the function with the rule."""
        return compat.called_name(self.eqn) or self.eqn.primitive.name

    @property
    def is_reverse_only(self) -> bool:
        """Whether the rule is a custom_vjp, through which there is no forward mode."""
        return self.eqn.primitive.name.startswith("custom_vjp")

    @property
    def where(self) -> str:
        """The line that defines the function, or that calls it where the library defines it."""
        file, number = compat.definition(self.eqn)
        if not file or _LIBRARY in PurePath(file).parents:
            return self.line
        # a notebook or an interpreter has lines, but no file
        return f"line {number}" if file.startswith("<") else f"{PurePath(file).name}:{number}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the moving operands; the leaves of pytrees have theirs with underscores."""
        known = compat.parameter_names(self.eqn)
        names = [_NO_NAME.sub("_", name).strip("_") for name in known]
        if len({*names}) < len(names) or not all(map(str.isidentifier, names)):
            names = []
        return tuple(names[k] if names else f"argument_{k}" for k, *_ in self.moving)

    @property
    def operands(self) -> tuple[Any, ...]:
        """The moving operands."""
        return tuple(jnp.asarray(self.values[k]) for k, *_ in self.moving)

    def with_rule(self, *moving: Any) -> tuple[Any, ...]:
        """The floating-point results; AD takes the custom rule."""
        return _floats(compat.run_equation(self.eqn, self._filled(moving)))

    def without_rule(self, *moving: Any) -> tuple[Any, ...]:
        """The same results of the primal alone; AD goes through its equations."""
        inner = compat.called_jaxpr(self.eqn)
        return _floats(compat.run_equations(inner, self._filled(moving)))

    def subject(self) -> Subject:
        """The call as a function to be judged: of one array, or of all moving ones joined."""
        operands = [np.asarray(each) for each in self.operands]
        types = [each.dtype for each in operands]
        parts = tuple(zip(self.parameters, (each.shape for each in operands), strict=True))

        def joined(vector: Any) -> Any:
            leaves = split(vector, parts).values()
            return apart(*(leaf.astype(kind) for leaf, kind in zip(leaves, types, strict=True)))

        def apart(*leaves: Any) -> Any:
            results = self.with_rule(*leaves)
            if len(results) == 1:
                return results[0]
            return jnp.concatenate([jnp.ravel(each) for each in results])

        give_names(apart, self.parameters, self.name)
        if len(operands) == 1:
            values = operands[0].astype(np.float64)
            return Subject(self.name, apart, apart, self.parameters, (values,), (False,), 0)
        vector = np.concatenate([np.ravel(each).astype(np.float64) for each in operands])
        return Subject(
            self.name, joined, joined, ("arguments",), (vector,), (False,), 0,
            parts=parts, apart=apart,
        )  # fmt: skip

    def _filled(self, moving: Sequence[Any]) -> list[Any]:
        values = list(self.values)
        for places, value in zip(self.moving, moving, strict=True):
            for k in places:
                values[k] = value
        return values


def _floats(results: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(each for each in results if _is_float(each))


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.floating)


def has_rules(jaxpr: Any) -> bool:
    """Whether a program calls a custom derivative rule, inside loops and branches too."""
    return next(_rules(jaxpr), None) is not None


def has_looped_rules(jaxpr: Any) -> bool:
    """Whether a program calls a custom derivative rule inside of a loop or a branch."""
    return any(
        has_looped_rules(inner) if eqn.primitive.name in compat.CALLS else has_rules(inner)
        for eqn in compat.open_jaxpr(jaxpr)[0].eqns
        for inner in compat.inner_jaxprs(eqn)
    )


def _rules(jaxpr: Any) -> Iterator[Any]:
    for eqn in compat.open_jaxpr(jaxpr)[0].eqns:
        if eqn.primitive.name in CUSTOM_RULES:
            yield eqn
        for inner in compat.inner_jaxprs(eqn):
            yield from _rules(inner)


def defined_at(jaxpr: Any) -> str:
    """The line that defines the first function with a custom_vjp in a program, "" if there is none.

    A function that the library defines has the line that calls it.
    """
    for eqn in _rules(jaxpr):
        call = RuleCall(eqn, (), (), _line(eqn))
        if call.is_reverse_only:
            return call.where
    return ""


def met(jaxpr: Any, leaves: Sequence[Any], wrt: int) -> Met:
    """The calls of custom rules met when `jaxpr` is run on `leaves`.

    Args:
        jaxpr: The program.
        leaves: Its arguments, in its own precision.
        wrt: Position of the differentiated one.
    """
    if not has_rules(jaxpr):
        return Met()
    walk = _Walk()
    opened, constants = compat.open_jaxpr(jaxpr)
    walk.run(opened, constants, list(leaves), [k == wrt for k in range(len(leaves))], "")
    return Met(tuple(walk.found), walk.passed_over)


@dataclass
class _Walk:
    """One run of a program; `found` grows."""

    found: list[RuleCall] = field(default_factory=list)
    passed_over: int = 0
    counts: Counter[Any] = field(default_factory=Counter)

    def run(
        self,
        opened: Any,
        constants: Sequence[Any],
        inputs: Sequence[Any],
        moves: Sequence[bool],
        caller: str,
    ) -> tuple[list[Any], list[bool]]:
        """The results of a jaxpr, and which of them move with the argument."""
        env: dict[Any, tuple[Any, bool]] = {
            var: (value, False) for var, value in zip(opened.constvars, constants, strict=True)
        }
        env.update(zip(opened.invars, zip(inputs, moves, strict=True), strict=True))

        def read(atom: Any) -> tuple[Any, bool]:
            return (atom.val, False) if compat.is_literal(atom) else env[atom]

        for eqn in opened.eqns:
            pairs = [read(atom) for atom in eqn.invars]
            values, moved = [value for value, _ in pairs], [flag for _, flag in pairs]
            results, flags = self._equation(eqn, values, moved, _line(eqn) or caller)
            env.update(zip(eqn.outvars, zip(results, flags, strict=True), strict=True))
        ends = [read(atom) for atom in opened.outvars]
        return [value for value, _ in ends], [flag for _, flag in ends]

    def _equation(
        self, eqn: Any, values: list[Any], moved: list[bool], line: str
    ) -> tuple[list[Any], list[bool]]:
        name = eqn.primitive.name
        if name in CUSTOM_RULES:
            self._keep(eqn, values, moved, line)
        if name in compat.CALLS:
            inner = compat.called_jaxpr(eqn)
            if inner is not None:
                results, flags = self.run(*compat.open_jaxpr(inner), values, moved, line)
                return results, flags
        entered = _ENTERED.get(name)
        if entered is not None and any(has_rules(each) for each in compat.inner_jaxprs(eqn)):
            entered(self, eqn, values, moved, line)
        results = compat.run_equation(eqn, values)
        depends = any(moved) and name != "stop_gradient"
        return results, [depends and _is_differentiable(each) for each in results]

    def _keep(self, eqn: Any, values: list[Any], moved: list[bool], line: str) -> None:
        places: dict[int, list[int]] = {}
        for k, value in enumerate(values):
            if moved[k] and _is_float(value):
                places.setdefault(id(value), []).append(k)
        moving = tuple(map(tuple, places.values()))
        types = tuple((jnp.shape(values[k]), str(jnp.result_type(values[k]))) for k, *_ in moving)
        if not moving:
            return
        rule = compat.definition(eqn), compat.called_name(eqn)
        same = *rule, moving, types
        is_first = not self.counts[rule]
        if is_first or (self.counts[same] < MOST_CALLS and len(self.found) < MOST):
            self.found.append(RuleCall(eqn, tuple(values), moving, line))
            self.counts.update((rule, same))
        else:
            self.passed_over += 1

    def branch(self, eqn: Any, values: list[Any], moved: list[bool], line: str) -> None:
        """Enter the taken branch of a `cond`."""
        index, *operands = values
        branches = eqn.params["branches"]
        taken = branches[int(np.clip(int(index), 0, len(branches) - 1))]
        self.run(*compat.open_jaxpr(taken), operands, moved[1:], line)

    def loop(self, eqn: Any, values: list[Any], moved: list[bool], line: str) -> None:
        """Enter the first steps of a `while` loop."""
        first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
        condition, body = (
            compat.open_jaxpr(eqn.params[name]) for name in ("cond_jaxpr", "body_jaxpr")
        )
        asks, fixed = values[:first], values[first : first + second]
        carry, flags = values[first + second :], moved[first + second :]
        for _ in range(STEPS):
            (goes_on,), _ = self.run(*condition, [*asks, *carry], [*moved[:first], *flags], line)
            if not bool(goes_on):
                return
            carry, flags = self.run(
                *body, [*fixed, *carry], [*moved[first : first + second], *flags], line
            )

    def scan(self, eqn: Any, values: list[Any], moved: list[bool], line: str) -> None:
        """Enter the first steps of a `scan`."""
        split, length = compat.scan_split(eqn.params), eqn.params["length"]
        start = split.constants + split.carry
        fixed, carry, scanned = (
            values[: split.constants],
            values[split.constants : start],
            values[start:],
        )
        flags = moved[split.constants : start]
        body = compat.open_jaxpr(eqn.params["jaxpr"])
        steps = range(length)[:: -1 if eqn.params["reverse"] else 1]
        for step in steps[:STEPS]:
            inputs = [*fixed, *carry, *(array[step] for array in scanned)]
            kept = [*moved[: split.constants], *flags, *moved[start:]]
            results, found = self.run(*body, inputs, kept, line)
            carry, flags = results[: split.carry], found[: split.carry]


_ENTERED: dict[str, Callable[..., None]] = {
    "cond": _Walk.branch,
    "while": _Walk.loop,
    "scan": _Walk.scan,
}


def _line(eqn: Any) -> str:
    found = compat.source(eqn)
    return f"{PurePath(found.file).name}:{found.line}" if found.file else ""


def _is_differentiable(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and bool(jax.dtypes.issubdtype(dtype, np.inexact))

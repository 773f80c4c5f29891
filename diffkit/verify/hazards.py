"""What is wrong with a program as a whole: missing modes, lost digits, steps, other every time.

These findings need no truth at a point: they are read off the program, or off what AD answered at
all points together.
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.rule_calls import defined_at
from diffkit.bridge.subject import Subject
from diffkit.bridge.survey import Place
from diffkit.core.finding import Finding
from diffkit.oracles import forward, reverse
from diffkit.verify.answers import Answer
from diffkit.verify.modes import mode_error

_CALLBACKS = frozenset("pure_callback io_callback debug_callback".split())


def of_program(what: Subject, dtype: str) -> list[Finding]:
    """The findings that are read off the program itself."""
    return [
        *_missing_modes(what, dtype),
        *_narrowed(what, dtype),
        *_other_every_time(what, dtype),
    ]


def of_answers(what: Subject, answers: Sequence[Answer], dtype: str) -> list[Finding]:
    """The findings that all answers of one precision give together."""
    mine = [answer for answer in answers if answer.dtype == dtype and answer.order == 1]
    return list(_steps(what, mine))


def missing_under(what: Subject, variant: Subject, name: str, dtype: str) -> Iterator[Finding]:
    """A mode of AD that raises under a transformation and not without it.

    Args:
        what: The function.
        variant: The same under the transformation.
        name: Which one that is.
        dtype: Precision of the program.
    """
    plain, transformed = _reasons(what, dtype), _reasons(variant, dtype)
    for mode, reason in transformed.items():
        if reason is not None and plain[mode] is None:
            call = "jax.grad" if mode == reverse.NAME else "jax.jvp"
            message = f"under {name} {call} raises: {reason}"
            yield Finding("missing-mode", "warning", message, dtype=dtype)


def _reasons(what: Subject, dtype: str) -> dict[str, str | None]:
    """Why each mode of AD raises, None where it does not."""
    return {mode.NAME: mode_error(what, dtype, mode.row(what, 1)) for mode in (reverse, forward)}


def _missing_modes(what: Subject, dtype: str) -> Iterator[Finding]:
    """A mode of AD that raises: a while loop has no reverse mode, a custom_vjp no forward mode."""
    reasons = _reasons(what, dtype)
    backward, ahead = reasons[reverse.NAME], reasons[forward.NAME]
    if backward is not None:
        remedy = "jax.jacfwd works" if ahead is None else ""
        message = f"jax.grad raises: {backward}"
        yield Finding("missing-mode", "warning", message, remedy=remedy, dtype=dtype)
    if ahead is not None:
        remedy = "jax.grad works" if backward is None else ""
        severity = "note" if backward is None else "warning"
        message = f"jax.jvp raises: {ahead}"
        where = defined_at(what.jaxpr(dtype))
        yield Finding("missing-mode", severity, message, remedy=remedy, where=where, dtype=dtype)


def _narrowed(what: Subject, dtype: str) -> Iterator[Finding]:
    """Where a value that depends on the arguments is rounded to fewer digits."""
    jaxpr, _ = compat.open_jaxpr(what.jaxpr(dtype))
    for eqn in _dependent(jaxpr, set(jaxpr.invars)):
        if eqn.primitive.name != "convert_element_type":
            continue
        before, after = eqn.invars[0].aval.dtype, eqn.outvars[0].aval.dtype
        if not (jnp.issubdtype(before, jnp.floating) and jnp.issubdtype(after, jnp.floating)):
            continue
        if jnp.finfo(after).eps > jnp.finfo(before).eps:
            where = Place("convert_element_type", compat.source(eqn), "narrowed").line
            digits = int(-np.log10(float(jnp.finfo(after).eps)))
            message = f"a value of {before} is rounded to {after}, which keeps {digits} digits"
            yield Finding("dtype-loss", "note", message, where=where, dtype=dtype)
            return


def _dependent(jaxpr: Any, known: set[Any]) -> Iterator[Any]:
    """The equations that use one of the known variables, those of inner programs included."""
    for eqn in jaxpr.eqns:
        if not any(not compat.is_literal(atom) and atom in known for atom in eqn.invars):
            continue
        known.update(eqn.outvars)
        yield eqn
        for inner in compat.inner_jaxprs(eqn):
            opened, _ = compat.open_jaxpr(inner)
            yield from _dependent(opened, set(opened.invars))


def _other_every_time(what: Subject, dtype: str) -> Iterator[Finding]:
    """A function that is another one each time it is traced, or each time it runs."""
    leaves = what.at(dtype, what.values)
    with compat.x64(dtype == "float64"):
        first, second = (compat.trace(what.call, *leaves) for _ in range(2))
    if not compat.same_jaxpr(first, second):
        message = "two traces of the function differ: it draws or counts in Python"
        yield Finding("nondeterministic", "warning", message, dtype=dtype)
    elif not compat.primitives(first).isdisjoint(_CALLBACKS):
        with compat.x64(dtype == "float64"):
            once, again = (jax.tree.leaves(what.call(*leaves))[0] for _ in range(2))
        if not np.array_equal(np.asarray(once), np.asarray(again), equal_nan=True):
            message = "two runs at one point return different values: a callback keeps a state"
            yield Finding("nondeterministic", "warning", message, dtype=dtype)


def _steps(what: Subject, answers: Sequence[Answer]) -> Iterator[Finding]:
    """A function that changes although its derivative is 0 everywhere: a staircase."""
    finite = [a for a in answers if isfinite(a.primal) and isfinite(a.value)]
    points = {tuple(float(np.sum(leaf)) for leaf in answer.probe.leaves) for answer in finite}
    if len(points) < 4 or any(answer.value != 0 for answer in finite):
        return
    values = [answer.primal for answer in finite]
    if max(values) > min(values):
        yield Finding(
            "silent-zero",
            "warning",
            f"AD gives 0 at all {len(points)} points, yet the value moves between "
            f"{min(values):.4g} and {max(values):.4g}: the function is a staircase in "
            f"{what.variable} (rounding, integers or comparisons), which AD cannot see",
            dtype=finite[0].dtype,
        )

"""A program whose open-ended loops stop after a number of steps and then have no value.

A loop that ends at the user's point may go on for ever at another one (Newton's iteration for a
root that does not exist), and a compiled program cannot be interrupted.  Loops inside scans,
branches and custom rules are left as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from diffkit.backend import compat

#: Steps after which a loop counts as one that does not end.
MOST_STEPS = 100_000
#: Calls that are run equation by equation; custom rules stay whole, or AD would not use them.
_TRANSPARENT = frozenset("jit pjit closed_call core_call eval_jaxpr".split())


def has_open_loop(jaxpr: Any) -> bool:
    """Whether a `while` stands in a jaxpr outside of scans, branches and custom rules."""
    for eqn in compat.open_jaxpr(jaxpr)[0].eqns:
        if eqn.primitive.name == "while":
            return True
        if eqn.primitive.name in _TRANSPARENT and has_open_loop(compat.called_jaxpr(eqn)):
            return True
    return False


def capped(call: Callable[..., Any], most: int = MOST_STEPS) -> Callable[..., Any]:
    """The same function, NaN where one of its loops takes more than `most` steps.

    >>> def root(x):
    ...     return lax.while_loop(lambda y: y * y > x, lambda y: 0.5 * (y + x / y), x + 1.0)
    >>> [bool(jnp.isfinite(v)) for v in jax.vmap(capped(root, 100))(jnp.array([2.0, -1.0]))]
    [True, False]
    """

    def program(*leaves: Any) -> Any:
        traced, shape = jax.make_jaxpr(call, return_shape=True)(*leaves)
        jaxpr, constants = compat.open_jaxpr(traced)
        results = _run(jaxpr, constants, leaves, most)
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return program


def _run(jaxpr: Any, constants: Sequence[Any], values: Sequence[Any], most: int) -> list[Any]:
    env = dict(zip(jaxpr.constvars, constants, strict=True))
    env.update(zip(jaxpr.invars, values, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if compat.is_literal(atom) else env[atom]

    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        name = eqn.primitive.name
        if name == "while":
            results = _while(eqn.params, operands, most)
        elif name in _TRANSPARENT:
            inner, closed_over = compat.open_jaxpr(compat.called_jaxpr(eqn))
            results = _run(inner, closed_over, operands, most)
        else:
            results = compat.run_equation(eqn, operands)
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _while(params: Any, operands: Sequence[Any], most: int) -> list[Any]:
    first, count = int(params["cond_nconsts"]), int(params["body_nconsts"])
    cond_fixed, body_fixed = operands[:first], operands[first : first + count]
    condition = compat.open_jaxpr(params["cond_jaxpr"])
    body = compat.open_jaxpr(params["body_jaxpr"])

    def goes_on(state: tuple[Any, list[Any]]) -> Any:
        steps, carry = state
        (wanted,) = _run(*condition, [*cond_fixed, *carry], most)
        return wanted & (steps < most)

    def step(state: tuple[Any, list[Any]]) -> tuple[Any, list[Any]]:
        steps, carry = state
        return steps + 1, _run(*body, [*body_fixed, *carry], most)

    steps, carry = lax.while_loop(goes_on, step, (0, list(operands[first + count :])))
    has_ended = steps < most
    return [
        jnp.where(has_ended, x, jnp.nan) if jnp.issubdtype(x.dtype, jnp.inexact) else x
        for x in map(jnp.asarray, carry)
    ]

"""Lift: read a JAX function as a formula of arrays, by walking its jaxpr.

Every equation becomes a `View` or raises `UnsupportedPrimitive` with the line of user code.  Inner
functions are inlined (custom rules of differentiation are not used: the primal decides), unless
they are the library's own (`bridge.idioms`).  Whole numbers and truth values that depend on no
argument (iota, masks, static indices) are computed as the program computes them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from diffkit.backend import compat
from diffkit.bridge import array_rules, control_rules, matrix_rules, structure_rules
from diffkit.bridge.arguments import USER_ERRORS, bind, function_name, refusal
from diffkit.bridge.formula import Formula
from diffkit.bridge.model_names import short_names
from diffkit.bridge.regions import Program, cut, first_uses
from diffkit.bridge.static import LARGEST_CONSTANT
from diffkit.bridge.walk import Walk
from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError, UsageError
from diffkit.tensor import views
from diffkit.tensor.compose import is_elementwise
from diffkit.tensor.nodes import var

__all__ = ["LARGEST_CONSTANT", "RULE_MODULES", "lift"]

#: The modules that fill the walk's table of rules.
RULE_MODULES = (array_rules, control_rules, matrix_rules, structure_rules)

#: Declared facts of arrays that rewriting uses.
_FACTS = ("symmetric", "spd", "orthogonal", "simplex", "one_hot", "triangular", "positive")


def lift(
    f: Callable[..., Any],
    *args: Any,
    assume: Mapping[str, str | Domain] | None = None,
    opaque: bool = False,
    region: str | None = None,
    **kwargs: Any,
) -> Formula:
    """Read a JAX function as a formula.

    Args:
        f: Any traceable function of one result; its parameter names become the symbols.
        *args: Example values, or `jax.ShapeDtypeStruct`: only shape and dtype are used.
        assume: Symbol name -> domain ("positive", "(0, 1)", ...) or declared fact of an array
            ("symmetric", "spd", "orthogonal", "simplex", "one_hot"), used in rewriting.
        opaque: Whether a primitive without a row stays a call that JAX differentiates, shown as
            `D sort`; loops of many or unknown steps always do.  By default it is refused.
        region: Name of a jitted function or name scope inside f ("block_3"): only that part is
            read, its inputs becoming those of the formula.
        **kwargs: Arrays and floats by name; anything else (`axis=1`, "tanh") is static.

    Returns:
        A `Formula`; its `notes` record every constant that was read as an exact number.

    Raises:
        UnsupportedPrimitive: an equation has no row; the message names it and the line.
        UsageError: wrong arguments, several results, Python control flow on a value, or f raises.

    >>> print(lift(lambda x: x * jax.nn.sigmoid(x), 1.0).sympy())
    x*sigmoid(x)
    """
    leaves, call, static_note = bind(f, args, kwargs)
    if assume is not None and not isinstance(assume, Mapping):
        raise UsageError(f'assume= maps names to domains, as {{"S": "spd"}}; not {assume!r}')
    try:
        traced = compat.trace(call, *(value for _, value in leaves))
    except jax.errors.ConcretizationTypeError as error:
        raise UsageError(
            f"{function_name(f)} decides in Python on the value of an argument, so it has no "
            f"single formula; use jnp.where or lax.cond. JAX says: {str(error).splitlines()[0]}"
        ) from error
    except DiffkitError:
        raise
    except USER_ERRORS as error:
        raise refusal(function_name(f), error) from error
    jaxpr, constants = compat.open_jaxpr(traced)
    paths = [name for name, _ in leaves]
    for path, atom in zip(paths, jaxpr.invars, strict=True):
        if np.issubdtype(atom.aval.dtype, np.complexfloating):
            raise UsageError(
                f"{path} is complex, and diffkit derives real functions; pass its real and "
                f"imaginary part as two real arguments and build {path} inside"
            )
    short = short_names(paths, dict(zip(paths, first_uses(jaxpr), strict=True)))
    program = Program(jaxpr, constants, tuple(short.get(n, n) for n, _ in leaves))
    notes = static_note
    if region is not None:
        program = cut(program.jaxpr, program.constants, program.names, region)
    given = {
        short.get(name, name): value
        for name, value in leaves
        if region is None and not isinstance(value, jax.ShapeDtypeStruct)
    }
    aliases = {name: path for path, name in short.items() if name in program.names}
    notes += tuple(f"{name} = {path}" for name, path in aliases.items())
    declared = {short.get(name, name): each for name, each in (assume or {}).items()}
    walk = Walk(function_name(f), opaque=opaque, values=given)
    formula = _read(walk, program, _domains(declared, program.names))
    named = tuple((path, name) for name, path in aliases.items())
    return replace(formula, notes=(*notes, *formula.notes), aliases=named)


def _read(walk: Walk, program: Program, domains: tuple[tuple[str, Domain], ...]) -> Formula:
    """A program of one result as a formula."""
    jaxpr, name = program.jaxpr, walk.function
    if len(jaxpr.outvars) != 1:
        raise UsageError(
            f"{name} returns {len(jaxpr.outvars)} arrays; lift a function of one "
            "result, for example lambda x: f(x)[0]"
        )
    facts = {name: frozenset({str(where)} & set(_FACTS)) for name, where in domains}
    inputs = tuple(
        var(name, atom.aval.shape, str(atom.aval.dtype), facts.get(name, frozenset()))
        for name, atom in zip(program.names, jaxpr.invars, strict=True)
    )
    (found,) = walk.run(jaxpr, program.constants, [walk.read_input(each) for each in inputs])
    result = walk.finish(walk.view(found))
    shape = tuple(jaxpr.outvars[0].aval.shape)
    node = result.node if is_elementwise(result) else views.dense(result)
    notes = tuple(walk.notes)
    return Formula(node, inputs, shape=shape, name=name, notes=notes, domains=domains)


def _domains(
    assume: Mapping[str, str | Domain], names: Sequence[str]
) -> tuple[tuple[str, Domain], ...]:
    for name in assume:
        if name not in names:
            raise UsageError(f"assume names {name!r}; the arguments are {', '.join(names)}")
    return tuple((name, Domain.parse(text)) for name, text in assume.items())

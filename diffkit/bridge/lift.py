"""Lift: read a JAX function as a formula of arrays, by walking its jaxpr.

Every equation becomes a `View` or raises `UnsupportedPrimitive` with the line of user code.  Inner
functions are inlined (custom rules of differentiation are not used: the primal decides), unless
they are the library's own (`bridge.idioms`).  Whole numbers and truth values that depend on no
argument (iota, masks, static indices) are computed as the program computes them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from diffkit.backend import compat
from diffkit.bridge import array_rules, control_rules, matrix_rules, structure_rules
from diffkit.bridge.arguments import bind, function_name
from diffkit.bridge.formula import Formula
from diffkit.bridge.static import LARGEST_CONSTANT
from diffkit.bridge.walk import Walk
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
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
        **kwargs: Arrays and floats by name; anything else (`axis=1`, "tanh") is static.

    Returns:
        A `Formula`; its `notes` record every constant that was read as an exact number.

    Raises:
        UnsupportedPrimitive: an equation has no row; the message names it and the line.
        UsageError: wrong arguments, several results, or Python control flow on a value.

    >>> print(lift(lambda x: x * jax.nn.sigmoid(x), 1.0).sympy())
    x*sigmoid(x)
    """
    leaves, call, static_note = bind(f, args, kwargs)
    try:
        traced = compat.trace(call, *(value for _, value in leaves))
    except jax.errors.ConcretizationTypeError as error:
        raise UsageError(
            f"{function_name(f)} decides in Python on the value of an argument, so it has no "
            f"single formula; use jnp.where or lax.cond. JAX says: {str(error).splitlines()[0]}"
        ) from error
    jaxpr, closed_over = compat.open_jaxpr(traced)
    if len(jaxpr.outvars) != 1:
        raise UsageError(
            f"{function_name(f)} returns {len(jaxpr.outvars)} arrays; lift a function of one "
            "result, for example lambda x: f(x)[0]"
        )
    domains = _domains(assume, [name for name, _ in leaves])
    facts = {name: frozenset({str(where)} & set(_FACTS)) for name, where in domains}
    inputs = tuple(
        var(name, atom.aval.shape, str(atom.aval.dtype), facts.get(name, frozenset()))
        for (name, _), atom in zip(leaves, jaxpr.invars, strict=True)
    )
    given = {name: value for name, value in leaves if not isinstance(value, jax.ShapeDtypeStruct)}
    walk = Walk(function_name(f), opaque=opaque, values=given)
    (found,) = walk.run(jaxpr, closed_over, [walk.read_input(each) for each in inputs])
    result = walk.finish(walk.view(found))
    shape = tuple(jaxpr.outvars[0].aval.shape)
    node = result.node if is_elementwise(result) else views.dense(result)
    notes = (*static_note, *walk.notes)
    return Formula(node, inputs, shape=shape, name=function_name(f), notes=notes, domains=domains)


def _domains(
    assume: Mapping[str, str | Domain] | None, names: list[str]
) -> tuple[tuple[str, Domain], ...]:
    for name in assume or {}:
        if name not in names:
            raise UsageError(f"assume names {name!r}; the arguments are {', '.join(names)}")
    return tuple((name, Domain.parse(text)) for name, text in (assume or {}).items())

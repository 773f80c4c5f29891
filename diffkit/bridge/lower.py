"""Lower: a formula or a SymPy expression as a JAX function.

Elementwise formulas become one program of scalars that broadcasts; a formula that joins entries
of arrays becomes one operation per node (`bridge.lower_arrays`) and takes the shapes it was made
for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from inspect import Parameter, Signature
from keyword import iskeyword
from typing import Any

import jax.numpy as jnp
import sympy as sp

from diffkit.bridge.formula import Formula
from diffkit.bridge.fused import fuse
from diffkit.bridge.hessian import dense_program
from diffkit.bridge.lower_arrays import compile_nodes
from diffkit.bridge.program import Program, compile_program
from diffkit.core.errors import UsageError
from diffkit.symbolic.stable import stable as stable_form
from diffkit.symbolic.symbols import symbol
from diffkit.tensor.compose import compose
from diffkit.tensor.nodes import Shape, Var, topological
from diffkit.tensor.substitute import substitute, symbols_of

Target = Formula | sp.Basic


def lower(
    target: Target | tuple[Target, ...],
    names: Sequence[str | sp.Symbol] | None = None,
    *,
    stable: bool = True,
) -> Callable[..., Any]:
    """Return a JAX function that computes the formula, safe under jit, vmap and grad.

    The result follows the dtype of the arguments (whole numbers count as the default float) and
    broadcasts over all of them, used or not.  A tuple gives a function with a tuple of results.

    Args:
        target: A formula, a SymPy expression, or a tuple of either.
        names: Order of the arguments; by default a formula's own, else the sorted symbols.
        stable: Whether to rewrite into accurate forms first (log1p, expm1, sigma(x)sigma(-x)).

    Raises:
        UnsupportedFunction: a function has no kernel.
        UsageError: `names` leaves out a symbol.

    >>> x = sp.Symbol("x")
    >>> float(lower(x**2 + 1)(3.0))
    10.0
    """
    parts = target if isinstance(target, tuple) else (target,)
    if not parts:
        raise UsageError("there is nothing to lower; give at least one formula")
    order = _argument_order(parts, names)
    if any(isinstance(part, Formula) and _joins_entries(part) for part in parts):
        return _lower_arrays(parts, order, isinstance(target, tuple))
    exprs, arrays = zip(*(_expression(*each) for each in enumerate(parts)), strict=True)
    constants = {each: value for held in arrays for each, value in held.items()}
    if stable:
        exprs = tuple(stable_expression(expr) for expr in exprs)
    program = compile_program(exprs, [*map(symbol, order), *constants])
    return _as_function(
        program,
        order,
        tuple(constants.values()),
        tuple(map(_shape_rule, parts)),
        isinstance(target, tuple),
    )


def _argument_order(
    parts: tuple[Target, ...], names: Sequence[str | sp.Symbol] | None
) -> tuple[str, ...]:
    used = {name: None for part in parts for name in _names(part)}
    if names is None:
        is_formula = isinstance(parts[0], Formula)
        return tuple(used) if is_formula else tuple(sorted(used))
    order = tuple(str(name) for name in names)
    missing = [name for name in used if name not in order]
    if missing:
        raise UsageError(f"names leaves out {', '.join(missing)}; it has {', '.join(order)}")
    return order


def _names(part: Target) -> tuple[str, ...]:
    if isinstance(part, Formula):
        return part.names
    if isinstance(part, sp.Basic):
        return tuple(sorted(each.name for each in symbols_of(part)))
    raise UsageError(f"lower takes a Formula or a SymPy expression, not {type(part).__name__}")


def _expression(index: int, part: Target) -> tuple[sp.Basic, dict[sp.Symbol, Any]]:
    """The expression in plain real symbols, and the arrays its other symbols stand for."""
    formula = part if isinstance(part, Formula) else Formula.from_sympy(part)
    composed = compose(formula.node)
    integers = {s: symbol(s.name) for s in symbols_of(composed.expr) if s.is_integer}
    # Each part counts its arrays from 1; the index keeps them apart.
    renamed = {each: symbol(f"{each.name} of {index}") for each in composed.arrays}
    arrays = {
        renamed[each]: jnp.asarray([float(v) for v in array.values]).reshape(array.shape)
        for each, array in composed.arrays.items()
    }
    return substitute(composed.expr, {**integers, **renamed}), arrays


def _joins_entries(part: Formula) -> bool:
    """Whether the formula is more than one scalar expression applied entry by entry."""
    return not part.is_elementwise


def _lower_arrays(
    parts: tuple[Target, ...], order: tuple[str, ...], is_tuple: bool
) -> Callable[..., Any]:
    """A function of arrays of the shapes the formulas were made for."""
    formulas = tuple(p if isinstance(p, Formula) else Formula.from_sympy(p) for p in parts)
    inputs = {each.name: each for formula in formulas for each in formula.inputs}
    ordered = [inputs[name] for name in order]
    shapes = tuple(formula.shape for formula in formulas)
    if len(formulas) == 1 and formulas[0].hessian_of is not None:
        entries = dense_program(replace(formulas[0], inputs=tuple(ordered)))
        program: Callable[..., tuple[Any, ...]] = lambda *values: (entries(*values),)
    else:
        program = compile_nodes([formula.node for formula in formulas], ordered)

    def run(*values: Any) -> Any:
        dtype = jnp.result_type(*values) if values else jnp.result_type(float)
        results = zip(program(*values), shapes, strict=True)
        finished = tuple(_finish(result, dtype, shape) for result, shape in results)
        return finished if is_tuple else finished[0]

    return array_function(run, ordered)


def array_function(run: Callable[..., Any], inputs: Sequence[Var]) -> Callable[..., Any]:
    """A function of arrays of the shapes of the inputs, by position or by name.

    Args:
        run: Takes the arrays in the order of the inputs.
        inputs: Names and shapes of the arguments.
    """
    order = tuple(each.name for each in inputs)

    def lowered(*args: Any, **kwargs: Any) -> Any:
        values = _prepare(_by_position(order, args, kwargs))
        for each, value in zip(inputs, values, strict=True):
            if jnp.shape(value) != each.shape:
                raise UsageError(
                    f"{each.name} has shape {jnp.shape(value)}; the formula was made for "
                    f"{each.shape}: lift the function again at the new shapes"
                )
        return run(*values)

    return _named(lowered, order)


@lru_cache(maxsize=512)
def stable_expression(expr: sp.Basic) -> sp.Basic:
    """The expression in the forms the kernels compute accurately."""
    return fuse(stable_form(expr).expr)


def _shape_rule(part: Target) -> Callable[[dict[str, Shape]], Shape]:
    """The shape of the result from the shapes of the arguments."""
    if not isinstance(part, Formula):
        return lambda shapes: jnp.broadcast_shapes(*shapes.values())
    used = {each.name for each in topological(part.node) if isinstance(each, Var)}
    declared = {each.name: each.shape for each in part.inputs}

    def rule(shapes: dict[str, Shape]) -> Shape:
        if shapes == declared:
            return part.shape
        return jnp.broadcast_shapes(*(shape for name, shape in shapes.items() if name in used))

    return rule


def _as_function(
    program: Program,
    order: tuple[str, ...],
    constants: tuple[Any, ...],
    rules: tuple[Callable[[dict[str, Shape]], Shape], ...],
    is_tuple: bool,
) -> Callable[..., Any]:
    def lowered(*args: Any, **kwargs: Any) -> Any:
        values = _prepare(_by_position(order, args, kwargs))
        dtype = jnp.result_type(*values) if values else jnp.result_type(float)
        shapes = {name: jnp.shape(value) for name, value in zip(order, values, strict=True)}
        results = program(*values, *(constant.astype(dtype) for constant in constants))
        finished = tuple(
            _finish(result, dtype, rule(shapes))
            for result, rule in zip(results, rules, strict=True)
        )
        return finished if is_tuple else finished[0]

    return _named(lowered, order)


def _named(lowered: Any, order: tuple[str, ...]) -> Callable[..., Any]:
    """The function with the names of its arguments as parameters."""
    lowered.__name__ = lowered.__qualname__ = "lowered"
    if all(map(str.isidentifier, order)) and not any(map(iskeyword, order)):
        parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in order]
        lowered.__dict__["__signature__"] = Signature(parameters)
    lowered.__doc__ = f"A lowered formula of {', '.join(order) or 'no argument'}."
    return lowered


def _by_position(
    order: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """Arguments in order, given by position or by name."""
    if not kwargs and len(args) == len(order):
        return args
    given = dict(zip(order, args, strict=False))
    listed = ", ".join(order) or "none"
    if len(args) > len(order) or given.keys() & kwargs.keys() or kwargs.keys() - set(order):
        raise UsageError(f"the arguments are {listed}; got {len(args)} and {', '.join(kwargs)}")
    given.update(kwargs)
    missing = [name for name in order if name not in given]
    if missing:
        raise UsageError(f"{', '.join(missing)} not given; the arguments are {listed}")
    return tuple(given[name] for name in order)


def _prepare(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arrays of floats: whole numbers and booleans become the default float."""
    arrays = tuple(map(jnp.asarray, values))
    return tuple(
        a if jnp.issubdtype(a.dtype, jnp.inexact) else a.astype(_float_dtype(arrays))
        for a in arrays
    )


def _float_dtype(arrays: tuple[Any, ...]) -> Any:
    inexact = [a.dtype for a in arrays if jnp.issubdtype(a.dtype, jnp.inexact)]
    return jnp.result_type(*inexact) if inexact else jnp.result_type(float)


def _finish(result: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    array = jnp.asarray(result)
    if array.dtype != jnp.bool_:
        array = array.astype(dtype)
    return jnp.broadcast_to(array, jnp.broadcast_shapes(array.shape, shape))

"""What happens inside one equation: the entry that goes bad, and the numbers that make it so.

The equation was caught with its operands and cotangents; its own backward pass is run again on
them, one primitive at a time, so that 0 * inf is seen as that, and a line inside a custom backward
rule is named.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.blocks import Block, Node, is_float, read, run
from diffkit.bridge.cotangents import Caught

Array = Any
#: What an equation may raise when it is bound to scalars instead of arrays.
_NOT_ELEMENTWISE = (TypeError, ValueError, IndexError, NotImplementedError, AssertionError)


@dataclass(frozen=True)
class Entry:
    """One bad entry.

    Args:
        index: Its index in the array.
        operands: The operands of the equation there; None for one of another shape.
        result: The bad number.
        cotangent: The cotangent of the result there; None where entries do not stand alone.
        partial: The partial derivative there, or None.
        inner: Name of the primitive that makes it inside a rule or a call, "" for the equation.
        source: Its line.
    """

    index: tuple[int, ...]
    operands: tuple[float | None, ...]
    result: float
    cotangent: float | None = None
    partial: float | None = None
    inner: str = ""
    source: compat.Source | None = None


def bad_share(block: Block, node: Node, caught: Caught, operand: int) -> Entry | None:
    """How the equation makes the cotangent of an operand bad, None where it does not.

    Args:
        block: The block of the equation.
        node: The equation.
        caught: Its arrays.
        operand: Which operand.
    """
    varied = [j for j, v in enumerate(node.inputs) if v in block.active]
    backward, arrays = _backward(node, caught, varied)
    share = jax.jit(backward)(*arrays)[operand]
    index = first_bad(share)
    if index is None:
        return None
    scalar = _elementwise(node, caught, operand, index)
    if scalar is not None:
        return scalar
    inside = _walk(read(compat.trace(backward, *arrays)), arrays)
    if inside is not None:
        return inside
    return Entry(index, _at(caught.operands, np.shape(share), index), _number(share, index))


def bad_result(node: Node, caught: Caught, place: int) -> Entry | None:
    """How the equation makes a result bad, None where it is finite."""
    result = caught.results[place]
    index = first_bad(result)
    if index is None:
        return None
    operands = _at(caught.operands, np.shape(result), index)
    inner = compat.called_jaxpr(node.eqn) if not node.blocks else None
    inside = None if inner is None else _walk(read(inner), list(caught.operands))
    if inside is not None:
        return inside
    return Entry(index, operands, _number(result, index))


def first_bad(array: Array) -> tuple[int, ...] | None:
    """Index of the first entry that is not finite; NaN goes before infinity."""
    if not is_float(array):
        return None
    array = np.asarray(array)  # NumPy compiles nothing for the shapes of one equation
    for test in (np.isnan, np.isinf):
        bad = test(array)
        if np.any(bad):
            return tuple(int(k) for k in np.unravel_index(int(np.argmax(bad)), array.shape))
    return None


def cotangents_beside(node: Node, caught: Caught, operand: int, index: tuple[int, ...]) -> Array:
    """The cotangents that a matrix product multiplies with one entry of an operand.

    Args:
        node: A `dot_general`.
        caught: Its arrays.
        operand: 0 or 1.
        index: The entry.
    """
    contracted, batched = node.eqn.params["dimension_numbers"]
    free = [
        [
            k
            for k in range(np.ndim(caught.operands[side]))
            if k not in contracted[side] and k not in batched[side]
        ]
        for side in (0, 1)
    ]
    at: list[Any] = [index[k] for k in batched[operand]]
    at += [slice(None)] * len(free[0]) if operand else [index[k] for k in free[0]]
    at += [index[k] for k in free[1]] if operand else []
    return jnp.asarray(caught.cotangents[0])[tuple(at)]


def finite_steps(node: Node, caught: Caught) -> int:
    """How many steps a while loop makes before its state is not finite."""
    params = node.eqn.params
    first, second = params["cond_nconsts"], params["body_nconsts"]
    values = list(caught.operands)
    conditions, constants, start = (
        values[:first],
        values[first : first + second],
        values[first + second :],
    )
    goes_on, body = node.blocks

    def is_fine(state: tuple[Any, Any]) -> Any:
        fine = [jnp.all(jnp.isfinite(each)) for each in state[0] if is_float(each)]
        (going,) = run(goes_on, [*conditions, *state[0]])
        return jnp.all(jnp.stack([going, *fine]))

    def step(state: tuple[Any, Any]) -> tuple[Any, Any]:
        return run(body, [*constants, *state[0]]), state[1] + 1

    _, count = jax.lax.while_loop(is_fine, step, (start, 0))
    return int(count) - 1


def _backward(
    node: Node, caught: Caught, floating: Sequence[int]
) -> tuple[Callable[..., list[Any]], list[Array]]:
    """The backward pass of one equation as a function of its operands and cotangents."""
    operands = [jnp.asarray(each) for each in caught.operands]
    results = [k for k, each in enumerate(caught.results) if is_float(jnp.asarray(each))]
    cotangents = [
        jnp.zeros_like(caught.results[k]) if (ct := caught.cotangents[k]) is None else ct
        for k in results
    ]

    def backward(*arrays: Array) -> list[Any]:
        values, cts = list(arrays[: len(operands)]), list(arrays[len(operands) :])

        def forward(*varied: Array) -> list[Array]:
            every = list(values)
            for j, each in zip(floating, varied, strict=True):
                every[j] = each
            found = compat.run_equation(node.eqn, every)
            return [found[k] for k in results]

        shares = jax.vjp(forward, *(values[j] for j in floating))[1](cts)
        every: list[Any] = [jnp.zeros(())] * len(values)
        for j, share in zip(floating, shares, strict=True):
            every[j] = share
        return every

    return backward, [*operands, *cotangents]


def _elementwise(node: Node, caught: Caught, operand: int, index: tuple[int, ...]) -> Entry | None:
    """The entry as cotangent times partial derivative, where the equation works entry by entry."""
    shapes = {np.shape(each) for each in (*caught.operands, *caught.results)}
    if len(shapes) != 1 or len(caught.results) != 1 or compat.called_jaxpr(node.eqn) is not None:
        return None
    scalars = [jnp.asarray(each)[index] for each in caught.operands]
    cotangent = caught.cotangents[0]

    def at(x: Array) -> Array:
        every = [*scalars[:operand], x, *scalars[operand + 1 :]]
        return compat.run_equation(node.eqn, every)[0]

    try:
        value, partial = jax.jvp(at, (scalars[operand],), (jnp.ones_like(scalars[operand]),))
    except _NOT_ELEMENTWISE:
        return None
    if cotangent is None or not _same(value, jnp.asarray(caught.results[0])[index]):
        return None
    weight = _number(cotangent, index)
    with np.errstate(all="ignore"):
        product = float(np.multiply(weight, float(partial)))
    numbers = tuple(float(each) for each in scalars)
    return Entry(index, numbers, product, weight, float(partial))


def _walk(block: Block, arrays: Sequence[Array]) -> Entry | None:
    """The first primitive that makes NaN of what holds none, else the first that makes infinity."""
    env: dict[int, Array] = {**block.constants, **dict(zip(block.inputs, arrays, strict=True))}
    first: Entry | None = None
    for node in block.nodes:
        operands = [env[v] for v in node.inputs]
        results = compat.run_equation(node.eqn, operands)
        env.update(zip(node.outputs, results, strict=True))
        entry = _made_here(node, operands, results)
        if entry is not None and np.isnan(entry.result):
            return entry
        first = first or entry
    return first


def _made_here(node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Entry | None:
    found = [(each, index) for each in results if (index := first_bad(each)) is not None]
    if not found:
        return None
    bad, index = found[0]
    result = _number(bad, index)
    worst = [_number(each, at) for each in operands if (at := first_bad(each)) is not None]
    if any(np.isnan(each) or np.isinf(result) for each in worst):
        return None  # handed on, not made
    numbers = _at(operands, np.shape(bad), index)
    return Entry(index, numbers, result, inner=node.primitive, source=node.source)


def _at(
    arrays: Sequence[Array], shape: tuple[int, ...], index: tuple[int, ...]
) -> tuple[float | None, ...]:
    """The entries that meet at an index; None for an array that is not broadcast to the shape."""
    found: list[float | None] = []
    for each in arrays:
        mine = np.shape(each)
        fits = len(mine) == len(shape) and all(
            a in (1, b) for a, b in zip(mine, shape, strict=True)
        )
        if _is_key(each) or not (fits or not mine):
            found.append(None)
        else:
            at = [k if n > 1 else 0 for k, n in zip(index, mine, strict=True)] if mine else []
            found.append(_number(each, tuple(at)))
    return tuple(found)


def _is_key(array: Array) -> bool:
    dtype = getattr(array, "dtype", None)
    return dtype is not None and bool(jax.dtypes.issubdtype(dtype, jax.dtypes.extended))


def _number(array: Array, index: tuple[int, ...]) -> float:
    found = np.asarray(array)[index]
    return float(found.real) if np.iscomplexobj(found) else float(found)


def _same(left: Array, right: Array) -> bool:
    a, b = float(np.real(left)), float(np.real(right))
    return a == b or (np.isnan(a) and np.isnan(b)) or abs(a - b) <= 1e-3 * abs(b)

"""The real function a program stands for, in float64: the same equations with wider numbers.

Tracing a function again with float64 arguments can give another function: random masks are drawn
from other bits, and types that are written down stay narrow.  Here every floating-point value of
the traced program is widened instead; what depends on bits keeps them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.blocks import Block, Node, is_float, read

Array = Any
#: Calls whose inner program is run for them: rules of differentiation do not change values.
_CALLED = compat.CALLS
#: What an equation raises that does not take wider operands.
_REFUSALS = (TypeError, ValueError, NotImplementedError)


def run_wide(block: Block, values: Sequence[Array]) -> list[Array]:
    """The results of a block in float64; call it inside of `compat.x64()`.

    >>> import jax.numpy as jnp
    >>> block = read(compat.trace(lambda x: (x + 1.0) - x, jnp.float32(0.0)))
    >>> with compat.x64():
    ...     float(run_wide(block, [2.0**30])[0])
    1.0
    """
    env = {v: _wide(each) for v, each in block.constants.items()}
    env.update(zip(block.inputs, map(_wide, values), strict=True))
    for node in block.nodes:
        results = _results(node, [env[v] for v in node.inputs], block)
        env.update(zip(node.outputs, map(_wide, results), strict=True))
    return [env[v] for v in block.outputs]


def _results(node: Node, operands: list[Array], block: Block) -> Sequence[Array]:
    name = node.primitive
    if name in _RULES:
        return _RULES[name](node, operands)
    if node.blocks:
        return run_wide(node.blocks[0], operands)
    inner = compat.called_jaxpr(node.eqn) if name in _CALLED else None
    if inner is not None:
        return run_wide(read(inner), operands)
    if name in _BITS:
        return _narrow(node, operands, block)
    try:
        return _bind(node, operands, _widened(node.eqn.params))
    except _REFUSALS:
        return _narrow(node, operands, block)


def _narrow(node: Node, operands: list[Array], block: Block) -> Sequence[Array]:
    """The equation in the types it was traced in."""
    types = [block.types[v] for v in node.inputs]
    back = [
        lax.convert_element_type(each, aval.dtype) if is_float(aval) else each
        for each, aval in zip(operands, types, strict=True)
    ]
    return compat.run_equation(node.eqn, back)


def _bind(node: Node, operands: list[Array], params: Mapping[str, Any]) -> Sequence[Array]:
    results = node.eqn.primitive.bind(*operands, **params)
    return results if node.eqn.primitive.multiple_results else [results]


#: Equations that look at bits.
_BITS = frozenset("bitcast_convert_type nextafter".split())
#: Parameters that name the type of a result.
_TYPES = frozenset("new_dtype preferred_element_type dtype".split())


def _widened(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with wide types for narrow ones."""
    return {
        name: _wide_type(value) if name in _TYPES and value is not None else value
        for name, value in params.items()
    }


def _wide_type(dtype: Any) -> Any:
    if jax.dtypes.issubdtype(dtype, np.floating):
        return np.dtype(np.float64)
    return np.dtype(np.complex128) if jax.dtypes.issubdtype(dtype, np.complexfloating) else dtype


def _wide(value: Array) -> Array:
    if isinstance(value, float):
        return jnp.asarray(value, np.float64)
    if not is_float(value):
        return value
    return lax.convert_element_type(value, _wide_type(value.dtype))


def _same(node: Node, operands: list[Array]) -> Sequence[Array]:
    return operands[:1]


def _scan(node: Node, operands: list[Array]) -> Sequence[Array]:
    params, body = node.eqn.params, node.blocks[0]
    split = compat.scan_split(params)
    first, last = split.constants, split.constants + split.carry

    def step(carry: list[Array], row: list[Array]) -> tuple[list[Array], list[Array]]:
        found = run_wide(body, [*operands[:first], *carry, *row])
        return found[: split.carry], found[split.carry :]

    carry, rows = lax.scan(
        step,
        operands[first:last],
        operands[last:],
        length=params["length"],
        reverse=params["reverse"],
    )
    return [*carry, *rows]


def _while(node: Node, operands: list[Array]) -> Sequence[Array]:
    first, second = node.eqn.params["cond_nconsts"], node.eqn.params["body_nconsts"]
    goes_on, body = node.blocks
    for_test, for_body = operands[:first], operands[first : first + second]
    return lax.while_loop(
        lambda state: run_wide(goes_on, [*for_test, *state])[0],
        lambda state: run_wide(body, [*for_body, *state]),
        operands[first + second :],
    )


def _cond(node: Node, operands: list[Array]) -> Sequence[Array]:
    index, *rest = operands
    branches = [lambda *each, block=block: run_wide(block, each) for block in node.blocks]
    return lax.switch(index, branches, *rest)


_RULES: Mapping[str, Callable[[Node, list[Array]], Sequence[Array]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "reduce_precision": _same,
}

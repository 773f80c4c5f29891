"""How far a point lies from the next kink of a program, seen from inside the program.

The program is run equation by equation.  Where it compares, takes a maximum, rounds, or meets the
edge of a domain (the root of 0), the distance of the operands from that event is noted; the
smallest is the margin of the point.  Outside of a domain it is negative, and 0 where an operand is
NaN.  It is a distance between intermediate values, not between points: `relu(1000*x)` has the
margin 1 at x = 0.001.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np

from diffkit.core.errors import UnsupportedPrimitive

Measure = Callable[..., Any]


def margin(f: Callable[..., Any], *args: Any) -> float:
    """Return the least distance of an intermediate value from a kink, inf without any kink.

    Outside of the domain of a root or a logarithm it is minus the distance from its edge.

    Args:
        f: JAX function.
        *args: The point: arrays.

    Raises:
        UnsupportedPrimitive: a comparison of numbers inside a loop or a scatter, or a choice in a
            window.

    >>> import jax.numpy as jnp
    >>> margin(lambda x: jnp.maximum(x, 1.0) + jnp.abs(x), 1.25)
    0.25
    """
    return margins(f, *args)(*args)


def margins(f: Callable[..., Any], *example: Any) -> Callable[..., float]:
    """The margin as a function of the point: `f` is traced once, for points of one shape."""
    import jax

    from diffkit.backend import compat

    with compat.x64():
        opened, constants = compat.open_jaxpr(compat.trace(f, *example))

    def at(*args: Any) -> float:
        found: list[float] = [inf]
        with compat.x64():
            leaves = jax.tree.leaves(args)
            inputs = [
                np.asarray(x, v.aval.dtype) for x, v in zip(leaves, opened.invars, strict=True)
            ]
            _walk(opened, constants, inputs, found)
        return min(found)

    return at


def _walk(
    opened: Any, constants: Sequence[Any], inputs: Sequence[Any], found: list[float]
) -> list[Any]:
    from diffkit.backend import compat

    env: dict[Any, Any] = dict(zip(opened.constvars, constants, strict=True))
    env.update(zip(opened.invars, inputs, strict=True))
    for eqn in opened.eqns:
        values = [atom.val if compat.is_literal(atom) else env[atom] for atom in eqn.invars]
        env.update(zip(eqn.outvars, _results(eqn, values, found), strict=True))
    return [atom.val if compat.is_literal(atom) else env[atom] for atom in opened.outvars]


def _results(eqn: Any, values: list[Any], found: list[float]) -> list[Any]:
    """The results of one equation; what it comes close to is noted."""
    from diffkit.backend import compat

    name = eqn.primitive.name
    if name == "cond":
        index, *operands = values
        branches = eqn.params["branches"]
        chosen = min(max(int(index), 0), len(branches) - 1)
        return _walk(*compat.open_jaxpr(branches[chosen]), operands, found)
    inner = compat.called_jaxpr(eqn) if name in compat.CALLS else None
    if inner is not None:
        return _walk(*compat.open_jaxpr(inner), values, found)
    is_blind = name in BLIND and _is_real(eqn.invars[0])
    if is_blind or any(_compares(each) for each in compat.inner_jaxprs(eqn)):
        raise UnsupportedPrimitive(
            f"cannot tell how far a point is from the kinks inside `{name}` "
            f"({compat.source(eqn)}); give them to arrays_away_from(kinks, shape)"
        )
    measure = MEASURES.get(name)
    arrays = [np.asarray(value) for value in values]
    if measure is not None and _is_real(eqn.invars[0]) and not _asks_for_nan(eqn):
        with np.errstate(all="ignore"):
            distances = np.asarray(measure(eqn.params, *arrays), float)
        found.append(float(np.min(np.where(np.isnan(distances), 0.0, distances), initial=inf)))
    return compat.run_equation(eqn, values)


def _compares(jaxpr: Any) -> bool:
    """Whether a jaxpr holds an equation at which a number may meet a kink."""
    from diffkit.backend import compat

    opened, _ = compat.open_jaxpr(jaxpr)
    return any(
        (eqn.primitive.name in {*MEASURES, *BLIND} and _is_real(eqn.invars[0]))
        or any(_compares(each) for each in compat.inner_jaxprs(eqn))
        for eqn in opened.eqns
    )


def _is_real(atom: Any) -> bool:
    return bool(np.issubdtype(atom.aval.dtype, np.floating))


def _asks_for_nan(eqn: Any) -> bool:
    """Whether a value is compared with itself, as `isnan` does: no kink at any number."""
    return eqn.primitive.name == "ne" and eqn.invars[0] is eqn.invars[1]


def _gaps(params: Mapping[str, Any], *operands: Any) -> Any:
    """Distances of entries that are compared with each other along the reduced axes."""
    values = operands[0]
    axes = params.get("axes", params.get("axis", params.get("dimension", -1)))
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    rows = moved.reshape(*moved.shape[: moved.ndim - len(axes)], -1)
    return np.diff(np.sort(rows, axis=-1), axis=-1)


def _in_windows(sign: int) -> Measure:
    """How far the largest (-1: the smallest) entry of each window is ahead of the next."""

    def gaps(params: Mapping[str, Any], values: Any) -> Any:
        from jax import lax

        config = [
            (*ends, step - 1)
            for ends, step in zip(params["padding"], params["base_dilation"], strict=True)
        ]
        padded = np.asarray(lax.pad(sign * values, np.asarray(-inf, values.dtype), config))
        steps = params["window_dilation"]
        spans = [
            (n - 1) * step + 1 for n, step in zip(params["window_dimensions"], steps, strict=True)
        ]
        seen = np.lib.stride_tricks.sliding_window_view(padded, spans)
        kept = (*(slice(None, None, stride) for stride in params["window_strides"]),)
        seen = seen[(*kept, *(slice(None, None, step) for step in steps))]
        rows = np.sort(seen.reshape(-1, int(np.prod(params["window_dimensions"]))), axis=-1)
        if rows.shape[-1] == 1 or not rows.size:
            return inf
        # a window of padding alone has no entry that could be ahead
        return np.where(rows[:, -1] == -inf, inf, rows[:, -1] - rows[:, -2])

    return gaps


def _of_power(params: Mapping[str, Any], base: Any, *rest: Any) -> Any:
    exponent = np.asarray(params.get("y", rest[0] if rest else 1))
    is_whole = exponent % 1 == 0
    return np.where(is_whole, np.where(exponent >= 0, inf, np.abs(base)), base)


def _of_gamma(params: Mapping[str, Any], a: Any) -> Any:
    return np.where(a > 0, a, np.abs(a - np.round(a)))


def _to_integer(shift: float) -> Measure:
    return lambda params, a: np.abs(a - shift - np.round(a - shift))


def _of_remainder(params: Mapping[str, Any], a: Any, b: Any) -> Any:
    rest = np.abs(np.fmod(a, b))
    return np.minimum(rest, np.abs(b) - rest)


def _table() -> dict[str, Measure]:
    table: dict[str, Measure] = {
        "clamp": lambda p, low, x, high: np.minimum(np.abs(x - low), np.abs(x - high)),
        "log1p": lambda p, a: a + 1,
        "acosh": lambda p, a: a - 1,
        "div": lambda p, a, b: np.abs(b),
        # the value jumps across the negative half of the second operand's axis
        "atan2": lambda p, a, b: np.where(b < 0, np.abs(a), np.hypot(a, b)),
        "reduce_window_max": _in_windows(1),
        "reduce_window_min": _in_windows(-1),
        "pow": _of_power,
        "integer_pow": _of_power,
        "floor": _to_integer(0.0),
        "ceil": _to_integer(0.0),
        "round": _to_integer(0.5),
        "rem": _of_remainder,
    }
    table |= dict.fromkeys(
        "eq ne lt le gt ge max min".split(), lambda p, a, b: np.abs(np.subtract(a, b))
    )
    table |= dict.fromkeys("abs sign cbrt".split(), lambda p, a: np.abs(a))
    table |= dict.fromkeys("sqrt rsqrt log".split(), lambda p, a: a)
    table |= dict.fromkeys("asin acos atanh erf_inv".split(), lambda p, a: 1 - np.abs(a))
    table |= dict.fromkeys("lgamma digamma".split(), _of_gamma)
    table |= dict.fromkeys(
        "sort reduce_max reduce_min argmax argmin cummax cummin top_k".split(), _gaps
    )
    return table


#: Primitives that choose among entries by a rule that is no jaxpr: refused.
BLIND = frozenset({"select_and_scatter_add", "select_and_gather_add"})
#: Primitive -> (parameters, operands) -> distances from its kinks and edges.
MEASURES: Mapping[str, Measure] = _table()

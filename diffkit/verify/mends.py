"""Mends for values and cotangents that are not finite: tables of guards and of rewritings.

A guard keeps the argument of a function away from the edge of its domain; a rewriting replaces
equations by the library function that computes the same without overflow.  A row proposes; whoever
runs the mended program decides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.blocks import (
    MOVES,
    Block,
    Node,
    Path,
    block_at,
    node_at,
    of_one_line,
    read,
    run,
)
from diffkit.bridge.cotangents import Caught, Edit
from diffkit.verify import spelling

Array = Any


@dataclass(frozen=True)
class Proposal:
    """A change of a program.

    Args:
        code: How it is written.
        source: The line it belongs to.
        edits: The equations it replaces.
        is_exact: Whether the mended program computes the same function.
        target: The expression of the line that the code replaces, "" where that is not known.
    """

    code: str
    source: compat.Source
    edits: Mapping[Path, Edit] = field(default_factory=dict)
    is_exact: bool = False
    target: str = ""


@dataclass(frozen=True)
class Guard:
    """How an argument is kept inside of a domain.

    Args:
        operand: Which operand.
        inside: (value, dtype) -> where it may stay.
        text: The condition, with {x} for the argument.
        safe: What stands in elsewhere.
        outside: Value of the function where the condition fails, or None where it has none.
    """

    operand: int
    inside: Callable[[Array, Any], Array]
    text: str
    safe: float
    outside: float | None = None


def _above(bound: float) -> Callable[[Array, Any], Array]:
    return lambda x, dtype: x > bound


def _not_zero(x: Array, dtype: Any) -> Array:
    return x != 0


def _within_one(x: Array, dtype: Any) -> Array:
    return jnp.abs(x) < 1


def _no_overflow(x: Array, dtype: Any) -> Array:
    return x < np.floor(np.log(float(jnp.finfo(dtype).max)))


_POSITIVE = "{x} > 0"
_UNIT = "jnp.abs({x}) < 1"

#: Primitive -> its guard.
GUARDS: Mapping[str, Guard] = {
    "sqrt": Guard(0, _above(0), _POSITIVE, 1.0, 0.0),
    "rsqrt": Guard(0, _above(0), _POSITIVE, 1.0),
    "cbrt": Guard(0, _not_zero, "{x} != 0", 1.0, 0.0),
    "log": Guard(0, _above(0), _POSITIVE, 1.0),
    "log1p": Guard(0, _above(-1), "{x} > -1", 0.0),
    "div": Guard(1, _not_zero, "{x} != 0", 1.0),
    "pow": Guard(0, _above(0), _POSITIVE, 1.0, 0.0),
    "integer_pow": Guard(0, _not_zero, "{x} != 0", 1.0),
    "exp": Guard(0, _no_overflow, "{x} < {most}", 0.0),
    "expm1": Guard(0, _no_overflow, "{x} < {most}", 0.0),
    "acos": Guard(0, _within_one, _UNIT, 0.0),
    "asin": Guard(0, _within_one, _UNIT, 0.0),
    "atanh": Guard(0, _within_one, _UNIT, 0.0),
    "erf_inv": Guard(0, _within_one, _UNIT, 0.0),
    "acosh": Guard(0, _above(1), "{x} > 1", 2.0),
    "lgamma": Guard(0, _above(0), _POSITIVE, 1.0),
    "digamma": Guard(0, _above(0), _POSITIVE, 1.0),
}


def proposals(root: Block, path: Path, caught: Caught, *, is_untaken: bool) -> Iterator[Proposal]:
    """Mends for the line of one equation, the most faithful first.

    Args:
        root: The program.
        path: The equation.
        caught: Its arrays where it goes bad.
        is_untaken: Whether the result is not taken where it goes bad.
    """
    node, places = node_at(root, path), of_one_line(root, path)
    yield from _rewritings(root, path)
    yield from _shift(node, places, caught)
    yield from _guards(node, places, caught, is_untaken)
    yield from _rule(node, places)


def _guards(
    node: Node, places: Sequence[Path], caught: Caught, is_untaken: bool
) -> Iterator[Proposal]:
    guard = GUARDS.get(node.primitive)
    if guard is None:
        return
    dtype = jnp.asarray(caught.operands[guard.operand]).dtype
    if bool(jnp.all(guard.inside(caught.operands[guard.operand], dtype))):
        return  # nothing is outside: the guard would change nothing

    def keep_inside(node: Node, operands: list[Array], env: Any) -> list[Array]:
        return compat.run_equation(node.eqn, _kept(guard, operands)[1])

    def keep_value(node: Node, operands: list[Array], env: Any) -> list[Array]:
        inside, kept = _kept(guard, operands)
        (result,) = compat.run_equation(node.eqn, kept)
        inside = jnp.broadcast_to(inside, result.shape)
        return [jnp.where(inside, result, jnp.full_like(result, guard.outside))]

    code = spelling.guarded(node, guard.text, guard.safe, dtype)

    def proposal(text: str, edit: Edit) -> Proposal:
        return Proposal(text, node.source, dict.fromkeys(places, edit), target=code.target)

    inner = proposal(code.alone(), keep_inside)
    if guard.outside is None:
        yield inner
        return
    outer = proposal(code.outer(guard.outside), keep_value)
    yield from (inner, outer) if is_untaken else (outer, inner)


def _kept(guard: Guard, operands: Sequence[Array]) -> tuple[Array, list[Array]]:
    kept = list(operands)
    x = jnp.asarray(kept[guard.operand])
    inside = guard.inside(x, x.dtype)
    kept[guard.operand] = jnp.where(inside, x, jnp.full_like(x, guard.safe))
    return inside, kept


def _shift(node: Node, places: Sequence[Path], caught: Caught) -> Iterator[Proposal]:
    """The maximum of a row without any entry is -inf, and -inf - (-inf) is nan."""
    if node.primitive != "sub" or not bool(jnp.any(jnp.isneginf(caught.operands[1]))):
        return

    def finite(node: Node, operands: list[Array], env: Any) -> list[Array]:
        top = operands[1]
        kept = jnp.where(jnp.isfinite(top), top, jnp.zeros_like(top))
        return compat.run_equation(node.eqn, [operands[0], kept])

    yield Proposal(spelling.shift(node), node.source, dict.fromkeys(places, finite))


def _rule(node: Node, places: Sequence[Path]) -> Iterator[Proposal]:
    """A custom rule left out: AD of what the function computes."""
    if not node.primitive.startswith(("custom_vjp", "custom_jvp")):
        return

    def without(node: Node, operands: list[Array], env: Any) -> list[Array]:
        return run(read(compat.called_jaxpr(node.eqn)), operands)

    rule = node.primitive.removesuffix("_call").removesuffix("_jaxpr").removesuffix("_call")
    code = f"{node.name} without its {rule} rule"
    yield Proposal(code, node.source, dict.fromkeys(places, without), is_exact=True)


# --- rewritings --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reader:
    """Reads a block backwards from a value."""

    block: Block
    producers: Mapping[int, tuple[int, int]]

    def node(self, value: int, *names: str) -> Node | None:
        """The equation that makes a value, moves aside, if it is one of these."""
        n = self.place(value)
        node = None if n is None else self.block.nodes[n]
        return node if node is not None and node.primitive in names else None

    def place(self, value: int) -> int | None:
        """Number of the equation that makes a value, moves aside."""
        value = self.base(value)
        return self.producers[value][0] if value in self.producers else None

    def base(self, value: int) -> int:
        """The value that is moved about."""
        while value in self.producers:
            node = self.block.nodes[self.producers[value][0]]
            if node.primitive not in MOVES:
                return value
            value = node.inputs[0]
        return value

    def is_number(self, value: int, number: float) -> bool:
        """Whether a value is this constant in every entry."""
        value = self.base(value)
        if value not in self.block.constants:
            return False
        found = np.asarray(self.block.constants[value])
        return bool(found.size) and bool(np.all(found == number))

    def either(self, node: Node, number: float) -> int | None:
        """The operand beside a constant."""
        for mine, other in (node.inputs, node.inputs[::-1]):
            if self.is_number(other, number):
                return mine
        return None

    def with_one(self, value: int) -> int | None:
        """x of 1 + x."""
        node = self.node(value, "add")
        return None if node is None else self.either(node, 1.0)


#: A rewriting spans no more equations.
LARGEST_REWRITING = 64

Match = tuple[Callable[[Mapping[int, Array]], Array], str, tuple[int, ...]]


def _softmax(reader: _Reader, node: Node) -> tuple[int, tuple[int, ...], bool] | None:
    """s, axes, and whether a maximum is subtracted, of exp(s - max s) / sum exp(s - max s)."""
    if node.primitive != "div":
        return None
    top, total = (reader.node(v, "exp", "reduce_sum") for v in node.inputs)
    if top is None or total is None or top.primitive != "exp" or total.primitive != "reduce_sum":
        return None
    if reader.base(total.inputs[0]) != reader.base(node.inputs[0]):
        return None
    axes = tuple(total.eqn.params["axes"])
    shifted = reader.node(top.inputs[0], "sub")
    if shifted is None or not _is_top(reader, shifted):
        return top.inputs[0], axes, False
    return shifted.inputs[0], axes, True


def _is_top(reader: _Reader, node: Node) -> bool:
    """Whether x - max x is computed."""
    value = node.inputs[1]
    for _ in range(4):
        made = reader.node(value, "reduce_max", "max", "stop_gradient")
        if made is None:
            return False
        if made.primitive == "reduce_max":
            return reader.base(made.inputs[0]) == reader.base(node.inputs[0])
        value = made.inputs[-1]
    return False


def _masked_softmax(reader: _Reader, node: Node) -> Match | None:
    found = _softmax(reader, node)
    if found is None:
        return None
    scores, axes, _ = found
    code = spelling.masked_softmax(node, axes, reader.block.types[scores].ndim)
    return (
        lambda env: jax.nn.softmax(env[scores], axis=axes, where=~jnp.isneginf(env[scores])),
        code,
        (scores,),
    )


def _softmax_of(reader: _Reader, node: Node) -> Match | None:
    found = _softmax(reader, node)
    if found is None or found[2]:
        return None
    scores, axes, _ = found
    code = f"jax.nn.softmax(x, axis={spelling.axis(axes, reader.block.types[scores].ndim)})"
    return lambda env: jax.nn.softmax(env[scores], axis=axes), code, (scores,)


def _log_softmax(reader: _Reader, node: Node) -> Match | None:
    inner = None if node.primitive != "log" else reader.node(node.inputs[0], "div")
    found = None if inner is None else _softmax(reader, inner)
    if found is None:
        return None
    scores, axes, _ = found
    axis = spelling.axis(axes, reader.block.types[scores].ndim)
    code = f"jax.nn.log_softmax(z, axis={axis}) for the log of jax.nn.softmax(z)"
    return lambda env: jax.nn.log_softmax(env[scores], axis=axes), code, (scores,)


def _log_sum_exp(reader: _Reader, node: Node) -> Match | None:
    total = None if node.primitive != "log" else reader.node(node.inputs[0], "reduce_sum")
    top = None if total is None else reader.node(total.inputs[0], "exp")
    if total is None or top is None:
        return None
    x, axes = top.inputs[0], tuple(total.eqn.params["axes"])
    axis = spelling.axis(axes, reader.block.types[x].ndim)
    code = f"jax.nn.logsumexp(x, axis={axis}) for the log of a sum of jnp.exp(x)"
    return lambda env: jax.nn.logsumexp(env[x], axis=axes), code, (x,)


def _log_one_plus_exp(reader: _Reader, node: Node) -> Match | None:
    if node.primitive == "log1p":
        power = reader.node(node.inputs[0], "exp")
    elif node.primitive == "log":
        rest = reader.with_one(node.inputs[0])
        power = None if rest is None else reader.node(rest, "exp")
    else:
        return None
    if power is None:
        return None
    x = power.inputs[0]
    return lambda env: jax.nn.softplus(env[x]), "jax.nn.softplus(x) for log(1 + exp(x))", (x,)


def _log_sigmoid(reader: _Reader, node: Node) -> Match | None:
    if node.primitive not in ("log", "log1p"):
        return None
    inner = reader.node(node.inputs[0], "logistic")
    if node.primitive == "log" and inner is not None:
        x = inner.inputs[0]
        code = "jax.nn.log_sigmoid(x) for log(sigmoid(x))"
        return lambda env: jax.nn.log_sigmoid(env[x]), code, (x,)
    other = reader.node(node.inputs[0], "sub" if node.primitive == "log" else "neg")
    if other is None or (other.primitive == "sub" and not reader.is_number(other.inputs[0], 1.0)):
        return None
    inner = reader.node(other.inputs[-1], "logistic")
    if inner is None:
        return None
    x = inner.inputs[0]
    code = "jax.nn.log_sigmoid(-x) for log(1 - sigmoid(x))"
    return lambda env: jax.nn.log_sigmoid(-env[x]), code, (x,)


def _sigmoid(reader: _Reader, node: Node) -> Match | None:
    rest = None if node.primitive != "div" else reader.with_one(node.inputs[1])
    power = None if rest is None else reader.node(rest, "exp")
    if power is None:
        return None
    x = power.inputs[0]
    if reader.is_number(node.inputs[0], 1.0):
        turned = reader.node(x, "neg")
        if turned is not None and reader.base(x) == x:
            y = turned.inputs[0]
            code = "jax.nn.sigmoid(x) for 1 / (1 + exp(-x))"
            return lambda env: jax.nn.sigmoid(env[y]), code, (y,)
        return lambda env: jax.nn.sigmoid(-env[x]), "jax.nn.sigmoid(-x) for 1 / (1 + exp(x))", (x,)
    if reader.base(node.inputs[0]) == power.outputs[0]:
        code = "jax.nn.sigmoid(x) for exp(x) / (1 + exp(x))"
        return lambda env: jax.nn.sigmoid(env[x]), code, (x,)
    return None


#: The last equation of what is rewritten goes first in the program order of its rows.
REWRITINGS: Sequence[tuple[bool, Callable[[_Reader, Node], Match | None]]] = (
    (True, _log_softmax),
    (True, _log_sigmoid),
    (True, _log_one_plus_exp),
    (True, _log_sum_exp),
    (True, _sigmoid),
    (True, _softmax_of),
    (False, _masked_softmax),
)


def _rewritings(root: Block, path: Path) -> Iterator[Proposal]:
    """Rewritings of something the equation is a part of, wherever its line is run."""
    block = block_at(root, path[:-1])
    reader = _Reader(block, block.producers())
    for is_exact, row in REWRITINGS:
        for n, node in enumerate(block.nodes):
            found = row(reader, node)
            if found is None or path[-1] not in _between(reader, n, found[2]):
                continue
            places = of_one_line(root, (*path[:-1], n))
            edits = {place: edit for place in places if (edit := _rewritten(root, place, row))}
            yield Proposal(found[1], node.source, edits, is_exact)


def _rewritten(
    root: Block, path: Path, row: Callable[[_Reader, Node], Match | None]
) -> Edit | None:
    """The edit of one place, None where the row does not match there."""
    block = block_at(root, path[:-1])
    node = block.nodes[path[-1]]
    found = row(_Reader(block, block.producers()), node)
    if found is None:
        return None
    shape, dtype = block.types[node.outputs[0]].shape, block.types[node.outputs[0]].dtype
    return lambda node, operands, env: [jnp.reshape(found[0](env), shape).astype(dtype)]


def _between(reader: _Reader, last: int, first: Sequence[int]) -> set[int]:
    """Numbers of the equations on the way from some values to an equation."""
    stop, found, open_ = set(first), set(), [last]
    while open_:
        n = open_.pop()
        found.add(n)
        makers = (
            reader.producers[v][0]
            for v in reader.block.nodes[n].inputs
            if v not in stop and v in reader.producers
        )
        open_ += [each for each in makers if each not in found]
        if len(found) > LARGEST_REWRITING:
            break
    return found

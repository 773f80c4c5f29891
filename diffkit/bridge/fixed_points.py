r"""Loops that run to a fixed point z = g(z, p), read as such and differentiated implicitly.

$$(I - \partial g/\partial z)\, dz = \partial g/\partial p\; dp$$

The value is that of the loop itself.  The reading holds where the loop has converged: `lift` looks
at the example arguments, `check` at every point it judges (`residuals`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import jax
import numpy as np

from diffkit.backend import compat
from diffkit.backend.fixed_point import NAME, fixed_point
from diffkit.bridge.lower_arrays import compile_nodes
from diffkit.bridge.static import Static
from diffkit.core.errors import DiffkitError, UnsupportedPrimitive
from diffkit.tensor import build, views
from diffkit.tensor.nodes import Node, Opaque, Var, opaque, topological, var
from diffkit.tensor.partials import inverse
from diffkit.tensor.rewrite import replace
from diffkit.tensor.sweep import jacobian, pullback, pushforward
from diffkit.tensor.views import View

#: Largest change of one more step, relative to max(1, |z|), of a loop that has converged.
CONVERGED = 1e-6


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """z with z = g(z, p); operand 0 of its node is where the loop starts, the others are p.

    Args:
        body: g as a formula of `unknown` and `inputs`.
        unknown: z.
        inputs: p.
        steps: How many steps the loop takes; None: until nothing changes.
    """

    body: Node
    unknown: Var
    inputs: tuple[Var, ...]
    steps: int | None

    name = "fix"

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        return self.body, self.unknown, self.inputs, self.steps

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedPoint) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __str__(self) -> str:
        return f"fix#{self.body.digest}#{self.steps}"

    @cached_property
    def _step(self) -> Any:
        return compile_nodes([self.body], [self.unknown, *self.inputs])

    def run(self, *operands: Any) -> tuple[Any, ...]:
        """The loop's own result."""
        start, *inputs = operands

        def step(z: Any) -> Any:
            return self._step(z, *inputs)[0].astype(start.dtype)

        if self.steps is None:
            return (fixed_point(step, start),)
        return (jax.lax.fori_loop(0, self.steps, lambda _, z: step(z), start),)

    def vjp(self, node: Opaque, cotangent: Node, carried: int) -> list[tuple[Node, Node]]:
        """One solve with I - dg/dz, then the cotangents of g; see `tensor.opaque.Payload`."""
        rank = len(node.shape)
        lead = tuple(range(carried))
        out = tuple(range(carried, carried + rank))
        inner = tuple(range(carried + rank, carried + 2 * rank))
        factors = [(cotangent, (*lead, *out)), (self._response(node), (*out, *inner))]
        adjoint = build.einsum(factors, (*lead, *inner))
        lengths = cotangent.shape[:carried]
        parts = pullback(self.body, self.inputs, adjoint, lengths)
        return [
            (operand, self._placed(part, node))
            for operand, part in zip(node.operands[1:], parts, strict=True)
        ]

    def jvp(self, node: Opaque, tangents: Mapping[Node, Node], carried: tuple[int, ...]) -> Node:
        """The tangent of g at fixed z, then one solve; see `tensor.opaque.Payload`."""
        moving = {
            own: tangents[operand]
            for own, operand in zip(self.inputs, node.operands[1:], strict=True)
            if operand in tangents
        }
        if not moving:
            return build.zero((*carried, *node.shape))
        moved = self._placed(pushforward(self.body, moving, carried), node)
        rank, first = len(node.shape), len(carried)
        lead = tuple(range(first))
        inner = tuple(range(first, first + rank))
        out = tuple(range(first + rank, first + 2 * rank))
        factors = [(moved, (*lead, *inner)), (self._response(node), (*out, *inner))]
        return build.einsum(factors, (*lead, *out))

    def image(self, node: Opaque) -> Node:
        """g(z) at the node's own value, which equals it."""
        return self._placed(self.body, node)

    def residual(self, node: Opaque) -> Node:
        """g(z) - z at the node's own value."""
        axes = build.all_axes(node)
        terms = [(build.ONE, self.image(node), axes), (-build.ONE, node, axes)]
        return build.add(terms, node.shape)

    def _placed(self, inner: Node, node: Opaque) -> Node:
        """A formula of g with the actual values for its inputs and the unknown."""
        changes: dict[Node, Node] = {self.unknown: node}
        changes |= dict(zip(self.inputs, node.operands[1:], strict=True))
        return replace(inner, changes)

    def _response(self, node: Opaque) -> Node:
        """(I - dg/dz)^-1: axes of z twice."""
        shape = node.shape
        size = prod(shape)
        slope = views.view(self._placed(jacobian(self.body, self.unknown), node))
        flat = views.reshape(slope, (size, size))
        matrix = views.dense(views.add(views.eye(size), flat, -1))
        return views.dense(views.reshape(views.view(inverse(matrix)), (*shape, *shape)))


def residuals(root: Node) -> list[Node]:
    """What must vanish where the fixed points below a node are read as such."""
    return [
        node.payload.residual(node)
        for node in topological(root)
        if isinstance(node, Opaque) and isinstance(node.payload, FixedPoint)
    ]


def read_scan(walk: Any, eqn: Any, operands: Sequence[Any]) -> list[Any] | None:
    """A long scan whose step depends on nothing but one array; None when it is no such loop.

    Args:
        walk: The walk that meets the scan.
        eqn: The equation.
        operands: Its operands.
    """
    split = compat.scan_split(eqn.params)
    jaxpr, closed_over = compat.open_jaxpr(eqn.params["jaxpr"])
    carry = operands[split.constants : split.constants + split.carry]
    if len(operands) > split.constants + split.carry or len(eqn.outvars) > split.carry:
        return None
    places = [k for k, x in enumerate(carry) if isinstance(x, View)]
    if len(places) != 1 or not all(isinstance(x, View | Static) for x in carry):
        return None
    (place,) = places
    fixed = operands[: split.constants]
    found = _body(walk, jaxpr, closed_over, fixed, carry, place)
    if found is None:
        return None
    body, unknown, inputs, values = found
    payload = FixedPoint(body, unknown, inputs, int(eqn.params["length"]))
    start = views.dense(carry[place])
    node = opaque(payload, 0, (start, *values), start.shape)
    if not _has_converged(walk, payload.residual(node), node):
        return None
    walk.note(f"the loop of {payload.steps} steps is read as the fixed point it reaches", eqn)
    results: list[Any] = [_counted(x, int(eqn.params["length"])) for x in carry]
    results[place] = views.view(node)
    return results


def read_call(walk: Any, eqn: Any, operands: Sequence[Any]) -> list[Any] | None:
    """`backend.fixed_point`, which says itself that it is one; None for any other call."""
    if compat.called_name(eqn) != NAME:
        return None
    jaxpr, _ = compat.open_jaxpr(compat.called_jaxpr(eqn))
    loops = [each for each in jaxpr.eqns if each.primitive.name == "while"]
    if len(loops) != 1 or len(jaxpr.eqns) != 1:
        return None
    env = dict(zip(jaxpr.invars, operands, strict=True))
    values = [walk.read(env, atom) for atom in loops[0].invars]
    p = loops[0].params
    first, count = int(p["cond_nconsts"]), int(p["body_nconsts"])
    body, closed_over = compat.open_jaxpr(p["body_jaxpr"])
    fixed, carry = values[first : first + count], values[first + count :]
    found = _body(walk, body, closed_over, fixed, carry, 0)
    if found is None:
        return None
    formula, unknown, inputs, actual = found
    start = views.dense(walk.view(carry[0]))
    node = opaque(FixedPoint(formula, unknown, inputs, None), 0, (start, *actual), start.shape)
    # The last change is below every tolerance, or the loop itself answers NaN.
    return [views.view(node), views.number(0)]


def _counted(value: Any, steps: int) -> Any:
    """The counter of a loop at its end."""
    return Static(value.value + steps) if isinstance(value, Static) else value


def _body(
    walk: Any, jaxpr: Any, closed_over: Any, fixed: Sequence[Any], carry: Sequence[Any], place: int
) -> tuple[Node, Var, tuple[Var, ...], tuple[Node, ...]] | None:
    """The step as a formula of its own inputs, when it is the same in every iteration."""
    unknown = var("fixed point", carry[place].shape)
    inputs: list[Var] = []
    values: list[Node] = []
    arguments: list[Any] = []
    for x in fixed:
        if isinstance(x, View) and build.number(x.node) is None:
            own = var(f"parameter {len(inputs)}", x.shape)
            inputs.append(own)
            values.append(views.dense(x))
            arguments.append(views.view(own))
        else:
            arguments.append(x)
    steps = []
    for shift in (0, 1):
        now = [
            views.view(unknown) if k == place else _shifted(x, shift) for k, x in enumerate(carry)
        ]
        try:
            results = walk.run(jaxpr, closed_over, [*arguments, *now])
            steps.append(views.dense(walk.view(results[place])))
        except UnsupportedPrimitive:
            return None
    if steps[0] is not steps[1]:
        return None
    used = {x for x in topological(steps[0]) if isinstance(x, Var)}
    pairs = [(v, x) for v, x in zip(inputs, values, strict=True) if v in used]
    return (
        steps[0],
        unknown,
        tuple(v for v, _ in pairs),
        tuple(x for _, x in pairs),
    )


def _shifted(value: Any, shift: int) -> Any:
    """A counter of the loop in another iteration."""
    return Static(value.value + shift) if isinstance(value, Static) else value


def _has_converged(walk: Any, residual: Node, node: Node) -> bool:
    """Whether one more step changes nothing at the example arguments."""
    inputs = {x.name: x for x in topological(residual) if isinstance(x, Var)}
    if any(name not in walk.values for name in inputs):
        return False
    try:
        with compat.x64():
            program = compile_nodes([residual, node], list(inputs.values()))
            gap, value = program(*(jax.numpy.asarray(walk.values[name]) for name in inputs))
    except DiffkitError:
        return False
    size = max(1.0, float(np.max(np.abs(value), initial=0.0)))
    return bool(np.all(np.isfinite(value))) and bool(np.max(np.abs(gap)) <= CONVERGED * size)

r"""Bugs planted in derivative rules of random programs; what they make of the derivative is known.

A step y = g(a, b, ...) gets a custom rule that is wrong in one way.  With L the right linear map
of tangents, every kind is L with other primals, other tangents or another factor:

$$\dot y = c\,L(\tilde a, \tilde b;\ \tilde{\dot a}, \tilde{\dot b}),$$

so the wrong derivative of the whole program follows by duals, as the right one does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from diffkit.testing.duals import Dual, boxed, exact, joined, parts, precision
from diffkit.testing.operations import Operation
from diffkit.testing.programs import Array, Program, Rule, weighted

Many = Sequence[Any]
#: How far away a stale rule was evaluated.
SHIFT = 0.125


def _same(arrays: Many) -> Many:
    return arrays


def _all(_: Operation, __: Sequence[tuple[int, ...]]) -> bool:
    return True


def _pairs(operation: Operation, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Two operands that may be exchanged."""
    return operation.arity == 2 and shapes[0] == shapes[1]


def _squares(operation: Operation, shapes: Sequence[tuple[int, ...]]) -> bool:
    """A matrix product one of whose operands is a square matrix."""
    return operation.name == "matmul" and any(_is_square(shape) for shape in shapes)


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1]


def _transposed(arrays: Many) -> Many:
    return [each.T if _is_square(np.shape(each)) else each for each in arrays]


def _without_first(arrays: Many) -> Many:
    return [arrays[0] * 0, *arrays[1:]]


def _moved(arrays: Many) -> Many:
    return [each + SHIFT for each in arrays]


@dataclass(frozen=True)
class Kind:
    """One way to be wrong.

    Args:
        name: What reports call it.
        applies: (operation, shapes of its operands) -> whether it can be planted there.
        primals: What the rule is evaluated at.
        tangents: What it is applied to.
        factor: What its result is multiplied by.
        is_identity: Whether the tangent is passed on unchanged: a chain factor is missing.
        ignores_cotangent: Whether the backward pass takes the cotangent for 1.
        dtype: The precision in which the rule is wrong, "" for all.
    """

    name: str
    applies: Callable[[Operation, Sequence[tuple[int, ...]]], bool] = _all
    primals: Callable[[Many], Many] = _same
    tangents: Callable[[Many], Many] = _same
    factor: float = 1.0
    is_identity: bool = False
    ignores_cotangent: bool = False
    dtype: str = ""


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("sign", factor=-1.0),
        Kind("factor 2", factor=2.0),
        Kind("factor 1.01", factor=1.01),
        Kind("zero", factor=0.0),
        Kind("missing term", lambda row, _: row.arity == 2, tangents=_without_first),
        Kind(
            "dropped chain factor",
            lambda row, _: row.arity == 1 and row.is_elementwise,
            is_identity=True,
        ),
        Kind("swapped operands", _pairs, tangents=lambda each: [each[1], each[0]]),
        Kind("transposed", _squares, primals=_transposed),
        Kind("stale primal", lambda row, _: row.is_elementwise, primals=_moved),
        Kind("ignores its cotangent", ignores_cotangent=True),
        Kind("float32 only", factor=1.5, dtype="float32"),
    )
}


@dataclass(frozen=True)
class Bug:
    """A kind of bug in the rule of one step.

    Args:
        kind: The kind.
        step: Index of the step.
        mode: "jvp": the rule is a custom_jvp, wrong in both modes; "vjp": a custom_vjp.
    """

    kind: Kind
    step: int
    mode: str

    def __str__(self) -> str:
        return f"{self.kind.name} in step n{self.step} (custom_{self.mode})"


def planted(program: Program, bug: Bug) -> Callable[..., Any]:
    """The program in JAX with the wrong rule."""
    operation = program.steps[bug.step].operation
    wrong = _custom_jvp if bug.mode == "jvp" else _custom_vjp
    rule = wrong(operation.run, bug.kind)

    def with_bug(*leaves: Any) -> Any:
        return program.run(leaves, {bug.step: rule})

    with_bug.__name__ = f"program_{program.seed}"
    return with_bug


def wrong_derivative(
    program: Program, bug: Bug, leaves: Sequence[Array], tangent: Array, cotangent: Array
) -> arb:
    """What the buggy program's AD answers in real arithmetic, as a ball."""
    if bug.kind.ignores_cotangent:
        return _of_unit_cotangent(program, bug, leaves, tangent, cotangent)
    numbers = program.exact(leaves, tangent, {bug.step: _wrong_rule(bug.kind)})
    return weighted(numbers[-1], cotangent)


def places(program: Program, kind: Kind) -> list[int]:
    """The steps in which a bug of this kind can be planted."""
    shapes = _shapes(program)
    start = len(program.inputs)
    return [
        index
        for index, step in enumerate(program.steps)
        if start + index in program.dependent
        and kind.applies(step.operation, [shapes[k] for k in step.operands])
    ]


# --- in JAX --------------------------------------------------------------------------------------


def _tangent(run: Callable[..., Any], kind: Kind, primals: Many, tangents: Many) -> Any:
    """The wrong linear map of tangents."""
    if kind.is_identity:
        return tangents[0]
    _, found = jax.jvp(run, tuple(kind.primals(primals)), tuple(kind.tangents(tangents)))
    is_right = kind.dtype and str(found.dtype) != kind.dtype
    return found if is_right else found * kind.factor


def _custom_jvp(run: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
    step = jax.custom_jvp(lambda *operands: run(*operands))
    step.defjvp(
        lambda primals, tangents: (
            run(*primals),
            _tangent(
                run, kind, primals, [_dense(t, p) for t, p in zip(tangents, primals, strict=True)]
            ),
        )
    )
    return step


def _dense(tangent: Any, primal: Any) -> Any:
    return jnp.asarray(tangent, jnp.asarray(primal).dtype)


def _custom_vjp(run: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
    step = jax.custom_vjp(lambda *operands: run(*operands))

    def forward(*operands: Any) -> tuple[Any, Any]:
        return run(*operands), operands

    def backward(operands: Any, cotangent: Any) -> Any:
        if kind.ignores_cotangent:
            cotangent = jnp.ones_like(cotangent)
        pull = jax.linear_transpose(
            lambda *tangents: _tangent(run, kind, operands, tangents), *operands
        )
        return pull(cotangent)

    step.defvjp(forward, backward)
    return step


# --- over duals ----------------------------------------------------------------------------------


def _wrong_rule(kind: Kind) -> Rule:
    def rule(operation: Operation, operands: Sequence[Array]) -> Array:
        right = operation.exact(*operands)
        if kind.is_identity:
            slopes = parts(operands[0])[1]
        else:
            values, moves = zip(*(parts(each) for each in operands), strict=True)
            moved = [
                joined(boxed(value), boxed(move))
                for value, move in zip(kind.primals(values), kind.tangents(moves), strict=True)
            ]
            slopes = parts(boxed(operation.exact(*moved)))[1] * exact(kind.factor)
        return joined(parts(boxed(right))[0], boxed(slopes))

    return rule


def _of_unit_cotangent(
    program: Program, bug: Bug, leaves: Sequence[Array], tangent: Array, cotangent: Array
) -> arb:
    """Right derivative, with 1 in place of the cotangent in the part that goes through the step."""
    right = program.exact(leaves, tangent)
    index = len(program.inputs) + bug.step
    with precision():
        total = weighted(right[-1], cotangent)
        for place in np.ndindex(*right[index].shape):
            through = program.exact(leaves, tangent * 0, {bug.step: _unit_slope(place)})
            total += (1 - weighted(through[-1], cotangent)) * right[index][place].slope
        return total


def _unit_slope(place: tuple[int, ...]) -> Rule:
    """The step moves at rate 1 in one entry, whatever its operands do."""

    def rule(operation: Operation, operands: Sequence[Array]) -> Array:
        result = boxed(operation.exact(*operands)).copy()
        result[place] = Dual(result[place].value, arb(1))
        return result

    return rule


def _shapes(program: Program) -> list[tuple[int, ...]]:
    values = program.exact([each.centre for each in program.inputs], program.inputs[0].centre * 0)
    return [each.shape for each in values]

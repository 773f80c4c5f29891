"""What the operations of a graph compute and what their partial derivatives are, as formulas.

Operations that act entry by entry have a kernel in SymPy, which is printed and differentiated;
a partial is shown only where its numbers are those JAX's rule gives.  The others have a row in
`SHAPED`, or are written as a call.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp

from diffkit.bridge.graph_program import Constant, Operation
from diffkit.core.errors import DiffkitError
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.layout import layout
from diffkit.symbolic.symbols import symbol
from diffkit.typeset import (
    Fence,
    Logic,
    Name,
    Negative,
    Node,
    Plus,
    Relation,
    Row,
    Text,
    Times,
    Transpose,
    call,
    hadamard,
    number,
)

#: A formula of more operations says less than the name of the function.
MOST_OPERATIONS = 12
#: Entries of an array at which a partial is compared with JAX's.
COMPARED = 4
TOLERANCE = 1e-6
#: What SymPy and mpmath raise where a kernel has no formula or no value at the point.
_NO_FORMULA = (DiffkitError, TypeError, ValueError, AttributeError, ArithmeticError)
_LETTERS = ("v", "u", "t", "s", "z", "node")


#: Operations written in the order of their operands, which SymPy sorts.
IN_ORDER: dict[str, Callable[[bool, tuple[Node, ...]], Node]] = {
    "mul": lambda is_array, parts: hadamard(*parts) if is_array else Times(parts),
    "add": lambda is_array, parts: Plus(parts),
    "sub": lambda is_array, parts: Plus((parts[0], Negative(parts[1]))),
}


class Namer:
    """Names for the variables between inputs and result, none of them an input's own.

    Args:
        inputs: Names of the inputs.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        taken = {name.rstrip("0123456789").rstrip("_") for name in inputs}
        free = [letter for letter in _LETTERS if letter not in taken]
        self.letter = free[0] if free else "node"
        self.fixed = "c" if "c" not in taken else "const"

    def variable(self, count: int) -> str:
        """The name of the result of operation `count`, from 1."""
        return f"{self.letter}_{count}"

    def constant(self, count: int) -> str:
        """The name of constant `count`, from 1."""
        return f"{self.fixed}_{count}"


def of_operation(operation: Operation, operands: Sequence[str | Constant]) -> Node:
    """What an operation computes from operands given by name or as constants."""
    shapes = _shapes(operation)
    if operation.kernel is not None:
        if operation.name in IN_ORDER and all(isinstance(each, str) for each in operands):
            return IN_ORDER[operation.name](any(shapes), tuple(Name(str(e)) for e in operands))
        try:
            expr = operation.kernel(*map(_argument, operands))
            if expr.count_ops() <= MOST_OPERATIONS:
                shown = layout(expr)
                return Fence(shown) if isinstance(shown, Logic | Relation) else shown
        except _NO_FORMULA:
            pass  # written as a call, as any function without a formula
    rule = SHAPED.get(operation.name)
    written = [_written(each) for each in operands]
    shaped = rule(operation, written) if rule is not None else None
    if shaped is not None:
        return shaped
    whole = call(operation.name, *written)
    return whole if operation.part is None else _indexed(whole, str(operation.part))


def of_partial(
    operation: Operation,
    operands: Sequence[str | Constant],
    source: str,
    result: str,
    found: Any,
    variable: int,
    target: int,
) -> Node | None:
    """The partial derivative by one operand; None where it has no formula JAX agrees with."""
    if operation.kernel is None or (variable, target) not in found.edges:
        return _matrix_partial(operation, operands, source)
    try:
        expr = sp.sympify(operation.kernel(*map(_argument, operands)), strict=True)
        slope = derivative(expr, symbol(source), notes=[])
        # the value is at hand: tanh' is written 1 - v^2, as the reverse sweep computes it
        if isinstance(expr, sp.Function | sp.exp) or (expr.is_Pow and not expr.exp.is_Integer):
            slope = slope.xreplace({expr: symbol(result)})
        if slope.count_ops() > MOST_OPERATIONS:
            return None
        known = {source: variable, result: target}
        known |= {
            name: number
            for name, number in zip(operands, operation.operands, strict=True)
            if isinstance(name, str) and isinstance(number, int)
        }
        return layout(slope) if _agrees(slope, known, found, (variable, target)) else None
    except _NO_FORMULA:
        return None


def _agrees(slope: sp.Expr, known: dict[str, int], found: Any, edge: tuple[int, int]) -> bool:
    """Whether the formula has JAX's numbers at the first entries."""
    theirs = found.edges[edge].get("diagonal")
    if theirs is None:
        return False
    wanted = {s.name for s in slope.free_symbols}
    if not wanted <= set(known):
        return False
    for entry in range(min(COMPARED, theirs.size)):
        point = {}
        for name in wanted:
            values = np.ravel(found.values[known[name]])
            point[symbol(name)] = float(values[entry if values.size > 1 else 0])
        ours, theirs_here = _number(slope, point), float(np.ravel(theirs)[entry])
        if not abs(ours - theirs_here) <= TOLERANCE * max(1e-300, abs(theirs_here)):
            return False
    return True


def _number(slope: sp.Expr, point: dict[sp.Symbol, float]) -> float:
    value = slope.evalf(subs=point) if slope.free_symbols else slope.evalf()
    return float(value)


def _argument(operand: str | Constant) -> sp.Expr:
    """A name as a symbol, a constant as the number it is."""
    if isinstance(operand, str):
        return symbol(operand)
    value = operand.number
    if value is None:
        raise ValueError("an array of constants is no number")
    if value == int(value) and abs(value) < 1e15:
        return sp.Integer(int(value))
    return sp.Float(value)


def _written(operand: str | Constant) -> Node:
    if isinstance(operand, str):
        return Name(operand)
    value = operand.number
    return number(value, 5) if value is not None else Text("…")


def _shapes(operation: Operation) -> list[tuple[int, ...]]:
    if operation.eqn is None:
        return []
    return [tuple(atom.aval.shape) for atom in operation.eqn.invars]


def _is_plain_product(operation: Operation) -> bool:
    """Whether a `dot_general` is the matrix product of its operands as they stand."""
    (left, right), batch = operation.eqn.params["dimension_numbers"]
    ranks = [len(shape) for shape in _shapes(operation)]
    return (
        not any(batch)
        and min(ranks) >= 1
        and max(ranks) <= 2
        and tuple(left) == (ranks[0] - 1,)
        and tuple(right) == (0,)
    )


def _product(operation: Operation, operands: list[Node]) -> Node:
    if not _is_plain_product(operation):
        return call("einsum", *operands)
    left, right = operands
    is_inner = [len(shape) for shape in _shapes(operation)] == [1, 1]
    return Times((Transpose(left) if is_inner else left, right), "matrix")


def _matrix_partial(
    operation: Operation, operands: Sequence[str | Constant], source: str
) -> Node | None:
    """The matrix a vector is multiplied with is its Jacobian."""
    if operation.name != "dot_general" or not _is_plain_product(operation):
        return None
    left, right = operands
    ranks = [len(shape) for shape in _shapes(operation)]
    if left == right:
        return None
    if right == source and ranks == [2, 1] and isinstance(left, str):
        return Name(left)
    if left == source and ranks == [1, 2] and isinstance(right, str):
        return Transpose(Name(right))
    if ranks == [1, 1]:
        other = right if left == source else left
        return Transpose(Name(other)) if isinstance(other, str) else None
    return None


def _sliced(operation: Operation, operands: list[Node]) -> Node | None:
    params = operation.eqn.params
    starts, limits = params["start_indices"], params["limit_indices"]
    if params.get("strides"):
        return None
    pairs = zip(starts, limits, strict=True)
    inside = ", ".join(str(a) if b == a + 1 else f"{a}:{b}" for a, b in pairs)
    return _indexed(operands[0], inside)


def _indexed(base: Node, inside: str) -> Node:
    return Row((base, Text(f"[{inside}]")))


def _named(name: str) -> Callable[[Operation, list[Node]], Node]:
    return lambda operation, operands: call(name, *operands)


def _chosen(operation: Operation, operands: list[Node]) -> Node | None:
    """`select_n(test, no, yes)` as NumPy's where(test, yes, no)."""
    if len(operands) != 3:
        return None
    test, no, yes = operands
    return call("where", test, yes, no)


def _transposed(operation: Operation, operands: list[Node]) -> Node:
    is_matrix = len(_shapes(operation)[0]) == 2
    return Transpose(operands[0]) if is_matrix else call("transpose", *operands)


#: Operations on arrays -> how they are written.
SHAPED: dict[str, Callable[[Operation, list[Node]], Node | None]] = {
    "dot_general": _product,
    "slice": _sliced,
    "entry": _sliced,
    "select_n": _chosen,
    "transpose": _transposed,
    "reduce_sum": _named("sum"),
    "reduce_max": _named("max"),
    "reduce_min": _named("min"),
    "reduce_prod": _named("prod"),
    "broadcast_in_dim": _named("broadcast"),
    "convert_element_type": _named("convert"),
    "concatenate": _named("concatenate"),
}

"""Random matrices that are drawn together with their factors, modulo a prime.

A Cholesky factor, eigenvalues or singular values of a given matrix need roots that mostly do not
exist modulo a prime.  So the factors are drawn and the matrix is their product: then every law of
the decomposition holds exactly.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import sympy as sp

from diffkit.numeric.modular import Field
from diffkit.tensor.kernels import view_of
from diffkit.tensor.nodes import Add, LinOp, Node, Var
from diffkit.tensor.normal_form import normal_form

Array = Any


class Draw(Protocol):
    """A random point: the field, and residues of it."""

    field: Field

    def uniform(self, shape: Sequence[int]) -> Array:
        """Random residues of a shape, none 0."""
        ...


SPECTRAL = ("eigenvalues", "eigenvectors")
SINGULAR = ("singular_values", "left_singular", "right_singular")


def designed(order: Sequence[Node], draw: Draw) -> dict[Node, Array]:
    """Residues of the matrices of which a decomposition occurs, and of its factors.

    Args:
        order: Nodes; the operand of a decomposition must be an input or its symmetric part.
        draw: The random point.
    """
    known: dict[Node, Array] = {}
    for node in order:
        if not isinstance(node, LinOp) or node in known:
            continue
        (operand, *_) = node.operands
        if node.kind in SINGULAR and isinstance(operand, Var) and operand not in known:
            if not operand.facts:
                known |= _by_singular_values(order, operand, draw)
        elif node.kind in ("cholesky", *SPECTRAL):
            matrix = symmetrised(operand)
            if matrix is None or matrix in known:
                continue
            by = _by_cholesky if node.kind == "cholesky" else _by_eigenvalues
            known |= by(order, matrix, draw)
    return known


def _by_cholesky(order: Sequence[Node], matrix: Var, draw: Draw) -> dict[Node, Array]:
    factor = np.tril(draw.uniform(matrix.shape))
    gram = draw.field.matmul(factor, _turned(factor))
    return {matrix: _with_skew(matrix, gram, draw)} | _all(order, matrix, {"cholesky": factor})


def _by_eigenvalues(order: Sequence[Node], matrix: Var, draw: Draw) -> dict[Node, Array]:
    *batch, size, _ = matrix.shape
    if batch:
        return {}
    vectors, values = orthogonal(size, draw), draw.uniform((size,))
    whole = draw.field.matmul(vectors * values % draw.field.prime, vectors.T)
    parts = {"eigenvalues": values, "eigenvectors": vectors}
    return {matrix: _with_skew(matrix, whole, draw)} | _all(order, matrix, parts)


def _by_singular_values(order: Sequence[Node], matrix: Var, draw: Draw) -> dict[Node, Array]:
    if len(matrix.shape) != 2:
        return {}
    rows, columns = matrix.shape
    count = min(rows, columns)
    left = orthogonal(rows, draw)[:, :count]
    right = orthogonal(columns, draw)[:count]
    values = draw.uniform((count,))
    parts = {"singular_values": values, "left_singular": left, "right_singular": right}
    found = {
        node: parts[node.kind]
        for node in order
        if isinstance(node, LinOp) and node.kind in parts and node.operands[0] is matrix
    }
    return {matrix: draw.field.matmul(left * values % draw.field.prime, right), **found}


def _all(order: Sequence[Node], matrix: Var, parts: dict[str, Array]) -> dict[Node, Array]:
    """Every node of the decomposition of a symmetric part."""
    return {
        node: parts[node.kind]
        for node in order
        if isinstance(node, LinOp)
        and node.kind in parts
        and symmetrised(node.operands[0]) is matrix
    }


def _with_skew(matrix: Var, whole: Array, draw: Draw) -> Array:
    """An input that is not declared symmetric has a skew part, which the decomposition ignores."""
    if matrix.facts & {"symmetric", "spd"}:
        return whole
    skew = np.tril(draw.uniform(matrix.shape), -1)
    return (whole + skew - _turned(skew)) % draw.field.prime


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def orthogonal(n: int, draw: Draw) -> Array:
    """(I - K)(I + K)^-1 for a random skew K."""
    drawn = np.tril(draw.uniform((n, n)), -1)
    skew = (drawn - drawn.T) % draw.field.prime
    eye = np.eye(n, dtype=np.int64)
    return draw.field.matmul(
        (eye - skew) % draw.field.prime, draw.field.inverse((eye + skew) % draw.field.prime)
    )


def symmetrised(node: Node) -> Var | None:
    """X for a node X or (X + X')/2, where X is an input."""
    node = normal_form(node)
    if isinstance(node, Var):
        return node
    if isinstance(node, Add) and len(node.operands) == 2:
        found = {x if isinstance(x, Var) else view_of(x)[0] for x in node.operands}
        if len(found) == 1 and set(node.coefficients) == {sp.Rational(1, 2)}:
            (inner,) = found
            return inner if isinstance(inner, Var) else None
    return None

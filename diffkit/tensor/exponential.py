r"""The derivative of the matrix exponential, which is no product of known factors.

$$\exp\begin{pmatrix} X & E \\ 0 & X \end{pmatrix}
  = \begin{pmatrix} e^X & L(X, E) \\ 0 & e^X \end{pmatrix}$$

L(X, E) is the derivative of exp at X along E; its adjoint is L(X', G).  Both are exponentials
again, so derivatives of any order stay in closed form.

Source: Najfeld and Havel (1995); Al-Mohy and Higham (2009).
"""

from diffkit.tensor import build, views
from diffkit.tensor.nodes import Affine, Einsum, LinOp, Node
from diffkit.tensor.views import View


def exponential_pushforward(node: LinOp, tangent: Node, carried: int) -> Node:
    """L(X, E) for a tangent E with `carried` leading axes."""
    return _derivative(views.view(node.operands[0]), views.view(tangent))


def exponential_pullback(node: LinOp, cotangent: Node, carried: int) -> Node:
    """L(X', G) for a cotangent G with `carried` leading axes; c e^X' for G = c I."""
    if not carried and (product := _commuting(node, cotangent)) is not None:
        return product
    matrix = views.matrix_transpose(views.view(node.operands[0]))
    return _derivative(matrix, views.view(cotangent))


def _commuting(node: LinOp, cotangent: Node) -> Node | None:
    """c e^X' when G is c times the identity, else None."""
    rank = len(node.shape)
    turned = build.permute(node, (*range(rank - 2), rank - 1, rank - 2))
    coefficient, core = build.scaled(cotangent)
    if isinstance(core, Affine) and core.is_identity:
        return build.scale(coefficient, turned)
    if isinstance(core, Einsum) and rank == 2:
        matrices = [x for x, labels in core.factors if labels]
        if len(matrices) == 1 and isinstance(matrices[0], Affine) and matrices[0].is_identity:
            numbers = [(x, ()) for x, labels in core.factors if not labels]
            return build.einsum([*numbers, (turned, (0, 1))], (0, 1), coefficient)
    return None


def _derivative(x: View, direction: View) -> Node:
    n = x.shape[-1]
    x = views.broadcast_to(x, direction.shape)
    zero = views.number(0, x.shape)
    rows, columns = x.rank - 2, x.rank - 1
    above = views.concatenate([x, direction], columns)
    below = views.concatenate([zero, x], columns)
    whole = views.function_of_matrix("expm", views.concatenate([above, below], rows))
    corner = views.select_linear(whole, rows, n, 1, 0)
    return views.dense(views.select_linear(corner, columns, n, 1, n))

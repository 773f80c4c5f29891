r"""The derivative of the matrix exponential, which is no product of known factors.

$$\exp\begin{pmatrix} X & E \\ 0 & X \end{pmatrix}
  = \begin{pmatrix} e^X & L(X, E) \\ 0 & e^X \end{pmatrix}$$

L(X, E) is the derivative of exp at X along E; its adjoint is L(X', G).  Both are exponentials
again, so derivatives of any order stay in closed form.

Source: Najfeld and Havel (1995); Al-Mohy and Higham (2009).
"""

from diffkit.tensor import views
from diffkit.tensor.nodes import LinOp, Node
from diffkit.tensor.views import View


def exponential_pushforward(node: LinOp, tangent: Node, carried: int) -> Node:
    """L(X, E) for a tangent E with `carried` leading axes."""
    return _derivative(views.view(node.operands[0]), views.view(tangent))


def exponential_pullback(node: LinOp, cotangent: Node, carried: int) -> Node:
    """L(X', G) for a cotangent G with `carried` leading axes."""
    matrix = views.matrix_transpose(views.view(node.operands[0]))
    return _derivative(matrix, views.view(cotangent))


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

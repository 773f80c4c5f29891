r"""The derivatives of matrix factorisations by their matrix: Cholesky, eigh, SVD, QR, LU.

Murray (2016) for the Cholesky factor; $dV = V (F \odot V^\top dX\, V)$ with
$F_{ij} = 1/(\lambda_j - \lambda_i)$ for eigenvectors; Townsend (2016) for singular vectors.  They
hold where the values are distinct, the matrix has full rank and no pivot changes.
"""

from collections.abc import Callable

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.nodes import LinOp, Node, affine
from diffkit.tensor.terms import Factor, Term, batch_labels, complement, inverse, transposed


def _cholesky(node: LinOp) -> list[Term]:
    """dL = L Phi(L^-1 dS L^-T), Phi the lower triangle with half the diagonal.

    The Cholesky factor reads the symmetric part of S: dS is (dX + dX')/2.
    """
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    size = node.shape[-1]
    left = inverse(node)
    lower = affine((size, size), (1, -1), 0, ">=")
    eye = build.identity(size)
    half = sp.Rational(1, 2)
    terms = []
    for phi, weight in ((lower, sp.S.One), (eye, -half)):
        for p, q in ((k, l), (l, k)):
            factors = (
                (node, (*b, i, m)),
                (phi, (m, j)),
                (left, (*b, m, p)),
                (left, (*b, j, q)),
            )
            terms.append(Term(0, factors, (*b, i, j), (*b, k, l), weight * half))
    return terms


def _eigenvalues(node: LinOp) -> list[Term]:
    """dw_i = v_i' dX v_i; distinct eigenvalues, and JAX's symmetrised input."""
    b, first = batch_labels(node)
    i, k, l = range(first, first + 3)
    (operand,) = node.operands
    vectors = build.linop("eigenvectors", operand, operand.shape)
    factors = ((vectors, (*b, k, i)), (vectors, (*b, l, i)))
    return [Term(0, factors, (*b, i), (*b, k, l))]


def _eigenvectors(node: LinOp) -> list[Term]:
    """dV = V (F . V' dS V), F_ij = 1/(w_j - w_i) off the diagonal; S the symmetric part."""
    (operand,) = node.operands
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    size = node.shape[-1]
    values = build.linop("eigenvalues", operand, operand.shape[:-1])
    gap = build.linop("inverse_gaps", values, (*values.shape, size))
    half = sp.Rational(1, 2)
    return [
        Term(
            0,
            ((node, (*b, i, m)), (gap, (*b, m, j)), (node, (*b, p, m)), (node, (*b, q, j))),
            (*b, i, j),
            (*b, k, l),
            half,
        )
        for p, q in ((k, l), (l, k))
    ]


def _inverse_gaps(node: LinOp) -> list[Term]:
    """F_ij = 1/(w_j - w_i): dF_ij = -F_ij^2 (dw_j - dw_i)."""
    batch = len(node.shape) - 2
    b = tuple(range(batch))
    i, j = batch, batch + 1
    square = build.einsum([(node, (*b, i, j)), (node, (*b, i, j))], (*b, i, j))
    size = node.shape[-1]
    one = build.ones((size,))
    return [
        Term(0, ((square, (*b, i, j)), (one, (i,))), (*b, i, j), (*b, j), -sp.S.One),
        Term(0, ((square, (*b, i, j)), (one, (j,))), (*b, i, j), (*b, i)),
    ]


def _singular_parts(operand: Node) -> tuple[Node, Node, Node]:
    """U, s and V' of the thin decomposition X = U diag(s) V'."""
    *batch, rows, columns = operand.shape
    count = min(rows, columns)
    left = build.linop("left_singular", operand, (*batch, rows, count))
    values = build.linop("singular_values", operand, (*batch, count))
    return left, values, build.linop("right_singular", operand, (*batch, count, columns))


def _singular_values(node: LinOp) -> list[Term]:
    """ds_i = u_i' dX v_i; distinct singular values."""
    b, first = batch_labels(node)
    i, k, l = range(first, first + 3)
    left, _, right = _singular_parts(node.operands[0])
    factors = ((left, (*b, k, i)), (right, (*b, i, l)))
    return [Term(0, factors, (*b, i), (*b, k, l))]


def _singular_gaps(values: Node) -> Node:
    """F_ij = 1/(s_j^2 - s_i^2), 0 on the diagonal."""
    axes = build.all_axes(values)
    squares = build.einsum([(values, axes), (values, axes)], axes)
    return build.linop("inverse_gaps", squares, (*values.shape, values.shape[-1]))


def _left_singular(node: LinOp) -> list[Term]:
    r"""dU = U (F . (P S + S P')) + (I - U U') dX V S^-1 with P = U' dX V.

    Source: Townsend (2016), "Differentiating the singular value decomposition".
    """
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    left, values, right = _singular_parts(node.operands[0])
    gap = _singular_gaps(values)
    out, inside = (*b, i, j), (*b, k, l)
    turned: list[Factor] = [(left, (*b, i, m)), (gap, (*b, m, j))]
    ahead: list[Factor] = [(left, (*b, k, m)), (right, (*b, j, l)), (values, (*b, j))]
    back: list[Factor] = [(left, (*b, k, j)), (right, (*b, m, l)), (values, (*b, m))]
    terms = [Term(0, (*turned, *ahead), out, inside), Term(0, (*turned, *back), out, inside)]
    rows, count = left.shape[-2:]
    if rows > count:
        off = complement(left, transposed(left), rows)
        scale = build.power(values, -sp.S.One)
        factors = ((off, (*b, i, k)), (right, (*b, j, l)), (scale, (*b, j)))
        terms.append(Term(0, factors, out, inside))
    return terms


def _right_singular(node: LinOp) -> list[Term]:
    """V' of X is U' of X': dV = V (F . (S P + P' S)) + (I - V V') dX' U S^-1."""
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    left, values, right = _singular_parts(node.operands[0])
    gap = _singular_gaps(values)
    out, inside = (*b, i, j), (*b, k, l)
    turned: list[Factor] = [(right, (*b, m, j)), (gap, (*b, m, i))]
    ahead: list[Factor] = [(left, (*b, k, m)), (right, (*b, i, l)), (values, (*b, m))]
    back: list[Factor] = [(left, (*b, k, i)), (right, (*b, m, l)), (values, (*b, i))]
    terms = [Term(0, (*turned, *ahead), out, inside), Term(0, (*turned, *back), out, inside)]
    count, columns = right.shape[-2:]
    if columns > count:
        off = complement(transposed(right), right, columns)
        scale = build.power(values, -sp.S.One)
        factors = ((off, (*b, j, l)), (left, (*b, k, i)), (scale, (*b, i)))
        terms.append(Term(0, factors, out, inside))
    return terms


def _orthogonal_factor(node: LinOp) -> list[Term]:
    """dQ = Q W + (I - Q Q') dX R^-1, W = L - L', L the strict lower triangle of Q' dX R^-1."""
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    (operand,) = node.operands
    rows, count = node.shape[-2:]
    right = inverse(_triangular_of(operand))
    out, inside = (*b, i, j), (*b, k, l)
    below = _strictly_below(count)
    ahead = ((node, (*b, i, m)), (below, (m, j)), (node, (*b, k, m)), (right, (*b, l, j)))
    back = ((node, (*b, i, m)), (below, (j, m)), (node, (*b, k, j)), (right, (*b, l, m)))
    terms = [Term(0, ahead, out, inside), Term(0, back, out, inside, -sp.S.One)]
    if rows > count:
        off = complement(node, transposed(node), rows)
        terms.append(Term(0, ((off, (*b, i, k)), (right, (*b, l, j))), out, inside))
    return terms


def _triangular_factor(node: LinOp) -> list[Term]:
    """dR = (upper(P) + L') R with P = Q' dX R^-1 and L its strict lower triangle."""
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    (operand,) = node.operands
    size = node.shape[-1]
    left, right = build.linop("qr_orthogonal", operand, operand.shape), inverse(node)
    out, inside = (*b, i, j), (*b, k, l)
    upper = affine((size, size), (-1, 1), 0, ">=")
    ahead = ((upper, (i, m)), (left, (*b, k, i)), (right, (*b, l, m)), (node, (*b, m, j)))
    back = (
        (_strictly_below(size), (m, i)),
        (left, (*b, k, m)),
        (right, (*b, l, i)),
        (node, (*b, m, j)),
    )
    return [Term(0, ahead, out, inside), Term(0, back, out, inside)]


def _triangular_of(operand: Node) -> Node:
    *batch, _, columns = operand.shape
    return build.linop("qr_triangular", operand, (*batch, columns, columns))


def _strictly_below(size: int) -> Node:
    return affine((size, size), (1, -1), -1, ">=")


def _elimination(node: LinOp) -> tuple[Node, Node, Node]:
    """L^-1 P, L and U of P X = L U."""
    (operand,) = node.operands
    lower = build.linop("lu_lower", operand, operand.shape)
    upper = build.linop("lu_upper", operand, operand.shape)
    swap = build.linop("lu_permutation", operand, operand.shape)
    b, n = batch_labels(node)
    product = [(inverse(lower), (*b, n, n + 1)), (swap, (*b, n + 1, n + 2))]
    return build.einsum(product, (*b, n, n + 2)), lower, upper


def _lower_factor(node: LinOp) -> list[Term]:
    """dL = L lower(L^-1 P dX U^-1), strictly below the diagonal; the pivots stay."""
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    left, _, upper = _elimination(node)
    factors = (
        (node, (*b, i, m)),
        (_strictly_below(node.shape[-1]), (m, j)),
        (left, (*b, m, k)),
        (inverse(upper), (*b, l, j)),
    )
    return [Term(0, factors, (*b, i, j), (*b, k, l))]


def _upper_factor(node: LinOp) -> list[Term]:
    """dU = upper(L^-1 P dX U^-1) U."""
    b, first = batch_labels(node)
    i, j, m, k, l = range(first, first + 5)
    left, _, upper = _elimination(node)
    factors = (
        (affine((node.shape[-1],) * 2, (-1, 1), 0, ">="), (i, m)),
        (left, (*b, i, k)),
        (inverse(upper), (*b, l, m)),
        (node, (*b, m, j)),
    )
    return [Term(0, factors, (*b, i, j), (*b, k, l))]


def _constant(node: LinOp) -> list[Term]:
    """The order of the pivots does not change under small changes."""
    return []


FACTORISATION_RULES: dict[str, Callable[[LinOp], list[Term]]] = {
    "cholesky": _cholesky,
    "eigenvalues": _eigenvalues,
    "eigenvectors": _eigenvectors,
    "inverse_gaps": _inverse_gaps,
    "singular_values": _singular_values,
    "left_singular": _left_singular,
    "right_singular": _right_singular,
    "qr_orthogonal": _orthogonal_factor,
    "qr_triangular": _triangular_factor,
    "lu_lower": _lower_factor,
    "lu_upper": _upper_factor,
    "lu_permutation": _constant,
}

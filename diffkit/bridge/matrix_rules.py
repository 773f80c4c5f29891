"""Rules for linear algebra: solves, factorisations, triangles."""

from typing import Any

import sympy as sp

from diffkit.backend import compat
from diffkit.bridge.walk import RULES, Unread, Walk
from diffkit.tensor import build, views
from diffkit.tensor.facts import is_lower_triangular
from diffkit.tensor.nodes import affine, var
from diffkit.tensor.sweep import pullback
from diffkit.tensor.views import View


def _linear_solve(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """The solution of matvec(x) = b: the matrix is read off the linear map itself."""
    counts = eqn.params["const_lengths"]
    jaxprs = eqn.params["jaxprs"]
    n = sum(int(getattr(counts, name)) for name in ("matvec", "vecmat", "solve", "transpose_solve"))
    fixed, sides = operands[: int(counts.matvec)], operands[n:]
    if len(sides) != 1:
        raise walk.refusal(eqn, index, "several right-hand sides have no row")
    b = walk.view(sides[0])
    unknown = var("unknown of the linear system", b.shape)
    jaxpr, closed_over = compat.open_jaxpr(jaxprs.matvec)
    (image,) = walk.run(jaxpr, closed_over, [*fixed, views.view(unknown)])
    return [_solve_linear(walk, eqn, index, views.dense(walk.view(image)), unknown, b)]


def _solve_linear(walk: Walk, eqn: Any, index: int, image: Any, unknown: Any, b: View) -> View:
    """x with A x = b, for A given by its action along one axis of the unknown."""
    rank = len(unknown.shape)
    # The matrix acts on one axis: probe with the Jacobian and read which axes it mixes.
    factors = [(build.identity(n), (k, rank + k)) for k, n in enumerate(image.shape)]
    seed = build.einsum(factors, tuple(range(2 * rank)))
    (whole,) = pullback(image, [unknown], seed, image.shape)
    acting, matrix, batch = _matrix_of(whole, unknown.shape)
    if matrix is None:
        raise walk.refusal(eqn, index, "the linear map is no matrix along one axis")
    inverse = views.matrix_inverse(views.view(matrix))
    labels = list(range(rank))
    out = [100 if k == acting else k for k in labels]
    inverse_labels = [*batch, 100, acting]
    return views.contract([(inverse, inverse_labels), (b, labels)], out)


def _matrix_of(whole: Any, shape: tuple[int, ...]) -> tuple[int, Any, list[int]]:
    """Axis a linear map acts along, its matrix (with batch axes first), and the batch axes.

    The Jacobian is the matrix times identities in all other axes.
    """
    rank = len(shape)
    for acting in range(rank):
        for batch in _subsets([k for k in range(rank) if k != acting]):
            others = [k for k in range(rank) if k != acting and k not in batch]
            index = {k: rank + k for k in range(rank)}
            # entry with every other index 0, batch indices equal
            factors: list[Any] = [(whole, tuple(range(2 * rank)))]
            for k in others:
                unit = affine((shape[k],), (1,), 0)
                factors += [(unit, (k,)), (unit, (index[k],))]
            for k in batch:
                factors.append((build.identity(shape[k]), (k, index[k])))
            core = build.einsum(factors, (*batch, acting, index[acting]))
            rebuilt = [(core, (*batch, acting, index[acting]))]
            rebuilt += [(build.identity(shape[k]), (k, index[k])) for k in others]
            rebuilt += [(build.identity(shape[k]), (k, index[k])) for k in batch]
            if build.einsum(rebuilt, tuple(range(2 * rank))) is whole:
                return acting, core, list(batch)
    return 0, None, []


def _subsets(items: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for item in items:
        found += [[*each, item] for each in found]
    return sorted(found, key=len)


def _cholesky(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    node = views.dense(x)
    if node.shape and not build.is_symmetric(node):
        walk.note("the operand of cholesky is read as symmetric", eqn)
    return [views.function_of_matrix("cholesky", x)]


def _eigh(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    n = x.shape[-1]
    vectors = views.part_of_matrix("eigenvectors", x, (n, n))
    values = views.part_of_matrix("eigenvalues", x, (n,))
    walk.note_on([vectors, values], "eigenvalues are read as distinct", eqn)
    return [vectors, values][: len(eqn.outvars)]


def _svd(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    rows, columns = x.shape[-2:]
    count = min(rows, columns)
    distinct = "singular values are read as distinct and positive"
    values = views.part_of_matrix("singular_values", x, (count,))
    walk.note_on([values], distinct, eqn)
    if len(eqn.outvars) == 1:
        return [values]
    if eqn.params.get("full_matrices") and rows != columns:
        raise walk.refusal(eqn, index, "full matrices of singular vectors have no row")
    left = views.part_of_matrix("left_singular", x, (rows, count))
    right = views.part_of_matrix("right_singular", x, (count, columns))
    walk.note_on([left, right], distinct, eqn)
    return [values, left, right]


def _qr(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    x = walk.view(operands[0])
    rows, columns = x.shape[-2:]
    p = eqn.params
    if rows < columns or (p.get("full_matrices") and rows != columns) or p.get("pivoting"):
        raise walk.refusal(eqn, index, "only the thin form without pivots has a row")
    left = views.part_of_matrix("qr_orthogonal", x, (rows, columns))
    right = views.part_of_matrix("qr_triangular", x, (columns, columns))
    walk.note_on([left, right], "the operand of qr is read as one of full rank", eqn)
    return [left, right]


def _lu(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """The packed factors and the order of the rows; the swaps that lead to it are not read."""
    x = walk.view(operands[0])
    rows, columns = x.shape[-2:]
    if rows != columns:
        raise walk.refusal(eqn, index, "only square matrices have a row")
    lower, upper = (
        views.part_of_matrix(f"lu_{kind}", x, (rows, rows)) for kind in ("lower", "upper")
    )
    packed = views.add(views.add(lower, upper), views.eye(rows), -1)
    swap = views.part_of_matrix("lu_permutation", x, (rows, rows))
    walk.note_on([lower, upper, swap], "the pivots of lu are read as fixed", eqn)
    places = views.array([sp.Integer(k) for k in range(rows)], (rows,))
    swaps = Unread(walk.refusal(eqn, index, "its pivots have no row"), eqn, tuple(operands), 1)
    return [packed, swaps, views.matmul(swap, places)]


def _triangular_solve(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    a, b = (walk.view(operand) for operand in operands)
    p = eqn.params
    lower = bool(p["lower"])
    if not (lower and is_lower_triangular(a.node)):
        a = views.triangle(a, upper=not lower)
    if p["unit_diagonal"]:
        strict = views.triangle(a, -1 if lower else 1, upper=not lower)
        a = views.add(strict, views.eye(a.shape[-1]))
    inverse = views.matrix_inverse(a)
    if p["transpose_a"]:
        inverse = views.matrix_transpose(inverse)
    return [views.matmul(inverse, b) if p["left_side"] else views.matmul(b, inverse)]


RULES |= {
    "cholesky": _cholesky,
    "custom_linear_solve": _linear_solve,
    "eigh": _eigh,
    "lu": _lu,
    "qr": _qr,
    "svd": _svd,
    "triangular_solve": _triangular_solve,
}

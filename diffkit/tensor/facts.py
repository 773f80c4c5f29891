"""What is known of special factors in a product: inverses, probabilities, declared facts."""

from dataclasses import dataclass
from typing import Any

from diffkit.tensor.affine import Equation
from diffkit.tensor.nodes import Labels, LinOp, Map, Node, Var

Factor = tuple[Node, Labels]


@dataclass
class Pending:
    """A product while facts are applied to it; the rules change it in place.

    Args:
        factors: Nodes and the labels of their axes.
        equations: Index equations among the labels.
        out: Labels of the result.
        gone: Receives labels that were summed away.
    """

    factors: list[Factor]
    equations: list[Equation]
    out: set[int]
    gone: set[int]


def cancel(product: Pending) -> bool:
    """Apply one rule; False when none applies."""
    return any(rule(product) for rule in RULES)


def _alone(product: Pending, label: int, *holders: int) -> bool:
    """Whether a summed label is carried by the given factors only, once each."""
    if label in product.out or any(label in e.labels for e in product.equations):
        return False
    count = sum(labels.count(label) for _, labels in product.factors)
    return count == len(holders) and all(label in product.factors[k][1] for k in holders)


def _inverse_pair(product: Pending) -> bool:
    """X X^-1 and X^-1 X are the identity; Q Q^T is for an orthogonal Q."""
    for i, (left, a) in enumerate(product.factors):
        for j, (right, b) in enumerate(product.factors):
            if i == j or len(a) != 2 or len(b) != 2:
                continue
            inverse = isinstance(left, LinOp) and left.kind == "inv" and left.operands[0] is right
            orthogonal = left is right and isinstance(left, Var) and "orthogonal" in left.facts
            if not inverse and not (orthogonal and i < j):
                continue
            for p in (0, 1):
                # inv_ab X_bc and X_ca inv_ab: a position of one meets the other position.
                q = 1 - p if inverse else p
                if a[p] == b[q] and _alone(product, a[p], i, j):
                    return _replace_pair(product, i, j, a[p], (a[1 - p], b[1 - q]))
            if inverse:
                found = _symmetric_match(product, i, j, left, a, b)
                if found:
                    return True
    return False


def _symmetric_match(product: Pending, i: int, j: int, left: Node, a: Labels, b: Labels) -> bool:
    from diffkit.tensor.sums import is_symmetric

    if not is_symmetric(left):
        return False
    for p in (0, 1):
        for q in (0, 1):
            if a[p] == b[q] and _alone(product, a[p], i, j):
                return _replace_pair(product, i, j, a[p], (a[1 - p], b[1 - q]))
    return False


def _replace_pair(product: Pending, i: int, j: int, met: int, ends: tuple[int, int]) -> bool:
    """The identity for two factors that meet in a summed label."""
    product.gone.add(met)
    product.factors = [f for k, f in enumerate(product.factors) if k not in (i, j)]
    product.equations = [*product.equations, Equation.of(ends, (1, -1), 0, "=")]
    return True


def _probabilities(product: Pending) -> bool:
    """The entries of a softmax, a simplex vector or a one-hot vector sum to one."""
    for i, (node, labels) in enumerate(product.factors):
        axes = summing_to_one(node)
        if not axes or len(set(labels)) < len(labels):
            continue
        if all(_alone(product, labels[k], i) for k in axes):
            del product.factors[i]
            product.gone |= {labels[k] for k in axes}
            return True
    return False


def summing_to_one(node: Node) -> tuple[int, ...]:
    """Axes over which the node is known to sum to one, () when none are known."""
    if isinstance(node, Var) and node.facts & {"simplex", "one_hot"}:
        return (len(node.shape) - 1,)
    if isinstance(node, Map):
        from diffkit.tensor.kernels import exponent_of, normaliser

        exponent = exponent_of(node)
        found = normaliser(exponent) if exponent is not None else None
        if found is not None:
            kept = set(found[1])
            return tuple(k for k in range(len(node.shape)) if k not in kept)
    return ()


def _one_hot_products(product: Pending) -> bool:
    """y_i y_j = y_i [i = j] for a one-hot vector, so y_i y_i = y_i."""
    seen: dict[Any, int] = {}
    for j, (node, labels) in enumerate(product.factors):
        if not (isinstance(node, Var) and "one_hot" in node.facts):
            continue
        key = (node, labels[:-1])
        if key in seen:
            first = product.factors[seen[key]][1][-1]
            del product.factors[j]
            if first != labels[-1]:
                equation = Equation.of((first, labels[-1]), (1, -1), 0, "=")
                product.equations = [*product.equations, equation]
            return True
        seen[key] = j
    return False


def is_lower_triangular(node: Node) -> bool:
    """Whether a matrix is known to be zero above the diagonal."""
    if isinstance(node, LinOp):
        if node.kind == "cholesky":
            return True
        return node.kind == "inv" and is_lower_triangular(node.operands[0])
    return isinstance(node, Var) and "triangular" in node.facts


def _triangular_mask(product: Pending) -> bool:
    """A triangular mask on a matrix that has that shape anyway."""
    for equation in product.equations:
        if equation.relation != ">=" or len(equation.terms) != 2 or equation.offset < 0:
            continue
        terms = dict(equation.terms)
        for node, labels in product.factors:
            if not is_lower_triangular(node) or not set(terms) <= set(labels[-2:]):
                continue
            if terms.get(labels[-2]) == 1 and terms.get(labels[-1]) == -1:
                product.equations = [e for e in product.equations if e is not equation]
                return True
    return False


def _cholesky_gram(product: Pending) -> bool:
    """L L' = S and L^-T L^-1 = S^-1 for the Cholesky factor L of S."""
    from diffkit.tensor.kernels import linop

    for i, (left, a) in enumerate(product.factors):
        for j in range(i + 1, len(product.factors)):
            right, b = product.factors[j]
            if left is not right or len(a) != 2 or not isinstance(left, LinOp):
                continue
            is_inverse = left.kind == "inv"
            factor = left.operands[0] if is_inverse else left
            if not (isinstance(factor, LinOp) and factor.kind == "cholesky"):
                continue
            met = 0 if is_inverse else 1
            if a[met] != b[met] or not _alone(product, a[met], i, j):
                continue
            (matrix,) = factor.operands
            product.gone.add(a[met])
            gram = linop("inv", matrix, matrix.shape) if is_inverse else matrix
            product.factors = [f for k, f in enumerate(product.factors) if k not in (i, j)]
            product.factors.append((gram, (a[1 - met], b[1 - met])))
            return True
    return False


RULES = (
    _inverse_pair,
    _probabilities,
    _one_hot_products,
    _triangular_mask,
    _cholesky_gram,
)

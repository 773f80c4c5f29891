"""Fingerprints: a rewritten formula must have the value it had.

Every normal form is compared with what it came from at a fixed random point, in floating point
and, where that does not decide, by identity testing; a rewrite that changes the value is a defect
and raises, it is never returned.
"""

from typing import Any

import numpy as np

from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError, DiffkitError
from diffkit.numeric import matrix_sets
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Add, Node, Opaque, Var, topological

#: Relative change of the value that rounding and cancellation may make.
CLOSE = 1e-5
FLOOR = 1e-9
#: Formulas with more entries in all nodes together are not evaluated.
MOST_ENTRIES = 500_000
#: Value of size symbols.
SIZE = 5


def check_unchanged(before: Node, after: Node) -> None:
    """Compare a rewritten formula with the original.

    Raises:
        CertificateError: their values differ.
    """
    if before is after:
        return
    nodes = list(topological(before, after))
    total = sum(int(np.prod(node.shape, dtype=np.int64)) for node in nodes)
    if total > MOST_ENTRIES or any(isinstance(node, Opaque) for node in nodes):
        return
    sizes = {
        s.name: SIZE
        for node in nodes
        if isinstance(node, Add)
        for c in node.coefficients
        for s in c.free_symbols
    }
    for is_positive in (False, True):
        values = _values(nodes, is_positive)
        try:
            known: dict[Node, Any] = {}
            left, right = (evaluate(x, values, sizes, known) for x in (before, after))
            scale = _scale(after, known, sizes)
        except (DiffkitError, np.linalg.LinAlgError):
            return
        finite = np.isfinite(left) & np.isfinite(right) & np.isfinite(scale)
        if not np.any(finite):
            continue
        gap = np.abs(np.where(finite, left - right, 0.0))
        size = np.where(finite, np.maximum(scale, np.abs(left)), 0.0)
        # An entry that cancels to 0 is off by the rounding of the others.
        is_off = np.any(gap > CLOSE * size + FLOOR * (1.0 + np.max(size, initial=0.0)))
        if is_off and not _agree_exactly(before, after, sizes):
            raise CertificateError(
                f"a rewrite changed the value of a formula of shape {before.shape} by "
                f"{float(gap.max()):.1e}; this is a defect of diffkit, please report it"
            )
        return


def _agree_exactly(before: Node, after: Node, sizes: dict[str, int]) -> bool:
    """Whether only rounding parts them: terms that cancel in every layer of a deep net."""
    from diffkit.tensor.identity import agree_exactly

    return agree_exactly(before, after, sizes)


def _values(nodes: list[Node], is_positive: bool) -> dict[str, Any]:
    random = np.random.default_rng(20)
    values: dict[str, Any] = {}
    for node in nodes:
        if not isinstance(node, Var) or node.name in values:
            continue
        fact = next(iter(node.facts & {*matrix_sets.NAMES, "positive"}), "")
        drawn = matrix_sets.draw(Domain.parse(fact or "real"), node.shape, random)
        values[node.name] = np.abs(drawn) if is_positive and not fact else drawn
    return values


def _scale(node: Node, known: dict[Node, Any], sizes: dict[str, int]) -> Any:
    """The sum of the sizes of the terms: what cancellation is measured by."""
    if not isinstance(node, Add):
        return np.abs(known[node])
    total = np.zeros(node.shape)
    for c, x, axes in node.terms:
        term = np.abs(float(c.subs(sizes)) * known[x])
        wide = [1] * len(node.shape)
        for k, axis in enumerate(axes):
            wide[axis] = term.shape[k]
        total = total + term.reshape(wide)
    return total

r"""Gradients by a symmetric matrix: two conventions that papers mix.

Unconstrained: G, as if all entries were free.  Counted once: the derivative by the entries on and
below the diagonal, $G + G^\top - \operatorname{diag}(G)$ (Petersen and Pedersen, 2012, eq. 138);
its off-diagonal entries are twice those of the symmetric part of G.
"""

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.nodes import Node, Var

UNCONSTRAINED, COUNTED_ONCE = "unconstrained", "symmetric entries counted once"


def is_symmetric_variable(variable: Var) -> bool:
    """Whether an input is declared symmetric."""
    return bool(variable.facts & {"symmetric", "spd"}) and len(variable.shape) == 2


def counted_once(gradient: Node) -> Node:
    """G + G' - diag(G)."""
    eye = build.identity(gradient.shape[0])
    diagonal = build.einsum([(gradient, (0, 1)), (eye, (0, 1))], (0, 1))
    terms = [
        (sp.S.One, gradient, (0, 1)),
        (sp.S.One, gradient, (1, 0)),
        (-sp.S.One, diagonal, (0, 1)),
    ]
    return build.add(terms, gradient.shape)

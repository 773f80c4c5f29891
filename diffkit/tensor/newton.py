r"""H^-1 g as a formula, where the structure of H gives one.

A diagonal is divided by, an identity factors out of the inverse, and a core over one axis is a
matrix: $(\delta_{ik} M_{jl})^{-1} g = g\,M^{-\top}$.  Newton's step is then a formula that can be
shown, proved equal to another, and lowered.
"""

from functools import singledispatch

from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.nodes import Labels, Node
from diffkit.tensor.partials import inverse
from diffkit.tensor.structure import Block, Dense, Diagonal, KroneckerIdentity, Structure


def solved(hessian: Structure, vector: Node) -> Node:
    """The solution x of H x = vector.

    Args:
        hessian: A structure of the variable's shape.
        vector: A node of the variable's shape.

    Raises:
        UsageError: the structure has no inverse in closed form here.
    """
    return _solved(hessian, vector, (), tuple(range(len(vector.shape))))


@singledispatch
def _solved(found: Structure, vector: Node, batch: Labels, axes: Labels) -> Node:
    raise UsageError(
        f"the inverse of a {type(found).__name__} Hessian has no closed form here; "
        "solve it in numbers: H.structured()(*inputs).solve(g)"
    )


@_solved.register
def _(found: Diagonal, vector: Node, batch: Labels, axes: Labels) -> Node:
    out = tuple(range(len(vector.shape)))
    return build.einsum([(vector, out), (build.power(found.diagonal, -1), (*batch, *axes))], out)


@_solved.register
def _(found: Dense, vector: Node, batch: Labels, axes: Labels) -> Node:
    if len(axes) != 1:
        raise UsageError(
            f"the core of the Hessian is over {len(axes)} axes, so it is no matrix to invert; "
            "solve it in numbers: H.structured()(*inputs).solve(g)"
        )
    out = tuple(range(len(vector.shape)))
    (axis,), summed = axes, len(vector.shape)
    given = tuple(summed if label == axis else label for label in out)
    return build.einsum([(vector, given), (inverse(found.node), (*batch, axis, summed))], out)


@_solved.register
def _(found: KroneckerIdentity, vector: Node, batch: Labels, axes: Labels) -> Node:
    rest = tuple(axis for k, axis in enumerate(axes) if k not in found.axes)
    return _solved(found.core, vector, batch, rest)


@_solved.register
def _(found: Block, vector: Node, batch: Labels, axes: Labels) -> Node:
    tied = tuple(axes[k] for k in found.axes)
    rest = tuple(axis for k, axis in enumerate(axes) if k not in found.axes)
    return _solved(found.core, vector, (*batch, *tied), rest)

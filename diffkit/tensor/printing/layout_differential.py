"""Derivatives as differentials: `df = tr(G' dX)`, `d(X^-1) = -X^-1 dX X^-1`.

The differential of a number says its gradient: what stands transposed before dX.  That of a
matrix needs no Jacobian of four axes, since dX keeps its place in the product.
"""

from collections.abc import Sequence

from diffkit import typeset as ts
from diffkit.core.errors import UsageError
from diffkit.tensor.nodes import Node, Var, var
from diffkit.tensor.printing.form_algebra import Forms
from diffkit.tensor.printing.forms import Ref, flip
from diffkit.tensor.printing.layout_nodes import DIFFERENTIAL, variable
from diffkit.tensor.sweep import pushforward


def change_of(variable: Var) -> Var:
    """The variable dX of a variable X."""
    facts = frozenset({DIFFERENTIAL, *(variable.facts & {"symmetric"})})
    return var(f"d{variable.name}", variable.shape, facts=facts)


def tangent(node: Node, variables: Sequence[Var]) -> Node:
    """The differential of a node, linear in the changes of the variables.

    Raises:
        UsageError: no variable is given.
    """
    if not variables:
        raise UsageError("a differential needs the variables that change, for example [X]")
    return pushforward(node, {each: change_of(each) for each in variables})


def paired(forms: Forms, gradient: Ref, variable_: Var) -> Ref:
    """tr(G' dX) for a gradient of rank 2, g' dx of rank 1, g dx for a number.

    Raises:
        UsageError: gradient and variable have different ranks.
    """
    rank = len(variable_.shape)
    if gradient.rank != rank or rank > 2:
        raise UsageError(
            f"a gradient of rank {gradient.rank} for a variable of rank {rank}; "
            "the gradient of a number has the shape of its variable"
        )
    change = change_of(variable_)
    leaf = forms.leaf(change.name, variable(change), rank, is_differential=True)
    if rank == 0:
        return forms.ordered([gradient, leaf])
    inside = forms.ordered([flip(gradient), leaf])
    return inside if rank == 1 else forms.wrapped("tr", inside)


def difference(tree: ts.Node) -> ts.Node:
    """d of something."""
    return ts.Prefix(ts.Glyph("d"), tree)

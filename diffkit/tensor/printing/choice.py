"""Which of two equal forms is shown: as it was derived, or multiplied out; the shorter one."""

from functools import lru_cache

from diffkit.tensor.nodes import Node, topological
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.printing.layout import show

#: Larger formulas are shown as they were derived.
MOST_NODES = 80


@lru_cache(maxsize=1024)
def shortest(node: Node) -> Node:
    """The form of a formula that takes less room, the derived one where they are alike.

    >>> from diffkit.tensor import views as v
    >>> from diffkit.tensor.nodes import var
    >>> x = v.view(var("x", (3,)))
    >>> show(shortest(v.dense(v.add(v.add(x, v.number(1)), v.number(1), -1))))
    'x'
    """
    if sum(1 for _ in topological(node)) > MOST_NODES:
        return node
    opened = normal_form(node)
    return opened if len(show(opened)) < len(show(node)) else node

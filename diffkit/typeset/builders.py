"""Layouts with a name of their own in machine learning, made from the nodes of the tree."""

from diffkit.typeset.tree import (
    Apply,
    Commas,
    Fence,
    Glyph,
    Node,
    Operator,
    Prefix,
    Relation,
    Subscript,
    Times,
)


def relation(left: Node, sign: str, right: Node) -> Relation:
    """`left sign right`, for example "=", "≤", "∈", "∼"."""
    return Relation((left, right), (sign,))


def call(name: str, *arguments: Node) -> Apply:
    """The function written with the upright word `name`, applied to `arguments`."""
    return Apply(Operator(name), arguments)


def absolute(body: Node) -> Fence:
    """The absolute value."""
    return Fence(body, "|", "|")


def norm(body: Node, index: Node | None = None) -> Node:
    """The norm, with its index if one is given."""
    fence = Fence(body, "‖", "‖")
    return fence if index is None else Subscript(fence, index)


def hadamard(*factors: Node) -> Times:
    """The elementwise product."""
    return Times(factors, "⊙")


def expectation(body: Node, under: Node | None = None) -> Apply:
    """The expectation of `body`, over what `under` says (`x ∼ p`)."""
    sign: Node = Glyph("expectation")
    return Apply(sign if under is None else Subscript(sign, under), (body,), "[")


def indicator(condition: Node) -> Apply:
    """1 where the condition holds, else 0."""
    return Apply(Glyph("indicator"), (condition,), "[")


def gradient(body: Node, variable: Node | None = None) -> Prefix:
    """The gradient of `body` with respect to `variable`."""
    sign: Node = Glyph("nabla")
    return Prefix(sign if variable is None else Subscript(sign, variable), body)


def interval(low: Node, high: Node, *, open_low: bool = True, open_high: bool = True) -> Fence:
    """An interval of real numbers."""
    return Fence(Commas((low, high)), "(" if open_low else "[", ")" if open_high else "]")

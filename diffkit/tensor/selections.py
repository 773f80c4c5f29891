r"""Selections that meet in a summed index, as one equation between the indices they select by.

Slices, paddings and strides put equations [n = i + a] into a product.  Where two of them share a
summed n, one follows from the other and an equation between i and j, so the sum is gone:
$$\sum_n [n = i + a]\,[n = j + b]\,d_n = [i + a = j + b]\,d_{i + a}.$$
"""

from collections.abc import Collection, Iterator

from diffkit.tensor import build
from diffkit.tensor.nodes import Affine, Labels, Node, affine

Factor = tuple[Node, Labels]


def without_selections(factors: tuple[Factor, ...], shown: Collection[int]) -> tuple[Factor, ...]:
    """The factors with one pair of selections joined, if there is one.

    d becomes zero where i + a is no index of it, so the ranges need no condition of their own.

    Args:
        factors: Nodes and labels of a product.
        shown: Labels of the result.
    """
    for selection, label in _candidates(factors, shown):
        others = [f for f in factors if label in f[1] and f is not selection]
        chosen = [f for f in others if _is_selection(*f)]
        (index,) = set(selection[1]) - {label}
        c = _coefficient(selection, label)
        is_met = len(chosen) == sum(isinstance(x, Affine) for x, _ in others) > 0
        is_whole = all(_coefficient(f, label) % c == 0 for f in chosen)
        if not is_met or not is_whole or any(index in labels for _, labels in others):
            continue
        apart = [f for f in factors if label not in f[1]]
        moved = [_shifted(f, label, selection, index) for f in others if f not in chosen]
        moved = moved or _in_range(label, selection, index)
        tied = [_substituted(f, label, selection, index) for f in chosen]
        return (*apart, *moved, *tied)
    return factors


def _candidates(
    factors: tuple[Factor, ...], shown: Collection[int]
) -> Iterator[tuple[Factor, int]]:
    """Selections and each of their labels that is summed."""
    for factor in factors:
        if _is_selection(*factor):
            yield from ((factor, label) for label in factor[1] if label not in shown)


def _is_selection(node: Node, labels: Labels) -> bool:
    """Whether a node is an equation between two indices."""
    return (
        isinstance(node, Affine)
        and node.relation == "="
        and len(set(labels)) == len(labels) == 2
        and all(node.coefficients)
    )


def _shifted(factor: Factor, label: int, selection: Factor, index: int) -> Factor:
    """A factor with a selection's index in place of a label."""
    out = tuple(dict.fromkeys(index if l == label else l for l in factor[1]))
    return build.einsum([factor, selection], out), out


def _in_range(label: int, selection: Factor, index: int) -> list[Factor]:
    """Where an index stands for one that a label can be, as inequalities."""
    first, own = selection
    assert isinstance(first, Affine)
    place = own.index(label)
    c, e = first.coefficients[place], first.coefficients[1 - place]
    size, last = first.shape[1 - place], first.shape[place] - 1
    if abs(c) != 1:
        return [(build.einsum([selection], (index,)), (index,))]
    # c n + e i + f = 0 with c = 1 or -1 gives n = -c (e i + f), which is at least 0, at most last.
    slope, start = -c * e, -c * first.offset
    bounds = [(slope, start), (-slope, last - start)]
    return [
        (affine((size,), (a,), b, ">="), (index,))
        for a, b in bounds
        if min(b, a * (size - 1) + b) < 0
    ]


def _substituted(factor: Factor, label: int, selection: Factor, index: int) -> Factor:
    """An equation in which a label is written by the index that a selection ties it to."""
    (node, labels), (first, own) = factor, selection
    assert isinstance(node, Affine)
    assert isinstance(first, Affine)
    place, other = own.index(label), labels.index(label)
    # g n + h j + k = 0 less s times c n + e i + f = 0, where g = s c
    scale = node.coefficients[other] // first.coefficients[place]
    shape = (first.shape[1 - place], node.shape[1 - other])
    coefficients = (-scale * first.coefficients[1 - place], node.coefficients[1 - other])
    equation = affine(shape, coefficients, node.offset - scale * first.offset)
    return equation, (index, labels[1 - other])


def _coefficient(factor: Factor, label: int) -> int:
    """The coefficient of a label in an equation."""
    node, labels = factor
    assert isinstance(node, Affine)
    return node.coefficients[labels.index(label)]

"""Letters of indices: which ones, in which order, and which factors they link."""

from collections.abc import Sequence

import sympy as sp

from diffkit import typeset as ts
from diffkit.symbolic.layout import layout as scalar_layout
from diffkit.tensor import build
from diffkit.tensor.nodes import Add, Affine, Node
from diffkit.tensor.printing.forms import ONE, Form

#: Letters of indices, in the order they are used.
ALPHABET = "ijklmnopqrstuvwabcdfgh"

Letters = tuple[str, ...]
Powers = dict[tuple[Node, Letters], sp.Expr]


def letters_for(rank: int, taken: frozenset[str], live: Sequence[str] = ()) -> Letters:
    """The first free letters."""
    names = [*ALPHABET, *(f"i{k}" for k in range(1, 100))]
    return tuple(n for n in names if n not in taken and n not in live)[:rank]


def chosen_entry(form: Form, letters: Letters) -> ts.Node:
    """1 where row i is the one that column j picks."""
    step, start, *_ = form.params
    row, column = (sp.Symbol(letter) for letter in letters)
    place = sp.expand(1 + start + step * (column - 1))
    return ts.Fence(ts.relation(scalar_layout(row), "=", scalar_layout(place)), "[", "]")


def subscripted(tree: ts.Node, letters: Letters) -> ts.Node:
    """A tree with indices below."""
    return ts.Subscript(tree, listed(letters)) if letters else tree


def in_order(letters: Letters) -> Letters:
    """Letters in the order of the alphabet of indices."""
    return tuple(sorted(letters, key=lambda l: (ALPHABET.find(l) % 100, l)))


def listed(letters: Letters) -> ts.Node:
    """Letters side by side."""
    names = tuple(map(ts.Name, letters))
    return names[0] if len(names) == 1 else ts.Row(names)


def follows(key: tuple[Node, Letters], tail: str, summed: Letters) -> tuple:
    """How well a factor comes next, smallest best: it goes on where the last one ended.

    The first one has a free index where there is one, best in front.
    """
    node, letters = key
    is_delta = isinstance(node, Affine)
    if tail and tail in letters:
        return 0, is_delta, letters[0] != tail, len(letters) == 1, in_order(letters), node.digest
    free = in_order(tuple(l for l in letters if l not in summed))
    place = letters.index(free[0]) if free else 0
    return 1, is_delta, not free, free[:1], place, len(letters), in_order(letters), node.digest


def descents(keys: Sequence[tuple[Node, Letters]]) -> int:
    """How many factors of two axes are met with their second index first."""
    met: list[str] = []
    count = 0
    for _, own in keys:
        count += len(own) == 2 and own[1] in met and own[0] not in met
        met += own
    return count


def without_content(node: Add) -> tuple[sp.Expr, Node]:
    """A sum whose coefficients are all 1 or -1, and the number in front."""
    sizes = {abs(c) for c in node.coefficients}
    if len(sizes) != 1 or sizes == {ONE} or len(node.operands) < 2:
        return ONE, node
    (content,) = sizes
    return content, build.scale(1 / content, node)


Group = tuple[list[tuple[Node, Letters]], Letters]


def linked(keys: list[tuple[Node, Letters]], summed: Letters) -> list[Group]:
    """Factors grouped by the summed letters they share; those without come first."""
    groups: list[Group] = []
    free: list[tuple[Node, Letters]] = []
    for key in keys:
        own = [l for l in dict.fromkeys(key[1]) if l in summed]
        if not own:
            free.append(key)
            continue
        members, linked = [key], own
        rest: list[Group] = []
        for group, letters in groups:
            if set(letters) & set(linked):
                members, linked = group + members, [*dict.fromkeys((*letters, *linked))]
            else:
                rest.append((group, letters))
        groups = [*rest, (members, tuple(l for l in summed if l in linked))]
    ordered = [(sorted(members, key=keys.index), letters) for members, letters in groups]
    return [(free, ()), *ordered] if free else ordered

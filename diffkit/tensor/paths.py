r"""Products of many arrays as products of two, in a good order and with shared parts.

The order is greedy: the pair whose product is smallest against its operands comes first, and of
equal pairs the one that another product has needed already.  A pair is a node in canonical
labels, so a part that several products contain is one node and is computed once; that is what
keeps the Hessian of a deep net linear in its depth.  Identities between axes of the result come
last: they are laid around the finished product.  In a sum, V X + V Y is V (X + Y).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import prod

import sympy as sp

from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    Labels,
    LinOp,
    Map,
    Node,
    Var,
    raw_add,
    raw_einsum,
    topological,
)

Factor = tuple[Node, Labels]

#: Multiplications that cost as much as moving one entry through memory.
ENTRY = 4.0
#: Multiplications per entry of a scalar kernel.
KERNEL = 10.0


def planned(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values with every product one of at most two operands."""
    planner = _Planner()
    return tuple(planner.run(root) for root in roots)


def cost_of(roots: Iterable[Node]) -> float:
    """Multiplications it takes to compute the nodes, what they share counted once.

    >>> from diffkit.tensor.nodes import var
    >>> cost_of([var("A", (3, 3))])
    0.0
    """
    return sum(map(_cost, topological(*planned(tuple(roots)))))


def _cost(node: Node) -> float:
    size = float(prod(node.shape))
    match node:
        case Var() | Const() | Affine():
            return 0.0
        case Einsum() if all(not isinstance(x, Affine) for x in node.operands):
            return prod(map(float, node.sizes.values())) + ENTRY * size
        case Einsum():
            return ENTRY * size
        case LinOp():
            return 10.0 * max(
                prod(x.shape) * (x.shape[-1] if x.shape else 1) for x in node.operands
            )
        case Map():
            return KERNEL * size
        case Add():
            return ENTRY * size * len(node.operands)
    return KERNEL * max([size, *(prod(x.shape) for x in node.operands)])


class _Planner:
    """Plans products one after the other; later ones use the parts of earlier ones."""

    def __init__(self) -> None:
        self.done: dict[Node, Node] = {}
        self.made: set[Node] = set()

    def run(self, root: Node) -> Node:
        """The node with all products below it in pairs."""
        for node in topological(root):
            if node in self.done:
                continue
            common = _common_factor(node) if isinstance(node, Add) else None
            if common is not None:
                self.done[node] = self.run(common)
                continue
            operands = tuple(self.done[x] for x in node.operands)
            if isinstance(node, Einsum) and len(operands) > 2:
                self.done[node] = self.product(
                    list(zip(operands, node.labels, strict=True)), node.out, node.sizes
                )
            elif operands == node.operands:
                self.done[node] = node
            else:
                self.done[node] = type(node)._intern(node.key, operands, node.shape)
            self.made.add(self.done[node])
        return self.done[root]

    def product(self, factors: list[Factor], out: Labels, sizes: Mapping[int, int]) -> Node:
        """A product in pairs."""
        frames = _ones_last([f for f in factors if _is_frame(f, out)])
        inner = [f for f in factors if not _is_frame(f, out)]
        wanted = set(out)
        if frames and inner:
            carried = {l for _, ls in inner for l in ls}
            late = _around(frames, carried, out)
            if late is None:
                inner, late, core_out = factors, [], out
            else:
                core_out = tuple(l for l in out if l in carried)
        else:
            inner, late, core_out = factors, [], out
        core, labels = self.pairs(inner, core_out, sizes)
        for k, (node, ls) in enumerate(late):
            has = set(labels) | set(ls)
            result = tuple(l for l in out if l in has & wanted)
            last = k == len(late) - 1
            core = raw_einsum([(core, labels), (node, ls)], result)
            labels = out if last else result
        return core

    def pairs(
        self, factors: list[Factor], out: Labels, sizes: Mapping[int, int]
    ) -> tuple[Node, Labels]:
        """Greedy contraction of the factors."""
        factors = list(factors)
        while len(factors) > 2:
            i, j = min(
                self._candidates(factors), key=lambda pair: self.score(factors, pair, out, sizes)
            )
            rest = [f for k, f in enumerate(factors) if k not in (i, j)]
            needed = set(out) | {l for _, ls in rest for l in ls}
            node, labels = pair_of(factors[i], factors[j], needed)
            self.made.add(node)
            factors = [*rest, (node, labels)]
        if len(factors) == 2:
            joined = pair_of(*factors, set(out))
            if joined[1] == out:
                return joined
        return raw_einsum(factors, out), out

    def _candidates(self, factors: Sequence[Factor]) -> list[tuple[int, int]]:
        every = list(combinations(range(len(factors)), 2))
        sharing = [(i, j) for i, j in every if set(factors[i][1]) & set(factors[j][1])]
        selections = [
            (i, j)
            for i, j in sharing
            if isinstance(factors[i][0], Affine) != isinstance(factors[j][0], Affine)
        ]
        return selections or sharing or every

    def score(
        self,
        factors: Sequence[Factor],
        pair: tuple[int, int],
        out: Labels,
        sizes: Mapping[int, int],
    ) -> tuple[float, float]:
        """Growth of memory, then multiplications unless the pair is known already."""
        i, j = pair
        (x, a), (y, b) = factors[i], factors[j]
        needed = set(out) | {l for k, (_, ls) in enumerate(factors) if k not in pair for l in ls}
        both = set(a) | set(b)
        size = prod(sizes[l] for l in both & needed)
        growth = size - prod(x.shape) - prod(y.shape)
        flops = prod(sizes[l] for l in both)
        if self.made and pair_of((x, a), (y, b), needed)[0] in self.made:
            flops = 0
        return (growth, flops)


def pair_of(one: Factor, other: Factor, needed: set[int]) -> tuple[Node, Labels]:
    """The product of two factors in canonical labels, and the labels of its axes."""
    best: tuple[tuple[str, ...], tuple[Labels, Labels], tuple[Factor, Factor], Labels] | None = None
    for first, second in ((one, other), (other, one)):
        numbers: dict[int, int] = {}
        for label in (*first[1], *second[1]):
            numbers.setdefault(label, len(numbers))
        labels = tuple(tuple(numbers[l] for l in ls) for _, ls in (first, second))
        out = tuple(l for l in numbers if l in needed)
        key = (first[0].digest, second[0].digest)
        found = (key, (labels[0], labels[1]), (first, second), out)
        if best is None or found[:2] < best[:2]:
            best = found
    assert best is not None
    _, labels, (first, second), out = best
    numbers = dict(zip((*first[1], *second[1]), (*labels[0], *labels[1]), strict=True))
    node = raw_einsum(
        [(first[0], labels[0]), (second[0], labels[1])], tuple(numbers[l] for l in out)
    )
    return node, out


# common factors of a sum --------------------------------------------------------------------------


def _common_factor(node: Add) -> Node | None:
    """V X + V Y as V (X + Y), where the product with V sums over something; None without V."""
    products = [(c, x, axes) for c, x, axes in node.terms if isinstance(x, Einsum)]
    if len(products) < 2:
        return None
    found: dict[tuple[Node, Labels], list[int]] = {}
    for k, (_, product, axes) in enumerate(products):
        for key in {_place_of(factor, product, axes) for factor in product.factors}:
            if key is not None:
                found.setdefault(key, []).append(k)
    shared = [(prod(key[0].shape), key, held) for key, held in found.items() if len(held) > 1]
    if not shared:
        return None
    _, key, held = max(shared, key=lambda each: (each[0], each[1][0].digest, each[1][1]))
    members = [products[k] for k in held]
    inner_axes = {_inner_axes(member, key) for member in members}
    if len(inner_axes) > 1:
        return None
    whole = _taken_out(members, key, inner_axes.pop())
    rest = [t for t in node.terms if not any(t[1] is x and t[2] == a for _, x, a in members)]
    if not rest and whole.shape == node.shape:
        return whole
    return raw_add([*rest, (sp.S.One, whole, tuple(range(len(node.shape))))], node.shape)


def _place_of(factor: Factor, product: Einsum, axes: Labels) -> tuple[Node, Labels] | None:
    """A factor with the axis of the sum each of its axes is, -1 for a summed one, if worth it."""
    node, labels = factor
    places = tuple(axes[product.out.index(l)] if l in product.out else -1 for l in labels)
    rest = {l for x, ls in product.factors if (x, ls) != factor for l in ls}
    is_matrix = len(labels) > 1 and len(set(labels)) == len(labels)
    meets = all((l in rest) == (place < 0) for l, place in zip(labels, places, strict=True))
    return (node, places) if is_matrix and meets and -1 in places and max(places) >= 0 else None


def _inner_axes(member: tuple[sp.Expr, Einsum, Labels], key: tuple[Node, Labels]) -> Labels:
    """The axes of the sum that the other factors of a product carry."""
    axes = member[2]
    return tuple(sorted(set(axes) - {place for place in key[1] if place >= 0}))


def _taken_out(
    members: Sequence[tuple[sp.Expr, Einsum, Labels]], key: tuple[Node, Labels], outer: Labels
) -> Node:
    """The common factor times the sum of what is left of the products."""
    node, places = key
    count = places.count(-1)
    lengths = [n for n, place in zip(node.shape, places, strict=True) if place < 0]
    terms = []
    for coefficient, product, axes in members:
        index = next(k for k, f in enumerate(product.factors) if _place_of(f, product, axes) == key)
        summed = [l for l in product.labels[index] if l not in product.out]
        back = {place: l for l, place in zip(product.out, axes, strict=True)}
        out = (*summed, *(back[place] for place in outer))
        others = [f for k, f in enumerate(product.factors) if k != index]
        terms.append((coefficient, raw_einsum(others, out), tuple(range(len(out)))))
    sizes = {place: n for _, x, a in members for place, n in zip(a, x.shape, strict=True)}
    inner = raw_add(terms, (*lengths, *(sizes[place] for place in outer)))
    first = 1 + max(sizes)
    fresh = iter(range(first, first + count))
    labels = tuple(place if place >= 0 else next(fresh) for place in places)
    inside = (*range(first, first + count), *outer)
    return raw_einsum([(node, labels), (inner, inside)], tuple(sorted(sizes)))


# identities around a product ----------------------------------------------------------------------


def _is_frame(factor: Factor, out: Labels) -> bool:
    """Whether a factor is an identity between two axes of the result, or ones along some."""
    node, labels = factor
    if not isinstance(node, Affine) or not set(labels) <= set(out):
        return False
    return node.is_ones or (node.is_identity and labels[0] != labels[1])


def _ones_last(frames: list[Factor]) -> list[Factor]:
    """Ones last, so that identities find the axes they are laid around."""
    return sorted(frames, key=lambda f: isinstance(f[0], Affine) and f[0].is_ones)


def _around(frames: list[Factor], carried: set[int], out: Labels) -> list[Factor] | None:
    """The frames in an order in which each adds new axes only; None where one is a condition."""
    held = set(carried)
    waiting, ordered = list(frames), []
    while waiting:
        found = next((f for f in waiting if _adds_axes(f, held)), None)
        # Failing that, an identity between two new axes stands beside the product.
        found = found or next((f for f in waiting if not set(f[1]) & held), None)
        if found is None:
            return None
        waiting.remove(found)
        ordered.append(found)
        held |= set(found[1])
    return ordered if held >= set(out) else None


def _adds_axes(frame: Factor, held: set[int]) -> bool:
    """Whether an identity has one end among the axes that are there, or ones have none."""
    node, labels = frame
    new = sum(label not in held for label in labels)
    return new == len(labels) if isinstance(node, Affine) and node.is_ones else new == 1

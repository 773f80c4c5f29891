r"""Products of many arrays as products of two, in a good order and with shared parts.

The order is greedy: the pair whose product is smallest against its operands comes first, and of
equal pairs the one that another product has needed already.  A pair is a node in canonical
labels, so a part that several products contain is one node and is computed once; that is what
keeps the Hessian of a deep net linear in its depth.  Identities between axes of the result come
last: they are laid around the finished product.  In a sum, V X + V Y is V (X + Y).
"""

from collections import Counter
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

#: A product of products is also planned as one product of at most this many factors.
MOST_FLAT = 64


def planned(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values with every product one of at most two operands."""
    planner = _Planner(roots)
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

    def __init__(self, roots: Sequence[Node]) -> None:
        self.done: dict[Node, Node] = {}
        self.made: set[Node] = set()
        users = Counter(x for node in topological(*roots) for x in set(node.operands))
        users.update(roots)
        self.shared = {node for node, count in users.items() if count > 1}
        self.rewritten: dict[Node, Node] = {}

    def run(self, root: Node) -> Node:
        """The node with all products below it in pairs; only what it needs is planned."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.done:
                stack.pop()
                continue
            missing = [x for x in self.needed(node) if x not in self.done]
            if missing:
                stack += reversed(missing)
                continue
            self.done[node] = self.plan(node)
            self.made |= self.new_parts(self.done[node])
        return self.done[root]

    def needed(self, node: Node) -> Sequence[Node]:
        """What must be planned before the node."""
        if isinstance(node, Add):
            if node not in self.rewritten:
                self.rewritten[node] = _common_factor(node) or node
            other = self.rewritten[node]
            return node.operands if other is node else (other,)
        if isinstance(node, Einsum):
            return [x for x, _ in self.flattened(node)]
        return node.operands

    def plan(self, node: Node) -> Node:
        """A node whose needs are planned."""
        if self.rewritten.get(node, node) is not node:
            return self.done[self.rewritten[node]]
        if not isinstance(node, Einsum):
            operands = tuple(self.done[x] for x in node.operands)
            if operands == node.operands:
                return node
            return type(node)._intern(node.key, operands, node.shape)
        nested = self.nested(node)
        flat = self.flattened(node)
        if not len(node.operands) < len(flat) <= MOST_FLAT:
            return nested
        sizes = {l: n for x, ls in flat for l, n in zip(ls, x.shape, strict=True)}
        whole = self.product([(self.done[x], ls) for x, ls in flat], node.out, sizes)
        return min(nested, whole, key=self.added_cost)

    def added_cost(self, node: Node) -> float:
        """What a plan costs beside everything that is planned already."""
        return sum(map(_cost, self.new_parts(node)))

    def new_parts(self, node: Node) -> set[Node]:
        """A node and what is below it, down to what is planned already."""
        new: set[Node] = set()
        waiting = [node]
        while waiting:
            x = waiting.pop()
            if x not in self.made and x not in new:
                new.add(x)
                waiting += x.operands
        return new

    def nested(self, node: Einsum) -> Node:
        """A product in pairs, the products inside it first."""
        factors = [
            (self.nested(x) if isinstance(x, Einsum) and self.is_inner(x) else self.done[x], ls)
            for x, ls in node.factors
        ]
        if len(factors) < 3:
            return raw_einsum(factors, node.out)
        return self.product(factors, node.out, node.sizes)

    def is_inner(self, node: Node) -> bool:
        """Whether only the node around it needs a node."""
        return node not in self.shared

    def flattened(self, node: Einsum) -> list[Factor]:
        """The factors of a product and of the products that only it needs."""
        fresh = 1 + max([*node.sizes, *node.out, 0])
        flat: list[Factor] = []
        waiting = list(node.factors)[::-1]
        while waiting:
            x, labels = waiting.pop()
            if not isinstance(x, Einsum) or not self.is_inner(x):
                flat.append((x, labels))
                continue
            names = dict(zip(x.out, labels, strict=True))
            for label in sorted(x.sizes.keys() - names.keys()):
                names[label] = fresh
                fresh += 1
            waiting += [(y, tuple(names[l] for l in ls)) for y, ls in x.factors][::-1]
        return flat

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
        known: set[Node] = set()
        while len(factors) > 2:
            scores = {
                pair: self.score(factors, pair, out, sizes, known)
                for pair in self._candidates(factors)
            }
            i, j = min(scores, key=lambda pair: scores[pair])
            rest = [f for k, f in enumerate(factors) if k not in (i, j)]
            needed = set(out) | {l for _, ls in rest for l in ls}
            joined = pair_of(factors[i], factors[j], needed)
            known.add(joined[0])
            factors = [*rest, joined]
        if len(factors) == 2 and set(out) < {l for _, ls in factors for l in ls}:
            # Canonical first, so that other products find it; nothing large is transposed here.
            node, labels = pair_of(*factors, set(out))
            return (node, out) if labels == out else (raw_einsum([(node, labels)], out), out)
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
        known: set[Node],
    ) -> tuple[bool, float, float]:
        """Known pairs first unless they take more memory, then growth, then multiplications."""
        i, j = pair
        (x, a), (y, b) = factors[i], factors[j]
        needed = set(out) | {l for k, (_, ls) in enumerate(factors) if k not in pair for l in ls}
        both = set(a) | set(b)
        size = prod(sizes[l] for l in both & needed)
        growth = size - prod(x.shape) - prod(y.shape)
        flops = prod(sizes[l] for l in both)
        node = pair_of((x, a), (y, b), needed)[0]
        is_known = growth <= 0 and (node in self.made or node in known)
        return (not is_known, growth, flops)


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
    others = list(product.factors)
    others.remove(factor)  # once: a product may hold a factor twice
    rest = {l for _, ls in others for l in ls}
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

"""The normal form: a sum of fully opened products, in canonical order.

Two formulas with one normal form are equal wherever both are defined, for every length of their
axes.  The way there is deterministic and ends: inner nodes first, products opened and multiplied
out, facts applied, equal terms collected.  A product that would grow beyond `MOST_TERMS` terms
stays factored; then two equal formulas may differ here, and identity testing decides.
"""

from collections.abc import Iterator, Sequence
from itertools import product as cartesian
from math import prod
from weakref import WeakKeyDictionary

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.fingerprint import check_unchanged
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    Labels,
    LinOp,
    Map,
    Node,
    Opaque,
    Reduce,
    Select,
    Var,
    is_truth,
    map_node,
    opaque,
    select,
    topological,
)
from diffkit.tensor.partials import step_of

Factor = tuple[Node, Labels]
Product = tuple[sp.Expr, list[Factor]]

#: Normal forms that were computed, for as long as their formulas live.
_KNOWN: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()

_WIDTHS: WeakKeyDictionary[Node, int] = WeakKeyDictionary()

#: Terms a product of sums may be multiplied out into.
MOST_TERMS = 256


def normal_form(root: Node) -> Node:
    """The normal form of a node.

    >>> from diffkit.tensor.nodes import var
    >>> x, y = var("x"), var("y")
    >>> s = build.add([(sp.S.One, x, ()), (sp.S.One, y, ())], ())
    >>> square = build.einsum([(s, ()), (s, ())], ())
    >>> len(normal_form(square).operands)
    3

    Raises:
        CertificateError: the value changed on the way (a defect of diffkit).
    """
    found = _KNOWN.get(root)
    if found is None:
        done: dict[Node, Node] = {}
        for node in topological(root):
            done[node] = _normal(node, [done[x] for x in node.operands])
        found = done[root]
        check_unchanged(root, found)
        _KNOWN[root] = found
    return found


def _normal(node: Node, operands: list[Node]) -> Node:
    match node:
        case Var() | Const() | Affine():
            return node
        case Add():
            terms = [
                (c * inner, x, tuple(axes[k] for k in places))
                for c, operand, axes in zip(node.coefficients, operands, node.axes, strict=True)
                for inner, x, places in _terms(operand)
            ]
            return build.add(terms, node.shape, flat=True)
        case Einsum():
            return multiplied_out(list(zip(operands, node.labels, strict=True)), node.out)
        case Map():
            return _normal_map(node, operands)
        case Select():
            return _normal_choice(node, operands)
        case Reduce():
            return build.reduce(node.kind, operands[0], node.axes)
        case LinOp():
            return _normal_matrix(node, operands[0])
        case Opaque():
            return opaque(node.payload, node.index, operands, node.shape)
    raise TypeError(f"{type(node).__name__} has no normal form")


def _terms(node: Node) -> Iterator[tuple[sp.Expr, Node, tuple[int, ...]]]:
    if isinstance(node, Add):
        yield from node.terms
    else:
        yield sp.S.One, node, build.all_axes(node)


def _normal_map(node: Map, operands: list[Node]) -> Node:
    """A kernel as a polynomial in functions: only a function is left as a map."""
    if is_truth(node.kernel.expr):
        return map_node(node.kernel, *operands, axes=node.axes)
    arguments = dict(zip(node.kernel.signature, zip(operands, node.axes, strict=True), strict=True))
    found, axes = _polynomial(sp.expand(node.kernel.expr, deep=False), arguments)
    return build.spread(found, axes, node.shape)


def _normal_choice(node: Select, operands: list[Node]) -> Node:
    """A choice; that between 1 and 0 by an inequality is the vocabulary's step function."""
    predicate, on_true, on_false = operands
    pair = build.number(on_true), build.number(on_false)
    if isinstance(predicate, Map) and pair in ((1, 0), (0, 1)):
        step = step_of(predicate.kernel.expr)
        if step is not None:
            signature = predicate.kernel.signature
            own = zip(predicate.operands, predicate.axes, strict=True)
            arguments = dict(zip(signature, own, strict=True))
            found, axes = _polynomial(step if pair == (1, 0) else 1 - step, arguments)
            laid = build.spread(found, axes, predicate.shape)
            return build.spread(laid, node.axes[0], node.shape)
    return select(*operands, axes=node.axes)


Argument = tuple[Node, tuple[int, ...]]


def _polynomial(expr: sp.Basic, arguments: dict[sp.Symbol, Argument]) -> Argument:
    """Sums and products of an expression opened; what is neither is one node."""
    if not expr.free_symbols:
        return build.const(expr), ()
    if isinstance(expr, sp.Add):
        parts = [_polynomial(arg, arguments) for arg in expr.args]
        present = tuple(sorted({a for _, axes in parts for a in axes}))
        lengths = {a: n for x, axes in parts for a, n in zip(axes, x.shape, strict=True)}
        shape = tuple(lengths[a] for a in present)
        terms = [
            (c, inner, tuple(present.index(axes[k]) for k in places))
            for x, axes in parts
            for c, inner, places in _terms(x)
        ]
        return build.add(terms, shape, flat=True), present
    if isinstance(expr, sp.Mul):
        parts = [_polynomial(arg, arguments) for arg in expr.args]
        present = tuple(sorted({a for _, axes in parts for a in axes}))
        return multiplied_out(parts, present), present
    if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 1:
        base, axes = _polynomial(expr.base, arguments)
        if expr.exp <= build.LARGEST_PRODUCT_POWER:
            return multiplied_out([(base, axes)] * int(expr.exp), axes), axes
        return build.power(base, expr.exp), axes
    if isinstance(expr, sp.Pow) and expr.exp.is_Rational:
        base, axes = _polynomial(expr.base, arguments)
        return _opened_power(build.power(base, expr.exp)), axes
    present = tuple(sorted({a for s in expr.free_symbols for a in arguments[s][1]}))
    local = {
        s: (arguments[s][0], tuple(present.index(a) for a in arguments[s][1]))
        for s in expr.free_symbols
    }
    lengths = {
        a: n
        for s in expr.free_symbols
        for a, n in zip(arguments[s][1], arguments[s][0].shape, strict=True)
    }
    return build.mapped(expr, local, tuple(lengths[a] for a in present)), present


def _open(node: Node) -> Node:
    """The node multiplied out, its operands being normal already."""
    if isinstance(node, Add):
        terms = [
            (c * inner, x, tuple(axes[k] for k in places))
            for c, operand, axes in node.terms
            for inner, x, places in _terms(_open(operand))
        ]
        return build.add(terms, node.shape, flat=True)
    if isinstance(node, Einsum):
        return multiplied_out(list(node.factors), node.out)
    return node


def _opened_power(node: Node) -> Node:
    return _open(node) if isinstance(node, Einsum | Add) else node


def _normal_matrix(node: LinOp, operand: Node) -> Node:
    """inv(A B) = inv(B) inv(A), det(A B) = det A det B for square factors."""
    split = _square_factors(operand)
    if split is None or node.kind not in ("inv", "det", "logabsdet", "detsign"):
        return build.linop(node.kind, operand, node.shape, node.params)
    parts = [build.linop(node.kind, x, x.shape if node.kind == "inv" else ()) for x in split]
    if node.kind == "inv":
        chain = [(x, (k, k + 1)) for k, x in enumerate(reversed(parts))]
        return multiplied_out(chain, (0, len(parts)))
    if node.kind == "logabsdet":
        return build.add([(sp.S.One, x, ()) for x in parts], ())
    return build.einsum([(x, ()) for x in parts], ())


def _square_factors(node: Node) -> list[Node] | None:
    """The matrices of a chain A B C ... of square matrices."""
    if not isinstance(node, Einsum) or len(node.shape) != 2 or len(node.operands) < 2:
        return None
    n = node.shape[0]
    if any(x.shape != (n, n) for x in node.operands):
        return None
    rest = list(node.factors)
    here, last, chain = node.out[0], node.out[1], []
    while rest:
        found = [(k, x, ls) for k, (x, ls) in enumerate(rest) if here in ls]
        if len(found) != 1:
            return None
        k, x, labels = found[0]
        del rest[k]
        if labels[0] == here:
            chain.append(x)
            here = labels[1]
        else:
            chain.append(build.permute(x, (1, 0)))
            here = labels[0]
    return chain if here == last else None


# products -----------------------------------------------------------------------------------------


def multiplied_out(
    factors: Sequence[Factor], out: Labels, *, unsettled: Node | None = None
) -> Node:
    """A product as a sum of opened products.

    Args:
        factors: Nodes in normal form, and labels.
        out: Labels of the result.
        unsettled: The product that is being opened; met again, it stays as it is.
    """
    sizes = {l: n for x, ls in factors for l, n in zip(ls, x.shape, strict=True)}
    shape = tuple(sizes[label] for label in out)
    whole = build.einsum(
        factors, out, unfused=True
    )  # merges powers and cancels before anything is opened
    if isinstance(whole, Add) and len(whole.operands) > 1:
        return _open(whole)
    coefficient, core = build.scaled(whole)
    if not isinstance(core, Einsum):
        if coefficient == 1 or isinstance(core, Add):
            return whole if coefficient == 1 else build.scale(coefficient, _open(core))
        return whole
    terms = []
    identity = build.all_axes(whole)
    for c, opened in _opened_products(core):
        node = build.einsum(opened, core.out, flat=True)
        node = node if node is unsettled else _settled(node)
        for inner, x, places in _terms(node):
            terms.append((coefficient * c * inner, x, tuple(identity[k] for k in places)))
    return build.add(terms, shape, flat=True)


def _settled(node: Node) -> Node:
    """A product whose merging left a sum or a product inside is opened once more."""
    coefficient, core = build.scaled(node)
    if not isinstance(core, Einsum) or _count(core) > MOST_TERMS:
        return node
    if any(isinstance(x, Einsum | Add) for x in core.operands):
        again = multiplied_out(list(core.factors), core.out, unsettled=core)
        if again is not core:
            return again if coefficient == 1 else build.scale(coefficient, again)
    return node


def _count(node: Einsum) -> int:
    return prod(len(x.operands) if isinstance(x, Add) else 1 for x in node.operands)


def _opened_products(node: Einsum) -> Iterator[Product]:
    """Every choice of one term per sum, with all inner products opened."""
    fresh = [1 + max([*node.sizes, *node.out, 0])]
    choices: list[list[Product]] = []
    budget = MOST_TERMS
    for x, labels in node.factors:
        is_small = _width(x) <= budget
        options = list(_options(x, labels, fresh)) if is_small else [(sp.S.One, [(x, labels)])]
        budget //= max(len(options), 1)
        choices.append(options)
    for choice in cartesian(*choices):
        coefficient = sp.S.One
        factors: list[Factor] = []
        for c, parts in choice:
            coefficient *= c
            factors += parts
        yield coefficient, factors


def _width(node: Node) -> int:
    """How many products `_options` opens a factor into, counted without opening it."""
    if not isinstance(node, Add | Einsum):
        return 1
    found = _WIDTHS.get(node)
    if found is None:
        parts = [_width(x) for x in node.operands]
        found = _WIDTHS[node] = sum(parts) if isinstance(node, Add) else prod(parts)
    return found


def _options(node: Node, labels: Labels, fresh: list[int]) -> Iterator[Product]:
    """The terms of a factor as opened products under the labels of its axes."""
    if isinstance(node, Add):
        carried = {axis for _, _, axes in node.terms for axis in axes}
        for c, x, axes in node.terms:
            bare = [k for k in carried if k not in axes]
            ones = [(build.ones((node.shape[k],)), (labels[k],)) for k in bare]
            for inner, parts in _options(x, tuple(labels[k] for k in axes), fresh):
                yield c * inner, [*parts, *ones]
    elif isinstance(node, Einsum):
        names = dict(zip(node.out, labels, strict=True))
        for label in sorted(node.sizes):
            if label not in names:
                names[label] = fresh[0]
                fresh[0] += 1
        inner_choices = [
            list(_options(x, tuple(names[l] for l in ls), fresh)) for x, ls in node.factors
        ]
        for choice in cartesian(*inner_choices):
            coefficient = sp.S.One
            factors: list[Factor] = []
            for c, parts in choice:
                coefficient *= c
                factors += parts
            yield coefficient, factors
    else:
        yield sp.S.One, [(node, labels)]

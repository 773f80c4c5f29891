"""Edits that borrow a part of the target: a forgotten factor, summand, inverse or argument.

A factor that a claim lacks mostly stands in the formula it is a derivative of: the weights W, the
determinant, the temperature, the term + c.  An edit puts it at one place of the claim.
"""

from collections.abc import Iterator, Sequence

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.edit_subject import Candidate, Candidates, Subject, combined
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Reduce,
    Select,
    Var,
    is_predicate,
    is_truth,
    topological,
    var,
)
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.partials import inverse, slope_of
from diffkit.tensor.rewrite import replace
from diffkit.tensor.sweep import contributions, gradient

#: Nodes of a claim and parts of a target beyond these are not combined.
MOST_NODES, MOST_PARTS = 40, 24
_HALF = sp.Rational(1, 2)
_POWERS = (sp.S.One, -sp.S.One, sp.Integer(2), sp.Integer(-2), _HALF, -_HALF)


def _places(claim: Node) -> list[Node]:
    """Nodes of a claim at which something may be put, the whole first."""
    found = [
        x for x in topological(claim) if not (isinstance(x, Affine | Const) or is_predicate(x))
    ]
    return found[::-1][:MOST_NODES]


def _parts(target: Node) -> list[Node]:
    """Nodes of a target that may be borrowed, inputs first."""
    found = [x for x in topological(target) if not (isinstance(x, Affine | Const))]
    return [x for x in found if not is_predicate(x)][:MOST_PARTS]


# factors ------------------------------------------------------------------------------------------


def scalar_factor(subject: Subject) -> Candidates:
    """The claim, or one term of it, lacks a number of the target or carries it once too often."""
    if subject.target is None:
        return
    claim = subject.claim
    for scalar in _scalars(subject.target):
        for exponent in _POWERS:
            factor = build.power(scalar, exponent)
            words = "missing factor" if exponent.is_positive else "missing divisor"
            yield Candidate(words, _times(claim, factor))
            if isinstance(claim, Add) and len(claim.operands) > 1:
                for place, (c, x, axes) in enumerate(claim.terms):
                    terms = list(claim.terms)
                    terms[place] = (c, _times(x, factor), axes)
                    yield Candidate(f"{words} of a term", build.add(terms, claim.shape))


def _scalars(target: Node) -> list[Node]:
    """Numbers of a target: its nodes without axes, closed products, normalisers."""
    found: dict[Node, None] = {}
    for node in topological(target):
        if isinstance(node, Const) or is_predicate(node):
            continue
        if not node.shape:
            found[node] = None
            if isinstance(node, Reduce) and node.kind == "logsumexp":
                found[build.exponential(node)] = None
    for node in topological(normal_form(target)):
        if isinstance(node, Einsum):
            found |= dict.fromkeys(_closed(node))
    return list(found)[:MOST_PARTS]


def _closed(node: Einsum) -> Iterator[Node]:
    """The connected parts of a product that share no label with the rest or the result."""
    rest = list(node.factors)
    while rest:
        part = [rest.pop()]
        labels = set(part[0][1])
        while joined := [f for f in rest if labels & set(f[1])]:
            rest = [f for f in rest if f not in joined]
            part += joined
            labels.update(*(ls for _, ls in joined))
        if labels and not labels & set(node.out):
            yield build.einsum(part, ())


def _times(node: Node, factor: Node, axes: Sequence[int] = ()) -> Node:
    own = build.all_axes(node)
    return build.einsum([(node, own), (factor, tuple(axes))], own)


def entrywise_factor(subject: Subject) -> Candidates:
    """An array of the target is missing as an entrywise factor, such as a mask or weights."""
    if subject.target is None:
        return
    inputs = [x for x in _parts(subject.target) if isinstance(x, Var) and x.shape]
    for node in _places(subject.claim):
        for x in inputs:
            for axes in _fitting(x.shape, node.shape):
                changed = replace(subject.claim, {node: _times(node, x, axes)})
                yield Candidate(f"missing factor {x.name}", changed)


def _fitting(small: Sequence[int], wide: Sequence[int]) -> list[tuple[int, ...]]:
    """Axes of the wide shape along which an array of the small shape can lie, in order."""
    if tuple(small) == tuple(wide):
        return [tuple(range(len(wide)))]
    if len(small) == 1:
        return [(k,) for k, n in enumerate(wide) if n == small[0]]
    return []


def matrix_factor(subject: Subject) -> Candidates:
    """A matrix of the target, or an inverse it brings about, is missing in a product."""
    if subject.target is None:
        return
    for node in _places(subject.claim):
        for matrix in _matrices(subject.target):
            for axis, length in enumerate(node.shape):
                if length != matrix.shape[0]:
                    continue
                for turned in (False, True):
                    changed = _applied(node, matrix, axis, turned=turned)
                    yield Candidate("missing factor", replace(subject.claim, {node: changed}))


def _applied(node: Node, matrix: Node, axis: int, *, turned: bool) -> Node:
    """The matrix applied to one axis of a node."""
    own = list(build.all_axes(node))
    fresh = len(own)
    pair = (axis, fresh) if turned else (fresh, axis)
    out = [*own[:axis], fresh, *own[axis + 1 :]]
    return build.einsum([(node, tuple(own)), (matrix, pair)], tuple(out))


def _matrices(target: Node) -> list[Node]:
    found: dict[Node, None] = {}
    for node in _parts(target):
        if isinstance(node, LinOp) and node.kind in ("det", "logabsdet"):
            found[inverse(node.operands[0])] = None
        is_square = len(node.shape) == 2 and node.shape[0] == node.shape[1]
        if is_square and isinstance(node, Var | LinOp):
            found[node] = None
    return list(found)


# summands -----------------------------------------------------------------------------------------


def summand(subject: Subject) -> Candidates:
    """A sum of the target stands in the claim without one of its terms."""
    if subject.target is None:
        return
    present = set(topological(subject.claim))
    for node in _parts(subject.target):
        if not isinstance(node, Add) or len(node.operands) < 2:
            continue
        for part in _partial_sums(node):
            for sign in (1, -1):
                held = part if sign == 1 else build.scale(-1, part)
                if held in present:
                    whole = node if sign == 1 else build.scale(-1, node)
                    yield Candidate("missing summand", replace(subject.claim, {held: whole}))


def _partial_sums(node: Add) -> Iterator[Node]:
    """The sum without one term, and each term alone."""
    full = tuple(range(len(node.shape)))
    for place in range(len(node.terms)):
        rest = [t for k, t in enumerate(node.terms) if k != place]
        if {a for _, _, axes in rest for a in axes} == set(full):
            yield build.add(rest, node.shape)
        c, x, axes = node.terms[place]
        if axes == full:
            yield build.scale(c, x)


def factor_of_term(subject: Subject) -> Candidates:
    """One term of a sum lacks or carries a factor 2."""
    for node in topological(subject.claim):
        if not isinstance(node, Add) or len(node.operands) < 2:
            continue
        for number in (sp.Integer(2), _HALF):
            for place, (c, x, axes) in enumerate(node.terms):
                terms = list(node.terms)
                terms[place] = (number * c, x, axes)
                changed = build.add(terms, node.shape)
                words = f"factor {number} of term {place + 1}"
                yield Candidate(words, replace(subject.claim, {node: changed}))


def one_for_all(subject: Subject) -> Candidates:
    """One contribution of the product rule was counted for all of them."""
    if subject.target is None or subject.wrt is None:
        return
    parts = contributions(subject.target, subject.wrt, MOST_PARTS)
    if len(parts) < 2 or any(part.shape != subject.claim.shape for part in parts):
        return
    share = build.scale(sp.Rational(1, len(parts)), subject.claim)
    for place in range(len(parts)):
        rest = [(sp.S.One, part) for k, part in enumerate(parts) if k != place]
        yield Candidate("one term counted for all", combined([(sp.S.One, share), *rest]))


# functions and arguments --------------------------------------------------------------------------


def other_argument(subject: Subject) -> Candidates:
    """A function of the target stands in the claim with another argument."""
    if subject.target is None:
        return
    borrowed = [x for x in _parts(subject.target) if isinstance(x, LinOp | Map | Reduce | Select)]
    for node in _places(subject.claim):
        for x in borrowed:
            if type(node) is not type(x) or _function(node) != _function(x) or node is x:
                continue
            if node.shape == x.shape:
                yield Candidate("argument", replace(subject.claim, {node: x}))
            if len(x.shape) == 2 and node.shape == x.shape[::-1]:
                turned = build.permute(x, (1, 0))
                yield Candidate("argument", replace(subject.claim, {node: turned}))


def _function(node: Node) -> object:
    """What tells one function of a class from another, not its argument (nor an exponent)."""
    return node.kernel.expr if isinstance(node, Map) else node.key[0]


def sign_of_argument(subject: Subject) -> Candidates:
    """The argument of a function has the wrong sign."""
    for node in _places(subject.claim):
        if not isinstance(node, Map) or is_truth(node.kernel.expr):
            continue
        arguments = dict(
            zip(node.kernel.signature, zip(node.operands, node.axes, strict=True), strict=True)
        )
        for place in node.kernel.signature:
            turned = node.kernel.expr.xreplace({place: -place})
            changed = build.mapped(turned, arguments, node.shape)
            yield Candidate("sign of the argument", replace(subject.claim, {node: changed}))


def rate_for_value(subject: Subject) -> Candidates:
    """Where the derivative of a function belongs stands its argument, or another function of it."""
    if subject.target is None:
        return
    curves = [(x, u) for x in _parts(subject.target) for u in _argument(x)]
    for node in _places(subject.claim):
        below = set(topological(node))
        for curve, inner in curves:
            if inner not in below or node.shape != curve.shape:
                continue
            for other in (_rate(curve, inner), curve):
                if other is not node:
                    yield Candidate("chain factor", replace(subject.claim, {node: other}))


def _argument(node: Node) -> list[Node]:
    """The one array that a node is an entrywise function of."""
    if isinstance(node, Map) and len(node.operands) == 1 and node.shape == node.operands[0].shape:
        return list(node.operands)
    if isinstance(node, Select) and isinstance(node.predicate, Map):
        return [x for x in node.predicate.operands if x.shape == node.shape][:1]
    return []


def _rate(curve: Node, inner: Node) -> Node:
    """The derivative of an entrywise function by its argument."""
    if isinstance(curve, Map):
        (place,) = curve.kernel.signature
        own = {place: (inner, curve.axes[0])}
        return build.mapped(slope_of(curve.kernel, place), own, curve.shape)
    free = var("argument", inner.shape)
    opened = replace(curve, {inner: free})
    (found,) = gradient(build.einsum([(opened, build.all_axes(opened))], ()), [free])
    return replace(found, {free: inner})


BORROWED = (
    factor_of_term,
    summand,
    scalar_factor,
    sign_of_argument,
    other_argument,
    rate_for_value,
    one_for_all,
    entrywise_factor,
    matrix_factor,
)

"""The closed list of edits that turn a wrong array claim into a candidate repair.

An edit knows the claim and the formula the claim is about, never the right answer: it proposes,
the judge compares.  Cheap and likely edits come first, so that the first one that survives is
also the simplest explanation.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, permutations

import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.borrowed import BORROWED
from diffkit.tensor.edit_subject import Candidate, Subject
from diffkit.tensor.edit_subject import combined as _combined
from diffkit.tensor.nodes import Add, Affine, Einsum, LinOp, Map, Node, Var, is_truth, topological
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.partials import slope_of
from diffkit.tensor.rewrite import replace
from diffkit.tensor.sweep import contributions

MOST_CANDIDATES = 1500
#: Contributions of the chain rule of which subsets are tried.
MOST_PARTS = 6


def candidates(subject: Subject) -> Iterator[Candidate]:
    """Every distinct edited claim, simplest edits first."""
    seen = {subject.claim}
    for edit in EDITS:
        for candidate in edit(subject):
            node = candidate.node
            if node in seen or node.shape != subject.claim.shape:
                continue
            seen.add(node)
            yield candidate
            if len(seen) > MOST_CANDIDATES:
                return


def sign(subject: Subject) -> Iterator[Candidate]:
    """The whole claim has the wrong sign."""
    yield Candidate("sign", build.scale(-1, subject.claim))


def factor(subject: Subject) -> Iterator[Candidate]:
    """The whole claim lacks or carries a number, or the length of an axis."""
    for number in (2, 3, 4):
        yield Candidate(f"factor {number}", build.scale(number, subject.claim))
        yield Candidate(f"factor 1/{number}", build.scale(sp.Rational(1, number), subject.claim))
    for length, name in subject.lengths:
        if length > 1:
            # The size stays a symbol, so that the repair reads 2/n and not 2/7.
            size = size_symbol(length, name)
            yield Candidate(f"missing 1/{name}", build.scale(1 / size, subject.claim))
            yield Candidate(f"missing factor {name}", build.scale(size, subject.claim))
    for number in (2, sp.Rational(1, 2)):
        yield Candidate(f"factor -{number}", build.scale(-number, subject.claim))


def size_symbol(length: int, name: str) -> sp.Expr:
    """The symbol of a length, or the number where it has no name."""
    is_named = name.isidentifier()
    return sp.Symbol(name, integer=True, positive=True) if is_named else sp.Integer(length)


def transpose(subject: Subject) -> Iterator[Candidate]:
    """The claim, a variable of it, or one factor of a product must be transposed."""
    claim = subject.claim
    if len(claim.shape) == 2 and claim.shape[0] == claim.shape[1]:
        yield Candidate("transpose", build.permute(claim, (1, 0)))
    for variable in subject.inputs:
        if _is_square(variable):
            flipped = replace(claim, {variable: build.permute(variable, (1, 0))})
            yield Candidate(f"transpose of {variable.name}", flipped)
    for node in _products(claim):
        for place, (operand, labels) in enumerate(node.factors):
            if not _is_square(operand) or isinstance(operand, Affine):
                continue
            factors = list(node.factors)
            factors[place] = (operand, labels[::-1])
            changed = build.einsum(factors, node.out)
            yield Candidate("transpose of one factor", replace(claim, {node: changed}))
    yield from _transposed_in_a_term(claim)


def _transposed_in_a_term(claim: Node) -> Iterator[Candidate]:
    """One square variable transposed in one term of the claim multiplied out."""
    whole = normal_form(claim)
    if not isinstance(whole, Add):
        return
    for place, (c, node, axes) in enumerate(whole.terms):
        if not isinstance(node, Einsum):
            continue
        for k, (operand, labels) in enumerate(node.factors):
            if _is_square(operand) and isinstance(operand, Var | LinOp):
                factors = list(node.factors)
                factors[k] = (operand, labels[::-1])
                terms = list(whole.terms)
                terms[place] = (c, build.einsum(factors, node.out), axes)
                yield Candidate("transpose of one factor", build.add(terms, claim.shape))


def sign_of_term(subject: Subject) -> Iterator[Candidate]:
    """One term of a sum has the wrong sign, or does not belong."""
    for node in topological(subject.claim):
        if not isinstance(node, Add) or len(node.operands) < 2:
            continue
        for place in range(len(node.operands)):
            terms = list(node.terms)
            c, x, axes = terms[place]
            terms[place] = (-c, x, axes)
            changed = build.add(terms, node.shape)
            yield Candidate(f"sign of term {place + 1}", replace(subject.claim, {node: changed}))
        for place in range(len(node.operands)):
            rest = [t for k, t in enumerate(node.terms) if k != place]
            if _covers(rest, len(node.shape)):
                changed = build.add(rest, node.shape)
                yield Candidate("extra term", replace(subject.claim, {node: changed}))


def symmetrise(subject: Subject) -> Iterator[Candidate]:
    """The claim holds for symmetric matrices only, or counts one half of a symmetric pair."""
    claim = subject.claim
    half = sp.Rational(1, 2)
    for perm, words in _exchanges(claim.shape):
        other = build.permute(claim, perm)
        yield Candidate(words, _combined([(half, claim), (half, other)]))
        yield Candidate(words, _combined([(sp.S.One, claim), (sp.S.One, other)]))
    for variable in subject.inputs:
        if _is_square(variable):
            flipped = replace(claim, {variable: build.permute(variable, (1, 0))})
            pair = [(half, claim), (half, flipped)]
            yield Candidate(f"symmetrise in {variable.name}", _combined(pair))
    for left, right in combinations(subject.inputs, 2):
        if left.shape == right.shape:
            swapped = replace(claim, {left: right, right: left})
            pair = [(half, claim), (half, swapped)]
            yield Candidate(f"symmetrise in {left.name}, {right.name}", _combined(pair))
            yield Candidate(f"{left.name} and {right.name} exchanged", swapped)


def order(subject: Subject) -> Iterator[Candidate]:
    """The axes of the result, or two factors of a product, stand in the wrong order."""
    shape = subject.claim.shape
    if 2 < len(shape) <= 4:
        for perm in permutations(range(len(shape))):
            if tuple(shape[k] for k in perm) == shape:
                yield Candidate("order of the indices", build.permute(subject.claim, perm))
    for claim in dict.fromkeys((subject.claim, normal_form(subject.claim))):
        for node in _products(claim):
            for changed in _exchanged_factors(node):
                yield Candidate("order of the factors", replace(claim, {node: changed}))


def _exchanged_factors(node: Einsum) -> Iterator[Node]:
    for i, j in combinations(range(len(node.operands)), 2):
        left, right = node.operands[i], node.operands[j]
        if left.shape == right.shape and len(left.shape) == 2 and left is not right:
            factors = list(node.factors)
            factors[i], factors[j] = (right, factors[i][1]), (left, factors[j][1])
            yield build.einsum(factors, node.out)


def outer_rate(subject: Subject) -> Iterator[Candidate]:
    """The derivative of the outermost function of the target was forgotten, or applied twice."""
    node = subject.target
    while node is not None and not node.shape:
        coefficient, inner = build.scaled(node)
        if coefficient != 1:
            node = inner
            continue
        if not isinstance(node, Map) or len(node.operands) != 1:
            return
        slope = slope_of(node.kernel, node.kernel.signature[0])
        own = {node.kernel.signature[0]: (node.operands[0], node.axes[0])}
        rate = build.mapped(slope, own, node.shape)
        axes = build.all_axes(subject.claim)
        for exponent, words in ((1, "missing chain factor"), (-1, "extra chain factor")):
            factors = [(subject.claim, axes), (build.power(rate, exponent), ())]
            yield Candidate(words, build.einsum(factors, axes))
        node = node.operands[0]


def inner_rate(subject: Subject) -> Iterator[Candidate]:
    """A function of the target stands in the claim where its derivative belongs, or lacks."""
    if subject.target is None:
        return
    maps = [x for x in topological(subject.target) if _is_curve(x)]
    for node in _products(subject.claim):
        for curve in maps:
            for rate in _rates(curve):
                yield from _with_rate(subject, node, curve, rate)
    for node in _products(subject.claim):
        for place, (_, labels) in enumerate(node.factors):
            rest = [f for k, f in enumerate(node.factors) if k != place]
            carried = {label for _, ls in rest for label in ls}
            if set(labels) <= carried and rest:
                changed = build.einsum(rest, node.out)
                yield Candidate("extra factor", replace(subject.claim, {node: changed}))


def _with_rate(subject: Subject, node: Einsum, curve: Node, rate: Node) -> Iterator[Candidate]:
    sizes = node.sizes
    for place, (operand, _) in enumerate(node.factors):
        if operand is curve.operands[0] and operand.shape == curve.shape:
            factors = list(node.factors)
            factors[place] = (curve, factors[place][1])
            changed = build.einsum(factors, node.out)
            yield Candidate("missing activation", replace(subject.claim, {node: changed}))
        if operand is curve:
            factors = list(node.factors)
            factors[place] = (rate, factors[place][1])
            changed = build.einsum(factors, node.out)
            yield Candidate("missing chain factor", replace(subject.claim, {node: changed}))
    labels = sorted(sizes)
    for chosen in permutations(labels, len(rate.shape)):
        if tuple(sizes[label] for label in chosen) == rate.shape:
            factors = [*node.factors, (rate, chosen)]
            changed = build.einsum(factors, node.out)
            yield Candidate("missing chain factor", replace(subject.claim, {node: changed}))


def _rates(curve: Node) -> list[Node]:
    """The derivative of a curve and its quotient with the curve itself."""
    if not isinstance(curve, Map):
        return []
    (place,) = curve.kernel.signature
    own = {place: (curve.operands[0], curve.axes[0])}
    slope = slope_of(curve.kernel, place)
    quotient = sp.cancel(slope / curve.kernel.expr) if slope.count_ops() < 30 else slope
    return [build.mapped(each, own, curve.shape) for each in dict.fromkeys((slope, quotient))]


def _is_curve(node: Node) -> bool:
    return (
        isinstance(node, Map)
        and len(node.operands) == 1
        and bool(node.shape)
        and not is_truth(node.kernel.expr)
    )


def dropped_term(subject: Subject) -> Iterator[Candidate]:
    """A term of the sum, product or chain rule is missing: something was held constant."""
    if subject.target is None or subject.wrt is None:
        return
    parts = contributions(subject.target, subject.wrt, MOST_PARTS)
    for count in range(1, len(parts)):
        for chosen in combinations(parts, count):
            words = "dropped term" if count == 1 else f"{count} dropped terms"
            terms = [(sp.S.One, subject.claim), *((sp.S.One, part) for part in chosen)]
            if all(part.shape == subject.claim.shape for part in chosen):
                yield Candidate(words, _combined(terms))


def off_diagonal(subject: Subject) -> Iterator[Candidate]:
    """A diagonal was taken where the whole matrix belongs, or the other way round."""
    whole = normal_form(subject.claim)
    terms = (
        list(whole.terms) if isinstance(whole, Add) else [(sp.S.One, whole, build.all_axes(whole))]
    )
    for place, (c, node, axes) in enumerate(terms):
        if not isinstance(node, Einsum):
            continue
        for opened in _without_identity(node):
            changed = [*terms[:place], (c, opened, axes), *terms[place + 1 :]]
            yield Candidate("off-diagonal entries", build.add(changed, subject.claim.shape))
    shape = subject.claim.shape
    if len(shape) == 2 and shape[0] == shape[1]:
        factors = [(subject.claim, (0, 1)), (build.identity(shape[0]), (0, 1))]
        yield Candidate("diag", build.einsum(factors, (0, 1)))


def _without_identity(node: Einsum) -> Iterator[Node]:
    for place, (operand, labels) in enumerate(node.factors):
        if not (isinstance(operand, Affine) and operand.is_identity):
            continue
        rest = [f for k, f in enumerate(node.factors) if k != place]
        for keep, lose in (labels, labels[::-1]):
            holders = [k for k, (_, ls) in enumerate(rest) if keep in ls]
            for chosen in holders:
                changed = list(rest)
                x, ls = changed[chosen]
                changed[chosen] = (x, tuple(lose if l == keep else l for l in ls))
                carried = {l for _, names in changed for l in names}
                if set(node.out) <= carried:
                    yield build.einsum(changed, node.out)


def sandwich(subject: Subject) -> Iterator[Candidate]:
    """A term lacks the two inverses that differentiating an inverse leaves around it."""
    if subject.target is None:
        return
    inverses = [x for x in topological(subject.target) if _is_inverse(x)]
    claim = subject.claim
    terms = (
        list(claim.terms) if isinstance(claim, Add) else [(sp.S.One, claim, build.all_axes(claim))]
    )
    for inverse in inverses:
        for place, (c, node, axes) in enumerate(terms):
            if node.shape != inverse.shape:
                continue
            flipped = build.permute(inverse, (1, 0))
            for left, right in ((flipped, flipped), (inverse, inverse)):
                chained = build.einsum([(left, (0, 1)), (node, (1, 2)), (right, (2, 3))], (0, 3))
                changed = [*terms[:place], (c, chained, axes), *terms[place + 1 :]]
                whole = build.add(changed, claim.shape)
                yield Candidate("missing sandwich", whole)
                yield Candidate("missing sandwich", build.permute(whole, (1, 0)))


def _is_inverse(node: Node) -> bool:
    return isinstance(node, LinOp) and node.kind == "inv" and len(node.shape) == 2


def _is_square(node: Node) -> bool:
    return len(node.shape) == 2 and node.shape[0] == node.shape[1]


def _products(claim: Node) -> list[Einsum]:
    return [node for node in topological(claim) if isinstance(node, Einsum)]


def _covers(terms: Sequence[tuple[sp.Expr, Node, tuple[int, ...]]], rank: int) -> bool:
    return set(chain.from_iterable(axes for _, _, axes in terms)) == set(range(rank))


def _exchanges(shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], str]]:
    """Exchanges of two axes of equal length."""
    for i, j in combinations(range(len(shape)), 2):
        if shape[i] == shape[j]:
            perm = list(range(len(shape)))
            perm[i], perm[j] = j, i
            yield tuple(perm), "symmetrise"


EDITS = (
    sign,
    factor,
    transpose,
    sign_of_term,
    outer_rate,
    order,
    symmetrise,
    inner_rate,
    dropped_term,
    off_diagonal,
    sandwich,
    *BORROWED,
)

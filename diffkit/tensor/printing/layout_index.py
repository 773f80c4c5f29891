"""Formulas with explicit indices and sums, for arrays of any rank.

An operation written entry by entry needs no matrix algebra: a product over labels is a sum of
products of entries, the identity is a Kronecker delta, other 0/1 arrays are brackets such as
`[i >= j]`.  Parts that have a name, and functions of matrices, are taken from the matrix printer
and carry their indices below.
"""

from collections.abc import Iterator, Mapping, Sequence

import sympy as sp

from diffkit import typeset as ts
from diffkit.symbolic.layout import layout as scalar_layout
from diffkit.tensor import build
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Opaque,
    Reduce,
    Select,
    Var,
    topological,
)
from diffkit.tensor.printing.forms import ONE, PLACES, Ref
from diffkit.tensor.printing.label_graph import NotMatrix
from diffkit.tensor.printing.layout_kernel import kernel_layout
from diffkit.tensor.printing.layout_letters import (
    Letters,
    Powers,
    descents,
    follows,
    in_order,
    letters_for,
    linked,
    listed,
    subscripted,
    without_content,
)
from diffkit.tensor.printing.layout_matrix import Reader
from diffkit.tensor.printing.layout_nodes import STEP, normalised, variable
from diffkit.tensor.printing.layout_products import Piece, quotient, raised_to, times
from diffkit.tensor.printing.writing import Writer
from diffkit.tensor.substitute import substitute


def atoms(root: Node, reader: Reader) -> tuple[Ref, ...]:
    """The parts of a formula that keep the name they have in matrix algebra."""
    return tuple(dict.fromkeys(ref for _, ref in _atoms(root, reader)))


def _atoms(root: Node, reader: Reader) -> Iterator[tuple[Node, Ref]]:
    uses: dict[Node, int] = {}
    for node in topological(root):
        for operand in node.operands:
            uses[operand] = uses.get(operand, 0) + 1
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        ref = None if node is root and not _is_atomic(node) else atom(node, reader, uses)
        if ref is not None:
            yield node, ref
        if ref is None or not (_is_atomic(node) or is_softmax(node)):
            stack.extend(reversed(node.operands))


def _is_atomic(node: Node) -> bool:
    return isinstance(node, LinOp | Opaque) or (isinstance(node, Const) and bool(node.shape))


def is_softmax(node: Node) -> bool:
    """Whether the node is exp(u - logsumexp(u))."""
    exponent = build.exponent_of(node)
    return isinstance(exponent, Add) and normalised(exponent) is not None


def atom(node: Node, reader: Reader, uses: Mapping[Node, int]) -> Ref | None:
    """The form of a part that may carry a name, else None."""
    is_shared = uses.get(node, 0) > 1 and not isinstance(node, Var | Const | Affine)
    if not (_is_atomic(node) or is_shared or is_softmax(node)):
        return None
    if len(node.shape) > 2:
        if _is_atomic(node):
            return reader.whole(node)
        return reader.index_form(node) if is_shared else None
    if isinstance(node, LinOp):
        return reader(node)
    try:
        return reader.root(node)
    except NotMatrix:
        return reader(node) if is_shared or _is_atomic(node) else None


class IndexWriter:
    """Writes one formula with indices.

    Args:
        root: The formula.
        reader: Reads its parts as matrix algebra.
        write: Lays those parts out.
        taken: Names that no index may have.
    """

    def __init__(self, root: Node, reader: Reader, write: Writer, taken: frozenset[str]) -> None:
        self.reader, self.write, self.taken = reader, write, taken
        self.root = root
        self.atoms = dict(_atoms(root, reader))

    def entry(self, node: Node, letters: Letters, live: Letters) -> ts.Node:
        """The entry of a node at the indices `letters`."""
        ref = self.atoms.get(node)
        if ref is not None and (ref.form in self.write.names or _is_atomic(node)):
            return self.named(ref, letters)
        match node:
            case Var():
                return subscripted(variable(node), letters)
            case Const():
                return scalar_layout(node.values[0])
            case Affine():
                return self.index_array(node, letters)
            case Einsum():
                return self.product(ONE, node, letters, live)
            case Add():
                return self.sum(node, letters, live)
            case Map():
                return self.map(node, letters, live)
            case Select():
                return self.select(node, letters, live)
            case Reduce():
                return self.reduction(node, letters, live)
        raise NotMatrix

    def named(self, ref: Ref, letters: Letters) -> ts.Node:
        """A part written by the matrix printer, its indices below."""
        return subscripted(self.write(Ref(ref.form)), letters[::-1] if ref.is_flipped else letters)

    def index_array(self, node: Affine, letters: Letters) -> ts.Node:
        """A 0/1 array as a delta or a bracket."""
        if node.is_ones:
            return ts.Number("1")
        if node.is_identity and "delta" not in self.taken:
            return subscripted(ts.Name("delta"), in_order(letters))
        # a letter counts from 1, the axis of a node from 0
        expr = node.offset + sum(
            c * (sp.Symbol(l) - 1) for c, l in zip(node.coefficients, letters, strict=True)
        )
        left = sum(
            (t for t in sp.Add.make_args(expr) if not t.could_extract_minus_sign()), sp.S.Zero
        )
        sign = "=" if node.relation == "=" else "≥"
        inside = ts.relation(scalar_layout(left), sign, scalar_layout(left - expr))
        return ts.Fence(inside, "[", "]")

    # products -------------------------------------------------------------------------------------

    def opened(
        self, node: Einsum, letters: Letters, live: Letters
    ) -> tuple[sp.Expr, list[tuple[Node, Letters]], Letters]:
        """Coefficient, factors with letters, products in it opened, and the summed letters."""
        coefficient = ONE
        found: list[tuple[Node, Letters]] = []
        summed: list[str] = []
        stack: list[tuple[Node, Letters]] = [(node, letters)]
        while stack:
            part, own = stack.pop()
            ref = self.atoms.get(part)
            is_named = ref is not None and ref.form in self.write.names
            if isinstance(part, Add) and not is_named:
                content, part = without_content(part)
                coefficient = coefficient * content
            if not isinstance(part, Einsum) or (is_named and part is not node):
                found.append((part, own))
                continue
            names = dict(zip(part.out, own, strict=True))
            inner = [label for label in part.sizes if label not in names]
            fresh = letters_for(len(inner), self.taken, (*live, *letters, *summed))
            summed += fresh
            names |= dict(zip(inner, fresh, strict=True))
            stack += [(x, tuple(names[l] for l in ls)) for x, ls in reversed(part.factors)]
        return coefficient, found, tuple(summed)

    def product(
        self, coefficient: sp.Expr, node: Einsum, letters: Letters, live: Letters
    ) -> ts.Node:
        """coefficient * sum of products of entries."""
        content, found, summed = self.opened(node, letters, live)
        coefficient = coefficient * content
        inside = (*live, *letters, *summed)
        powers: Powers = {}
        for factor, own in found:
            if isinstance(factor, Affine) and factor.is_ones:
                continue
            base, exponent, where = build.base_of(factor, tuple(range(len(own))))
            if factor in self.atoms and self.atoms[factor].form in self.write.names:
                base, exponent, where = factor, ONE, tuple(range(len(own)))
            key = (base, tuple(own[k] for k in where))
            powers[key] = powers.get(key, sp.S.Zero) + exponent
        powers = self.arranged(powers, summed)
        groups = linked(list(powers), summed)
        if not groups:
            return self.quotient(coefficient, [], inside)
        first, *sums = groups if not groups[0][1] else [([], ()), *groups]
        free = [(key, powers[key]) for key in first[0]]
        tails = [self.summed([(k, powers[k]) for k in keys], own, inside) for keys, own in sums]
        return self.quotient(coefficient, free, inside, tails)

    def arranged(self, powers: Powers, summed: Letters) -> Powers:
        """Factors so that neighbours share a letter, summed letters renamed in this order."""
        rest, ordered = list(powers), []
        tail = ""
        while rest:
            best = min(rest, key=lambda key: follows(key, tail, summed))
            rest.remove(best)
            ordered.append(best)
            others = [l for l in best[1] if l != tail] or list(best[1])
            tail = others[-1] if others else tail
        if len(ordered) > 2 and all(l in summed for _, own in ordered for l in own):
            ordered = min(ordered, ordered[::-1], key=descents)
        seen = [l for _, own in ordered for l in own if l in summed]
        names = dict(zip(dict.fromkeys(seen), summed, strict=False))
        for node, own in ordered:
            if isinstance(node, Affine) and node.is_identity and not set(own) & set(summed):
                first, second = in_order(own)
                names[second] = first
        is_delta = [isinstance(n, Affine) and n.is_identity for n, _ in ordered]
        renamed: Powers = {}
        for key, fixed in zip(ordered, is_delta, strict=True):
            node, own = key
            moved = own if fixed else tuple(names.get(l, l) for l in own)
            renamed[node, moved] = renamed.get((node, moved), sp.S.Zero) + powers[key]
        return renamed

    def summed(
        self, powers: list[tuple[tuple[Node, Letters], sp.Expr]], over: Letters, live: Letters
    ) -> ts.Node:
        """A sum over some letters."""
        body = self.quotient(ONE, powers, live)
        return ts.Big("sum", body, listed(over))

    def quotient(
        self,
        coefficient: sp.Expr,
        powers: list[tuple[tuple[Node, Letters], sp.Expr]],
        live: Letters,
        tails: Sequence[ts.Node] = (),
    ) -> ts.Node:
        """Entries with exponents, a number in front, sums at the end."""
        if coefficient.could_extract_minus_sign():
            return ts.Negative(self.quotient(-coefficient, powers, live, tails))
        over, under = coefficient.as_numer_denom()
        powers = sorted(powers, key=lambda p: bool(p[0][1]))
        above = [self.power(key, e, live) for key, e in powers if e > 0]
        below = [self.power(key, -e, live) for key, e in powers if e < 0]
        if below:
            return times([quotient(above, over, below, under, ""), *tails], "")
        front = [quotient([], over, [], under)] if coefficient != 1 else []
        factors = [*front, *above, *tails]
        return times(factors, "") if factors else ts.Number("1")

    def power(self, key: tuple[Node, Letters], exponent: sp.Expr, live: Letters) -> ts.Node:
        """One entry with a positive exponent."""
        node, letters = key
        tree = self.entry(node, letters, live)
        if exponent == 1:
            return tree
        if exponent == sp.S.Half:
            return ts.Root(tree)
        return ts.Superscript(tree, raised_to(exponent))

    # the rest -------------------------------------------------------------------------------------

    def sum(self, node: Add, letters: Letters, live: Letters) -> ts.Node:
        """A sum of entries, positive terms and sums first."""
        if not node.operands:
            return ts.Number("0")
        terms = []
        for c, operand, axes in node.terms:
            own = tuple(letters[k] for k in axes)
            order = bool(c.could_extract_minus_sign()), not isinstance(operand, Einsum)
            terms.append((order, self.term(c, operand, own, live)))
        ordered = [tree for _, tree in sorted(terms, key=lambda t: t[0])]
        return ordered[0] if len(ordered) == 1 else ts.Plus(tuple(ordered))

    def term(self, c: sp.Expr, operand: Node, letters: Letters, live: Letters) -> ts.Node:
        """One term of a sum."""
        ref = self.atoms.get(operand)
        if isinstance(operand, Einsum) and (ref is None or ref.form not in self.write.names):
            return self.product(c, operand, letters, live)
        if isinstance(operand, Affine) and operand.is_ones:
            return scalar_layout(c)
        if isinstance(operand, Const) and not operand.shape:
            return scalar_layout(c * operand.values[0])
        if ref is None or ref.form not in self.write.names:
            operand, exponent, where = build.base_of(operand, tuple(range(len(letters))))
            own = tuple(letters[k] for k in where)
            return self.quotient(c, [((operand, own), exponent)], live)
        return self.quotient(c, [((operand, letters), ONE)], live)

    def map(self, node: Map, letters: Letters, live: Letters) -> ts.Node:
        """A kernel of entries."""
        pieces = {}
        for place, operand, axes in zip(PLACES, node.operands, node.axes, strict=False):
            own = tuple(letters[k] for k in axes)
            pieces[place.name] = Piece(self.entry(operand, own, live), 0)
        exponent = build.exponent_of(node)
        found = normalised(exponent) if isinstance(exponent, Add) else None
        if found is not None:
            return self.softmax(found[0], found[1], letters, live)
        names = dict(zip(node.kernel.signature, PLACES, strict=False))
        expr = node.kernel.expr
        if isinstance(expr, STEP) and expr.args[1] == 0:
            expr = sp.Gt(expr.args[0], 0)
            inside = kernel_layout(substitute(expr, names), pieces, self.taken)
            return ts.Fence(inside, "[", "]")
        return kernel_layout(substitute(node.kernel.expr, names), pieces, self.taken)

    def softmax(
        self, logits: Node, gone: tuple[int, ...], letters: Letters, live: Letters
    ) -> ts.Node:
        """exp(z_i) / sum_j exp(z_j)."""
        over = letters_for(len(gone), self.taken, (*live, *letters))
        moved = dict(zip(gone, over, strict=True))
        inside = tuple(moved.get(k, letter) for k, letter in enumerate(letters))
        below = ts.call("exp", self.entry(logits, inside, (*live, *letters, *over)))
        above = ts.call("exp", self.entry(logits, letters, live))
        return ts.Fraction(above, ts.Big("sum", below, listed(over)))

    def select(self, node: Select, letters: Letters, live: Letters) -> ts.Node:
        """A bracket for an indicator, else cases."""
        parts = [
            self.entry(operand, tuple(letters[k] for k in axes), live)
            for operand, axes in zip(node.operands, node.axes, strict=True)
        ]
        condition, on_true, on_false = parts
        if on_true == ts.Number("1") and on_false == ts.Number("0"):
            return ts.Fence(condition, "[", "]")
        return ts.Cases(((on_true, condition), (on_false, ts.Text("otherwise"))))

    def reduction(self, node: Reduce, letters: Letters, live: Letters) -> ts.Node:
        """A large operator over the letters that vanish."""
        (operand,) = node.operands
        over = letters_for(len(node.axes), self.taken, (*live, *letters))
        inside = (*live, *letters, *over)
        names = dict(zip(node.kept, letters, strict=True)) | dict(zip(node.axes, over, strict=True))
        own = tuple(names[k] for k in range(len(operand.shape)))
        body = self.entry(operand, own, inside)
        if node.kind == "logsumexp":
            return ts.call("log", ts.Big("sum", ts.call("exp", body), listed(over)))
        return ts.Big(node.kind, body, listed(over))

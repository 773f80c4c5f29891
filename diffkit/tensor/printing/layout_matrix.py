"""From array nodes to the forms of matrix algebra; see `tensor.forms`.

A node of rank 3 or more, or a product that no chain of matrices expresses, raises `NotMatrix`
where it is needed; inside a larger formula it becomes a form of its own that is written with
indices in its definition.  Vectors are columns, softmax runs along rows, and positions of
entries are kept as the program counts them, from 0.
"""

from collections.abc import Sequence

import sympy as sp

from diffkit import typeset as ts
from diffkit.tensor import build
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Axes,
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
    topological,
)
from diffkit.tensor.printing.form_algebra import Forms
from diffkit.tensor.printing.forms import FLIPPED_LEAF, FLIPPED_WHOLE, ONE, PLACES, Form, Ref, flip
from diffkit.tensor.printing.label_graph import LabelGraph, NotMatrix
from diffkit.tensor.printing.layout_nodes import (
    DIFFERENTIAL,
    STEP,
    normalised,
    opened,
    outer_functions,
    variable,
)
from diffkit.tensor.substitute import substitute, symbols_of

#: Matrix functions written as a word before their argument, and the rank of the result.
WORDS = {
    "det": ("det", 0),
    "cholesky": ("chol", 2),
    "eigenvalues": ("eigenvalues", 1),
    "eigenvectors": ("eigenvectors", 2),
    "singular_values": ("singular_values", 1),
    "left_singular": ("left_singular", 2),
    "inverse_gaps": ("inverse_gaps", 2),
    "qr_orthogonal": ("qr_orthogonal", 2),
    "qr_triangular": ("qr_triangular", 2),
    "lu_lower": ("lu_lower", 2),
    "lu_upper": ("lu_upper", 2),
    "lu_permutation": ("lu_permutation", 2),
}


class Reader:
    """Reads every node below a root once."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.indexed: dict[Form, Node] = {}
        self._done: dict[Node, Ref | None] = {}

    def prepare(self, root: Node) -> None:
        """Read all nodes below `root`, operands first, so that nothing recurses deeply."""
        for node in topological(root):
            if len(node.shape) <= 2 and node not in self._done:
                self._done[node] = self._tried(node)

    def _tried(self, node: Node) -> Ref | None:
        try:
            return self._read(node)
        except NotMatrix:
            return None

    def root(self, node: Node) -> Ref:
        """The form of a whole formula.

        Raises:
            NotMatrix: it is no matrix algebra.
        """
        self.prepare(node)
        found = self._done.get(node)
        if found is None:
            raise NotMatrix
        return found

    def __call__(self, node: Node) -> Ref:
        """The form of a part; what is no matrix algebra is a form with a name."""
        if len(node.shape) > 2:
            raise NotMatrix
        self.prepare(node)
        found = self._done[node]
        if found is None:
            found = self._done[node] = self.index_form(node)
        return found

    def index_form(self, node: Node) -> Ref:
        """A form that is written with indices."""
        from diffkit.tensor.printing.layout_index import atoms

        found = self.forms.apply("indexed", atoms(node, self), len(node.shape), (node.digest,))
        self.indexed[found.form] = node
        return found

    def whole(self, node: Node) -> Ref:
        """The form of a part of any rank, as the argument of a function of whole arrays."""
        rank = len(node.shape)
        if rank <= 2:
            return self(node)
        if isinstance(node, Var):
            return self.forms.leaf(node.name, variable(node), rank, is_symmetric=True)
        return self.called(node) if isinstance(node, LinOp | Opaque) else self.index_form(node)

    def called(self, node: LinOp | Opaque) -> Ref:
        """A function of whole arrays: a program that is not read, matrices in a batch."""
        args = [self.whole(operand) for operand in node.operands]
        rank = len(node.shape)
        if isinstance(node, LinOp):
            return self.forms.apply("batched", args, rank, (node.kind, *node.params))
        return self.forms.apply("opaque", args, rank, (node.payload.name, node.index))

    def _read(self, node: Node) -> Ref:
        match node:
            case Var():
                is_symmetric = build.is_symmetric(node)
                tree = variable(node)
                return self.forms.leaf(
                    node.name,
                    tree,
                    len(node.shape),
                    is_symmetric=is_symmetric,
                    is_differential=DIFFERENTIAL in node.facts,
                )
            case Const():
                return self.constant(node)
            case Affine():
                return self.einsum([(node, build.all_axes(node))], build.all_axes(node))
            case Einsum():
                return self.einsum(node.factors, node.out)
            case Add():
                return self.sum(node)
            case Map():
                return self.map(node)
            case Select():
                return self.select(node)
            case Reduce():
                return self.reduction(node)
            case LinOp():
                return self.matrix_function(node)
            case Opaque():
                return self.called(node)
        raise NotMatrix

    # leaves ---------------------------------------------------------------------------------------

    def constant(self, node: Const) -> Ref:
        """An exact number, or an array of them."""
        if not node.shape:
            (value,) = node.values
            if is_truth(value):
                return self.forms.leaf(str(value), ts.Text(str(value).lower()), 0)
            return self.forms.number(value)
        return self.forms.apply("constant", (), len(node.shape), (node.values, node.shape))

    def index_array(self, node: Affine, labels: Labels) -> list[tuple[Ref, Labels]]:
        """A 0/1 array as factors of a product."""
        forms, c = self.forms, node.coefficients
        if node.is_ones:
            return [(forms.ones, (label,)) for label in labels]
        if node.is_identity:
            return [(forms.identity, labels)]
        if len(c) == 1 and node.relation == "=":
            place = -node.offset * c[0]
            return [(self.unit(place), labels)]
        if len(c) == 2 and node.relation == ">=" and c in ((1, -1), (-1, 1)):
            lower = forms.apply("mask", (), 2, (node.offset,))
            return [(lower if c == (1, -1) else flip(lower), labels)]
        if len(c) == 2 and node.relation == "=":
            return [self.selection(node, labels)]
        raise NotMatrix

    def unit(self, place: int) -> Ref:
        """A column of the identity."""
        return self.forms.apply("unit", (), 1, (place,), flip_cost=FLIPPED_LEAF)

    def selection(self, node: Affine, labels: Labels) -> tuple[Ref, Labels]:
        """Rows along the longer axis, of which the columns pick entries start + step*j."""
        (a, b), n = node.coefficients, node.shape
        order = (0, 1) if abs(a) == 1 and (abs(b) != 1 or n[0] >= n[1]) else (1, 0)
        source, target = order
        own, step = node.coefficients[source], -node.coefficients[target]
        if abs(own) != 1:
            raise NotMatrix
        step, start = step * own, -node.offset * own
        last = start + step * (n[target] - 1)
        if min(start, last) < 0 or max(start, last) >= n[source]:
            raise NotMatrix
        ref = self.forms.apply("selection", (), 2, (step, start, n[target], n[source]))
        return ref, (labels[source], labels[target])

    # products and sums ----------------------------------------------------------------------------

    def einsum(self, factors: Sequence[tuple[Node, Labels]], out: Labels) -> Ref:
        """A product over labels."""
        if len(out) > 2:
            raise NotMatrix
        refs: list[tuple[Ref, Labels]] = []
        sizes: dict[int, int] = {}
        for operand, labels in opened(factors, out):
            sizes |= dict(zip(labels, operand.shape, strict=True))
            if isinstance(operand, Affine):
                refs += self.index_array(operand, labels)
            else:
                refs.append((self(operand), labels))
        return LabelGraph(self.forms, refs, out, sizes).read()

    def sum(self, node: Add) -> Ref:
        """A linear combination, or a log_softmax."""
        rank = len(node.shape)
        found = normalised(node)
        if found is not None:
            return self.along_rows("log_softmax", *found)
        terms = [(c, self.laid(self(x), axes, rank)) for c, x, axes in node.terms]
        return self.stacked(terms) or self.forms.sum(terms, rank)

    def stacked(self, terms: Sequence[tuple[sp.Expr, Ref]]) -> Ref | None:
        """Vectors one below the other, for a sum of vectors between zeros that fit together."""
        pads = [ref.form for c, ref in terms if c == 1 and ref.form.op == "pad"]
        if len(pads) < 2 or len(pads) < len(terms):
            return None
        pads.sort(key=lambda pad: pad.params)
        end = 0
        for before, length, _ in (pad.params for pad in pads):
            if before != end:
                return None
            end = before + length
        if pads[-1].params[2]:
            return None
        return self.forms.apply("stack", [pad.args[0] for pad in pads], 1)

    def laid(self, ref: Ref, axes: Axes, rank: int) -> Ref:
        """A term in the shape of the sum; numbers stay numbers."""
        if ref.rank == rank:
            return flip(ref) if axes == (1, 0) else ref
        if ref.rank == 0:
            inner = self.forms.split(ref)
            if not inner.scalars:
                return ref
        return self.spread(ref, axes, rank)

    def spread(self, ref: Ref, axes: Axes, rank: int) -> Ref:
        """A term repeated along the axes it lacks."""
        forms = self.forms
        if ref.rank == 0:
            whole = forms.ones if rank == 1 else forms.product([forms.ones, flip(forms.ones)])
            return forms.scaled(ONE, [(ref, ONE)], whole)
        if axes == (0,):
            return forms.product([ref, flip(forms.ones)])
        return forms.product([forms.ones, flip(ref)])

    # functions ------------------------------------------------------------------------------------

    def map(self, node: Map) -> Ref:
        """A kernel, or a softmax."""
        rank = len(node.shape)
        exponent = build.exponent_of(node)
        found = normalised(exponent) if isinstance(exponent, Add) else None
        if found is not None:
            return self.along_rows("softmax", *found)
        args = []
        for operand, axes in zip(node.operands, node.axes, strict=True):
            ref = self(operand)
            if ref.rank == rank:
                args.append(flip(ref) if axes == (1, 0) else ref)
            else:
                args.append(ref if ref.rank == 0 else self.spread(ref, axes, rank))
        names = dict(zip(node.kernel.signature, PLACES, strict=False))
        return self.kernel(substitute(node.kernel.expr, names), args, rank)

    def kernel(self, expr: sp.Basic, args: list[Ref], rank: int) -> Ref:
        """A kernel, its functions of one argument as forms of their own."""
        if isinstance(expr, sp.Symbol):
            return args[PLACES.index(expr)]
        if isinstance(expr, sp.Pow) and expr.base in PLACES and expr.exp.is_Rational:
            base = args[PLACES.index(expr.base)]
            if rank == 0:
                return self.forms.scaled(ONE, [(base, expr.exp)], None)
            return self.forms.hadamard([(base, expr.exp)], rank)
        if isinstance(expr, STEP) and expr.args[1] == 0:
            positive = self.kernel(sp.Gt(expr.args[0], 0), args, rank)
            return self.bracket(positive)
        if isinstance(expr, sp.Mul) and not is_truth(expr):
            factors = [(self.kernel(arg, args, rank), ONE) for arg in expr.args]
            if rank == 0:
                return self.forms.scaled(ONE, factors, None)
            return self.forms.hadamard(factors, rank)
        if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 1:
            base = self.kernel(expr.base, args, rank)
            if rank == 0:
                return self.forms.scaled(ONE, [(base, expr.exp)], None)
            return self.forms.hadamard([(base, expr.exp)], rank)
        if expr.is_number and not is_truth(expr):
            return self.forms.number(expr)
        inner = [f for f in outer_functions(expr) if f != expr]
        args = list(args)
        names: dict[sp.Basic, sp.Basic] = {}
        for function in inner:
            (place,) = symbols_of(function)
            argument = args[PLACES.index(place)]
            reached = max(argument.rank, 0)
            moved = function.xreplace({place: PLACES[0]})
            names[function] = PLACES[len(args)]
            args.append(self.kernel(moved, [argument], reached))
        expr = expr.xreplace(names)
        used = [k for k in range(len(args)) if PLACES[k] in symbols_of(expr)]
        moved_places = {PLACES[k]: PLACES[n] for n, k in enumerate(used)}
        expr = substitute(expr, moved_places)
        return self.forms.kernel(expr, [args[k] for k in used], rank)

    def along_rows(self, word: str, operand: Node, axes: Axes, rank: int) -> Ref:
        """softmax and the like: over a vector, or along the rows of a matrix."""
        ref = self(operand)
        if rank == 1:
            return self.forms.apply("call", (ref,), 1, (word,))
        if len(axes) > 1:
            raise NotMatrix
        if axes == (0,):
            return flip(self.forms.apply("call", (flip(ref),), 2, (word,)))
        return self.forms.apply("call", (ref,), 2, (word,))

    def select(self, node: Select) -> Ref:
        """An indicator, or a choice entry by entry."""
        rank = len(node.shape)
        parts = []
        for operand, axes in zip(node.operands, node.axes, strict=True):
            ref = self(operand)
            if ref.rank == rank:
                parts.append(flip(ref) if axes == (1, 0) else ref)
            else:
                parts.append(ref if ref.rank == 0 else self.spread(ref, axes, rank))
        predicate, on_true, on_false = parts
        one, zero = self.forms.one, self.forms.number(sp.S.Zero)
        if on_true == one and on_false == zero:
            return self.bracket(predicate)
        if on_true == zero and on_false == one:
            return self.bracket(predicate, "not")
        turned = [flip(part) for part in parts]
        if rank == 2 and sum(x.cost for x in turned) < sum(x.cost for x in parts):
            return flip(self.forms.apply("where", turned, rank))
        return self.forms.apply("where", parts, rank)

    def bracket(self, predicate: Ref, *words: str) -> Ref:
        """1 where a predicate holds, else 0; the transpose is taken outside."""
        plain = self.forms.apply("bracket", (Ref(predicate.form),), predicate.rank, words)
        return flip(plain) if predicate.is_flipped else plain

    def reduction(self, node: Reduce) -> Ref:
        """A maximum, minimum, product or logsumexp."""
        (operand,) = node.operands
        if len(operand.shape) > 2:
            raise NotMatrix
        ref = self(operand)
        if len(operand.shape) == len(node.axes):
            return self.forms.apply("call", (ref,), 0, (node.kind,))
        rows = ref if node.axes == (1,) else flip(ref)
        return self.forms.apply("call", (rows,), 1, (f"row{node.kind}",))

    def matrix_function(self, node: LinOp) -> Ref:
        """An inverse, a determinant, a factor of a decomposition, ..."""
        (operand,) = node.operands
        if len(operand.shape) != 2 and node.kind != "inverse_gaps":
            return self.called(node)
        ref = self(operand)
        forms, base = self.forms, Ref(ref.form)
        is_symmetric = ref.form.is_symmetric
        if node.kind in ("inv", "pinv", "power", "expm"):
            exponent = {"inv": -1, "pinv": "+", "expm": "e"}.get(node.kind) or node.params[0]
            cost = FLIPPED_LEAF if exponent == -1 else FLIPPED_WHOLE
            raised = forms.apply(
                "raised", (base,), 2, (exponent,), is_symmetric=is_symmetric, flip_cost=cost
            )
            return flip(raised) if ref.is_flipped else raised
        if node.kind in ("logabsdet", "detsign"):
            is_positive = isinstance(operand, Var) and "spd" in operand.facts
            word = "log det" if is_positive else node.kind
            return forms.apply("call", (base,), 0, (word,))
        if node.kind == "right_singular":
            return flip(forms.apply("call", (ref,), 2, (node.kind,)))
        if node.kind in WORDS:
            word, rank = WORDS[node.kind]
            return forms.apply("call", (base if rank == 0 else ref,), rank, (word,))
        return forms.apply("call", (ref,), len(node.shape), (node.kind,))

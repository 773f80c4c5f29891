"""Array formulas as a person writes them: matrix algebra, indices, or differentials.

Conventions: vectors are columns, a gradient has the shape of its variable, softmax runs along the
rows of a matrix, `rowmax` and its like take each row, positions count from 1, and free indices
i, j, k, ... are the axes in order.  Parts written more than once are named; their definitions
follow in order of dependency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from diffkit import typeset as ts
from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.nodes import Add, Node, Var, topological
from diffkit.tensor.printing.form_algebra import Forms
from diffkit.tensor.printing.forms import Form, Ref
from diffkit.tensor.printing.label_graph import NotMatrix
from diffkit.tensor.printing.layout_differential import difference, paired, tangent
from diffkit.tensor.printing.layout_index import IndexWriter
from diffkit.tensor.printing.layout_letters import chosen_entry, letters_for, subscripted
from diffkit.tensor.printing.layout_matrix import Reader
from diffkit.tensor.printing.layout_nodes import DIFFERENTIAL
from diffkit.tensor.printing.naming import choose, names_for, order_of, written
from diffkit.tensor.printing.writing import Sums, Writer

FormName = Literal["matrix", "index", "differential"]

#: A short formula is padded to this width, so that definitions below each other line up.
COLUMN = 14

#: What stands before the definitions.
WHERE: Mapping[str, str] = {
    "text": "     where ",
    "latex": r" \quad \text{where } ",
    "typst": ' quad "where " ',
}

#: A formula with more leaves is called f on the left of its differential.
LONGEST_LEFT = 4


@dataclass(frozen=True)
class Layout:
    """A formula and the definitions of the names in it.

    Args:
        main: The formula.
        definitions: Relations such as `p = softmax(z)`, in order of dependency.
        indices: Letters of the free indices, one per axis, where it is written with indices.
    """

    main: ts.Node
    definitions: tuple[ts.Relation, ...] = ()
    indices: tuple[str, ...] = ()

    @property
    def tree(self) -> ts.Node:
        """All of it in one tree."""
        if not self.definitions:
            return self.main
        return ts.Row((self.main, ts.Text("\u2003where\u2003"), ts.Commas(self.definitions)))

    def show(self, style: ts.Style = "text") -> str:
        """Write it as "text", "latex", "typst" or "mathml"."""
        if not self.definitions or style not in WHERE:
            return ts.render(self.tree, style)
        main = ts.render(self.main, style)
        where = ", ".join(ts.render(each, style) for each in self.definitions)
        return f"{main:<{COLUMN if style == 'text' else 0}}{WHERE[style]}{where}"


def layout(
    node: Node,
    form: FormName = "matrix",
    *,
    wrt: Var | None = None,
    shape: Sequence[int] | None = None,
    sums: Sums = "word",
) -> Layout:
    """The layout of an array formula; what is no matrix algebra is written with indices.

    Args:
        node: The formula.
        form: Matrix algebra, sums over indices, or `df = tr(G' dX)` for a gradient G.
        wrt: For a differential, the variable X of which `node` is the gradient.
        shape: The array's shape where the node lacks axes along which it is constant.
        sums: Whether sums over all entries are `sum(x)` or products with ones.

    Raises:
        UsageError: a differential without `wrt`.
    """
    if shape is not None:
        node = _laid_out(node, shape)
    page = Page(node, sums)
    if form == "differential":
        if wrt is None:
            raise UsageError('form="differential" shows a gradient: say wrt= which variable')
        return page.of_gradient(node, wrt)
    return page.of(page.form(node, form))


def show(
    node: Node,
    style: ts.Style = "text",
    form: FormName = "matrix",
    *,
    wrt: Var | None = None,
    shape: Sequence[int] | None = None,
) -> str:
    """Write an array formula as "text", "latex", "typst" or "mathml"; see `layout`.

    >>> from diffkit.tensor import views
    >>> from diffkit.tensor.nodes import var
    >>> from diffkit.tensor.sweep import gradient
    >>> X, w, y = var("X", (6, 4)), var("w", (4,)), var("y", (6,))
    >>> residual = views.add(views.matmul(views.view(X), views.view(w)), views.view(y), -1)
    >>> loss = views.mean(views.power(residual, 2))
    >>> (found,) = gradient(views.dense(loss), [w])
    >>> print(show(found))
    1/3 Xᵀ(Xw − y)
    >>> print(show(found, form="differential", wrt=w))
    df = 1/3 (Xw − y)ᵀX dw
    """
    sums: Sums = "word" if style == "text" else "ones"
    return layout(node, form, wrt=wrt, shape=shape, sums=sums).show(style)


def differential(node: Node, variables: Sequence[Var], *, sums: Sums = "word") -> Layout:
    """The differential of a formula of any shape, by the product rule.

    Args:
        node: The formula.
        variables: The inputs that change; each gets a change dX of its shape.
        sums: As for `layout`.

    Raises:
        UsageError: no variable is given.

    >>> from diffkit.tensor.nodes import var
    >>> from diffkit.tensor.partials import inverse
    >>> X = var("X", (3, 3))
    >>> print(differential(inverse(X), [X]).show())
    d(X⁻¹) = −X⁻¹ dX X⁻¹
    """
    return Page(node, sums).of_differential(node, variables)


def _laid_out(node: Node, shape: Sequence[int]) -> Node:
    rank, full = len(node.shape), len(shape)
    axes = tuple(range(full - rank, full))
    return build.spread(node, axes, shape)


class Page:
    """One formula while it is laid out."""

    def __init__(self, node: Node, sums: Sums) -> None:
        self.sums = sums
        self.taken = names_in(node)
        self.forms = Forms(self.taken)
        self.reader = Reader(self.forms)

    def form(self, node: Node, kind: FormName = "matrix") -> Ref:
        """The form of a node; a node that is no matrix algebra is written with indices."""
        if kind == "matrix":
            try:
                return self.reader.root(node)
            except NotMatrix:
                pass
        return self.reader.index_form(node)

    def of(self, root: Ref) -> Layout:
        """A form with its definitions."""
        chosen = choose(root, order_of([root]))
        names = names_for(chosen, self.taken)
        taken = self.taken | frozenset(names.values())
        write = Writer(self.forms, names, taken, self.sums)
        definitions = [self.definition(form, names, write) for form in chosen]
        if root.form.op != "indexed":
            main, letters = write.body(root), ()
        else:
            letters = letters_for(root.rank, taken)
            main = self.with_indices(root.form, letters, write)
        return Layout(main, _needed(main, definitions), letters)

    def definition(self, form: Form, names: Mapping[Form, str], write: Writer) -> ts.Relation:
        """`name = what it stands for`."""
        name = ts.Name(names[form])
        if form.op == "selection":
            letters = letters_for(2, write.taken)
            return ts.relation(subscripted(name, letters), "=", chosen_entry(form, letters))
        if form.op != "indexed":
            return ts.relation(name, "=", write.definition(form))
        letters = letters_for(form.rank, write.taken)
        return ts.relation(subscripted(name, letters), "=", self.with_indices(form, letters, write))

    def with_indices(self, form: Form, letters: tuple[str, ...], write: Writer) -> ts.Node:
        """The entry of a form at some indices."""
        node = self.reader.indexed[form]
        return IndexWriter(node, self.reader, write, write.taken).entry(node, letters, letters)

    def of_gradient(self, gradient: Node, wrt: Var) -> Layout:
        """df for the gradient of a number f."""
        whole = self.of(paired(self.forms, self.form(gradient), wrt))
        left = difference(ts.Name("f" if "f" not in self.taken else "L"))
        return Layout(ts.relation(left, "=", whole.main), whole.definitions)

    def of_differential(self, node: Node, variables: Sequence[Var]) -> Layout:
        """d of a formula."""
        found = self.of(self.form(tangent(node, variables)))
        main, letters = found.main, found.indices
        plain = self.form(node)
        is_short = plain.form.op != "indexed" and written(plain.form, ()) <= LONGEST_LEFT
        letter = "F" if len(node.shape) > 1 else "f"
        body = self.of(plain).main if is_short and not letters else ts.Name(letter)
        left = difference(body)
        if letters:
            left = subscripted(left, letters)
        return Layout(ts.relation(left, "=", main), found.definitions, letters)


def names_in(node: Node) -> frozenset[str]:
    """Names of inputs, and of size symbols in coefficients."""
    found: set[str] = set()
    for part in topological(node):
        if isinstance(part, Var) and DIFFERENTIAL not in part.facts:
            found.add(part.name)
        elif isinstance(part, Add):
            for coefficient in part.coefficients:
                found |= {s.name for s in coefficient.free_symbols if isinstance(s, sp.Symbol)}
    return frozenset(found)


def _needed(main: ts.Node, definitions: Sequence[ts.Relation]) -> tuple[ts.Relation, ...]:
    """The definitions that the formula uses, directly or through others."""
    used = _names_of(main)
    kept: list[ts.Relation] = []
    for definition in reversed(definitions):
        left, right = definition.operands
        if _names_of(left) & used:
            kept.append(definition)
            used |= _names_of(right)
    return tuple(reversed(kept))


def _names_of(tree: ts.Node) -> set[str]:
    found: set[str] = set()
    seen: set[int] = set()
    stack: list[ts.Node] = [tree]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, ts.Name):
            found.add(part.text)
        stack.extend(child for child in part.children if child is not None)
    return found

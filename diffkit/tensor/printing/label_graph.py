"""A product over labels as matrix algebra: labels are vertices, matrices the edges between them.

Vectors sit on vertices.  A summed vertex with one edge is a matrix times a vector, with two
edges a product of matrices, two edges between the same vertices are an entrywise product or, when
both are summed, a trace.  What is left when no rule applies is no matrix algebra.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp

from diffkit.tensor.nodes import Labels
from diffkit.tensor.printing.form_algebra import Forms
from diffkit.tensor.printing.forms import ONE, Form, Ref, flip, links


class NotMatrix(Exception):
    """The formula is no matrix algebra; it is written with indices."""


@dataclass(frozen=True, eq=False)
class Edge:
    """A matrix with rows along `row` and columns along `column`."""

    row: int
    column: int
    ref: Ref

    def into(self, label: int) -> Ref:
        """The matrix whose columns run along `label`."""
        return self.ref if self.column == label else flip(self.ref)

    def other(self, label: int) -> int:
        """The label at the other end."""
        return self.row if self.column == label else self.column


class LabelGraph:
    """One product while it is read.

    Args:
        forms: Makes the forms.
        factors: Refs of rank 0, 1 and 2, with their labels.
        out: Labels of the result, at most two.
        sizes: Length of the axis behind every label.
    """

    def __init__(
        self,
        forms: Forms,
        factors: Sequence[tuple[Ref, Labels]],
        out: Labels,
        sizes: dict[int, int],
    ) -> None:
        self.forms, self.out, self.sizes = forms, out, sizes
        self.scalars = [ref for ref, labels in factors if not labels]
        self.edges = [Edge(*labels, ref) for ref, labels in factors if len(labels) == 2]
        self.marks: dict[int, list[Ref]] = {}
        self.summed = [label for label in sizes if label not in out]
        for ref, labels in factors:
            if len(labels) == 1:
                self.mark(labels[0], ref)

    def mark(self, label: int, ref: Ref) -> None:
        """Put a vector on a label."""
        self.marks.setdefault(label, []).append(Ref(ref.form))

    def at(self, label: int) -> list[Edge]:
        """The edges at a label."""
        return [edge for edge in self.edges if label in (edge.row, edge.column)]

    def read(self) -> Ref:
        """The product as a form.

        Raises:
            NotMatrix: it is none.
        """
        rules: tuple[Callable[[], bool], ...] = (
            self.select,
            self.close,
            self.absorb,
            self.chain,
            self.cycle,
            self.merge,
        )
        while any(rule() for rule in rules):
            pass
        if any(label in self.marks or self.at(label) for label in self.summed):
            raise NotMatrix
        return self.forms.scaled(ONE, [(s, ONE) for s in self.scalars], self.body())

    # rules ----------------------------------------------------------------------------------------

    def select(self) -> bool:
        """A selection of entries: a slice of what it is applied to."""
        for edge in self.edges:
            if edge.ref.form.op != "selection":
                continue
            step, start, length, _ = edge.ref.form.params
            source, target = edge.row, edge.column
            others = [e for e in self.at(source) if e is not edge]
            marks = self.marks.get(source, [])
            if source in self.out or len(others) + len(marks) != 1:
                continue
            self.edges.remove(edge)
            span = (start, start + step * (length - 1), step)
            if marks:
                del self.marks[source]
                self.mark(target, self.forms.apply("slice", marks, 1, (0, *span)))
            else:
                (other,) = others
                self.edges.remove(other)
                far = other.other(source)
                rows = flip(other.into(source))  # rows along the source
                sliced = self.forms.apply(
                    "slice", (Ref(rows.form),), 2, (int(rows.is_flipped), *span)
                )
                sliced = flip(sliced) if rows.is_flipped else sliced
                self.edges.append(Edge(target, far, sliced))
            return True
        return False

    def close(self) -> bool:
        """A summed label with vectors only; an edge from a label to itself."""
        for edge in self.edges:
            if edge.row == edge.column:
                self.edges.remove(edge)
                label = edge.row
                if label in self.summed and not self.at(label) and label not in self.marks:
                    self.scalars.append(self.forms.trace(edge.ref))
                else:
                    self.mark(label, self.forms.apply("call", (Ref(edge.ref.form),), 1, ("diag",)))
                return True
        for edge in self.edges:
            ends = (edge.row, edge.column)
            is_free = all(k in self.summed and k not in self.marks for k in ends)
            if is_free and all(self.at(k) == [edge] for k in ends):
                self.edges.remove(edge)
                size = self.sizes[edge.row] * self.sizes[edge.column]
                self.scalars.append(total(self.forms, edge.ref, size))
                return True
        for label in self.summed:
            if label in self.marks and not self.at(label):
                self.scalars.append(self.dot(self.marks.pop(label), self.sizes[label]))
                return True
        return False

    def dot(self, vectors: list[Ref], size: int) -> Ref:
        """The sum over the entries of a product of vectors."""
        forms = self.forms
        if len(vectors) == 1:
            return total(forms, vectors[0], size)
        units = [v for v in vectors if v.form.op == "unit"]
        if units:
            others = list(vectors)
            others.remove(units[0])
            whole = forms.hadamard([(v, ONE) for v in others], 1)
            inner = forms.split(whole)
            if inner.body is not None:
                entry = forms.apply("entry", (inner.body,), 0, units[0].form.params)
                return forms.scaled(inner.coefficient, [*inner.scalars, (entry, ONE)], None)
        first, *rest = sorted(vectors, key=lambda v: (v.form.op != "leaf", v.key))
        return forms.product([flip(first), forms.hadamard([(v, ONE) for v in rest], 1)])

    def vector(self, label: int) -> Ref | None:
        """The product of the vectors on a label, which it loses."""
        found = self.marks.pop(label, None)
        return None if found is None else self.forms.hadamard([(v, ONE) for v in found], 1)

    def absorb(self) -> bool:
        """A summed label with one edge: matrix times vector."""
        for label in self.summed:
            found = self.at(label)
            if len(found) == 1:
                (edge,) = found
                self.edges.remove(edge)
                vector = self.vector(label) or self.forms.ones
                self.mark(edge.other(label), self.applied(edge.into(label), vector))
                return True
        return False

    def applied(self, matrix: Ref, vector: Ref) -> Ref:
        """A matrix times a vector: a column of it, sums up to each entry, or the product."""
        forms = self.forms
        if vector.form.op == "unit" and matrix.form is not forms.identity.form:
            axis = 0 if matrix.is_flipped else 1
            return forms.apply("entry", (Ref(matrix.form),), 1, (*vector.form.params, axis))
        if matrix.form.op == "selection" and not matrix.is_flipped:
            padded = self.padded(matrix.form, vector)
            if padded is not None:
                return padded
        if matrix.form.op == "mask" and matrix.form.params == (0,):
            word = "reversed_cumsum" if matrix.is_flipped else "cumsum"
            inner = forms.split(vector)
            if inner.body is not None and inner.body != forms.ones:
                summed = forms.apply("call", (inner.body,), 1, (word,))
                return forms.scaled(inner.coefficient, inner.scalars, summed)
        return forms.product([matrix, vector])

    def padded(self, selection: Form, vector: Ref) -> Ref | None:
        """A vector between zeros."""
        step, start, length, whole = selection.params
        inner = self.forms.split(vector)
        if step != 1 or inner.body is None:
            return None
        zeros = (start, length, whole - start - length)
        pad = self.forms.apply("pad", (inner.body,), 1, zeros)
        return self.forms.scaled(inner.coefficient, inner.scalars, pad)

    def chain(self) -> bool:
        """A summed label between two others: a product of matrices."""
        for label in self.summed:
            found = self.at(label)
            if len(found) != 2 or found[0].other(label) == found[1].other(label):
                continue
            self.edges = [edge for edge in self.edges if edge not in found]
            left, right = found
            joined = self.joined(left.into(label), label, flip(right.into(label)))
            self.edges.append(Edge(left.other(label), right.other(label), joined))
            return True
        return False

    def joined(self, left: Ref, label: int, right: Ref) -> Ref:
        """Two matrices that meet at a label, with the vectors on it between them."""
        vector = self.vector(label)
        middle = [] if vector is None else [self.diagonal(vector)]
        return self.forms.product([left, *middle, right])

    def cycle(self) -> bool:
        """Two edges between two summed labels that carry nothing else: a trace."""
        for label in self.summed:
            found = self.at(label)
            if len(found) != 2:
                continue
            left, right = found
            other = left.other(label)
            if other not in self.summed or len(self.at(other)) != 2:
                continue
            self.edges = [edge for edge in self.edges if edge not in found]
            chain = [self.joined(left.into(label), label, flip(right.into(label)))]
            vector = self.vector(other)
            if vector is not None:
                chain.insert(0, self.diagonal(vector))
            self.scalars.append(self.forms.trace(self.forms.product(chain)))
            return True
        return False

    def merge(self) -> bool:
        """Edges between the same labels: an entrywise product."""
        for edge in self.edges:
            pair = {edge.row, edge.column}
            same = [e for e in self.edges if {e.row, e.column} == pair]
            if len(same) > 1:
                self.edges = [e for e in self.edges if e not in same]
                refs = [(e.into(edge.column), ONE) for e in same]
                self.edges.append(Edge(edge.row, edge.column, self.entrywise(refs)))
                return True
        return False

    def distributed(self, vector: Ref, matrix: Ref) -> Ref | None:
        """diag(u) (I - 1 v') = diag(u) - u v', where every term of the sum is of this kind."""
        inner = self.forms.split(matrix)
        if inner.body is None or inner.body.form.op != "sum":
            return None
        terms = []
        for c, term in zip(inner.body.form.params, inner.body.form.args, strict=True):
            ref = flip(term) if inner.body.is_flipped else term
            first, *rest = links(ref)
            if ref == self.forms.identity:
                terms.append((c, self.diagonal(vector)))
            elif first == self.forms.ones and rest:
                terms.append((c, self.forms.product([vector, *rest])))
            else:
                return None
        whole = self.forms.sum(terms, 2)
        return self.forms.scaled(inner.coefficient, inner.scalars, whole)

    def entrywise(self, refs: list[tuple[Ref, sp.Expr]]) -> Ref:
        """The entrywise product of matrices; with the identity it is a diagonal."""
        eye = self.forms.identity
        rest = [p for p in refs if p[0] != eye]
        if len(rest) == len(refs):
            return self.forms.hadamard(refs, 2)
        if not rest:
            return eye
        core = self.forms.hadamard(rest, 2)
        return self.diagonal(self.forms.apply("call", (Ref(core.form),), 1, ("diag",)))

    def diagonal(self, vector: Ref) -> Ref:
        """diag(v); numbers in front of v come out."""
        inner = self.forms.split(vector)
        body = inner.body if inner.body is not None else self.forms.ones
        if body == self.forms.ones:
            return self.forms.scaled(inner.coefficient, inner.scalars, self.forms.identity)
        matrix = self.forms.apply("call", (body,), 2, ("diag",), is_symmetric=True)
        return self.forms.scaled(inner.coefficient, inner.scalars, matrix)

    # what is left ---------------------------------------------------------------------------------

    def body(self) -> Ref | None:
        """What the labels of the result carry."""
        if not self.out:
            return None
        if len(self.out) == 1:
            return self.vector(self.out[0]) or self.forms.ones
        row, column = self.out
        edges = self.at(row)
        left, right = self.vector(row), self.vector(column)
        if not edges:
            return self.forms.product([left or self.forms.ones, flip(right or self.forms.ones)])
        matrix = edges[0].into(column)
        if matrix == self.forms.identity and left is not None and right is not None:
            left, right = self.forms.hadamard([(left, ONE), (right, ONE)], 1), None
        if left is not None and right is None:
            scaled_rows = self.distributed(left, matrix)
            if scaled_rows is not None:
                return scaled_rows
        if right is not None and left is None:
            scaled_rows = self.distributed(right, flip(matrix))
            if scaled_rows is not None:
                return flip(scaled_rows)
        chain = [matrix]
        if left is not None and left != self.forms.ones:
            chain.insert(0, self.diagonal(left))
        if right is not None and right != self.forms.ones:
            chain.append(self.diagonal(right))
        return self.forms.product(chain)


def total(forms: Forms, ref: Ref, size: int) -> Ref:
    """The sum of all entries; of absolute values it is a norm."""
    inner = forms.split(ref)
    body = inner.body
    if body is None or body == forms.ones:
        return forms.scaled(inner.coefficient * size, inner.scalars, None)
    form = body.form
    if form.op == "sum" and body.rank == 1 and any(x.form.op == "scaled" for x in form.args):
        terms = zip(form.params, form.args, strict=True)
        whole = forms.sum([(c, total(forms, x, size)) for c, x in terms], 0)
        return forms.scaled(inner.coefficient, [*inner.scalars, (whole, ONE)], None)
    is_abs = form.op == "kernel" and isinstance(form.params[0], sp.Abs)
    if is_abs and form.params[0].args[0].is_Symbol and body.rank == 1:
        core = forms.norm(form.args[0], "1")
    elif form.op == "hadamard" and form.params == (2,):
        core = forms.scaled(ONE, ((forms.norm(form.args[0]), sp.Integer(2)),), None)
    else:
        core = forms.apply("mean", (Ref(form),), 0, (size,))
        core = forms.scaled(sp.Integer(size), ((core, ONE),), None)
    return forms.scaled(inner.coefficient, [*inner.scalars, (core, ONE)], None)

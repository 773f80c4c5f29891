r"""LaTeX as papers print it to arrays, without eval: factors beside each other are matrices.

Vectors are columns, x^\top a row; `x_i` is entry i of a vector and row i of a matrix, also of the
matrix that has the capital letter; X^2 is a product of square matrices, x^{\odot 2} of entries.
Names map to Python's by spelling: \theta is theta, W_1 is W_1 or W1, \hat y is y_hat.
Where papers differ, `Reading.notes` says how a sign was read and `Reading.choices` what else it
can mean.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import NoReturn

from diffkit.core.errors import ParseError
from diffkit.symbolic.names import CALLEES
from diffkit.symbolic.tokens import visible
from diffkit.tensor.notation import latex_indices as ix
from diffkit.tensor.notation import latex_operations as ops
from diffkit.tensor.notation import open_array as oa
from diffkit.tensor.notation import open_matrices as om
from diffkit.tensor.notation.latex_definitions import (
    read_definitions,
)
from diffkit.tensor.notation.latex_grammar import parse
from diffkit.tensor.notation.latex_pieces import split_pieces
from diffkit.tensor.notation.latex_symbols import SymbolReader
from diffkit.tensor.notation.latex_tokens import tokenise
from diffkit.tensor.notation.lengths import Length
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.notation.reading import Reading, Sizes, settle
from diffkit.tensor.notation.scalar_latex import read_scalar_latex
from diffkit.tensor.notation.syntax import SIZE_NAMES, Token, Tree, not_too_deep
from diffkit.tensor.views import View

__all__ = ["read_latex", "read_scalar_latex"]


def read_latex(
    text: str,
    names: Mapping[str, View],
    *,
    constants: Mapping[str, int] | None = None,
    shape: Sequence[int] | None = None,
    choices: Mapping[str, str] | None = None,
) -> Reading:
    r"""Read a formula of arrays written in LaTeX.

    Args:
        text: At most 10 000 characters: a formula, or an equation whose left side names the free
            indices (H_{ijkl} = ...), then definitions after commas or \text{where}.
        names: The arrays it may name.
        constants: Values of size symbols, and of other whole numbers such as an exponent k.
        shape: Shape that is asked for; it settles the size of a bare `I`.
        choices: Meanings other than the first of `Reading.choices`: {"exp": "entries"}.

    Returns:
        The array with what was open in its text.

    Raises:
        ParseError: the text is no formula, or shapes do not fit; a caret shows where.
        UnknownNameError: a name stands for nothing.

    >>> from diffkit.tensor.nodes import var
    >>> from diffkit.tensor.views import view
    >>> names = {"X": view(var("X", (5, 3))), "w": view(var("w", (3,)))}
    >>> read_latex(r"\frac1n\sum_{i=1}^n (x_i^\top w)^2", names).fixed
    {'n': 5}
    """
    tokens = tokenise(text)
    pieces = split_pieces(text, tokens)
    reader = _LatexReader(text, names, Sizes(constants or {}), dict(choices or {}))
    reader.ends = ix.ends_of_sums(tokens)
    reader.definitions = read_definitions(text, pieces[1:], names)
    result, view = not_too_deep(text, lambda: reader.result(pieces[0], shape))
    return Reading(
        view=view,
        sizes=reader.sizes.open_symbols(),
        fixed=reader.sizes.fixed(),
        indices=result.indices,
        notes=tuple(reader.notes),
        choices=dict(reader.open_choices),
        again=lambda values: read_latex(
            text,
            names,
            constants={**(constants or {}), **values},
            shape=shape,
            choices=choices,
        ),
    )


class _LatexReader(SymbolReader):
    """Computes the array of a tree; `build_<kind>` reads one kind of it."""

    # the whole formula ----------------------------------------------------------------------------

    def result(
        self, sides: Sequence[Sequence[Token]], shape: Sequence[int] | None
    ) -> tuple[OpenArray, View]:
        """The array of the formula and its view."""
        self.rank = None if shape is None else len(shape)
        found = settle(self.formula(sides), shape)
        return found, self.settled(found)

    def formula(self, sides: Sequence[Sequence[Token]]) -> OpenArray:
        """The right side of an equation, its indices in the order of the left side."""
        if len(sides) > 2:
            raise ParseError(
                "one equation has one =; give the right side that is claimed",
                visible(self.text),
                sides[2][0].position,
            )
        if len(sides) == 2:
            found = ix.left_letters(sides[0], list(self.names))
            self.letters.declared = found or None
            self.tie_left(sides[0])
        tree = parse(self.text, sides[-1], self.known)
        result = oa.numeric(self.value(tree))
        return ix.ordered(self, result, tree)

    def tie_left(self, tokens: Sequence[Token]) -> None:
        r"""Take lengths of indices from arrays on the left side: \partial X_{kl}."""
        for place, token in enumerate(tokens[:-2]):
            if token.text not in self.names or tokens[place + 1].text != "_":
                continue
            letters = ix.left_letters([token, *tokens[place + 1 :]][:6], list(self.names))
            shape = self.names[token.text].shape
            if len(letters) >= len(shape):
                for letter, length in zip(letters, shape, strict=False):
                    own = self.letters.length(letter, token.position)
                    if own.value is None:
                        oa.tie(own, Length(length))

    def settled(self, result: OpenArray) -> View:
        """The view of the result, once every length is known."""
        ops.settle_factorisations(self.factorisations)
        for length in (*self.open, *self.letters.free.values()):
            if length.value is None:
                remedy = "give it a size, such as I_n or \\mathbf{1}_n"
                if length.name in SIZE_NAMES:
                    remedy = f"give a value of {length.name}"
                raise ParseError(
                    f"the size of {length.name} does not follow from the formula; {remedy}",
                    visible(self.text),
                    length.position,
                )
        return result.make()

    # operators ------------------------------------------------------------------------------------

    def build_sum(self, tree: Tree) -> OpenArray:
        first, *rest = tree.args
        terms = [(-1, first.args[0]) if first.kind == "negate" else (1, first)]
        signs = (-1 if op == "-" else 1 for op in tree.operators)
        terms += list(zip(signs, rest, strict=True))
        values = [(sign, self.value(term)) for sign, term in terms]
        if any(x.shape for _, x in values):
            for _, term in terms:
                self.refuse_pi(term)
        return ops.total(self, values)

    def build_negate(self, tree: Tree) -> OpenArray:
        return self.negative(self.value(tree.args[0]))

    def negative(self, x: OpenArray) -> OpenArray:
        return oa.total([(-1, x)])

    def build_juxtapose(self, tree: Tree) -> OpenArray:
        self.refuse_differentials(tree)
        factors = [self.value(tree.args[0])]
        for factor in tree.args[1:]:
            is_one = factor.kind == "number" and factor.value == 1
            factors.append(self.build_ones(factor) if is_one else self.value(factor))
        result = factors[0]
        for factor, x in zip(tree.args[1:], factors[1:], strict=True):
            result = self.located(factor, lambda result=result, x=x: om.product(result, x))
        return ix.contracted(self, result, factors, tree)

    def refuse_differentials(self, tree: Tree) -> None:
        """Refuse dX, which would be a size d times X."""
        for left, right in pairwise(tree.args):
            is_d = left.kind == "symbol" and left.name == "d" and self.named(left) is None
            if is_d and "d" not in self.sizes.values and right.position == left.position + 1:
                self.fail("a differential is not read; give the gradient, or write d\\,x", left)

    def build_denominator(self, tree: Tree) -> OpenArray:
        factors = [self.value(arg) for arg in tree.args]
        if any(x.rank for x in factors):
            self.fail("what stands under / is unclear; write \\frac or parentheses", tree)
        return reduce(oa.multiply, factors)

    def build_chain(self, tree: Tree) -> OpenArray:
        result = self.value(tree.args[0])
        factors = [result]
        for operator, arg in zip(tree.operators, tree.args[1:], strict=True):
            if operator == "odot":
                for side in (arg, tree.args[0]):
                    self.refuse_pi(side)
            x = self.value(arg)
            rule = {
                "odot": ops.hadamard,
                "oslash": ops.entry_quotient,
                "cdot": ops.dot,
                "times": ops.scaled,
                "otimes": lambda a, b: ops.kron(self, a, b),
                ":": om.inner,
                "/": lambda a, b: ops.quotient(self, a, b),
                "": om.product,
            }[operator]
            result = self.located(arg, lambda rule=rule, a=result, b=x: rule(a, b))
            factors.append(x)
        return ix.contracted(self, result, factors, tree)

    def refuse_pi(self, tree: Tree) -> None:
        """A number 3.14 where an array stands is a policy that nobody gave."""
        if tree.kind == "symbol" and tree.name == "pi" and self.named(tree) is None:
            raise self.unknown(tree)

    def build_fraction(self, tree: Tree) -> OpenArray:
        return ops.quotient(self, *(self.value(arg) for arg in tree.args))

    def build_root(self, tree: Tree) -> OpenArray:
        inner, order = tree.args
        return ops.root(self.value(inner), None if order is None else self.value(order))

    def build_power(self, tree: Tree) -> OpenArray:
        base, exponent = tree.args
        result = ops.power(self, self.value(base), self.value(exponent))
        return om.transpose(result) if tree.operators else result

    def build_entry_power(self, tree: Tree) -> OpenArray:
        return oa.power(*(self.value(arg) for arg in tree.args))

    def build_exponential(self, tree: Tree) -> OpenArray:
        return ops.exponential(self.value(tree.args[0]))

    def build_marks(self, tree: Tree) -> OpenArray:
        base, marks = tree.args[0], list(tree.operators)
        if marks[0] in ("star", "prime"):
            head = Tree("marks", tree.position, args=(base,), operators=(marks.pop(0),))
            result = self.starred(head)
        elif base.kind == "number" and base.value == 1 and marks[0] == "T":
            result = self.build_ones(base)
        else:
            self.refuse_pi(base)
            result = self.value(base)
        for mark in marks:
            result = self.marked(result, mark, tree)
        return result

    def starred(self, tree: Tree) -> OpenArray:
        """A name with a star or prime; the prime of an array without such a name transposes."""
        found = self.named(tree)
        if found is not None:
            return found
        base = self.value(tree.args[0]) if tree.operators == ("prime",) else None
        if base is None or not base.rank:
            raise self.unknown(tree)
        self.note("the prime of an array is its transpose")
        return om.transpose(base)

    def marked(self, x: OpenArray, mark: str, tree: Tree) -> OpenArray:
        is_entry = tree.args[0].kind == "subscript" and not x.rank and bool(x.indices)
        if mark == "T":
            if not x.rank and "T" in self.names:
                return oa.power(x, oa.given(self.names["T"]))
            if is_entry:
                self.fail("write (X^\\top)_{ij} for an entry of the transpose", tree)
            if x.rank > 2:
                self.fail("an array of more than two axes is transposed by its indices", tree)
            return om.transpose(x)
        if mark == "inv":
            if is_entry and len(x.indices) > 1:
                self.fail("write (X^{-1})_{ij} or 1/X_{ij}: this can mean both", tree)
            return ops.inverse(self, x)
        if mark == "pinv":
            return ops.pseudo_inverse(x)
        raise self.unknown(tree)

    # brackets and functions -----------------------------------------------------------------------

    def build_group(self, tree: Tree) -> OpenArray:
        (inner,) = tree.args
        if inner.kind == "compare":
            return oa.numeric(self.condition(inner))
        return self.value(inner)

    def build_iverson(self, tree: Tree) -> OpenArray:
        return oa.numeric(self.condition(tree.args[0]))

    def build_compare(self, tree: Tree) -> NoReturn:
        self.fail("a condition is no value; write \\mathbf 1[x > 0]", tree)

    def build_tuple(self, tree: Tree) -> NoReturn:
        self.fail("a comma only separates the arguments of a function", tree)

    def build_otherwise(self, tree: Tree) -> NoReturn:
        self.fail("otherwise only stands in cases", tree)

    def build_inner(self, tree: Tree) -> OpenArray:
        return om.inner(*(self.value(arg) for arg in tree.args))

    def build_norm(self, tree: Tree) -> OpenArray:
        return ops.norm(self, self.value(tree.args[0]), tree.extra)

    def build_abs(self, tree: Tree) -> OpenArray:
        return ops.bars(self, self.value(tree.args[0]))

    def build_matrix(self, tree: Tree) -> OpenArray:
        def cell(inner: Tree) -> OpenArray | None:
            is_zero = inner.kind == "zeros" or (inner.kind == "number" and not inner.value)
            return None if is_zero else self.value(inner)

        return ops.written([[cell(inner) for inner in row] for row in tree.args])

    def build_cases(self, tree: Tree) -> OpenArray:
        *rows, last = tree.args
        if len(last) != 2 or last[1].kind != "otherwise":
            self.fail("cases end with a value for \\text{otherwise}", tree)
        result = self.value(last[0])
        for row in reversed(rows):
            if len(row) != 2:
                self.fail("a case is a value and a condition", tree)
            result = oa.choose(self.condition(row[1]), self.value(row[0]), result)
        return result

    def build_big(self, tree: Tree) -> OpenArray:
        return ix.big_operator(self, tree)

    def build_call(self, tree: Tree) -> OpenArray:
        name, args = tree.name, tree.args
        if name == "log" and not tree.extra:
            inner = _unwrapped(args[0])
            if inner.kind == "call" and inner.name == "det" and not inner.operators:
                return om.determinant(self.value(inner.args[0]), "logabsdet")
        values = [self.value(arg) for arg in args]
        if name == "log" and len(args) == 1 and _unwrapped(args[0]).kind == "abs":
            inner = _unwrapped(_unwrapped(args[0]).args[0])
            if inner.kind == "call" and inner.name == "det":
                return om.determinant(self.value(inner.args[0]), "logabsdet")
            matrix = self.value(inner)
            if om.is_square(matrix) and self.choices.get("bars") != "entries":
                return om.determinant(matrix, "logabsdet")
        if tree.operators and name not in CALLEES:
            self.fail(f"the derivative of {name} is not read; give its value", tree)
        if name == "log" and tree.extra:
            base = self.value(self.parsed(tree.extra, tree))
            above, below = (ops.scalar_call(self, "log", [x], 0) for x in (*values[:1], base))
            return oa.divide(above, below)
        return self.called(name, values, tree)

    def called(self, name: str, values: list[OpenArray], tree: Tree) -> OpenArray:
        """A function of values."""
        forms: Mapping[str, Callable[[], OpenArray]] = {
            "det": lambda: om.determinant(values[0]),
            "trace": lambda: om.trace(*values),
            "inv": lambda: ops.inverse(self, *values),
            "vec": lambda: ops.vec(self, *values),
            "mat": lambda: ops.mat(self, *values, tree.position),
            "diag": lambda: ops.diag(*values),
        }
        if name in forms:
            if len(values) != 1:
                self.fail(f"{name} takes 1 argument, not {len(values)}", tree)
            return forms[name]()
        if name == "exp" and len(values) == 1 and om.is_square(values[0]):
            chosen = "matrix" if values[0].blocks else self.choose("exp", ("matrix", "entries"))
            if chosen == "matrix" and not tree.operators:
                return ops.exponential(values[0])
        is_scalar = name in CALLEES and not (name in ("max", "min") and len(values) == 1)
        if is_scalar:
            return ops.scalar_call(self, name, values, len(tree.operators))
        return ops.array_call(name, values)


def _unwrapped(tree: Tree) -> Tree:
    while tree.kind == "group":
        (tree,) = tree.args
    return tree

"""From forms to the layout tree, one rule per kind of form.

Every form is laid out once, a named one as its name.  The rules are in `writing_rules`; here is
what several of them share: numbers in front of a chain, sums, kernels.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import sympy as sp

from diffkit import typeset as ts
from diffkit.tensor.printing.form_algebra import Forms
from diffkit.tensor.printing.forms import HALF, ONE, PLACES, Form, Power, Ref, Split, flip
from diffkit.tensor.printing.layout_kernel import kernel_layout
from diffkit.tensor.printing.layout_products import (
    Piece,
    entrywise,
    exact,
    fenced,
    map_fenced,
    negated,
    powered,
    quotient,
    raised_to,
    times,
)
from diffkit.tensor.printing.writing_rules import FLIPPED, RULES
from diffkit.tensor.substitute import substitute

#: How a sum over all entries is written: `sum(x)`, or with the vector of ones.
Sums = Literal["word", "ones"]

#: A product this long stays out of a numerator.
LONGEST_NUMERATOR = 3


class Writer:
    """Lays forms out.

    Args:
        forms: Where they were made.
        names: Name of each form that has one.
        taken: Names that function letters must avoid.
        sums: How sums over all entries are written.
    """

    def __init__(
        self, forms: Forms, names: Mapping[Form, str], taken: frozenset[str], sums: Sums = "word"
    ) -> None:
        self.forms, self.names, self.taken, self.sums = forms, names, taken, sums
        self._done: dict[Ref, ts.Node] = {}
        self._open: Ref | None = None  # the chain whose definition is being written

    def __call__(self, ref: Ref) -> ts.Node:
        """The layout of a part; a named one is its name."""
        if ref not in self._done:
            if ref.form in self.names:
                name = ts.Name(self.names[ref.form])
                self._done[ref] = ts.Transpose(name) if ref.is_flipped else name
            else:
                self._done[ref] = self.body(ref)
        return self._done[ref]

    def body(self, ref: Ref) -> ts.Node:
        """The layout of a part in full."""
        if not ref.is_flipped:
            return RULES[ref.form.op](self, ref.form)
        rule = FLIPPED.get(ref.form.op)
        found = rule(self, ref.form) if rule is not None else None
        return found if found is not None else ts.Transpose(self(Ref(ref.form)))

    def definition(self, form: Form) -> ts.Node:
        """The layout of a named part in full."""
        self._open = Ref(form)
        tree = self.body(Ref(form))
        self._open = None
        return tree

    # chains with numbers in front -----------------------------------------------------------------

    def chain(self, ref: Ref) -> list[ts.Node]:
        """The factors of a chain, chains without a name opened."""
        form = ref.form
        if form.op != "product" or (form in self.names and ref != self._open):
            return [fenced(self(ref))]
        factors: list[ts.Node] = []
        for run in self.runs(ref):
            (link, count) = run
            if count > 1:
                factors.append(self.matrix_power(link, count))
            else:
                factors.append(fenced(self(link)))
        return factors

    def runs(self, ref: Ref) -> list[tuple[Ref, int]]:
        """The links of a chain, equal neighbours counted."""
        found: list[tuple[Ref, int]] = []
        for link in self.links(ref):
            if found and found[-1][0] == link and link.rank == 2:
                found[-1] = (link, found[-1][1] + 1)
            else:
                found.append((link, 1))
        return found

    def links(self, ref: Ref) -> list[Ref]:
        """The links of a chain; chains with a name stay closed."""
        form = ref.form
        if form.op != "product" or (form in self.names and ref != self._open):
            return [ref]
        args = tuple(map(flip, reversed(form.args))) if ref.is_flipped else form.args
        return [link for arg in args for link in self.links(arg)]

    def matrix_power(self, ref: Ref, count: int) -> ts.Node:
        """X X X as a power."""
        form, exponent = ref.form, count
        if form.op == "raised" and form.params == (-1,) and form not in self.names:
            form, exponent = form.args[0].form, -count
        tree = ts.Superscript(fenced(self(Ref(form))), exact(sp.Integer(exponent)))
        return ts.Transpose(tree) if ref.is_flipped else tree

    def term(self, split: Split) -> ts.Node:
        """coefficient * scalars * body."""
        coefficient, scalars, body = split
        if coefficient.could_extract_minus_sign():
            positive = self.term(Split(-coefficient, scalars, body))
            if isinstance(positive, ts.Plus):
                return ts.Plus(tuple(map(negated, positive.terms)))
            return ts.Negative(positive)
        coefficient, scalars = self.means(coefficient, scalars)
        over, under = coefficient.as_numer_denom()
        above = [self.power(base, e) for base, e in scalars if e > 0]
        below = [self.power(base, -e) for base, e in scalars if e < 0]
        factors = [] if body is None else self.factors(body)
        if not below:
            numbers = [quotient([], over, [], under)] if coefficient != 1 else []
            inside = [*numbers, *map_fenced(above, factors or len(above) > 1), *factors]
            return times(inside) if inside else ts.Number("1")
        is_long = len(factors) > 1 and any(isinstance(f, ts.Plus) for f in factors)
        if len(factors) >= LONGEST_NUMERATOR or is_long:
            return times([quotient(above, over, below, under), *factors])
        inside = [*map_fenced(above, factors or len(above) > 1), *factors]
        return quotient(inside, over, below, under)

    def means(
        self, coefficient: sp.Expr, scalars: tuple[Power, ...]
    ) -> tuple[sp.Expr, tuple[Power, ...]]:
        """n times a mean is a sum; a mean is written where no number is left in front."""
        for place, (base, exponent) in enumerate(scalars):
            if base.form.op != "mean" or base.form in self.names or coefficient == 1:
                continue
            sums = self.forms.apply("total", base.form.args, 0)
            coefficient = coefficient / base.form.params[0] ** exponent
            scalars = (*scalars[:place], (sums, exponent), *scalars[place + 1 :])
        return coefficient, scalars

    def factors(self, body: Ref) -> list[ts.Node]:
        """A body as factors of a larger product."""
        if body.form.op == "product" and body.form not in self.names:
            return self.chain(body)
        return [self(body)]

    def power(self, base: Ref, exponent: sp.Expr) -> ts.Node:
        """A positive power of a number."""
        tree = self(base)
        if exponent == 1:
            return tree
        if exponent == HALF:
            return ts.Root(tree)
        return ts.Superscript(tree, raised_to(exponent))

    def linear(self, terms: Sequence[tuple[sp.Expr, Ref]]) -> ts.Node:
        """A sum of terms with coefficients."""
        written = []
        for coefficient, ref in terms:
            is_whole = ref.form in self.names or ref.form.op != "scaled"
            scalars, body = ((), ref) if ref.rank else (((ref, ONE),), None)
            if ref == self.forms.one:
                scalars = ()
            inner = Split(ONE, scalars, body) if is_whole else self.forms.split(ref)
            written.append(
                self.term(Split(coefficient * inner.coefficient, inner.scalars, inner.body))
            )
        flat = [
            t for term in written for t in (term.terms if isinstance(term, ts.Plus) else (term,))
        ]
        return ts.Plus(tuple(flat))

    # kernels --------------------------------------------------------------------------------------

    def composed(self, form: Form) -> tuple[sp.Basic, list[Ref]]:
        """The kernel of a form with the kernels of its arguments put in, unless they have names."""
        args: list[Ref] = []
        places: dict[sp.Basic, sp.Basic] = {}
        for place, arg in zip(PLACES, form.args, strict=False):
            inner = arg.form
            is_open = inner.op == "kernel" and inner not in self.names and not arg.is_flipped
            if is_open and inner.rank == form.rank:
                expr, inside = self.composed(inner)
                moved = {}
                for own, ref in zip(PLACES, inside, strict=False):
                    if ref not in args:
                        args.append(ref)
                    moved[own] = PLACES[args.index(ref)]
                places[place] = substitute(expr, moved)
            else:
                if arg not in args:
                    args.append(arg)
                places[place] = PLACES[args.index(arg)]
        return substitute(form.params[0], places), args

    def kernel(self, form: Form) -> ts.Node:
        """A kernel of arrays."""
        expr, args = self.composed(form)
        pieces = {
            place.name: Piece(self(arg), arg.rank) for place, arg in zip(PLACES, args, strict=False)
        }
        return kernel_layout(expr, pieces, self.taken)

    def entrywise(self, form: Form, args: Sequence[Ref]) -> ts.Node:
        """Factors with exponents, entry by entry."""
        powers = list(zip(args, form.params, strict=True))
        above = [self.entry_power(b, e) for b, e in powers if e > 0]
        below = [self.entry_power(b, -e) for b, e in powers if e < 0]
        over = entrywise([], above) if above else ts.Number("1")
        if not below:
            return over
        return ts.Times((over, fenced(entrywise([], below))), "⊘")

    def entry_power(self, base: Ref, exponent: sp.Expr) -> ts.Node:
        """One factor of an entrywise product."""
        tree = self(base)
        if exponent == 1:
            return tree
        if exponent == HALF:
            return ts.Root(tree)
        is_word = isinstance(tree, ts.Apply) and isinstance(tree.function, ts.Operator)
        if is_word and exponent.is_Integer and base.form.op == "kernel":
            return ts.Apply(ts.Superscript(tree.function, exact(exponent)), tree.arguments)
        return powered(Piece(tree, base.rank), raised_to(exponent))

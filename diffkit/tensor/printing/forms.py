"""What a person writes: chains of matrices, sums, entrywise products, functions of arrays.

A `Form` is an expression of rank 0, 1 or 2 in matrix algebra, vectors being columns.  The
constructors of `Forms` choose what a reader expects: the orientation with the fewest transposes,
numbers in front, x'x as a squared norm, terms in a fixed order.  A form and its transpose are one
form; a `Ref` says which of the two is meant.  Equal spelling is one object.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import sympy as sp

from diffkit import typeset as ts

ONE, HALF = sp.S.One, sp.S.Half

#: Arrays of up to so many exact numbers, written in so many characters, are written out.
LARGEST_LITERAL, LONGEST_LITERAL = 16, 64

#: A spelling longer than this is cut and completed by a hash.
LONGEST_KEY = 120

#: What the sign of transposition counts after a letter, and after a formula with a sign of its own.
FLIPPED_LEAF, FLIPPED_WHOLE, FLIPPED_CHANGE = 2, 3, 4

#: The scalar to which the entrywise kernels of one operand are applied.
PLACES = tuple(sp.Symbol(f"_{k}", real=True) for k in range(16))


def is_literal(values: Sequence[sp.Expr]) -> bool:
    """Whether an array of these numbers is written out; data gets a name."""
    if len(values) > LARGEST_LITERAL:
        return False
    return sum(len(str(value)) for value in values) <= LONGEST_LITERAL


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """An expression.

    Args:
        op: What it is: "leaf", "product", "scaled", "sum", "hadamard", "kernel", "call", ...
        args: What it is made of.
        params: What else tells it from others.
        rank: 0, 1 (a column) or 2.
        key: Its spelling, the same in every process.
        cost: How many transposes are written, for it and for its transpose.
        size: How many leaves are written, repeated ones counted again.
        is_symmetric: Whether it equals its transpose.
        tree: The layout of a leaf.
    """

    op: str
    args: "tuple[Ref, ...]"
    params: tuple[Any, ...]
    rank: int
    key: str
    cost: tuple[int, int]
    size: int
    is_symmetric: bool = False
    tree: ts.Node | None = field(default=None, repr=False)


class Ref(NamedTuple):
    """A form, or its transpose (the row of a column)."""

    form: Form
    is_flipped: bool = False

    @property
    def rank(self) -> int:
        """Rank of the form."""
        return self.form.rank

    @property
    def cost(self) -> int:
        """Transposes written."""
        return self.form.cost[self.is_flipped]

    @property
    def key(self) -> str:
        """Spelling."""
        return self.form.key + ("'" if self.is_flipped else "")


Power = tuple[Ref, sp.Expr]


class Split(NamedTuple):
    """Coefficient, powers of scalars, and what is left (None for a scalar)."""

    coefficient: sp.Expr
    scalars: tuple[Power, ...]
    body: Ref | None


def flip(ref: Ref) -> Ref:
    """The transpose; a column becomes a row."""
    if ref.form.is_symmetric or ref.form.rank == 0:
        return ref
    return Ref(ref.form, not ref.is_flipped)


def is_change(ref: Ref) -> bool:
    """Whether it is a differential dX."""
    return ref.form.params == ("change",)


def links(ref: Ref) -> tuple[Ref, ...]:
    """The factors of a chain, chains in it opened."""
    if ref.form.op != "product":
        return (ref,)
    inner = [link for arg in ref.form.args for link in links(arg)]
    return tuple(map(flip, reversed(inner))) if ref.is_flipped else tuple(inner)


def spelled(text: str) -> str:
    """A key of bounded length."""
    if len(text) <= LONGEST_KEY:
        return text
    return text[:80] + "~" + blake2b(text.encode(), digest_size=10).hexdigest()


class FormTable:
    """The forms of one formula.

    Args:
        taken: Names of its inputs.
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self._table: dict[tuple[str, int], Form] = {}
        self.one = self.leaf("#1", ts.Number("1"), 0)
        self.ones = self.leaf("#𝟏", ts.Glyph("ones"), 1)
        eye = ts.Name("I") if "I" not in taken else ts.Operator("Id")
        self.identity = self.leaf("#I", eye, 2, is_symmetric=True)

    # making ---------------------------------------------------------------------------------------

    def _make(self, form: Form) -> Form:
        return self._table.setdefault((form.key, form.rank), form)

    def leaf(
        self,
        key: str,
        tree: ts.Node,
        rank: int,
        *,
        is_symmetric: bool = False,
        is_differential: bool = False,
    ) -> Ref:
        """Something with a sign of its own; a change dX keeps its place in a product."""
        back = FLIPPED_CHANGE if is_differential else FLIPPED_LEAF
        back = 0 if is_symmetric else back
        params = ("change",) if is_differential else ()
        form = Form("leaf", (), params, rank, spelled(key), (0, back), 1, is_symmetric, tree)
        return Ref(self._make(form))

    def zero(self, rank: int) -> Ref:
        """Zero, of any rank."""
        return self.leaf("#0", ts.Number("0"), rank, is_symmetric=True)

    def apply(
        self,
        op: str,
        args: Sequence[Ref],
        rank: int,
        params: tuple[Any, ...] = (),
        *,
        is_symmetric: bool = False,
        flip_cost: int = FLIPPED_WHOLE,
    ) -> Ref:
        """A function of forms that has no rules of its own here."""
        inner = sum(arg.cost for arg in args)
        flipped = inner + (0 if is_symmetric else flip_cost)
        words = ",".join([*map(str, params), *(arg.key for arg in args)])
        form = Form(
            op,
            tuple(args),
            params,
            rank,
            spelled(f"{op}({words})"),
            (inner, flipped),
            1 + sum(arg.form.size for arg in args),
            is_symmetric,
        )
        return Ref(self._make(form))

    def _oriented(self, plain: Form, flipped: Form) -> Ref:
        """Of a form and its transpose the one with fewer transposes."""
        if plain.key == flipped.key:
            symmetric = Form(
                plain.op,
                plain.args,
                plain.params,
                plain.rank,
                plain.key,
                (plain.cost[0], plain.cost[0]),
                plain.size,
                True,
            )
            return Ref(self._make(symmetric))
        if (flipped.cost[0], flipped.key) < (plain.cost[0], plain.key):
            return flip(Ref(self._make(flipped)))
        return Ref(self._make(plain))

    # numbers in front -----------------------------------------------------------------------------

    def split(self, ref: Ref) -> Split:
        """A form as coefficient, scalars and body."""
        form = ref.form
        if form.op == "scaled":
            coefficient, exponents = form.params
            scalars = tuple(zip(form.args, exponents, strict=False))
            body = form.args[-1] if len(form.args) > len(exponents) else None
            if body is not None and ref.is_flipped:
                body = flip(body)
            return Split(coefficient, scalars, body)
        if form is self.one.form:
            return Split(ONE, (), None)
        if form.op == "leaf" and form.key == "#0":
            return Split(sp.S.Zero, (), ref if form.rank else None)
        return Split(ONE, ((ref, ONE),), None) if form.rank == 0 else Split(ONE, (), ref)

    def number(self, value: sp.Expr) -> Ref:
        """An exact number."""
        return self.scaled(value, (), None)

    def scaled(self, coefficient: sp.Expr, scalars: Iterable[Power], body: Ref | None) -> Ref:
        """coefficient * scalar**e * ... * body."""
        powers: dict[Ref, sp.Expr] = {}

        def take(scalar: Ref, exponent: sp.Expr) -> None:
            nonlocal coefficient
            inner = self.split(scalar)
            is_whole = bool(exponent.is_Integer)
            if inner.coefficient != 1 and not is_whole and not inner.coefficient.is_positive:
                powers[scalar] = powers.get(scalar, sp.S.Zero) + exponent
                return
            coefficient = coefficient * inner.coefficient**exponent
            can_spread = is_whole or all(base.form.op == "norm" for base, _ in inner.scalars)
            if len(inner.scalars) > 1 and not can_spread:
                core = self.scaled(ONE, inner.scalars, None)
                powers[core] = powers.get(core, sp.S.Zero) + exponent
                return
            for base, e in inner.scalars:
                known = is_whole or base.form.op == "norm" or e.q != 1
                if not known and e != 1:
                    core = self.scaled(ONE, ((base, e),), None)
                    powers[core] = powers.get(core, sp.S.Zero) + exponent
                else:
                    powers[base] = powers.get(base, sp.S.Zero) + e * exponent

        for scalar, exponent in scalars:
            take(scalar, exponent)
        if body is not None:
            inner = self.split(body)
            coefficient = coefficient * inner.coefficient
            body = inner.body
            for base, e in inner.scalars:
                powers[base] = powers.get(base, sp.S.Zero) + e
        kept = sorted(
            ((b, e) for b, e in powers.items() if e != 0),
            key=lambda p: (is_change(p[0]), p[0].key),
        )
        return self._scaled(coefficient, tuple(kept), body)

    def _scaled(self, coefficient: sp.Expr, scalars: tuple[Power, ...], body: Ref | None) -> Ref:
        if coefficient == 0:
            return self.zero(0 if body is None else body.rank)
        if coefficient == 1 and not scalars:
            return body if body is not None else self.one
        if coefficient == 1 and body is None and len(scalars) == 1 and scalars[0][1] == 1:
            return scalars[0][0]
        is_flipped = body is not None and body.is_flipped
        core = flip(body) if body is not None and is_flipped else body
        args = (*(s for s, _ in scalars), *(() if core is None else (core,)))
        exponents = tuple(e for _, e in scalars)
        words = [str(coefficient), *(f"{s.key}^{e}" for s, e in scalars)]
        key = "*".join([*words, *(() if core is None else (core.key,))])
        inner = sum(s.cost for s, _ in scalars)
        cost = (inner, inner) if core is None else (inner + core.cost, inner + core.form.cost[1])
        form = Form(
            "scaled",
            args,
            (coefficient, exponents),
            0 if core is None else core.rank,
            spelled(key),
            cost,
            sum(arg.form.size for arg in args) + (coefficient not in (1, -1)),
            core is not None and core.form.is_symmetric,
        )
        return Ref(self._make(form), is_flipped and not form.is_symmetric)

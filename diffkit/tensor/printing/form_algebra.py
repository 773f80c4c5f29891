"""Sums and entrywise functions of forms; `Forms` has all constructors.

Terms and factors get a fixed order, equal ones are collected, and what every term shares goes in
front: A B + A C is A (B + C).
"""

from collections.abc import Iterable, Sequence
from math import gcd, lcm
from typing import Any

import sympy as sp

from diffkit.tensor.printing.form_chains import Chains
from diffkit.tensor.printing.forms import (
    FLIPPED_WHOLE,
    ONE,
    Form,
    Power,
    Ref,
    flip,
    is_change,
    links,
    spelled,
)


class Forms(Chains):
    """The forms of one formula.

    Args:
        taken: Names of its inputs.
    """

    # entry by entry -------------------------------------------------------------------------------

    def hadamard(self, factors: Iterable[Power], rank: int) -> Ref:
        """The entrywise product of arrays of one rank, with exponents."""
        coefficient, scalars = ONE, []
        powers: dict[Ref, sp.Expr] = {}
        for factor, exponent in factors:
            inner = self.split(factor)
            coefficient = coefficient * inner.coefficient**exponent
            scalars += [(base, e * exponent) for base, e in inner.scalars]
            body = inner.body
            if body is None:
                continue
            if body.form.op == "hadamard" and exponent.is_Integer:
                for arg, e in zip(body.form.args, body.form.params, strict=True):
                    arg = flip(arg) if body.is_flipped else arg
                    powers[arg] = powers.get(arg, sp.S.Zero) + e * exponent
            else:
                powers[body] = powers.get(body, sp.S.Zero) + exponent
        if rank == 1 and len(powers) > 1:
            powers.pop(self.ones, None)
        kept = [(b, e) for b, e in powers.items() if e != 0]
        return self.scaled(coefficient, scalars, self._entrywise(kept, rank))

    def _entrywise(self, powers: list[Power], rank: int) -> Ref:
        if not powers:
            return self.ones if rank == 1 else self.product([self.ones, flip(self.ones)])
        if len(powers) == 1 and powers[0][1] == 1:
            return powers[0][0]
        masks = [ref for ref, _ in powers if ref.form.op == "mask"]
        if masks and len(powers) > 1:
            mask = masks[0]
            rest = self._entrywise([p for p in powers if p[0] != mask], rank)
            return self._masked(mask, rest)
        plain = self._hadamard_form(powers, rank)
        if rank == 1:
            return Ref(self._make(plain))
        return self._oriented(plain, self._hadamard_form([(flip(b), e) for b, e in powers], rank))

    def _masked(self, mask: Ref, rest: Ref) -> Ref:
        """tril or triu; the transpose of one is the other of the transpose."""
        (offset,) = mask.form.params
        side, offset = ("triu", -offset) if mask.is_flipped else ("tril", offset)
        words = (side,) if offset == 0 else (side, offset)
        return self.apply("call", (rest,), 2, words)

    def _hadamard_form(self, powers: list[Power], rank: int) -> Form:
        ordered = sorted(powers, key=lambda p: (not p[1].is_positive, _weight(p[0]), p[0].key))
        args = tuple(b for b, _ in ordered)
        exponents = tuple(e for _, e in ordered)
        key = spelled("⊙".join(f"{b.key}^{e}" for b, e in ordered))
        cost = sum(b.cost for b in args)
        back = cost + FLIPPED_WHOLE
        if rank == 2:
            back = min(back, sum(flip(b).cost for b in args))
        size = sum(b.form.size for b in args)
        return Form("hadamard", args, exponents, rank, key, (cost, back), size)

    def kernel(self, expr: sp.Basic, args: Sequence[Ref], rank: int) -> Ref:
        """A scalar expression in `PLACES`, applied entry by entry."""
        plain = self._kernel_form(expr, tuple(args), rank)
        if rank < 2:
            return Ref(self._make(plain))
        return self._oriented(plain, self._kernel_form(expr, tuple(map(flip, args)), rank))

    def _kernel_form(self, expr: sp.Basic, args: tuple[Ref, ...], rank: int) -> Form:
        inner = sum(arg.cost for arg in args)
        key = spelled(f"{expr}" + "(" + ",".join(arg.key for arg in args) + ")")
        back = inner + FLIPPED_WHOLE
        size = 1 + sum(arg.form.size for arg in args)
        return Form("kernel", args, (expr,), rank, key, (inner, back), size)

    # sums -----------------------------------------------------------------------------------------

    def sum(self, terms: Iterable[tuple[sp.Expr, Ref]], rank: int) -> Ref:
        """A linear combination; a common factor goes in front."""
        total: dict[Ref, sp.Expr] = {}
        for coefficient, ref in terms:
            inner = self.split(self.scaled(coefficient, (), ref) if rank else ref)
            scale = inner.coefficient if rank else coefficient * inner.coefficient
            core = self.scaled(ONE, inner.scalars, inner.body)
            if rank == 0:
                again = self.split(self.scaled(scale, ((core, ONE),), None))
                scale, core = again.coefficient, self.scaled(ONE, again.scalars, None)
            total[core] = total.get(core, sp.S.Zero) + scale
        kept = [(c, ref) for ref, c in total.items() if c != 0]
        if not kept:
            return self.zero(rank)
        if len(kept) == 1:
            return self.scaled(kept[0][0], (), kept[0][1])
        content = _content([c for c, _ in kept])
        if any(abs(c / content) != 1 for c, _ in kept):
            content = ONE
        kept = [(c / content, ref) for c, ref in kept]
        found = self._common_factor(kept, rank) or self._sum(kept, rank)
        return self.scaled(content, (), found)

    def _common_factor(self, terms: list[tuple[sp.Expr, Ref]], rank: int) -> Ref | None:
        """A B + A C = A (B + C) where every term goes on after A; likewise on the right."""
        if rank == 0 or not terms:
            return None
        chains = [links(ref) for _, ref in terms]
        if any(ref.form.op == "scaled" for _, ref in terms) or min(map(len, chains)) < 2:
            return None
        for end, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
            shared = {chain[end] for chain in chains}
            factor = next(iter(shared))
            if len(shared) > 1 or factor.form is self.ones.form:
                continue
            parts = [
                (c, self._chain(list(chain[rest])))
                for (c, _), chain in zip(terms, chains, strict=True)
            ]
            if len({part.rank for _, part in parts}) > 1 or parts[0][1].rank == 0:
                continue
            if parts[0][1].rank == 1:
                # a row is the column of its transpose
                if end == 0 and rank == 2 and factor.rank == 1:
                    columns = [(c, Ref(p.form)) for c, p in parts]
                    return self.product([factor, flip(self.sum(columns, 1))])
                if end == -1 and rank == 2 and factor.rank == 1:
                    return self.product([self.sum(parts, 1), factor])
                if rank == 2:
                    continue
            inner = self.sum(parts, parts[0][1].rank)
            return self.product([factor, inner] if end == 0 else [inner, factor])
        return None

    def _sum(self, terms: list[tuple[sp.Expr, Ref]], rank: int) -> Ref:
        plain = self._sum_form(terms, rank)
        if rank < 2:
            return Ref(self._make(plain))
        return self._oriented(plain, self._sum_form([(c, flip(x)) for c, x in terms], rank))

    def _sum_form(self, terms: list[tuple[sp.Expr, Ref]], rank: int) -> Form:
        ordered = sorted(terms, key=self._rank_of_term)
        args = tuple(ref for _, ref in ordered)
        key = spelled("(" + "+".join(f"{c}*{ref.key}" for c, ref in ordered) + ")")
        cost = sum(ref.cost for ref in args)
        back = sum(flip(ref).cost for ref in args)
        size = sum(ref.form.size for ref in args)
        coefficients = tuple(c for c, _ in ordered)
        return Form(
            "sum", args, coefficients, rank, key, (cost, min(cost + FLIPPED_WHOLE, back)), size
        )

    def _rank_of_term(self, term: tuple[sp.Expr, Ref]) -> Any:
        """Positive terms first, large before small, broadcasts and constants last."""
        coefficient, ref = term
        is_negative = bool(coefficient.could_extract_minus_sign())
        flat = links(ref)
        is_spread = ref.form is self.one.form or any(x.form is self.ones.form for x in flat)
        is_spread |= self.split(ref).body == self.identity
        change = next((k for k, x in enumerate(flat) if is_change(x)), 0)
        return is_negative, is_spread, change, -ref.form.size, ref.cost, ref.key


def _weight(ref: Ref) -> int:
    """Letters before products, products before functions, functions before their sums."""
    form = ref.form
    if form.op == "kernel":
        return 2 if isinstance(form.params[0], sp.Function) else 3
    return {"leaf": 0, "product": 1, "sum": 3}.get(form.op, 2)


def _content(coefficients: Sequence[sp.Expr]) -> sp.Expr:
    """The factor all coefficients share; negative when all are."""
    parts = [c.as_coeff_Mul() for c in coefficients]
    rests = {rest for _, rest in parts}
    if any(not number.is_Rational for number, _ in parts):
        return ONE
    above = gcd(*(int(number.p) for number, _ in parts))
    below = lcm(*(int(number.q) for number, _ in parts))
    content = sp.Rational(above, below)
    if all(number < 0 for number, _ in parts):
        content = -content
    return content * rests.pop() if len(rests) == 1 else content

"""Chains of matrices: products, traces and norms in the orientation with the fewest transposes.

A row may begin a chain and a column end it; x'x is the square of a norm, tr(A'A) likewise.
"""

from collections.abc import Sequence
from typing import Any

import sympy as sp

from diffkit.tensor.printing.forms import ONE, Form, FormTable, Ref, flip, is_change, links, spelled


class Chains(FormTable):
    """The products of forms."""

    def product(self, factors: Sequence[Ref]) -> Ref:
        """A chain of matrices; a row may begin it and a column end it, as shapes allow."""
        coefficient, scalars, chain = ONE, [], []
        for factor in factors:
            inner = self.split(factor)
            coefficient = coefficient * inner.coefficient
            scalars += inner.scalars
            if inner.body is not None and inner.body.form is not self.identity.form:
                chain.append(inner.body)
        if not chain:
            return self.scaled(coefficient, scalars, self.identity)
        return self.scaled(coefficient, scalars, self._chain(chain))

    def _chain(self, chain: list[Ref]) -> Ref:
        if len(chain) == 1:
            return chain[0]
        first, last = links(chain[0])[0], links(chain[-1])[-1]
        opens = not (first.rank == 1 and first.is_flipped)
        closes = last.rank == 1 and not last.is_flipped
        rank = int(opens) + int(not closes)
        if rank == 0 and self._is_square(chain):
            whole = [link for ref in chain for link in links(ref)]
            half = chain[len(chain) // 2 :]
            # A factor may be a product itself: the half of the factors is not half of the links.
            is_half = 2 * sum(len(links(ref)) for ref in half) == len(whole)
            column = self._chain(half if is_half else whole[len(whole) // 2 :])
            return self.scaled(ONE, [(self.norm(column), sp.Integer(2))], None)
        if rank == 1 and not opens:
            return flip(self._chain(list(map(flip, reversed(chain)))))
        plain = self._product_form(tuple(chain), rank)
        if rank == 1:
            return Ref(self._make(plain))
        return self._oriented(plain, self._product_form(tuple(map(flip, reversed(chain))), rank))

    def ordered(self, factors: Sequence[Ref]) -> Ref:
        """A product in the given order, numbers in front; nothing is turned round."""
        coefficient, scalars, chain = ONE, [], []
        for factor in factors:
            inner = self.split(factor)
            coefficient = coefficient * inner.coefficient
            scalars += inner.scalars
            if inner.body is not None and inner.body.form is not self.identity.form:
                chain.append(inner.body)
        rank = 2 if all(link.rank == 2 for link in chain) else 0
        if len(chain) < 2:
            return self.scaled(coefficient, scalars, chain[0] if chain else None)
        body = Ref(self._make(self._product_form(tuple(chain), rank)))
        if rank == 0:
            return self.scaled(coefficient, [*scalars, (body, ONE)], None)
        return self.scaled(coefficient, scalars, body)

    def wrapped(self, word: str, ref: Ref) -> Ref:
        """A number that is linear in a matrix, numbers in front of it."""
        inner = self.split(ref)
        body = inner.body if inner.body is not None else self.identity
        core = self.apply("call", (body,), 0, (word,))
        return self.scaled(inner.coefficient, [*inner.scalars, (core, ONE)], None)

    def _is_square(self, chain: list[Ref]) -> bool:
        """Whether a chain is v'v."""
        flat = [link for ref in chain for link in links(ref)]
        half = len(flat) // 2
        return len(flat) % 2 == 0 and flat[:half] == list(map(flip, reversed(flat[half:])))

    def _product_form(self, chain: tuple[Ref, ...], rank: int) -> Form:
        flat = [link for ref in chain for link in links(ref)]
        cost = sum(link.cost for link in flat)
        back = sum(flip(link).cost for link in flat)
        key = spelled("·".join(link.key for link in flat))
        size = sum(ref.form.size for ref in chain)
        return Form("product", chain, (), rank, key, (cost, back), size)

    def norm(self, ref: Ref, kind: str = "") -> Ref:
        """The Euclidean or Frobenius norm; "1" is the sum of absolute values."""
        inner = self.split(ref)
        if inner.body is None:
            return ref
        body = Ref(inner.body.form)
        core = self.apply("norm", (body,), 0, (kind or ("F" if body.rank == 2 else ""),))
        if inner.coefficient == 1 and not inner.scalars:
            return core
        return self.scaled(abs(inner.coefficient), [*inner.scalars, (core, ONE)], None)

    def trace(self, ref: Ref) -> Ref:
        """The trace, its chain turned to the fewest transposes."""
        inner = self.split(ref)
        body = inner.body if inner.body is not None else self.identity
        chain = list(links(body))
        half = len(chain) // 2
        if len(chain) % 2 == 0 and chain[:half] == list(map(flip, reversed(chain[half:]))):
            column = self._chain(chain[half:])
            return self.scaled(
                inner.coefficient,
                [*inner.scalars, (self.norm(column), sp.Integer(2))],
                None,
            )
        turned = [
            way[k:] + way[:k]
            for way in (chain, list(map(flip, reversed(chain))))
            for k in range(len(chain))
        ]
        best = min(turned, key=_turn_order)
        inside = Ref(self._make(self._product_form(tuple(best), 2))) if len(best) > 1 else best[0]
        traced = self.apply("call", (inside,), 0, ("tr",))
        return self.scaled(inner.coefficient, [*inner.scalars, (traced, ONE)], None)


def _turn_order(way: list[Ref]) -> Any:
    """Of equal cycles the one that ends in dX, or begins with a transpose: tr(A'B)."""
    ends_in_change = is_change(way[-1])
    return sum(x.cost for x in way), not ends_in_change, not way[0].is_flipped, [x.key for x in way]

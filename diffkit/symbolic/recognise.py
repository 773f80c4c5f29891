"""Recognising sigmoid and tanh in quotients of exponentials and hyperbolic functions.

Every function rewrites a `Product` in place by one identity, and only where the result is complete:
e^(a v) stays when a is not a whole number.
"""

from typing import NamedTuple

import sympy as sp

from diffkit.symbolic.products import Product, scale_and_core
from diffkit.symbolic.vocabulary import FUNCTIONS

sigmoid = FUNCTIONS["sigmoid"]


class Pair(NamedTuple):
    """a e^p + b e^q."""

    p: sp.Expr
    q: sp.Expr
    a: sp.Expr
    b: sp.Expr


def recognise(product: Product) -> bool:
    """Apply every identity of this file to `product`; says whether one fitted."""
    before = dict(product.powers)
    recognise_tanh(product)
    recognise_hyperbolic_tanh(product)
    recognise_sigmoid(product)
    return product.powers != before


def recognise_tanh(product: Product) -> None:
    r"""$(e^p - e^q)^k / (e^p + e^q)^k = \tanh^k((p - q)/2)$."""
    for base in _sums(product):
        pair = _exponential_pair(base)
        if pair is None or pair.a != -pair.b:
            continue
        plus = sp.exp(pair.p) + sp.exp(pair.q)
        powers = product.powers
        count = min(powers.get(base, sp.S.Zero), -powers.get(plus, sp.S.Zero))
        if not (count.is_Integer and count > 0):
            continue
        half, scale = sp.expand_mul((pair.p - pair.q) / 2), pair.a
        if half.could_extract_minus_sign():
            half, scale = -half, -scale
        product.shift(base, -count)
        product.shift(plus, count)
        product.shift(sp.tanh(half), count)
        product.coefficient *= scale**count


def recognise_hyperbolic_tanh(product: Product) -> None:
    r"""$\sinh(u)^k / \cosh(u)^k = \tanh^k(u)$."""
    for base in [base for base in product.powers if isinstance(base, sp.sinh)]:
        divisor = sp.cosh(base.args[0])
        count = min(product.powers[base], -product.powers.get(divisor, sp.S.Zero))
        if count > 0:
            product.shift(base, -count)
            product.shift(divisor, count)
            product.shift(sp.tanh(base.args[0]), count)


def recognise_sigmoid(product: Product) -> None:
    r"""$e^{av}/(1 + e^v)^k = \sigma^a (1 - \sigma)^{k - a}$ with $\sigma = \sigma(v)$."""
    for base in _sums(product):
        pair = _exponential_pair(base)
        if pair is None or pair.a != pair.b or sp.S.Zero not in pair[:2]:
            continue
        inner, count = pair.p + pair.q, -product.powers[base]
        scale, core = scale_and_core(inner)
        raised = product.powers.get(sp.exp(core), sp.S.Zero) / scale
        if not (count.is_Integer and count > 0 and raised.is_Integer):
            continue
        above = min(max(raised, sp.S.Zero), count)
        product.shift(base, count)
        product.shift(sp.exp(core), -above * scale)
        product.coefficient *= pair.a**-count
        below = count - above
        if inner.could_extract_minus_sign():
            # sigma(-v) = 1 - sigma(v): prefer the argument without a minus sign.
            inner, above, below = -inner, below, above
        product.shift(sigmoid(inner), above)
        product.shift(1 - sigmoid(inner), below)


def _sums(product: Product) -> list[sp.Expr]:
    return [base for base in product.powers if isinstance(base, sp.Add) and len(base.args) == 2]


def _exponential_pair(total: sp.Expr) -> Pair | None:
    """The two terms as scaled exponentials, where 1 counts as e^0."""
    exponents, scales = [], []
    for term in total.args:
        scale, rest = term.as_coeff_Mul()
        if rest != 1 and not isinstance(rest, sp.exp):
            return None
        exponents.append(sp.S.Zero if rest == 1 else rest.args[0])
        scales.append(scale)
    return Pair(*exponents, *scales)

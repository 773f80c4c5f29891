"""Kernels of scalars written as functions of arrays, entry by entry.

The scalar printer lays the kernel out; then its symbols give way to the layouts of the arrays.
Where arrays meet, a product is `⊙`, a quotient `⊘`, a power of a matrix `Z^(⊙2)`, and `e^Z` is
written `exp(Z)`, since without these signs each would mean the matrix operation.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

import sympy as sp

from diffkit import typeset as ts
from diffkit.symbolic.layout import layout as scalar_layout
from diffkit.tensor.printing.layout_products import Piece, entrywise, fenced, powered

#: Letters the scalar printer uses for functions; a variable of that name makes it use words.
LETTERS = frozenset(("e", "sigma", "Phi", "phi", "Gamma", "delta", "psi"))


def kernel_layout(expr: sp.Basic, pieces: Mapping[str, Piece], taken: Collection[str]) -> ts.Node:
    """The layout of a kernel.

    Args:
        expr: Scalar expression.
        pieces: Name of a symbol -> the layout that stands for it.
        taken: Names in use, which function letters must avoid.
    """
    avoid = [sp.Symbol(name) for name in sorted(LETTERS.intersection(taken))]
    shown = scalar_layout(sp.Tuple(expr, *avoid))
    assert isinstance(shown, ts.Fence)
    assert isinstance(shown.body, ts.Commas)
    return _placed(shown.body.items[0], pieces).tree


def _placed(tree: ts.Node, pieces: Mapping[str, Piece]) -> Piece:
    """The tree with arrays for symbols; kernels are small, so recursion is safe."""
    if isinstance(tree, ts.Name):
        return pieces.get(tree.text, Piece(tree, 0))
    ranks: list[int] = [0]

    def inside(value: Any) -> Any:
        if isinstance(value, ts.Node):
            piece = _placed(value, pieces)
            ranks.append(piece.rank)
            return piece.tree
        return tuple(map(inside, value)) if isinstance(value, tuple) else value

    match tree:
        case ts.Times():
            return _product([_placed(factor, pieces) for factor in tree.factors], tree)
        case ts.Fraction():
            return _quotient(_placed(tree.numerator, pieces), _placed(tree.denominator, pieces))
        case ts.Superscript():
            base, exponent = _placed(tree.base, pieces), _placed(tree.exponent, pieces)
            if exponent.rank and isinstance(tree.base, ts.Glyph):
                return Piece(ts.call("exp", exponent.tree), exponent.rank)
            if base.rank and isinstance(exponent.tree, ts.Number | ts.Negative):
                return Piece(powered(base, exponent.tree), base.rank)
            rank = max(base.rank, exponent.rank)
            return Piece(ts.Superscript(base.tree, exponent.tree), rank)
    changed = {f.name: inside(getattr(tree, f.name)) for f in fields(tree)}  # ty: ignore
    return Piece(replace(tree, **changed) if changed else tree, max(ranks))  # ty: ignore


def _product(parts: list[Piece], tree: ts.Times) -> Piece:
    arrays = [part for part in parts if part.rank]
    if not arrays:
        return Piece(ts.Times(tuple(p.tree for p in parts), tree.sign), 0)
    numbers = [part.tree for part in parts if not part.rank]
    return Piece(entrywise(numbers, [a.tree for a in arrays]), max(a.rank for a in arrays))


def _quotient(above: Piece, below: Piece) -> Piece:
    rank = max(above.rank, below.rank)
    if not below.rank:
        return Piece(ts.Fraction(above.tree, below.tree), rank)
    return Piece(ts.Times((above.tree, fenced(below.tree)), "⊘"), rank)

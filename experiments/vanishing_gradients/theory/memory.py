"""The error on the adding problem of who does not remember.  No JAX here."""

from functools import cache

import sympy as sp

from diffkit.theory.law import Law, Line

u, v = sp.symbols("u v", positive=True)


@cache
def baseline() -> Law:
    """E (u + v - 1)^2 of two uniform numbers: the error of always answering 1.

    >>> baseline().formula
    1/6
    """
    integral = Line(
        "mean over the unit square",
        sp.Integral((u + v - 1) ** 2, (u, 0, 1), (v, 0, 1)),
        sp.Rational(1, 6),
    )
    return Law(
        "error of the constant answer on the adding problem",
        sp.Symbol("E_0"),
        sp.Rational(1, 6),
        lines=(integral,),
        assumes="u, v independent, uniform on [0, 1]",
        source="Hochreiter and Schmidhuber (1997), experiment 4",
    )

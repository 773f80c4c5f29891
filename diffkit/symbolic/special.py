r"""Rows of special functions: the Bessel functions of order 0 and 1, scaled by exp(-|x|).

Source: Abramowitz and Stegun (1964), 9.6.26 and 9.6.27.
"""

import sympy as sp
from sympy import Abs, Ne, Piecewise, Rational, exp

from diffkit.core.domain import Domain
from diffkit.symbolic.scalar_function import Kink, Row, v

ONE = sp.Integer(1)


SPECIAL = (
    Row(
        "bessel_i0e",
        lambda x: exp(-Abs(x)) * sp.besseli(0, x),
        (lambda x: v.bessel_i1e(x) - sp.sign(x) * v.bessel_i0e(x),),
        kinks=lambda x: (Kink(x, ONE, -ONE),),
        range=Domain.parse("(0, 1]"),
        values=(((0,), 1),),
        jax="jax.scipy.special.i0e",
        aliases=("i0e",),
    ),
    Row(
        "bessel_i1e",
        lambda x: exp(-Abs(x)) * sp.besseli(1, x),
        (
            lambda x: Piecewise(
                (v.bessel_i0e(x) - (sp.sign(x) + 1 / x) * v.bessel_i1e(x), Ne(x, 0)),
                (Rational(1, 2), True),
            ),
        ),
        kinks=lambda x: (Kink(x, ONE, -ONE, order=2),),
        range=Domain.parse("(-1, 1)"),
        values=(((0,), 0),),
        jax="jax.scipy.special.i1e",
        aliases=("i1e",),
    ),
)

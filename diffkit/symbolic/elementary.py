r"""Rows of logarithms, exponentials, Gaussians and other elementary functions SymPy lacks.

SymPy writes expm1, log1p, log2, hypot and so on by their definitions; as functions of their own
they keep the accurate form.  `sinc`, `expm1_over` and `log1p_over` are their limits at 0.
"""

from fractions import Fraction

import sympy as sp
from sympy import (
    Abs,
    Eq,
    Integer,
    Ne,
    Piecewise,
    Rational,
    cos,
    erf,
    erfc,
    erfinv,
    exp,
    log,
    pi,
    sin,
    sqrt,
)

from diffkit.core.domain import Domain
from diffkit.symbolic.scalar_function import REALS, Kink, Row, v

ZERO, ONE, HALF = Integer(0), Integer(1), Rational(1, 2)
POSITIVE = Domain.parse("positive")
NONNEGATIVE = Domain.parse("nonnegative")
NEGATIVE = Domain.parse("negative")
PROBABILITY = Domain.parse("probability")
ABOVE_MINUS_ONE = Domain.parse("(-1, oo)")


def _at_zero(x: sp.Expr, value: sp.Expr | int, elsewhere: sp.Expr) -> sp.Expr:
    """`elsewhere`, continued by its limit `value` at x = 0."""
    return Piecewise((elsewhere, Ne(x, 0)), (value, True))


LOGARITHMS = (
    Row(
        "logaddexp",
        lambda x, y: log(exp(x) + exp(y)),
        (lambda x, y: v.sigmoid(x - y), lambda x, y: v.sigmoid(y - x)),
        stable=lambda x, y: sp.Max(x, y) + v.log1p(exp(-Abs(x - y))),
        arity=2,
        values=(((0, 0), log(2)),),
        jax="jax.numpy.logaddexp",
    ),
    Row(
        "logaddexp2",
        lambda x, y: log(2**x + 2**y) / log(2),
        (
            lambda x, y: v.sigmoid((x - y) * log(2)),
            lambda x, y: v.sigmoid((y - x) * log(2)),
        ),
        stable=lambda x, y: v.logaddexp(x * log(2), y * log(2)) / log(2),
        arity=2,
        values=(((0, 0), 1),),
        jax="jax.numpy.logaddexp2",
    ),
    Row(
        "xlogy",
        lambda x, y: Piecewise((0, Eq(x, 0)), (x * log(y), True)),
        (lambda x, y: log(y), lambda x, y: x / y),
        arity=2,
        domain=(REALS, POSITIVE),
        jax="jax.scipy.special.xlogy",
    ),
    Row(
        "xlog1py",
        lambda x, y: Piecewise((0, Eq(x, 0)), (x * log(1 + y), True)),
        (lambda x, y: v.log1p(y), lambda x, y: x / (1 + y)),
        stable=lambda x, y: x * v.log1p(y),
        arity=2,
        domain=(REALS, ABOVE_MINUS_ONE),
        jax="jax.scipy.special.xlog1py",
    ),
    Row(
        "entr",
        lambda x: Piecewise((-x * log(x), x > 0), (0, Eq(x, 0)), (-sp.oo, True)),
        (lambda x: -log(x) - 1,),
        domain=(POSITIVE,),
        range=Domain(high=Fraction(368, 1000)),
        values=(((0,), 0), ((1,), 0)),
        jax="jax.scipy.special.entr",
    ),
    Row(
        "rel_entr",
        lambda x, y: Piecewise((0, Eq(x, 0)), (x * log(x / y), True)),
        (lambda x, y: log(x / y) + 1, lambda x, y: -x / y),
        arity=2,
        domain=(POSITIVE, POSITIVE),
        jax="jax.scipy.special.rel_entr",
    ),
    Row(
        "kl_div",
        lambda x, y: Piecewise((y, Eq(x, 0)), (x * log(x / y) - x + y, True)),
        (lambda x, y: log(x / y), lambda x, y: 1 - x / y),
        arity=2,
        domain=(POSITIVE, POSITIVE),
        range=NONNEGATIVE,
        jax="jax.scipy.special.kl_div",
    ),
    Row(
        "log1p",
        lambda x: log(1 + x),
        (lambda x: 1 / (1 + x),),
        domain=(ABOVE_MINUS_ONE,),
        values=(((0,), 0),),
        jax="jax.numpy.log1p",
    ),
    Row(
        "log1p_over",
        lambda x: _at_zero(x, 1, log(1 + x) / x),
        (lambda x: _at_zero(x, -HALF, (1 / (1 + x) - v.log1p_over(x)) / x),),
        stable=lambda x: _at_zero(x, 1, v.log1p(x) / x),
        domain=(ABOVE_MINUS_ONE,),
        range=POSITIVE,
        values=(((0,), 1),),
    ),
    Row(
        "log1mexp",
        lambda x: log(1 - exp(-x)),
        (lambda x: 1 / v.expm1(x),),
        stable=lambda x: Piecewise((log(-v.expm1(-x)), x < 1), (v.log1p(-exp(-x)), True)),
        domain=(POSITIVE,),
        range=NEGATIVE,
        jax="jax.nn.log1mexp",
    ),
    Row(
        "log2",
        lambda x: log(x) / log(2),
        (lambda x: 1 / (x * log(2)),),
        domain=(POSITIVE,),
        values=(((1,), 0), ((2,), 1)),
        latex=r"\log_{2}",
        jax="jax.numpy.log2",
    ),
    Row(
        "log10",
        lambda x: log(x) / log(10),
        (lambda x: 1 / (x * log(10)),),
        domain=(POSITIVE,),
        values=(((1,), 0), ((10,), 1)),
        latex=r"\log_{10}",
        jax="jax.numpy.log10",
    ),
    Row(
        "logit",
        lambda p: log(p / (1 - p)),
        (lambda p: 1 / (p * (1 - p)),),
        domain=(PROBABILITY,),
        values=(((HALF,), 0),),
        jax="jax.scipy.special.logit",
    ),
)

POWERS = (
    Row(
        "expm1",
        lambda x: exp(x) - 1,
        (lambda x: exp(x),),
        range=ABOVE_MINUS_ONE,
        values=(((0,), 0),),
        jax="jax.numpy.expm1",
    ),
    Row(
        "expm1_over",
        lambda x: _at_zero(x, 1, (exp(x) - 1) / x),
        (lambda x: _at_zero(x, HALF, (exp(x) - v.expm1_over(x)) / x),),
        stable=lambda x: _at_zero(x, 1, v.expm1(x) / x),
        range=POSITIVE,
        values=(((0,), 1),),
    ),
    Row(
        "exp2",
        lambda x: 2**x,
        (lambda x: log(2) * v.exp2(x),),
        range=POSITIVE,
        values=(((0,), 1), ((1,), 2)),
        jax="jax.numpy.exp2",
    ),
    Row(
        "square",
        lambda x: x**2,
        (lambda x: 2 * x,),
        range=NONNEGATIVE,
        is_piecewise_rational=True,
        jax="jax.numpy.square",
    ),
    Row(
        "cbrt",
        lambda x: sp.sign(x) * Abs(x) ** Rational(1, 3),
        (lambda x: 1 / (3 * v.cbrt(x) ** 2),),
        kinks=lambda x: (Kink(x, sp.oo, sp.oo),),
        values=(((0,), 0), ((1,), 1), ((-1,), -1)),
        jax="jax.numpy.cbrt",
    ),
    Row(
        "rsqrt",
        lambda x: 1 / sqrt(x),
        (lambda x: -v.rsqrt(x) / (2 * x),),
        domain=(POSITIVE,),
        range=POSITIVE,
        values=(((1,), 1),),
        jax="jax.lax.rsqrt",
    ),
    Row(
        "hypot",
        lambda x, y: sqrt(x**2 + y**2),
        (lambda x, y: x / v.hypot(x, y), lambda x, y: y / v.hypot(x, y)),
        arity=2,
        kinks=lambda x, y: (Kink(x**2 + y**2, -ONE, ONE),),
        range=NONNEGATIVE,
        values=(((0, 0), 0),),
        jax="jax.numpy.hypot",
    ),
)

TRIGONOMETRIC = (
    Row(
        "sinc",
        lambda x: _at_zero(x, 1, sin(x) / x),
        (lambda x: _at_zero(x, 0, (cos(x) - v.sinc(x)) / x),),
        range=Domain(Fraction(-218, 1000), Fraction(1), open_high=False),
        values=(((0,), 1), ((pi,), 0)),
    ),
    Row(
        "cosm1",
        lambda x: cos(x) - 1,
        (lambda x: -sin(x),),
        stable=lambda x: -2 * sin(x / 2) ** 2,
        range=Domain.parse("[-2, 0]"),
        values=(((0,), 0),),
    ),
)

GAUSSIAN = (
    Row(
        "normal_pdf",
        lambda x: exp(-(x**2) / 2) / sqrt(2 * pi),
        (lambda x: -x * v.normal_pdf(x),),
        range=Domain(Fraction(0), Fraction(399, 1000)),
        values=(((0,), 1 / sqrt(2 * pi)),),
        latex=r"\varphi",
        jax="jax.scipy.stats.norm.pdf",
    ),
    Row(
        "normal_cdf",
        lambda x: (1 + erf(x / sqrt(2))) / 2,
        (lambda x: v.normal_pdf(x),),
        stable=lambda x: erfc(-x / sqrt(2)) / 2,
        range=PROBABILITY,
        values=(((0,), HALF), ((sp.oo,), 1), ((-sp.oo,), 0)),
        latex=r"\Phi",
        jax="jax.scipy.special.ndtr",
        aliases=("ndtr", "Phi"),
    ),
    Row(
        "log_normal_cdf",
        lambda x: log((1 + erf(x / sqrt(2))) / 2),
        (lambda x: v.normal_pdf(x) / v.normal_cdf(x),),
        stable=lambda x: Piecewise(
            (v.log1p(-erfc(x / sqrt(2)) / 2), x > 0), (log(erfc(-x / sqrt(2)) / 2), True)
        ),
        range=NEGATIVE,
        values=(((0,), -log(2)),),
        latex=r"\log\Phi",
        jax="jax.scipy.special.log_ndtr",
        aliases=("log_ndtr",),
    ),
    Row(
        "normal_quantile",
        lambda p: sqrt(2) * erfinv(2 * p - 1),
        (lambda p: 1 / v.normal_pdf(v.normal_quantile(p)),),
        domain=(PROBABILITY,),
        values=(((HALF,), 0),),
        latex=r"\Phi^{-1}",
        jax="jax.scipy.special.ndtri",
        aliases=("ndtri",),
    ),
)

ELEMENTARY = LOGARITHMS + POWERS + TRIGONOMETRIC + GAUSSIAN

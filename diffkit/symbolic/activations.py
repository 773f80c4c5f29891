r"""Rows of the activation functions and of the losses that are functions of one residual.

Convention: at a kink a derivative takes the value that the JAX counterpart's AD gives there
(relu'(0) = 0, leaky_relu'(0) = 1, clip'(low) = 1/2); `vocabulary.CONVENTIONS` lists them and
`vocabulary.partial` changes them.

Sources: Hendrycks and Gimpel (2016), arXiv:1606.08415 (gelu); Ramachandran et al. (2017),
arXiv:1710.05941 (swish); Klambauer et al. (2017), arXiv:1706.02515 (selu); Misra (2019),
arXiv:1908.08681 (mish); Barron (2017), arXiv:1704.07483 (celu).
"""

from fractions import Fraction
from math import inf

import sympy as sp
from sympy import (
    Abs,
    Eq,
    Integer,
    Max,
    Min,
    Piecewise,
    Rational,
    cosh,
    erf,
    exp,
    log,
    pi,
    sinh,
    sqrt,
    tanh,
)

from diffkit.core.domain import Domain
from diffkit.symbolic.scalar_function import REALS, Kink, Row, v

ZERO, ONE, HALF = Integer(0), Integer(1), Rational(1, 2)
POSITIVE = Domain.parse("positive")
NONNEGATIVE = Domain.parse("nonnegative")
PROBABILITY = Domain.parse("probability")
UNIT = Domain.parse("[0, 1]")
SYMMETRIC_UNIT = Domain.parse("[-1, 1]")

# The decimals of the published constants are the definition of the function; the fixed point
# of Klambauer et al. agrees with them to 5e-32.
SELU_ALPHA = Rational("1.6732632423543772848170429916717")
SELU_SCALE = Rational("1.0507009873554804934193349852946")
_GELU_CUBIC = Rational(44715, 10**6)


def _gelu_tanh_inner(x: sp.Expr) -> sp.Expr:
    return sqrt(2 / pi) * (x + _GELU_CUBIC * x**3)


def _gelu_tanh_slope(x: sp.Expr) -> sp.Expr:
    t = tanh(_gelu_tanh_inner(x))
    inner_slope = sqrt(2 / pi) * (1 + 3 * _GELU_CUBIC * x**2)
    return (1 + t) / 2 + x * (1 - t**2) * inner_slope / 2


def _mish_slope(x: sp.Expr) -> sp.Expr:
    t = tanh(v.softplus(x))
    return t + x * (1 - t**2) * v.sigmoid(x)


def _band(x: sp.Expr, low: sp.Expr, high: sp.Expr, at: sp.Expr) -> sp.Expr:
    """1 between `low` and `high`, 0 outside, `at` on the two bounds."""
    return v.step(x - low, at) * v.step(high - x, at)


SMOOTH = (
    Row(
        "sigmoid",
        lambda x: 1 / (1 + exp(-x)),
        (lambda x: v.sigmoid(x) * (1 - v.sigmoid(x)),),
        range=PROBABILITY,
        values=(((0,), HALF), ((sp.oo,), 1), ((-sp.oo,), 0)),
        latex=r"\sigma",
        jax="jax.nn.sigmoid",
        aliases=("logistic", "expit", "sigma"),
    ),
    Row(
        "softplus",
        lambda x: log(1 + exp(x)),
        (lambda x: v.sigmoid(x),),
        stable=lambda x: Max(x, 0) + v.log1p(exp(-Abs(x))),
        range=POSITIVE,
        values=(((0,), log(2)), ((sp.oo,), sp.oo), ((-sp.oo,), 0)),
        jax="jax.nn.softplus",
    ),
    Row(
        "log_sigmoid",
        lambda x: -log(1 + exp(-x)),
        (lambda x: v.sigmoid(-x),),
        stable=lambda x: -v.softplus(-x),
        range=Domain.parse("negative"),
        values=(((0,), -log(2)), ((sp.oo,), 0), ((-sp.oo,), -sp.oo)),
        latex=r"\log\sigma",
        jax="jax.nn.log_sigmoid",
        aliases=("logsigmoid",),
    ),
    Row(
        "silu",
        lambda x: x / (1 + exp(-x)),
        (lambda x: v.sigmoid(x) + v.silu(x) * (1 - v.sigmoid(x)),),
        range=Domain(Fraction(-279, 1000), inf),
        values=(((0,), 0), ((sp.oo,), sp.oo), ((-sp.oo,), 0)),
        jax="jax.nn.silu",
        aliases=("swish",),
    ),
    Row(
        "gelu",
        lambda x: x * (1 + erf(x / sqrt(2))) / 2,
        (lambda x: v.normal_cdf(x) + x * v.normal_pdf(x),),
        stable=lambda x: x * v.normal_cdf(x),
        range=Domain(Fraction(-17, 100), inf),
        values=(((0,), 0),),
        jax="jax.nn.gelu",
        jax_kwargs=(("approximate", False),),
    ),
    Row(
        "gelu_tanh",
        lambda x: x * (1 + tanh(_gelu_tanh_inner(x))) / 2,
        (_gelu_tanh_slope,),
        stable=lambda x: x * v.sigmoid(2 * _gelu_tanh_inner(x)),
        range=Domain(Fraction(-171, 1000), inf),
        values=(((0,), 0),),
        jax="jax.nn.gelu",
        jax_kwargs=(("approximate", True),),
    ),
    Row(
        "mish",
        lambda x: x * tanh(log(1 + exp(x))),
        (_mish_slope,),
        stable=lambda x: x * tanh(v.softplus(x)),
        range=Domain(Fraction(-309, 1000), inf),
        values=(((0,), 0),),
        jax="jax.nn.mish",
    ),
    Row(
        "squareplus",
        lambda x, b: (x + sqrt(x**2 + b)) / 2,
        (
            lambda x, b: v.squareplus(x, b) / sqrt(x**2 + b),
            lambda x, b: 1 / (4 * sqrt(x**2 + b)),
        ),
        arity=2,
        defaults=(Integer(4),),
        domain=(REALS, POSITIVE),
        range=POSITIVE,
        values=(((0, 4), 1),),
        jax="jax.nn.squareplus",
        jax_names=("b",),
    ),
    Row(
        "log_cosh",
        lambda x: log(cosh(x)),
        (lambda x: tanh(x),),
        stable=lambda x: v.log1p(2 * sinh(x / 2) ** 2),
        range=NONNEGATIVE,
        values=(((0,), 0),),
        latex=r"\log\cosh",
        jax="optax.losses.log_cosh",
        aliases=("logcosh",),
    ),
)

KINKED = (
    Row(
        "step",
        lambda x, at0: Piecewise((1, x > 0), (at0, Eq(x, 0)), (0, True)),
        (
            lambda x, at0: ZERO,
            lambda x, at0: Piecewise((1, Eq(x, 0)), (0, True)),
        ),
        arity=2,
        defaults=(ZERO,),
        kinks=lambda x, at0: (Kink(x, ZERO, ONE, order=0),),
        range=UNIT,
        is_piecewise_rational=True,
        jax="jax.numpy.heaviside",
        aliases=("heaviside", "Heaviside"),
    ),
    Row(
        "relu",
        lambda x: Max(x, 0),
        (lambda x: v.step(x, 0),),
        kinks=lambda x: (Kink(x, ZERO, ONE),),
        range=NONNEGATIVE,
        is_piecewise_rational=True,
        convention=ZERO,
        jax="jax.nn.relu",
        aliases=("ReLU",),
    ),
    Row(
        "relu6",
        lambda x: Min(Max(x, 0), 6),
        (lambda x: _band(x, ZERO, Integer(6), ZERO),),
        kinks=lambda x: (Kink(x, ZERO, ONE), Kink(x - 6, ONE, ZERO)),
        range=Domain.parse("[0, 6]"),
        is_piecewise_rational=True,
        convention=ZERO,
        jax="jax.nn.relu6",
    ),
    Row(
        "leaky_relu",
        lambda x, a: Piecewise((x, x >= 0), (a * x, True)),
        (
            lambda x, a: a + (1 - a) * v.step(x, 1),
            lambda x, a: x * (1 - v.step(x, 1)),
        ),
        arity=2,
        defaults=(Rational(1, 100),),
        kinks=lambda x, a: (Kink(x, a, ONE),),
        is_piecewise_rational=True,
        convention=ONE,
        jax="jax.nn.leaky_relu",
    ),
    Row(
        "prelu",
        lambda x, a: Piecewise((x, x >= 0), (a * x, True)),
        (
            lambda x, a: a + (1 - a) * v.step(x, 1),
            lambda x, a: x * (1 - v.step(x, 1)),
        ),
        arity=2,
        kinks=lambda x, a: (Kink(x, a, ONE),),
        is_piecewise_rational=True,
        convention=ONE,
        jax="jax.nn.leaky_relu",
    ),
    Row(
        "elu",
        lambda x, a: Piecewise((x, x > 0), (a * (exp(x) - 1), True)),
        (
            lambda x, a: Piecewise((1, x > 0), (a * exp(x), True)),
            lambda x, a: Piecewise((0, x > 0), (v.expm1(x), True)),
        ),
        stable=lambda x, a: Piecewise((x, x > 0), (a * v.expm1(x), True)),
        arity=2,
        defaults=(ONE,),
        kinks=lambda x, a: (Kink(x, ONE, ZERO, order=2) if a == 1 else Kink(x, a, ONE),),
        range=Domain(Fraction(-1), inf),
        values=(((0, 1), 0),),
        jax="jax.nn.elu",
    ),
    Row(
        "selu",
        lambda x: Piecewise(
            (SELU_SCALE * x, x > 0), (SELU_SCALE * SELU_ALPHA * (exp(x) - 1), True)
        ),
        (lambda x: Piecewise((SELU_SCALE, x > 0), (SELU_SCALE * SELU_ALPHA * exp(x), True)),),
        stable=lambda x: SELU_SCALE * v.elu(x, SELU_ALPHA),
        kinks=lambda x: (Kink(x, SELU_SCALE * SELU_ALPHA, SELU_SCALE),),
        range=Domain(Fraction(-17582, 10000), inf),
        values=(((0,), 0),),
        jax="jax.nn.selu",
    ),
    Row(
        "celu",
        lambda x, a: Piecewise((x, x > 0), (a * (exp(x / a) - 1), True)),
        (
            lambda x, a: Piecewise((1, x > 0), (exp(x / a), True)),
            lambda x, a: Piecewise((0, x > 0), (v.expm1(x / a) - x * exp(x / a) / a, True)),
        ),
        stable=lambda x, a: Piecewise((x, x > 0), (a * v.expm1(x / a), True)),
        arity=2,
        defaults=(ONE,),
        kinks=lambda x, a: (Kink(x, 1 / a, ZERO, order=2),),
        domain=(REALS, POSITIVE),
        range=Domain(Fraction(-1), inf),
        values=(((0, 1), 0),),
        jax="jax.nn.celu",
    ),
    Row(
        "softsign",
        lambda x: x / (1 + Abs(x)),
        (lambda x: 1 / (1 + Abs(x)) ** 2,),
        kinks=lambda x: (Kink(x, Integer(2), Integer(-2), order=2),),
        range=Domain.parse("(-1, 1)"),
        is_piecewise_rational=True,
        jax="jax.nn.soft_sign",
        aliases=("soft_sign",),
    ),
    Row(
        "hard_tanh",
        lambda x: Min(Max(x, -1), 1),
        (lambda x: _band(x, -ONE, ONE, ONE),),
        kinks=lambda x: (Kink(x + 1, ZERO, ONE), Kink(x - 1, ONE, ZERO)),
        range=SYMMETRIC_UNIT,
        is_piecewise_rational=True,
        convention=ONE,
        jax="jax.nn.hard_tanh",
        aliases=("hardtanh",),
    ),
    Row(
        "hard_sigmoid",
        lambda x: Min(Max(x + 3, 0), 6) / 6,
        (lambda x: _band(x, Integer(-3), Integer(3), ZERO) / 6,),
        kinks=lambda x: (Kink(x + 3, ZERO, ONE / 6), Kink(x - 3, ONE / 6, ZERO)),
        range=UNIT,
        is_piecewise_rational=True,
        convention=ZERO,
        jax="jax.nn.hard_sigmoid",
    ),
    Row(
        "hard_swish",
        lambda x: x * Min(Max(x + 3, 0), 6) / 6,
        (lambda x: v.hard_sigmoid(x) + x * _band(x, Integer(-3), Integer(3), ZERO) / 6,),
        kinks=lambda x: (Kink(x + 3, ZERO, -HALF), Kink(x - 3, 3 * HALF, ONE)),
        range=Domain(Fraction(-3, 8), inf, open_low=False),
        is_piecewise_rational=True,
        convention=ZERO,
        jax="jax.nn.hard_swish",
        aliases=("hard_silu", "hardswish"),
    ),
    Row(
        "sparse_plus",
        lambda x: Piecewise((0, x <= -1), (x, x >= 1), ((x + 1) ** 2 / 4, True)),
        (lambda x: v.sparse_sigmoid(x),),
        kinks=lambda x: (Kink(x + 1, ZERO, HALF, order=2), Kink(x - 1, HALF, ZERO, order=2)),
        range=NONNEGATIVE,
        is_piecewise_rational=True,
        jax="jax.nn.sparse_plus",
    ),
    Row(
        "sparse_sigmoid",
        lambda x: Min(Max(x + 1, 0), 2) / 2,
        (lambda x: _band(x, -ONE, ONE, HALF) / 2,),
        kinks=lambda x: (Kink(x + 1, ZERO, HALF), Kink(x - 1, HALF, ZERO)),
        range=UNIT,
        is_piecewise_rational=True,
        convention=HALF,
        jax="jax.nn.sparse_sigmoid",
    ),
    Row(
        "huber",
        lambda x, d: Piecewise((x**2 / 2, Abs(x) <= d), (d * (Abs(x) - d / 2), True)),
        (
            lambda x, d: v.clip(x, -d, d),
            lambda x, d: v.relu(Abs(x) - d),
        ),
        arity=2,
        defaults=(ONE,),
        kinks=lambda x, d: (Kink(x + d, ZERO, ONE, order=2), Kink(x - d, ONE, ZERO, order=2)),
        domain=(REALS, POSITIVE),
        range=NONNEGATIVE,
        is_piecewise_rational=True,
        jax="optax.losses.huber_loss",
        jax_names=("delta",),
    ),
    Row(
        "hinge",
        lambda score, target: Max(1 - score * target, 0),
        (
            lambda score, target: -target * v.step(1 - score * target, HALF),
            lambda score, target: -score * v.step(1 - score * target, HALF),
        ),
        arity=2,
        kinks=lambda score, target: (Kink(1 - score * target, Min(-target, 0), Max(-target, 0)),),
        range=NONNEGATIVE,
        is_piecewise_rational=True,
        convention=HALF,
        jax="optax.losses.hinge_loss",
    ),
    Row(
        "clip",
        lambda x, low, high: Min(Max(x, low), high),
        (
            lambda x, low, high: _band(x, low, high, HALF),
            lambda x, low, high: v.step(low - x, HALF) * v.step(high - low, HALF),
            lambda x, low, high: v.step(Max(x, low) - high, HALF),
        ),
        arity=3,
        kinks=lambda x, low, high: (Kink(x - low, ZERO, ONE), Kink(x - high, ONE, ZERO)),
        is_piecewise_rational=True,
        convention=HALF,
        jax="jax.numpy.clip",
    ),
)

ACTIVATIONS = SMOOTH + KINKED

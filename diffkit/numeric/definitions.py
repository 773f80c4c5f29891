r"""Scalar functions defined by other scalar functions, over any algebra that decides signs.

Each row is the definition a paper gives (not its derivative, not a stable rewriting beyond
log1p and expm1), written with the functions `f` of an algebra.  Germs and running error bounds
share this table; floats and mpmath numbers have their own, so that a wrong row here meets an
independent objection.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

HALF = Fraction(1, 2)


def _elu(f: Any, x: Any, a: Any) -> Any:
    return f.algebra.select(f.algebra.truth("gt", x, _c(f, 0)), x, a * f.expm1(x))


def _celu(f: Any, x: Any, a: Any) -> Any:
    return f.algebra.select(f.algebra.truth("gt", x, _c(f, 0)), x, a * f.expm1(x / a))


def _selu(f: Any, x: Any) -> Any:
    r"""Self-normalising unit; the constants solve the fixed point (Klambauer et al. 2017).

    $$\alpha = -\frac{\sqrt{2/\pi}}{\mathrm{erfc}(1/\sqrt2)\,e^{1/2} - 1}$$
    """
    pi, e = f.algebra.named("pi"), f.algebra.named("E")
    one, two = _c(f, 1), _c(f, 2)
    tail = f.erfc(f.rsqrt(two))
    alpha = f.sqrt(two / pi) / (one - tail * f.sqrt(e))
    scale = (
        (one - tail * f.sqrt(e))
        * f.sqrt(two * pi)
        * f.rsqrt(
            two * f.erfc(f.sqrt(two)) * e * e
            + pi * tail * tail * e
            - two * (two + pi) * tail * f.sqrt(e)
            + pi
            + two
        )
    )
    return scale * _elu(f, x, alpha)


def _huber(f: Any, x: Any, d: Any) -> Any:
    inner = x * x * _c(f, HALF)
    outer = d * (f.abs(x) - d * _c(f, HALF))
    return f.algebra.select(f.algebra.truth("le", f.abs(x), d), inner, outer)


def _step(f: Any, x: Any, at_zero: Any) -> Any:
    zero, one = _c(f, 0), _c(f, 1)
    right = f.algebra.select(f.algebra.truth("gt", x, zero), one, zero)
    return f.algebra.select(f.algebra.truth("eq", x, zero), at_zero, right)


def _logaddexp(f: Any, x: Any, y: Any) -> Any:
    top, bottom = f.max(x, y), f.min(x, y)
    if f.algebra.truth("eq", top, bottom):
        return top + f.log(_c(f, 2))
    return top + f.log1p(f.exp(bottom - top))


def _xlog(function: str) -> Callable[..., Any]:
    def definition(f: Any, x: Any, y: Any) -> Any:
        is_zero = f.algebra.truth("eq", x, _c(f, 0))
        product = x * f.algebra.function(function)(y)
        return f.algebra.select(is_zero, _c(f, 0), product)

    return definition


def _entr(f: Any, x: Any) -> Any:
    is_zero = f.algebra.truth("eq", x, _c(f, 0))
    return f.algebra.select(is_zero, _c(f, 0), -(x * f.log(x)))


def _over(numerator: Callable[[Any, Any], Any], at_zero: Fraction) -> Callable[..., Any]:
    """numerator(x)/x, continued by `at_zero`."""

    def definition(f: Any, x: Any) -> Any:
        is_zero = f.algebra.truth("eq", x, _c(f, 0))
        return f.algebra.select(is_zero, _c(f, at_zero), numerator(f, x) / x)

    return definition


def _normal_cdf(f: Any, x: Any) -> Any:
    return f.erfc(-x * f.rsqrt(_c(f, 2))) * _c(f, HALF)


def _gelu_tanh(f: Any, x: Any) -> Any:
    pi = f.algebra.named("pi")
    inner = f.sqrt(_c(f, 2) / pi) * (x + _c(f, Fraction(44715, 10**6)) * x * x * x)
    return _c(f, HALF) * x * (_c(f, 1) + f.tanh(inner))


def _trunc(f: Any, x: Any) -> Any:
    return f.algebra.select(f.algebra.truth("ge", x, _c(f, 0)), f.floor(x), f.ceil(x))


def _sigmoid(f: Any, x: Any) -> Any:
    return _c(f, 1) / (_c(f, 1) + f.exp(-x))


def _c(f: Any, value: Fraction | int) -> Any:
    return f.algebra.constant(value)


DEFINITIONS: dict[str, Callable[..., Any]] = {
    "exp2": lambda f, x: f.exp(x * f.log(_c(f, 2))),
    "log2": lambda f, x: f.log(x) / f.log(_c(f, 2)),
    "log10": lambda f, x: f.log(x) / f.log(_c(f, 10)),
    "tan": lambda f, x: f.sin(x) / f.cos(x),
    "cot": lambda f, x: f.cos(x) / f.sin(x),
    "sec": lambda f, x: _c(f, 1) / f.cos(x),
    "csc": lambda f, x: _c(f, 1) / f.sin(x),
    "coth": lambda f, x: _c(f, 1) / f.tanh(x),
    "sech": lambda f, x: _c(f, 1) / f.cosh(x),
    "csch": lambda f, x: _c(f, 1) / f.sinh(x),
    # odd: |x| first, because x + sqrt(x^2 + 1) cancels for x < 0
    "asinh": lambda f, x: (
        f.sign(x) * f.log1p(f.abs(x) + x * x / (_c(f, 1) + f.sqrt(x * x + _c(f, 1))))
    ),
    "acosh": lambda f, x: _c(f, 2) * f.asinh(f.sqrt((x - _c(f, 1)) / _c(f, 2))),
    "atanh": lambda f, x: (f.log1p(x) - f.log1p(-x)) / _c(f, 2),
    "erfcinv": lambda f, x: f.erfinv(_c(f, 1) - x),
    "ceil": lambda f, x: -f.floor(-x),
    "trunc": _trunc,
    "rem": lambda f, x, y: x - y * f.trunc(x / y),
    "mod": lambda f, x, y: x - y * f.floor(x / y),
    "hypot": lambda f, x, y: f.sqrt(x * x + y * y),
    "sigmoid": _sigmoid,
    "softplus": lambda f, x: f.log1p(f.exp(x)),
    "log_sigmoid": lambda f, x: -f.log1p(f.exp(-x)),
    "relu": lambda f, x: f.max(x, _c(f, 0)),
    "relu6": lambda f, x: f.min(f.max(x, _c(f, 0)), _c(f, 6)),
    "leaky_relu": lambda f, x, a: f.algebra.select(f.algebra.truth("ge", x, _c(f, 0)), x, a * x),
    "prelu": lambda f, x, a: f.algebra.select(f.algebra.truth("ge", x, _c(f, 0)), x, a * x),
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "gelu": lambda f, x: x * _normal_cdf(f, x),
    "gelu_tanh": _gelu_tanh,
    "silu": lambda f, x: x * _sigmoid(f, x),
    "swish": lambda f, x: x * _sigmoid(f, x),
    "mish": lambda f, x: x * f.tanh(f.softplus(x)),
    "softsign": lambda f, x: x / (_c(f, 1) + f.abs(x)),
    "hard_tanh": lambda f, x: f.min(f.max(x, _c(f, -1)), _c(f, 1)),
    "hard_sigmoid": lambda f, x: f.relu6(x + _c(f, 3)) / _c(f, 6),
    "hard_swish": lambda f, x: x * f.relu6(x + _c(f, 3)) / _c(f, 6),
    "squareplus": lambda f, x, b: (x + f.sqrt(x * x + b)) / _c(f, 2),
    "logaddexp": _logaddexp,
    "xlogy": _xlog("log"),
    "xlog1py": _xlog("log1p"),
    "entr": _entr,
    "step": _step,
    "huber": _huber,
    "log_cosh": lambda f, x: (f.abs(x) + f.log1p(f.exp(-_c(f, 2) * f.abs(x))) - f.log(_c(f, 2))),
    "logit": lambda f, x: f.log(x) - f.log1p(-x),
    "sinc": _over(lambda f, x: f.sin(x), Fraction(1)),
    "expm1_over": _over(lambda f, x: f.expm1(x), Fraction(1)),
    # 1 - cos x = 2 sin(x/2)^2
    "cosm1_over": _over(
        lambda f, x: -_c(f, 2) * f.sin(x / _c(f, 2)) * f.sin(x / _c(f, 2)), Fraction(0)
    ),
    "normal_pdf": lambda f, x: (
        f.exp(-(x * x) * _c(f, HALF)) * f.rsqrt(_c(f, 2) * f.algebra.named("pi"))
    ),
    "normal_cdf": _normal_cdf,
    "log_normal_cdf": lambda f, x: f.log(_normal_cdf(f, x)),
}

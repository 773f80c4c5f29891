"""Float64 (or float32) numbers: NumPy arrays and scalars with the functions of every layer.

Values only, no error bound: the fast algebra for sampling and for plots.  Formulas are written
in the form that keeps its digits; NaN and infinities follow IEEE 754 and raise nothing.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from diffkit.numeric.algebra import Exact, Relation, unsupported, with_defaults

_SQRT_HALF = math.sqrt(0.5)
_ALPHA, _SCALE = 1.6732632423543772848, 1.0507009873554804934  # Klambauer et al. (2017)

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


class FloatAlgebra:
    """Floating-point numbers, elementwise on arrays.

    Args:
        dtype: A NumPy float dtype; constants are rounded to it.

    >>> float(FloatAlgebra().function("softplus")(0.0)) == math.log(2)
    True
    """

    def __init__(self, dtype: npt.DTypeLike = np.float64):
        self.dtype = np.dtype(dtype)

    def constant(self, value: Exact) -> Any:
        """Return the float nearest to `value`."""
        return self.dtype.type(float(value) if abs(value) != math.inf else value)

    def named(self, name: str) -> Any:
        """Return the float nearest to "pi", "E" or "EulerGamma"."""
        values = {"pi": math.pi, "E": math.e, "EulerGamma": float(mpmath.euler)}
        if name not in values:
            raise unsupported(name, "FloatAlgebra")
        return self.dtype.type(values[name])

    def function(self, name: str) -> Callable[..., Any]:
        """Return the elementwise function `name`.

        Raises:
            UnsupportedFunction: no row in the table.
        """
        if name not in FUNCTIONS:
            raise unsupported(name, "FloatAlgebra")

        def call(*arguments: Any) -> Any:
            # NaN and inf are answers here, hence no warning
            with np.errstate(all="ignore"):
                filled = with_defaults(name, tuple(self.number(a) for a in arguments), self)
                return np.asarray(FUNCTIONS[name](*filled), dtype=self.dtype)[()]

        return call

    def number(self, value: Any) -> Any:
        """Return `value` as numbers of this dtype."""
        if isinstance(value, Fraction):
            return self.constant(value)
        return np.asarray(value, dtype=self.dtype)[()]

    def power(self, base: Any, exponent: Fraction) -> Any:
        """Return base**exponent; nan for a negative base and a broken exponent."""
        special = {Fraction(1, 2): np.sqrt, Fraction(2): np.square, Fraction(-1): np.reciprocal}
        with np.errstate(all="ignore"):
            x = self.number(base)
            if exponent in special:
                return special[exponent](x)
            return np.power(x, self.constant(exponent))

    def is_finite(self, value: Any) -> Any:
        """Whether `value` is neither infinite nor nan, elementwise."""
        return np.isfinite(value)

    def integer(self, value: Any) -> int:
        """Return the scalar `value` rounded toward zero."""
        return int(value)

    def truth(self, relation: Relation, a: Any, b: Any) -> Any:
        """Return `a relation b`, elementwise."""
        found = _COMPARE[relation](a, b)
        return bool(found) if np.ndim(found) == 0 else found

    def select(self, condition: Any, if_true: Any, if_false: Any) -> Any:
        """Return `if_true` where `condition` holds, else `if_false`."""
        return np.where(condition, if_true, if_false)[()]


def pointwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` of Python floats applied to every entry; a domain error gives nan."""

    def guarded(*arguments: float) -> float:
        try:
            value = function(*(float(argument) for argument in arguments))
            return float(value.real if abs(getattr(value, "imag", 0)) == 0 else math.nan)
        except (ValueError, ZeroDivisionError):
            return math.nan
        except OverflowError:
            return math.inf

    vectorised = np.frompyfunc(guarded, _parameters(function), 1)
    return lambda *arguments: np.asarray(vectorised(*arguments), dtype=np.float64)


def _parameters(function: Callable[..., Any]) -> int:
    return getattr(function, "arity", 1)


def _expit(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _log_normal_cdf(x: float) -> float:
    context = mpmath.mp.clone()
    context.dps = 30
    return float(context.log(context.erfc(-context.mpf(x) / context.sqrt(2)) / 2))


def _erfcinv(x: float) -> float:
    context = mpmath.mp.clone()
    context.dps = 40  # 1 - x keeps the digits of a small x
    return float(context.erfinv(1 - context.mpf(x)))


def _polygamma(n: Any, x: Any) -> Any:
    orders = np.broadcast_to(
        np.asarray(n, dtype=np.float64), np.broadcast_shapes(np.shape(n), np.shape(x))
    )
    values = np.broadcast_to(x, orders.shape)
    flat = [
        mpmath.polygamma(int(k), float(v)) for k, v in zip(orders.flat, values.flat, strict=True)
    ]
    return np.array([float(v) for v in flat]).reshape(orders.shape)


def _gamma(x: float) -> float:
    return math.gamma(x)


def _sinc(x: Any) -> Any:
    return np.where(x == 0, 1.0, np.sin(x) / np.where(x == 0, 1.0, x))


def _expm1_over(x: Any) -> Any:
    return np.where(x == 0, 1.0, np.expm1(x) / np.where(x == 0, 1.0, x))


def _cosm1_over(x: Any) -> Any:
    return np.where(x == 0, 0.0, -2 * np.sin(x / 2) ** 2 / np.where(x == 0, 1.0, x))


def _xlog(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: np.where(x == 0, 0.0, x * function(np.where(x == 0, 1.0, y)))


_erf, _erfc = pointwise(math.erf), pointwise(math.erfc)


def _normal_cdf(x: Any) -> Any:
    return _erfc(-x * _SQRT_HALF) / 2


def _elu(x: Any, a: Any) -> Any:
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0)))


def _gelu_tanh(x: Any) -> Any:
    return x * _expit(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _relu6(x: Any) -> Any:
    return np.clip(x, 0, 6)


def _huber(x: Any, d: Any) -> Any:
    return np.where(np.abs(x) <= d, x * x / 2, d * (np.abs(x) - d / 2))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in "exp expm1 exp2 log log1p log2 log10 sqrt cbrt square sign floor ceil trunc "
        "sin cos tan sinh cosh tanh logaddexp hypot abs".split()
    },
    "round": np.rint,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cot": lambda x: 1 / np.tan(x),
    "sec": lambda x: 1 / np.cos(x),
    "csc": lambda x: 1 / np.sin(x),
    "coth": lambda x: 1 / np.tanh(x),
    "sech": lambda x: 1 / np.cosh(x),
    "csch": lambda x: 1 / np.sinh(x),
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "rem": np.fmod,
    "mod": np.mod,
    "pow": np.power,
    "max": lambda *values: np.maximum.reduce(np.broadcast_arrays(*values)),
    "min": lambda *values: np.minimum.reduce(np.broadcast_arrays(*values)),
    "erf": _erf,
    "erfc": _erfc,
    "erfi": pointwise(mpmath.erfi),
    "erfinv": pointwise(mpmath.erfinv),
    "erfcinv": pointwise(_erfcinv),
    "lgamma": pointwise(math.lgamma),
    "gamma": pointwise(_gamma),
    "digamma": pointwise(mpmath.digamma),
    "polygamma": _polygamma,
    "lambertw": pointwise(mpmath.lambertw),
    "bessel_i0e": pointwise(lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x))),
    "bessel_i1e": pointwise(lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x))),
    "sigmoid": _expit,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": _relu6,
    "leaky_relu": lambda x, a: np.where(x >= 0, x, a * x),
    "prelu": lambda x, a: np.where(x >= 0, x, a * x),
    "elu": _elu,
    "celu": lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0) / a)),
    "selu": lambda x: _SCALE * _elu(x, _ALPHA),
    "gelu": lambda x: x * _normal_cdf(x),
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * _expit(x),
    "swish": lambda x: x * _expit(x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: _relu6(x + 3) / 6,
    "hard_swish": lambda x: x * _relu6(x + 3) / 6,
    "squareplus": lambda x, b: (x + np.sqrt(x * x + b)) / 2,
    "xlogy": _xlog(np.log),
    "xlog1py": _xlog(np.log1p),
    "entr": lambda x: -_xlog(np.log)(x, x),
    "step": lambda x, at_zero: np.heaviside(x, at_zero),
    "huber": _huber,
    "log_cosh": lambda x: np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - math.log(2),
    "logit": lambda x: np.log(x) - np.log1p(-x),
    "sinc": _sinc,
    "normal_pdf": lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "normal_cdf": _normal_cdf,
    "log_normal_cdf": pointwise(_log_normal_cdf),
    "expm1_over": _expm1_over,
    "cosm1_over": _cosm1_over,
}

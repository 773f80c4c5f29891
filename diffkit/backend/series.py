r"""Truncated Taylor series of JAX arrays: arithmetic and elementary functions by recurrence.

A series holds its normalised coefficients, $u(t) = \sum_k u_k t^k$, as a tuple or `Delayed`; one
that ends early is a polynomial, and what ends early costs less.  The law of the file: coefficients
beyond the first come from a differential equation $y' = g(y)\,u'$ whose right side starts at a
value that is computed accurately (sech^2 from an exponential, not 1 - tanh^2), so that tails keep
their digits.  Coefficients are divided by k!, and nothing overflows that the function does not.
Source: Griewank and Walther (2008), Evaluating Derivatives, chapter 13.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Delayed(Sequence):
    """Coefficients that are computed when they are first asked for, and then kept.

    What nobody asks for is never traced.  Ask for all of them (`forced`) before a loop body or
    another inner trace uses one.

    Args:
        rule: k -> coefficient k.
        length: Number of coefficients, >= 1.
    """

    def __init__(self, rule: Callable[[int], Any], length: int) -> None:
        self._rule = rule
        self._known: list[Any] = [None] * length

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return tuple(self[i] for i in range(*k.indices(len(self))))
        if self._known[k] is None:
            self._known[k] = self._rule(k % len(self))
        return self._known[k]


#: Coefficients 0, 1, ... of a polynomial in t, at least one.
Series = tuple[Any, ...] | Delayed
#: (u, n, f(u_0)) -> the series of f(u) to order n.
Rule = Callable[[Series, int, Any], Series]


def is_series(value: Any) -> bool:
    """Whether a value is a series, and no array."""
    return isinstance(value, tuple | Delayed)


def forced(value: Any) -> Any:
    """A series with all its coefficients computed; anything else as it is."""
    return tuple(value) if isinstance(value, Delayed) else value


def one(u: Series) -> Any:
    """An array of ones like a coefficient."""
    return lax.full_like(u[0], 1)


def zero(u: Series) -> Any:
    """An array of zeros like a coefficient."""
    return lax.full_like(u[0], 0)


def is_constant(u: Series) -> bool:
    """Whether a series does not depend on t."""
    return len(u) == 1


# --- arrays: lax itself, for the operators of an array trace a jit of their own ---------------


def _operation(exact: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """`exact` on two arrays of one type, or an array and a Python number; else `general`."""

    def operate(a: Any, b: Any) -> Any:
        if isinstance(a, int | float):
            return exact(np.asarray(a, b.dtype), b)
        if isinstance(b, int | float):
            return exact(a, np.asarray(b, a.dtype))
        same = a.shape == b.shape and a.dtype == b.dtype
        return exact(a, b) if same else general(a, b)

    return operate


plus = _operation(lax.add, jnp.add)
minus = _operation(lax.sub, jnp.subtract)
times = _operation(lax.mul, jnp.multiply)
over = _operation(lax.div, jnp.true_divide)


def total(terms: Iterable[Any]) -> Any:
    """The sum of at least one array, without a leading zero."""
    return reduce(plus, terms)


# --- arithmetic ------------------------------------------------------------------------------


def add(a: Series, b: Series) -> Series:
    """The sum, as long as the longer operand."""
    short, long = sorted((a, b), key=len)
    return Delayed(lambda k: plus(long[k], short[k]) if k < len(short) else long[k], len(long))


def subtract(a: Series, b: Series) -> Series:
    """The difference."""

    def term(k: int) -> Any:
        if k >= len(a):
            return lax.neg(b[k])
        return minus(a[k], b[k]) if k < len(b) else a[k]

    return Delayed(term, max(len(a), len(b)))


def scale(factor: Any, u: Series) -> Series:
    """A constant times a series."""
    return Delayed(lambda k: times(factor, u[k]), len(u))


def shift(constant: Any, u: Series) -> Series:
    """A constant plus a series."""
    return Delayed(lambda k: u[k] if k else plus(constant, u[0]), len(u))


def product_term(a: Sequence[Any], b: Sequence[Any], k: int) -> Any:
    r"""$\sum_j a_j b_{k-j}$ over the coefficients both operands have."""
    first, last = max(0, k - len(b) + 1), min(k, len(a) - 1)
    return total(times(a[j], b[k - j]) for j in range(first, last + 1))


def square_term(a: Sequence[Any], k: int) -> Any:
    r"""$\sum_j a_j a_{k-j}$ with every product taken once."""
    first = max(0, k - len(a) + 1)
    pairs = [times(a[j], a[k - j]) for j in range(first, (k + 1) // 2)]
    middle = [times(a[k // 2], a[k // 2])] if k % 2 == 0 else []
    return total([times(2, total(pairs)), *middle] if pairs else middle)


def multiply(a: Series, b: Series, n: int) -> Series:
    """The product to order n."""
    length = min(n + 1, len(a) + len(b) - 1)
    if a is b:
        return Delayed(lambda k: square_term(a, k), length)
    return Delayed(lambda k: product_term(a, b, k), length)


def divide(a: Series, b: Series, n: int) -> Series:
    r"""The quotient to order n, $y_k = (a_k - \sum_{j \ge 1} b_j y_{k-j}) / b_0$."""
    if is_constant(b):
        return Delayed(lambda k: over(a[k], b[0]), len(a))
    y: list[Any] = []
    for k in range(n + 1):
        known = [product_term(b[1:], y, k - 1)] if k else []
        if k < len(a):
            y.append(over(minus(a[k], known[0]) if known else a[k], b[0]))
        else:
            y.append(over(lax.neg(known[0]), b[0]))
    return tuple(y)


def integer_power(u: Series, exponent: int, n: int) -> Series:
    """A whole power by repeated squaring, also at u_0 = 0."""
    if exponent < 0:
        return divide((one(u),), integer_power(u, -exponent, n), n)
    result: Series | None = None
    while exponent:
        if exponent % 2:
            result = u if result is None else multiply(result, u, n)
        exponent //= 2
        u = multiply(u, u, n) if exponent else u
    return (one(u),) if result is None else result


# --- functions -------------------------------------------------------------------------------


def flow(u: Series, n: int, start: Sequence[Any], slopes: Sequence[Callable]) -> list[Series]:
    r"""Return the solutions of $y_i' = g_i(y)\,u'$ with $y_i(0)$ given.

    $$y_{i,k} = \frac1k \sum_{j=1}^{k} j\,u_j\,g_{i,k-j}$$

    Args:
        u: The argument.
        n: Order.
        start: Coefficient 0 of every solution.
        slopes: For every solution, (coefficients so far, k) -> coefficient k of g_i.
    """
    weighted = derivative(u)
    found = [[value] for value in start]
    slope: list[list[Any]] = [[] for _ in start]
    for k in range(1, n + 1):
        for mine, rule in zip(slope, slopes, strict=True):
            mine.append(rule(found, k - 1))
        for mine, g in zip(found, slope, strict=True):
            mine.append(times(1 / k, product_term(weighted, g, k - 1)))
    return [tuple(each) for each in found]


def integral(u: Series, n: int, value: Any, slope: Series) -> Series:
    """The series that starts at `value` and has the derivative slope * u'."""
    weighted = derivative(u)
    last = min(n, len(weighted) + len(slope) - 1)

    def term(k: int) -> Any:
        return times(1 / k, product_term(weighted, slope, k - 1)) if k else value

    return Delayed(term, last + 1)


def compose(coefficients: Series, u: Series, n: int) -> Series:
    r"""$\sum_m c_m (u - u_0)^m$, by Horner's rule; powers alone when u is affine."""
    if len(u) == 2:

        def term(m: int) -> Any:
            return times(coefficients[m], lax.integer_pow(u[1], m)) if m else coefficients[0]

        return Delayed(term, n + 1)
    step = (zero(u), *u[1:])
    result: Series = coefficients[n : n + 1]
    for c in reversed(coefficients[:n]):
        result = shift(c, multiply(result, step, n))
    return result


def exp(u: Series, n: int, value: Any) -> Series:
    """y' = y u'."""
    return flow(u, n, (value,), (lambda y, k: y[0][k],))[0]


def expm1(u: Series, n: int, value: Any) -> Series:
    """The series of exp, except for its first coefficient."""
    found = exp(u, n, lax.exp(u[0]))
    return Delayed(lambda k: found[k] if k else value, len(found))


def exp2(u: Series, n: int, value: Any) -> Series:
    """exp(u log 2)."""
    return exp(scale(math.log(2), u), n, value)


def log(u: Series, n: int, value: Any) -> Series:
    """y' = u' / u."""
    return integral(u, n, value, divide((one(u),), u, n))


def log1p(u: Series, n: int, value: Any) -> Series:
    """y' = u' / (1 + u)."""
    return log(shift(1, u), n, value)


def log2(u: Series, n: int, value: Any) -> Series:
    """log(u) / log(2)."""
    return (value, *scale(1 / math.log(2), log(u, n, value)[1:]))


def power(u: Series, n: int, value: Any, exponent: float) -> Series:
    r"""$u\,y' = a\,y\,u'$: $y_k = \frac{1}{k u_0}\sum_{j=1}^k (aj - k + j)\,u_j\,y_{k-j}$."""
    y = [value]
    for k in range(1, n + 1):
        terms = (
            times(exponent * j - k + j, times(u[j], y[k - j]))
            for j in range(1, min(k, len(u) - 1) + 1)
        )
        y.append(over(total(terms), times(k, u[0])))
    return tuple(y)


def sine_and_cosine(u: Series, n: int) -> list[Series]:
    """The pair s' = c u', c' = -s u'."""
    slopes = (lambda y, k: y[1][k], lambda y, k: lax.neg(y[0][k]))
    return flow(u, n, (lax.sin(u[0]), lax.cos(u[0])), slopes)


def hyperbolic_pair(u: Series, n: int) -> list[Series]:
    """The pair sinh' = cosh u', cosh' = sinh u'."""
    slopes = (lambda y, k: y[1][k], lambda y, k: y[0][k])
    return flow(u, n, (jnp.sinh(u[0]), jnp.cosh(u[0])), slopes)


def tan(u: Series, n: int, value: Any) -> Series:
    """y' = (1 + y^2) u'."""

    def slope(y: Sequence[Sequence[Any]], k: int) -> Any:
        return square_term(y[0], k) if k else plus(1, square_term(y[0], 0))

    return flow(u, n, (value,), (slope,))[0]


def tanh(u: Series, n: int, value: Any) -> Series:
    r"""$y' = (1 - y^2)\,u'$ from accurate 1 - y^2; a polynomial in y and 1 - y^2 at affine u."""
    t, q = _tanh_and_sech_squared(u[0])
    if len(u) == 2:

        def term(k: int) -> Any:
            return times(tanh_coefficient(t, q, k), lax.integer_pow(u[1], k)) if k else value

        return Delayed(term, n + 1)

    def slope(y: Sequence[Sequence[Any]], k: int) -> Any:
        return lax.neg(square_term(y[0], k)) if k else q

    found = flow(u, n, (t,), (slope,))[0]
    return (value, *found[1:])


#: tanh(x)/x by powers of x^2; below |x| = 0.1 what follows is less than 2e-17.
_TANH = (1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075)


def _tanh_and_sech_squared(x: Any) -> tuple[Any, Any]:
    r"""Return tanh and 1 - tanh^2 from one exponential, both relatively accurate.

    With $e = e^{-2|x|}$: $\pm(1 - e)/(1 + e)$, a power series near 0, and $4e/(1+e)^2$.
    One exponential instead of two functions halves the time XLA takes to compile a network.
    """
    # Not abs and sign, whose derivatives at 0 are 0: this side's derivatives are those of both.
    side = lax.select(lax.lt(x, lax.full_like(x, 0)), lax.full_like(x, -1), lax.full_like(x, 1))
    e = lax.exp(times(-2, times(x, side)))
    below = over(1, plus(1, e))
    squared = times(x, x)
    near = reduce(lambda sum_, c: plus(c, times(sum_, squared)), _TANH[-2::-1], _TANH[-1])
    far = times(side, times(minus(1, e), below))
    t = lax.select(lax.lt(squared, lax.full_like(x, 0.01)), times(x, near), far)
    return t, times(times(4, e), times(below, below))


def tanh_coefficient(t: Any, q: Any, k: int) -> Any:
    r"""Coefficient k >= 1 of tanh: q, or q t, times a form in $q = 1 - t^2$ and $t^2$, over k!."""
    content, form = _tanh_form(k)
    r = times(t, t)
    factor = content / math.factorial(k)
    result, power_of_q = factor * form[0], None
    for c in form[1:]:
        power_of_q = q if power_of_q is None else times(power_of_q, q)
        result = plus(times(result, r), times(factor * c, power_of_q))
    return times(times(q, t) if k % 2 == 0 else q, result)


@cache
def _tanh_form(k: int) -> tuple[int, tuple[int, ...]]:
    """A content and c_m of sum_m c_m q^m (t^2)^(M - m), with q' = -2 q t and t' = q."""
    form = {(1, 0): 1}
    for _ in range(k - 1):
        longer: dict[tuple[int, int], int] = {}
        for (i, j), c in form.items():
            longer[i, j + 1] = longer.get((i, j + 1), 0) - 2 * i * c
            if j:
                longer[i + 1, j - 1] = longer.get((i + 1, j - 1), 0) + j * c
        form = longer
    content = math.gcd(*form.values())
    return content, tuple(c // content for _, c in sorted(form.items()))


def sigmoid(u: Series, n: int, value: Any) -> Series:
    """(1 + tanh(u/2)) / 2."""
    found = tanh(scale(0.5, u), n, value)
    return Delayed(lambda k: times(0.5, found[k]) if k else value, len(found))


def softplus(u: Series, n: int, value: Any) -> Series:
    """y' = sigmoid(u) u'."""
    return integral(u, n, value, sigmoid(u, n, lax.logistic(u[0])))


def log_sigmoid(u: Series, n: int, value: Any) -> Series:
    """-softplus(-u)."""
    return scale(-1, softplus(scale(-1, u), n, -value))


def log_cosh(u: Series, n: int, value: Any) -> Series:
    """y' = tanh(u) u'."""
    return integral(u, n, value, tanh(u, n, lax.tanh(u[0])))


def gaussian(u: Series, n: int) -> Series:
    """exp(-u^2)."""
    argument = scale(-1, multiply(u, u, n))
    return exp(argument, n, lax.exp(argument[0]))


def erf(u: Series, n: int, value: Any) -> Series:
    """y' = 2/sqrt(pi) exp(-u^2) u'."""
    return integral(u, n, value, scale(2 / math.sqrt(math.pi), gaussian(u, n)))


def erfc(u: Series, n: int, value: Any) -> Series:
    """1 - erf."""
    return scale(-1, erf(u, n, -value))


def erf_inv(u: Series, n: int, value: Any) -> Series:
    r"""$y' = c\,e\,u'$ and $e' = 2c\,y\,e^2 u'$ with $c = \sqrt\pi/2$, $e = \exp(y^2)$."""
    c = math.sqrt(math.pi) / 2

    def slope(y: Sequence[Sequence[Any]], k: int) -> Any:
        squares = [square_term(y[1], j) for j in range(k + 1)]
        return times(2 * c, product_term(y[0], squares, k))

    start = (value, lax.exp(times(value, value)))
    return flow(u, n, start, (lambda y, k: times(c, y[1][k]), slope))[0]


def normal_pdf(u: Series, n: int, value: Any) -> Series:
    """exp(-u^2/2) / sqrt(2 pi)."""
    return exp(scale(-0.5, multiply(u, u, n)), n, value)


def normal_cdf(u: Series, n: int, value: Any) -> Series:
    """y' = normal_pdf(u) u'."""
    square = times(u[0], u[0])
    density = times(1 / math.sqrt(2 * math.pi), lax.exp(times(-0.5, square)))
    return integral(u, n, value, normal_pdf(u, n, density))


def silu(u: Series, n: int, value: Any) -> Series:
    """U sigmoid(u)."""
    return (value, *multiply(u, sigmoid(u, n, lax.logistic(u[0])), n)[1:])


def gelu(u: Series, n: int, value: Any) -> Series:
    """U normal_cdf(u)."""
    below = times(0.5, lax.erfc(times(-math.sqrt(0.5), u[0])))
    return (value, *multiply(u, normal_cdf(u, n, below), n)[1:])


def sech_squared(u: Series, n: int, value: Any) -> Series:
    """1 - tanh^2."""
    t = tanh(u, n, lax.tanh(u[0]))
    return (value, *scale(-1, multiply(t, t, n))[1:])


def sigmoid_prime(u: Series, n: int, value: Any) -> Series:
    """sech^2(u/2) / 4."""
    return (value, *scale(0.25, sech_squared(scale(0.5, u), n, value))[1:])


def gamma(u: Series, n: int, value: Any) -> Series:
    """exp(log gamma), for positive u."""
    return exp(polygamma(-1, u, n, value), n, value)


def atan(u: Series, n: int, value: Any) -> Series:
    """y' = u' / (1 + u^2)."""
    below = shift(1, multiply(u, u, n))
    return integral(u, n, value, divide((one(u),), below, n))


def atanh(u: Series, n: int, value: Any) -> Series:
    """y' = u' / ((1 - u)(1 + u))."""
    below = multiply(shift(1, scale(-1, u)), shift(1, u), n)
    return integral(u, n, value, divide((one(u),), below, n))


def asin(u: Series, n: int, value: Any) -> Series:
    """y' = u' / sqrt((1 - u)(1 + u))."""
    return integral(u, n, value, _inverse_root(multiply(shift(1, scale(-1, u)), shift(1, u), n), n))


def acos(u: Series, n: int, value: Any) -> Series:
    """pi/2 - asin."""
    return scale(-1, asin(u, n, -value))


def asinh(u: Series, n: int, value: Any) -> Series:
    """y' = u' / sqrt(1 + u^2)."""
    return integral(u, n, value, _inverse_root(shift(1, multiply(u, u, n)), n))


def acosh(u: Series, n: int, value: Any) -> Series:
    """y' = u' / sqrt((u - 1)(u + 1))."""
    return integral(u, n, value, _inverse_root(multiply(shift(-1, u), shift(1, u), n), n))


def atan2(y: Series, x: Series, n: int, value: Any) -> Series:
    """(x y' - y x') / (x^2 + y^2), integrated."""
    turning = subtract(multiply(x, derivative(y), n), multiply(y, derivative(x), n))
    below = add(multiply(x, x, n), multiply(y, y, n))
    slope = divide(turning, below, n)
    return (value, *(each / (k + 1) for k, each in enumerate(slope[:n])))


def derivative(u: Series) -> Series:
    """The series of u'."""
    if is_constant(u):
        return (zero(u),)
    return Delayed(lambda k: times(k + 1, u[k + 1]) if k else u[1], len(u) - 1)


def polygamma(order: int, u: Series, n: int, value: Any) -> Series:
    """A polygamma function of positive u, order >= 0; order -1 is log(gamma)."""
    rest = (
        jax.scipy.special.polygamma(order + m, u[0]) / math.factorial(m) for m in range(1, n + 1)
    )
    return compose((value, *rest), u, n)


def _inverse_root(u: Series, n: int) -> Series:
    return power(u, n, lax.rsqrt(u[0]), -0.5)


#: Functions of one variable by the name of their primitive or kernel.
FUNCTIONS: dict[str, Rule] = {
    "exp": exp,
    "expm1": expm1,
    "exp2": exp2,
    "log": log,
    "log1p": log1p,
    "log2": log2,
    "sqrt": lambda u, n, value: power(u, n, value, 0.5),
    "rsqrt": lambda u, n, value: power(u, n, value, -0.5),
    "cbrt": lambda u, n, value: power(u, n, value, 1 / 3),
    "square": lambda u, n, value: multiply(u, u, n),
    "sin": lambda u, n, value: sine_and_cosine(u, n)[0],
    "cos": lambda u, n, value: sine_and_cosine(u, n)[1],
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "sinh": lambda u, n, value: hyperbolic_pair(u, n)[0],
    "cosh": lambda u, n, value: hyperbolic_pair(u, n)[1],
    "tanh": tanh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
    "log_cosh": log_cosh,
    "silu": silu,
    "gelu": gelu,
    "sech_squared": sech_squared,
    "sigmoid_prime": sigmoid_prime,
    "gamma": gamma,
    "erf": erf,
    "erfc": erfc,
    "erf_inv": erf_inv,
    "normal_pdf": normal_pdf,
    "normal_cdf": normal_cdf,
    "lgamma": lambda u, n, value: polygamma(-1, u, n, value),
    "digamma": lambda u, n, value: polygamma(0, u, n, value),
}

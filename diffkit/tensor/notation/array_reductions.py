"""Sums, means, norms and their kin over axes of an array, with NumPy's options."""

from collections.abc import Callable, Sequence
from math import prod

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor import views
from diffkit.tensor.views import View

#: An axis, several, or all of them.
Axis = int | tuple[int, ...] | None


def axes_of(x: View, axis: Axis) -> list[int]:
    """The axes that an option names, ascending."""
    if axis is None:
        return list(range(x.rank))
    wanted = axis if isinstance(axis, tuple) else (axis,)
    for k in wanted:
        if not -x.rank <= k < x.rank:
            raise UsageError(f"there is no axis {k} in an array of {x.rank} axes")
    return sorted({k % x.rank for k in wanted})


def _kept(x: View, axes: Sequence[int], result: View, keepdims: bool) -> View:
    """The result with the axes that vanished at length 1, where they are kept."""
    for k in sorted(axes) if keepdims else ():
        result = views.expand(result, k)
    return result


def total(x: View, *, axis: Axis = None, keepdims: bool = False) -> View:
    """The sum of entries."""
    axes = axes_of(x, axis)
    return _kept(x, axes, views.total(x, axes), keepdims)


def mean(x: View, *, axis: Axis = None, keepdims: bool = False) -> View:
    """The mean of entries."""
    axes = axes_of(x, axis)
    return _kept(x, axes, views.mean(x, axes), keepdims)


def variance(x: View, *, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> View:
    """The mean square distance from the mean."""
    axes = axes_of(x, axis)
    distance = views.add(x, mean(x, axis=tuple(axes), keepdims=True), -1)
    count = prod(x.shape[k] for k in axes)
    if count <= ddof:
        raise UsageError(f"a variance of {count} entries with ddof={ddof} divides by zero")
    squares = total(views.multiply(distance, distance), axis=tuple(axes), keepdims=keepdims)
    return views.scale(sp.Rational(1, count - ddof), squares)


def deviation(x: View, *, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> View:
    """The square root of the variance."""
    return views.power(variance(x, axis=axis, keepdims=keepdims, ddof=ddof), sp.Rational(1, 2))


def reduction(kind: str) -> Callable[..., View]:
    """A maximum, minimum, product or logsumexp as a function of an array and its options."""

    def run(x: View, *, axis: Axis = None, keepdims: bool = False) -> View:
        axes = axes_of(x, axis)
        return _kept(x, axes, views.reduce(kind, x, axes), keepdims)

    return run


logsumexp = reduction("logsumexp")


def log_softmax(x: View, *, axis: Axis = -1) -> View:
    """u - logsumexp(u)."""
    return views.add(x, logsumexp(x, axis=axis, keepdims=True), -1)


def softmax(x: View, *, axis: Axis = -1) -> View:
    """exp(u) over its sum."""
    return views.elementwise(sp.exp, log_softmax(x, axis=axis))


def norm(
    x: View, *, ord: str | sp.Expr | None = None, axis: Axis = None, keepdims: bool = False
) -> View:
    """A norm, as numpy.linalg.norm names them."""
    axes = axes_of(x, axis)
    if ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2):
        return euclidean(x, axis=tuple(axes), keepdims=keepdims)
    if len(axes) == 2 and x.rank == 2 and not keepdims:
        return _matrix_norm(x, ord)
    if len(axes) != 1:
        raise UsageError("a norm is taken over one or two axes")
    size = views.elementwise(sp.Abs, x)
    if ord in (sp.oo, -sp.oo):
        return reduction("max" if ord == sp.oo else "min")(size, axis=axis, keepdims=keepdims)
    if ord == 1:
        return total(size, axis=axis, keepdims=keepdims)
    if isinstance(ord, sp.Rational) and ord > 0:
        return views.power(total(views.power(size, ord), axis=axis, keepdims=keepdims), 1 / ord)
    raise UsageError(f"there is no vector norm {ord}; known: 1, 2, a number p > 0, inf, -inf")


def euclidean(x: View, *, axis: Axis = None, keepdims: bool = False) -> View:
    """The square root of the sum of squares."""
    return views.power(total(views.multiply(x, x), axis=axis, keepdims=keepdims), sp.Rational(1, 2))


def _matrix_norm(x: View, order: str | sp.Expr) -> View:
    if order in (1, sp.oo):
        sums = views.total(views.elementwise(sp.Abs, x), [0 if order == 1 else 1])
        return views.reduce("max", sums, [0])
    if order == 2:
        return views.reduce("max", singular_values(x), [0])
    if order == "nuc":
        return views.total(singular_values(x))
    raise UsageError(f"there is no matrix norm {order}; known: 'fro', 'nuc', 1, 2, inf")


def require_matrix(x: View, what: str) -> None:
    """Refuse what is no matrix."""
    if x.rank < 2:
        raise UsageError(f"{what} needs a matrix, not shape {x.shape}")


def singular_values(x: View) -> View:
    """The singular values, descending."""
    require_matrix(x, "a singular value")
    return views.part_of_matrix("singular_values", x, (min(x.shape[-2:]),))


def nuclear(x: View) -> View:
    """The sum of the singular values."""
    return views.total(singular_values(x), [-1])


def spectral(x: View) -> View:
    """The largest singular value."""
    return views.reduce("max", singular_values(x), [-1])

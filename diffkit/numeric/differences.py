r"""Derivatives by finite differences that say how wrong they may be.

A stencil of order p answers with the error model

$$|D_h - f^{(q)}| \le C_1 h^{-q} + C_2 h^{p-q},$$

C1 the rounding of f, C2 the truncation.  A whole ladder of steps is evaluated in one call; at
each step a nested stencil of lower order estimates the truncation, and a step is trusted only as
far as it is consistent with every smaller one.  The step of the least bound wins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial, inf, isfinite, log2, nan

import numpy as np
import numpy.typing as npt

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.numeric.ulps import spacing

Array = npt.NDArray[np.float64]
Vectorised = Callable[[Array], Array]

_EPS = float(np.finfo(np.float64).eps)
_RATIO = 2  # steps are powers of 4: exact, and far enough apart to be independent witnesses
#: The nested difference estimates the truncation, it does not bound it; a one-sided grid sees
#: less of the function, and its estimate is that much poorer (measured, see the tests).
_SAFETY = {0: 2.0, 1: 20.0, -1: 20.0}


@dataclass(frozen=True)
class Stencil:
    """Offsets j and weights w with f^(q)(x) ~ h^-q sum_j w_j f(x + j h)."""

    offsets: tuple[int, ...]
    weights: tuple[Fraction, ...]

    @property
    def size(self) -> float:
        """Sum of |w|: what a rounding error of f is multiplied by."""
        return float(sum(abs(weight) for weight in self.weights))


@lru_cache(maxsize=64)
def stencil(order: int, offsets: tuple[int, ...]) -> Stencil:
    """Return the weights of highest accuracy on a grid, exact for polynomials below its length.

    Args:
        order: Order of the derivative, 0 <= order < len(offsets).
        offsets: Distinct grid points in units of h.

    >>> [str(w) for w in stencil(1, (-1, 0, 1)).weights]
    ['-1/2', '0', '1/2']
    """
    count = len(offsets)
    if not 0 <= order < count:
        raise UsageError(f"a derivative of order {order} needs more than {order} grid points")
    # Vandermonde: sum_j w_j j^k = k! [k == order], solved exactly by Gauss-Jordan
    rows = [
        [Fraction(j) ** k for j in offsets] + [Fraction(factorial(k) if k == order else 0)]
        for k in range(count)
    ]
    for k in range(count):
        pivot = next(i for i in range(k, count) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [entry / rows[k][k] for entry in rows[k]]
        for i in range(count):
            if i != k and rows[i][k]:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return Stencil(offsets, tuple(row[-1] for row in rows))


def _grids(order: int, side: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The fine grid and the nested one: central (order 6 and 4), or one-sided."""
    if side:
        return tuple(side * j for j in range(order + 6)), tuple(side * j for j in range(order + 4))
    half = (order + 1) // 2 + 2
    return tuple(range(-half, half + 1)), tuple(range(1 - half, half))


def difference(
    f: Vectorised,
    x: float,
    order: int = 1,
    *,
    side: int = 0,
    domain: Domain | None = None,
    noise: float = 4.0,
) -> Estimate:
    """Return the derivative of `f` at `x` with a bound on its error.

    Args:
        f: Vectorised float64 function; evaluated once, on about 300 points.
        x: The point, finite.
        order: Order of the derivative, 1 to 6.
        side: 0 central, +1 from the right, -1 from the left.
        domain: No point outside is evaluated; None: the real line.
        noise: Rounding error of f in ulps of the largest |f| (and of |x f'|), >= 1.

    Returns:
        Value and bound (parts "rounding" and "truncation"); nan with an infinite bound when no
        step gives finite values.

    Raises:
        UsageError: `x` is not finite or outside `domain`, or the order is out of range.

    >>> found = difference(np.sin, 0.0)
    >>> abs(found.value - 1.0) <= found.bound.value < 1e-9
    True
    """
    if not isfinite(x) or (domain is not None and not domain.contains(x)):
        raise UsageError(f"x = {x} is no finite point of the domain")
    if not 1 <= order <= 6:
        raise UsageError(f"orders 1 to 6 have stencils, not {order}")
    fine_grid, coarse_grid = _grids(order, side)
    fine = stencil(order, fine_grid)
    steps = _steps(x, fine_grid, domain)
    if not steps.size:
        return Estimate(nan, ErrorBound({"truncation": inf}), note="no step stays in the domain")
    points = x + np.outer(steps, np.array(fine_grid, dtype=np.float64))
    with np.errstate(all="ignore"):
        values = np.asarray(f(points.ravel()), dtype=np.float64).reshape(points.shape)
        finite = np.all(np.isfinite(values), axis=1)
    if not finite.any():
        return Estimate(nan, ErrorBound({"truncation": inf}), note="no step gives finite values")
    steps, values = steps[finite], values[finite]
    best = _apply(fine, values, steps, order)
    coarse = stencil(order, coarse_grid)
    nested = _apply(coarse, values[:, _places(coarse_grid, fine_grid)], steps, order)
    slope = _apply(stencil(1, fine_grid), values, steps, 1)
    level = np.max(np.abs(values), axis=1) + np.abs(x * slope)
    rounding = noise * _EPS * level * fine.size / steps**order + _EPS * np.abs(best)
    truncation = _SAFETY[side] * np.abs(best - nested)
    truncation = np.maximum(truncation, _inconsistency(best, rounding))
    chosen = int(np.argmin(rounding + truncation))
    bound = {"rounding": float(rounding[chosen]), "truncation": float(truncation[chosen])}
    return Estimate(float(best[chosen]), ErrorBound(bound), note=f"step {steps[chosen]:.1e}")


def _steps(x: float, grid: tuple[int, ...], domain: Domain | None) -> Array:
    """Powers of 4 from the scale of x down, exact in x + j h and inside the domain."""
    reach = max(abs(j) for j in grid)
    # the grid stays within about |x| of x: farther away the function may be another one
    top = int(log2(max(abs(x), 1.0) / reach)) + 1
    bottom = int(log2(abs(x))) - 34 if x else -120
    steps: Array = np.ldexp(np.float64(1), np.arange(top, bottom, -_RATIO))
    steps = steps[steps >= spacing(abs(x) + reach * float(steps[-1])) if x else steps > 0]
    if domain is None:
        return steps
    ends = [(x + min(grid) * h, x + max(grid) * h) for h in steps]
    inside = [domain.contains(low) and domain.contains(high) for low, high in ends]
    return steps[np.array(inside, dtype=bool)]


def _places(some: tuple[int, ...], grid: tuple[int, ...]) -> list[int]:
    return [grid.index(j) for j in some]


def _apply(rule: Stencil, values: Array, steps: Array, order: int) -> Array:
    weights = np.array([float(weight) for weight in rule.weights])
    return (values @ weights) / steps**order


def _inconsistency(found: Array, rounding: Array) -> Array:
    """How far each step's answer is from those of all smaller steps, beyond their rounding."""
    worst = np.zeros_like(found)
    for k in range(len(found) - 1):
        gaps = np.abs(found[k] - found[k + 1 :]) - rounding[k + 1 :]
        worst[k] = max(0.0, float(np.max(gaps)))
    # the smallest steps have nobody below them: they answer for the two above
    for k in range(max(0, len(found) - 2), len(found)):
        worst[k] = max(worst[k], abs(float(found[k] - found[k - 1])) if k else inf)
    return worst


def complex_step(
    f: Callable[[npt.NDArray[np.complex128]], npt.NDArray[np.complex128]], x: float
) -> Estimate:
    r"""Return f'(x) of a holomorphic f by one complex evaluation.

    $$f'(x) = \mathrm{Im}\,f(x + i h)/h + O(h^2), \qquad h = 2^{-600}$$

    Only for compositions of holomorphic functions: abs, max, sign, where on x and the like make
    it wrong, and nothing here can notice.

    Args:
        f: Function that accepts complex arrays.
        x: The point, finite.

    >>> complex_step(np.exp, 0.0).value
    1.0
    """
    h = 2.0**-600
    with np.errstate(all="ignore"):
        value = complex(np.asarray(f(np.array([complex(x, h)])))[0])
    slope = value.imag / h
    return Estimate(slope, ErrorBound({"rounding": 8 * _EPS * abs(slope)}))

r"""Gaussian expectations of functions that may be steep, have kinks or poles, or none at all.

$\mathrm{E}[f(z)]$, $z \sim N(0, 1)$, by Gauss-Legendre rules on panels.  A panel on which 24 and 16
nodes disagree, or that is not the sum of its two parts, is cut, and so on: steps, kinks and
integrable poles are closed in upon.  It is done twice, with panels that begin elsewhere, as a step
beside the end of a panel is seen by no node.  What does not settle (a pole that cannot be
integrated, a tail that outgrows the density) has no expectation and is an error, never a number.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from diffkit.core.errors import DomainError

Floats = npt.NDArray[np.float64]
#: z of shape (k,) -> values of shape (m, k): m integrands that share their panels.
Integrands = Callable[[Floats], Any]

#: Standard deviations to integrate over; the next is tried where the tail still counts.
REACHES = (12, 24, 37)
NODES = (24, 16)
#: Share of the whole that the nodes of one panel may disagree by.
GOAL = 1e-15
#: Share of the whole that the outermost panels may hold.
LARGEST_TAIL = 1e-12
#: Where the panels begin, off the whole numbers, where steps like to be; two that agree decide.
OFFSETS = (0.37, 0.81, 0.16, 0.56)
#: Share of the whole beyond which an uncertain expectation is none.
LARGEST_ERROR = 1e-6
#: Where a panel is cut: in the middle, a rule sees as much of a step as its two parts together.
CUT = 0.382
#: The narrowest panels are (1 - CUT)^60 = 3e-13 wide: far wider than the spacing of doubles.
CUTS = 60
MOST_PANELS = 4096
_EPS = float(np.finfo(np.float64).eps)


def gaussian_means(integrands: Integrands, joints: Sequence[float] = ()) -> tuple[Floats, Floats]:
    r"""Return $\mathrm{E}[f_i(z)]$, $z \sim N(0, 1)$, and bounds on their errors.

    All integrands share the panels, so that a step of one is looked at closely in all of them.

    Args:
        integrands: Vectorised, z of shape (k,) -> shape (m, k).
        joints: Where panels end besides their own ends: known kinks.

    Returns:
        Two arrays of shape (m,).  An error is ten times the change to fewer nodes plus rounding.

    Raises:
        DomainError: an integrand is no real number somewhere, or has no finite expectation.

    >>> value, error = gaussian_means(lambda z: np.stack([z**2, np.tanh(1e4 * z) ** 2]))
    >>> bool(abs(value[0] - 1) <= error[0] < 1e-12)
    True
    """
    found: list[tuple[Floats, Floats]] = []
    for offset in OFFSETS:
        value, error = _with_offset(integrands, joints, offset)
        for other, others in found:
            if np.all(np.abs(value - other) <= error + others):
                return value, error + others
        found.append((value, error))
    raise DomainError("its expectation does not exist, or no quadrature here settles on it")


def _with_offset(
    integrands: Integrands, joints: Sequence[float], offset: float
) -> tuple[Floats, Floats]:
    for reach in REACHES:
        ends = np.arange(-reach, reach + 1.0) + offset
        ends = np.union1d(ends, [place for place in joints if abs(place) < reach])
        value, error, size, tail = _integrate(integrands, ends)
        if not np.isfinite(size).all():
            raise DomainError("it outgrows the normal density: its expectation is not finite")
        if np.all(tail <= LARGEST_TAIL * size):
            break
    else:
        raise DomainError("it outgrows the normal density: its expectation is not finite")
    if np.any(error > LARGEST_ERROR * size):
        raise DomainError("its expectation does not exist, or no quadrature here settles on it")
    return value, error + 10 * tail


def _integrate(integrands: Integrands, ends: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Value, error, integral of the absolute value, and what of it the outermost panels hold."""
    low, high = ends[:-1], ends[1:]
    value = error = size = tail = np.zeros(1)
    parents = None
    for cuts in range(CUTS + 1):
        fine, coarse, absolute = _on_panels(integrands, low, high)
        if cuts == 0:
            tail = absolute[:, 0] + absolute[:, -1]
        whole = size + absolute.sum(axis=1)
        if not np.isfinite(whole).all():
            return value, error, whole, tail
        gap = np.abs(fine - coarse)
        if parents is not None:  # a panel and its sibling stand half of the panels apart
            sums = fine[:, : len(low) // 2] + fine[:, len(low) // 2 :]
            gap = np.maximum(gap, np.tile(np.abs(sums - parents), 2))
        rough = (gap > GOAL * whole[:, None]) & (gap > 64 * _EPS * absolute)
        split = rough.any(axis=0)
        if cuts == CUTS or 2 * split.sum() > MOST_PANELS:
            split = np.zeros_like(split)
        done = ~split
        value = value + fine[:, done].sum(axis=1)
        error = error + 10 * gap[:, done].sum(axis=1)
        size = size + absolute[:, done].sum(axis=1)
        if done.all():
            break
        low, high, parents = low[split], high[split], fine[:, split]
        inside = low + CUT * (high - low)
        low, high = np.concatenate([low, inside]), np.concatenate([inside, high])
    return value, error + 64 * _EPS * size, size, tail


def _on_panels(integrands: Integrands, low: Floats, high: Floats) -> tuple[Floats, ...]:
    """Integrals of every panel by both rules and of the absolute value, each of shape (m, n)."""
    found = []
    for nodes in NODES:
        z, weights = _nodes(nodes, low, high)
        flat = z.ravel()
        with np.errstate(all="ignore"):  # what is not finite is told below, by its place
            values = np.atleast_2d(np.asarray(integrands(flat), np.float64))
            values = np.broadcast_to(values, (len(values), flat.size))
            products = values * weights.ravel()
        wrong = np.isnan(values).any(axis=0)
        if wrong.any():
            raise DomainError(f"it is no real number at {flat[wrong][0]:.3g} standard deviations")
        # a value beyond the largest double times a weight of 0 is not 0
        products = np.where(np.isinf(values), np.inf, products).reshape(len(values), *z.shape)
        found.append(products)
    fine, coarse = (each.sum(axis=2) for each in found)
    return fine, coarse, np.abs(found[0]).sum(axis=2)


def _nodes(nodes: int, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    x, w = _rule(nodes)
    lengths = (high - low)[:, None]
    z = low[:, None] + lengths * (x + 1) / 2
    return z, lengths * w / 2 * np.exp(-z * z / 2) / sqrt(2 * pi)


@lru_cache(maxsize=8)
def _rule(nodes: int) -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(nodes)


def unit_panels(nodes: int, reach: int = REACHES[0]) -> tuple[Floats, Floats]:
    """Nodes and Gaussian weights on panels between whole numbers, for a grid of one's own."""
    ends = np.arange(-reach, reach + 1.0)
    z, weights = _nodes(nodes, ends[:-1], ends[1:])
    return z.ravel(), weights.ravel()

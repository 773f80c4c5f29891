"""Has a function a derivative at a point at all?

Its domain is what NumPy and SciPy, which JAX names it after, say it is.  A derivative of
`jax.scipy.stats.norm.pdf` by a scale of -1, or of `poisson.pmf` by a count, is no defect of JAX:
SciPy gives nan at the one, and beside whole numbers it means another function.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pydoc import locate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.atlas.public_functions import PublicFunction
from diffkit.atlas.questions import Leaves, Question
from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS

#: Package of JAX -> the one whose functions it repeats.
PACKAGES = {"jax.scipy": "scipy", "jax.numpy": "numpy"}
#: How far from a point the neighbours are, relative to it; beside 0 the square of it.
_BESIDE = 2.0**-20
#: Two libraries that agree less well than this mean different functions.
_AGREEMENT = 1e-3
_TINY = 1e-12
#: Step of differences in float64, relative to the argument.
_STEP = 1e-6
_EPS = float(np.finfo(np.float64).eps)


def peer(name: str) -> Callable[..., Any] | None:
    """The function of NumPy or SciPy that a public function repeats; None without one.

    >>> peer("jax.numpy.sinc").__module__, peer("jax.nn.gelu")
    ('numpy', None)
    """
    for package, other in PACKAGES.items():
        if name.startswith(f"{package}."):
            found = locate(other + name.removeprefix(package))
            return found if callable(found) else None
    return None


def outside(function: PublicFunction, leaves: Leaves, wrt: int) -> str:
    """Why a point is outside the domain the peer gives the function; "" inside, or without a peer.

    A peer that is called in another way, or has another value at the example arguments, is none.

    Args:
        function: The public function with its call.
        leaves: The point.
        wrt: Position of the argument; its neighbours are asked about as well.
    """
    other = peer(function.name)
    if other is None:
        return ""
    wrapped = isinstance(function.call, partial)  # the body of a recipe around the function
    theirs = partial(function.call.func, other) if wrapped else other
    if _objection(theirs, function, function.args, ""):
        return ""
    library = "SciPy" if function.name.startswith("jax.scipy") else "NumPy"
    for place, point in (("here", leaves), *_beside(leaves, wrt)):
        objection = _objection(theirs, function, point, place)
        if objection:
            return f"{library} {objection}"
    return ""


def _objection(
    theirs: Callable[..., Any], function: PublicFunction, point: Leaves, place: str
) -> str:
    """What the peer has against a point, "" where it has a value, and the same one.

    An overflow on JAX's side alone is no other function, nor are parts one of them leaves out.
    Where JAX itself raises there is no value to compare with, and the peer has no opinion.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = _numbers(theirs(*point))
        except USER_ERRORS as error:
            return f"refuses it: {str(error).strip().partition(chr(10))[0]}"
    try:
        with compat.x64():
            found = _numbers(function.call(*map(jnp.asarray, point)))
    except USER_ERRORS:
        return ""
    return "" if _same(expected, found) else f"has another value, or none, {place}"


def _same(expected: np.ndarray, found: np.ndarray) -> bool:
    """Whether the peer's numbers are there, and JAX's are the same as far as they are finite."""
    if np.any(np.isnan(expected)):
        return False
    if expected.shape != found.shape:
        return True
    where = np.isfinite(found)
    return np.allclose(found[where], expected[where], rtol=_AGREEMENT, atol=_TINY)


def _beside(leaves: Leaves, wrt: int) -> Iterator[tuple[str, Leaves]]:
    mine = leaves[wrt]
    for sign in (-1.0, 1.0):
        step = sign * np.where(mine == 0, _BESIDE**2, _BESIDE * np.abs(mine))
        yield "beside it", (*leaves[:wrt], mine + step, *leaves[wrt + 1 :])


def _numbers(value: Any) -> np.ndarray:
    """All real numbers of a result, end to end."""
    found = [np.ravel(np.asarray(each)) for each in jax.tree.leaves(value)]
    return np.concatenate(
        [each.astype(np.float64) for each in found if each.dtype.kind in "fiub"] or [np.empty(0)]
    )


def is_differentiable(asked: Question, leaves: Leaves, tangent: np.ndarray) -> bool:
    r"""Whether quotients of differences are those of a derivative, which is linear in direction.

    $$D(u) + D(r) = D(u + r), \qquad D(v) = (f(x + h v) - f(x)) / h = -D(-v)$$

    Where a matrix loses its rank, quotients along one axis look smooth and do not add up.
    Beside a point near 0 the step grows until the rounding of f drowns in what is allowed.

    Args:
        asked: The question.
        leaves: The point.
        tangent: The direction u; the random direction r is the same in every run.
    """
    what, base = asked.what, leaves[asked.what.wrt]
    other = np.random.default_rng(0).uniform(0.5, 1.0, base.shape)
    size = float(np.max(np.abs(base), initial=0.0)) or 1.0
    directions = (tangent, other, tangent + other)
    with compat.x64():

        def value(moved: np.ndarray) -> float:
            point = (*leaves[: what.wrt], moved, *leaves[what.wrt + 1 :])
            return float(what.call(*map(jnp.asarray, point)))

        here, step = value(base), _STEP * size
        while True:
            right = [(value(base + step * v) - here) / step for v in directions]
            left = [(here - value(base - step * v)) / step for v in directions]
            # a quotient of order h is 0
            allowed = _AGREEMENT * max(map(abs, (*left, *right))) + _STEP
            if step >= _STEP or 4 * _EPS * abs(here) <= allowed * step:
                break
            step *= 10
    both_sides = all(abs(a - b) <= allowed for a, b in zip(left, right, strict=True))
    return both_sides and abs(right[0] + right[1] - right[2]) <= allowed

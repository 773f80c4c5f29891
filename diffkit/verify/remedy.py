"""A mend for removable singularities and cancellation: a Taylor series near the point, run first.

The coefficients come from germs of balls at 0; the mended function is differentiated by AD
and compared with the rigorous derivative before it is recommended.
"""

from functools import lru_cache
from math import factorial, inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import run_rows
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import UnsupportedFunction, UnsupportedPrimitive
from diffkit.oracles import reverse
from diffkit.oracles.rigorous import Rigorous

RADIUS = 0.5
TERMS = {"float64": 18, "float32": 10, "float16": 6, "bfloat16": 5}
#: A mend that is worse than this is not worth recommending.
MOST_ULPS = 16.0
_TRIALS = 24


def series(what: Subject, probe: Probe, dtype: str, order: int) -> str | None:
    """Return a remedy that was run, or None when the function has no useful series at 0."""
    x = probe.leaves[what.wrt]
    if x.ndim or what.output_shape or abs(float(x)) > RADIUS or order > 2:
        return None
    key = _Key(what, dtype, order, tuple(float(np.sum(leaf)) for leaf in probe.leaves))
    try:
        ulps = _trial(key)
    except (UnsupportedPrimitive, UnsupportedFunction):  # no balls, no series
        return None
    if ulps is None or ulps > MOST_ULPS:
        return None
    return f"series for |{what.variable}| < {RADIUS:g}, then <= {int(np.ceil(ulps))} ulp"


class _Key:
    """What a trial depends on; the values of the other arguments count, x does not."""

    def __init__(self, what: Subject, dtype: str, order: int, sums: tuple[float, ...]):
        self.what, self.dtype, self.order = what, dtype, order
        others = tuple(s for i, s in enumerate(sums) if i != what.wrt)
        self.identity = (id(what), dtype, order, others)

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.identity == other.identity


@lru_cache(maxsize=64)
def _trial(key: _Key) -> float | None:
    what, dtype, order = key.what, key.dtype, key.order
    coefficients = _coefficients(what, TERMS[dtype])
    if coefficients is None:
        return None
    mended = Subject(
        what.name,
        what.function,
        _mended(what, coefficients),
        what.names,
        what.values,
        what.is_shape_only,
        what.wrt,
    )
    generator = np.random.default_rng(0)
    sizes = RADIUS * 2.0 ** -generator.uniform(0, 30, _TRIALS)
    signs = generator.choice([-1.0, 1.0], _TRIALS)
    probes = [_moved(what, value) for value in sizes * signs]
    found = run_rows(mended, dtype, probes, {"reverse": reverse.row(mended, order)})["reverse"]
    rigorous = Rigorous(what, dtype)
    eps = float(jnp.finfo(dtype).eps)
    worst = 0.0
    for probe, value in zip(probes, found, strict=True):
        truth = rigorous.enclosure(probe, order).derivative
        if truth is None or not np.isfinite(value):
            return inf
        worst = max(worst, abs(value - truth.value) / (eps * max(abs(truth.value), 1e-300)))
    return worst


def _coefficients(what: Subject, count: int) -> list[float] | None:
    """Taylor coefficients of the function at 0 from the balls, in float64."""
    rigorous = Rigorous(what, "float64")
    probe = _moved(what, 0.0)
    value = rigorous.enclosure(probe, 1).value
    if value is None:
        return None
    found = [value.value]
    for n in range(1, count):
        derivative = rigorous.enclosure(probe, n).derivative
        if derivative is None or derivative.is_infinite:
            return None
        found.append(derivative.value / factorial(n))
    return found


def _mended(what: Subject, coefficients: list[float]) -> Any:
    """The function with its series inside the radius, each branch's argument guarded."""

    def call(*leaves: Any) -> Any:
        x = leaves[what.wrt]
        is_near = jnp.abs(x) < RADIUS
        inside = jnp.where(is_near, x, 0.0)
        outside = jnp.where(is_near, jnp.ones_like(x), x)
        near = jnp.polyval(jnp.asarray(coefficients[::-1], x.dtype), inside)
        far = jax.tree.leaves(what.call(*leaves[: what.wrt], outside, *leaves[what.wrt + 1 :]))[0]
        return jnp.where(is_near, near, far)

    return call


def _moved(what: Subject, value: float) -> Probe:
    leaves = list(what.values)
    leaves[what.wrt] = np.asarray(value, dtype=np.float64)
    return Probe(tuple(leaves), np.ones(()), np.ones(()))

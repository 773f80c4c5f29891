"""The transformations a function may be judged under: the derivative must survive all of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.core.errors import UsageError

Function = Callable[..., Any]


def _one_in_a_batch(f: Function) -> Function:
    """f as one row of a vmapped batch of two equal rows."""

    def single(*leaves: Any) -> Any:
        rows = jax.vmap(f)(*(jnp.stack([jnp.asarray(leaf)] * 2) for leaf in leaves))
        return jax.tree.map(lambda row: row[0], rows)

    return single


def _body_of_a_scan(f: Function) -> Function:
    """f as the second of two equal steps of a scan; the first one gets a cotangent of zeros."""

    def single(*leaves: Any) -> Any:
        def step(count: Any, row: Any) -> Any:
            return count + 1, f(*row)

        rows = tuple(jnp.stack([jnp.asarray(leaf)] * 2) for leaf in leaves)
        _, results = jax.lax.scan(step, 0, rows)
        return jax.tree.map(lambda row: row[1], results)

    return single


TRANSFORMS: Mapping[str, Callable[[Function], Function]] = {
    "jit": jax.jit,
    "vmap": _one_in_a_batch,
    "remat": jax.checkpoint,
    "scan": _body_of_a_scan,
}


def check_names(names: Sequence[str]) -> None:
    """Refuse a transformation without a row in `TRANSFORMS`."""
    unknown = [name for name in names if name not in TRANSFORMS]
    if isinstance(names, str) or unknown:
        raise UsageError(f"under={names!r}; name some of: {', '.join(TRANSFORMS)}")

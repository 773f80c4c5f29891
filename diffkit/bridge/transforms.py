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


TRANSFORMS: Mapping[str, Callable[[Function], Function]] = {
    "jit": jax.jit,
    "vmap": _one_in_a_batch,
    "remat": jax.checkpoint,
}


def check_names(names: Sequence[str]) -> None:
    """Refuse a transformation without a row in `TRANSFORMS`."""
    unknown = [name for name in names if name not in TRANSFORMS]
    if isinstance(names, str) or unknown:
        raise UsageError(f"under={names!r}; name some of: {', '.join(TRANSFORMS)}")

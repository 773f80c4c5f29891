"""One compiled program for all scalar questions about a function in one dtype.

Compiling dominates: value, forward, reverse and jet for all probes go into a single jitted,
vmapped program.  Calls run under a time limit, because a compiled program cannot be
interrupted (and JAX 0.10 can hang on few cores).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import TimeLimitExceeded

Row = Callable[[Any, Any, Any], Any]  # (leaves, tangent, cotangent) -> scalar

SECONDS = 60.0


def run_rows(
    subject: Subject,
    dtype: str,
    probes: Sequence[Probe],
    rows: Mapping[str, Row],
    *,
    seconds: float = SECONDS,
) -> dict[str, np.ndarray]:
    """Evaluate every row function at every probe; name -> array of float64, one per probe.

    Raises:
        TimeLimitExceeded: compiling and running took longer than `seconds`.
    """
    with compat.x64(dtype == "float64"):
        stacked = _stack(subject, dtype, probes)

        def everything(leaves: Any, tangent: Any, cotangent: Any) -> dict[str, Any]:
            return {name: row(leaves, tangent, cotangent) for name, row in rows.items()}

        program = jax.jit(jax.vmap(everything))
        found = within(seconds, lambda: jax.block_until_ready(program(*stacked)))
    return {name: np.asarray(value).astype(np.float64) for name, value in found.items()}


def _stack(subject: Subject, dtype: str, probes: Sequence[Probe]) -> tuple[Any, Any, Any]:
    kind = jnp.dtype(dtype)
    points = [subject.at(dtype, probe.leaves) for probe in probes]
    leaves = tuple(jnp.stack(column) for column in zip(*points, strict=True))
    tangent = jnp.stack([probe.tangent.astype(kind) for probe in probes])
    cotangent = jnp.stack([probe.cotangent.astype(kind) for probe in probes])
    return leaves, tangent, cotangent


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Run `call` in a thread of its own and wait for it no longer than `seconds`.

    Raises:
        TimeLimitExceeded: it had not finished; the thread is left to end by itself.
    """
    box: dict[str, Any] = {}
    x64 = compat.x64_enabled()

    def work() -> None:
        try:
            with compat.x64(x64):  # JAX's settings are per thread
                box["value"] = call()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeLimitExceeded(
            f"the compiled program did not finish within {seconds:g} s; judge a smaller function "
            "or raise the limit"
        )
    if "error" in box:
        raise box["error"]
    return box["value"]

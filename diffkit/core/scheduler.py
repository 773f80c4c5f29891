"""The one setting of XLA without which JAX 0.10 on few CPU cores can hang."""

import os
from collections.abc import MutableMapping

#: A program with several LU factorisations can deadlock without this.
SCHEDULER_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"


def guard_scheduler(environment: MutableMapping[str, str] = os.environ) -> None:
    """Put the flag into XLA_FLAGS, unless the user has set it; XLA reads it once, at its start.

    >>> variables = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}
    >>> guard_scheduler(variables)
    >>> print(variables["XLA_FLAGS"])
    --xla_cpu_enable_fast_math=false --xla_cpu_enable_concurrency_optimized_scheduler=false
    """
    flags = environment.get("XLA_FLAGS", "")
    if "concurrency_optimized_scheduler" not in flags:
        environment["XLA_FLAGS"] = f"{flags} {SCHEDULER_FLAG}".strip()

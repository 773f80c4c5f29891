"""All outcomes of a group of independent draws with their probabilities, for enumeration."""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import jax
import numpy as np

from diffkit.core.errors import UsageError

MOST_CASES = 10**6


def groups(outcomes: Sequence[tuple[Any, Any]], size: int) -> list[tuple[Any, Any]]:
    """Return every group of `size` independent draws: its probability and its outcomes, stacked.

    Args:
        outcomes: Outcomes of one draw, [(probability, outcome), ...].
        size: Number of draws n >= 1.

    Returns:
        [(probability, outcomes), ...]; the outcomes are pytrees of arrays with first axis n, what
        `dk.verify_estimator(..., support=)` takes.

    Raises:
        UsageError: no outcomes, no such size, or more groups than can be listed.

    >>> groups([(0.25, 0), (0.75, 1)], 2)[1]
    (0.1875, array([0, 1]))
    """
    outcomes = list(outcomes)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or not outcomes:
        raise UsageError("groups need at least one outcome and a whole size >= 1")
    if len(outcomes) ** size > MOST_CASES:
        raise UsageError(
            f"{len(outcomes)} outcomes make {len(outcomes) ** size:,} groups of {size}, more than "
            f"{MOST_CASES:,}; take smaller groups or sample"
        )
    return [
        (
            prod(probability for probability, _ in group),
            jax.tree.map(lambda *leaves: np.stack(leaves), *(outcome for _, outcome in group)),
        )
        for group in product(outcomes, repeat=size)
    ]

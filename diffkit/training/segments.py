"""A long training in segments of steps, its state saved after each.

All blocks of runs take a segment, then one checkpoint holds them all.  A training that was killed
and one that was not make the same calls of the same compiled programs on the same numbers, so that
their results are the same bit for bit.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.lab.checkpoints import Checkpoints, digest, numbers

Array = Any
#: Where an object lies in memory, which is in the text of some programs.
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def in_segments(
    begin: Callable[..., Any],
    advance: Callable[..., Any],
    checkpoints: Checkpoints,
    steps: int,
    blocks: Sequence[tuple[Array, Mapping[str, Array]]],
    data: tuple[Array, Array],
    side_by_side: Callable[..., list[Any]],
) -> list[tuple[Any, Array]]:
    """Train blocks of runs, from the newest checkpoint on if there is one.

    Args:
        begin: (seeds, settings) -> (states, rows of each step's batch), of a block of runs.
        advance: (state, setting, rows, inputs, targets) -> (state, losses), of one run.
        checkpoints: Where and how often the state is saved.
        steps: Updates in all.
        blocks: Seeds and settings of the runs of one program.
        data: Inputs and targets.
        side_by_side: (function, blocks) -> its result for each block.

    Returns:
        State and losses of each block.

    Raises:
        UsageError: the folder holds checkpoints of another training.
    """
    step = jax.jit(jax.vmap(advance, (0, 0, 0, None, None)))
    begun = [begin(*block) for block in blocks]
    states, orders = ([each[i] for each in begun] for i in range(2))
    settings = [setting for _, setting in blocks]
    # traced once, here and for the calls below
    traced = step.trace(states[0], settings[0], orders[0][:, : checkpoints.every], *data)
    losses = [jnp.full(each.shape[:2], jnp.nan, traced.out_info[1].dtype) for each in orders]
    subject = {
        "program": _digest(traced.jaxpr),
        "numbers": digest(*numbers((begun, settings, data))),
        "every": checkpoints.every,
    }
    with checkpoints.open(subject) as saved:
        done, (states, losses) = saved.latest((states, losses)) or (0, (states, losses))
        for first in range(done, steps, checkpoints.every):
            last = min(first + checkpoints.every, steps)
            rows = [each[:, first:last] for each in orders]
            given = list(zip(states, settings, rows, strict=True))
            found = side_by_side(lambda block: jax.block_until_ready(step(*block, *data)), given)
            states = [state for state, _ in found]
            losses = [
                whole.at[:, first:last].set(part)
                for whole, (_, part) in zip(losses, found, strict=True)
            ]
            saved.save(last, (states, losses))
    return list(zip(states, losses, strict=True))


def _digest(program: Any) -> str:
    """Digest of what a program computes: the network, the loss, the optimiser, its constants."""
    text = _ADDRESS.sub("", str(program)).encode()
    return digest(np.frombuffer(text, np.uint8), *numbers(program.consts))

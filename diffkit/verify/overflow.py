"""Whether a derivative program leaves the range of its type on the way to its answer."""

from typing import Any

import jax.numpy as jnp

from diffkit.backend import compat
from diffkit.bridge.subject import Probe, Subject
from diffkit.bridge.survey import Place, delicate
from diffkit.core.errors import DiffkitError
from diffkit.oracles import forward, reverse

_MODES = {mode.NAME: mode for mode in (forward, reverse)}
#: How a note on an answer ends that is wrong because something overflowed before it.
SAID = "overflows on the way"


def out_of_range(what: Subject, dtype: str, mode: str, probe: Probe, order: int) -> list[Place]:
    """The equations of AD's program that over- or underflow at a point, in program order.

    Args:
        what: The function.
        dtype: Precision of the program.
        mode: Name of the mode of AD.
        probe: The question.
        order: Order of the derivative.

    Returns:
        Places of reason "overflow" or "underflow"; [] where the program cannot be run by equation.
    """
    kind = jnp.dtype(dtype)
    leaves = what.at(dtype, probe.leaves)
    weights = probe.tangent.astype(kind), probe.cotangent.astype(kind)
    row = _MODES[mode].row(what, order)

    def program(*values: Any) -> Any:
        return row(values[:-2], values[-2], values[-1])

    with compat.x64(dtype == "float64"):
        try:
            found = delicate(compat.trace(program, *leaves, *weights), [*leaves, *weights])
        except (DiffkitError, TypeError, ValueError):
            return []
    return [each for each in found if each.is_out_of_range]


def first_overflow(what: Subject, dtype: str, mode: str, probe: Probe, order: int) -> Place | None:
    """The first equation whose result is infinite although its operands are finite, if any."""
    places = out_of_range(what, dtype, mode, probe, order)
    return next((each for each in places if each.reason == "overflow"), None)

"""Random numbers of a fixed key: they depend on no argument, so the program's own are constants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.backend import compat
from diffkit.bridge.static import Static
from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.views import View

#: Primitives that make keys and random bits; their operands may be plain whole numbers.
SOURCES = frozenset(
    (
        "random_bits random_clone random_fold_in random_seed random_split random_unwrap "
        "random_wrap threefry2x32 random_gamma"
    ).split()
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A key, or numbers drawn with one.

    Args:
        value: The JAX array.
    """

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""
        return tuple(self.value.shape)


def results_of(eqn: Any, operands: Sequence[Any]) -> list[Any] | None:
    """The results of an equation on drawn numbers and constants alone, else None."""
    is_source = eqn.primitive.name in SOURCES
    if not (is_source or any(isinstance(x, Drawn) for x in operands)):
        return None
    if compat.called_jaxpr(eqn) is not None:
        return None
    values = [_fixed(x, atom.aval) for x, atom in zip(operands, eqn.invars, strict=True)]
    if any(value is None for value in values):
        return None
    _refuse_other_draws(eqn)
    with jax.ensure_compile_time_eval():
        return [Drawn(each) for each in compat.run_equation(eqn, values)]


def _refuse_other_draws(eqn: Any) -> None:
    """Refuse 64-bit draws of a function that the user runs in 32 bits: they are other numbers.

    Raises:
        UsageError: the equation is one.
    """
    if eqn.params.get("bit_width") == 64 and not compat.callers_x64_enabled():
        raise UsageError(
            "the function draws float64 numbers here and float32 ones in your configuration, which "
            "are different numbers; draw them outside and pass them as an argument, give the "
            "dtype (jnp.float32), or enable jax_enable_x64"
        )


def _fixed(operand: Any, aval: Any) -> Any | None:
    """An operand as a JAX array when it is known."""
    if isinstance(operand, Drawn):
        return operand.value
    if isinstance(operand, Static):
        return jnp.asarray(operand.value, aval.dtype)
    if isinstance(operand, View):
        coefficient, rest = build.scaled(operand.node)
        value = build.number(rest)
        if value is not None and (coefficient * value).is_real:
            return jnp.full(aval.shape, float(coefficient * value), aval.dtype)
    return None

"""What the jaxpr of a function is made of: primitives and named inner functions, all levels."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp

from diffkit.atlas.public_functions import PublicFunction
from diffkit.backend import compat


def program(function: PublicFunction) -> Any:
    """The jaxpr of the function itself, without the weighted sum, in float64."""
    with compat.x64():
        return compat.trace(function.call, *function.args)


def primitives(jaxpr: Any) -> tuple[str, ...]:
    """Names of all primitives of a jaxpr and of every jaxpr inside it, sorted.

    >>> import jax.numpy as jnp
    >>> primitives(compat.trace(lambda x: jnp.sin(x) + 1, 1.0))
    ('add', 'sin')
    """
    return tuple(sorted({eqn.primitive.name for eqn in equations(jaxpr)}))


def idioms(jaxpr: Any) -> tuple[str, ...]:
    """Names of the functions a jaxpr calls by name (jit, custom rules), sorted.

    >>> import jax
    >>> idioms(compat.trace(jax.nn.softplus, 1.0))
    ('logaddexp', 'softplus')
    """
    names = {compat.called_name(eqn) for eqn in equations(jaxpr) if _is_call(eqn)}
    return tuple(sorted(name for name in names if name.isidentifier()))


def precision(jaxpr: Any) -> float:
    """Spacing of 1 in the narrowest floating dtype of any value in a jaxpr.

    >>> import jax.numpy as jnp
    >>> precision(compat.trace(lambda x: jnp.sin(x.astype("bfloat16")), jnp.ones(2))) == 2**-7
    True
    """
    avals = (atom.aval for eqn in equations(jaxpr) for atom in (*eqn.invars, *eqn.outvars))
    dtypes = {aval.dtype for aval in avals if hasattr(aval, "dtype")}
    floats = [each for each in dtypes if jnp.issubdtype(each, jnp.floating)]
    return max((float(jnp.finfo(each).eps) for each in floats), default=float(jnp.finfo(float).eps))


def _is_call(eqn: Any) -> bool:
    return compat.called_jaxpr(eqn) is not None and eqn.primitive.name not in ("scan", "while")


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a jaxpr, those of loops, branches and calls included."""
    for eqn in compat.open_jaxpr(jaxpr)[0].eqns:
        yield eqn
        for inner in compat.inner_jaxprs(eqn):
            yield from equations(inner)

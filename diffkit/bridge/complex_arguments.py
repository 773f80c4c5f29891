r"""Complex arguments as their real and imaginary parts, so that a function is one of real arrays.

For a real function f of z = x + iy JAX's convention is

$$\mathtt{jax.grad}(f)(z) = \partial f/\partial x - i\,\partial f/\partial y,$$

the conjugate of the gradient of optimisation.  What is judged are the two real derivatives.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffkit.bridge.arguments import leaf_names


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Parts:
    """One complex array.

    Args:
        re: Its real part.
        im: Its imaginary part.
    """

    re: Any
    im: Any

    def whole(self) -> Any:
        """The complex array."""
        return lax.complex(jnp.asarray(self.re), jnp.asarray(self.im))


@dataclass(frozen=True)
class Call:
    """A function and example arguments without complex arrays.

    Args:
        function: Takes `Parts` where the user's function takes a complex array.
        args: Its example arguments.
        kwargs: Those given by name.
        notes: Which were complex.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def in_real_parts(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """The call with `Parts` for every complex array; as it is where there is none."""
    leaves = jax.tree.leaves((args, dict(kwargs)))
    if not any(map(_is_complex, leaves)):
        return Call(f, args, kwargs)

    @functools.wraps(f)
    def of_parts(*args: Any, **kwargs: Any) -> Any:
        given, named = jax.tree.map(_joined, (args, kwargs), is_leaf=_is_parts)
        return f(*given, **named)

    names = jax.tree.leaves(leaf_names(f, args, kwargs))
    given, named = jax.tree.map(_split, (args, dict(kwargs)))
    found = [
        name
        for name, leaf in zip(names, leaves, strict=False)
        if len(names) == len(leaves) and _is_complex(leaf)
    ]
    which = ", ".join(map(str, found)) or "some arguments"
    note = f"{which} complex: judged by .re and .im; jax.grad gives d/d re - i d/d im"
    return Call(of_parts, given, named, (note,))


def _is_complex(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, complex)
    return bool(jax.dtypes.issubdtype(dtype, np.complexfloating))


def _is_parts(value: Any) -> bool:
    return isinstance(value, Parts)


def _joined(value: Any) -> Any:
    return value.whole() if isinstance(value, Parts) else value


def _split(leaf: Any) -> Any:
    if not _is_complex(leaf):
        return leaf
    if isinstance(leaf, jax.ShapeDtypeStruct):
        part = jax.ShapeDtypeStruct(leaf.shape, np.finfo(leaf.dtype).dtype)
        return Parts(part, part)
    array = np.asarray(leaf)
    return Parts(np.real(array).copy(), np.imag(array).copy())

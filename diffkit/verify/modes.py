"""Which AD modes can differentiate a function at all."""

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.batch import Row
from diffkit.bridge.subject import Subject

#: What JAX raises where a mode has no rule; jet dies of AttributeError on JAX 0.12.
REFUSALS = (TypeError, ValueError, NotImplementedError, AttributeError, KeyError)


def mode_error(what: Subject, dtype: str, row: Row) -> str | None:
    """Why an AD mode cannot differentiate the function, or None when it can."""
    with compat.x64(dtype == "float64"):
        kind = jnp.dtype(dtype)
        # a batch of one, as the program runs it: forward mode through a custom_vjp is
        # refused only there
        leaves = tuple(leaf[None] for leaf in what.at(dtype, what.values))
        tangent = np.ones((1, *leaves[what.wrt].shape[1:]), kind)
        cotangent = np.ones((1, *what.output_shape), kind)
        try:
            jax.eval_shape(jax.vmap(row), leaves, tangent, cotangent)
        except LookupError as error:  # jet looks its rules up in a plain dict
            return f"no rule for {error}"
        except (TypeError, ValueError, RuntimeError, AssertionError, AttributeError) as error:
            # AttributeError: jet through a custom_jvp on JAX 0.12
            return str(error).partition("\n")[0]
    return None

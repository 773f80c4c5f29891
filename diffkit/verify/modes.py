"""Which AD modes can differentiate a function at all."""

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.batch import Row
from diffkit.bridge.subject import Subject


def mode_error(what: Subject, dtype: str, row: Row) -> str | None:
    """Why an AD mode cannot differentiate the function, or None when it can."""
    with compat.x64(dtype == "float64"):
        kind = jnp.dtype(dtype)
        leaves = what.at(dtype, what.values)
        tangent = np.ones(leaves[what.wrt].shape, kind)
        cotangent = np.ones(what.output_shape, kind)
        try:
            jax.eval_shape(row, leaves, tangent, cotangent)
        except LookupError as error:  # jet looks its rules up in a plain dict
            return f"no rule for {error}"
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            return str(error).partition("\n")[0]
    return None

"""Which AD modes can differentiate a function at all."""

from diffkit.bridge.batch import Row, check_row
from diffkit.bridge.subject import Subject

#: What JAX raises where a mode has no rule; jet dies of AttributeError on JAX 0.12.
REFUSALS = (TypeError, ValueError, NotImplementedError, AttributeError, KeyError)


def mode_error(what: Subject, dtype: str, row: Row) -> str | None:
    """Why an AD mode cannot differentiate the function, or None when it can."""
    try:
        check_row(what, dtype, row)
    except LookupError as error:  # jet looks its rules up in a plain dict
        return f"no rule for {error}"
    except (TypeError, ValueError, RuntimeError, AssertionError, AttributeError) as error:
        # AttributeError: jet through a custom_jvp on JAX 0.12
        return str(error).partition("\n")[0]
    return None

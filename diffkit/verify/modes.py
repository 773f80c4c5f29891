"""Which AD modes can differentiate a function at all."""

from diffkit.bridge.batch import REFUSALS, Row, check_row
from diffkit.bridge.subject import Subject


def mode_error(what: Subject, dtype: str, row: Row) -> str | None:
    """Why an AD mode cannot differentiate the function, or None when it can."""
    try:
        check_row(what, dtype, row)
    except LookupError as error:  # jet looks its rules up in a plain dict
        return f"{type(error).__name__} {error}"
    except (*REFUSALS, RuntimeError, AssertionError, ArithmeticError) as error:
        return str(error).partition("\n")[0]
    return None

"""Which AD modes can differentiate a function at all."""

from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.batch import Row, check_row
from diffkit.bridge.subject import Subject


def mode_error(what: Subject, dtype: str, row: Row) -> str | None:
    """Why an AD mode cannot differentiate the function, or None when it can."""
    try:
        check_row(what, dtype, row)
    except LookupError as error:  # jet looks its rules up in a plain dict
        return f"{type(error).__name__} {error}"
    except USER_ERRORS as error:
        return str(error).partition("\n")[0]
    return None

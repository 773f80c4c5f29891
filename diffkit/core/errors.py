"""Every error diffkit raises on purpose; each message says what, where and the remedy.

`exit_status` is what the command line returns for it: 1 refuted, 2 wrong usage, 3 undecided.
"""

#: What a defect of code shows as, diffkit's own or that of an experiment.
DEFECTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class DiffkitError(Exception):
    """Base of all errors raised on purpose; `str(error)` is one sentence with the remedy."""

    exit_status = 2


class UsageError(DiffkitError, ValueError):
    """The question cannot be asked this way; the message says how it can."""


class ParseError(UsageError):
    """Text that is not a formula of the grammar.

    Args:
        reason: One sentence: what is wrong and what to write instead.
        text: The text that was read.
        position: Offset of the offending character in `text`, 0 <= position <= len(text).
    """

    def __init__(self, reason: str, text: str, position: int):
        self.reason, self.text, self.position = reason, text, position
        super().__init__(f"{reason}\n{_excerpt(text, position)}")


class UnknownNameError(UsageError):
    """A symbol, function, field or module nobody has defined; the message lists the known ones."""


class DomainError(UsageError):
    """A value or a domain on which the question has no meaning."""


class UnsupportedPrimitive(DiffkitError):
    """A JAX primitive without a row in the table that was asked."""


class UnsupportedFunction(DiffkitError):
    """A scalar function without a row in the table that was asked."""


class NoClosedForm(DiffkitError):
    """The closed form asked for does not exist in the vocabulary; use the named quadrature."""


class CertificateError(DiffkitError):
    """A rewrite changed the value of an expression: a defect of diffkit, never of the user."""


class Undecidable(DiffkitError):
    """An enclosure cannot decide a comparison at any precision allowed."""

    exit_status = 3


class TimeLimitExceeded(DiffkitError):
    """A witness used up its time limit."""

    exit_status = 3


class ClaimRefuted(DiffkitError, AssertionError):
    """Raised by `Verdict.raise_if_refuted`."""

    exit_status = 1


class ClaimUndecided(DiffkitError, AssertionError):
    """Raised where an undecided claim must not pass for a good one: in a test."""

    exit_status = 3


def _excerpt(text: str, position: int, width: int = 60) -> str:
    """The line of `text` around `position` with a caret under the place."""
    start = text.rfind("\n", 0, position) + 1
    stop = text.find("\n", position)
    line = text[start : stop if stop >= 0 else len(text)]
    column = position - start
    left = max(0, column - width // 2)
    window = line[left : left + width]
    return f"  {window}\n  {' ' * (column - left)}^"

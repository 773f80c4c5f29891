"""What a mistyped name was probably meant to be, for the remedy in an error."""

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str:
    """The most similar known name, or ""."""
    names = sorted(known)
    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    if name.lower() in folded:
        return folded[name.lower()]
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    return matches[0] if matches else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint "did you mean x? " with the most similar known name, or "".

    >>> did_you_mean("sigmiod", ["sigmoid", "softplus"])
    'did you mean sigmoid? '
    """
    guess = closest(name, known)
    return f"did you mean {guess}? " if guess else ""

"""Data sets by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.problems.dataset import Dataset
from diffkit.problems.images import cifar10, mnist
from diffkit.problems.tables import TABLES, table

#: Name -> reader of files of a folder.
IMAGES: Mapping[str, Callable[[str | Path | None], Dataset]] = {"mnist": mnist, "cifar10": cifar10}
#: All names.
NAMES = (*TABLES, *IMAGES)


def load(name: str, folder: str | Path | None = None) -> Dataset:
    """The data set of this name; what is not there is an error, never replaced by another.

    Args:
        name: One of `NAMES`.
        folder: Where the files lie, for those that are read from files.

    Raises:
        UnknownNameError: no such data set; the message lists them.
        UsageError: a file is missing or damaged, or a folder is given for a table.

    >>> digits = load("digits")
    >>> digits.inputs.shape, digits.targets[:3].tolist(), len(digits.classes)
    ((1797, 64), [0, 1, 2], 10)
    """
    if not isinstance(name, str):
        raise UnknownNameError(f"no data set is called {name!r}; known: {', '.join(NAMES)}")
    if name in TABLES:
        if folder is not None:
            raise UsageError(f"{name} is read from scikit-learn, not from a folder")
        return table(name)
    if name not in IMAGES:
        hint = did_you_mean(name, NAMES)
        raise UnknownNameError(f"no data set {name!r}; {hint}known: {', '.join(NAMES)}")
    return IMAGES[name](folder)

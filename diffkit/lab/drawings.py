"""The figures of a run, drawn from its record by the producers of its experiment."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record

Producer = Callable[[Record, Path], Path]
FORMATS = ("svg", "pdf")


class PartNotRun(UsageError):
    """A figure needs the results of a part that the run left out."""


class _Results(dict[str, Any]):
    """Results that tell which of their parts is missing."""

    def __missing__(self, name: str) -> Any:
        raise PartNotRun(f"the run has no part {name!r}")


def producers(experiment: str) -> Mapping[str, Producer]:
    """Name of a figure -> the function that draws it from a record."""
    return importlib.import_module(f"experiments.{experiment}.figures").FIGURES


def draw(record: Record, folder: str | Path) -> Iterator[Path]:
    """Draw every figure whose parts were run, as SVG and as PDF; yield the files.

    Args:
        record: A finished run.
        folder: Where the files go; it is made.

    Raises:
        UsageError: no part of the run has a figure, or the folder is a file.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; name a folder for the figures")
    told = replace(record, results=_Results(record.results))
    is_any = False
    for name, producer in producers(record.experiment).items():
        for ending in FORMATS:
            try:
                yield producer(told, target / f"{record.experiment}-{name}.{ending}")
                is_any = True
            except PartNotRun:
                break
    if not is_any:
        raise UsageError(f"the parts of this run of {record.experiment} have no figure")

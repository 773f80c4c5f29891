"""A run of the ledger as labelled arrays of xarray, and as a netCDF file.

The fields of the cells' keys become the dimensions.  Cells that hold other arrays, or have other
fields, are a group of their own; a grid with a gap is a list of cells, never filled.  An array that
is named like a field or a dimension gets the ending "_value", since a file holds each name once.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.lab.ledger import Arrays, Ledger, Run

SCHEMA = "diffkit.export/1"
#: The dimension of cells that are no full grid.
CELL = "cell"

_Cell = tuple[dict[str, Any], Arrays]


def find_run(ledger: Ledger, name: str) -> Run:
    """The run whose address starts with `name`, or the newest finished one of that experiment.

    Raises:
        UsageError: there is none, no run of the experiment is finished and has cells, or several
            addresses start like this.
    """
    of_experiment = ledger.runs(name)
    if not of_experiment:
        return ledger.run(name)
    for info in reversed(of_experiment):
        run = ledger.run(info.id)
        if info.state == "done" and run.cells():
            return run
    raise UsageError(
        f"no run of {name} in {ledger.path.name} is finished and has cells; run it to its end, or "
        f"name a run by its address, such as {of_experiment[-1].id[:8]}"
    )


def labelled(run: Run) -> Any:
    """The finished cells of a run as an `xarray.DataTree`.

    Its root holds what the run is and, where all cells are alike, the arrays; else there is a
    group for each kind of cells.

    Raises:
        UsageError: xarray is not installed, no cell is finished, or the arrays of one are gone.
    """
    xarray = _import_xarray()
    cells = [(key, run.get(key) or {}) for key in run.cells()]
    if not cells:
        raise UsageError(f"run {run.id[:8]} has no finished cell; run the experiment first")
    for key, arrays in cells:
        if not arrays:
            raise UsageError(
                f"the cell {key} of run {run.id[:8]} has lost its arrays; move the ledger "
                f"{run.ledger.path} away and run again"
            )
    kinds: dict[tuple[Any, ...], list[_Cell]] = {}
    for cell in cells:
        kinds.setdefault(_kind(cell), []).append(cell)
    groups = [_dataset(xarray, group) for group in kinds.values()]
    about = _about(run)
    if len(groups) == 1:
        return xarray.DataTree(groups[0].assign_attrs(about))
    names = _names(list(kinds.values()))
    root = xarray.Dataset(attrs=about)
    return xarray.DataTree.from_dict({"/": root, **dict(zip(names, groups, strict=True))})


def to_netcdf(run: Run, path: str | Path) -> Path:
    """Write a run as a netCDF file, whole or not at all.

    Raises:
        UsageError: xarray or what it writes with is not installed, no cell is finished, or the
            file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".nc":
        raise UsageError(f"{target.name}: a netCDF file ends in .nc")
    tree, partial = labelled(run), target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tree.to_netcdf(partial, engine="h5netcdf")
        partial.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}; choose another file") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _import_xarray() -> Any:
    try:
        import h5netcdf  # noqa: F401 (xarray writes with it, and it with h5py)
        import h5py  # noqa: F401
        import xarray
    except ImportError as error:
        raise UsageError(
            "the export needs xarray, h5netcdf and h5py; install them with pip install "
            '"diffkit[xarray]"'
        ) from error
    return xarray


def _about(run: Run) -> dict[str, str]:
    """What the run is, as attributes."""
    info = run.info
    record: Mapping[str, Any] = info.record or {}
    return {
        "schema": SCHEMA,
        "experiment": info.experiment,
        "run": run.id,
        "code": info.code,
        "config": json.dumps(info.config, sort_keys=True),
        "state": info.state,
        "status": str(record.get("status", "")),
        "statement": str(record.get("statement", "")),
        "provenance": json.dumps(record.get("provenance", {}), sort_keys=True),
    }


def _kind(cell: _Cell) -> tuple[Any, ...]:
    """What two cells have in common that can be in one array."""
    key, arrays = cell
    shapes = sorted((name, array.shape, array.dtype.kind) for name, array in arrays.items())
    return tuple(sorted(key)), tuple(shapes)


def _dataset(xarray: Any, cells: Sequence[_Cell]) -> Any:
    """Cells of one kind: a full grid over the fields of their keys, else a list."""
    fields = list(cells[0][0])
    columns = {field: _labels([key[field] for key, _ in cells]) for field in fields}
    places = list(zip(*columns.values(), strict=True)) or [()]
    axes = {field: list(dict.fromkeys(column)) for field, column in columns.items()}
    if prod(map(len, axes.values())) == len(cells):
        found = dict(zip(places, (arrays for _, arrays in cells), strict=True))
        order = [found[place] for place in product(*axes.values())]
        dimensions, coordinates = tuple(fields), axes
        shape = tuple(map(len, axes.values()))
    else:
        order, dimensions = [arrays for _, arrays in cells], (CELL,)
        coordinates = {field: (CELL, column) for field, column in columns.items()}
        shape = (len(cells),)
    inner = _inner_dimensions(order[0], {*coordinates, *dimensions})
    taken = {*coordinates, *dimensions, *chain.from_iterable(inner.values())}
    variables = {}
    for name in order[0]:
        stacked = np.stack([arrays[name] for arrays in order])
        stacked = stacked.reshape(shape + stacked.shape[1:])
        for part, values in _storable(name, stacked):
            free = _free(part.replace("/", "_"), {*taken, *variables})
            variables[free] = (dimensions + inner[name], values)
    return xarray.Dataset(variables, coordinates)


def _inner_dimensions(arrays: Arrays, taken: set[str]) -> dict[str, tuple[str, ...]]:
    """Array -> names of its own axes: `norm_0`, which "relu norm" and "tanh norm" share."""
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for name, array in arrays.items():
        shapes.setdefault(_quantity(name), set()).add(array.shape)
    found = {}
    for name, array in arrays.items():
        base = _quantity(name) if len(shapes[_quantity(name)]) == 1 else name
        base = base.replace("/", "_")
        found[name] = tuple(_free(f"{base}_{i}", taken) for i in range(array.ndim))
    return found


def _quantity(name: str) -> str:
    """The last word of a name: what is measured, where the words before say of what."""
    return name.rpartition(" ")[2]


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with "_value" behind it as often as it is taken."""
    while name in taken:
        name = f"{name}_value"
    return name


def _labels(values: Sequence[Any]) -> list[Any]:
    """Numbers as they are, texts as they are, anything else and a mixture as JSON text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds == {str}:
        return list(values)
    return [json.dumps(value, sort_keys=True) for value in values]


def _storable(name: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The arrays netCDF can hold: a complex one is its real and its imaginary part."""
    if values.dtype.kind == "c":
        return [(f"{name}_real", values.real), (f"{name}_imag", values.imag)]
    return [(name, values)]


def _names(groups: Sequence[Sequence[_Cell]]) -> list[str]:
    """A name for each group: the first text that its keys share, with a number if it is taken."""
    names: list[str] = []
    for number, cells in enumerate(groups):
        first = cells[0][0]
        shared = [
            value
            for field, value in first.items()
            if isinstance(value, str) and all(key[field] == value for key, _ in cells)
        ]
        name = shared[0].replace("/", "_") if shared else "cells"
        names.append(f"{name}_{number}" if name in names or not shared else name)
    return names
